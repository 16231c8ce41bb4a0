"""Freeze what people decided into an immutable folder of chips, addressed by its content."""

import hashlib
import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
from django.contrib.gis.geos import GEOSGeometry
from django.db import transaction
from django.utils import timezone
from shapely import box
from shapely.affinity import translate
from shapely.geometry.base import BaseGeometry

from detection.detector import ModelSpec
from detection.georef import GeoTile
from detection.grades import Grade
from detection.pipeline import ScenePlan
from detection.raster import Scene, open_scene
from detection.training.chips import IGNORED_GRADE, Chip, StoredChip, burn, grade_code
from unosat.ops import store
from unosat.review.models import Building, ReviewedArea
from unosat.training.clusters import Cluster
from unosat.training.errors import NothingToLearn
from unosat.training.models import Dataset
from unosat.training.plots import (
    Plot,
    clusters_of,
    decided_in,
    flat,
    plan_of,
    plots_of,
    reviewed_areas,
    to_pixels,
    windows_of,
)

log = logging.getLogger(__name__)
FORMAT = 1
MANIFEST = "manifest.json"
TRAIN, TEST = "train", "test"
INSIDE_SHARE = 0.5  # a building counts where at least half of it was looked at

Outline = tuple[BaseGeometry, int]


@dataclass(frozen=True, slots=True)
class Side:
    """The chips of one side of a Dataset."""

    train: list[StoredChip]
    test: list[StoredChip]


def freeze(
    organisation_id: UUID, spec: ModelSpec, on_chip: Callable[[], None] | None = None
) -> Dataset:
    """Turn an organisation's reviewed areas into a Dataset; equal content is the same Dataset.

    Inside a reviewed area, buildings stand as they are now and the rest is background. All else
    is ignored: what lies outside, what has no pixels, what cannot be judged or assessed, and
    buildings of which more than half lies outside. Of a pair, the image after is what is learned
    from.

    Args:
        organisation_id: whose areas.
        spec: of the model that will learn; decides the pixel size.
        on_chip: called after each chip; may raise.

    Raises:
        NothingToLearn: no decision lies in an area that may teach.
        DetectionError: an image cannot be read.
    """
    areas, clusters = _settle(organisation_id)
    teaching = [p.id for c in clusters if not c.kept_aside for p in c.places]
    decisions = decided_in(organisation_id, teaching).count()
    if not decisions:
        raise NothingToLearn(f"organisation {organisation_id}")
    with store.scratch() as folder:
        draft = folder / "dataset"
        draft.mkdir()
        chips = []
        for chip, facts in _cut(plots_of(areas, clusters), spec):
            chips.append(facts | _write(chip, draft / f"{chip.name}.npz"))
            if on_chip:
                on_chip()
        if not any(chip["side"] == TRAIN for chip in chips):
            raise NothingToLearn(f"organisation {organisation_id}: no pixels")
        manifest = _manifest(spec, clusters, chips, decisions)
        return _store(organisation_id, draft, manifest)


def chips_of(dataset: Dataset, folder: Path) -> Side:
    """The frozen chips, as training takes them, in ``folder``: the Dataset's own, on this disk."""
    found: dict[str, list[StoredChip]] = {TRAIN: [], TEST: []}
    for chip in dataset.manifest["chips"]:
        stored = StoredChip(folder / chip["file"], chip["event"], chip["cluster"])
        found[chip["side"]].append(stored)
    return Side(found[TRAIN], found[TEST])


@transaction.atomic
def _settle(organisation_id: UUID) -> tuple[list[ReviewedArea], list[Cluster]]:
    """Decide, once and for ever, which of the areas are kept aside."""
    areas = list(reviewed_areas(organisation_id).select_for_update(of=("self",)))
    clusters = clusters_of(organisation_id, areas)
    kept = {place.id: cluster.kept_aside for cluster in clusters for place in cluster.places}
    for area in areas:
        if area.kept_aside is None:
            area.kept_aside = kept[area.pk]
            area.save(update_fields=["kept_aside"])
    return areas, clusters


def _cut(plots: list[Plot], spec: ModelSpec) -> Iterator[tuple[Chip, dict[str, Any]]]:
    """Chips with what the manifest says of each."""
    for plot in plots:
        plan = plan_of(plot.assessment, spec)
        buildings = list(_buildings(plot, plan))
        path = store.raster(plot.assessment.scene.cog_key)
        with store.reading(), open_scene(path, plan.options.bands) as scene:
            for tile, inside in windows_of(plot, plan):
                chip = _chip(plot, plan, tile, inside, buildings)
                chip = _with_pixels(chip, scene, plan, tile)
                if not chip.ignore.all():
                    yield chip, _facts(chip, plot)


def _buildings(plot: Plot, plan: ScenePlan) -> Iterator[Outline]:
    """Buildings that touch a plot, in grid pixels, each with its value for ``Chip.grades``."""
    region = to_pixels(plot.region, plan.grid)
    rows = Building.objects.filter(
        assessment=plot.assessment,
        outline__intersects=GEOSGeometry(memoryview(plot.region.wkb), srid=4326),
    ).exclude(review__in=Building.HIDDEN)
    for row in rows.order_by("uid"):
        outline = to_pixels(flat(row.outline), plan.grid)
        seen = outline.area > 0 and region.intersection(outline).area >= INSIDE_SHARE * outline.area
        yield outline, _code(row, plan) if seen else IGNORED_GRADE


def _code(row: Building, plan: ScenePlan) -> int:
    """The grade that stands; a faint guess of the model that nobody looked at is no example.

    Nor is what a person could not judge: it has no grade, and is neither building nor background.
    """
    unseen = row.review == Building.Review.UNREVIEWED
    if unseen and row.score is not None and row.score < plan.model.operating_score:
        return IGNORED_GRADE
    return grade_code(Grade(row.grade))


def _chip(
    plot: Plot, plan: ScenePlan, tile: GeoTile, inside: BaseGeometry, buildings: list[Outline]
) -> Chip:
    """A chip's labels, its pixels still black."""
    size = {"height": tile.height, "width": tile.width}
    frame = box(0, 0, tile.width, tile.height)
    moved = [(translate(o, -tile.col_off, -tile.row_off), code) for o, code in buildings]
    polygons = [(part, c) for o, c in moved if o.intersects(frame) for part in _parts(o)]
    instances, grades, ignore = burn(polygons, **size)  # type: ignore[arg-type]
    reviewed, _, _ = burn([(part, 0) for part in _parts(inside)], **size)  # type: ignore[misc]
    counts = np.concatenate([[False], grades != IGNORED_GRADE])[instances]
    scene = plot.assessment.scene
    return Chip(
        image=np.zeros((3, tile.height, tile.width), np.uint8),
        instances=instances,
        grades=grades,
        ignore=ignore | ((reviewed == 0) & ~counts),
        name=f"{plot.assessment.pk.hex}-{plot.cluster.key}-{tile.col_off}-{tile.row_off}",
        event=scene.event.name,
        cluster=plot.cluster.key,
        pixel_size_m=float(np.mean(plan.pixel_size_m)) * plan.scene.width / plan.grid.width,
    )


def _parts(outline: BaseGeometry) -> list[BaseGeometry]:
    """The polygons of a geometry; lines and points that a repair left are nothing."""
    parts = getattr(outline, "geoms", [outline])
    return [part for part in parts if part.geom_type == "Polygon" and not part.is_empty]


def _with_pixels(chip: Chip, scene: Scene, plan: ScenePlan, tile: GeoTile) -> Chip:
    """Just what the model would be shown there."""
    window = plan.native_window(tile)
    pixels, valid = scene.read(window, width=tile.width, height=tile.height)
    return replace(chip, image=plan.stretch.apply(pixels, valid), ignore=chip.ignore | ~valid)


def _facts(chip: Chip, plot: Plot) -> dict[str, Any]:
    scene = plot.assessment.scene
    counted = chip.grades[chip.grades != IGNORED_GRADE]
    return {
        "name": chip.name,
        "file": f"{chip.name}.npz",
        "side": TEST if plot.cluster.kept_aside else TRAIN,
        "cluster": chip.cluster,
        "event": chip.event,
        "assessment": str(plot.assessment.pk),
        "model": str(plot.assessment.model_version),
        "scene": str(scene.pk),
        "scene_sha256": scene.sha256,
        "licence": scene.licence,
        "buildings": len(counted),
        "damaged": int((counted > 0).sum()),
    }


def _write(chip: Chip, path: Path) -> dict[str, Any]:
    chip.save(path)
    return {"sha256": hashlib.sha256(path.read_bytes()).hexdigest()}


def _manifest(
    spec: ModelSpec, clusters: list[Cluster], chips: list[dict[str, Any]], decisions: int
) -> dict[str, Any]:
    """What the Dataset is made of; its hash is the Dataset's name."""
    places = [place for cluster in clusters for place in cluster.places]
    # What was decided of a place before stands, though its cluster has grown since.
    aside = {
        p.id: c.kept_aside if p.kept_aside is None else p.kept_aside
        for c in clusters
        for p in c.places
    }
    return {
        "format": FORMAT,
        "pixel_size_m": spec.pixel_size_m,
        "decisions": decisions,
        "licences": sorted({chip["licence"] for chip in chips if chip["licence"]}),
        "clusters": [{"key": c.key, "kept_aside": c.kept_aside} for c in clusters],
        "places": sorted(
            (
                {"id": str(p.id), "outline": p.outline.wkt, "kept_aside": aside[p.id]}
                for p in places
            ),
            key=lambda place: str(place["id"]),
        ),
        "chips": sorted(chips, key=lambda chip: str(chip["name"])),
    }


def _store(organisation_id: UUID, draft: Path, manifest: dict[str, Any]) -> Dataset:
    text = json.dumps(manifest, sort_keys=True, ensure_ascii=False)
    digest = hashlib.sha256(text.encode()).hexdigest()
    (draft / MANIFEST).write_text(text, encoding="utf-8")
    key = f"datasets/{digest}"
    store.put_folder(draft, key, last=MANIFEST)
    sides = [chip["side"] for chip in manifest["chips"]]
    dataset, new = Dataset.objects.get_or_create(
        organisation_id=organisation_id,
        content_hash=digest,
        defaults={
            "manifest": manifest,
            "folder": key,
            "chips_train": sides.count(TRAIN),
            "chips_test": sides.count(TEST),
            "frozen_at": timezone.now(),
        },
    )
    if new:
        log.info("dataset frozen", extra={"dataset": digest, "chips": len(sides)})
    return dataset
