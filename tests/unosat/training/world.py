"""A small world to learn in: one organisation, and one synthetic scene that was assessed."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, cast
from uuid import NAMESPACE_OID, UUID, uuid4, uuid5

import numpy as np
from django.contrib.auth.models import User
from django.contrib.gis.geos import GEOSGeometry
from django.contrib.gis.geos import Polygon as StoredPolygon
from pyproj import Transformer
from shapely import Polygon, box, transform
from shapely.geometry import mapping, shape
from shapely.geometry.base import BaseGeometry

from detection import weights
from detection.pipeline import plan_scene
from detection.synthetic import USUAL_DAMAGE, SceneFile, TownScene, write_scene
from unosat.accounts.actors import Actor
from unosat.accounts.models import Membership, Organisation
from unosat.assessments.models import Assessment
from unosat.ops.store import store_path
from unosat.review.models import Building, Decision, Footprint, ReviewedArea
from unosat.scenes.models import Event, Scene
from unosat.training import registry
from unosat.training.models import ModelVersion

PIXEL_M = 0.46


@dataclass
class World:
    """What a test needs to act in.

    Attributes:
        admin: who may train.
        analyst: who may not.
        version: the active model.
        assessment: done, of ``scene``; its Buildings are the scene's truth, unreviewed.
        metres: size of the scene's side.
    """

    admin: Actor
    analyst: Actor
    version: ModelVersion
    assessment: Assessment
    metres: float

    def area(self, left: float, top: float, right: float, bottom: float) -> ReviewedArea:
        """Mark a rectangle as reviewed; metres from the scene's north-west corner."""
        outline = self.ground(box(left, top, right, bottom))
        return ReviewedArea.objects.create(
            pk=_next_id(ReviewedArea),
            assessment=self.assessment,
            outline=outline,
            user_id=self.admin.must_be_a_person(),
        )

    def ground(self, metres: Polygon) -> StoredPolygon:
        """A shape in metres from the north-west corner, as the database takes it."""
        x, y = SCENE_ORIGIN
        to_lonlat = Transformer.from_crs(SCENE_CRS, 4326, always_xy=True)
        moved = transform(
            metres,
            lambda p: np.column_stack(to_lonlat.transform(x + p[:, 0], y - p[:, 1])),
        )
        return stored(moved)

    def inside(self, area: ReviewedArea) -> list[Building]:
        """Buildings that touch an area."""
        found = Building.objects.filter(assessment=self.assessment)
        return list(found.filter(outline__intersects=area.outline).order_by("uid"))

    def decide(self, building: Building, grade: str, review: str = "regraded") -> Decision:
        """Record what the admin says of a building."""
        building.refresh_from_db()
        building.version += 1
        building.grade = grade
        building.review = review
        building.save()
        kinds = {"regraded": "regrade", "rejected": "reject", "accepted": "accept"}
        return Decision.objects.create(
            assessment=self.assessment,
            building=building,
            number=building.version,
            on_version=building.version - 1,
            kind=kinds[review],
            grade=grade,
            user_id=self.admin.must_be_a_person(),
        )


SCENE_CRS, SCENE_ORIGIN = 32631, (500_000.0, 100_000.0)


def stored(outline: BaseGeometry) -> StoredPolygon:
    """A shape in longitude and latitude, as the database takes it."""
    return cast("StoredPolygon", GEOSGeometry(json.dumps(mapping(outline)), srid=4326))


@dataclass(frozen=True)
class Drawn:
    """A synthetic scene on disk."""

    image: Path
    truth: list[dict[str, Any]]
    size_px: int


def draw_scene(
    folder: Path, *, seed: int, size_px: int, p_damage: Sequence[float] = USUAL_DAMAGE
) -> Drawn:
    """Write a synthetic scene."""
    image, truth = folder / "scene.tif", folder / "truth.geojson"
    scene, place = (
        TownScene(seed, PIXEL_M, p_damage),
        SceneFile(size_px, size_px, f"EPSG:{SCENE_CRS}"),
    )
    write_scene(image, truth, scene, place)
    return Drawn(image, json.loads(truth.read_text())["features"], size_px)


def build_world(model: Path, drawn: Drawn) -> World:
    """An organisation whose one scene was assessed; its Buildings are the truth."""
    organisation = Organisation.objects.create(name=f"Org {uuid4()}", slug=uuid4().hex)
    spec, key = registry.adopt(model)
    version = registry.describe(model, key, spec)
    version.active = True
    version.save()
    assessment = assess(organisation, version, drawn)
    return World(
        admin=member(organisation, "admin"),
        analyst=member(organisation, "analyst"),
        version=version,
        assessment=assessment,
        metres=drawn.size_px * PIXEL_M,
    )


def member(organisation: Organisation, role: str) -> Actor:
    """A user of an organisation, as an actor."""
    user = User.objects.create_user(f"{role}-{uuid4()}", password=uuid4().hex)
    Membership.objects.create(user=user, organisation=organisation, role=role)
    return Actor(organisation.pk, user.pk, None, role)  # type: ignore[arg-type]


def assess(organisation: Organisation, version: ModelVersion, drawn: Drawn) -> Assessment:
    """A scene in the store and an Assessment of it that found the truth."""
    event, _ = Event.objects.get_or_create(
        organisation=organisation, name="Synthetic storm", defaults={"date": date(2026, 1, 2)}
    )
    key = f"cogs/{uuid4()}.tif"
    store_path(key).parent.mkdir(parents=True, exist_ok=True)
    store_path(key).write_bytes(drawn.image.read_bytes())
    spec = registry.check_card(version)
    plan = plan_scene(store_path(key), spec, scene_sha256="0" * 64)
    scene = Scene.objects.create(
        organisation=organisation,
        event=event,
        name="after.tif",
        phase="after",
        state="ready",
        licence="CC0-1.0",
        sha256="0" * 64,
        cog_key=key,
        footprint=stored(box(3, 0.9, 3.1, 1)),
        acquired_at=datetime(2026, 1, 3, tzinfo=UTC),
        synthetic=True,
    )
    assessment = Assessment.objects.create(
        organisation=organisation,
        scene=scene,
        model_version=version,
        state="done",
        plan=plan.to_json(),
    )
    for feature in drawn.truth:
        add_building(assessment, feature)
    return assessment


def add_building(assessment: Assessment, feature: dict[str, Any]) -> Building:
    """What the model would have said, had it been right."""
    uid, outline = _next_id(Building), stored(shape(feature["geometry"]))
    grade = feature["properties"]["grade"]
    footprint = Footprint.objects.create(
        assessment=assessment,
        uid=uid,
        outline=outline,
        grade=grade,
        score=0.9,
        grade_score=0.8,
        probabilities={},
        area_m2=100,
    )
    return Building.objects.create(
        assessment=assessment,
        organisation=assessment.organisation,
        uid=uid,
        footprint=footprint,
        outline=outline,
        grade=grade,
        score=0.9,
        grade_score=0.8,
    )


def _next_id(model: type[Building | ReviewedArea]) -> UUID:
    """The same in every run: chips and buildings are put in order by such ids."""
    return uuid5(NAMESPACE_OID, f"{model.__name__} {model.objects.count()}")


def write_random_model(folder: Path, *, sees_before: bool = False) -> Path:
    """A model folder that has learned nothing, small enough to be fast."""
    import torch

    from detection.backends.rcnn import Architecture, DamageRCNN
    from detection.training.train import LICENCE, encode

    torch.manual_seed(1)
    architecture = Architecture(
        channels=16, fc=32, mask_channels=16, mask_layers=1, sees_before=sees_before
    )
    card = {
        "name": "random-pair" if sees_before else "random",
        "version": "1",
        "input_kind": "before_after" if sees_before else "after",
        "pixel_size_m": PIXEL_M,
        "tile_px": 1024,
        "operating_score": 0.5,
        "licence": LICENCE,
        "architecture": architecture.to_json(),
    }
    weights.write_model(folder, encode(DamageRCNN(architecture).state_dict()), card)
    return folder
