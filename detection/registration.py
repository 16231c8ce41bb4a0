"""How far one picture must be moved to lie on another: correlation by Fourier. No images here.

Two pictures of one grid are compared at every whole shift up to a limit, and the best is refined
between pixels. ``best_shift`` correlates as they are, which suits maps of what is there;
with ``whiten`` it is phase correlation, which suits ``gradients`` of two photographs.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft

Picture = NDArray[np.floating[Any]] | NDArray[np.complexfloating[Any, Any]]
NEAR_PX = 6  # around the peak; what lies farther away tells how high chance alone would reach
# Wholly whitened, the grid that JPEG leaves in two images fits best unmoved. Measured as in
# ``detection.before``: an exponent of 1 finds fewer shifts surely, 0.5 more wrong ones.
WHITENING = 0.7
SMOOTH_PX = 1.0
FLATTEST = 1e-3  # share of the mean strength below which a frequency is noise


@dataclass(frozen=True, slots=True)
class Shift:
    """Where the moving picture fits the fixed one best.

    Attributes:
        right_px: move it so far to the right; negative is to the left.
        down_px: move it so far down.
        sureness: height of the peak above the highest value that is not near it, in standard
            deviations of all those.
    """

    right_px: float
    down_px: float
    sureness: float


def gradients(picture: NDArray[Any]) -> NDArray[np.complex64]:
    """Differences across (real) and down (imaginary), shape (H, W), of a picture of (H, W)."""
    down, right = np.gradient(picture.astype(np.float32))
    field = np.empty(picture.shape, np.complex64)
    field.real, field.imag = right, down
    return field


def best_shift(fixed: Picture, moving: Picture, *, most_px: int, whiten: bool = False) -> Shift:
    """The shift of ``moving`` that fits ``fixed`` best.

    Args:
        fixed: shape (H, W), real or complex; zero where nothing is known.
        moving: the same shape.
        most_px: the largest shift looked for, in pixels, along either axis.
        whiten: let frequencies count nearly alike (phase correlation), the highest least.
    """
    return peak_of(agreement(fixed, moving, most_px=most_px, whiten=whiten))


def agreement(
    fixed: Picture, moving: Picture, *, most_px: int, whiten: bool = False
) -> NDArray[np.float64]:
    """How well two pictures agree at each shift.

    Returns:
        Shape (2 most_px + 1, 2 most_px + 1): row and column ``most_px`` stand for no shift; in
        standard deviations from the mean.
    """
    shape = tuple(fft.next_fast_len(length + most_px) for length in fixed.shape)
    spectrum = fft.fft2(fixed, shape) * np.conj(fft.fft2(moving, shape))
    if whiten:
        strength = np.abs(spectrum)
        least = FLATTEST * max(float(strength.mean()), 1e-12)
        spectrum *= _low_pass(shape) / np.maximum(strength, least) ** WHITENING
    whole = fft.ifft2(spectrum).real
    side = np.arange(-most_px, most_px + 1)
    near = whole[np.ix_(side % shape[0], side % shape[1])].astype(np.float64)
    spread = float(near.std())
    return (near - near.mean()) / spread if spread > 0 else np.zeros_like(near)


def _low_pass(shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Dampens what only noise and compression tell apart, shape as given."""
    down, across = (np.exp(-2 * (np.pi * SMOOTH_PX * fft.fftfreq(n)) ** 2) for n in shape)
    return np.asarray(down[:, None] * across[None, :], np.float32)


def peak_of(surface: NDArray[np.float64]) -> Shift:
    """The highest place of what ``agreement`` returns, between pixels, and how clear it is."""
    middle = surface.shape[0] // 2
    row, column = (int(n) for n in np.unravel_index(surface.argmax(), surface.shape))
    far = np.ones(surface.shape, np.bool_)
    far[
        max(0, row - NEAR_PX) : row + NEAR_PX + 1, max(0, column - NEAR_PX) : column + NEAR_PX + 1
    ] = 0
    others = surface[far]
    spread = float(others.std()) if others.size else 0.0
    clear = (surface[row, column] - others.max()) / spread if spread > 0 else 0.0
    return Shift(
        column + _between(surface[row, :], column) - middle,
        row + _between(surface[:, column], row) - middle,
        float(clear),
    )


def _between(values: NDArray[np.float64], at: int) -> float:
    """Where a parabola through a value and its neighbours is highest, in pixels from it."""
    if not 0 < at < len(values) - 1:
        return 0.0
    before, here, after = (float(value) for value in values[at - 1 : at + 2])
    bend = before - 2 * here + after
    return 0.5 * (before - after) / bend if bend < 0 else 0.0
