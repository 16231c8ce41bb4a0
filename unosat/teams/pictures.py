"""A picture of one building and its surroundings, for a look that shows nothing else."""

import math
from dataclasses import dataclass

import numpy as np

from unosat.review.models import Building
from unosat.scenes import rasters
from unosat.scenes.models import Scene

PICTURE_PX = 640
SMALLEST_M = 60.0  # a side: a house with its street
ROOM = 2.5  # times the building's longer side
WIDER = 3.0  # times that, when somebody wants to see what is around
DEGREE_M = 111_320.0  # of latitude; only the size of the picture hangs on it

Ring = list[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Frame:
    """What a picture shows: a square on the ground, by its middle and half its sides in degrees."""

    longitude: float
    latitude: float
    half_width: float
    half_height: float

    def wider(self) -> "Frame":
        """The same middle, with more around it."""
        return Frame(
            self.longitude, self.latitude, self.half_width * WIDER, self.half_height * WIDER
        )

    @property
    def box(self) -> tuple[float, float, float, float]:
        """West, south, east, north."""
        return (
            self.longitude - self.half_width,
            self.latitude - self.half_height,
            self.longitude + self.half_width,
            self.latitude + self.half_height,
        )


def frame_of(building: Building) -> Frame:
    """A square round the building, large enough to see where it stands."""
    west, south, east, north = building.outline.extent
    latitude = (south + north) / 2
    per_longitude = DEGREE_M * math.cos(math.radians(latitude))
    side_m = max((east - west) * per_longitude, (north - south) * DEGREE_M) * ROOM
    half_m = max(SMALLEST_M, side_m) / 2
    return Frame((west + east) / 2, latitude, half_m / per_longitude, half_m / DEGREE_M)


def outline_in(frame: Frame, building: Building) -> list[Ring]:
    """The outline in the picture: (x, y) from the top-left corner, in fractions of its side."""
    west, south, east, north = frame.box
    return [
        [
            (round((x - west) / (east - west), 5), round((north - y) / (north - south), 5))
            for x, y, *_ in ring
        ]
        for ring in building.outline.coords
    ]


def side_m(frame: Frame) -> float:
    """How long a side of the picture is on the ground, in metres."""
    return round(frame.half_height * 2 * DEGREE_M, 1)


def render(scene: Scene, frame: Frame) -> bytes:
    """The picture as WebP; transparent where the scene has no pixels."""
    west, south, east, north = frame.box
    shift = 360.0 if west > 180 else 0.0  # outlines beyond the 180th meridian are kept so
    bounds = (west - shift, south, east - shift, north)
    found = rasters.cut(scene, bounds, "EPSG:4326", PICTURE_PX)
    if found is None:
        shape = PICTURE_PX, PICTURE_PX
        found = np.zeros((3, *shape), np.uint8), np.zeros(shape, np.bool_)
    return rasters.webp(*found)
