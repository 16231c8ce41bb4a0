"""Drawing samples and answering them: every change of a measurement. Buildings never change."""

import logging
import secrets
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import cast
from uuid import UUID

import numpy as np
import shapely
from django.contrib.gis.geos import Point
from django.db import IntegrityError, transaction
from django.db.models import Max, Q
from django.utils import timezone
from numpy.typing import NDArray
from shapely.geometry import Polygon

from unosat.accounts.actors import Actor
from unosat.assessments import selectors as assessment_selectors
from unosat.assessments.models import Assessment
from unosat.errors import NotFound
from unosat.quality import plan, selectors, squares
from unosat.quality.errors import (
    BadAnswer,
    JudgedByAnother,
    NoSuchAnswer,
    NothingToSample,
    SampleOpen,
    SampleOver,
    SampleSize,
)
from unosat.quality.models import CANNOT_JUDGE, JUDGED, SAID_OF_ITEMS, Item, Missed, Sample, Square
from unosat.quality.plan import Stratum
from unosat.review import outlines
from unosat.review.models import GRADES, Building
from unosat.scenes.models import WGS84

log = logging.getLogger(__name__)

BUILDINGS_MIN, BUILDINGS_MAX = 50, 2000
SQUARES_MIN, SQUARES_MAX = 10, 500
SIDE_MIN_M, SIDE_MAX_M = 40.0, 200.0
OFFER = timedelta(minutes=10)  # nobody else gets what somebody may be looking at
OFFER_AT_ONCE = 10
BESIDE = 0.002  # of a square's side: a mark on its edge, after rounding

Answerable = Item | Square


@dataclass(frozen=True, slots=True)
class SampleRequest:
    """How much is to be judged.

    Attributes:
        buildings: 50 to 2,000.
        squares: 10 to 500, or none: then what was missed is not estimated.
        side_m: of a square, 40 to 200 m.
        seed: of the random numbers; drawn anew unless given, and always kept.
    """

    buildings: int
    squares: int = 0
    side_m: float = 100.0
    seed: int | None = None

    def check(self) -> None:
        """Raise SampleSize unless it is within reason."""
        possible = (
            BUILDINGS_MIN <= self.buildings <= BUILDINGS_MAX
            and (self.squares == 0 or SQUARES_MIN <= self.squares <= SQUARES_MAX)
            and SIDE_MIN_M <= self.side_m <= SIDE_MAX_M
        )
        if not possible:
            raise SampleSize(f"{self.buildings}, {self.squares} of {self.side_m} m")


@dataclass(frozen=True, slots=True)
class Mark:
    """A building that was missed: where in the square's picture (0 to 1, from the top left)."""

    x: float
    y: float
    grade: str


def draw(actor: Actor, assessment_id: UUID, wanted: SampleRequest) -> Sample:
    """Draw a sample at random and freeze it.

    Raises:
        Forbidden: partners and programs do not judge.
        NotFound: the assessment is not the organisation's.
        NothingToSample: it is not done, or nothing was found.
        SampleSize: too few or too many.
        SampleOpen: one is being judged.
    """
    actor.must_be("analyst", "admin")
    user_id = actor.must_be_a_person()
    row = assessment_selectors.assessment(actor, assessment_id)
    wanted.check()
    if row.state != Assessment.State.DONE:
        raise NothingToSample(f"assessment {row.pk} is {row.state}")
    seed = secrets.randbits(32) if wanted.seed is None else wanted.seed
    try:
        with transaction.atomic():
            sample = _draw(row, wanted, seed, user_id)
    except IntegrityError as error:  # the database allows one open sample
        raise SampleOpen(f"assessment {row.pk}") from error
    log.info("sample drawn", extra={"sample": str(sample.pk), "assessment": str(row.pk)})
    return sample


def withdraw(actor: Actor, sample_id: UUID) -> None:
    """Give an unfinished sample up; its answers are kept and count for nothing.

    Raises:
        Forbidden, NotFound: as for drawing.
        SampleOver: it is finished already.
    """
    actor.must_be("analyst", "admin")
    actor.must_be_a_person()
    with transaction.atomic():
        sample = _open(actor, sample_id)
        sample.state = Sample.State.WITHDRAWN
        sample.save(update_fields=["state"])


def offer(actor: Actor, sample_id: UUID, limit: int) -> list[Answerable]:
    """The next ones to judge, in their random order: buildings, then squares.

    They are this person's for ten minutes; asked again, the same come first. Empty when all is
    judged, or what is left lies before others.

    Raises:
        Forbidden, NotFound: as for drawing.
        SampleOver: it is finished or withdrawn.
    """
    actor.must_be("analyst", "admin")
    user_id = actor.must_be_a_person()
    with transaction.atomic():
        sample = _open(actor, sample_id)
        found: list[Answerable] = []
        for model in (Item, Square):
            left = min(limit, OFFER_AT_ONCE) - len(found)
            found += _offered(model, sample, user_id, left)
    return found


def answer_item(
    actor: Actor, item_id: UUID, answer: str, *, answer_id: UUID | None = None
) -> Sample:
    """Judge a building; one's own answer can be put right until the sample is finished.

    ``answer_id`` is made by the browser. Sent again, even once the sample is finished or another
    answer has replaced it, it changes nothing; nor does the same answer given twice.

    Raises:
        Forbidden, NotFound: as for drawing.
        SampleOver: it is finished or withdrawn.
        JudgedByAnother: somebody else was faster.
        NoSuchAnswer: it is no answer.
    """
    actor.must_be("analyst", "admin")
    user_id = actor.must_be_a_person()
    if answer not in SAID_OF_ITEMS:
        raise NoSuchAnswer(answer)
    with transaction.atomic():
        item = Item.objects.filter(pk=item_id, **_of(actor)).first()
        if item is None:
            raise NotFound(f"item {item_id}")
        sample = _locked(actor, item.sample_id)
        item.refresh_from_db()  # somebody may have answered until the sample was ours
        same = item.answer == answer and item.judged_by_id == user_id
        if same or _is_known(item, answer_id, user_id):
            return sample
        _must_be_open(sample)
        _judge(item, answer, user_id, answer_id)
        _finish_if_done(sample)
    return sample


def answer_square(
    actor: Actor,
    square_id: UUID,
    answer: str,
    marks: Sequence[Mark],
    *,
    answer_id: UUID | None = None,
) -> Sample:
    """Say which buildings no outline shows in a square, or that it cannot be judged.

    ``answer_id`` is made by the browser: sent again it is one answer, as for buildings.

    Raises:
        Forbidden, NotFound, SampleOver, JudgedByAnother: as for buildings.
        BadAnswer: it is no answer, a mark lies outside of the square or has no grade, or there are
            marks on what cannot be judged.
    """
    actor.must_be("analyst", "admin")
    user_id = actor.must_be_a_person()
    with transaction.atomic():
        square = Square.objects.filter(pk=square_id, **_of(actor)).first()
        if square is None:
            raise NotFound(f"square {square_id}")
        sample = _locked(actor, square.sample_id)
        square.refresh_from_db()
        if _is_known(square, answer_id, user_id):
            return sample
        _must_be_open(sample)
        if (marks and answer == CANNOT_JUDGE) or answer not in {JUDGED, CANNOT_JUDGE}:
            raise BadAnswer(answer)
        if any(mark.grade not in GRADES for mark in marks):
            raise BadAnswer("a mark without a grade")
        points = _points(square, marks)
        _judge(square, answer, user_id, answer_id)
        square.missed.all().delete()
        Missed.objects.bulk_create(
            Missed(square=square, point=point, grade=mark.grade)
            for point, mark in zip(points, marks, strict=True)
        )
        _finish_if_done(sample)
    return sample


def _draw(row: Assessment, wanted: SampleRequest, seed: int, user_id: int) -> Sample:
    rng = np.random.default_rng(seed)
    frame = selectors.frame_of(row.pk)
    if not frame:
        raise NothingToSample(f"assessment {row.pk} has no buildings")
    strata = plan.strata_of({name: len(keys) for name, keys in frame.items()}, wanted.buildings)
    chosen = [
        (stratum, int(key))
        for stratum in strata
        for key in rng.choice(frame[stratum.name], stratum.sampled, replace=False)
    ]
    boxes, square_strata = _draw_squares(row, wanted, rng)
    sample = Sample.objects.create(
        assessment=row,
        created_by_id=user_id,
        seed=seed,
        strata=[_told(s) for s in strata],
        square_strata=[_told(s) for s in square_strata],
        side_m=wanted.side_m if square_strata else 0.0,
        expected=plan.expected(strata),
        last_building=Building.objects.filter(assessment=row).aggregate(Max("pk"))["pk__max"],
    )
    _store_items(sample, chosen, rng)
    _store_squares(sample, boxes, rng)
    return sample


def _draw_squares(
    row: Assessment, wanted: SampleRequest, rng: np.random.Generator
) -> tuple[list[tuple[Stratum, NDArray[np.float64]]], list[Stratum]]:
    """The chosen squares, each with its stratum."""
    if not wanted.squares or row.scene.footprint is None:
        return [], []
    ground = cast("Polygon", shapely.from_wkb(bytes(row.scene.footprint.wkb)))
    boxes = squares.grid(ground, wanted.side_m)
    counts = squares.counts_in(boxes, selectors.middles_of(row.pk))
    some = counts[counts > 0]
    many = float(np.median(some)) if len(some) else 0.0
    members = dict(
        zip(
            plan.SQUARE_STRATA,
            (
                np.flatnonzero(counts == 0),
                np.flatnonzero((counts > 0) & (counts <= many)),
                np.flatnonzero(counts > many),
            ),
            strict=True,
        )
    )
    strata = plan.square_strata_of({k: len(v) for k, v in members.items()}, wanted.squares)
    chosen = [
        (stratum, boxes[index])
        for stratum in strata
        for index in rng.choice(members[stratum.name], stratum.sampled, replace=False)
    ]
    return chosen, strata


def _store_items(
    sample: Sample, chosen: list[tuple[Stratum, int]], rng: np.random.Generator
) -> None:
    rows = {b.pk: b for b in selectors.as_drawn(key for _, key in chosen)}
    order = rng.permutation(len(chosen))
    Item.objects.bulk_create(
        Item(
            sample=sample,
            place=int(place),
            stratum=stratum.name,
            probability=stratum.sampled / stratum.size,
            building=rows[key],
            outline=selectors.outline_as_drawn(rows[key]),
        )
        for place, (stratum, key) in zip(order, chosen, strict=True)
    )


def _store_squares(
    sample: Sample,
    chosen: list[tuple[Stratum, NDArray[np.float64]]],
    rng: np.random.Generator,
) -> None:
    order = rng.permutation(len(chosen))
    Square.objects.bulk_create(
        Square(
            sample=sample,
            place=int(place),
            stratum=stratum.name,
            probability=stratum.sampled / stratum.size,
            outline=outlines.from_wkb(shapely.box(*box).wkb),
        )
        for place, (stratum, box) in zip(order, chosen, strict=True)
    )


def _told(stratum: Stratum) -> dict[str, str | int]:
    facts = asdict(stratum)
    return {"stratum": facts["name"], "size": facts["size"], "sampled": facts["sampled"]}


def _of(actor: Actor) -> dict[str, UUID]:
    return {"sample__assessment__organisation_id": actor.organisation_id}


def _open(actor: Actor, sample_id: UUID) -> Sample:
    sample = _locked(actor, sample_id)
    _must_be_open(sample)
    return sample


def _locked(actor: Actor, sample_id: UUID) -> Sample:
    """The sample, locked: two last answers at once would otherwise both leave it unfinished."""
    sample = (
        Sample.objects.select_for_update(of=("self",))
        .filter(pk=sample_id, assessment__organisation_id=actor.organisation_id)
        .first()
    )
    if sample is None:
        raise NotFound(f"sample {sample_id}")
    return sample


def _must_be_open(sample: Sample) -> None:
    if sample.state != Sample.State.OPEN:
        raise SampleOver(f"sample {sample.pk} is {sample.state}")


def _offered(
    model: type[Item] | type[Square], sample: Sample, user_id: int, limit: int
) -> list[Answerable]:
    if limit <= 0:
        return []
    now = timezone.now()
    free = Q(offered_to=None) | Q(offered_to=user_id) | Q(offered_until__lt=now)
    rows = model.objects.filter(free, sample=sample, answer="").order_by("place")
    found = cast("list[Answerable]", list(rows[:limit]))
    model.objects.filter(pk__in=[one.pk for one in found]).update(
        offered_to=user_id, offered_until=now + OFFER
    )
    return found


def _is_known(one: Answerable, answer_id: UUID | None, user_id: int) -> bool:
    """Whether this person's answer was applied before, and only its receipt was lost."""
    return one.judged_by_id == user_id and answer_id in one.answer_ids


def _judge(one: Answerable, answer: str, user_id: int, answer_id: UUID | None) -> None:
    if one.answer and one.judged_by_id != user_id:
        raise JudgedByAnother(f"{one.pk}")
    one.answer, one.judged_by_id, one.judged_at = answer, user_id, timezone.now()
    one.answer_ids += [answer_id] if answer_id else []
    one.save(update_fields=["answer", "judged_by", "judged_at", "answer_ids"])


def _points(square: Square, marks: Sequence[Mark]) -> list[Point]:
    if not marks:
        return []
    view = selectors.view_of(square)
    lonlat = view.lonlat(np.array([[mark.x, mark.y] for mark in marks]))
    west, south, east, north = square.outline.extent
    beside = (east - west) * BESIDE
    inside = (
        (lonlat[:, 0] >= west - beside)
        & (lonlat[:, 0] <= east + beside)
        & (lonlat[:, 1] >= south - beside)
        & (lonlat[:, 1] <= north + beside)
    )
    if not inside.all():
        raise BadAnswer("a mark outside of the square")
    return [Point(float(x), float(y), srid=WGS84) for x, y in lonlat]


def _finish_if_done(sample: Sample) -> None:
    left = sample.items.filter(answer="").exists() or sample.squares.filter(answer="").exists()
    if not left:
        sample.state, sample.finished_at = Sample.State.DONE, timezone.now()
        sample.save(update_fields=["state", "finished_at"])
        log.info("sample finished", extra={"sample": str(sample.pk)})
