"""Squares of equal size that cover an image, and views of the ground. Pure geometry.

Reckoned in web mercator, stretched so that lengths are metres in the middle of the image; over one
image the stretch differs by less than one percent.
"""

import math
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

EARTH_M = 6_378_137.0  # radius of the sphere of web mercator

Ring = list[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class View:
    """A square picture of the ground, north up.

    Attributes:
        west, south, side: in web mercator metres (longer than those on the ground).
    """

    west: float
    south: float
    side: float

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """West, south, east, north in web mercator."""
        return self.west, self.south, self.west + self.side, self.south + self.side

    def fractions(self, lonlat: NDArray[np.float64]) -> NDArray[np.float64]:
        """Longitudes and latitudes, shape (N, 2), as parts of the picture from its top left."""
        x, y = mercator(lonlat).T
        return np.column_stack(
            ((x - self.west) / self.side, (self.south + self.side - y) / self.side)
        )

    def lonlat(self, fractions: NDArray[np.float64]) -> NDArray[np.float64]:
        """The way back."""
        x = self.west + fractions[:, 0] * self.side
        y = self.south + (1 - fractions[:, 1]) * self.side
        return unmercator(np.column_stack((x, y)))


def view_of(outline: BaseGeometry, *, least_m: float, times: float, margin_m: float = 0) -> View:
    """A view with an outline in its middle.

    Args:
        outline: in degrees.
        least_m: side of the view, at least, in metres on the ground.
        times: or so many times the outline's longer side.
        margin_m: left on each side besides.
    """
    west, south, east, north = outline.bounds
    corners = mercator(np.array([[west, south], [east, north]]))
    longer = float(np.ptp(corners, axis=0).max())
    stretch = _stretch((south + north) / 2)
    side = max(least_m * stretch, longer * times) + 2 * margin_m * stretch
    x, y = corners.mean(axis=0)
    return View(float(x) - side / 2, float(y) - side / 2, side)


def grid(footprint: BaseGeometry, side_m: float) -> NDArray[np.float64]:
    """Squares that cover a footprint in degrees, each once.

    Returns:
        Shape (N, 4): west, south, east, north in degrees, in rows from the south.
    """
    west, south, east, north = footprint.bounds
    (left, bottom), (right, top) = mercator(np.array([[west, south], [east, north]]))
    side = side_m * _stretch((south + north) / 2)
    columns, rows = math.ceil((right - left) / side), math.ceil((top - bottom) / side)
    at_x, at_y = np.meshgrid(left + np.arange(columns) * side, bottom + np.arange(rows) * side)
    low = unmercator(np.column_stack((at_x.ravel(), at_y.ravel())))
    high = unmercator(np.column_stack((at_x.ravel() + side, at_y.ravel() + side)))
    boxes = np.column_stack((low, high))
    shapely.prepare(footprint)
    covering = np.asarray(shapely.intersects(footprint, shapely.box(*boxes.T)))
    covered: NDArray[np.float64] = boxes[covering]
    return covered


def counts_in(boxes: NDArray[np.float64], points: NDArray[np.float64]) -> NDArray[np.int64]:
    """How many points, shape (N, 2) in degrees, lie in each box of ``grid``."""
    lefts, row_of_bottom = np.unique(boxes[:, 0]), np.unique(boxes[:, 1])
    where = {
        (int(c), int(r)): number
        for number, (c, r) in enumerate(
            zip(
                np.searchsorted(lefts, boxes[:, 0]),
                np.searchsorted(row_of_bottom, boxes[:, 1]),
                strict=True,
            )
        )
    }
    counts = np.zeros(len(boxes), np.int64)
    columns = np.searchsorted(lefts, points[:, 0], side="right") - 1
    rows = np.searchsorted(row_of_bottom, points[:, 1], side="right") - 1
    for place, count in zip(
        *np.unique(np.column_stack((columns, rows)), axis=0, return_counts=True), strict=True
    ):
        number = where.get((int(place[0]), int(place[1])))
        if number is not None:  # else beside the image, where roofs may lean over its edge
            counts[number] = count
    return counts


def mercator(lonlat: NDArray[np.float64]) -> NDArray[np.float64]:
    """From degrees to web mercator, shape (N, 2)."""
    radians = np.radians(lonlat)
    northing = np.log(np.tan(np.pi / 4 + radians[:, 1] / 2))
    return EARTH_M * np.column_stack((radians[:, 0], northing))


def unmercator(xy: NDArray[np.float64]) -> NDArray[np.float64]:
    """From web mercator to degrees, shape (N, 2)."""
    latitude = 2 * np.arctan(np.exp(xy[:, 1] / EARTH_M)) - np.pi / 2
    return np.degrees(np.column_stack((xy[:, 0] / EARTH_M, latitude)))


def _stretch(latitude: float) -> float:
    """Web mercator metres in a metre on the ground."""
    return 1 / math.cos(math.radians(latitude))
