"""The xBD layout: ``images/SCENE_{pre,post}_disaster.tif``, ``labels/SCENE_...json``."""

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import shapely
from shapely import Polygon
from shapely.errors import ShapelyError

from detection.errors import BadLabels
from detection.grades import Grade
from detection.labels.images import read_image
from detection.training.chips import UNKNOWN_GRADE, Chip, ChipSource, LazyChip, burn, grade_code

When = Literal["pre", "post"]
Manifest = Mapping[str, Mapping[str, str]]

USUAL_PIXEL_SIZE_M = (
    0.46  # of xBD; its own "gsd" is the sensor's multispectral one, four times that
)
IMAGE_ENDINGS = (".tif", ".png", ".jpg")
SUBTYPES = {
    "no-damage": Grade.NO_DAMAGE,
    "minor-damage": Grade.MINOR_DAMAGE,
    "major-damage": Grade.MAJOR_DAMAGE,
    "destroyed": Grade.DESTROYED,
    "un-classified": Grade.UNCLASSIFIED,
}


def read_xbd(folder: Path, *, when: When = "post", split: str | None = None) -> list[ChipSource]:
    """List the scenes of a folder in the xBD layout; each is read when it is asked for.

    Clusters and pixel sizes come from ``manifest.csv`` in the folder or beside it; without one
    each scene is a cluster of its own. Buildings of images taken before the disaster have the
    grade "no_damage".

    Args:
        folder: holds ``images`` and ``labels``.
        when: images before ("pre") or after ("post") the disaster.
        split: only scenes that the manifest puts in this split.

    Raises:
        BadLabels: no labelled image there.
    """
    manifest = _read_manifest(folder)
    found: list[ChipSource] = []
    for label in sorted((folder / "labels").glob(f"*_{when}_disaster.json")):
        scene = label.name.removesuffix(f"_{when}_disaster.json")
        row = manifest.get(scene, {})
        if split is not None and row.get("split") != split:
            continue
        image = _image_of(folder / "images", label.stem)
        read = partial(_load, image, label, row)
        found.append(LazyChip(label.stem, event_of(scene), row.get("cluster", scene), read))
    if not found:
        raise BadLabels(f"no {when}-disaster label with its image in {folder.name}")
    return found


def with_before(folder: Path, scenes: Sequence[ChipSource]) -> list[ChipSource]:
    """The same scenes, as pairs: the image before in the first three bands.

    Args:
        folder: that ``read_xbd`` or ``read_masks`` read them from, after the disaster.
        scenes: what it returned. The two images of a scene lie on one grid.

    Raises:
        BadLabels: a scene has no image from before, or one of another size.
    """
    return [
        LazyChip(s.name, s.event, s.cluster, partial(_paired, folder / "images", s)) for s in scenes
    ]


def _paired(images: Path, scene: ChipSource) -> Chip:
    chip = scene.load()
    path = _image_of(images, chip.name.replace("_post_disaster", "_pre_disaster"))
    before = read_image(path)
    if before.pixels.shape != chip.image.shape:
        raise BadLabels(f"{path.name}: not on the grid of {chip.name}")
    shown = np.where(before.valid, before.pixels, 0)
    return replace(chip, image=np.concatenate([shown, chip.image]))


def event_of(scene: str) -> str:
    """The disaster in a scene name: "guatemala-volcano_00000178" -> "guatemala-volcano"."""
    return scene.split("_", maxsplit=1)[0]


def image_of(source_folder: Path, name: str) -> Path:
    """The image file of a scene named as ``read_xbd`` names it."""
    return _image_of(source_folder / "images", name)


def read_outlines(label: Path) -> list[tuple[Polygon, Grade | None]]:
    """Read the outlines of one label file.

    Returns:
        Valid polygons in image pixels (column, row), with their grade; None where the label names
        no grade, as before a disaster.

    Raises:
        BadLabels: the file is not an xBD label.
    """
    try:
        features = json.loads(label.read_text())["features"]["xy"]
        return [pair for feature in features for pair in _outlines(feature)]
    except (KeyError, TypeError, ValueError, ShapelyError) as error:
        raise BadLabels(f"{label.name}: {error}") from error


def _outlines(feature: Mapping[str, Any]) -> Iterator[tuple[Polygon, Grade | None]]:
    subtype = feature["properties"].get("subtype")
    grade = None if subtype is None else SUBTYPES[subtype]
    for polygon in polygons_of(shapely.from_wkt(feature["wkt"])):
        yield polygon, grade


def polygons_of(geometry: shapely.Geometry) -> list[Polygon]:
    """The valid polygons that a drawn geometry amounts to; crossed rings are mended."""
    mended = geometry if shapely.is_valid(geometry) else shapely.make_valid(geometry)
    return [part for part in shapely.get_parts(mended) if isinstance(part, Polygon) and part.area]


def _load(image_path: Path, label: Path, row: Mapping[str, str]) -> Chip:
    image = read_image(image_path)
    _, height, width = image.pixels.shape
    before = label.stem.endswith("_pre_disaster")
    outlines = [(polygon, _code(grade, before=before)) for polygon, grade in read_outlines(label)]
    instances, grades, ignore = burn(outlines, height=height, width=width)
    black = ~image.valid | (image.pixels.max(axis=0) == 0)
    scene = label.stem.rsplit("_", 2)[0]
    return Chip(
        image=image.pixels,
        instances=instances,
        grades=grades,
        ignore=ignore | (black & (instances == 0)),
        name=label.stem,
        event=event_of(scene),
        cluster=row.get("cluster", scene),
        pixel_size_m=float(row.get("gsd") or image.pixel_size_m or USUAL_PIXEL_SIZE_M),
    )


def _code(grade: Grade | None, *, before: bool) -> int:
    if grade is not None:
        return grade_code(grade)
    return grade_code(Grade.NO_DAMAGE) if before else UNKNOWN_GRADE


def _image_of(folder: Path, stem: str) -> Path:
    for ending in IMAGE_ENDINGS:
        if (path := folder / f"{stem}{ending}").exists():
            return path
    raise BadLabels(f"no image for the label {stem}")


def _read_manifest(folder: Path) -> dict[str, dict[str, str]]:
    for place in (folder / "manifest.csv", folder.parent / "manifest.csv"):
        if place.exists():
            with place.open(newline="") as file:
                return {row["scene"]: row for row in csv.DictReader(file)}
    return {}
