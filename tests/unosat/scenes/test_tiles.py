"""Raster tiles show the clean image, and nothing else."""

import io

import numpy as np
import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from morecantile import tms
from numpy.typing import NDArray
from PIL import Image

from tests.conftest import MakeGeotiff
from tests.unosat.makers import make_actor, make_organisation
from unosat.accounts.actors import Actor
from unosat.scenes import tasks, uploads
from unosat.scenes.models import Scene

pytestmark = pytest.mark.django_db
MERCATOR = tms.get("WebMercatorQuad")


@pytest.fixture
def actor() -> Actor:
    return make_actor(make_organisation())


@pytest.fixture
def signed_in(client: Client, actor: Actor) -> Client:
    client.force_login(User.objects.get(pk=actor.user_id or 0))
    return client


def ingested(
    actor: Actor, make_geotiff: MakeGeotiff, pixels: NDArray[np.generic], **said: str
) -> Scene:
    path = make_geotiff(pixels, nodata=0)
    scene = uploads.receive_file(
        actor,
        SimpleUploadedFile("a.tif", path.read_bytes()),
        {"event_name": "Storm", "phase": "after"} | said,
    )
    tasks.ingest(str(scene.pk))
    scene.refresh_from_db()
    assert scene.state == "ready"
    return scene


def tile(client: Client, scene: Scene, zoom: int) -> NDArray[np.uint8]:
    """The tile in the middle of a scene, shape (256, 256, 4)."""
    assert scene.footprint is not None
    lon, lat = scene.footprint.centroid.coords
    at = MERCATOR.tile(lon, lat, zoom)
    response = client.get(f"/api/v1/tiles/scenes/{scene.pk}/{zoom}/{at.x}/{at.y}.webp")
    assert response.status_code == 200
    assert response["Content-Type"] == "image/webp"
    assert "private" in response["Cache-Control"]
    return np.array(Image.open(io.BytesIO(response.content)).convert("RGBA"))


def test_a_tile_shows_the_pixels_of_the_clean_cog(
    signed_in: Client, actor: Actor, make_geotiff: MakeGeotiff
) -> None:
    pixels = np.zeros((3, 1024, 1024), np.uint8)
    pixels[0], pixels[1], pixels[2] = 200, 100, 50

    shown = tile(signed_in, ingested(actor, make_geotiff, pixels), zoom=18)

    assert np.abs(shown[128, 128].astype(int) - [200, 100, 50, 255]).max() <= 6


def test_nodata_is_transparent(signed_in: Client, actor: Actor, make_geotiff: MakeGeotiff) -> None:
    pixels = np.full((3, 1024, 1024), 90, np.uint8)
    pixels[:, :, :512] = 0

    shown = tile(signed_in, ingested(actor, make_geotiff, pixels), zoom=16)

    assert (shown[..., 3] == 0).any()
    assert (shown[..., 3] == 255).any()


def test_sixteen_bits_are_stretched_the_same_in_every_tile(
    signed_in: Client, actor: Actor, make_geotiff: MakeGeotiff
) -> None:
    ramp = np.linspace(400, 4000, 1024).astype(np.uint16)
    scene = ingested(actor, make_geotiff, np.broadcast_to(ramp, (1, 1024, 1024)).copy())

    (low, *_), (high, *_) = (scene.stretch or {})["low"], (scene.stretch or {})["high"]
    assert (low, high) == pytest.approx((472, 3928), abs=60)  # 2 and 98 per cent
    for zoom in (16, 17, 18):  # the middle of the ramp is the middle of the greys, in every tile
        assert scene.footprint is not None
        lon, lat = scene.footprint.centroid.coords
        box = MERCATOR.bounds(MERCATOR.tile(lon, lat, zoom))
        column = int((lon - box.left) / (box.right - box.left) * 256)
        row = int((box.top - lat) / (box.top - box.bottom) * 256)
        assert tile(signed_in, scene, zoom)[row, column, 0] == pytest.approx(127, abs=8)


def test_outside_the_scene_there_is_nothing_to_see(
    signed_in: Client, actor: Actor, make_geotiff: MakeGeotiff
) -> None:
    scene = ingested(actor, make_geotiff, np.full((3, 64, 64), 90, np.uint8))

    response = signed_in.get(f"/api/v1/tiles/scenes/{scene.pk}/16/0/0.webp")
    beyond = signed_in.get(f"/api/v1/tiles/scenes/{scene.pk}/3/8/0.webp")

    assert not np.array(Image.open(io.BytesIO(response.content)))[..., 3].any()
    assert (beyond.status_code, beyond.json()["code"]) == (404, "not_found")


def test_tilejson_says_where_and_how_deep(
    signed_in: Client, actor: Actor, make_geotiff: MakeGeotiff
) -> None:
    scene = ingested(actor, make_geotiff, np.full((3, 1024, 1024), 90, np.uint8))

    told = signed_in.get(f"/api/v1/tiles/scenes/{scene.pk}/tilejson.json").json()

    assert scene.footprint is not None
    assert told["bounds"] == list(scene.footprint.extent)
    assert (told["minzoom"], told["maxzoom"]) == (15, 18)
    assert told["tiles"] == [f"/api/v1/tiles/scenes/{scene.pk}/{{z}}/{{x}}/{{y}}.webp"]


def test_a_scene_without_clean_image_has_no_tiles(signed_in: Client, actor: Actor) -> None:
    scene = uploads.receive_file(
        actor, SimpleUploadedFile("a.tif", b"x"), {"event_name": "Storm", "phase": "after"}
    )

    response = signed_in.get(f"/api/v1/tiles/scenes/{scene.pk}/1/0/0.webp")

    assert (response.status_code, response.json()["code"]) == (409, "scene_not_ready")
