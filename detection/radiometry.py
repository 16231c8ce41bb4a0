"""Bring any sensor's numbers to the 8-bit range the model was trained on."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

LOW_PERCENT = 2.0
HIGH_PERCENT = 98.0
# Small bright roofs on flat ground lie above the 98th percentile, which is then hardly above the
# 2nd. The stretch never spans less than this part of the range that nearly all pixels lie in.
LEAST_SPAN = 0.25
NEARLY_ALL_PERCENT = (0.1, 99.9)


@dataclass(frozen=True, slots=True)
class Stretch:
    """A linear stretch per band. Fit once per scene: fitted per tile, seams would show.

    Attributes:
        low: one number per band: the value that becomes 0.
        high: the value that becomes 255; above ``low`` unless the band is constant.
    """

    low: tuple[float, ...]
    high: tuple[float, ...]

    @classmethod
    def none(cls) -> Self:
        """Leaves 8-bit colour as it is, which is what the models were trained on."""
        return cls((0.0, 0.0, 0.0), (255.0, 255.0, 255.0))

    @classmethod
    def fit(cls, samples: NDArray[np.generic]) -> Self:
        """Choose the stretch from a scene's valid pixels.

        Args:
            samples: shape (C, N), any numeric dtype; N at least 1.

        Raises:
            ValueError: there is no pixel.
        """
        if samples.shape[1] == 0:
            raise ValueError("no valid pixel to fit a stretch to")
        percents = [LOW_PERCENT, HIGH_PERCENT, *NEARLY_ALL_PERCENT]
        low, high, least, most = np.percentile(samples.astype(np.float64), percents, axis=1)
        floor, ceiling = samples.min(axis=1), samples.max(axis=1)
        rare = (most - least) <= 0  # fewer than one pixel in a thousand differs: take what there is
        whole = np.where(rare, ceiling.astype(np.float64) - floor, most - least)
        high = np.maximum(high, low + LEAST_SPAN * whole)
        return cls(tuple(np.round(low, 3).tolist()), tuple(np.round(high, 3).tolist()))

    def apply(self, image: NDArray[np.generic], valid: NDArray[np.bool_]) -> NDArray[np.uint8]:
        """Stretch an image of shape (C, H, W); nodata and constant bands come out 0."""
        if self == Stretch.none() and image.dtype == np.uint8:
            return np.where(valid, image, 0).astype(np.uint8)
        low = np.array(self.low, np.float32)[:, None, None]
        high = np.array(self.high, np.float32)[:, None, None]
        span = np.where(high > low, high - low, np.float32(np.inf))
        scaled = np.clip((image.astype(np.float32) - low) / span, 0, 1) * np.float32(255)
        return np.where(valid, scaled, 0).astype(np.uint8)
