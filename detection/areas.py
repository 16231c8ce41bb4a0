"""Read the area somebody wants looked at."""

import json
from pathlib import Path
from typing import Any

import shapely
from shapely.errors import ShapelyError
from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry

from detection.errors import BadArea


def read_area(path: Path) -> BaseGeometry:
    """The union of all polygons of a GeoJSON file, in longitude and latitude.

    Raises:
        BadArea: the file cannot be read, or holds anything but polygons in degrees.
    """
    try:
        return parse_area(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise BadArea(f"{path.name}: {error}") from error


def parse_area(data: Any) -> BaseGeometry:  # noqa: ANN401 (whatever JSON holds)
    """The union of all polygons of a GeoJSON object, in longitude and latitude.

    Raises:
        BadArea: it is anything but polygons in degrees.
    """
    try:
        geometries = [shape(geometry) for geometry in _geometries(data)]
    except (KeyError, TypeError, AttributeError, ValueError, ShapelyError) as error:
        raise BadArea(str(error)) from error
    if not geometries or {one.geom_type for one in geometries} - {"Polygon", "MultiPolygon"}:
        raise BadArea("need polygons, and nothing else")
    area = shapely.union_all([shapely.make_valid(one) for one in geometries])
    west, south, east, north = area.bounds if not area.is_empty else (0, 0, 0, 91)
    if not (west >= -180 and east <= 180 and south >= -90 and north <= 90):
        raise BadArea("coordinates are not degrees")
    return area


def _geometries(data: dict[str, Any]) -> list[dict[str, Any]]:
    if data["type"] == "FeatureCollection":
        return [feature["geometry"] for feature in data["features"]]
    if data["type"] == "Feature":
        return [data["geometry"]]
    return [data]
