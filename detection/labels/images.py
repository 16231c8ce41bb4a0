"""Read the pixels of labelled images: files of our own training sets, never uploads."""

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.enums import Resampling
from rasterio.errors import NotGeoreferencedWarning, RasterioError

from detection.errors import UnreadableRaster

RGB_BANDS = [1, 2, 3]


@dataclass(frozen=True, slots=True)
class LabelledImage:
    """Pixels of one image and where they lie, if anywhere.

    Attributes:
        pixels: shape (3, H, W), uint8: red, green, blue.
        valid: shape (H, W), bool; False where there is no data.
        transform: (column, row) to (x, y) in ``crs``; the identity where there is no CRS.
        crs: None where the file has none.
    """

    pixels: NDArray[np.uint8]
    valid: NDArray[np.bool_]
    transform: Affine
    crs: CRS | None

    @property
    def pixel_size_m(self) -> float | None:
        """Ground size of a pixel in metres; None where the CRS does not count in metres."""
        if self.crs is None or not self.crs.is_projected:
            return None
        return float(abs(self.transform.determinant) ** 0.5 * self.crs.linear_units_factor[1])


def read_image(path: Path, *, pixel_size_m: float | None = None) -> LabelledImage:
    """Read three 8-bit bands.

    Args:
        path: a GeoTIFF, PNG or JPEG of at least three 8-bit bands.
        pixel_size_m: resample to this ground size, averaging; needs a CRS in metres.

    Raises:
        UnreadableRaster: the file cannot be decoded, is not 8-bit RGB, or its size in metres is
            needed and unknown.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            with rasterio.open(path) as dataset:
                return _read(dataset, pixel_size_m)
    except RasterioError as error:
        raise UnreadableRaster(f"{path.name}: {error}") from error


def _read(dataset: rasterio.DatasetReader, pixel_size_m: float | None) -> LabelledImage:
    if dataset.count < len(RGB_BANDS) or dataset.dtypes[0] != "uint8":
        raise UnreadableRaster(f"{dataset.name}: not three 8-bit bands")
    height, width = dataset.height, dataset.width
    if pixel_size_m is not None:
        if dataset.crs is None or not dataset.crs.is_projected:
            raise UnreadableRaster(f"{dataset.name}: its pixel size in metres is unknown")
        size_m = abs(dataset.transform.determinant) ** 0.5 * dataset.crs.linear_units_factor[1]
        height = max(1, round(height * size_m / pixel_size_m))
        width = max(1, round(width * size_m / pixel_size_m))
    pixels = dataset.read(
        RGB_BANDS, out_shape=(len(RGB_BANDS), height, width), resampling=Resampling.average
    )
    mask = dataset.dataset_mask(out_shape=(height, width), resampling=Resampling.nearest)
    scale = Affine.scale(dataset.width / width, dataset.height / height)
    return LabelledImage(pixels, mask > 0, dataset.transform * scale, dataset.crs)
