"""Clean COGs opened for pictures: whatever shows pixels to a person reads them through here."""

import io
import math
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rasterio.errors import WindowError
from rio_tiler.errors import RioTilerError
from rio_tiler.io import Reader

from unosat.ops import store
from unosat.scenes import bands
from unosat.scenes.models import Scene

WEBP_QUALITY = 85
BLOCK_PX = 512  # side of a block of a clean COG
HEADER_BYTES = 64 * 1024  # fetched from a bucket at each opening: all but the tables of blocks
BYTES_PER_BLOCK = 48  # of tables at most: place and size, of image and mask, at all levels


@contextmanager
def opened(scene: Scene) -> Iterator[Reader]:
    """A ready scene's COG, all of whose tables of blocks were fetched."""
    with (
        store.reading(header_bytes(scene), quick=True),
        Reader(str(store.raster(scene.cog_key))) as reader,
    ):
        yield reader


def header_bytes(scene: Scene) -> int:
    """With all tables of blocks: what GDAL cannot fetch of them later it would show as empty."""
    blocks = math.ceil(scene.width / BLOCK_PX) * math.ceil(scene.height / BLOCK_PX)
    return HEADER_BYTES + BYTES_PER_BLOCK * blocks


def cut(
    scene: Scene, bounds: tuple[float, float, float, float], crs: str, side_px: int
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]] | None:
    """A part of a ready scene as it is always shown.

    Args:
        scene: to cut from.
        bounds: west, south, east, north, in ``crs``.
        crs: of the bounds and of the picture, such as "EPSG:3857".
        side_px: width and height of the picture.

    Returns:
        Pixels of shape (bands, side, side), and which are valid; None if the scene lies elsewhere.
    """
    chosen = bands.shown(scene)
    wanted = sorted(set(chosen))
    try:
        with opened(scene) as reader:
            image = reader.part(
                bounds, bounds_crs=crs, dst_crs=crs, width=side_px, height=side_px,
                indexes=wanted, resampling_method="bilinear",
            )  # fmt: skip
    except (RioTilerError, WindowError):
        return None
    valid: NDArray[np.bool_] = image.mask > 0
    pixels = image.data[[wanted.index(band) for band in chosen]]
    return bands.stretch_of(scene, chosen).apply(pixels, valid), valid


def webp(
    pixels: NDArray[np.uint8], valid: NDArray[np.bool_] | None, quality: int = WEBP_QUALITY
) -> bytes:
    """Pixels of shape (bands, height, width) as WebP; ``valid`` None: without transparency."""
    if valid is not None:
        pixels = np.concatenate([pixels, np.where(valid, 255, 0).astype(np.uint8)[None]])
    written = io.BytesIO()
    stacked = np.ascontiguousarray(np.moveaxis(pixels, 0, -1))
    Image.fromarray(stacked).save(written, "WEBP", quality=quality, method=2)
    return written.getvalue()
