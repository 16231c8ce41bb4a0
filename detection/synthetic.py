"""Scenes with known truth: towns with roads, trees and damaged buildings, any size, any seed."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.errors import CRSError, RasterioError
from rasterio.warp import transform as warp_points
from rasterio.windows import Window
from shapely import Polygon, box, get_parts
from shapely.affinity import affine_transform
from shapely.geometry.polygon import orient

from detection.errors import BadOutput
from detection.grades import MODEL_GRADES
from detection.synthesis.layout import Town
from detection.synthesis.paint import Light, develop, paint_town
from detection.training.chips import Chip, burn

USUAL_DAMAGE = (0.55, 0.15, 0.12, 0.18)
TILE_PX = 1024
PAD_PX = 4  # blur reaches two pixels
DECIMALS = 8  # of degrees: a millimetre

Outline = tuple[Polygon, int]


@dataclass(frozen=True, slots=True)
class TownScene:
    """One made-up scene. Any window of it can be rendered alone, and the windows fit together.

    Attributes:
        seed: any integer from 0; another seed is another town, disaster, light and sensor.
        pixel_size_m: ground size of a pixel, in metres.
        p_damage: how often each of ``MODEL_GRADES`` occurs; need not add up to 1.
    """

    seed: int
    pixel_size_m: float = 0.5
    p_damage: Sequence[float] = USUAL_DAMAGE

    def render(
        self, col_off: int, row_off: int, width: int, height: int
    ) -> tuple[NDArray[np.uint8], list[Outline]]:
        """Render a window.

        Args:
            col_off: left edge, in pixels of the scene, which has no end in any direction.
            row_off: top edge.
            width: columns.
            height: rows.

        Returns:
            The image, shape (3, height, width), and the outlines of the buildings that touch it,
            in pixels of the scene (not of the window), with the index of their grade in
            ``MODEL_GRADES``. A building is described alike by all windows that see it.
        """
        size_m = self.pixel_size_m
        town, light = Town.found(self.seed, self.p_damage), Light.of(self.seed)
        corner = (col_off - PAD_PX, row_off - PAD_PX)
        size = (width + 2 * PAD_PX, height + 2 * PAD_PX)
        picture, outlines = paint_town(
            town, light, (corner[0] * size_m, corner[1] * size_m), size, size_m
        )
        pixels = develop(picture, self.seed, corner, size_m)
        image = pixels[:, PAD_PX : PAD_PX + height, PAD_PX : PAD_PX + width]
        window = box(col_off, row_off, col_off + width, row_off + height)
        in_pixels = [(affine_transform(o, _scaling(size_m)), grade) for o, grade in outlines]
        seen = [(o, grade) for o, grade in in_pixels if o.intersects(window)]
        return np.ascontiguousarray(image), seen


def render_chip(
    seed: int,
    size_px: int = 384,
    pixel_size_m: float = 0.5,
    p_damage: Sequence[float] = USUAL_DAMAGE,
) -> Chip:
    """Render one square training chip with a town of its own.

    Args:
        seed: any integer from 0.
        size_px: side of the chip, in pixels.
        pixel_size_m: ground size of a pixel, in metres.
        p_damage: how often each of ``MODEL_GRADES`` occurs.
    """
    scene = TownScene(seed, pixel_size_m, p_damage)
    image, outlines = scene.render(0, 0, size_px, size_px)
    instances, grades, ignore = burn(outlines, height=size_px, width=size_px)
    name = f"synthetic-{seed}"
    return Chip(image, instances, grades, ignore, name, "synthetic", name, pixel_size_m)


@dataclass(frozen=True, slots=True)
class SceneFile:
    """Where a synthetic scene lies on the ground, and how large it is.

    Attributes:
        width: columns, in pixels.
        height: rows, in pixels.
        crs: a CRS in metres.
        origin: x and y of the top-left corner, in ``crs``.
    """

    width: int
    height: int
    crs: str = "EPSG:32631"
    origin: tuple[float, float] = (500_000.0, 100_000.0)


def write_scene(
    image_path: Path,
    truth_path: Path,
    scene: TownScene,
    place: SceneFile,
    on_progress: Callable[[int, int], None] | None = None,
) -> int:
    """Write a scene as a tiled GeoTIFF and its truth as GeoJSON, one tile in memory at a time.

    Buildings that the scene's edge cuts are cut in the truth.

    Args:
        image_path: where the GeoTIFF goes.
        truth_path: where the GeoJSON goes; the property is ``grade``.
        scene: what to render.
        place: size and position.
        on_progress: told the tiles done and the tiles in all.

    Returns:
        The number of buildings.

    Raises:
        BadOutput: a file cannot be written there.
    """
    transform = Affine.translation(*place.origin) * Affine.scale(
        scene.pixel_size_m, -scene.pixel_size_m
    )
    profile = {
        "driver": "GTiff",
        "count": 3,
        "dtype": "uint8",
        "crs": place.crs,
        "transform": transform,
        "width": place.width,
        "height": place.height,
        "photometric": "RGB",
        "tiled": True,
        "compress": "deflate",
        "predictor": 2,
        "bigtiff": "if_safer",
    }
    try:
        with rasterio.open(image_path, "w", **profile) as dataset, truth_path.open("w") as truth:
            dataset.update_tags(SYNTHETIC="yes", SEED=str(scene.seed))
            truth.write('{"type": "FeatureCollection", "synthetic": true, "features": [')
            count = 0
            for features in _write_tiles(dataset, scene, on_progress):
                for feature in features:
                    truth.write(("\n" if count == 0 else ",\n") + json.dumps(feature))
                    count += 1
            truth.write("\n]}\n")
            return count
    except (RasterioError, CRSError, OSError) as error:
        raise BadOutput(f"{image_path.name}: {error}") from error


def _write_tiles(
    dataset: rasterio.io.DatasetWriter,
    scene: TownScene,
    on_progress: Callable[[int, int], None] | None,
) -> Iterator[list[dict[str, Any]]]:
    """Write the pixels tile by tile; give each tile's buildings as GeoJSON features."""
    width, height = dataset.width, dataset.height
    starts = [(c, r) for r in range(0, height, TILE_PX) for c in range(0, width, TILE_PX)]
    for done, (col, row) in enumerate(starts, start=1):
        cols, rows = min(TILE_PX, width - col), min(TILE_PX, height - row)
        image, outlines = scene.render(col, row, cols, rows)
        dataset.write(image, window=Window(col, row, cols, rows))
        cut = [(_cut(outline, width, height), grade) for outline, grade in outlines]
        owned = [(o, grade) for o, grade in cut if _belongs(o, col, row, cols, rows)]
        yield [_feature(o, grade, dataset.transform, dataset.crs) for o, grade in owned]
        if on_progress:
            on_progress(done, len(starts))


def _cut(outline: Polygon, width: int, height: int) -> Polygon:
    """What of an outline lies in the scene; the largest piece where there are several."""
    parts = [p for p in get_parts(outline.intersection(box(0, 0, width, height))) if p.area > 0]
    pieces = [p for p in parts if isinstance(p, Polygon)]
    return max(pieces, key=lambda piece: piece.area, default=Polygon())


def _belongs(outline: Polygon, col: int, row: int, cols: int, rows: int) -> bool:
    """Whether this tile is the one, of those that see a building, that reports it."""
    if outline.is_empty:
        return False
    point = outline.representative_point()
    return col <= point.x < col + cols and row <= point.y < row + rows


def _feature(outline: Polygon, grade: int, transform: Affine, crs: CRS) -> dict[str, Any]:
    cols, rows = np.asarray(orient(outline, sign=-1.0).exterior.coords).T
    x, y = transform * (cols, rows)  # rows grow downwards, so the ring turns round here
    longitude, latitude = warp_points(crs, "EPSG:4326", x, y)
    ring = [
        [round(a, DECIMALS), round(b, DECIMALS)] for a, b in zip(longitude, latitude, strict=True)
    ]
    return {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": {"grade": MODEL_GRADES[grade].value},
    }


def _scaling(pixel_size_m: float) -> list[float]:
    """Metres of the ground to pixels of the scene, as shapely takes it."""
    return [1 / pixel_size_m, 0, 0, 1 / pixel_size_m, 0, 0]
