"""From a key and a file to a ready scene, through the real web and worker processes."""

import time
from typing import Any

import numpy as np
import pytest
import requests
from django.db import connection

from tests.conftest import MakeGeotiff
from tests.live import Stack
from tests.unosat.makers import make_actor, make_organisation
from unosat.accounts import services

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_partner_sends_an_image_and_reads_what_became_of_it(
    live_stack: Stack, make_geotiff: MakeGeotiff
) -> None:
    _, text = services.create_key(make_actor(make_organisation(), "admin"), name="partner")
    connection.close()
    key = {"Authorization": f"Bearer {text}"}
    good = make_geotiff(np.full((3, 700, 600), 90, np.uint8), name="good.tif")
    bad = make_geotiff(np.full((3, 64, 64), 90, np.uint8), crs=None, name="bad.tif")

    sent = [send(live_stack, key, path.read_bytes()) for path in (good, bad)]
    ready, refused = (read_when_checked(live_stack, key, scene["id"]) for scene in sent)

    assert (ready["state"], ready["width"], ready["warnings"]) == ("ready", 600, [])
    assert (refused["state"], refused["refusal_code"]) == ("refused", "missing_georeference")
    assert refused["refusal_message"].endswith(".")


def send(stack: Stack, key: dict[str, str], data: bytes) -> dict[str, Any]:
    """The scene as it was answered."""
    response = requests.post(
        f"{stack.url}api/v1/scenes",
        headers=key,
        data={"event_name": "Storm", "phase": "after"},
        files={"file": ("after.tif", data)},
        timeout=60,
    )
    assert response.status_code == 202
    return dict(response.json())


def read_when_checked(stack: Stack, key: dict[str, str], scene_id: str) -> dict[str, Any]:
    """The scene once its check is over."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        found = requests.get(f"{stack.url}api/v1/scenes/{scene_id}", headers=key, timeout=30).json()
        if found["state"] in {"ready", "refused"}:
            return dict(found)
        time.sleep(0.3)
    raise AssertionError(f"still {found['state']}")
