"""Any sensor to eight bits, once per scene."""

import numpy as np
import pytest

from detection.radiometry import Stretch


def test_colour_in_eight_bits_stays_as_it_is_and_nodata_is_black() -> None:
    image = np.arange(12, dtype=np.uint8).reshape(3, 2, 2) + 100
    valid = np.array([[True, True], [True, False]])

    out = Stretch.none().apply(image, valid)

    assert (out[:, valid] == image[:, valid]).all()
    assert (out[:, 1, 1] == 0).all()


def test_percentiles_become_black_and_white() -> None:
    samples = np.tile(np.arange(1001, dtype=np.uint16), (3, 1)) + 200

    stretch = Stretch.fit(samples)

    assert stretch.low == pytest.approx((220,) * 3)
    assert stretch.high == pytest.approx((1180,) * 3)


def test_rare_bright_roofs_widen_the_stretch_of_a_flat_scene() -> None:
    samples = np.full((1, 100_000), 500, np.uint16)
    samples[:, :1500] = 3000

    stretch = Stretch.fit(samples)
    image = np.array([[[500, 1000, 3000]]], np.uint16)

    dark, middle, bright = stretch.apply(image, np.ones((1, 3), np.bool_))[0, 0]
    assert dark < middle < bright == 255


def test_a_constant_scene_is_black_not_an_error() -> None:
    stretch = Stretch.fit(np.full((3, 50), 7, np.uint16))

    assert (stretch.apply(np.full((3, 2, 2), 7, np.uint16), np.ones((2, 2), np.bool_)) == 0).all()


def test_nothing_cannot_be_fitted() -> None:
    with pytest.raises(ValueError, match="no valid pixel"):
        Stretch.fit(np.zeros((3, 0), np.uint16))
