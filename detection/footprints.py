"""Masks to outlines, and what the world is told of one building."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import IntFlag
from typing import Any
from uuid import UUID

import numpy as np
import shapely
from contourpy import contour_generator
from numpy.typing import NDArray
from shapely.geometry import MultiPolygon, Polygon, box, mapping
from shapely.geometry.base import BaseGeometry

from detection.detector import TileDetections
from detection.georef import GeoTile
from detection.grades import MODEL_GRADES, Doubt, Grade, Hidden
from detection.haze import is_veiled

SUBPIXELS = 64  # outlines are whole 64ths of a pixel: exact in any tile, and in any file
# How far simplifying may move an outline: in pixels, and as a part of the building's side, because
# 0.4 pixels would change the area of a small roof by several percent.
SIMPLIFY_PX = 0.4
SIMPLIFY_SHARE = 0.015
# Outlines of one tile that overlap more are one building: the surer one stays. The model itself
# compares boxes, which says little of a part of a building found beside the whole.
SAME_OUTLINE_IOU = 0.3
LEAST_AREA_PX = 4.0  # anything smaller is no building at any pixel size we accept
TILE_EDGE_PX = 2.0  # an outline this near to its tile's edge is taken to go on beyond it
SCENE_EDGE_PX = 1.0
REACH_PX = 1.5  # nodata this near to an outline is taken to cut it
# What is left of a building cut along a line of length L is taken to be less than half of it where
# its area is below L squared times this. Of 1,292 outlines of xBD cut at random, 95 % of those it
# speaks of were less than half seen, and 3 % of those seen by half or more were spoken of.
SLIVER = 0.25
LEAST_VALID = 0.5  # share of an outline's ring and ground that must lie on pixels
DECIMALS = 4  # of scores and probabilities: float32 differs beyond it between machines
LONLAT_DECIMALS = 7  # one centimetre


class Side(IntFlag):
    """Sides of a tile that lie inside the scene and that an outline meets."""

    NONE = 0
    LEFT = 1
    TOP = 2
    RIGHT = 4
    BOTTOM = 8


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """One building as one tile saw it.

    Attributes:
        tile: number of the tile.
        outline: shape (N, 2), int32: corners in 64ths of a model pixel of the whole scene, not
            closed.
        score: that it is a building, in [0, 1].
        probabilities: one per grade of ``MODEL_GRADES``.
        sides: the sides of its tile at which it was cut.
        at_border: it meets the scene's edge or nodata, so the building may go on.
        hidden: by what, if so little of it is seen that its grade cannot be told.
    """

    tile: int
    outline: NDArray[np.int32]
    score: float
    probabilities: tuple[float, ...]
    sides: Side
    at_border: bool
    hidden: Hidden | None = None

    @property
    def polygon(self) -> Polygon:
        """The outline in model pixels."""
        return Polygon(self.outline / SUBPIXELS)


@dataclass(frozen=True, slots=True)
class KnownAs:
    """What a file of known outlines says of a building.

    Attributes:
        outline_id: its id there.
        attributes: everything said of it there.
    """

    outline_id: str
    attributes: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Footprint:
    """What the model said of one building. Never changes.

    Attributes:
        id: the same whenever the same scene, model and options give the same outline.
        outline: in the scene's CRS; a single ring unless it was known.
        lonlat: the same in WGS 84, anticlockwise, to a centimetre; what was detected is in two
            parts only where it crosses the 180th meridian.
        grade: "unclassified" where it cannot be told, else the likeliest; of a calibrated model
            the one of the largest product of probability and weight (``detection.calibration``).
        score: that it is a building at all, in [0, 1].
        grade_score: probability of ``grade``; where there is none, of what it would have been.
        probabilities: one per grade of ``MODEL_GRADES``.
        area_m2: on the ellipsoid, in square metres.
        clipped: it meets the scene's edge or nodata, or could not be followed across a tile's
            edge: the building may go on.
        model: ``name@version``.
        known: the outline that somebody had of it; None: it was detected.
        unclassified_because: why it has no grade: two are nearly as likely ("near_tie"), or too
            little of it is seen at the scene's "edge", beside "nodata" or under "cloud".
    """

    id: UUID
    outline: Polygon | MultiPolygon
    lonlat: Polygon | MultiPolygon
    grade: Grade
    score: float
    grade_score: float
    probabilities: tuple[float, ...]
    area_m2: float
    clipped: bool
    model: str
    known: KnownAs | None = None
    unclassified_because: Doubt | None = None

    @property
    def source(self) -> str:
        """``outline`` where somebody had its outline, else ``detected``."""
        return "outline" if self.known else "detected"

    def to_feature(self) -> dict[str, Any]:
        """As a GeoJSON feature (RFC 7946)."""
        return {
            "type": "Feature",
            "id": str(self.id),
            "geometry": mapping(self.lonlat),
            "properties": {
                "id": str(self.id),
                "grade": self.grade.value,
                "score": self.score,
                "grade_score": self.grade_score,
                "unclassified_because": self.unclassified_because,
                "probabilities": dict(
                    zip((grade.value for grade in MODEL_GRADES), self.probabilities, strict=True)
                ),
                "area_m2": self.area_m2,
                "model": self.model,
                "clipped": self.clipped,
                "source": self.source,
                **(asdict(self.known) if self.known else {}),
            },
        }


def trace(
    detections: TileDetections,
    tile: GeoTile,
    image: NDArray[np.uint8],
    valid: NDArray[np.bool_],
    *,
    index: int,
) -> list[Candidate]:
    """Outline each mask of one tile; masks are followed inside their boxes, never pasted.

    Only the largest part of a mask is kept, and courtyards are filled, because the drawing
    tool edits one outer ring.

    Args:
        detections: in the tile's own pixels.
        tile: where it lies in the model's grid.
        image: shape (C, H, W), as the model took it.
        valid: shape (H, W); False marks nodata.
        index: number of the tile.

    Returns:
        One value per mask that has an outline of at least 4 square pixels and is not a surer
        one's building again, in order.
    """
    pairs = zip(detections.masks, detections.boxes, strict=True)
    rings = [_ring(mask, bounds) for mask, bounds in pairs]
    kept = [number for number, ring in enumerate(rings) if ring is not None]
    polygons = tidy(np.array([Polygon(rings[number]) for number in kept], dtype=object))
    borders = _at_nodata(polygons, valid)
    again = _said_again(polygons, detections.scores[kept])
    found = []
    for number, polygon, at_nodata, is_again in zip(kept, polygons, borders, again, strict=True):
        if is_again or polygon.area < LEAST_AREA_PX:
            continue
        at_border = bool(at_nodata) or _at_scene_edge(polygon, tile)
        hidden = _cut_by(polygon, tile, valid) if at_border else None
        if hidden is None and is_veiled(image, valid, polygon.bounds):
            hidden = "cloud"
        corners = np.asarray(polygon.exterior.coords)[:-1] * SUBPIXELS
        corners += np.array([tile.col_off, tile.row_off]) * SUBPIXELS
        found.append(
            Candidate(
                tile=index,
                outline=corners.astype(np.int32),
                score=round(float(detections.scores[number]), DECIMALS),
                probabilities=rounded(detections.probabilities[number]),
                sides=_sides(polygon, tile),
                at_border=at_border,
                hidden=hidden,
            )
        )
    return found


def polygons_of(candidates: Sequence[Candidate]) -> NDArray[np.object_]:
    """Their outlines in model pixels, shape (N,); as ``Candidate.polygon``, but all at once."""
    if not candidates:
        return np.array([], dtype=object)
    corners = [candidate.outline for candidate in candidates]
    owner = np.repeat(np.arange(len(corners)), [len(outline) for outline in corners])
    rings = shapely.linearrings(np.concatenate(corners) / SUBPIXELS, indices=owner)
    return np.asarray(shapely.polygons(rings), dtype=object)


def tidy(polygons: NDArray[np.object_]) -> NDArray[np.object_]:
    """Simplify polygons in pixels, put them on the 64ths, and keep them valid, with one ring.

    Returns:
        One polygon for each, empty where nothing is left.
    """
    largest = _largest(polygons)
    tolerance = np.minimum(SIMPLIFY_PX, SIMPLIFY_SHARE * np.sqrt(shapely.area(largest)))
    simple = shapely.simplify(largest, tolerance, preserve_topology=True)
    exact = shapely.set_precision(simple, 1 / SUBPIXELS, mode="valid_output")
    return shapely.normalize(_largest(exact))


def rounded(probabilities: Sequence[float] | NDArray[np.floating[Any]]) -> tuple[float, ...]:
    """Probabilities as they are stored."""
    return tuple(round(float(value), DECIMALS) for value in probabilities)


def cut_all_at_antimeridian(lonlat: NDArray[np.object_]) -> NDArray[np.object_]:
    """Polygons in degrees, shape (N,), each as ``cut_at_antimeridian`` cuts it."""
    west, _, east, _ = shapely.bounds(lonlat).reshape(-1, 4).T
    cut = lonlat.copy()
    for number in np.flatnonzero(~((west >= -180) & (east <= 180) & (east - west <= 180))):
        cut[number] = _cut_at_antimeridian(cut[number])
    return cut


def cut_at_antimeridian(lonlat: Polygon) -> Polygon | MultiPolygon:
    """A polygon in degrees, cut where it crosses the 180th meridian (RFC 7946, 3.1.9).

    Args:
        lonlat: its corners' longitudes may jump between -180 and 180, or go on beyond.
    """
    cut: Polygon | MultiPolygon = cut_all_at_antimeridian(np.array([lonlat], dtype=object))[0]
    return cut


def _cut_at_antimeridian(lonlat: Polygon) -> Polygon | MultiPolygon:
    corners = np.asarray(lonlat.exterior.coords)
    corners[:, 0] %= 360
    if np.ptp(corners[:, 0]) > 180:  # it lies across longitude 0, not 180
        corners[:, 0] = (corners[:, 0] + 180) % 360 - 180
        return Polygon(corners)
    whole = Polygon(corners)
    eastern = whole.intersection(box(0, -90, 180, 90))
    western = shapely.transform(
        whole.intersection(box(180, -90, 360, 90)), lambda xy: xy - np.array([360.0, 0.0])
    )
    parts = [part for side in (eastern, western) for part in shapely.get_parts(side)]
    polygons = [part for part in parts if isinstance(part, Polygon) and part.area > 0]
    return polygons[0] if len(polygons) == 1 else MultiPolygon(polygons)


def round_lonlat(lonlat: Polygon | MultiPolygon) -> Polygon | MultiPolygon:
    """Round degrees to a centimetre, and keep the geometry valid and anticlockwise."""
    done: Polygon | MultiPolygon = round_all_lonlat(np.array([lonlat], dtype=object))[0]
    return done


def round_all_lonlat(lonlat: NDArray[np.object_]) -> NDArray[np.object_]:
    """Polygons and multipolygons in degrees, shape (N,), each as ``round_lonlat`` rounds it."""
    rounded_to_cm = shapely.transform(lonlat, lambda xy: np.round(xy, LONLAT_DECIMALS))
    for number in np.flatnonzero(~shapely.is_valid(rounded_to_cm)):
        if isinstance(lonlat[number], Polygon):
            rounded_to_cm[number] = _largest_part(shapely.make_valid(rounded_to_cm[number]))
    oriented: NDArray[np.object_] = shapely.orient_polygons(rounded_to_cm)
    return oriented


def _said_again(
    polygons: NDArray[np.object_], scores: NDArray[np.floating[Any]]
) -> NDArray[np.bool_]:
    """Which outlines are those of a building that a surer one is of as well."""
    one, other = shapely.STRtree(polygons).query(polygons, predicate="intersects")
    once = one < other
    one, other = one[once], other[once]
    areas = shapely.area(polygons)
    shared = shapely.area(shapely.intersection(polygons[one], polygons[other]))
    same = shared > SAME_OUTLINE_IOU * (areas[one] + areas[other] - shared)
    rivals: dict[int, list[int]] = {}
    for first, second in zip(one[same].tolist(), other[same].tolist(), strict=True):
        rivals.setdefault(first, []).append(second)
        rivals.setdefault(second, []).append(first)
    again = np.zeros(len(polygons), bool)
    for number in sorted(rivals, key=lambda number: (-scores[number], number)):
        if not again[number]:
            again[rivals[number]] = True
    return again


def _ring(mask: NDArray[np.float32], bounds: NDArray[np.float32]) -> NDArray[np.float64] | None:
    """Follow a mask at probability one half, in tile pixels; None where it nowhere reaches it.

    The samples are centres of cells; the outermost ones reach to the box's edge, and end there.
    """
    rows, columns = mask.shape
    samples = np.pad(np.pad(mask.astype(np.float64), 1, mode="edge"), 1)
    left, top, right, bottom = bounds.astype(np.float64)
    x = left + _ticks(columns) * ((right - left) / columns)
    y = top + _ticks(rows) * ((bottom - top) / rows)
    lines = contour_generator(x, y, samples, line_type="Separate").lines(0.5)
    rings = [np.asarray(line, np.float64) for line in lines if len(line) >= 4]
    return max(rings, key=lambda ring: abs(_signed_area(ring)), default=None)


def _ticks(count: int) -> NDArray[np.float64]:
    """Where samples lie, in cells: outside, edge, centres, edge, outside."""
    outside = 1e-6
    return np.concatenate([[-outside, 0], np.arange(count) + 0.5, [count, count + outside]])


def _signed_area(ring: NDArray[np.float64]) -> float:
    x, y = ring[:, 0], ring[:, 1]
    return float(np.dot(x[:-1], y[1:]) - np.dot(x[1:], y[:-1])) / 2


def _largest(geometries: NDArray[np.object_]) -> NDArray[np.object_]:
    """The largest polygon of each geometry, its holes filled; empty where there is none."""
    fixed = np.where(shapely.is_valid(geometries), geometries, shapely.make_valid(geometries))
    return np.array([_largest_part(geometry) for geometry in fixed], dtype=object)


def _largest_part(geometry: BaseGeometry) -> Polygon:
    parts = [part for part in _polygons(geometry) if not part.is_empty]
    if not parts:
        return Polygon()
    return Polygon(max(parts, key=lambda part: Polygon(part.exterior).area).exterior)


def _polygons(geometry: BaseGeometry) -> list[Polygon]:
    if isinstance(geometry, Polygon):
        return [geometry]
    nested = [_polygons(part) for part in getattr(geometry, "geoms", ())]
    return [part for parts in nested for part in parts]


def _sides(polygon: Polygon, tile: GeoTile) -> Side:
    left, top, right, bottom = polygon.bounds
    grid = tile.grid
    meets = {
        Side.LEFT: tile.col_off > 0 and left <= TILE_EDGE_PX,
        Side.TOP: tile.row_off > 0 and top <= TILE_EDGE_PX,
        Side.RIGHT: tile.col_off + tile.width < grid.width and right >= tile.width - TILE_EDGE_PX,
        Side.BOTTOM: tile.row_off + tile.height < grid.height
        and bottom >= tile.height - TILE_EDGE_PX,
    }
    sides = Side.NONE
    for side, met in meets.items():
        sides |= side if met else Side.NONE
    return sides


def _at_scene_edge(polygon: Polygon, tile: GeoTile) -> bool:
    left, top, right, bottom = polygon.bounds
    return (
        tile.col_off + left < SCENE_EDGE_PX
        or tile.row_off + top < SCENE_EDGE_PX
        or tile.col_off + right > tile.grid.width - SCENE_EDGE_PX
        or tile.row_off + bottom > tile.grid.height - SCENE_EDGE_PX
    )


def _at_nodata(polygons: NDArray[np.object_], valid: NDArray[np.bool_]) -> list[bool]:
    """Whether nodata lies within a pixel and a half of each outline."""
    if valid.all():
        return [False] * len(polygons)
    around = shapely.segmentize(shapely.buffer(polygons, REACH_PX).astype(object), 1.0)
    return [_touches(geometry, valid) for geometry in around]


def _touches(around: BaseGeometry, valid: NDArray[np.bool_]) -> bool:
    points = np.floor(shapely.get_coordinates(around)).astype(np.intp)
    height, width = valid.shape
    inside = (points >= 0).all(axis=1) & (points[:, 0] < width) & (points[:, 1] < height)
    columns, rows = points[inside].T
    return not bool(valid[rows, columns].all())


def _cut_by(polygon: Polygon, tile: GeoTile, valid: NDArray[np.bool_]) -> Hidden | None:
    """What leaves too little of a building to judge it by: the scene's edge, or nodata."""
    ring = shapely.get_coordinates(shapely.segmentize(polygon.exterior, 0.5))[:-1]
    steps = np.array([(0, 0), (REACH_PX, 0), (-REACH_PX, 0), (0, REACH_PX), (0, -REACH_PX)])
    near = np.floor(ring[:, None] + steps).astype(np.intp)
    beyond, empty = _unseen(near, tile, valid)
    off_scene, off_data = beyond.any(axis=1), (empty & ~beyond).any(axis=1)
    # Where the cut ends, the sides that meet it are near to it as well.
    length = (off_scene | off_data).mean() * polygon.exterior.length - 2 * REACH_PX
    is_sliver = length > 0 and polygon.area < SLIVER * length**2
    if not is_sliver and (empty | beyond)[:, 0].mean() < LEAST_VALID:
        return None
    return "edge" if off_scene.sum() >= off_data.sum() else "nodata"


def _unseen(
    points: NDArray[np.intp], tile: GeoTile, valid: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which pixels of a tile, (..., 2), lie beyond the scene, and which on nodata.

    Of what lies beyond the tile but inside the scene nothing is known here: it counts as seen.
    """
    columns, rows = points[..., 0], points[..., 1]
    grid, height, width = tile.grid, *valid.shape
    beyond = (columns + tile.col_off < 0) | (columns + tile.col_off >= grid.width)
    beyond |= (rows + tile.row_off < 0) | (rows + tile.row_off >= grid.height)
    inside = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
    empty = inside & ~valid[rows.clip(0, height - 1), columns.clip(0, width - 1)]
    return beyond, empty
