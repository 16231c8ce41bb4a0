"""Every question asked of samples and of counts of buildings. Reads only."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, cast
from uuid import UUID

import numpy as np
import shapely
from django.contrib.gis.geos import Polygon as StoredPolygon
from django.db import connection, transaction
from django.db.models import Case, CharField, Count, Exists, F, OuterRef, QuerySet, Value, When
from django.db.models.functions import Coalesce
from numpy.typing import NDArray
from shapely.geometry import Polygon

from unosat.accounts.actors import Actor
from unosat.assessments import selectors as assessment_selectors
from unosat.errors import NotFound
from unosat.quality import figures, squares
from unosat.quality.figures import NOT_SHOWN, Cell, Figures, Ground
from unosat.quality.models import CANNOT_JUDGE, NO_BUILDING, Item, Missed, Sample, Square
from unosat.quality.plan import ADDED
from unosat.quality.squares import View
from unosat.review.models import Building, Decision
from unosat.review.outlines import from_wkb

CLOSE_M, CLOSE_TIMES = 60.0, 2.5  # a building's view: at least so wide, or so many times itself
WIDE = 3.0  # the wider view, times the close one
MARGIN_M = 15.0  # of ground shown round a square
GONE = ("rejected", "replaced")  # not on the map; what was split or merged has others in its place


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the judging of a sample is.

    Attributes:
        items: buildings in it.
        items_judged: answered, "cannot be judged" included.
        items_unclear: answered "cannot be judged".
        squares: in it.
        squares_judged: answered, "cannot be judged" included.
        squares_unclear: answered "cannot be judged".
        judges: names of those who answered.
    """

    items: int
    items_judged: int
    items_unclear: int
    squares: int
    squares_judged: int
    squares_unclear: int
    judges: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Measured:
    """A finished sample and what it says.

    Attributes:
        sample: the sample.
        progress: who judged how many.
        before: of the model's own map.
        after: of the map as it stands now.
        later: damaged buildings that analysts added after the sample was drawn.
    """

    sample: Sample
    progress: Progress
    before: Figures
    after: Figures
    later: int


def sample(actor: Actor, sample_id: UUID) -> Sample:
    """One sample with its assessment and images.

    Raises:
        NotFound: it is not the organisation's.
    """
    found = _samples(actor).filter(pk=sample_id).first()
    if found is None:
        raise NotFound(f"sample {sample_id}")
    return found


def open_sample(actor: Actor, assessment_id: UUID) -> Sample | None:
    """The sample of an assessment that is being judged."""
    return _samples(actor).filter(assessment_id=assessment_id, state=Sample.State.OPEN).first()


def judged_thing(actor: Actor, thing_id: UUID) -> Item | Square:
    """A building or square of a sample, with the images it lies on.

    Raises:
        NotFound: it is not the organisation's.
    """
    for model in (Item, Square):
        rows = model.objects.filter(
            pk=thing_id, sample__assessment__organisation_id=actor.organisation_id
        )
        found = rows.select_related(
            "sample__assessment__scene", "sample__assessment__before_scene"
        ).first()
        if found is not None:
            return found
    raise NotFound(f"item or square {thing_id}")


def stratum_sizes(actor: Actor, assessment_id: UUID) -> dict[str, int]:
    """How many buildings each stratum would have if a sample were drawn now.

    Raises:
        NotFound: the assessment is not the organisation's.
    """
    assessment_selectors.must_exist(actor, assessment_id)
    rows = (
        Building.objects.filter(assessment_id=assessment_id)
        .values_list(Coalesce("footprint__grade", Value(ADDED)))
        .annotate(Count("pk"))
        .order_by()
    )
    return dict(rows)


def frame_of(assessment_id: UUID) -> dict[str, NDArray[np.int64]]:
    """Numbers of all buildings by stratum, each in an order that does not change."""
    rows = (
        Building.objects.filter(assessment_id=assessment_id)
        .order_by("pk")
        .values_list("pk", Coalesce("footprint__grade", Value(ADDED)))
    )
    found: dict[str, list[int]] = defaultdict(list)
    for key, name in rows.iterator(chunk_size=10_000):
        found[name].append(key)
    return {name: np.array(keys, np.int64) for name, keys in found.items()}


def as_drawn(keys: Iterable[int]) -> QuerySet[Building]:
    """Buildings with the model's own outlines."""
    return Building.objects.filter(pk__in=list(keys)).select_related("footprint")


def outline_as_drawn(building: Building) -> StoredPolygon:
    """The model's outline; that of an analyst where the model had none."""
    return building.footprint.outline if building.footprint else building.outline


def middles_of(assessment_id: UUID) -> NDArray[np.float64]:
    """Centroids of all buildings of an assessment, shape (N, 2), in degrees."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT ST_X(middle), ST_Y(middle) FROM (SELECT ST_Centroid(outline) AS middle "
            "FROM review_building WHERE assessment_id = %s) AS all_of_them",
            [assessment_id],
        )
        return np.array(cursor.fetchall(), np.float64).reshape(-1, 2)


def view_of(thing: Item | Square, *, wide: bool = False) -> View:
    """What the picture of a building or a square shows."""
    outline = cast("Polygon", shapely.from_wkb(bytes(thing.outline.wkb)))
    if isinstance(thing, Square):
        return squares.view_of(outline, least_m=0, times=1, margin_m=MARGIN_M)
    zoom = WIDE if wide else 1
    return squares.view_of(outline, least_m=CLOSE_M * zoom, times=CLOSE_TIMES * zoom)


def rings_of(thing: Item | Square, *, wide: bool = False) -> list[squares.Ring]:
    """Outlines to draw over a picture, as parts of it: of the building, or all in a square."""
    view = view_of(thing, wide=wide)
    if isinstance(thing, Item):
        return [_ring(view, thing.outline)]
    west, south, east, north = squares.unmercator(
        np.array([view.bounds[:2], view.bounds[2:]])
    ).ravel()
    box = from_wkb(shapely.box(west, south, east, north).wkb)
    rows = Building.objects.filter(
        assessment_id=thing.sample.assessment_id,
        pk__lte=thing.sample.last_building,
        outline__bboverlaps=box,
    ).select_related("footprint")
    return [_ring(view, outline_as_drawn(building)) for building in rows]


def frame_of_square(square: Square) -> float:
    """How far from its picture's edge a square begins, as a part of the picture."""
    west, south, east, north = square.outline.extent
    (left, top), _ = view_of(square).fractions(np.array([[west, north], [east, south]]))
    return round(float(max(left, top)), 5)


def progress(of: Sample) -> Progress:
    """How far the judging is."""
    items = _answers(of.items.all())
    looked = _answers(of.squares.all())
    judges = {
        name
        for model in (Item, Square)
        for name in model.objects.filter(sample=of, judged_by__isnull=False)
        .values_list("judged_by__username", flat=True)
        .distinct()
    }
    return Progress(
        items=items.total(),
        items_judged=items.total() - items[""],
        items_unclear=items[CANNOT_JUDGE],
        squares=looked.total(),
        squares_judged=looked.total() - looked[""],
        squares_unclear=looked[CANNOT_JUDGE],
        judges=tuple(sorted(judges)),
    )


def sampled(assessment_ids: Iterable[UUID]) -> dict[UUID, str]:
    """Of each that was measured "done", of each whose first sample is being judged "open".

    The others are left out. The reader was let in before.
    """
    rows = Sample.objects.filter(assessment__in=list(assessment_ids))
    told = rows.exclude(state=Sample.State.WITHDRAWN).values_list("assessment_id", "state")
    return dict(told.order_by("-state"))  # done comes last: it outweighs another that is open


def measured(actor: Actor, assessment_id: UUID) -> Measured | None:
    """What the newest finished sample says, now; None where there is none.

    Raises:
        NotFound: the assessment is not the organisation's.
    """
    assessment_selectors.must_exist(actor, assessment_id)
    of = (
        _samples(actor)
        .filter(assessment_id=assessment_id, state=Sample.State.DONE)
        .order_by("-finished_at")
        .first()
    )
    return None if of is None else measured_by(of)


def measured_by(of: Sample) -> Measured:
    """What a finished sample says of its map, before review and as it stands now."""
    with transaction.atomic():  # one connection, as near to one moment as a page needs
        items = list(of.items.select_related("building"))
        marks = _marks(of)
        sizes = _sizes_now(of)
        added = _added_since(of)
        shown = _damaged_now(of)
    before = figures.figures(_cells_before(of, items), _ground(of, marks, still_missing=False))
    after = figures.figures(_cells_now(items, sizes), _ground(of, marks, still_missing=True), added)
    after = replace(after, shown=shown)
    later = sum(count for grade, count in added.items() if grade in figures.DAMAGED)
    return Measured(of, progress(of), before, after, later)


def for_export(actor: Actor, assessment_id: UUID) -> dict[str, Any] | None:
    """The figures as a file's metadata say them; None where nothing was measured."""
    found = measured(actor, assessment_id)
    if found is None or found.sample.finished_at is None:
        return None
    facts = asdict(found.progress)
    return {
        "sample": str(found.sample.pk),
        "finished_at": found.sample.finished_at.isoformat(timespec="seconds"),
        "method": "random stratified sample, judged blind; 95 % intervals",
        "judged_by": list(facts.pop("judges")),
        **facts,
        "as_the_model_said": asdict(found.before),
        "as_it_stands": asdict(found.after),
    }


def _samples(actor: Actor) -> QuerySet[Sample]:
    return Sample.objects.filter(assessment__organisation_id=actor.organisation_id).select_related(
        "assessment__scene", "assessment__before_scene", "created_by"
    )


def _answers(rows: QuerySet[Any]) -> Counter[str]:
    return Counter(dict(rows.values_list("answer").annotate(Count("pk")).order_by()))


def _ring(view: View, outline: StoredPolygon) -> squares.Ring:
    corners = np.array(outline.coords[0], np.float64)[:, :2]
    return [(round(float(x), 5), round(float(y), 5)) for x, y in view.fractions(corners)]


def _truth(items: Iterable[Item]) -> tuple[dict[str, int], int]:
    """Judged ones by true grade, and how many could not be judged."""
    answers = Counter(item.answer for item in items)
    unclear = answers.pop(CANNOT_JUDGE, 0)
    answers.pop("", 0)
    answers[NOT_SHOWN] = answers.pop(NO_BUILDING, 0)
    return dict(answers), unclear


def _cells_before(of: Sample, items: list[Item]) -> list[Cell]:
    cells = []
    for stratum in of.strata:
        name = stratum["stratum"]
        truth, unclear = _truth(item for item in items if item.stratum == name)
        said = NOT_SHOWN if name == ADDED else name
        cells.append(Cell(name, said, stratum["size"], truth, unclear))
    return cells


def _cells_now(items: list[Item], sizes: Mapping[tuple[str, str], int]) -> list[Cell]:
    by_cell: dict[tuple[str, str], list[Item]] = defaultdict(list)
    for item in items:
        rejected = item.building.review == Building.Review.REJECTED
        by_cell[item.stratum, NOT_SHOWN if rejected else item.building.grade].append(item)
    cells = []
    for (stratum, said), size in sorted(sizes.items()):
        members = by_cell.get((stratum, said), [])
        truth, unclear = _truth(members)
        cells.append(Cell(stratum, said, max(size, len(members)), truth, unclear))
    return cells


def _sizes_now(of: Sample) -> dict[tuple[str, str], int]:
    """How many buildings of the sample's frame there are by stratum and present grade.

    What was split or merged since counts with the grade it had: its parts show it.
    """
    rejected = When(review=Building.Review.REJECTED, then=Value(NOT_SHOWN))
    now = Case(rejected, default=F("grade"), output_field=CharField())
    rows = (
        Building.objects.filter(assessment_id=of.assessment_id, pk__lte=of.last_building)
        .values_list(Coalesce("footprint__grade", Value(ADDED)), now)
        .annotate(Count("pk"))
        .order_by()
    )
    return {(stratum, said): count for stratum, said, count in rows}


def _damaged_now(of: Sample) -> int:
    """Damaged buildings that the map shows now."""
    rows = Building.objects.filter(assessment_id=of.assessment_id, grade__in=figures.DAMAGED)
    return rows.exclude(review__in=GONE).count()


def _added_since(of: Sample) -> dict[str, int]:
    """Buildings that stand and were drawn after the sample was, by grade; no parts of others."""
    drawn = Decision.objects.filter(building=OuterRef("pk"), kind=Decision.Kind.ADD)
    rows = (
        Building.objects.filter(Exists(drawn), assessment_id=of.assessment_id)
        .filter(pk__gt=of.last_building)
        .exclude(review__in=GONE)
        .values_list("grade")
        .annotate(Count("pk"))
        .order_by()
    )
    return dict(rows)


def _marks(of: Sample) -> list[tuple[UUID, str, bool]]:
    """Missed buildings: their square, their grade, and whether the map shows them by now."""
    standing = Building.objects.filter(
        assessment_id=of.assessment_id, outline__covers=OuterRef("point")
    ).exclude(review__in=GONE)
    rows = Missed.objects.filter(square__sample=of).annotate(shown=Exists(standing))
    return list(rows.values_list("square_id", "grade", "shown"))


def _ground(
    of: Sample, marks: list[tuple[UUID, str, bool]], *, still_missing: bool
) -> list[Ground]:
    seen: dict[UUID, Counter[str]] = defaultdict(Counter)
    for square, grade, shown in marks:
        if not (still_missing and shown):
            seen[square][grade] += 1
    judged = of.squares.exclude(answer__in=["", CANNOT_JUDGE]).values_list("pk", "stratum")
    by_stratum: dict[str, list[Counter[str]]] = defaultdict(list)
    for key, stratum in judged:
        by_stratum[stratum].append(seen[key])
    return [Ground(stratum["size"], by_stratum[stratum["stratum"]]) for stratum in of.square_strata]
