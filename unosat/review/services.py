"""Every decision and every reviewed area: the only changes a Building ever sees."""

import logging
import math
from uuid import UUID, uuid4

from django.db import IntegrityError, transaction
from shapely.geometry import Polygon

from unosat.accounts.actors import Actor
from unosat.assessments import selectors as assessment_selectors
from unosat.assessments.models import Assessment
from unosat.errors import NotFound
from unosat.ops import events
from unosat.review import acts, outlines, replay
from unosat.review.acts import Act, Change, DecisionRequest, On
from unosat.review.errors import (
    ChangedMeanwhile,
    DecisionIdUsed,
    IncompleteArea,
    IncompleteDecision,
    NotDone,
    UsedForTraining,
)
from unosat.review.models import Building, Decision, NoGradeBecause, ReviewedArea
from unosat.review.replay import History

__all__ = ["DecisionRequest", "On"]  # what callers build a decision of

log = logging.getLogger(__name__)
Kind = Decision.Kind

NEEDS_GRADE = {Kind.REGRADE, Kind.ADD}
MAY_HAVE_GRADE = NEEDS_GRADE | {Kind.REDRAW, Kind.MERGE}
NEEDS_OUTLINE = {Kind.REDRAW, Kind.ADD, Kind.MERGE}
NAMES_NO_BUILDING = {Kind.ADD, Kind.SHIFT}
ALONE_ON_THE_GROUND = {Kind.ADD, Kind.REDRAW, Kind.SPLIT, Kind.MERGE, Kind.SHIFT, Kind.UNDO}
MOST_PIECES = 20  # of one split, and parts of one merge
MOST_NAMED = 100  # buildings in one piece of news: who follows asks again for all beyond that

ACTS = {Kind.ADD: acts.add, Kind.SPLIT: acts.split, Kind.MERGE: acts.merge}
ACTS |= {Kind.SHIFT: acts.shift, Kind.UNDO: acts.undo}


def record_decision(actor: Actor, assessment_id: UUID, wanted: DecisionRequest) -> Building:
    """Record what a person decided, and rewrite all Buildings it touches in one transaction.

    Returns:
        The building that stands now (of a split its first piece, of a shift any that was moved);
        for a decision that was sent before, as it stands now too. ``also_touched`` has the rest.

    Raises:
        Forbidden: partners and programs do not decide.
        NotFound: the assessment or building is not the organisation's.
        NotDone: the assessment has no buildings yet.
        IncompleteDecision: something is missing, or not of this kind.
        BadOutline: what was drawn cannot stand here; its subclasses say why.
        ChangedMeanwhile: a building is at another version; it comes with the error.
        BuildingReplaced: it was split or merged away.
        NothingToUndo: no decision is left to take back.
        OthersChanged: what would be taken back touched buildings that have changed since.
        ReturnOverlaps: another building stands by now where one would come back.
        DecisionIdUsed: the id belongs to another decision.
    """
    actor.must_be("analyst", "admin")
    user_id = actor.must_be_a_person()
    row = _reviewable(actor, assessment_id)
    act = Act(row, wanted, _checked(wanted, row), user_id)
    try:
        with transaction.atomic():
            # On a building it is asked under the lock: once is enough.
            if wanted.building is None and (earlier := _earlier(row, wanted)) is not None:
                return earlier
            if wanted.kind in ALONE_ON_THE_GROUND or not acts.stays_in_place(row, wanted):
                acts.one_at_a_time(row)
                if (earlier := _earlier(row, wanted)) is not None:  # came while this one waited
                    return earlier
            changes = ACTS.get(Kind(wanted.kind), acts.decide)(act)
            acts.write(act, changes)
            _announce(row, changes)
    except (IntegrityError, ChangedMeanwhile):  # the same decision may have arrived twice at once
        with transaction.atomic():
            earlier = _earlier(row, wanted)
        if earlier is None:
            raise
        return earlier
    building = _standing(changes).building
    log.info(
        "decision",
        extra={"building": str(building.uid), "kind": wanted.kind, "buildings": len(changes)},
    )
    return building


def also_touched(decision_id: UUID, answered: Building) -> list[Building]:
    """All other buildings that a decision changed or made, in the order of their uids."""
    touched = Building.objects.filter(decisions__batch=decision_id).exclude(pk=answered.pk)
    return list(touched.only("uid", "version").order_by("uid"))


def mark_reviewed(
    actor: Actor,
    assessment_id: UUID,
    outline: object,
    not_assessable: str = "",
    *,
    area_id: UUID | None = None,
) -> ReviewedArea:
    """Record that somebody has looked at everything inside an outline, or that nobody can.

    Sent again with its ``area_id``, it is the area that it made the first time.

    Args:
        actor: who says so.
        assessment_id: of which assessment.
        outline: GeoJSON Polygon.
        not_assessable: one of ReviewedArea.Because; "" where everything was looked at.
        area_id: chosen by the client, for an answer may be lost.

    Raises:
        Forbidden, NotFound, NotDone, BadOutline, DecisionIdUsed: as for a decision.
        IncompleteArea: there is no such reason.
    """
    actor.must_be("analyst", "admin")
    user_id = actor.must_be_a_person()
    row = _reviewable(actor, assessment_id)
    if not_assessable and not_assessable not in ReviewedArea.Because.values:
        raise IncompleteArea(not_assessable)
    polygon = outlines.reviewed_outline(outline, row.scene)
    kinds = ReviewedArea.Kind
    marked = ReviewedArea(
        pk=area_id or uuid4(),
        assessment=row,
        outline=outlines.stored(polygon),
        kind=kinds.NOT_ASSESSABLE if not_assessable else kinds.REVIEWED,
        because=not_assessable,
        user_id=user_id,
    )
    try:
        with transaction.atomic():
            marked.save(force_insert=True)
            _announce_area(marked)
    except IntegrityError:
        return _marked_before(marked)
    return marked


def _marked_before(marked: ReviewedArea) -> ReviewedArea:
    """The area that the same mark made when it was sent before."""
    earlier = ReviewedArea.objects.get(pk=marked.pk)
    same = ("assessment_id", "user_id", "kind", "because", "outline")
    if any(getattr(earlier, name) != getattr(marked, name) for name in same):
        raise DecisionIdUsed(str(marked.pk))
    return earlier


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
    return replay.history_of(building, building.decisions.order_by("number"))


def _reviewable(actor: Actor, assessment_id: UUID) -> Assessment:
    row = assessment_selectors.bare(actor, assessment_id)
    if row.state != Assessment.State.DONE:
        raise NotDone(f"assessment {row.pk} is {row.state}")
    return row


def _checked(wanted: DecisionRequest, row: Assessment) -> tuple[Polygon, ...]:
    """The outlines that came along, once the request is known to be whole."""
    if wanted.kind not in Kind.values or not _is_whole(wanted):
        raise IncompleteDecision(f"{wanted.kind} of {wanted.building}")
    if wanted.area is not None:
        return (outlines.reviewed_outline(wanted.area, row.scene),)
    drawn = wanted.outlines if wanted.outline is None else [wanted.outline]
    return tuple(outlines.building_outline(one, row.scene) for one in drawn)


def _is_whole(wanted: DecisionRequest) -> bool:
    """Whether a decision says all that its kind needs, and nothing else."""
    kind = wanted.kind
    return (
        (wanted.building is None) == (kind in NAMES_NO_BUILDING)
        and (wanted.grade is not None or kind not in NEEDS_GRADE)
        and (wanted.grade is None or kind in MAY_HAVE_GRADE)
        and (wanted.outline is not None) == (kind in NEEDS_OUTLINE)
        and (wanted.area is not None) == (kind == Kind.SHIFT)
        and (wanted.shift_m is not None) == (kind == Kind.SHIFT)
        and all(map(math.isfinite, wanted.shift_m or ()))
        and (wanted.because in NoGradeBecause.values) == (kind == Kind.UNSURE)
        and (wanted.because == "" or kind == Kind.UNSURE)
        and (kind not in NAMES_NO_BUILDING or wanted.on_version == 0)
        and _has_its_parts(wanted)
    )


def _has_its_parts(wanted: DecisionRequest) -> bool:
    """Whether a split has its pieces and a merge its other buildings, and nothing else has."""
    others = {one.building for one in wanted.others}
    if len(others) != len(wanted.others) or wanted.building in others:
        return False
    pieces_fit = 2 <= len(wanted.outlines) <= MOST_PIECES
    others_fit = 1 <= len(others) < MOST_PIECES
    return (pieces_fit if wanted.kind == Kind.SPLIT else not wanted.outlines) and (
        others_fit if wanted.kind == Kind.MERGE else not others
    )


def _earlier(row: Assessment, wanted: DecisionRequest) -> Building | None:
    """The building that stands by a decision that was sent before."""
    decision = Decision.objects.select_related("building").filter(pk=wanted.id).first()
    if decision is None:
        return None
    same_building = wanted.building in {None, decision.building.uid}
    if decision.assessment_id != row.pk or decision.kind != wanted.kind or not same_building:
        raise DecisionIdUsed(f"decision {wanted.id}")
    if decision.kind == Kind.SPLIT:
        return Building.objects.get(assessment=row, uid=decision.others[0])
    return decision.building


def _standing(changes: list[Change]) -> Change:
    """The one to answer with: the first that is not replaced, if there is one."""
    replaced = Building.Review.REPLACED
    return next((one for one in changes if one.state.review != replaced), changes[0])


def _announce(row: Assessment, changes: list[Change]) -> None:
    """Tell who follows: one piece of news for one act, however many buildings it touched."""
    main = _standing(changes)
    also = [one.building for one in changes if one is not main]
    news: dict[str, object] = {
        "building": str(main.building.uid),
        "version": main.building.version,
    }
    if also:
        named = also[:MOST_NAMED]
        news["also"] = [{"uid": str(one.uid), "version": one.version} for one in named]
        news["more"] = len(also) - len(named)
    events.publish(assessment_selectors.topic(row.pk), "decision", news)


def _announce_area(area: ReviewedArea) -> None:
    topic = assessment_selectors.topic(area.assessment_id)
    events.publish(topic, "reviewed_area", {"reviewed_area": str(area.pk)})
