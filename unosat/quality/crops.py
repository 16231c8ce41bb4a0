"""Pictures of the ground around what is judged, cut from clean COGs on the server.

Crops, not a map: the next ones load before they are needed, and the outline is all that is drawn.
"""

import numpy as np

from unosat.quality.squares import View
from unosat.scenes import rasters
from unosat.scenes.models import Scene

PICTURE_PX = 768
WEBP_QUALITY = 88


def picture(scene: Scene, view: View) -> bytes:
    """A view as WebP; black where the image shows nothing, or the view lies beside it."""
    found = rasters.cut(scene, view.bounds, "EPSG:3857", PICTURE_PX)
    if found is None:
        black = np.zeros((3, PICTURE_PX, PICTURE_PX), np.uint8)
        return rasters.webp(black, None, WEBP_QUALITY)
    pixels, valid = found
    if len(pixels) == 1:
        pixels = np.repeat(pixels, 3, axis=0)
    return rasters.webp(np.where(valid, pixels, 0).astype(np.uint8), None, WEBP_QUALITY)
