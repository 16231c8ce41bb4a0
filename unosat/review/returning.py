"""What would come back to where it was: refused where other people's buildings stand by now.

An undo, or a second thought on a rejected building, draws nothing, and yet an outline stands again
that was out of sight. What overlapped before, such as a building that the model found twice, comes
back as it was: to reject and to take that back must never be a trap.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import shapely
from django.contrib.gis.geos import GEOSGeometry
from shapely.geometry import Polygon
from shapely.geometry.base import BaseGeometry

from unosat.assessments.models import Assessment
from unosat.review import guard, replay
from unosat.review.errors import ReturnOverlaps
from unosat.review.guard import Clash, Drawn
from unosat.review.models import Building, Decision
from unosat.review.replay import State
from unosat.scenes.models import WGS84


@dataclass(frozen=True, slots=True)
class Return:
    """One building that stands again, or stands elsewhere again.

    Attributes:
        building: as it is now.
        state: as it would be.
    """

    building: Building
    state: State


def stands(review: str) -> bool:
    """Whether a building in this state of review is on the ground."""
    return review not in Building.HIDDEN


def check(row: Assessment, coming: Sequence[Return], since: datetime, *, undo: bool) -> None:
    """Refuse what would come to lie over buildings that were added or changed since.

    Args:
        row: whose buildings.
        coming: all that one act brings back; between each other they are as they were.
        since: when what is taken back was done.
        undo: whether it is an undo, for the sentence.

    Raises:
        ReturnOverlaps: one of them would lie over another building, and did not do so then.
    """
    drawn = [_drawn(one) for one in coming if _moves(one)]
    if not drawn:
        return
    near = _changed_since(row, drawn, since, [one.building.pk for one in coming])
    clashes = guard.overlaps(drawn, [guard.shape_of(building.outline) for building in near])
    then = _outlines_at(since, [near[clash.theirs] for clash in clashes])
    new = [clash for clash in clashes if _is_new(clash, drawn, then.get(near[clash.theirs].pk))]
    if new:
        others = {near[clash.theirs].pk: near[clash.theirs] for clash in new}
        last = max(others.values(), key=lambda building: building.updated_at)
        who = last.updated_by.get_username() if last.updated_by else ""
        raise ReturnOverlaps(max(clash.share for clash in new), len(others), who, undo=undo)


def hidden_since(building: Building, decisions: Sequence[Decision]) -> datetime | None:
    """When a building that is out of sight went; None if it never stood.

    Args:
        building: with its footprint.
        decisions: all on it, oldest first.
    """
    since = None
    history = replay.history_of(building, ())
    for decision in decisions:
        stood = bool(history) and stands(history[-1].review)
        history = replay.apply(history, replay.step_of(decision))
        if stood and not stands(history[-1].review):
            since = decision.made_at
    return since


def _moves(one: Return) -> bool:
    """Whether it stands afterwards, and does not stand there now."""
    now = one.building
    here = stands(now.review) and bytes(now.outline.wkb) == one.state.outline
    return stands(one.state.review) and not here


def _drawn(one: Return) -> Drawn:
    now = one.building
    before = guard.shape_of(now.outline) if stands(now.review) else None
    return Drawn(_shape(one.state.outline), before)


def _changed_since(
    row: Assessment, drawn: Sequence[Drawn], since: datetime, own: Iterable[int]
) -> list[Building]:
    """Standing buildings near by; those that nobody has touched since were there with it before."""
    reach = shapely.box(*shapely.total_bounds([one.outline for one in drawn]))
    near = Building.objects.select_related("footprint", "updated_by").filter(
        assessment=row,
        outline__bboverlaps=GEOSGeometry(memoryview(reach.wkb), srid=WGS84),
        updated_at__gte=since,
        version__gt=0,
    )
    return list(near.exclude(review__in=Building.HIDDEN).exclude(pk__in=own).order_by("pk"))


def _outlines_at(moment: datetime, buildings: Sequence[Building]) -> dict[int, Polygon]:
    """Where each of these stood then, by primary key; without those that did not."""
    by_key = {building.pk: building for building in buildings}
    made: dict[int, list[Decision]] = {pk: [] for pk in by_key}
    earlier = Decision.objects.filter(building__in=by_key, made_at__lt=moment)
    for decision in earlier.order_by("number"):
        made[decision.building_id].append(decision)
    found = {}
    for pk, building in by_key.items():
        history = replay.history_of(building, made[pk])
        if history and stands(history[-1].review):
            found[pk] = _shape(history[-1].outline)
    return found


def _is_new(clash: Clash, drawn: Sequence[Drawn], then: Polygon | None) -> bool:
    """Whether the two lie over one another more than they did then."""
    if then is None:
        return True
    return clash.common > guard.WORSE * guard.common(drawn[clash.mine].outline, then)


def _shape(outline: bytes) -> Polygon:
    shape: BaseGeometry = shapely.from_wkb(outline)
    if not isinstance(shape, Polygon):
        raise TypeError(f"{shape.geom_type} is no outline")
    return shape
