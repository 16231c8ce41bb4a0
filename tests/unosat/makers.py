"""Organisations, people, scenes and models for tests, made in a line each."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from uuid import uuid4

import numpy as np
import rasterio
from affine import Affine
from django.contrib.auth.models import User
from django.contrib.gis.geos import Polygon
from django.utils import timezone
from numpy.typing import NDArray

from detection import weights
from detection.detector import BoxGrades, ModelSpec, TileDetections
from detection.synthetic import TownScene
from unosat.accounts.actors import Actor, RoleName, actor_for_user
from unosat.accounts.models import Membership, Organisation
from unosat.assessments import tasks
from unosat.assessments.models import Assessment
from unosat.ops.store import store_path
from unosat.review.models import GRADES, Building, Footprint
from unosat.scenes.models import Event, Scene
from unosat.training.models import ModelVersion

_numbers = itertools.count(1)
WEST, NORTH = 33.3, 35.2  # of the made scenes, in degrees
STEP = 5e-6  # degrees per pixel, some half a metre
SIDE = 1024
HOUSES = len(range(20, SIDE - 40, 80)) ** 2  # in a made scene
SCORE = 0.9  # of everything found


def make_organisation() -> Organisation:
    number = next(_numbers)
    return Organisation.objects.create(name=f"Organisation {number}", slug=f"org-{number}")


def make_user(organisation: Organisation, role: RoleName = "analyst") -> User:
    user = User.objects.create_user(f"user-{next(_numbers)}", password="correct horse")  # noqa: S106
    Membership.objects.create(user=user, organisation=organisation, role=role)
    return user


def make_actor(organisation: Organisation, role: RoleName = "analyst") -> Actor:
    return actor_for_user(make_user(organisation, role))


def make_scene(
    organisation: Organisation,
    pixels: NDArray[np.uint8] | None = None,
    *,
    event: Event | None = None,
    west: float = WEST,
    **facts: object,
) -> Scene:
    """A ready after-scene, of an event of its own, whose clean GeoTIFF lies in the store."""
    if pixels is None:
        pixels = scene_with_houses()
    key = f"cogs/{uuid4()}.tif"
    write_geotiff(store_path(key), pixels, west)
    bands, height, width = pixels.shape
    event = event or Event.objects.create(
        organisation=organisation,
        name=f"Storm {next(_numbers)}",
        kind="storm",
        date=date(2025, 1, 2),
    )
    box = (west, NORTH - height * STEP, west + width * STEP, NORTH)
    facts = {
        "name": "after.tif",
        "phase": "after",
        "state": "ready",
        "sha256": "0" * 64,
        "cog_key": key,
        "footprint": Polygon.from_bbox(box),
        "width": width,
        "height": height,
        "bands": bands,
    } | facts
    return Scene.objects.create(organisation=organisation, event=event, **facts)


def make_pair(
    organisation: Organisation, before: NDArray[np.uint8] | None = None
) -> tuple[Scene, Scene]:
    """Ready scenes of one town, before and after; the first is a duller image unless given."""
    after = make_scene(organisation, town())
    earlier = make_scene(
        organisation,
        town() // 2 + 1 if before is None else before,
        event=after.event,
        name="before.tif",
        phase="before",
        sha256="1" * 64,
    )
    return earlier, after


def town(right_px: int = 0, down_px: int = 0) -> NDArray[np.uint8]:
    """512 pixels square of a made-up town; all in it lies so far right and down of its place."""
    image, _ = TownScene(3, 0.5).render(-right_px, -down_px, 512, 512)
    return np.maximum(image, 1)


def write_geotiff(path: Path, pixels: NDArray[np.uint8], west: float = WEST) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    bands, height, width = pixels.shape
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        width=width,
        height=height,
        count=bands,
        dtype="uint8",
        crs="EPSG:4326",
        transform=Affine(STEP, 0, west, 0, -STEP, NORTH),
        tiled=True,
        blockxsize=128,
        blockysize=128,
        photometric="rgb",
    ) as dataset:
        dataset.write(pixels)


def scene_with_houses() -> NDArray[np.uint8]:
    """Bright roofs of 24 px on dark ground with some texture, in every tile."""
    noise = np.random.default_rng(7).integers(20, 60, (3, SIDE, SIDE), dtype=np.uint8)
    for top in range(20, SIDE - 40, 80):
        for left in range(20, SIDE - 40, 80):
            noise[:, top : top + 24, left : left + 24] = 230
    return noise


def make_model(**facts: object) -> ModelVersion:
    """The active model of its kind: a card and a few bytes, for ``BrightIsDestroyed``."""
    blob = f"no weights {next(_numbers)}".encode()
    folder = f"models/{uuid4()}"
    facts = {"active": True, "input_kind": "after"} | facts
    card = {
        "name": "bright",
        "version": str(next(_numbers)),
        "input_kind": facts["input_kind"],
        "pixel_size_m": 0.5,
        "tile_px": 256,
        "operating_score": 0.5,
        "licence": "CC0-1.0",
    }
    store_path(folder).mkdir(parents=True)
    weights.write_model(store_path(folder), blob, card)
    spec = weights.read_spec(store_path(folder))
    return ModelVersion.objects.create(
        name=spec.name, version=spec.version, sha256=spec.sha256, folder=folder, **facts
    )


@dataclass(frozen=True)
class BrightIsDestroyed:
    """Calls each bright square of the grid of ``scene_with_houses`` a destroyed building."""

    spec: ModelSpec
    batch_size: int = 1

    def predict(self, images: NDArray[np.uint8], *, min_score: float) -> list[TileDetections]:
        assert min_score <= SCORE
        return [self._look(image) for image in images]

    def grade(
        self, images: NDArray[np.uint8], boxes: Sequence[NDArray[np.float32]]
    ) -> list[BoxGrades]:
        assert len(images) == len(boxes)
        destroyed = np.array([0.1, 0.1, 0.1, 0.7], np.float32)
        return [
            BoxGrades(np.full(len(one), SCORE, np.float32), np.tile(destroyed, (len(one), 1)))
            for one in boxes
        ]

    def _look(self, image: NDArray[np.uint8]) -> TileDetections:
        from scipy import ndimage

        labels, count = ndimage.label(image[0] > 128)
        found = [part for part in ndimage.find_objects(labels) if part is not None][:count]
        boxes = [[c.start, r.start, c.stop, r.stop] for r, c in found]
        return TileDetections(
            boxes=np.array(boxes, np.float32).reshape(-1, 4),
            masks=tuple(np.ones((28, 28), np.float32) for _ in found),
            scores=np.full(len(found), SCORE, np.float32),
            probabilities=np.tile(np.array([0.1, 0.1, 0.1, 0.7], np.float32), (len(found), 1)),
        )


def bright(version: ModelVersion) -> BrightIsDestroyed:
    """In the place of ``detectors.detector_of``: workers whose model needs no torch."""
    return BrightIsDestroyed(weights.read_spec(store_path(version.folder)))


def finish(row: Assessment) -> Assessment:
    """Do every task of an assessment in this process, one after another."""
    tasks.plan(str(row.pk))
    for _ in range(row.shards.count()):
        tasks.detect()
    tasks.merge(str(row.pk))
    row.refresh_from_db()
    return row


def make_done_assessment(organisation: Organisation, houses: int = 3) -> Assessment:
    """An assessment that is done, with houses of 20 m in a row."""
    scene = make_scene(organisation)
    version = ModelVersion.objects.filter(active=True).first() or make_model()
    row = Assessment.objects.create(
        organisation=organisation,
        scene=scene,
        model_version=version,
        name="Test",
        state="done",
        options={"min_score": 0.5, "operating_score": 0.5},
        metadata={"note": "preliminary", "model": {"name": version.name}},
        finished_at=timezone.now(),
    )
    for number in range(houses):
        make_building(row, number)
    return row


def make_building(row: Assessment, number: int = 0) -> Building:
    west, north = WEST + (20 + number * 80) * STEP, NORTH - 20 * STEP
    outline = Polygon.from_bbox((west, north - 40 * STEP, west + 40 * STEP, north))
    outline.srid = 4326
    footprint = Footprint.objects.create(
        assessment=row,
        uid=uuid4(),
        outline=outline,
        grade="destroyed",
        score=0.9,
        grade_score=0.7,
        probabilities=dict.fromkeys(GRADES[:3], 0.1) | {"destroyed": 0.7},
        area_m2=400.0,
    )
    return Building.objects.create(
        assessment=row,
        organisation=row.organisation,
        uid=footprint.uid,
        footprint=footprint,
        outline=outline,
        grade=footprint.grade,
        score=footprint.score,
        grade_score=footprint.grade_score,
    )


def ring(west: float, south: float, east: float, north: float) -> dict[str, object]:
    """A GeoJSON rectangle."""
    corners = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    return {"type": "Polygon", "coordinates": [corners]}


def house_outline(number: int = 0, shift_px: float = 0) -> dict[str, object]:
    """Where ``make_building`` puts its house, shifted east by some pixels."""
    west, north = WEST + (20 + number * 80 + shift_px) * STEP, NORTH - 20 * STEP
    return ring(west, north - 40 * STEP, west + 40 * STEP, north)
