"""Read the area somebody wants looked at."""

import json
from pathlib import Path
from typing import Any

import numpy as np
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
        geometries = [shapely.force_2d(shape(geometry)) for geometry in _geometries(data)]
    except (KeyError, TypeError, AttributeError, ValueError, ShapelyError) as error:
        raise BadArea(str(error)) from error
    except (OverflowError, RecursionError) as error:  # a number beyond any, rings in rings
        raise BadArea(type(error).__name__) from error
    if not geometries or {one.geom_type for one in geometries} - {"Polygon", "MultiPolygon"}:
        raise BadArea("need polygons, and nothing else")
    corners = shapely.get_coordinates(geometries)
    if not len(corners) or not (np.abs(corners) <= [180, 90]).all():  # false for NaN as well
        raise BadArea("coordinates are not degrees")
    return shapely.union_all([shapely.make_valid(one) for one in geometries])


def _geometries(data: dict[str, Any]) -> list[dict[str, Any]]:
    if data["type"] == "FeatureCollection":
        return [feature["geometry"] for feature in data["features"]]
    if data["type"] == "Feature":
        return [data["geometry"]]
    return [data]
