"""Chance that can be repeated, and noise that is the same however a scene is cut."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")
SQRT_3 = 3.0**0.5
MIDDLE = 1 << 20  # seeds must not be negative; blocks left of the origin are


class Dice:
    """A fast stream of random choices that depends on nothing but its seeds.

    Attributes:
        generator: numpy's, of the same stream, for many numbers at once.
    """

    def __init__(self, *seeds: int) -> None:
        self.generator = np.random.default_rng([seed + MIDDLE for seed in seeds])
        self._ready: list[float] = []

    def random(self) -> float:
        """Return the next number in [0, 1)."""
        if not self._ready:
            self._ready = self.generator.random(64).tolist()
        return self._ready.pop()

    def between(self, low: float, high: float) -> float:
        """Return a number in [low, high)."""
        return low + (high - low) * self.random()

    def whole(self, low: int, high: int) -> int:
        """Return an integer from low to high, both included."""
        return low + int((high - low + 1) * self.random())

    def chance(self, probability: float) -> bool:
        """Whether something of this probability happens."""
        return self.random() < probability

    def pick(self, choices: Sequence[T]) -> T:
        """Return one of several, all equally likely."""
        return choices[int(self.random() * len(choices))]

    def weighted(self, weights: Sequence[float]) -> int:
        """Return an index, as likely as its weight."""
        rest = self.random() * sum(weights)
        for index, weight in enumerate(weights):
            rest -= weight
            if rest < 0:
                return index
        return len(weights) - 1

    def normal(self) -> float:
        """Return a number of mean 0 and standard deviation 1, never beyond 3.5."""
        four = self.random() + self.random() + self.random() + self.random()
        return (four - 2.0) * SQRT_3


def smooth_noise(
    seed: int, x: NDArray[np.float64], y: NDArray[np.float64], spacing: float
) -> NDArray[np.float32]:
    """Noise that varies over ``spacing`` and depends on the place only.

    Args:
        seed: another seed, another pattern.
        x: shape (W,), ascending positions of the columns, in the unit of ``spacing``.
        y: shape (H,), ascending positions of the rows.
        spacing: distance between independent values.

    Returns:
        Shape (H, W), in [-1, 1].
    """
    first_col, across = _weights(x / spacing)
    first_row, down = _weights(y / spacing)
    cols = np.arange(first_col, first_col + across.shape[1])
    rows = np.arange(first_row, first_row + down.shape[1])
    lattice = _hashed(seed, rows[:, None], cols[None, :])
    noise: NDArray[np.float32] = (down @ lattice @ across.T).astype(np.float32)
    return noise


def _weights(position: NDArray[np.float64]) -> tuple[int, NDArray[np.float64]]:
    """Interpolation weights, shape (positions, lattice points), and the first lattice point."""
    base = np.floor(position).astype(np.int64)
    part = position - base
    eased = part * part * (3.0 - 2.0 * part)
    first = int(base[0])
    matrix = np.zeros((len(position), int(base[-1]) - first + 2))
    index = np.arange(len(position))
    matrix[index, base - first] = 1.0 - eased
    matrix[index, base - first + 1] = eased
    return first, matrix


def _hashed(seed: int, rows: NDArray[np.int64], cols: NDArray[np.int64]) -> NDArray[np.float64]:
    """One value in [-1, 1) for each (row, column): integer mixing, so no table is needed."""
    offset = np.uint64(seed + MIDDLE)
    mixed = (
        (rows + MIDDLE).astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        ^ (cols + MIDDLE).astype(np.uint64) * np.uint64(0xC2B2AE3D27D4EB4F)
        ^ offset * np.uint64(0x165667B19E3779F9 & 0xFFFFFFFF)
    )
    for shift, factor in ((29, 0xBF58476D1CE4E5B9), (32, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    mixed ^= mixed >> np.uint64(31)
    return (mixed >> np.uint64(11)).astype(np.float64) / float(1 << 52) - 1.0
