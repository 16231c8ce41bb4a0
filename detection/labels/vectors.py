"""Outlines over GeoTIFFs: ``NAME.tif`` with ``NAME.geojson`` or ``NAME_truth.geojson``."""

from functools import partial
from pathlib import Path

import numpy as np
import pyogrio
import shapely
from numpy.typing import NDArray
from pyogrio.errors import DataSourceError
from rasterio.crs import CRS
from rasterio.errors import CRSError
from rasterio.warp import transform as warp_points
from shapely import Polygon

from detection.errors import BadLabels
from detection.grades import Grade
from detection.labels.images import LabelledImage, read_image
from detection.labels.xbd import SUBTYPES, polygons_of
from detection.training.chips import UNKNOWN_GRADE, Chip, ChipSource, LazyChip, burn, grade_code

GRADE_FIELDS = ("grade", "damage", "subtype")
SAME_IOU = 0.6
OUTLINE_ENDINGS = (".geojson", "_truth.geojson", ".gpkg")


def read_outlined(folder: Path, *, pixel_size_m: float) -> list[ChipSource]:
    """List the GeoTIFFs of a folder that have outlines beside them.

    Args:
        folder: its name becomes the event; each image is a cluster of its own.
        pixel_size_m: ground size to which images are resampled, in metres.

    Raises:
        BadLabels: no image with outlines there.
    """
    found: list[ChipSource] = []
    for image in sorted(folder.glob("*.tif")):
        outlines = _outlines_of(image)
        if outlines is not None:
            read = partial(
                chip_from_outlines, image, outlines, pixel_size_m=pixel_size_m, event=folder.name
            )
            found.append(LazyChip(image.stem, folder.name, image.stem, read))
    if not found:
        raise BadLabels(f"no GeoTIFF with outlines beside it in {folder.name}")
    return found


def chip_from_outlines(
    image_path: Path, outlines_path: Path, *, pixel_size_m: float, event: str
) -> Chip:
    """Read one GeoTIFF and the buildings drawn over it.

    The grade is taken from a field "grade" (our words) or "damage" or "subtype" (xBD's words);
    without one, grades are unknown.

    Raises:
        BadLabels: the outlines cannot be read, or none lies on the image.
    """
    image = read_image(image_path, pixel_size_m=pixel_size_m)
    outlines = read_outlines(outlines_path, image)
    _, height, width = image.pixels.shape
    instances, grades, ignore = burn(outlines, height=height, width=width)
    if outlines and not len(grades):
        raise BadLabels(f"{outlines_path.name}: no outline lies on {image_path.name}")
    return Chip(
        image=image.pixels,
        instances=instances,
        grades=grades,
        ignore=ignore | ~image.valid,
        name=image_path.stem,
        event=event,
        cluster=image_path.stem,
        pixel_size_m=pixel_size_m,
    )


def read_outlines(path: Path, image: LabelledImage) -> list[tuple[Polygon, int]]:
    """Read outlines as pixels of an image.

    Returns:
        Valid polygons in pixels (column, row), each with a value for ``Chip.grades``.

    Raises:
        BadLabels: the file is unreadable, has no CRS, or names a grade that is none of ours.
    """
    try:
        meta, _, geometries, columns = pyogrio.raw.read(path)
        crs = CRS.from_user_input(meta["crs"])
    except (DataSourceError, CRSError, ValueError) as error:
        raise BadLabels(f"{path.name}: {error}") from error
    fields = dict(zip((str(name) for name in meta["fields"]), columns, strict=True))
    named = next((fields[name] for name in GRADE_FIELDS if name in fields), None)
    codes = [UNKNOWN_GRADE] * len(geometries)
    if named is not None:
        codes = [_code(value, path.name) for value in named]
    shapes = shapely.from_wkb(geometries)
    return _once(
        [
            (polygon, code)
            for geometry, code in zip(shapes, codes, strict=True)
            if geometry is not None
            for polygon in polygons_of(_to_pixels(geometry, crs, image))
        ]
    )


def _once(outlines: list[tuple[Polygon, int]]) -> list[tuple[Polygon, int]]:
    """Leave out a building that was drawn before: volunteers' maps hold some roofs twice."""
    tree = shapely.STRtree([outline for outline, _ in outlines])
    kept: list[tuple[Polygon, int]] = []
    dropped: set[int] = set()
    for index, (outline, code) in enumerate(outlines):
        if index in dropped:
            continue
        kept.append((outline, code))
        near = (int(other) for other in tree.query(outline, predicate="intersects"))
        dropped |= {n for n in near if n > index and _iou(outline, outlines[n][0]) > SAME_IOU}
    return kept


def _iou(a: Polygon, b: Polygon) -> float:
    shared = float(a.intersection(b).area)
    return shared / max(a.area + b.area - shared, 1e-12)


def _to_pixels(geometry: shapely.Geometry, crs: CRS, image: LabelledImage) -> shapely.Geometry:
    if image.crs is None:
        raise BadLabels("outlines need an image with a map position")
    target, inverse = image.crs, ~image.transform

    def move(points: NDArray[np.float64]) -> NDArray[np.float64]:
        x, y = warp_points(crs, target, points[:, 0], points[:, 1])
        cols, rows = inverse * (np.asarray(x), np.asarray(y))
        return np.column_stack([cols, rows])

    return shapely.transform(geometry, move)


def _code(value: object, where: str) -> int:
    if value is None or value == "":
        return UNKNOWN_GRADE
    word = str(value)
    try:
        return grade_code(SUBTYPES.get(word) or Grade(word))
    except ValueError as error:
        raise BadLabels(f"{where}: {word!r} is not a grade") from error


def _outlines_of(image: Path) -> Path | None:
    stem = image.stem.removesuffix("_post_disaster").removesuffix("_post")
    names = [f"{base}{ending}" for base in (image.stem, stem) for ending in OUTLINE_ENDINGS]
    return next((image.with_name(name) for name in names if image.with_name(name).exists()), None)
