"""Pictures of the ground around what is judged, cut from clean COGs on the server.

Crops, not a map: the next ones load before they are needed, and the outline is all that is drawn.
"""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rio_tiler.errors import RioTilerError
from rio_tiler.io import Reader

from detection.radiometry import Stretch
from unosat.ops import store
from unosat.quality.squares import View
from unosat.scenes.models import Scene

PICTURE_PX = 768
WEBP_QUALITY = 88
HEADER_BYTES = 256 * 1024


def picture(scene: Scene, view: View) -> bytes:
    """A view as WebP; black where the image shows nothing."""
    shown = scene.stretch or {"bands": [1, 2, 3], "low": [0.0] * 3, "high": [255.0] * 3}
    wanted = sorted(set(shown["bands"]))
    try:
        with store.reading(HEADER_BYTES), Reader(str(store.raster(scene.cog_key))) as reader:
            image = reader.part(
                view.bounds,
                bounds_crs="EPSG:3857",
                dst_crs="EPSG:3857",
                width=PICTURE_PX,
                height=PICTURE_PX,
                indexes=wanted,
                resampling_method="bilinear",
            )
    except RioTilerError:  # the view lies beside the image
        return _webp(np.zeros((3, PICTURE_PX, PICTURE_PX), np.uint8))
    pixels = image.data[[wanted.index(band) for band in shown["bands"]]]
    valid: NDArray[np.bool_] = image.mask > 0
    stretched = Stretch(tuple(shown["low"]), tuple(shown["high"])).apply(pixels, valid)
    return _webp(np.where(valid, stretched, 0).astype(np.uint8))


def _webp(pixels: NDArray[np.uint8]) -> bytes:
    if len(pixels) == 1:
        pixels = np.repeat(pixels, 3, axis=0)
    written = io.BytesIO()
    stacked = np.ascontiguousarray(np.moveaxis(pixels, 0, -1))
    Image.fromarray(stacked).save(written, "WEBP", quality=WEBP_QUALITY, method=2)
    return written.getvalue()
