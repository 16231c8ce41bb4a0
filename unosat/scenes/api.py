"""HTTP for events and scenes: parse, call, answer."""

import datetime
from typing import Any, Literal
from uuid import UUID

from django.db.models import QuerySet
from django.http import HttpRequest
from ninja import File, Form, Router, Schema, Status
from ninja.files import UploadedFile
from ninja.pagination import LimitOffsetPagination, paginate
from pydantic import Field

from unosat.accounts.actors import actor_of
from unosat.scenes import selectors, services, uploads
from unosat.scenes.models import Event, Scene

router = Router(tags=["scenes"])

Kind = Literal["earthquake", "storm", "flood", "fire", "conflict", "explosion", "other"]
Phase = Literal["before", "after"]


class EventIn(Schema):
    """A new event; ``area`` is a GeoJSON Polygon, longitude first."""

    name: str = Field(min_length=1, max_length=120)
    kind: Kind = "other"
    date: datetime.date
    code: str = Field("", max_length=40)
    area: dict[str, Any] | None = None


class EventOut(Schema):
    """A disaster."""

    id: UUID
    name: str
    kind: Kind
    date: datetime.date
    code: str
    scene_count: int = 0
    created_at: datetime.datetime


class SceneForm(Schema):
    """What is said of an image: its event (by id, or by name, then made if new) and its phase."""

    phase: Phase
    event: UUID | None = None
    event_name: str = ""
    name: str = ""
    acquired_at: str = Field("", description="a date or a moment in ISO 8601; UTC without a zone")
    sensor: str = ""
    licence: str = ""
    band_order: str = Field("", description='such as "BGRN" or "5,3,2"; default: as the file says')


class SceneOut(Schema):
    """An image; ``refusal_code`` and ``refusal_message`` are "" unless it was refused."""

    id: UUID
    name: str
    event: UUID = Field(alias="event_id")
    phase: Phase
    acquired_at: datetime.datetime | None
    sensor: str
    licence: str
    synthetic: bool
    state: Literal["uploaded", "checking", "ready", "refused"]
    refusal_code: str
    refusal_message: str
    sha256: str
    size_bytes: int
    width: int
    height: int
    bands: int
    band_order: str
    dtype: str
    epsg: int | None
    pixel_size_m: float | None
    bounds: list[float] | None
    warnings: list[str]
    created_at: datetime.datetime

    @staticmethod
    def resolve_bounds(scene: Scene) -> list[float] | None:
        """West, south, east, north, in degrees."""
        return list(scene.footprint.extent) if scene.footprint else None


@router.get("/events", response=list[EventOut])
@paginate(LimitOffsetPagination)
def list_events(request: HttpRequest) -> QuerySet[Event]:
    """The organisation's events, newest disaster first."""
    return selectors.events(actor_of(request))


@router.post("/events", response={201: EventOut})
def create_event(request: HttpRequest, event: EventIn) -> Status[Event]:
    """Record a disaster."""
    return Status(201, services.create_event(actor_of(request), **event.dict()))


@router.get("/events/{uuid:event_id}", response=EventOut)
def get_event(request: HttpRequest, event_id: UUID) -> Event:
    """One event."""
    return selectors.event(actor_of(request), event_id)


@router.get("/scenes", response=list[SceneOut])
@paginate(LimitOffsetPagination)
def list_scenes(request: HttpRequest, event: UUID | None = None) -> QuerySet[Scene]:
    """The organisation's images, newest first; of one event if given."""
    return selectors.scenes(actor_of(request), event_id=event)


@router.post("/scenes", response={202: SceneOut})
def send_scene(
    request: HttpRequest, facts: Form[SceneForm], file: File[UploadedFile]
) -> Status[Scene]:
    """Send a small image in one request; for large ones use resumable uploads (tus)."""
    said = {name: str(value) for name, value in facts.dict().items() if value}
    return Status(202, uploads.receive_file(actor_of(request), file, said))


@router.get("/scenes/{uuid:scene_id}", response=SceneOut)
def get_scene(request: HttpRequest, scene_id: UUID) -> Scene:
    """One image: whether it was taken, or why not."""
    return selectors.scene(actor_of(request), scene_id)
