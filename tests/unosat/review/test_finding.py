"""A building is found by its id or the beginning of it; every other answer is a sentence."""

from uuid import UUID

import pytest
from django.test import Client

from tests.unosat.makers import make_done_assessment, make_organisation, make_user
from unosat.assessments.models import Assessment
from unosat.review.models import Building

pytestmark = pytest.mark.django_db
ALIKE = (UUID("abcd1234-0000-4000-8000-000000000001"), UUID("abcd1234-f000-4000-8000-000000000002"))


@pytest.fixture
def row() -> Assessment:
    made = make_done_assessment(make_organisation(), houses=2)
    for building, uid in zip(made.buildings.order_by("pk"), ALIKE, strict=True):
        Building.objects.filter(pk=building.pk).update(uid=uid)
    return made


@pytest.fixture
def signed_in(client: Client, row: Assessment) -> Client:
    client.force_login(make_user(row.organisation))
    return client


def find(client: Client, row: Assessment, text: str) -> tuple[int, dict[str, object]]:
    response = client.get(f"/api/v1/assessments/{row.pk}/find-building", {"uid": text})
    return response.status_code, response.json()


@pytest.mark.parametrize("text", ["abcd1234-0", " ABCD12340 ", str(ALIKE[0]), ALIKE[0].hex])
def test_the_beginning_of_an_id_is_enough(row: Assessment, signed_in: Client, text: str) -> None:
    status, found = find(signed_in, row, text)

    assert (status, found["uid"]) == (200, str(ALIKE[0]))
    assert found["bounds"] == list(row.buildings.get(uid=ALIKE[0]).outline.extent)


@pytest.mark.parametrize(
    ("text", "status", "code"),
    [
        ("abcd", 409, "several_buildings"),
        ("abcd1234-1", 404, "no_such_building"),
        ("abc", 422, "not_an_id"),
        ("the mosque", 422, "not_an_id"),
        ("", 422, "not_an_id"),
        ("a" * 33, 422, "not_an_id"),
    ],
)
def test_what_does_not_name_one_building_is_answered_with_a_reason(
    row: Assessment, signed_in: Client, text: str, status: int, code: str
) -> None:
    answered, body = find(signed_in, row, text)

    assert (answered, body["code"]) == (status, code)


def test_buildings_of_other_assessments_are_not_found(row: Assessment, signed_in: Client) -> None:
    another = make_done_assessment(row.organisation, houses=1)
    foreign = make_done_assessment(make_organisation(), houses=1)

    assert find(signed_in, another, str(ALIKE[0]))[1]["code"] == "no_such_building"
    assert find(signed_in, foreign, str(foreign.buildings.get().uid))[1]["code"] == "not_found"
