"""Overviews of an image, made only where it has pixels; GDAL's own read all of a sparse one."""

import contextlib
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.enums import MaskFlags, Resampling
from rasterio.io import DatasetReader, DatasetWriter
from rasterio.windows import Window

ACROSS_BLOCKS = 4  # of an overview that are made at once


@contextlib.contextmanager
def overviews_of(image: Path, written: Mapping[str, Any]) -> Iterator[list[Path]]:
    """Overviews down to a single block, finest first, each a GeoTIFF; gone after the block.

    Args:
        image: a tiled, sparse GeoTIFF, with nodata or a mask of its own or neither.
        written: as rasterio was told to write it, and is told to write these.
    """
    levels = [image]
    try:
        while (size := _halved(levels[-1], written["blockxsize"])) is not None:
            levels.append(image.with_name(f"{image.name}.{len(levels)}"))
            _write_level(levels[-2], levels[-1], size, written)
        yield levels[1:]
    finally:
        for level in levels[1:]:
            level.unlink(missing_ok=True)


def _halved(image: Path, block_px: int) -> tuple[int, int] | None:
    """Width and height of the next level; None after the last."""
    with rasterio.open(image, driver="GTiff") as dataset:
        width, height = dataset.width, dataset.height
    if max(width, height) <= block_px:
        return None
    return -(-width // 2), -(-height // 2)


def _write_level(
    finer: Path, target: Path, size: tuple[int, int], written: Mapping[str, Any]
) -> None:
    (width, height), block_px = size, written["blockxsize"]
    with rasterio.open(finer, driver="GTiff") as source:
        filled = _filled(source, block_px)
        across, down = source.width / width, source.height / height
        profile = {
            "width": width, "height": height, "crs": source.crs, "count": source.count,
            "transform": source.transform @ Affine.scale(across, down),
            "dtype": source.dtypes[0], "nodata": source.nodata, **written,
        }  # fmt: skip
        with rasterio.open(target, "w", **profile) as level:
            for place in _places(width, height, block_px):
                from_ = Window(
                    place.col_off * across, place.row_off * down,
                    place.width * across, place.height * down,
                )  # fmt: skip
                if _has_pixels(filled, from_, block_px):
                    _write_part(source, from_, level, place)


def _filled(dataset: DatasetReader, block_px: int) -> NDArray[np.bool_]:
    """Which blocks were ever written, shape (block rows, block columns)."""
    rows, columns = -(-dataset.height // block_px), -(-dataset.width // block_px)
    offset = (
        dataset.get_tag_item(f"BLOCK_OFFSET_{column}_{row}", "TIFF", 1)
        for row in range(rows)
        for column in range(columns)
    )
    return np.array([found is not None for found in offset], np.bool_).reshape(rows, columns)


def _places(width: int, height: int, block_px: int) -> Iterator[Window]:
    step = ACROSS_BLOCKS * block_px
    for row in range(0, height, block_px):
        for column in range(0, width, step):
            yield Window(column, row, min(step, width - column), min(block_px, height - row))


def _has_pixels(filled: NDArray[np.bool_], window: Window, block_px: int) -> bool:
    first_row, first_column = int(window.row_off) // block_px, int(window.col_off) // block_px
    last_row = math.ceil((window.row_off + window.height) / block_px)
    last_column = math.ceil((window.col_off + window.width) / block_px)
    return bool(filled[first_row:last_row, first_column:last_column].any())


def _write_part(
    source: DatasetReader, window: Window, target: DatasetWriter, place: Window
) -> None:
    """Average what is valid; a pixel is valid if any below it is."""
    shape = (source.count, int(place.height), int(place.width))
    pixels = source.read(window=window, out_shape=shape, resampling=Resampling.average)
    if MaskFlags.per_dataset in source.mask_flag_enums[0]:
        mask = source.read_masks(
            1, window=window, out_shape=shape[1:], resampling=Resampling.average
        )
        target.write_mask(mask > 0, window=place)
    target.write(pixels, window=place)
