"""Every change to events and scenes."""

import datetime
import logging
from functools import partial
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import shapely
from django.conf import settings
from django.contrib.gis.geos import GEOSGeometry, Polygon
from django.db import IntegrityError, transaction
from django.utils import timezone

from detection.areas import parse_area
from detection.errors import BadArea
from detection.raster import hash_file
from unosat.accounts.actors import Actor
from unosat.ops import jobs, leases, store
from unosat.ops.fulldisk import was_full
from unosat.ops.leases import Lease
from unosat.scenes import disk, quota, sandbox, selectors
from unosat.scenes.errors import EventNameTaken, StorageFull
from unosat.scenes.facts import SceneFacts
from unosat.scenes.models import KEEP, NOT_THE_FILES_FAULT, WGS84, Event, Scene, Upload
from unosat.scenes.requests import SceneRequest
from unosat.scenes.tiffcheck import check_tiff

log = logging.getLogger(__name__)

LEAST_ROOM_BYTES = 1024**2  # with less, whatever went wrong, the disk is full
State = Scene.State


def create_event(
    actor: Actor,
    *,
    name: str,
    kind: str,
    date: datetime.date,
    code: str = "",
    area: dict[str, Any] | None = None,
) -> Event:
    """Record a disaster.

    Args:
        actor: whose organisation it belongs to.
        name: unlike that of any other event of the organisation.
        kind: one of ``Event.Kind``.
        date: of the disaster.
        code: such as a GLIDE number.
        area: a GeoJSON Polygon in longitude and latitude, or None.

    Raises:
        EventNameTaken: there is one of that name.
        BadArea: the area is no polygon in degrees.
    """
    try:
        with transaction.atomic():
            return Event.objects.create(
                organisation_id=actor.organisation_id,
                name=name,
                kind=kind,
                date=date,
                code=code,
                area=None if area is None else _area(area),
            )
    except IntegrityError as error:
        raise EventNameTaken(name) from error


def event_for(actor: Actor, request: SceneRequest) -> Event:
    """The event that an image belongs to; made where only a new name is given.

    Raises:
        NotFound: no event of that id in the actor's organisation.
    """
    if request.event_id is not None:
        return selectors.event(actor, request.event_id)
    named = selectors.events(actor).filter(name=request.event_name)
    found = named.first()
    if found is not None:
        return found
    day = (request.acquired_at or timezone.now()).date()
    try:
        return create_event(actor, name=request.event_name, kind=Event.Kind.OTHER, date=day)
    except EventNameTaken:
        return named.get()


def become_scene(upload_id: UUID) -> Scene:
    """Turn an upload that has every byte into a Scene and queue its check; once, if asked twice.

    Raises:
        StoreAway: the file could not be handed to the workers; asking again goes on.
    """
    upload = Upload.objects.get(pk=upload_id)
    if upload.state != Upload.State.CONSUMED:
        store.hand_over(upload.path)  # the worker that checks it may be another machine
    with transaction.atomic():
        upload = Upload.objects.select_for_update().get(pk=upload_id)
        done = Scene.objects.filter(upload=upload).first()
        if done is not None:
            return done
        said = SceneRequest.read(upload.metadata, filename=upload.filename)
        scene = Scene.objects.create(
            organisation_id=upload.organisation_id,
            event=Event.objects.get(pk=upload.metadata["event"]),
            upload=upload,
            created_by_id=upload.created_by_id,
            api_key_id=upload.api_key_id,
            name=said.name,
            phase=said.phase,
            acquired_at=said.acquired_at,
            sensor=said.sensor,
            licence=said.licence,
            band_order=said.band_order,
            size_bytes=upload.length,
        )
        upload.state = Upload.State.CONSUMED
        upload.save(update_fields=["state"])
        jobs.enqueue("ingest", scene.pk, upload.organisation_id)
        transaction.on_commit(partial(store.remove_here, upload.path), robust=True)
    log.info("scene received", extra={"scene": str(scene.pk), "bytes": upload.length})
    return scene


def ingest(scene_id: UUID, lease: Lease) -> None:
    """Check one upload, make its clean COG and store what was found; nothing if overtaken.

    Raises:
        ImageRefused: the file cannot be taken.
        DetectionError: the engine could not use the image.
        StorageFull: the disk is.
    """
    scene = Scene.objects.select_related("upload").get(pk=scene_id)
    if scene.upload is None:
        raise RuntimeError("a scene to check has an upload")
    Scene.objects.filter(pk=scene_id, state=State.UPLOADED).update(state=State.CHECKING)
    key = f"cogs/{scene.pk}.tif"
    with store.local(scene.upload.path) as source:
        sha256 = hash_file(source)
        quota.reserve_scene(scene, check_tiff(source).decoded_bytes)
        facts = _convert(scene, source, key)
    with transaction.atomic():
        if leases.finish(lease):
            ready = Scene.objects.filter(pk=scene_id).update(
                state=State.READY, sha256=sha256, cog_key=key, **_columns(facts)
            )
            transaction.on_commit(partial(store.remove, scene.upload.path), robust=True)
            if not ready:  # deleted meanwhile: nobody else knows of the image that was made
                transaction.on_commit(partial(store.remove, key), robust=True)
                return
            log.info("scene ready", extra={"scene": str(scene_id), "pixel_m": facts.pixel_size_m})


def ingest_failed(scene_id: UUID, code: str, message: str) -> None:
    """Record why a scene is refused, and let its file go; part of failing its job.

    A file that is not to blame is kept for a while: ``check_again`` can be asked for.
    """
    scene = Scene.objects.select_related("upload").filter(pk=scene_id).first()
    if scene is None:
        return  # deleted since; an error here would keep its job from ever being given up
    Scene.objects.filter(pk=scene_id).exclude(state=State.READY).update(
        state=State.REFUSED, refusal_code=code, refusal_message=message
    )
    if scene.upload is None:
        return
    if Scene.objects.filter(NOT_THE_FILES_FAULT, pk=scene_id).exists():
        Upload.objects.filter(scene=scene_id).update(expires_at=timezone.now() + KEEP)
    else:
        transaction.on_commit(partial(store.remove, scene.upload.path), robust=True)


def check_again(scene_id: UUID) -> bool:
    """Queue the check of a scene whose file was kept; whether there is one."""
    with transaction.atomic():
        rows = Scene.objects.filter(NOT_THE_FILES_FAULT, pk=scene_id, upload__isnull=False)
        if not rows.update(state=State.UPLOADED, refusal_code="", refusal_message=""):
            return False
        scene = Scene.objects.get(pk=scene_id)
        jobs.enqueue_again("ingest", scene_id, scene.organisation_id)
    return True


def _convert(scene: Scene, source: Path, key: str) -> SceneFacts:
    try:
        with store.writing(key) as target:
            return sandbox.convert(source, target, scene.band_order)
    except (sandbox.ConverterFailed, OSError) as error:
        if was_full(error) or not disk.has_room(Path(settings.UNOSAT_STORE), LEAST_ROOM_BYTES):
            raise StorageFull(key) from error
        raise


def _columns(facts: SceneFacts) -> dict[str, Any]:
    return {
        "width": facts.width,
        "height": facts.height,
        "bands": facts.bands,
        "band_order": facts.band_order[:60],
        "dtype": facts.dtype,
        "epsg": facts.epsg,
        "pixel_size_m": facts.pixel_size_m,
        "footprint": Polygon(facts.outline, srid=WGS84),
        "stretch": {
            "bands": facts.shown_bands,
            "low": facts.shown_low,
            "high": facts.shown_high,
        },
        "warnings": facts.warnings,
    }


def _area(geojson: dict[str, Any]) -> Polygon:
    area = parse_area(geojson)
    if area.geom_type != "Polygon":
        raise BadArea("one polygon, please")
    return cast("Polygon", GEOSGeometry(memoryview(shapely.to_wkb(area)), srid=WGS84))
