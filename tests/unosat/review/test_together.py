"""Those who review together: each sees what was decided meanwhile, and where the others look."""

from typing import Any
from uuid import UUID, uuid4

import pytest
import redis
from django.contrib.auth.models import User
from django.test import Client

from tests.unosat.makers import make_done_assessment, make_organisation, make_user
from unosat.assessments.models import Assessment
from unosat.review import presence
from unosat.review.models import Building, Decision

JSON = "application/json"
HERE = {"centre": [33.31, 35.19], "bounds": [33.3, 35.18, 33.32, 35.2]}


@pytest.fixture
def row(db: None, redis_url: str) -> Assessment:  # noqa: ARG001 (a database is needed)
    with redis.Redis.from_url(redis_url) as client:
        client.flushall()
    return make_done_assessment(make_organisation())


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def anna(row: Assessment) -> User:
    return make_user(row.organisation)


@pytest.fixture
def ben(row: Assessment) -> User:
    return make_user(row.organisation)


def decide(client: Client, building: Building, on_version: int, **headers: str) -> Any:
    body = {"id": str(uuid4()), "kind": "accept", "building": str(building.uid)}
    return client.post(
        f"/api/v1/assessments/{building.assessment_id}/decisions",
        body | {"on_version": on_version},
        content_type=JSON,
        headers=headers,
    )


def since(client: Client, row: Assessment, **query: str | int) -> dict[str, Any]:
    answer = client.get(f"/api/v1/assessments/{row.pk}/decisions", query)
    assert answer.status_code == 200, answer.content
    told: dict[str, Any] = answer.json()
    return told


def come(client: Client, row: Assessment, **facts: object) -> list[str]:
    answer = client.post(f"/api/v1/assessments/{row.pk}/presence", HERE | facts, content_type=JSON)
    assert answer.status_code == 200, answer.content
    return [other["user"] for other in answer.json()["here"]]


def test_what_was_decided_since_comes_in_order_and_in_pages(row: Assessment, anna: User) -> None:
    client = signed_in(anna)
    start = since(client, row)
    assert start["decisions"] == []
    buildings = list(row.buildings.order_by("pk"))
    for version in range(3):
        for building in buildings:
            decide(client, building, version)

    found: list[dict[str, Any]] = []
    after = start["seen"]
    while after:
        page = since(client, row, after=after, limit=4)
        assert len(page["decisions"]) <= 4
        found += page["decisions"]
        after = page["next"]

    expected = [(str(b.uid), number) for number in (1, 2, 3) for b in buildings]
    assert [(one["building"], one["number"]) for one in found] == expected
    assert {one["user"] for one in found} == {anna.username}
    again = since(client, row, after=page["seen"])  # begins earlier: known by their ids
    assert [one["id"] for one in again["decisions"]] == [one["id"] for one in found]


def test_a_place_in_time_that_is_none_is_refused(row: Assessment, anna: User) -> None:
    address = f"/api/v1/assessments/{row.pk}/decisions"
    for after in ("yesterday", "2026-01-01", "2026-01-01T00:00:00", "2026-13-45T00:00:00Z_x"):
        answer = signed_in(anna).get(address, {"after": after})
        assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")


def test_two_people_see_each_other_until_one_leaves(
    row: Assessment, anna: User, ben: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    hers, his = signed_in(anna), signed_in(ben)
    picked = str(row.buildings.all()[0].uid)

    assert come(hers, row, building=picked) == []
    assert come(his, row) == [anna.username]
    assert come(hers, row) == [ben.username]
    assert hers.delete(f"/api/v1/assessments/{row.pk}/presence").status_code == 204
    assert come(his, row) == []

    come(hers, row)
    monkeypatch.setattr(presence, "GONE_AFTER_SECONDS", 0.0)  # her page ended without a word
    assert come(his, row) == []


def test_the_newest_decision_is_told_with_every_heartbeat(
    row: Assessment, anna: User, ben: User
) -> None:
    address = f"/api/v1/assessments/{row.pk}/presence"
    his = signed_in(ben)
    assert his.post(address, HERE, content_type=JSON).json()["latest"] is None

    decide(signed_in(anna), row.buildings.all()[0], 0)

    told = his.post(address, HERE, content_type=JSON).json()["latest"]
    made_at = Decision.objects.get().made_at
    assert told[:23] == made_at.isoformat()[:23]  # to the millisecond


def test_nobody_of_another_organisation_is_seen(row: Assessment, anna: User) -> None:
    come(signed_in(anna), row, building=str(row.buildings.all()[0].uid))
    stranger = signed_in(make_user(make_organisation()))
    address = f"/api/v1/assessments/{row.pk}"

    assert stranger.post(f"{address}/presence", HERE, content_type=JSON).status_code == 404
    assert stranger.delete(f"{address}/presence").status_code == 404
    assert stranger.get(f"{address}/decisions").status_code == 404


def test_without_redis_nobody_is_seen_and_nothing_breaks(
    row: Assessment, anna: User, settings: Any
) -> None:
    settings.UNOSAT_REDIS_URL = "redis://127.0.0.1:1/0"  # nobody listens there

    assert come(signed_in(anna), row) == []


def test_places_that_are_none_are_refused(row: Assessment, anna: User) -> None:
    wrong: list[dict[str, object]] = [
        {"centre": [500, 0]},
        {"bounds": [1, 2, 3]},
        {"building": "x"},
    ]
    for facts in wrong:
        answer = signed_in(anna).post(
            f"/api/v1/assessments/{row.pk}/presence", HERE | facts, content_type=JSON
        )
        assert answer.status_code == 422


def test_nobody_sends_what_another_decided(row: Assessment, anna: User, ben: User) -> None:
    building = row.buildings.all()[0]

    answer = decide(signed_in(ben), building, 0, **{"X-Made-By": str(anna.pk)})

    assert (answer.status_code, answer.json()["code"]) == (409, "signed_in_as_another")
    assert not Decision.objects.exists()
    answer = decide(signed_in(anna), building, 0, **{"X-Made-By": str(anna.pk)})
    assert answer.status_code == 200
    assert UUID(answer.json()["uid"]) == building.uid
