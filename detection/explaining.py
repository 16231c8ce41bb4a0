"""Why a building got its grade: what happens to the answer when parts of the image are hidden.

Occlusion (Zeiler and Fergus 2014, "Visualizing and Understanding Convolutional Networks", section
4.1): a blurred patch is laid over one place after another, and each time the model judges the
building again. Where hiding the ground makes the grade less likely, the grade came from there. It
asks nothing of the model but ``BoxGrader``, so that it holds for either engine.
"""

from contextlib import ExitStack
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import Transformer
from scipy import ndimage
from shapely.geometry import MultiPolygon, Polygon

from detection.before import BeforeScene, open_before
from detection.calibration import weighed
from detection.detector import BoxGrader, Detector, calibrated
from detection.errors import BuildingNotFound, EmptyImage, ModelUnavailable
from detection.georef import GeoTile
from detection.grades import MODEL_GRADES, Grade
from detection.planning import DetectionOptions, ScenePlan, plan_scene, read_after
from detection.raster import open_scene, to_lonlat

CONTEXT = 3.0  # side of the chip, in lengths of the building
LEAST_CHIP_PX, MOST_CHIP_PX = 192, 512
STRIDE_PX = 32  # of the coarsest features: chips are multiples of it
MARGIN = 0.25  # around the building, in its lengths: hidden as well, for what it says of the grade
PATCHES_ACROSS = 4.0  # patches side by side over the longer side of a building
LEAST_PATCH_PX = 8
AT_ONCE = 8


@dataclass(frozen=True, slots=True, eq=False)
class Explanation:
    """One building, and what the model's judgement of it hangs on.

    Attributes:
        after: the chip, shape (3, H, W), as the model sees it.
        before: the same ground before; None for a model of images after alone.
        outline: of the building, in pixels of the chip.
        grade: as it is reported (see ``Footprint``), judged in this chip.
        score: that it is a building, in [0, 1].
        probabilities: one per grade of ``MODEL_GRADES``; judged in this chip, so they may differ a
            little from those found in a whole tile.
        heat: shape (H, W), in [-1, 1]: by how much hiding a place makes the grade less likely
            (negative: more likely); 0 where nothing was hidden.
        pixel_m: ground length of a pixel, in metres.
        model: ``name@version``.
    """

    after: NDArray[np.uint8]
    before: NDArray[np.uint8] | None
    outline: Polygon | MultiPolygon
    grade: Grade
    score: float
    probabilities: tuple[float, ...]
    heat: NDArray[np.float32]
    pixel_m: float
    model: str


def explain(
    path: Path | str,
    outline: Polygon | MultiPolygon,
    detector: Detector,
    options: DetectionOptions = DetectionOptions(),  # noqa: B008 (frozen)
    *,
    before: BeforeScene | None = None,
    scene_sha256: str | None = None,
) -> Explanation:
    """Find what the grade of one building hangs on.

    Args:
        path: the image after, as for ``plan_scene``.
        outline: of the building, in longitude and latitude.
        detector: must be a ``BoxGrader`` as well.
        options: as the building was found with.
        before: the image before, for a model of pairs.
        scene_sha256: of the image after, as for ``plan_scene``.

    Raises:
        DetectionError: an image cannot be used.
        BuildingNotFound: it is not on the image.
        ModelUnavailable: the model cannot judge given buildings.
    """
    if not isinstance(detector, BoxGrader):
        raise ModelUnavailable(f"{detector.spec.label} cannot judge given buildings")
    try:
        plan = plan_scene(
            path,
            detector.spec,
            replace(options, min_score=0.0, batch_size=1),
            area=outline.envelope,
            before=before,
            scene_sha256=scene_sha256,
        )
    except EmptyImage as error:
        raise BuildingNotFound(f"no pixels there: {error}") from error
    drawn = _to_pixels(outline, plan)
    window = _window(drawn, plan)
    image = _read(path, before, plan, window)
    drawn = shapely.transform(drawn, lambda xy: xy - [window.col_off, window.row_off])
    box = np.clip(np.array(drawn.bounds, np.float32), 0, [window.width, window.height] * 2)
    grader = calibrated(detector, plan.model.calibration)
    assert isinstance(grader, BoxGrader)  # noqa: S101 - as the detector is
    seen = grader.grade(image[None], [box[None]])[0]
    chosen = int(weighed(seen.probabilities, plan.model.grade_weight)[0].argmax())
    return Explanation(
        after=image[-3:],
        before=image[:3] if before else None,
        outline=drawn,
        grade=MODEL_GRADES[chosen],
        score=float(seen.scores[0]),
        probabilities=tuple(float(number) for number in seen.probabilities[0]),
        heat=_heat(image, box, grader, chosen, float(seen.probabilities[0, chosen])),
        pixel_m=plan.model_pixel_m,
        model=plan.model.label,
    )


def _to_pixels(outline: Polygon | MultiPolygon, plan: ScenePlan) -> Polygon | MultiPolygon:
    to_ground = Transformer.from_crs(
        "EPSG:4326", to_lonlat(plan.grid.crs).source_crs, always_xy=True
    )
    inverse = ~plan.grid.transform

    def place(lonlat: NDArray[np.float64]) -> NDArray[np.float64]:
        x, y = to_ground.transform(lonlat[:, 0], lonlat[:, 1])
        return np.column_stack(inverse * (np.asarray(x), np.asarray(y)))

    drawn = shapely.transform(outline, place)
    if not drawn.intersects(shapely.box(0, 0, plan.grid.width, plan.grid.height)):
        raise BuildingNotFound("outside the image")
    return drawn


def _window(drawn: Polygon | MultiPolygon, plan: ScenePlan) -> GeoTile:
    """The chip around a building: as wide as it needs, and whole in the scene where that fits."""
    left, top, right, bottom = drawn.bounds
    wanted = min(max(CONTEXT * max(right - left, bottom - top), LEAST_CHIP_PX), MOST_CHIP_PX)
    side = ceil(max(wanted, right - left, bottom - top) / STRIDE_PX) * STRIDE_PX
    grid = plan.grid
    width, height = min(side, grid.width), min(side, grid.height)
    col_off = round(min(max((left + right - width) / 2, 0), grid.width - width))
    row_off = round(min(max((top + bottom - height) / 2, 0), grid.height - height))
    return GeoTile(col_off, row_off, width, height, grid)


def _read(
    path: Path | str, before: BeforeScene | None, plan: ScenePlan, window: GeoTile
) -> NDArray[np.uint8]:
    """The chip as the model takes it, shape (C, H, W)."""
    with ExitStack() as opened:
        scene = opened.enter_context(open_scene(path, plan.options.bands))
        after = read_after(scene, plan, window, window.width, window.height)
        if before is None or plan.before is None:
            return after[0]
        laid = open_before(before.path, plan.before, plan.grid, plan.model_pixel_m)
        under, _ = opened.enter_context(laid).under(window, 0, after)
    return np.concatenate([under, after[0]])


def _heat(
    image: NDArray[np.uint8],
    box: NDArray[np.float32],
    grader: BoxGrader,
    grade: int,
    unhidden: float,
) -> NDArray[np.float32]:
    """By how much hiding each place lowers the probability of a grade, shape (H, W)."""
    patches = _patches(image.shape[1:], box)
    blurred = _blurred(image, sigma=patches[0][0].stop - patches[0][0].start)
    total = np.zeros(image.shape[1:], np.float32)
    times = np.zeros(image.shape[1:], np.float32)
    for first in range(0, len(patches), AT_ONCE):
        group = patches[first : first + AT_ONCE]
        hidden = np.repeat(image[None], len(group), axis=0)
        for one, (rows, columns) in zip(hidden, group, strict=True):
            one[:, rows, columns] = blurred[:, rows, columns]
        for said, (rows, columns) in zip(
            grader.grade(hidden, [box[None]] * len(group)), group, strict=True
        ):
            total[rows, columns] += unhidden - said.probabilities[0, grade]
            times[rows, columns] += 1
    return (total / np.maximum(times, 1)).astype(np.float32)


def _patches(size: tuple[int, ...], box: NDArray[np.float32]) -> list[tuple[slice, slice]]:
    """Squares over a building and its surroundings, each overlapping the next by half."""
    height, width = size
    left, top, right, bottom = (float(value) for value in box)
    longest = max(right - left, bottom - top)
    side = max(LEAST_PATCH_PX, round(longest / PATCHES_ACROSS))
    step, margin = max(1, side // 2), MARGIN * longest
    rows = range(max(0, int(top - margin)), min(height, ceil(bottom + margin)), step)
    columns = range(max(0, int(left - margin)), min(width, ceil(right + margin)), step)
    return [(slice(r, r + side), slice(c, c + side)) for r in rows for c in columns]


def _blurred(image: NDArray[np.uint8], *, sigma: float) -> NDArray[np.uint8]:
    """What a place would look like without anything to see: the colour of its surroundings."""
    blurred = np.stack([ndimage.gaussian_filter(band, sigma) for band in image.astype(np.float32)])
    # Black before means that nothing is known there: that must not come of hiding.
    return np.where(image.any(axis=0), np.maximum(blurred, 1), image).astype(np.uint8)
