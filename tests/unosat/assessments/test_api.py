"""Assessments over HTTP: shapes, statuses, and the same answer to the same key."""

from uuid import uuid4

import pytest
from django.test import Client

from tests.unosat.makers import (
    make_done_assessment,
    make_model,
    make_organisation,
    make_scene,
    make_user,
)
from unosat.assessments.models import Assessment
from unosat.scenes.models import Scene
from unosat.training.models import ModelVersion

pytestmark = pytest.mark.django_db

ADDRESS = "/api/v1/assessments"
JSON = "application/json"


@pytest.fixture
def scene() -> Scene:
    make_model()
    return make_scene(make_organisation())


@pytest.fixture
def client(scene: Scene) -> Client:
    client = Client()
    client.force_login(make_user(scene.organisation))
    return client


def test_starting_answers_202_with_what_there_is_to_know(scene: Scene, client: Client) -> None:
    answer = client.post(ADDRESS, {"scene": str(scene.pk)}, content_type=JSON)

    assert answer.status_code == 202
    told = answer.json()
    assert (told["state"], told["tiles_done"], told["seconds_left"]) == ("waiting", 0, None)
    assert told["model"].startswith("bright@")
    assert len(told["bounds"]) == 4
    assert client.get(f"{ADDRESS}/{told['id']}").json() == told


def test_the_same_key_twice_starts_one_assessment(scene: Scene, client: Client) -> None:
    def post(key: str, **facts: object) -> tuple[int, str]:
        body = {"scene": str(scene.pk)} | facts
        answer = client.post(ADDRESS, body, content_type=JSON, headers={"Idempotency-Key": key})
        told = answer.json()
        return answer.status_code, told.get("id") or told["code"]

    first = post("k1")

    assert post("k1") == first
    assert post("k1", min_score=0.8) == (422, "idempotency_key_reused")
    assert post("k2") != first
    assert post("k" * 121) == (422, "invalid_fields")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 422, "invalid_fields"),
        ({"scene": "x"}, 422, "invalid_fields"),
        ({"scene": str(uuid4())}, 404, "not_found"),
    ],
)
def test_what_cannot_start_is_refused_in_one_shape(
    client: Client, body: dict[str, str], status: int, code: str
) -> None:
    answer = client.post(ADDRESS, body, content_type=JSON)

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert set(answer.json()) == {"code", "message"}


def test_only_ones_own_assessments_are_listed(scene: Scene, client: Client) -> None:
    mine = make_done_assessment(scene.organisation)
    make_done_assessment(make_organisation())

    assert [row["id"] for row in client.get(ADDRESS).json()] == [str(mine.pk)]
    assert client.get(f"{ADDRESS}?scene={scene.pk}").json() == []


def test_a_long_list_is_fetched_in_pages_that_miss_none(scene: Scene, client: Client) -> None:
    version = ModelVersion.objects.get()
    Assessment.objects.bulk_create(
        Assessment(organisation=scene.organisation, scene=scene, model_version=version)
        for _ in range(205)
    )

    pages = [client.get(f"{ADDRESS}?limit=200&offset={offset}").json() for offset in (0, 200, 400)]

    assert [len(page) for page in pages] == [200, 5, 0]
    seen = [row["id"] for page in pages for row in page]
    newest_first = Assessment.objects.order_by("-created_at", "pk").values_list("pk", flat=True)
    assert seen == [str(pk) for pk in newest_first]


def test_what_is_done_cannot_be_cancelled(scene: Scene, client: Client) -> None:
    row = make_done_assessment(scene.organisation)
    waiting = Assessment.objects.create(
        organisation=scene.organisation, scene=scene, model_version=row.model_version
    )

    assert client.post(f"{ADDRESS}/{row.pk}/cancel").json()["code"] == "already_finished"
    assert client.post(f"{ADDRESS}/{waiting.pk}/cancel").json()["state"] == "cancelled"
