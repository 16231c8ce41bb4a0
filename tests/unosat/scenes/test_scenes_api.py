"""Events and scenes over HTTP."""

import re

import numpy as np
import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from tests.conftest import MakeGeotiff
from tests.unosat.makers import make_actor, make_organisation, ring
from unosat.accounts.actors import Actor
from unosat.scenes import tasks
from unosat.scenes.models import Event

pytestmark = pytest.mark.django_db


@pytest.fixture
def actor() -> Actor:
    return make_actor(make_organisation())


@pytest.fixture
def signed_in(client: Client, actor: Actor) -> Client:
    client.force_login(User.objects.get(pk=actor.user_id or 0))
    return client


def test_an_event_can_be_made_listed_and_read(signed_in: Client) -> None:
    event = {
        "name": "Storm", "kind": "storm", "date": "2026-10-01", "code": "TC-2026-000001-XXX",
        "area": ring(10, 40, 11, 41),
    }  # fmt: skip

    made = signed_in.post("/api/v1/events", event, content_type="application/json")
    again = signed_in.post("/api/v1/events", event, content_type="application/json")

    assert made.status_code == 201
    assert (again.status_code, again.json()["code"]) == (409, "event_name_taken")
    assert signed_in.get("/api/v1/events").json()["items"][0]["id"] == made.json()["id"]
    assert signed_in.get(f"/api/v1/events/{made.json()['id']}").json()["name"] == "Storm"
    area = Event.objects.get().area
    assert area is not None
    assert area.extent == (10, 40, 11, 41)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"date": "soon"}, "invalid_fields"),
        ({"kind": "party"}, "invalid_fields"),
        ({"name": ""}, "invalid_fields"),
        ({"area": {"type": "Point", "coordinates": [1, 2]}}, "bad_area"),
        ({"area": ring(100, 100, 200, 200)}, "bad_area"),
    ],
)
def test_events_that_make_no_sense_are_refused_in_one_shape(
    signed_in: Client, change: dict[str, object], code: str
) -> None:
    event = {"name": "Storm", "date": "2026-10-01"} | change

    response = signed_in.post("/api/v1/events", event, content_type="application/json")

    assert response.status_code == 422
    assert response.json()["code"] == code
    assert set(response.json()) == {"code", "message"}


def test_a_small_scene_is_sent_in_one_request_and_read_when_ready(
    signed_in: Client, make_geotiff: MakeGeotiff
) -> None:
    path = make_geotiff(np.full((3, 64, 64), 90, np.uint8))
    form = {
        "file": SimpleUploadedFile("after.tif", path.read_bytes()),
        "event_name": "Storm",
        "phase": "after",
        "sensor": "WV-3",
        "acquired_at": "2026-10-02T10:00:00Z",
    }

    sent = signed_in.post("/api/v1/scenes", form)

    assert (sent.status_code, sent.json()["state"]) == (202, "uploaded")
    tasks.ingest(sent.json()["id"])
    read = signed_in.get(f"/api/v1/scenes/{sent.json()['id']}").json()
    assert (read["state"], read["name"], read["epsg"]) == ("ready", "after.tif", 32637)
    assert len(read["bounds"]) == 4
    assert signed_in.get("/api/v1/scenes").json()["count"] == 1


def test_a_scene_without_event_is_refused(signed_in: Client) -> None:
    form = {"file": SimpleUploadedFile("after.tif", b"x"), "phase": "after"}

    response = signed_in.post("/api/v1/scenes", form)

    assert (response.status_code, response.json()["code"]) == (422, "bad_scene_facts")


def test_visitors_are_told_to_sign_in(client: Client) -> None:
    for address in ("/api/v1/scenes", "/api/v1/events", "/api/v1/uploads"):
        response = client.post(address, headers={"Tus-Resumable": "1.0.0"})
        assert (response.status_code, response.json()["code"]) == (401, "not_signed_in")


def test_every_answer_forbids_foreign_scripts(client: Client) -> None:
    response = client.get("/api/v1/openapi.json")

    assert response.status_code == 200
    assert "script-src 'self'" in response["Content-Security-Policy"]
    assert "unsafe-inline" not in response["Content-Security-Policy"]


@pytest.mark.parametrize("address", ["nowhere", "scenes/no-id", "tiles/scenes/no-id/1/1/1.webp"])
def test_an_address_that_is_not_there_is_refused_in_the_same_shape(
    signed_in: Client, address: str
) -> None:
    response = signed_in.get(f"/api/v1/{address}")

    assert response.status_code == 404
    assert response.json()["code"] == "not_found"


def test_the_documentation_page_asks_no_other_host(client: Client) -> None:
    page = client.get("/api/v1/docs").content.decode()

    sources = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert "/static/ninja/swagger-ui-bundle.js" in sources
    assert all(source.startswith("/static/") for source in sources)
