"""Raster tiles of clean COGs for the map, stretched as the scene was once, or as a person wishes.

The whole wish is in the address (see looks.py), so each look is kept by the browser like any other.
"""

import math
from functools import lru_cache
from typing import Any
from uuid import UUID

import numpy as np
from django.db import connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_GET
from numpy.typing import NDArray
from rasterio.crs import CRS
from rio_tiler.errors import TileOutsideBounds
from rio_tiler.models import ImageData

from unosat.accounts.actors import actor_of
from unosat.errors import NotFound
from unosat.scenes import bands, selectors
from unosat.scenes.looks import Look
from unosat.scenes.models import Scene
from unosat.scenes.rasters import opened, webp

TILE_PX = 256
OVERVIEW_PX = 320  # longest side
DEEPEST_ZOOM = 24
EQUATOR_PIXEL_M = 156_543.034  # of a tile of zoom 0
# A scene's pixels never change; its owner may, so only the browser keeps them, and not for long.
MERCATOR, DEGREES = CRS.from_epsg(3857), CRS.from_epsg(4326)
CACHE = "private, max-age=3600"


@require_GET
def scene_tile(request: HttpRequest, scene_id: UUID, z: int, x: int, y: int) -> HttpResponse:
    """One tile as WebP; transparent where the scene is not."""
    scene, look = _asked(request, scene_id)
    if z > DEEPEST_ZOOM or max(x, y) >= 2**z:
        raise NotFound("no such tile")
    return _picture(render(scene, z, x, y, look))


@require_GET
def scene_overview(request: HttpRequest, scene_id: UUID) -> HttpResponse:
    """The whole scene as one small WebP; it covers the TileJSON's bounds, in Web Mercator."""
    return _picture(render_overview(*_asked(request, scene_id)))


def _asked(request: HttpRequest, scene_id: UUID) -> tuple[Scene, Look]:
    """The scene, and how it is to look; what the database must be asked is asked here."""
    scene = selectors.ready_scene(actor_of(request), scene_id)
    look = Look.read(request.GET.dict(), bands=scene.bands)
    if look.bands:
        bands.stretch_of(scene, look.bands)  # measured and stored now, if never before
    if not connection.in_atomic_block:
        connection.close()  # reading pixels takes longer than asking for the scene did
    return scene, look


def _picture(webp: bytes) -> HttpResponse:
    return HttpResponse(webp, content_type="image/webp", headers={"Cache-Control": CACHE})


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
        "bands": bands.names(scene),
        "shown": bands.shown(scene),
        "near_infrared": bands.near_infrared(scene),
    }


def render(scene: Scene, z: int, x: int, y: int, look: Look | None = None) -> bytes:
    """One tile of a ready scene as WebP with transparency; ``look`` None: as it is always shown."""
    look = look or Look()
    try:
        with opened(scene) as reader:
            image = reader.tile(
                x, y, z, tilesize=TILE_PX, indexes=_wanted(scene, look),
                resampling_method="bilinear",
            )  # fmt: skip
    except TileOutsideBounds:
        return _nothing()
    return _drawn(scene, look, image)


def render_overview(scene: Scene, look: Look) -> bytes:
    """All of a ready scene in at most ``OVERVIEW_PX`` pixels a side."""
    if scene.footprint is None:
        raise NotFound("no footprint")
    with opened(scene) as reader:
        image = reader.part(
            scene.footprint.extent, dst_crs=MERCATOR, bounds_crs=DEGREES, max_size=OVERVIEW_PX,
            indexes=_wanted(scene, look), resampling_method="bilinear",
        )  # fmt: skip
    return _drawn(scene, look, image)


def _wanted(scene: Scene, look: Look) -> list[int]:
    """The bands to read, each once."""
    return sorted(set(look.bands or bands.shown(scene)))


def _drawn(scene: Scene, look: Look, image: ImageData) -> bytes:
    """What was read of ``_wanted`` bands, as WebP."""
    valid: NDArray[np.bool_] = image.mask > 0
    if not valid.any():
        return _nothing()
    chosen, read = look.bands or bands.shown(scene), _wanted(scene, look)
    pixels = image.data[[read.index(band) for band in chosen]]
    stretch = look.of(bands.stretch_of(scene, chosen))
    return webp(stretch.apply(pixels, valid), valid)


@lru_cache(maxsize=1)
def _nothing() -> bytes:
    return webp(np.zeros((3, TILE_PX, TILE_PX), np.uint8), np.zeros((TILE_PX, TILE_PX), np.bool_))
