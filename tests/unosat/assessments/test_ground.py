"""Ground that nothing looked at is told as polygons, so that empty does not look like safe."""

import json

import pytest
import rasterio
from django.test import Client
from shapely.geometry import shape

from tests.unosat.makers import (
    STEP,
    WEST,
    bright,
    finish,
    make_actor,
    make_model,
    make_organisation,
    make_scene,
    make_user,
    scene_with_houses,
)
from unosat.accounts.models import Organisation
from unosat.assessments import detectors
from unosat.assessments.models import Assessment
from unosat.assessments.services import AssessmentRequest, create_assessment
from unosat.ops.store import store_path

pytestmark = pytest.mark.django_db(transaction=True)

SEEN_PX = 500  # of the image's 1024 columns; the tiles of the test's model are 256 wide


def assessment_of_half_an_image(organisation: Organisation) -> Assessment:
    pixels = scene_with_houses()
    pixels[:, :, SEEN_PX:] = 0
    scene = make_scene(organisation, pixels)
    with rasterio.open(store_path(scene.cog_key), "r+") as image:
        image.nodata = 0
    make_model()
    return create_assessment(make_actor(organisation), AssessmentRequest(scene=scene.pk))


def test_the_half_without_pixels_is_told_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detectors, "detector_of", bright)
    organisation = make_organisation()
    row = assessment_of_half_an_image(organisation)
    client = Client()
    client.force_login(make_user(organisation))
    address = f"/api/v1/assessments/{row.pk}/ground-not-analysed"

    waiting = client.get(address)
    finish(row)
    answer = client.get(address)

    assert (waiting.status_code, waiting.json()["code"]) == (404, "ground_unknown")
    assert answer.headers["Content-Type"] == "application/geo+json"
    told = json.loads(b"".join(answer))
    (gap,) = told["features"]
    assert gap["properties"] == {"reason": "nodata"}
    west, _, east, _ = shape(gap["geometry"]).bounds
    tile = 256 * STEP
    assert WEST + SEEN_PX * STEP <= west <= WEST + SEEN_PX * STEP + tile
    assert east == pytest.approx(WEST + 1024 * STEP, abs=STEP)
