"""Training over HTTP."""

from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.test import Client

from tests.unosat.training.world import World
from unosat.accounts.actors import Actor
from unosat.accounts.services import create_key
from unosat.training.models import TrainingRun


@pytest.fixture
def admin(world: World, client: Client) -> Client:
    """Signed in as the world's admin."""
    client.force_login(User.objects.get(pk=world.admin.must_be_a_person()))
    return client


def taught(world: World) -> None:
    area = world.area(50, 60, 150, 140)
    world.decide(world.inside(area)[0], "destroyed")


def test_pressing_retrain_answers_with_the_run_and_its_address_shows_it(
    world: World, admin: Client
) -> None:
    taught(world)

    preview = admin.get("/api/v1/training-runs/preview").json()
    started = admin.post("/api/v1/training-runs")

    assert preview["possible"]
    assert preview["decisions"] == 1
    assert started.status_code == 202
    run = started.json()
    assert run["state"] == "waiting"
    assert admin.get(f"/api/v1/training-runs/{run['id']}").json() == run
    assert admin.get("/api/v1/training-runs").json() == [run]
    assert admin.get("/api/v1/training-runs/preview").json()["under_way"] == run["id"]


def test_refusals_have_the_one_shape(world: World, admin: Client) -> None:
    nothing = admin.post("/api/v1/training-runs")
    missing = admin.get(f"/api/v1/training-runs/{uuid4()}")

    assert (nothing.status_code, nothing.json()["code"]) == (409, "nothing_to_learn")
    assert (missing.status_code, missing.json()["code"]) == (404, "not_found")
    assert set(nothing.json()) == {"code", "message"}
    assert not TrainingRun.objects.filter(organisation=world.admin.organisation_id).exists()


def test_cancelling_twice_is_refused_the_second_time(world: World, admin: Client) -> None:
    taught(world)
    run = admin.post("/api/v1/training-runs").json()["id"]

    first = admin.post(f"/api/v1/training-runs/{run}/cancel")
    second = admin.post(f"/api/v1/training-runs/{run}/cancel")

    assert first.json()["state"] == "cancelled"
    assert (second.status_code, second.json()["code"]) == (409, "training_over")


def test_versions_come_with_their_cards_and_the_active_one_first(
    world: World, admin: Client
) -> None:
    (version,) = admin.get("/api/v1/model-versions").json()

    assert version["active"]
    assert version["shipped"]
    assert version["card"]["licence"] == "CC-BY-NC-SA-4.0"
    again = admin.post(
        f"/api/v1/model-versions/{world.version.pk}/activate",
        {"replaces": str(world.version.pk)},
        content_type="application/json",
    )
    assert again.status_code == 200


def test_a_partners_key_opens_none_of_it(world: World, client: Client) -> None:
    admin = Actor(world.admin.organisation_id, world.admin.user_id, None, "admin")
    _, key = create_key(admin, name="partner")
    headers = {"authorization": f"Bearer {key}"}

    for path in ("training-runs", "training-runs/preview", "model-versions"):
        assert client.get(f"/api/v1/{path}", headers=headers).status_code == 403
    assert client.post("/api/v1/training-runs", headers=headers).status_code == 403
