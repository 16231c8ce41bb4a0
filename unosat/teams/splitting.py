"""Cut a box on the ground into rectangles that tile it. Pure arithmetic, in degrees."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

Box = tuple[float, float, float, float]  # west, south, east, north
Points = NDArray[np.float64]  # shape (N, 2): longitude, latitude


@dataclass(frozen=True, slots=True)
class Cell:
    """One rectangle, and what people call it."""

    label: str
    box: Box


def grid(box: Box, *, columns: int, rows: int) -> list[Cell]:
    """Cells of equal size, row by row from the north-west: A1, B1, ... A2, ..."""
    xs = np.linspace(box[0], box[2], columns + 1)
    ys = np.linspace(box[3], box[1], rows + 1)
    return [
        Cell(
            f"{_letters(column)}{row + 1}",
            (float(xs[column]), float(ys[row + 1]), float(xs[column + 1]), float(ys[row])),
        )
        for row in range(rows)
        for column in range(columns)
    ]


def evenly(points: Points, box: Box, *, at_most: int) -> list[Cell]:
    """Cells with about as many points each, none with more than ``at_most`` if it can be cut.

    The box is halved at the median across its longer side, again and again. Neighbours get
    neighbouring numbers, so that people who take them in turn stay near each other.
    """
    return [Cell(str(number), cut) for number, cut in enumerate(_halved(points, box, at_most), 1)]


def _halved(points: Points, box: Box, at_most: int) -> Iterator[Box]:
    """The box, or what its two halves become."""
    if len(points) <= at_most:
        yield box
        return
    west, south, east, north = box
    width = (east - west) * math.cos(math.radians((south + north) / 2))
    axes = (0, 1) if width >= north - south else (1, 0)
    for axis in axes:
        at = _middle(points[:, axis])
        if at is None:
            continue
        lower = points[:, axis] < at
        if axis == 0:
            yield from _halved(points[lower], (west, south, at, north), at_most)
            yield from _halved(points[~lower], (at, south, east, north), at_most)
        else:
            yield from _halved(points[~lower], (west, at, east, north), at_most)
            yield from _halved(points[lower], (west, south, east, at), at_most)
        return
    yield box  # all points are at one place


def _middle(values: NDArray[np.float64]) -> float | None:
    """Between the two middle values that differ; None if all are the same."""
    ordered = np.unique(values)
    if len(ordered) < 2:
        return None
    place = int(np.clip(np.searchsorted(ordered, np.median(values)), 1, len(ordered) - 1))
    return float((ordered[place - 1] + ordered[place]) / 2)


def _letters(column: int) -> str:
    """A to Z, then AA, AB and so on."""
    letter = LETTERS[column % 26]
    return letter if column < 26 else _letters(column // 26 - 1) + letter
