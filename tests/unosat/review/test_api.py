"""Review over HTTP: shapes, statuses, tiles that show a decision at once."""

from typing import Any
from uuid import uuid4

import morecantile
import pytest
from django.contrib.auth.models import User
from django.test import Client

from detection.grades import Grade
from tests.unosat.makers import (
    NORTH,
    STEP,
    WEST,
    house_outline,
    make_done_assessment,
    make_organisation,
    make_user,
    ring,
)
from unosat.assessments.models import Assessment
from unosat.review.models import Building

JSON = "application/json"
MERCATOR = morecantile.tms.get("WebMercatorQuad")


@pytest.fixture
def row(db: None) -> Assessment:  # noqa: ARG001 (a database is needed)
    return make_done_assessment(make_organisation())


@pytest.fixture
def client(row: Assessment) -> Client:
    return signed_in(row)


def signed_in(row: Assessment) -> Client:
    client = Client()
    client.force_login(make_user(row.organisation))
    return client


def address(row: Assessment) -> str:
    return f"/api/v1/assessments/{row.pk}"


def body(row: Assessment, kind: str, **facts: Any) -> dict[str, Any]:
    building = row.buildings.order_by("pk").first()
    assert building is not None
    known = {"building": str(building.uid), "on_version": building.version}
    return {"id": str(uuid4()), "kind": kind} | known | facts


def tile_at_house(row: Assessment, zoom: int = 17) -> str:
    tile = MERCATOR.tile(WEST + 30 * STEP, NORTH - 30 * STEP, zoom)
    return f"/api/v1/tiles/assessments/{row.pk}/{tile.z}/{tile.x}/{tile.y}.mvt"


def test_a_decision_answers_with_the_building_and_its_history(
    row: Assessment, client: Client
) -> None:
    answer = client.post(f"{address(row)}/decisions", body(row, "accept"), content_type=JSON)

    assert answer.status_code == 200
    told = answer.json()
    assert (told["review"], told["version"], told["source"]) == ("accepted", 1, "model")
    assert [made["kind"] for made in told["history"]] == ["accept"]
    assert told["outline"]["type"] == "Polygon"


def test_a_conflict_answers_409_with_the_building_as_it_stands(
    row: Assessment, client: Client
) -> None:
    stale = body(row, "regrade", grade="no_damage")
    signed_in(row).post(f"{address(row)}/decisions", body(row, "reject"), content_type=JSON)

    answer = client.post(f"{address(row)}/decisions", stale, content_type=JSON)

    assert answer.status_code == 409
    assert answer.json()["code"] == "changed_meanwhile"
    assert answer.json()["building"]["review"] == "rejected"
    assert answer.json()["building"]["history"][0]["user"]


@pytest.mark.parametrize(
    ("facts", "code"),
    [
        ({"kind": "explode"}, "invalid_fields"),
        ({"grade": "very bad"}, "invalid_fields"),
        ({"kind": "regrade"}, "incomplete_decision"),
        ({"kind": "redraw", "outline": {"type": "Point"}}, "bad_outline"),
        ({"kind": "redraw", "outline": ring(0, 0, 1e-4, 1e-4)}, "outline_outside_image"),
    ],
)
def test_bad_decisions_are_422_with_code_and_sentence(
    row: Assessment, client: Client, facts: dict[str, Any], code: str
) -> None:
    answer = client.post(
        f"{address(row)}/decisions", body(row, "accept") | facts, content_type=JSON
    )

    assert answer.status_code == 422
    assert answer.json()["code"] == code


def test_pages_of_footprints_hold_every_building_once(row: Assessment, client: Client) -> None:
    following, seen = f"{address(row)}/footprints?limit=2", []
    while following:
        page = client.get(following).json()
        assert page["type"] == "FeatureCollection"
        seen += [feature["id"] for feature in page["features"]]
        following = page["next"]

    assert len(seen) == 3
    assert set(seen) == {str(b.uid) for b in row.buildings.all()}


def test_footprints_can_be_asked_for_by_place_score_and_review(
    row: Assessment, client: Client
) -> None:
    client.post(f"{address(row)}/decisions", body(row, "accept"), content_type=JSON)

    def count(query: str) -> int:
        return len(client.get(f"{address(row)}/footprints?{query}").json()["features"])

    first_house = f"{WEST},{NORTH - 70 * STEP},{WEST + 70 * STEP},{NORTH}"
    assert count(f"bbox={first_house}") == 1
    assert count("bbox=0,0,1,1") == 0
    assert count("review=unreviewed") == 2
    assert count("min_score=0.95") == 0
    assert client.get(f"{address(row)}/footprints?bbox=1,2,x,4").status_code == 400


def test_the_nearest_unreviewed_building_is_found_wherever_it_lies(client: Client) -> None:
    user = User.objects.get()
    many = make_done_assessment(user.membership.organisation, houses=120)
    (*decided, last) = many.buildings.order_by("pk")
    Building.objects.filter(pk__in=[one.pk for one in decided]).update(review="accepted", version=1)
    place = f"near={WEST},{NORTH}"

    def asked(query: str) -> dict[str, Any]:
        answer: dict[str, Any] = client.get(f"{address(many)}/footprints?{query}").json()
        return answer

    found = asked(f"{place}&review=unreviewed&limit=1")
    assert [one["id"] for one in found["features"]] == [str(last.uid)]
    nearest = asked(f"{place}&limit=3")
    assert [one["id"] for one in nearest["features"]] == [str(one.uid) for one in decided[:3]]
    assert nearest["next"] is None
    assert client.get(f"{address(many)}/footprints?near=1,2,3").status_code == 400


def test_counts_are_grouped_for_the_legend(row: Assessment, client: Client) -> None:
    assert client.get(f"{address(row)}/counts").json() == [
        {
            "grade": "destroyed",
            "review": "unreviewed",
            "source": "model",
            "percent": 90,
            "count": 3,
        }
    ]


def test_a_tile_shows_a_decision_at_once_and_is_not_sent_twice(
    row: Assessment, client: Client
) -> None:
    first = client.get(tile_at_house(row))
    same = client.get(tile_at_house(row), headers={"If-None-Match": first["ETag"]})
    client.post(f"{address(row)}/decisions", body(row, "reject"), content_type=JSON)
    after = client.get(tile_at_house(row), headers={"If-None-Match": first["ETag"]})

    assert (first.status_code, same.status_code, after.status_code) == (200, 304, 200)
    assert b"buildings" in first.content
    assert b"unreviewed" in first.content
    assert b"rejected" in after.content
    assert first["Cache-Control"] == "private, no-cache"


def test_a_tile_holds_reviewed_areas_in_a_layer_of_their_own(
    row: Assessment, client: Client
) -> None:
    area = ring(WEST, NORTH - 200 * STEP, WEST + 200 * STEP, NORTH)
    made = client.post(f"{address(row)}/reviewed-areas", {"outline": area}, content_type=JSON)

    assert made.status_code == 201
    assert b"reviewed_areas" in client.get(tile_at_house(row)).content
    (listed,) = client.get(f"{address(row)}/reviewed-areas").json()
    assert listed["id"] == made.json()["id"]

    assert client.delete(f"/api/v1/reviewed-areas/{listed['id']}").status_code == 204
    assert b"reviewed_areas" not in client.get(tile_at_house(row)).content


@pytest.mark.parametrize("tile", ["99/0/0", "3/8/0", "0/0/1"])
def test_tiles_that_do_not_exist_are_404(row: Assessment, client: Client, tile: str) -> None:
    answer = client.get(f"/api/v1/tiles/assessments/{row.pk}/{tile}.mvt")

    assert answer.status_code == 404


def test_an_empty_tile_is_empty(row: Assessment, client: Client) -> None:
    answer = client.get(f"/api/v1/tiles/assessments/{row.pk}/10/0/0.mvt")

    assert (answer.status_code, answer.content) == (200, b"")


def test_an_act_on_several_buildings_names_all_that_it_touched(
    row: Assessment, client: Client
) -> None:
    west, north = WEST + 20 * STEP, NORTH - 20 * STEP
    middle, south, east = west + 20 * STEP, north - 40 * STEP, west + 40 * STEP
    pieces = [ring(west, south, middle, north), ring(middle, south, east, north)]
    wanted = body(row, "split", outlines=pieces)

    answer = client.post(f"{address(row)}/decisions", wanted, content_type=JSON)

    assert answer.status_code == 200
    told = answer.json()
    assert (told["review"], told["history"][0]["others"]) == ("added", [wanted["building"]])
    assert {wanted["building"]: 1} | {one["uid"]: one["version"] for one in told["also"]} == {
        one["uid"]: 1 for one in told["also"]
    }
    again = client.post(f"{address(row)}/decisions", wanted, content_type=JSON).json()
    assert (again["uid"], again["also"]) == (told["uid"], told["also"])
    gone = client.get(f"{address(row)}/buildings/{wanted['building']}").json()
    assert (gone["review"], gone["history"][0]["batch"]) == ("replaced", wanted["id"])
    assert b"replaced" not in client.get(tile_at_house(row)).content
    listed = client.get(f"{address(row)}/footprints").json()["features"]
    assert wanted["building"] not in [one["id"] for one in listed]
    assert sum(one["count"] for one in client.get(f"{address(row)}/counts").json()) == 4


def test_a_shift_and_a_doubt_say_in_the_history_what_they_were(
    row: Assessment, client: Client
) -> None:
    area = ring(WEST, NORTH - 100 * STEP, WEST + 500 * STEP, NORTH)
    moved = {"id": str(uuid4()), "kind": "shift", "area": area, "shift_m": [1.5, -2]}
    told = client.post(f"{address(row)}/decisions", moved, content_type=JSON).json()
    assert (told["history"][0]["shift_m"], len(told["also"])) == ([1.5, -2.0], 2)

    doubt = body(row, "unsure", because="hidden", on_version=1)
    told = client.post(f"{address(row)}/decisions", doubt, content_type=JSON).json()
    assert (told["unsure_because"], told["history"][1]["because"]) == ("hidden", "hidden")
    flag = body(row, "flag", on_version=2)
    assert client.post(f"{address(row)}/decisions", flag, content_type=JSON).json()["flagged"]
    assert b"flagged" in client.get(tile_at_house(row)).content


@pytest.mark.parametrize(
    ("facts", "status"),
    [
        ({}, 201),
        ({"kind": "not_assessable", "because": "cloud"}, 201),
        ({"kind": "not_assessable"}, 422),
        ({"because": "cloud"}, 422),
        ({"kind": "not_assessable", "because": "rain"}, 422),
    ],
)
def test_an_area_is_reviewed_or_says_why_it_cannot_be(
    row: Assessment, client: Client, facts: dict[str, str], status: int
) -> None:
    outline = ring(WEST, NORTH - 200 * STEP, WEST + 200 * STEP, NORTH)

    answer = client.post(
        f"{address(row)}/reviewed-areas", {"outline": outline} | facts, content_type=JSON
    )

    assert answer.status_code == status
    for area in client.get(f"{address(row)}/reviewed-areas").json():
        assert (area["kind"] == "not_assessable") == (area["because"] == "cloud")


def test_nothing_of_another_organisation_exists(row: Assessment) -> None:
    stranger = Client()
    stranger.force_login(make_user(make_organisation()))
    building = row.buildings.first()
    assert building is not None
    paths = [
        address(row),
        f"{address(row)}/footprints",
        f"{address(row)}/counts",
        f"{address(row)}/buildings/{building.uid}",
        f"{address(row)}/reviewed-areas",
        f"{address(row)}/download",
        f"{address(row)}/not-assessable",
        f"{address(row)}/events",
        tile_at_house(row),
    ]

    assert {path: stranger.get(path).status_code for path in paths} == dict.fromkeys(paths, 404)
    answer = stranger.post(f"{address(row)}/decisions", body(row, "accept"), content_type=JSON)
    assert answer.status_code == 404


def test_an_added_building_is_told_without_what_only_a_model_knows(
    row: Assessment, client: Client
) -> None:
    wanted = {
        "id": str(uuid4()),
        "kind": "add",
        "grade": Grade.DESTROYED,
        "outline": house_outline(7),
    }

    told = client.post(f"{address(row)}/decisions", wanted, content_type=JSON).json()

    assert (told["score"], told["probabilities"], told["model_grade"]) == (None, None, None)
    assert told["review"] == "added"
    assert Building.objects.filter(uid=told["uid"], source="analyst").exists()
