"""Outlines on their way in, to the database and out. No text of a client ever reaches GEOS."""

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import shapely
from django.contrib.gis.geos import GEOSGeometry
from django.contrib.gis.geos import Polygon as StoredPolygon
from pyproj import Geod
from shapely.geometry import MultiPolygon, Polygon, mapping
from shapely.geometry.polygon import orient

from detection.footprints import LONLAT_DECIMALS, cut_at_antimeridian
from unosat.review import order
from unosat.review.errors import (
    AreaSize,
    BadOutline,
    OutlineCrosses,
    OutlineHole,
    OutlineOutside,
    OutlineSize,
    OutlineThin,
)
from unosat.scenes.models import WGS84, Scene

MOST_CORNERS = 2000
SMALLEST_BUILDING_M2 = 2.0  # a shed
LEAST_MEAN_WIDTH_M = 0.6  # of area by half the way round; that of the smallest shed is 0.7
LARGEST_BUILDING_M2 = 500_000.0  # the largest halls in the world
SMALLEST_AREA_M2 = 100.0
BESIDE_SCENE_DEGREES = 0.0005  # some 50 m: a roof may lean over the image's edge
ELLIPSOID = Geod(ellps="WGS84")


def building_outline(geojson: object, scene: Scene) -> Polygon:
    """Read the outline of one building as a client drew it.

    Args:
        geojson: a parsed GeoJSON Polygon in degrees, longitude first.
        scene: the image it was drawn on.

    Raises:
        BadOutline: it is not one valid ring of numbers.
        OutlineCrosses, OutlineHole: its edges cross; it has a hole.
        OutlineOutside: it reaches beyond the image.
        OutlineSize: no building is that small or large.
        OutlineThin: no building is that thin.
    """
    polygon = _polygon(geojson)
    if not SMALLEST_BUILDING_M2 <= area_m2(polygon) <= LARGEST_BUILDING_M2:
        raise OutlineSize(f"{area_m2(polygon)} square metres")
    if mean_width_m(polygon) < LEAST_MEAN_WIDTH_M:
        raise OutlineThin(f"{mean_width_m(polygon)} metres")
    must_be_inside([polygon], scene)
    return polygon


def reviewed_outline(geojson: object, scene: Scene) -> Polygon:
    """Read the outline of an area in which everything was looked at; cut to the image.

    Raises:
        BadOutline: it is not one valid ring of numbers, or leaves several pieces of the image.
        OutlineOutside: it lies beside the image.
        AreaSize: it is smaller than a house.
    """
    polygon = _polygon(geojson)
    inside = polygon.intersection(_footprint(scene))
    if inside.is_empty:
        raise OutlineOutside("beside the image")
    if not isinstance(inside, Polygon) or len(inside.interiors) > 0:
        raise BadOutline("several pieces")
    if area_m2(inside) < SMALLEST_AREA_M2:
        raise AreaSize(f"{area_m2(inside)} square metres")
    return orient(inside)


def area_to_search(geojson: object) -> StoredPolygon:
    """Read an outline inside which buildings are looked for; it may lie anywhere.

    Raises:
        BadOutline: it is not one valid ring of numbers.
    """
    return stored(_polygon(geojson))


def area_m2(polygon: Polygon | MultiPolygon) -> float:
    """Area on the ellipsoid, in square metres, to two decimals."""
    area, _ = ELLIPSOID.geometry_area_perimeter(polygon)
    return round(abs(float(area)), 2)


def mean_width_m(polygon: Polygon) -> float:
    """Area by half the way round, in metres: of a long rectangle its width."""
    area, around = ELLIPSOID.geometry_area_perimeter(polygon)
    return 2 * abs(float(area)) / float(around)


def metres_per_degree(latitude: float) -> tuple[float, float]:
    """Of longitude and of latitude, on the ellipsoid."""
    bend = 1 - ELLIPSOID.es * np.sin(np.radians(latitude)) ** 2
    east = ELLIPSOID.a * np.cos(np.radians(latitude)) / np.sqrt(bend)
    north = ELLIPSOID.a * (1 - ELLIPSOID.es) / bend**1.5
    return float(np.radians(east)), float(np.radians(north))


def must_be_inside(polygons: Sequence[Polygon], scene: Scene) -> None:
    """Refuse outlines that reach beyond the image; a roof may lean a little over its edge.

    Raises:
        OutlineOutside: one of them does.
    """
    image = _footprint(scene).buffer(BESIDE_SCENE_DEGREES)
    shapely.prepare(image)
    if not shapely.contains(image, polygons).all():
        raise OutlineOutside(f"beyond scene {scene.pk}")


def stored(polygon: Polygon | MultiPolygon) -> StoredPolygon:
    """As the database takes it: one ring; beyond the 180th meridian longitudes go on past 180."""
    if isinstance(polygon, MultiPolygon):
        west = np.array([360.0, 0.0])
        moved = [
            shapely.transform(part, lambda xy: xy + west) if part.bounds[0] < 0 else part
            for part in polygon.geoms
        ]
        polygon = orient(cast("Polygon", shapely.union_all(moved)))
    return from_wkb(polygon.wkb)


def from_wkb(wkb: bytes) -> StoredPolygon:
    """An outline in degrees that was stored before."""
    return cast("StoredPolygon", GEOSGeometry(memoryview(wkb), srid=WGS84))


def loaded(outline: StoredPolygon) -> Polygon | MultiPolygon:
    """As RFC 7946 wants it: cut at the 180th meridian."""
    polygon = cast("Polygon", shapely.from_wkb(bytes(outline.wkb)))
    if polygon.bounds[2] <= 180:
        return polygon
    wrapped = shapely.transform(polygon, lambda xy: np.where(xy > 180, xy - [360.0, 0.0], xy))
    return cut_at_antimeridian(wrapped)


def cells(of: Sequence[StoredPolygon]) -> list[int]:
    """The cell of the web map that each outline's middle lies in: by it, far off, it is a dot."""
    bounds = np.array([outline.extent for outline in of], np.float64).reshape(-1, 4)
    found: list[int] = order.cells((bounds[:, :2] + bounds[:, 2:]) / 2).tolist()
    return found


def geojson_of(outline: StoredPolygon) -> dict[str, Any]:
    """As a GeoJSON geometry."""
    return dict(mapping(loaded(outline)))


def _polygon(geojson: object) -> Polygon:
    ring = _ring(geojson)
    corners = np.round(np.array([_position(corner) for corner in ring]), LONLAT_DECIMALS)
    if not np.array_equal(corners[0], corners[-1]):
        raise BadOutline("the ring is not closed")
    polygon = Polygon(corners)
    if polygon.is_empty or not polygon.is_valid:
        raise OutlineCrosses(shapely.is_valid_reason(polygon))
    return orient(polygon)


def _ring(geojson: object) -> list[Any]:
    if not isinstance(geojson, dict) or geojson.get("type") != "Polygon":
        raise BadOutline("not a Polygon")
    rings = geojson.get("coordinates")
    if not isinstance(rings, list) or not rings or not isinstance(rings[0], list):
        raise BadOutline("not one ring")
    if len(rings) > 1:
        raise OutlineHole(f"{len(rings)} rings")
    if not 4 <= len(rings[0]) <= MOST_CORNERS:
        raise BadOutline(f"{len(rings[0])} corners")
    return rings[0]


def _position(corner: object) -> tuple[float, float]:
    if not isinstance(corner, list) or len(corner) not in {2, 3}:
        raise BadOutline("not a position")
    for value in corner:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise BadOutline("not a number")
    longitude, latitude = float(corner[0]), float(corner[1])
    if not (-180 <= longitude <= 360 and -90 <= latitude <= 90):  # false for NaN as well
        raise BadOutline("not a longitude and latitude")
    return longitude, latitude


def _footprint(scene: Scene) -> Polygon:
    if scene.footprint is None:
        raise OutlineOutside(f"scene {scene.pk} has no footprint")
    return cast("Polygon", shapely.from_wkb(bytes(scene.footprint.wkb)))
