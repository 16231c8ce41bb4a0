"""Raster tiles of clean COGs, stretched as the scene was stretched once, for the map."""

import io
import math
from functools import lru_cache
from typing import Any
from uuid import UUID

import numpy as np
from django.db import connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_GET
from numpy.typing import NDArray
from PIL import Image
from rio_tiler.errors import TileOutsideBounds
from rio_tiler.io import Reader

from detection.radiometry import Stretch
from unosat.accounts.actors import actor_of
from unosat.errors import NotFound
from unosat.ops import store
from unosat.scenes import selectors
from unosat.scenes.models import Scene

TILE_PX = 256
DEEPEST_ZOOM = 24
EQUATOR_PIXEL_M = 156_543.034  # of a tile of zoom 0
WEBP_QUALITY = 85
BLOCK_PX = 512  # side of a block of a clean COG
HEADER_BYTES = 64 * 1024  # fetched for each tile from a bucket: all but the tables of blocks
BYTES_PER_BLOCK = 48  # of tables at most: place and size, of image and mask, at all levels
# A scene's pixels never change; its owner may, so only the browser keeps them, and not for long.
CACHE = "private, max-age=3600"


@require_GET
def scene_tile(request: HttpRequest, scene_id: UUID, z: int, x: int, y: int) -> HttpResponse:
    """One tile as WebP; transparent where the scene is not."""
    scene = selectors.ready_scene(actor_of(request), scene_id)
    if z > DEEPEST_ZOOM or max(x, y) >= 2**z:
        raise NotFound("no such tile")
    if not connection.in_atomic_block:
        connection.close()  # reading pixels takes longer than asking for the scene did
    return HttpResponse(
        render(scene, z, x, y), content_type="image/webp", headers={"Cache-Control": CACHE}
    )


@require_GET
def scene_tilejson(request: HttpRequest, scene_id: UUID) -> HttpResponse:
    """Where a scene lies and at which zooms to ask for it (TileJSON 3.0)."""
    scene = selectors.ready_scene(actor_of(request), scene_id)
    return JsonResponse(tilejson(scene), headers={"Cache-Control": CACHE})


def tilejson(scene: Scene) -> dict[str, Any]:
    """What a map must know of a ready scene; addresses without a host."""
    if scene.footprint is None or not scene.pixel_size_m:
        raise NotFound("no footprint")
    west, south, east, north = scene.footprint.extent
    at_latitude = EQUATOR_PIXEL_M * math.cos(math.radians((south + north) / 2))
    deepest = math.ceil(math.log2(at_latitude / scene.pixel_size_m))
    levels = math.ceil(math.log2(max(scene.width, scene.height) / TILE_PX))
    return {
        "tilejson": "3.0.0",
        "name": scene.name,
        "tiles": [f"/api/v1/tiles/scenes/{scene.pk}/{{z}}/{{x}}/{{y}}.webp"],
        "bounds": [west, south, east, north],
        "minzoom": max(0, deepest - max(0, levels) - 1),
        "maxzoom": min(DEEPEST_ZOOM, max(0, deepest)),
        "attribution": scene.licence,
    }


def render(scene: Scene, z: int, x: int, y: int) -> bytes:
    """One tile of a ready scene as WebP with transparency."""
    shown = scene.stretch or {"bands": [1, 2, 3], "low": [0.0] * 3, "high": [255.0] * 3}
    wanted = sorted(set(shown["bands"]))
    try:
        with (
            store.reading(header_bytes(scene)),
            Reader(str(store.raster(scene.cog_key))) as reader,
        ):
            image = reader.tile(
                x, y, z, tilesize=TILE_PX, indexes=wanted, resampling_method="bilinear"
            )
    except TileOutsideBounds:
        return _nothing()
    pixels = image.data[[wanted.index(band) for band in shown["bands"]]]
    valid: NDArray[np.bool_] = image.mask > 0
    if not valid.any():
        return _nothing()
    stretch = Stretch(tuple(shown["low"]), tuple(shown["high"]))
    return _webp(stretch.apply(pixels, valid), valid)


def header_bytes(scene: Scene) -> int:
    """With all tables of blocks: what GDAL cannot fetch of them later it would show as empty."""
    blocks = math.ceil(scene.width / BLOCK_PX) * math.ceil(scene.height / BLOCK_PX)
    return HEADER_BYTES + BYTES_PER_BLOCK * blocks


def _webp(pixels: NDArray[np.uint8], valid: NDArray[np.bool_]) -> bytes:
    alpha = np.where(valid, 255, 0).astype(np.uint8)
    stacked = np.ascontiguousarray(np.moveaxis(np.concatenate([pixels, alpha[None]]), 0, -1))
    written = io.BytesIO()
    Image.fromarray(stacked).save(written, "WEBP", quality=WEBP_QUALITY, method=2)
    return written.getvalue()


@lru_cache(maxsize=1)
def _nothing() -> bytes:
    return _webp(np.zeros((3, TILE_PX, TILE_PX), np.uint8), np.zeros((TILE_PX, TILE_PX), np.bool_))
