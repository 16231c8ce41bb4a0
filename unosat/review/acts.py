"""What each kind of decision makes of which buildings. Inside the transaction of ``services``."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast
from uuid import UUID, uuid5

import numpy as np
import shapely
from django.contrib.gis.geos import GEOSGeometry
from django.contrib.gis.geos import Polygon as StoredPolygon
from django.db import connection
from django.utils import timezone
from shapely.geometry import Polygon

from detection.footprints import LONLAT_DECIMALS
from detection.grades import Grade
from unosat.assessments.models import Assessment
from unosat.errors import NotFound
from unosat.review import guard, outlines, replay, returning, rewriting
from unosat.review.errors import (
    BuildingReplaced,
    ChangedMeanwhile,
    MergeNeedsGrade,
    NothingToShift,
    NothingToUndo,
    OthersChanged,
    ShiftsTooMany,
    ShiftTooFar,
)
from unosat.review.guard import Drawn
from unosat.review.models import Building, Decision
from unosat.review.replay import State, Step
from unosat.review.returning import Return
from unosat.scenes.models import WGS84

Kind = Decision.Kind

LONGEST_SHIFT_M = 40.0  # a roof 100 m high, seen from 20 degrees off the vertical, leans 36 m
MOST_SHIFTED = 2000  # buildings in one act: a second's work
ROWS_AT_ONCE = 200  # of one INSERT


@dataclass(frozen=True, slots=True)
class On:
    """A building, and the version of it that the person looked at."""

    building: UUID
    on_version: int


@dataclass(frozen=True, slots=True)
class DecisionRequest:
    """What somebody decided, as it comes from outside.

    Attributes:
        id: made by the client; sent twice, it is one decision.
        kind: one of Decision.Kind.
        building: uid of the building; None for one to add, and to shift an area.
        on_version: the building's version that the person looked at; 0 where there is none.
        grade: for regrade and add; may come with redraw and merge.
        outline: GeoJSON Polygon, for redraw, add and merge.
        outlines: GeoJSON Polygons, for split.
        others: for merge: the buildings that become part of ``building``.
        area: GeoJSON Polygon, for shift: the buildings whose middle lies in it are moved.
        shift_m: for shift: metres to the east and to the north.
        because: for unsure: one of NoGradeBecause.
        reason: free text.
    """

    id: UUID
    kind: str
    building: UUID | None = None
    on_version: int = 0
    grade: Grade | None = None
    outline: dict[str, Any] | None = None
    outlines: Sequence[dict[str, Any]] = ()
    others: Sequence[On] = ()
    area: dict[str, Any] | None = None
    shift_m: tuple[float, float] | None = None
    because: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Act:
    """A decision that is known to be whole, on its way into the database.

    Attributes:
        row: whose buildings.
        wanted: as it was sent.
        drawn: the outlines that came along, each checked by itself.
        user_id: whose decision it is.
    """

    row: Assessment
    wanted: DecisionRequest
    drawn: tuple[Polygon, ...]
    user_id: int


@dataclass(slots=True)
class Change:
    """What becomes of one building, and the decision that says so.

    Attributes:
        building: the row; not saved yet.
        state: what it becomes.
        outline: what the decision records as drawn; None if nothing was.
        others: uids of what it was made of, or of what took its place.
        new: whether the row is to be made.
    """

    building: Building
    state: State
    outline: StoredPolygon | None = None
    others: list[UUID] = field(default_factory=list)
    new: bool = False


def add(act: Act) -> list[Change]:
    """A building that the model missed.

    Raises:
        OutlineOverlaps: it lies over another.
    """
    (drawn,) = act.drawn
    guard.check_overlap(act.row, [Drawn(drawn)], own=())
    step = Step(act.wanted.kind, act.wanted.grade or "", drawn.wkb)
    return [_new(act, str(act.wanted.id), drawn, step)]


def decide(act: Act) -> list[Change]:
    """A decision on one building, drawn anew or not.

    Raises:
        NotFound, ChangedMeanwhile, BuildingReplaced: it is not there as it was seen.
        OutlineOverlaps: its new outline lies over another building.
        ReturnOverlaps: it was rejected, and another stands in its place by now.
    """
    (building,) = _as_seen(act, [_lead(act)])
    hidden = not returning.stands(building.review)
    outline = None
    if act.drawn:
        (drawn,) = act.drawn
        before = None if hidden else guard.shape_of(building.outline)
        guard.check_overlap(act.row, [Drawn(drawn, before)], own=[building.pk])
        outline = outlines.stored(drawn)
    grade = act.wanted.grade or building.grade
    step = Step(act.wanted.kind, grade, _wkb(outline), act.wanted.because)
    state = replay.apply(replay.now(building), step)[-1]
    if hidden and not act.drawn:
        decisions = list(building.decisions.order_by("number"))
        if since := returning.hidden_since(building, decisions):
            returning.check(act.row, [Return(building, state)], since, undo=False)
    return [Change(building, state, outline)]


def split(act: Act) -> list[Change]:
    """A building that is several: pieces take its place, with its grade and flag.

    Raises:
        NotFound, ChangedMeanwhile, BuildingReplaced: it is not there as it was seen.
        SplitMismatch, OutlineOverlaps: the pieces are not what it was.
    """
    (building,) = _as_seen(act, [_lead(act)])
    whole = guard.shape_of(building.outline)
    guard.check_split(whole, act.drawn)
    drawn = [Drawn(piece, whole) for piece in act.drawn]
    guard.check_overlap(act.row, drawn, own=[building.pk])
    pieces = []
    for number, piece in enumerate(act.drawn):
        step = Step(
            Kind.SPLIT, building.grade, piece.wkb, building.unsure_because, building.flagged
        )
        made = _new(act, f"{act.wanted.id}/{number}", piece, step)
        made.others = [building.uid]
        pieces.append(made)
    gone = _replaced(building, Kind.SPLIT, [piece.building.uid for piece in pieces])
    return [gone, *pieces]


def merge(act: Act) -> list[Change]:
    """Buildings that are one: the first takes the outline of all, the others are replaced by it.

    Raises:
        NotFound, ChangedMeanwhile, BuildingReplaced: one is not there as it was seen.
        MergeNeedsGrade: their grades differ and none was chosen.
        TooFarToMerge, MergeMismatch, OutlineOverlaps: the outline is not that of one building.
    """
    lead, *rest = _as_seen(act, [_lead(act), *act.wanted.others])
    parts = [lead, *rest]
    if act.wanted.grade is None and len({part.grade for part in parts}) > 1:
        raise MergeNeedsGrade(", ".join(sorted({part.grade for part in parts})))
    (drawn,) = act.drawn
    shapes = [guard.shape_of(part.outline) for part in parts]
    guard.check_merge(drawn, shapes)
    before = shapely.union_all(shapes)
    guard.check_overlap(act.row, [Drawn(drawn, before)], own=[part.pk for part in parts])
    outline = outlines.stored(drawn)
    step = Step(
        Kind.MERGE,
        act.wanted.grade or lead.grade,
        _wkb(outline),
        flagged=any(part.flagged for part in parts),
    )
    state = replay.apply(replay.now(lead), step)[-1]
    whole = Change(lead, state, outline, [part.uid for part in rest])
    return [whole, *(_replaced(part, Kind.MERGE, [lead.uid]) for part in rest)]


def shift(act: Act) -> list[Change]:
    """Move every standing outline whose middle lies in an area; grades and reviews stay.

    Raises:
        ShiftTooFar, ShiftsTooMany, NothingToShift: more than one act moves, or nothing.
        OutlineOutside, OutlineOverlaps: where one would lie then.
    """
    (area,) = act.drawn
    east, north = act.wanted.shift_m or (0.0, 0.0)
    if not (metres := float(np.hypot(east, north))) <= LONGEST_SHIFT_M:
        raise ShiftTooFar(metres, LONGEST_SHIFT_M)
    buildings = _standing_in(act.row, area)
    if not buildings or metres == 0:
        raise NothingToShift(f"{len(buildings)} buildings, {metres} metres")
    way = np.array([east, north]) / outlines.metres_per_degree(area.centroid.y)
    before = [guard.shape_of(building.outline) for building in buildings]
    after = [
        shapely.transform(shape, lambda xy: np.round(xy + way, LONLAT_DECIMALS)) for shape in before
    ]
    outlines.must_be_inside(after, act.row.scene)
    drawn = [Drawn(new, old) for new, old in zip(after, before, strict=True)]
    guard.check_overlap(act.row, drawn, own=[building.pk for building in buildings])
    changes = []
    for building, moved in zip(buildings, after, strict=True):
        outline = outlines.stored(moved)
        step = Step(Kind.SHIFT, building.grade, _wkb(outline))
        state = replay.apply(replay.now(building), step)[-1]
        changes.append(Change(building, state, outline))
    return changes


def undo(act: Act) -> list[Change]:
    """Take back the last decision that stands on a building, on all buildings that it touched.

    Raises:
        NotFound, ChangedMeanwhile: the building is not there as it was seen.
        NothingToUndo: no decision is left to take back.
        OthersChanged: it touched others, and somebody has decided on one of them since.
        ReturnOverlaps: another building stands by now where one would come back.
    """
    lead = _lead(act)
    building = Building.objects.filter(assessment=act.row, uid=lead.building).first()
    if building is None:
        raise NotFound(f"building {lead.building}")
    if building.version != lead.on_version:
        raise ChangedMeanwhile(building)
    last = _last_standing(list(building.decisions.order_by("number")))
    if last is None:
        raise NothingToUndo(f"building {building.uid}")
    rows = _locked(act.row, _touched(last, building))
    if rows[building.uid].version != lead.on_version:
        raise ChangedMeanwhile(rows[building.uid])
    made = _decisions_of(rows.values())
    _must_be_last(last, made)
    changes = []
    for uid in [building.uid, *(uid for uid in rows if uid != building.uid)]:
        row = rows[uid]
        history = replay.history_of(row, made[row.pk])
        if not replay.can_undo(history):
            raise NothingToUndo(f"building {uid}")
        state = replay.apply(history, Step(Kind.UNDO, row.grade))[-1]
        changes.append(Change(row, state))
    coming = [Return(change.building, change.state) for change in changes]
    returning.check(act.row, coming, last.made_at, undo=True)
    return changes


def stays_in_place(row: Assessment, wanted: DecisionRequest) -> bool:
    """Whether a decision that draws nothing is on a building that stands: then it moves nothing.

    Asked without a lock: at the version that was seen, the building stays what it was then.
    """
    seen = Building.objects.filter(
        assessment=row, uid=cast("UUID", wanted.building), version=wanted.on_version
    ).exclude(review__in=Building.HIDDEN)
    return seen.exists()


def write(act: Act, changes: Sequence[Change]) -> None:
    """Rewrite the buildings, and append a decision for each; the first has the client's id."""
    several = len(changes) > 1 or act.wanted.kind == Kind.SHIFT
    for change in changes:
        _become(change, act.user_id)
    for change in changes:
        if change.new:
            change.building.save(force_insert=True)
    old = [change.building for change in changes if not change.new]
    if len(old) == 1:
        old[0].save()
    elif old:
        rewriting.rewrite(old)
    Decision.objects.bulk_create(
        [_decision(act, change, first=i == 0, several=several) for i, change in enumerate(changes)],
        batch_size=ROWS_AT_ONCE,
    )


def one_at_a_time(row: Assessment) -> None:
    """Let no two people draw in one assessment at once: each must see what the other drew.

    Taken before any building is locked; it ends with the transaction.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [str(row.pk)])


def _lead(act: Act) -> On:
    return On(cast("UUID", act.wanted.building), act.wanted.on_version)


def _as_seen(act: Act, seen: Sequence[On]) -> list[Building]:
    """The buildings, locked, each at the version that the person looked at."""
    rows = _locked(act.row, [one.building for one in seen])
    for one in seen:
        if one.building not in rows:
            raise NotFound(f"building {one.building}")
        if rows[one.building].version != one.on_version:
            raise ChangedMeanwhile(rows[one.building])
        if rows[one.building].review == Building.Review.REPLACED:
            raise BuildingReplaced(f"building {one.building}")
    return [rows[one.building] for one in seen]


def _locked(row: Assessment, uids: Iterable[UUID]) -> dict[UUID, Building]:
    """Lock buildings, all in one order, so that no two acts wait for one another."""
    rows = (
        Building.objects.select_for_update(of=("self",))
        .select_related("footprint")
        .filter(assessment=row, uid__in=set(uids))
        .order_by("uid")
    )
    return {building.uid: building for building in rows}


def _standing_in(row: Assessment, area: Polygon) -> list[Building]:
    """Standing buildings whose middle lies in an area, locked."""
    touching = Building.objects.filter(
        assessment=row, outline__intersects=GEOSGeometry(memoryview(area.wkb), srid=WGS84)
    ).exclude(review__in=Building.HIDDEN)
    shapely.prepare(area)
    inside = [
        uid
        for uid, outline in touching.values_list("uid", "outline")
        if area.contains(guard.shape_of(outline).centroid)
    ]
    if len(inside) > MOST_SHIFTED:
        raise ShiftsTooMany(len(inside), MOST_SHIFTED)
    locked = _locked(row, inside).values()
    return [one for one in locked if one.review not in Building.HIDDEN]


def _touched(last: Decision, building: Building) -> list[UUID]:
    """All that a decision touched."""
    if last.batch is None:
        return [building.uid]
    touched = Decision.objects.filter(batch=last.batch)
    return list(touched.values_list("building__uid", flat=True))


def _decisions_of(rows: Iterable[Building]) -> dict[int, list[Decision]]:
    """Of each building by its primary key, oldest first."""
    made: dict[int, list[Decision]] = {row.pk: [] for row in rows}
    for decision in Decision.objects.filter(building__in=list(made)).order_by("number"):
        made[decision.building_id].append(decision)
    return made


def _must_be_last(last: Decision, made: dict[int, list[Decision]]) -> None:
    newer = [
        one
        for one in map(_last_standing, made.values())
        if one is None or (one.pk != last.pk and (one.batch is None or one.batch != last.batch))
    ]
    told = [one for one in newer if one is not None]
    if told:
        raise OthersChanged(len(told), max(told, key=lambda one: one.made_at))
    if newer:
        raise NothingToUndo(f"act {last.batch}")


def _last_standing(decisions: Sequence[Decision]) -> Decision | None:
    places = replay.standing([decision.kind for decision in decisions])
    return decisions[places[-1]] if places else None


def _new(act: Act, name: str, drawn: Polygon, step: Step) -> Change:
    """A row for a building that an analyst made; its uid follows from the client's id."""
    (state,) = replay.apply((), step)
    building = Building(
        assessment=act.row,
        organisation_id=act.row.organisation_id,
        uid=uuid5(act.row.pk, name),
        source=Building.Source.ANALYST,
    )
    return Change(building, state, outlines.stored(drawn), new=True)


def _replaced(building: Building, kind: str, by: list[UUID]) -> Change:
    state = replay.apply(replay.now(building), Step(kind, building.grade))[-1]
    return Change(building, state, others=by)


def _become(change: Change, user_id: int) -> None:
    building, state = change.building, change.state
    building.outline = outlines.from_wkb(state.outline)
    (building.cell,) = outlines.cells([building.outline])
    building.grade = state.grade
    building.grade_score = state.grade_score
    building.review = state.review
    building.unsure_because = state.because
    building.flagged = state.flagged
    building.version += 1
    building.updated_by_id = user_id
    building.updated_at = timezone.now()


def _decision(act: Act, change: Change, *, first: bool, several: bool) -> Decision:
    """One row for one building; the id of all but the first follows from the client's."""
    wanted, building = act.wanted, change.building
    return Decision(
        id=wanted.id if first else uuid5(wanted.id, str(building.uid)),
        assessment_id=building.assessment_id,
        building=building,
        number=building.version,
        on_version=building.version - 1,
        kind=wanted.kind,
        grade=change.state.grade,
        outline=change.outline,
        because=change.state.because if wanted.kind in {Kind.UNSURE, Kind.SPLIT} else "",
        flagged=change.state.flagged,
        batch=wanted.id if several else None,
        others=[str(uid) for uid in change.others],
        shift_m=wanted.shift_m,
        reason=wanted.reason,
        user_id=act.user_id,
    )


def _wkb(outline: StoredPolygon | None) -> bytes | None:
    return None if outline is None else bytes(outline.wkb)
