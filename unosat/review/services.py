"""Every decision and every reviewed area: the only changes a Building ever sees."""

import logging
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid5

from django.contrib.gis.geos import Polygon as StoredPolygon
from django.db import IntegrityError, transaction
from shapely.geometry import Polygon

from detection.grades import Grade
from unosat.accounts.actors import Actor
from unosat.assessments import selectors as assessment_selectors
from unosat.assessments.models import Assessment
from unosat.errors import NotFound
from unosat.ops import events
from unosat.review import outlines, replay
from unosat.review.errors import (
    ChangedMeanwhile,
    DecisionIdUsed,
    IncompleteDecision,
    NotDone,
    NothingToUndo,
    UsedForTraining,
)
from unosat.review.models import Building, Decision, ReviewedArea
from unosat.review.replay import History, State, Step

log = logging.getLogger(__name__)
Kind = Decision.Kind

NEEDS_GRADE = {Kind.REGRADE, Kind.ADD}
MAY_HAVE_GRADE = NEEDS_GRADE | {Kind.REDRAW}
NEEDS_OUTLINE = {Kind.REDRAW, Kind.ADD}


@dataclass(frozen=True, slots=True)
class DecisionRequest:
    """What somebody decided, as it comes from outside.

    Attributes:
        id: made by the client; sent twice, it is one decision.
        kind: one of Decision.Kind.
        building: uid of the building; None for a building to add.
        on_version: the building's version that the person looked at; 0 for one to add.
        grade: for regrade and add; may come with redraw.
        outline: GeoJSON Polygon, for redraw and add.
        reason: free text.
    """

    id: UUID
    kind: str
    building: UUID | None = None
    on_version: int = 0
    grade: Grade | None = None
    outline: dict[str, Any] | None = None
    reason: str = ""


def record_decision(actor: Actor, assessment_id: UUID, wanted: DecisionRequest) -> Building:
    """Record what a person decided, and rewrite the Building in the same transaction.

    Returns:
        The building as it stands now; for a decision that was sent before, as it stands now too.

    Raises:
        Forbidden: partners and programs do not decide.
        NotFound: the assessment or building is not the organisation's.
        NotDone: the assessment has no buildings yet.
        IncompleteDecision: grade or outline is missing, or not of this kind.
        BadOutline: what was drawn cannot be an outline here.
        ChangedMeanwhile: the building is at another version; it comes with the error.
        NothingToUndo: no decision is left to take back.
        DecisionIdUsed: the id belongs to another decision.
    """
    actor.must_be("analyst", "admin")
    user_id = actor.must_be_a_person()
    row = _reviewable(actor, assessment_id)
    drawn = _checked(wanted, row)
    try:
        with transaction.atomic():
            # On a building it is asked under the lock: once is enough.
            if wanted.building is None and (earlier := _earlier(row, wanted)) is not None:
                return earlier
            if wanted.kind == Kind.ADD:
                building = _add(row, wanted, drawn, user_id)
            else:
                building = _decide(row, wanted, drawn, user_id)
            events.publish(
                assessment_selectors.topic(row.pk),
                "decision",
                {"building": str(building.uid), "version": building.version},
            )
    except IntegrityError:  # the same decision arrived twice at the same moment
        with transaction.atomic():
            earlier = _earlier(row, wanted)
        if earlier is None:
            raise
        return earlier
    log.info("decision", extra={"building": str(building.uid), "kind": wanted.kind})
    return building


def mark_reviewed(actor: Actor, assessment_id: UUID, outline: object) -> ReviewedArea:
    """Record that somebody has looked at everything inside an outline.

    Raises:
        Forbidden, NotFound, NotDone, BadOutline: as for a decision.
    """
    actor.must_be("analyst", "admin")
    user_id = actor.must_be_a_person()
    row = _reviewable(actor, assessment_id)
    polygon = outlines.reviewed_outline(outline, row.scene)
    with transaction.atomic():
        area = ReviewedArea.objects.create(
            assessment=row, outline=outlines.stored(polygon), user_id=user_id
        )
        _announce_area(area)
    return area


def remove_reviewed_area(actor: Actor, area_id: UUID) -> None:
    """Take back that an area was reviewed.

    Raises:
        Forbidden: partners and programs do not.
        NotFound: it is not the organisation's.
        UsedForTraining: a Dataset was made of it.
    """
    actor.must_be("analyst", "admin")
    actor.must_be_a_person()
    with transaction.atomic():
        area = (
            ReviewedArea.objects.select_for_update(of=("self",))
            .filter(pk=area_id, assessment__organisation_id=actor.organisation_id)
            .first()
        )
        if area is None:
            raise NotFound(f"reviewed area {area_id}")
        if area.kept_aside is not None:
            raise UsedForTraining(f"reviewed area {area_id}")
        _announce_area(area)
        area.delete()


def history_of(building: Building) -> History:
    """What the building was at every version that still stands, by replaying its decisions."""
    start = replay.begun_by_model(building.footprint) if building.footprint else ()
    decisions = building.decisions.order_by("number")
    return replay.replay(start, (_step(decision) for decision in decisions))


def _reviewable(actor: Actor, assessment_id: UUID) -> Assessment:
    row = assessment_selectors.bare(actor, assessment_id)
    if row.state != Assessment.State.DONE:
        raise NotDone(f"assessment {row.pk} is {row.state}")
    return row


def _checked(wanted: DecisionRequest, row: Assessment) -> Polygon | None:
    """The outline that came along, once the request is known to be whole."""
    if wanted.kind not in Kind.values:
        raise IncompleteDecision(f"kind {wanted.kind}")
    complete = (
        (wanted.building is None) == (wanted.kind == Kind.ADD)
        and (wanted.grade is not None or wanted.kind not in NEEDS_GRADE)
        and (wanted.grade is None or wanted.kind in MAY_HAVE_GRADE)
        and (wanted.outline is not None) == (wanted.kind in NEEDS_OUTLINE)
        and (wanted.kind != Kind.ADD or wanted.on_version == 0)
    )
    if not complete:
        raise IncompleteDecision(f"{wanted.kind} of {wanted.building}")
    if wanted.outline is None:
        return None
    return outlines.building_outline(wanted.outline, row.scene)


def _earlier(row: Assessment, wanted: DecisionRequest) -> Building | None:
    """The building of a decision that was sent before."""
    decision = Decision.objects.select_related("building").filter(pk=wanted.id).first()
    if decision is None:
        return None
    same_building = wanted.building in {None, decision.building.uid}
    if decision.assessment_id != row.pk or decision.kind != wanted.kind or not same_building:
        raise DecisionIdUsed(f"decision {wanted.id}")
    return decision.building


def _add(row: Assessment, wanted: DecisionRequest, drawn: Polygon | None, user_id: int) -> Building:
    outline = outlines.stored(drawn) if drawn else None
    (state,) = replay.apply((), Step(wanted.kind, wanted.grade or "", _wkb(outline)))
    building = Building(
        assessment=row,
        organisation_id=row.organisation_id,
        uid=uuid5(row.pk, str(wanted.id)),
        source=Building.Source.ANALYST,
    )
    _become(building, state, 1, user_id)
    building.save(force_insert=True)
    _write(building, wanted, state, outline, user_id)
    return building


def _decide(
    row: Assessment, wanted: DecisionRequest, drawn: Polygon | None, user_id: int
) -> Building:
    building = (
        Building.objects.select_for_update(of=("self",))
        .select_related("footprint")
        .filter(assessment=row, uid=str(wanted.building))
        .first()
    )
    if building is None:
        raise NotFound(f"building {wanted.building}")
    if (earlier := _earlier(row, wanted)) is not None:  # came while this one waited for the lock
        return earlier
    if building.version != wanted.on_version:
        raise ChangedMeanwhile(building)
    history = history_of(building)
    if wanted.kind == Kind.UNDO and not replay.can_undo(history):
        raise NothingToUndo(f"building {building.uid}")
    outline = outlines.stored(drawn) if drawn else None
    step = Step(wanted.kind, wanted.grade or history[-1].grade, _wkb(outline))
    state = replay.apply(history, step)[-1]
    _become(building, state, building.version + 1, user_id)
    building.save()
    _write(building, wanted, state, outline, user_id)
    return building


def _become(building: Building, state: State, version: int, user_id: int) -> None:
    building.outline = outlines.from_wkb(state.outline)
    building.grade = state.grade
    building.grade_score = state.grade_score
    building.review = state.review
    building.version = version
    building.updated_by_id = user_id


def _write(
    building: Building,
    wanted: DecisionRequest,
    state: State,
    outline: StoredPolygon | None,
    user_id: int,
) -> None:
    Decision.objects.create(
        id=wanted.id,
        assessment_id=building.assessment_id,
        building=building,
        number=building.version,
        on_version=building.version - 1,
        kind=wanted.kind,
        grade=state.grade,
        outline=outline,
        reason=wanted.reason,
        user_id=user_id,
    )


def _step(decision: Decision) -> Step:
    return Step(decision.kind, decision.grade, _wkb(decision.outline))


def _wkb(outline: StoredPolygon | None) -> bytes | None:
    return None if outline is None else bytes(outline.wkb)


def _announce_area(area: ReviewedArea) -> None:
    topic = assessment_selectors.topic(area.assessment_id)
    events.publish(topic, "reviewed_area", {"reviewed_area": str(area.pk)})
