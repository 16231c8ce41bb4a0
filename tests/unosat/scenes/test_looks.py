"""A person chooses bands, brightness and contrast; the tile server works on the scene's numbers."""

import io
from typing import Any

import numpy as np
import pytest
from django.contrib.auth.models import User
from django.test import Client
from numpy.typing import NDArray
from PIL import Image

from detection.radiometry import Stretch
from tests.conftest import MakeGeotiff
from tests.unosat.makers import make_actor, make_organisation, make_user
from tests.unosat.scenes.test_tiles import MERCATOR, ingested
from unosat.accounts.actors import Actor
from unosat.scenes import bands
from unosat.scenes.looks import Look
from unosat.scenes.models import Scene

pytestmark = pytest.mark.django_db
SIDE = 1024


@pytest.fixture
def actor() -> Actor:
    return make_actor(make_organisation())


@pytest.fixture
def signed_in(client: Client, actor: Actor) -> Client:
    client.force_login(User.objects.get(pk=actor.user_id or 0))
    return client


@pytest.fixture
def ramps(actor: Actor, make_geotiff: MakeGeotiff) -> Scene:
    """Blue, green, red and near infrared in 16 bits; the last grows to the right, the others down.

    Green is everywhere twice blue, and red three times.
    """
    down = np.linspace(300, 1300, SIDE)[:, None] * np.ones(SIDE)
    right = np.linspace(2000, 6000, SIDE)[None, :] * np.ones((SIDE, 1))
    pixels = np.stack([down, 2 * down, 3 * down, right]).astype(np.uint16)
    return ingested(actor, make_geotiff, pixels, band_order="BGRN")


def middle(scene: Scene, zoom: int) -> str:
    assert scene.footprint is not None
    centre = scene.footprint.centroid
    at = MERCATOR.tile(centre.x, centre.y, zoom)
    return f"/api/v1/tiles/scenes/{scene.pk}/{zoom}/{at.x}/{at.y}.webp"


def seen(client: Client, scene: Scene, zoom: int = 17, **look: Any) -> NDArray[np.int64]:
    """The colours of the tile in the middle of a scene, shape (256, 256, 3)."""
    response = client.get(middle(scene, zoom), look)
    assert response.status_code == 200, response.content
    assert "private" in response["Cache-Control"]
    return np.array(Image.open(io.BytesIO(response.content)).convert("RGB")).astype(np.int64)


def test_bands_are_chosen_by_number(signed_in: Client, ramps: Scene) -> None:
    natural, false, grey = (
        seen(signed_in, ramps, bands=chosen) for chosen in ("3,2,1", "4,3,2", "4")
    )

    assert np.abs(natural - seen(signed_in, ramps)).max() == 0
    across = np.ptp(natural.mean(axis=0), axis=0)
    assert across.max() < 6  # the visible bands do not change to the right
    assert np.ptp(false.mean(axis=0), axis=0)[0] > 60  # near infrared does, and is shown as red
    assert np.abs(grey[..., 0] - grey[..., 1]).max() <= 2
    assert np.ptp(grey.mean(axis=0)) > 60


def test_a_band_without_a_stored_range_is_measured_once(signed_in: Client, ramps: Scene) -> None:
    seen(signed_in, ramps, bands="4")

    ramps.refresh_from_db()
    stored = (ramps.stretch or {})["others"]
    assert stored == {"4": pytest.approx((2080, 5920), abs=40)}  # 2 and 98 per cent
    other = {"4": [0.0, 10.0]}
    Scene.objects.filter(pk=ramps.pk).update(stretch=(ramps.stretch or {}) | {"others": other})
    assert seen(signed_in, ramps, bands="4").min() > 250  # it is read, not measured again


@pytest.mark.parametrize("zoom", [16, 17])
def test_brighter_is_brighter_and_more_contrast_is_steeper(
    signed_in: Client, ramps: Scene, zoom: int
) -> None:
    lights = [
        seen(signed_in, ramps, zoom, bands="4", brightness=step).mean()
        for step in (-60, -20, 0, 40)
    ]
    spreads = [
        seen(signed_in, ramps, zoom, bands="4", contrast=step).std() for step in (-80, -30, 0, 30)
    ]

    assert lights == sorted(set(lights))
    assert spreads == sorted(set(spreads))


def test_high_contrast_shows_sixteen_bits_and_no_steps_of_eight(
    signed_in: Client, ramps: Scene
) -> None:
    columns = seen(signed_in, ramps, 18, bands="4", contrast=100)[..., 0].mean(axis=0)

    rising = columns[(columns > 20) & (columns < 235)]
    assert len(rising) > 40
    places = np.arange(len(rising))
    off = rising - np.polyval(np.polyfit(places, rising, 1), places)
    # Made from the 8 bits that are shown without it, it would be steps of 8: off by 8 / sqrt(12).
    assert off.std() < 1.6


def test_a_look_is_one_stretch_that_brightness_moves_and_contrast_narrows() -> None:
    own = Stretch((100.0,), (900.0,))

    assert Look().of(own) is own
    assert Look(brightness=25).of(own) == Stretch((-100.0,), (700.0,))
    assert Look(contrast=100).of(own) == Stretch((450.0,), (550.0,))
    assert Look(contrast=-100).of(own) == Stretch((-2700.0,), (3700.0,))


@pytest.mark.parametrize(
    ("look", "why"),
    [
        ({"bands": "5"}, "4 bands"),
        ({"bands": "0,1,2"}, "4 bands"),
        ({"bands": "4,3"}, "three for red"),
        ({"bands": "red"}, "three for red"),
        ({"bands": "1,2,3,4"}, "three for red"),
        ({"bands": "٤"}, "three for red"),
        ({"brightness": "101"}, "brightness as a whole number"),
        ({"brightness": "1e2"}, "brightness as a whole number"),
        ({"contrast": "-101"}, "contrast as a whole number"),
        ({"contrast": "nan"}, "contrast as a whole number"),
    ],
)
def test_looks_that_there_are_not_are_refused_with_a_sentence(
    signed_in: Client, ramps: Scene, look: dict[str, str], why: str
) -> None:
    for address in (middle(ramps, 17), f"/api/v1/tiles/scenes/{ramps.pk}/overview.webp"):
        response = signed_in.get(address, look)

        assert (response.status_code, response.json()["code"]) == (422, "bad_look")
        assert why in response.json()["message"]


def test_the_overview_is_all_of_the_scene_in_the_same_look(signed_in: Client, ramps: Scene) -> None:
    response = signed_in.get(f"/api/v1/tiles/scenes/{ramps.pk}/overview.webp", {"bands": "4"})

    whole = np.array(Image.open(io.BytesIO(response.content)))
    assert max(whole.shape) == 320
    left, right = whole[100:200, 40, 0].mean(), whole[100:200, 280, 0].mean()
    assert right - left > 120


def test_another_organisations_scene_has_no_look(client: Client, ramps: Scene) -> None:
    client.force_login(make_user(make_organisation()))

    for look in ({}, {"bands": "4"}, {"bands": "99"}):
        assert client.get(middle(ramps, 17), look).status_code == 404
    ramps.refresh_from_db()
    assert "others" not in (ramps.stretch or {})


def test_the_near_infrared_band_is_known_or_said_not_to_be(
    signed_in: Client, actor: Actor, ramps: Scene, make_geotiff: MakeGeotiff
) -> None:
    told = signed_in.get(f"/api/v1/tiles/scenes/{ramps.pk}/tilejson.json").json()
    assert (told["bands"], told["shown"]) == (["blue", "green", "red", "nir"], [3, 2, 1])
    assert told["near_infrared"] == 4

    pixels = np.tile(np.arange(1, 65, dtype=np.uint16), (4, 64, 1))
    guessed = ingested(actor, make_geotiff, pixels)
    told = signed_in.get(f"/api/v1/tiles/scenes/{guessed.pk}/tilejson.json").json()
    assert (told["bands"], told["near_infrared"]) == (["", "", "", ""], None)


@pytest.mark.parametrize(
    ("sensor", "count", "visible", "infrared"),
    [
        ("WorldView-3", 8, [5, 3, 2], 7),
        ("DigitalGlobe WV02", 8, [5, 3, 2], 7),
        ("WorldView-3", 4, [3, 2, 1], None),  # four bands come in two orders
        ("WorldView-3", 8, [3, 2, 1], None),  # stated to be something else
        ("WorldView-1", 8, [5, 3, 2], None),
        ("", 8, [5, 3, 2], None),
    ],
)
def test_only_a_sensor_with_one_order_of_bands_tells_near_infrared(
    sensor: str, count: int, visible: list[int], infrared: int | None
) -> None:
    scene = Scene(sensor=sensor, bands=count, stretch={"bands": visible, "low": [], "high": []})

    assert bands.near_infrared(scene) == infrared
