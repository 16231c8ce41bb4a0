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
from unosat.scenes import fetches, selectors, services, uploads
from unosat.scenes.models import Event, Fetch, Scene

router = Router(tags=["scenes"])

MOST_ROWS = 10**9  # far more than there are; PostgreSQL takes no larger offset than 2**63

Kind = Literal["earthquake", "storm", "flood", "fire", "conflict", "explosion", "other"]
Phase = Literal["before", "after"]


class Pages(LimitOffsetPagination):
    """``limit`` rows after the first ``offset``."""

    class Input(Schema):
        """What to ask for; ``count`` of the answer says how many there are."""

        limit: int = Field(100, ge=1, le=1000)
        offset: int = Field(0, ge=0, le=MOST_ROWS)


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
    band_order: str = Field(
        "",
        description='such as "BGRN" (N: near infrared) or "5,3,2"; default: as the file says',
    )


class FetchIn(SceneForm):
    """A link to fetch an image from; what is said here goes before what a STAC item says."""

    url: str = Field(
        min_length=1, max_length=4096, description="https, of a GeoTIFF or of a STAC item"
    )
    asset: str = Field(
        "", max_length=200, description="key of the image in a STAC item that has several"
    )


class AgainIn(Schema):
    """How to go on with an import that failed."""

    asset: str = Field("", max_length=200, description="one of the import's ``assets``")


class FetchOut(Schema):
    """An import from a link. The link itself is not shown: it may be a secret.

    ``failure_code`` and ``failure_message`` are "" unless it failed; ``assets`` are the keys to
    choose from where a STAC item has several images and none was named.
    """

    id: UUID
    event: UUID = Field(alias="event_id")
    host: str
    filename: str
    asset: str
    assets: list[str]
    state: Literal["waiting", "fetching", "done", "failed", "cancelled"]
    failure_code: str
    failure_message: str
    received: int = Field(description="bytes")
    length: int | None = Field(description="bytes; null until the server has said it")
    scene: UUID | None = Field(alias="scene_id", description="the image that it became")
    created_at: datetime.datetime


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
@paginate(Pages)
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
@paginate(Pages)
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


@router.get("/fetches", response=list[FetchOut])
@paginate(Pages)
def list_fetches(request: HttpRequest, event: UUID | None = None) -> QuerySet[Fetch]:
    """The organisation's imports from links, newest first; of one event if given."""
    return selectors.fetches(actor_of(request), event_id=event)


@router.post("/fetches", response={202: FetchOut})
def fetch_scene(request: HttpRequest, asked: FetchIn) -> Status[Fetch]:
    """Import an image from a link (https) of a GeoTIFF or a STAC item; a worker fetches it."""
    said = {name: str(value) for name, value in asked.dict().items() if value}
    url, asset = said.pop("url"), said.pop("asset", "")
    return Status(202, fetches.begin(actor_of(request), url=url, asset=asset, metadata=said))


@router.get("/fetches/{uuid:fetch_id}", response=FetchOut)
def get_fetch(request: HttpRequest, fetch_id: UUID) -> Fetch:
    """One import: how far it is, which image it became, or why not."""
    return selectors.fetch(actor_of(request), fetch_id)


@router.post("/fetches/{uuid:fetch_id}/again", response={202: FetchOut})
def fetch_again(request: HttpRequest, fetch_id: UUID, how: AgainIn | None = None) -> Status[Fetch]:
    """Go on with an import that failed, from what has arrived."""
    asset = how.asset if how else ""
    return Status(202, fetches.again(actor_of(request), fetch_id, asset=asset))


@router.delete("/fetches/{uuid:fetch_id}", response={204: None})
def cancel_fetch(request: HttpRequest, fetch_id: UUID) -> Status[None]:
    """Give an import up; what arrived is removed."""
    fetches.cancel(actor_of(request), fetch_id)
    return Status(204, None)
