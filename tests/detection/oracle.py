"""Detectors that are never wrong, because the truth is painted into the pixels they see."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import rasterio.features
from affine import Affine
from numpy.typing import NDArray
from scipy import ndimage
from shapely.geometry import Polygon

from detection.detector import BoxGrades, ModelSpec, TileDetections
from detection.grades import MODEL_GRADES


def spec(*, pixel_size_m: float = 0.5, tile_px: int = 64) -> ModelSpec:
    return ModelSpec("oracle", "1", "0" * 64, "after", pixel_size_m, tile_px, 0.5, "Apache-2.0")


def paint(polygons: list[Polygon], *, width: int, height: int) -> NDArray[np.uint8]:
    """An image in which every building's pixels carry its number; shape (3, height, width)."""
    shapes = [(polygon, number) for number, polygon in enumerate(polygons, start=1)]
    numbers = np.zeros((height, width), np.int32)
    if shapes:
        numbers = rasterio.features.rasterize(
            shapes, (height, width), transform=Affine.identity(), dtype="int32"
        )
    roof = np.where(numbers > 0, 255, 1)
    return np.stack([numbers % 256, numbers // 256, roof]).astype(np.uint8)


@dataclass(frozen=True)
class NumberOracle:
    """Reads each building's number from its pixels; a building cut in two parts is two."""

    spec: ModelSpec
    batch_size: int = 1

    def predict(self, images: NDArray[np.uint8], *, min_score: float) -> list[TileDetections]:
        return [_found(_parts(image), min_score) for image in images]

    def grade(
        self, images: NDArray[np.uint8], boxes: Sequence[NDArray[np.float32]]
    ) -> list[BoxGrades]:
        return [_graded(image, given) for image, given in zip(images, boxes, strict=True)]


@dataclass(frozen=True)
class BrightOracle:
    """Takes every bright patch for a building, in any radiometry."""

    spec: ModelSpec
    batch_size: int = 1

    def predict(self, images: NDArray[np.uint8], *, min_score: float) -> list[TileDetections]:
        return [_found(_patches(image), min_score) for image in images]


Part = tuple[int, tuple[slice, slice], NDArray[np.bool_]]


def _parts(image: NDArray[np.uint8]) -> list[Part]:
    numbers = image[0].astype(np.int32) + 256 * image[1].astype(np.int32)
    numbers[image[2] != 255] = 0
    found = []
    for number, where in enumerate(ndimage.find_objects(numbers), start=1):
        if where is None:
            continue
        labels, _ = ndimage.label(numbers[where] == number)
        rows, columns = where
        for label, inner in enumerate(ndimage.find_objects(labels), start=1):
            place = (_offset(inner[0], rows), _offset(inner[1], columns))
            found.append((number, place, labels[inner] == label))
    return found


def _patches(image: NDArray[np.uint8]) -> list[Part]:
    labels, _ = ndimage.label(image.min(axis=0) > 128)
    places = ndimage.find_objects(labels)
    return [
        (label, (at[0], at[1]), labels[at] == label) for label, at in enumerate(places, start=1)
    ]


def _offset(inner: slice, outer: slice) -> slice:
    return slice(inner.start + outer.start, inner.stop + outer.start)


def score_of(number: int) -> float:
    """How sure the oracles are of the building with a number."""
    return 0.5 + number * 37 % 50 / 100


def grade_of(number: int) -> int:
    """The grade of the building with a number, as an index into ``MODEL_GRADES``."""
    return number % len(MODEL_GRADES)


def _graded(image: NDArray[np.uint8], boxes: NDArray[np.float32]) -> BoxGrades:
    """In each box, the building that fills most of it; ground is no building."""
    numbers = image[0].astype(np.int32) + 256 * image[1].astype(np.int32)
    numbers[image[2] != 255] = 0
    seen = []
    for left, top, right, bottom in boxes:
        part = numbers[int(top) : int(np.ceil(bottom)), int(left) : int(np.ceil(right))]
        seen.append(int(np.bincount(part[part > 0].ravel(), minlength=1).argmax()))
    return BoxGrades(
        np.array([score_of(number) if number else 0.0 for number in seen], np.float32),
        _probabilities([grade_of(number) for number in seen]),
    )


def _probabilities(grades: list[int]) -> NDArray[np.float32]:
    rows = [[0.7 if place == grade else 0.1 for place in range(4)] for grade in grades]
    return np.array(rows, np.float32).reshape(-1, len(MODEL_GRADES))


def _found(parts: list[Part], min_score: float) -> TileDetections:
    scored = [(score_of(number), number, at, mask) for number, at, mask in parts]
    kept = [one for one in scored if one[0] >= min_score]
    if not kept:
        return TileDetections.none()
    grades = [grade_of(number) for _, number, _, _ in kept]
    return TileDetections(
        boxes=np.array(
            [[at[1].start, at[0].start, at[1].stop, at[0].stop] for _, _, at, _ in kept],
            np.float32,
        ),
        masks=tuple(mask.astype(np.float32) for _, _, _, mask in kept),
        scores=np.array([score for score, _, _, _ in kept], np.float32),
        probabilities=_probabilities(grades),
    )
