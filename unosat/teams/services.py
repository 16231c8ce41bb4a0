"""Every change of a review area. Work itself is in the buildings: no change here can lose any.

A claim is a lease by the database's clock. When its holder falls silent it stays theirs, shown as
such, until somebody takes it over; whatever was decided inside stands.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, cast
from uuid import UUID

import numpy as np
import shapely
from django.contrib.gis.db.models import Extent
from django.contrib.gis.geos import Polygon as StoredPolygon
from django.db import IntegrityError, transaction
from django.db.models import Max, Q, QuerySet
from django.db.models.functions import Now
from shapely.geometry import Polygon, box

from unosat.accounts.actors import Actor
from unosat.assessments import selectors as assessment_selectors
from unosat.assessments.models import Assessment
from unosat.ops import events
from unosat.review import outlines
from unosat.review.errors import NotDone
from unosat.review.models import Building
from unosat.teams import selectors, splitting
from unosat.teams.errors import (
    AreaFinished,
    AreaKept,
    AreasInTheWay,
    AreasInUse,
    AreasOverlap,
    AreaTaken,
    CannotSplit,
    HoldsAnother,
    NotAMember,
    NotHeld,
)
from unosat.teams.models import TeamArea
from unosat.teams.splitting import Box, Cell, Points

log = logging.getLogger(__name__)

State = TeamArea.State
LEASE = timedelta(minutes=30)  # of silence, after which anybody may go on: longer than a meal
MOST_AREAS = 400  # more are no help on a map; an area then has 500 of 200,000 buildings
OVERLAP_DEGREES2 = 1e-12  # some 0.01 square metres: rounding, where two areas touch


@dataclass(frozen=True, slots=True)
class Split:
    """How to cut an assessment: columns and rows, or about so many buildings in each area."""

    columns: int = 0
    rows: int = 0
    buildings: int = 0


def split(actor: Actor, assessment_id: UUID, wanted: Split) -> list[TeamArea]:
    """Cut an assessment into areas; parts with neither image nor buildings get none.

    Raises:
        Forbidden: partners and programs do not.
        NotFound: the assessment is not the organisation's.
        NotDone: it has no buildings yet.
        AreasInTheWay: it is split already.
        CannotSplit: none, or more than ``MOST_AREAS``.
    """
    row = _assessment(actor, assessment_id)
    with transaction.atomic():
        _one_at_a_time(row)
        if TeamArea.objects.filter(assessment=row).exists():
            raise AreasInTheWay(f"assessment {row.pk}")
        cells = _cells(row, wanted)
        if not 1 <= len(cells) <= MOST_AREAS:
            raise CannotSplit(MOST_AREAS)
        made = TeamArea.objects.bulk_create(
            TeamArea(
                assessment=row,
                number=number,
                label=cell.label,
                outline=_rectangle(cell.box),
                rectangular=True,
            )
            for number, cell in enumerate(cells, 1)
        )
        _announce(row.pk)
    return made


def add_area(actor: Actor, assessment_id: UUID, outline: object, name: str = "") -> TeamArea:
    """Add an area that somebody drew; cut to the image.

    Raises:
        Forbidden, NotFound, NotDone: as for ``split``.
        BadOutline: it is not one valid ring, lies beside the image or is too small.
        AreasOverlap: part of it is in another area.
        CannotSplit: there are ``MOST_AREAS`` already.
    """
    row = _assessment(actor, assessment_id)
    polygon = outlines.reviewed_outline(outline, row.scene)
    with transaction.atomic():
        _one_at_a_time(row)
        others = TeamArea.objects.filter(assessment=row)
        _must_lie_beside(polygon, others.filter(outline__bboverlaps=outlines.stored(polygon)))
        number = (others.aggregate(last=Max("number"))["last"] or 0) + 1
        if number > MOST_AREAS:
            raise CannotSplit(MOST_AREAS)
        made = TeamArea.objects.create(
            assessment=row,
            number=number,
            label=name.strip() or f"Drawn {number}",
            outline=outlines.stored(polygon),
            rectangular=False,
        )
        _announce(row.pk)
    return made


def remove_areas(actor: Actor, assessment_id: UUID) -> None:
    """Remove every area of an assessment; decisions stay.

    Raises:
        Forbidden: only admins do.
        NotFound: the assessment is not the organisation's.
        AreasInUse: somebody works in one.
    """
    actor.must_be("admin")
    row = _assessment(actor, assessment_id)
    _remove(row.pk, TeamArea.objects.filter(assessment=row))


def remove_area(actor: Actor, area_id: UUID) -> None:
    """Remove one area; decisions stay.

    Raises:
        Forbidden: only admins do.
        NotFound: it is not the organisation's.
        AreasInUse: somebody works in it.
    """
    actor.must_be("admin")
    area = selectors.area(actor, area_id)
    _remove(area.assessment_id, TeamArea.objects.filter(pk=area.pk))


def claim(actor: Actor, area_id: UUID) -> TeamArea:
    """Take an area to work on it: one that is free, or whose holder has long been silent.

    Raises:
        Forbidden, NotFound: as for ``split``.
        AreaTaken: somebody else has it; the message says who.
        AreaKept: it is assigned to somebody else.
        AreaFinished: there is nothing left to do in it.
        HoldsAnother: one person works on one area at a time.
    """
    user_id = selectors.must_review(actor)
    area = selectors.area(actor, area_id)
    free = Q(state=State.FREE) & (Q(assigned_to=None) | Q(assigned_to=user_id))
    silent = Q(state=State.CLAIMED) & (Q(lease_until__lt=Now()) | Q(held_by=user_id))
    try:
        with transaction.atomic():
            won = TeamArea.objects.filter(free | silent, pk=area.pk).update(
                state=State.CLAIMED,
                held_by=user_id,
                held_since=Now(),
                finished_at=None,
                **_renewed(),
            )
            _announce(area.assessment_id)
    except IntegrityError as error:
        held = TeamArea.objects.filter(
            assessment=area.assessment_id, state=State.CLAIMED, held_by=user_id
        ).first()
        raise HoldsAnother(held.label if held else area.label) from error
    now = selectors.area(actor, area_id)
    if not won:
        raise _why_not(now)
    log.info("area claimed", extra={"area": str(area.pk)})
    return now


def renew(actor: Actor, area_id: UUID) -> TeamArea:
    """Say that its holder is at work.

    Raises:
        Forbidden, NotFound: as for ``split``.
        AreaTaken: somebody has taken it over.
        NotHeld: nobody holds it any more.
    """
    return _by_holder(actor, area_id, **_renewed())


def finish(actor: Actor, area_id: UUID) -> TeamArea:
    """Say that everything in it was reviewed; that is the holder's word, and not checked.

    Raises:
        Forbidden, NotFound, AreaTaken, NotHeld: as for ``renew``.
    """
    return _by_holder(actor, area_id, state=State.FINISHED, lease_until=None, finished_at=Now())


def release(actor: Actor, area_id: UUID) -> TeamArea:
    """Give an area back, or open a finished one again; admins may do so for others.

    Raises:
        Forbidden, NotFound, AreaTaken, NotHeld: as for ``renew``.
    """
    user_id = selectors.must_review(actor)
    area = selectors.area(actor, area_id)
    rows = TeamArea.objects.filter(pk=area.pk).exclude(state=State.FREE)
    if actor.role != "admin":
        rows = rows.filter(held_by=user_id)
    with transaction.atomic():
        changed = rows.update(
            state=State.FREE, held_by=None, held_since=None, lease_until=None, finished_at=None
        )
        _announce(area.assessment_id)
    now = selectors.area(actor, area_id)
    if not changed:
        raise _why_not(now)
    return now


def assign(actor: Actor, area_id: UUID, member_id: int | None) -> TeamArea:
    """Keep a free area for one person, or for nobody (None).

    Raises:
        Forbidden: only admins do.
        NotFound: it is not the organisation's.
        NotAMember: the person is no analyst or admin of the organisation.
        AreaTaken, AreaFinished: it is not free.
    """
    actor.must_be("admin")
    actor.must_be_a_person()
    area = selectors.area(actor, area_id)
    if member_id is not None and not selectors.reviewers(actor).filter(pk=member_id).exists():
        raise NotAMember(f"user {member_id}")
    with transaction.atomic():
        rows = TeamArea.objects.filter(pk=area.pk, state=State.FREE)
        changed = rows.update(assigned_to=member_id)
        _announce(area.assessment_id)
    now = selectors.area(actor, area_id)
    if not changed:
        raise _why_not(now)
    return now


def _by_holder(actor: Actor, area_id: UUID, **facts: Any) -> TeamArea:  # noqa: ANN401 (columns)
    user_id = selectors.must_review(actor)
    area = selectors.area(actor, area_id)
    with transaction.atomic():
        rows = TeamArea.objects.filter(pk=area.pk, state=State.CLAIMED, held_by=user_id)
        changed = rows.update(**facts)
        if "state" in facts:
            _announce(area.assessment_id)
    now = selectors.area(actor, area_id)
    if not changed:
        raise _why_not(now)
    return now


def _why_not(area: TeamArea) -> Exception:
    """Why somebody else's wish for this area failed."""
    holder = area.held_by.get_username() if area.held_by else "Somebody who has left"
    if area.state == State.CLAIMED:
        return AreaTaken(area.label, holder)
    if area.state == State.FINISHED:
        return AreaFinished(area.label, holder)
    if area.assigned_to:
        return AreaKept(area.label, area.assigned_to.get_username())
    return NotHeld(f"area {area.pk}")


def _remove(assessment_id: UUID, rows: QuerySet[TeamArea]) -> None:
    with transaction.atomic():
        rows = rows.select_for_update(of=("self",)).select_related("held_by")
        used = rows.filter(state=State.CLAIMED, lease_until__gte=Now()).first()
        if used is not None:
            raise AreasInUse(used.label, used.held_by.get_username() if used.held_by else "Someone")
        TeamArea.objects.filter(pk__in=[area.pk for area in rows]).delete()
        _announce(assessment_id)


def _assessment(actor: Actor, assessment_id: UUID) -> Assessment:
    selectors.must_review(actor)
    row = assessment_selectors.assessment(actor, assessment_id)
    if row.state != Assessment.State.DONE:
        raise NotDone(f"assessment {row.pk} is {row.state}")
    return row


def _one_at_a_time(row: Assessment) -> None:
    """Two people who split, or draw, at the same moment do so one after the other."""
    Assessment.objects.select_for_update(of=("self",)).only("pk").get(pk=row.pk)


def _cells(row: Assessment, wanted: Split) -> list[Cell]:
    points = selectors.points_of(row.pk)
    around = _around(row)
    if wanted.buildings > 0:
        if len(points) > wanted.buildings * MOST_AREAS:
            raise CannotSplit(MOST_AREAS)
        return splitting.evenly(points, around, at_most=wanted.buildings)
    if min(wanted.columns, wanted.rows) < 1 or wanted.columns * wanted.rows > MOST_AREAS:
        raise CannotSplit(MOST_AREAS)
    image = _image(row)
    cells = splitting.grid(around, columns=wanted.columns, rows=wanted.rows)
    return [c for c in cells if _has_any(points, c.box) or box(*c.box).intersection(image).area > 0]


def _around(row: Assessment) -> Box:
    """The box round image and buildings: a roof may lean over the image's edge."""
    found = Building.objects.filter(assessment=row).aggregate(box=Extent("outline"))["box"]
    boxes = np.array([b for b in (found, _image(row).bounds) if b])
    low, high = boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])


def _image(row: Assessment) -> Polygon:
    if row.scene.footprint is None:  # of a ready scene it never is
        raise NotDone(f"scene {row.scene_id} has no footprint")
    return cast("Polygon", shapely.from_wkb(bytes(row.scene.footprint.wkb)))


def _has_any(points: Points, cell: Box) -> bool:
    west, south, east, north = cell
    xs, ys = points[:, 0], points[:, 1]
    return bool(((xs >= west) & (xs <= east) & (ys >= south) & (ys <= north)).any())


def _rectangle(cell: Box) -> StoredPolygon:
    return outlines.from_wkb(box(*cell).wkb)


def _must_lie_beside(polygon: Polygon, others: Sequence[TeamArea] | QuerySet[TeamArea]) -> None:
    for other in others:
        theirs = shapely.from_wkb(bytes(other.outline.wkb))
        if polygon.intersection(theirs).area > OVERLAP_DEGREES2:
            raise AreasOverlap(other.label)


def _renewed() -> dict[str, Any]:
    return {"heard_at": Now(), "lease_until": Now() + LEASE}


def _announce(assessment_id: UUID) -> None:
    events.publish(assessment_selectors.topic(assessment_id), "team", {})
