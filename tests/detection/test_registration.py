"""Shifts that were made are found again."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from detection.registration import agreement, best_shift, gradients

MOST_PX = 20


def town(seed: int, size: int = 160) -> NDArray[np.float32]:
    """Rectangles of many sizes, with soft edges."""
    dice = np.random.default_rng(seed)
    picture = np.zeros((size, size), np.float32)
    for _ in range(25):
        row, column = dice.integers(20, size - 40, 2)
        high, wide = dice.integers(4, 18, 2)
        picture[row : row + high, column : column + wide] = dice.uniform(0.4, 1)
    return ndimage.gaussian_filter(picture, 1.0)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 99), right=st.floats(-18, 18), down=st.floats(-18, 18))
def test_a_shift_between_pixels_is_found(seed: int, right: float, down: float) -> None:
    moving = town(seed)
    fixed = ndimage.shift(moving, (down, right), order=3)

    found = best_shift(fixed - fixed.mean(), moving, most_px=MOST_PX)

    assert (found.right_px, found.down_px) == pytest.approx((right, down), abs=0.25)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 99), right=st.integers(-18, 18), down=st.integers(-18, 18))
def test_phase_correlation_of_gradients_bears_other_light_and_noise(
    seed: int, right: int, down: int
) -> None:
    moving = town(seed)
    noise = np.random.default_rng(seed).normal(0, 0.02, moving.shape)
    slope = np.linspace(0, 2, moving.shape[1])
    fixed = 0.4 * np.roll(moving, (down, right), (0, 1)) + slope + noise

    found = best_shift(gradients(fixed), gradients(moving), most_px=MOST_PX, whiten=True)

    assert (found.right_px, found.down_px) == pytest.approx((right, down), abs=0.5)


def test_a_true_peak_is_surer_than_one_of_chance() -> None:
    true = best_shift(town(1), town(1), most_px=MOST_PX)
    chance = best_shift(town(1), town(2), most_px=MOST_PX)

    assert true.sureness > 2 * max(chance.sureness, 0.1)


def test_nothing_agrees_with_nothing() -> None:
    nothing = np.zeros((40, 50), np.float32)

    assert not agreement(nothing, town(1)[:40, :50], most_px=5).any()
    assert best_shift(nothing, nothing, most_px=5).sureness == 0
