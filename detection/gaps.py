"""Ground that was asked for and that no tile looked at, as polygons with the reason."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry import Polygon, box, mapping
from shapely.geometry.base import BaseGeometry

from detection.footprints import cut_at_antimeridian
from detection.planning import ScenePlan, tiles_inside
from detection.raster import to_lonlat
from detection.results import TileCounts

Why = Literal["damaged", "nodata"]


@dataclass(frozen=True, slots=True)
class Gap:
    """Ground that was never looked at.

    Attributes:
        reason: the file is "damaged" there, or holds "nodata".
        outline: polygons in WGS 84, longitude first, inside the area that was asked for.
    """

    reason: Why
    outline: BaseGeometry

    def to_feature(self) -> dict[str, Any]:
        """As a GeoJSON feature (RFC 7946)."""
        return {
            "type": "Feature",
            "geometry": mapping(self.outline),
            "properties": {"reason": self.reason},
        }


def find_gaps(plan: ScenePlan, counts: TileCounts) -> list[Gap]:
    """What was asked for and not looked at: one value per reason, none where all was seen.

    Whole tiles, less what a neighbour that overlaps them did see. Nodata inside a tile that was
    read is not among them. Where known outlines were judged and nothing else was asked for, ground
    without outlines was not asked for.

    Args:
        plan: how the scene was looked at.
        counts: of all its tiles (``total_counts``).
    """
    damaged, empty = set(counts.damaged_tiles), set(counts.empty_tiles)
    seen = plan.work_indexes - damaged - empty
    if plan.outlines is None or plan.outlines.also_detect:
        area = shapely.from_wkt(plan.area) if plan.area else None
        empty |= set(tiles_inside(plan.layout, area)) - plan.work_indexes
    if not damaged and not empty:
        return []
    looked_at = _ground(plan, seen)
    broken = _ground(plan, damaged).difference(looked_at)
    blank = _ground(plan, empty).difference(looked_at.union(broken))
    pieces: list[tuple[Why, BaseGeometry]] = [("damaged", broken), ("nodata", blank)]
    found = [Gap(reason, _in_degrees(plan, pixels)) for reason, pixels in pieces]
    return [gap for gap in found if not gap.outline.is_empty]


def _ground(plan: ScenePlan, indexes: Iterable[int]) -> BaseGeometry:
    """The tiles together, in pixels of the model's grid."""
    tiles = [plan.layout.tile(index) for index in sorted(indexes)]
    boxes = [box(t.col_off, t.row_off, t.col_off + t.width, t.row_off + t.height) for t in tiles]
    return shapely.union_all(boxes)


def _in_degrees(plan: ScenePlan, pixels: BaseGeometry) -> BaseGeometry:
    """Polygons in pixels as polygons in degrees, inside the area that was asked for."""
    transformer = to_lonlat(plan.grid.crs)

    def place(corners: NDArray[np.float64]) -> NDArray[np.float64]:
        ground = plan.grid.to_ground(corners)
        return np.column_stack(transformer.transform(ground[:, 0], ground[:, 1]))

    # A straight line of pixels bends in degrees: a corner for every tile follows it.
    fine = shapely.segmentize(pixels, float(plan.layout.tile_px))
    parts = [p for p in shapely.get_parts(shapely.transform(fine, place)) if isinstance(p, Polygon)]
    cut = shapely.union_all([_cut(part) for part in parts])
    inside = cut.intersection(shapely.from_wkt(plan.area)) if plan.area else cut
    return shapely.orient_polygons(inside)


def _cut(part: Polygon) -> BaseGeometry:
    """Cut at the 180th meridian, and keep the holes."""
    holes = [cut_at_antimeridian(Polygon(ring)) for ring in part.interiors]
    return cut_at_antimeridian(Polygon(part.exterior)).difference(shapely.union_all(holes))
