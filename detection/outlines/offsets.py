"""How far known outlines lie from the roofs in one image: one shift for each tile.

Outlines drawn over another image lie some metres off in this one, more the farther the satellite
leant over, and differently from place to place. The model's own detections, unsure ones included,
say where buildings are; the shift is the one at which the outlines fit that best.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor

import numpy as np
import shapely
from numpy.typing import NDArray
from rasterio.features import rasterize
from scipy import ndimage

from detection.detector import TileDetections
from detection.registration import agreement, gradients, peak_of

EVIDENCE_SCORE = 0.05  # detections this unsure still say, together, where buildings are
LARGEST_SHIFT_M = 15.0
# With fewer outlines in a tile, or a peak that stands out less, chance decides. Measured on the
# validation scenes of xBD: outlines of one scene over another reach 0.8 in one case of eight, over
# their own in all 20 scenes that have 8 outlines and where the model saw the buildings at all.
LEAST_OUTLINES = 8
LEAST_SURENESS = 0.8
BLUR_PX = 1.5
SMALLEST_PX2 = 16.0
DECIMALS = 2


@dataclass(frozen=True, slots=True)
class BlockShift:
    """How far the outlines of one tile must be moved to lie on the roofs.

    Attributes:
        tile: number of the tile.
        right_px: so many model pixels to the right; 0 where it could not be measured.
        down_px: so many down.
        outlines: how many lie wholly in the tile.
        sureness: how clear it is, see ``detection.registration.Shift``.
        measured: whether there were outlines enough and a clear answer.
    """

    tile: int
    right_px: float
    down_px: float
    outlines: int
    sureness: float
    measured: bool


def measure_shift(
    found: TileDetections,
    outlines: Sequence[shapely.Geometry] | NDArray[np.object_],
    *,
    size: tuple[int, int],
    tile: int,
    pixel_m: float,
) -> BlockShift:
    """Estimate the shift that brings outlines onto the roofs of one tile.

    Args:
        found: what the model sees there, down to ``EVIDENCE_SCORE``.
        outlines: polygons in the tile's pixels; some may reach beyond it.
        size: height and width of the tile, in pixels.
        tile: number of the tile.
        pixel_m: ground length of a pixel.
    """
    whole = int(shapely.within(outlines, shapely.box(0, 0, size[1], size[0])).sum())
    most_px = min(int(LARGEST_SHIFT_M / pixel_m), min(size) // 2)
    if whole < LEAST_OUTLINES or not len(found.scores) or most_px < 1:
        return BlockShift(tile, 0.0, 0.0, whole, 0.0, measured=False)
    seen, drawn = _seen(found, size), _drawn(outlines, size)
    surface = agreement(seen - seen.mean(), drawn, most_px=most_px)
    # Areas alone give a broad peak, edges alone may catch on a neighbour: together they do neither.
    surface += agreement(_edges(seen), _edges(drawn), most_px=most_px)
    shift = peak_of(surface)
    sureness = round(shift.sureness, DECIMALS)
    if sureness < LEAST_SURENESS:
        return BlockShift(tile, 0.0, 0.0, whole, sureness, measured=False)
    right_px, down_px = round(shift.right_px, DECIMALS), round(shift.down_px, DECIMALS)
    return BlockShift(tile, right_px, down_px, whole, sureness, measured=True)


def _edges(picture: NDArray[np.float32]) -> NDArray[np.complex64]:
    return gradients(ndimage.gaussian_filter(picture, BLUR_PX))


def _drawn(
    outlines: Sequence[shapely.Geometry] | NDArray[np.object_], size: tuple[int, int]
) -> NDArray[np.float32]:
    """A map of the outlines; each counts by its circumference rather than by its area."""
    weights = 1 / np.sqrt(np.maximum(shapely.area(outlines), SMALLEST_PX2))
    pairs = [(outline, float(weight)) for outline, weight in zip(outlines, weights, strict=True)]
    drawn: NDArray[np.float32] = rasterize(pairs, out_shape=size, dtype="float32")
    return drawn


def _seen(found: TileDetections, size: tuple[int, int]) -> NDArray[np.float32]:
    """A map of how likely each pixel is part of a building."""
    seen = np.zeros(size, np.float32)
    for mask, score, bounds in zip(found.masks, found.scores, found.boxes, strict=True):
        left, top, right, bottom = (float(value) for value in bounds)
        rows = np.arange(max(0, floor(top)), min(size[0], ceil(bottom)))
        columns = np.arange(max(0, floor(left)), min(size[1], ceil(right)))
        if not len(rows) or not len(columns):
            continue
        down = _samples(rows, top, bottom, mask.shape[0])
        across = _samples(columns, left, right, mask.shape[1])
        part = seen[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        np.maximum(part, score * mask[np.ix_(down, across)], out=part)
    return seen


def _samples(pixels: NDArray[np.intp], start: float, end: float, count: int) -> NDArray[np.intp]:
    """Which of ``count`` samples stretched over a box each pixel of a row or column lies in."""
    place = (pixels + 0.5 - start) / max(end - start, 1e-6) * count
    return np.clip(place.astype(np.intp), 0, count - 1)
