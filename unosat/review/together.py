"""HTTP for those who review together: who is here, and what was decided meanwhile.

On the same router as api.py: decisions are listed at the address that they are sent to.
"""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from django.http import HttpRequest
from ninja import Query, Schema, Status
from pydantic import Field

from unosat.accounts.actors import actor_of
from unosat.review import following, presence
from unosat.review.api import router
from unosat.review.following import Since
from unosat.review.presence import Whereabouts

__all__ = ["router"]

Longitude = Annotated[float, Field(ge=-180, le=360)]
Latitude = Annotated[float, Field(ge=-90, le=90)]


class PlaceIn(Schema):
    """Where a person looks: what is in the middle, the view's bounds, and the picked building."""

    centre: tuple[Longitude, Latitude]
    bounds: tuple[Longitude, Latitude, Longitude, Latitude]
    building: UUID | None = None


class PlaceOut(Schema):
    """Where somebody else looks just now."""

    user_id: int
    user: str
    centre: tuple[float, float]
    bounds: tuple[float, float, float, float]
    building: UUID | None


class HereOut(Schema):
    """Who else is here; ``latest`` is when the newest decision was made, null if there is none."""

    here: list[PlaceOut]
    latest: datetime | None


class MadeOut(Schema):
    """That a decision was made; ``number`` is the building's version after it."""

    id: UUID
    building: UUID
    number: int
    kind: str
    user: str
    made_at: datetime


class SinceOut(Schema):
    """Decisions in their order; ``next`` is null on the last page, ``seen`` is for another day."""

    decisions: list[MadeOut]
    next: str | None
    seen: str


class SinceQuery(Schema):
    """``after`` is ``next`` or ``seen`` of an earlier answer; left out, only ``seen`` is told."""

    after: Annotated[str, Field(max_length=80)] = ""
    limit: Annotated[int, Field(ge=1, le=1000)] = 500


@router.post("/assessments/{uuid:assessment_id}/presence", response=HereOut)
def come(request: HttpRequest, assessment_id: UUID, place: PlaceIn) -> dict[str, Any]:
    """Say where one looks; it is forgotten after 15 seconds unless said again."""
    actor = actor_of(request)
    whereabouts = Whereabouts(
        user_id=actor.must_be_a_person(),
        user=request.user.get_username(),
        centre=place.centre,
        bounds=place.bounds,
        building=str(place.building) if place.building else None,
    )
    here = presence.come(actor, assessment_id, whereabouts)
    return {"here": here, "latest": following.latest(actor, assessment_id)}


@router.delete("/assessments/{uuid:assessment_id}/presence", response={204: None})
def leave(request: HttpRequest, assessment_id: UUID) -> Status[None]:
    """Say that one is gone."""
    presence.leave(actor_of(request), assessment_id)
    return Status(204, None)


@router.get("/assessments/{uuid:assessment_id}/decisions", response=SinceOut)
def list_decisions(
    request: HttpRequest, assessment_id: UUID, query: Query[SinceQuery]
) -> dict[str, Any]:
    """What was decided since: whoever missed news of the event stream catches up with it.

    The first look at an answer may show decisions that were in the one before: know them by id.
    """
    since = following.decisions_since(actor_of(request), assessment_id, query.after, query.limit)
    return _told(since)


def _told(since: Since) -> dict[str, Any]:
    rows = [
        {
            "id": one.pk,
            "building": one.building.uid,
            "number": one.number,
            "kind": one.kind,
            "user": one.user.get_username(),
            "made_at": one.made_at,
        }
        for one in since.decisions
    ]
    return {"decisions": rows, "next": since.next, "seen": since.seen}
