"""The queue over HTTP: pages, filters, orders, and whose it is."""

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.gis.geos import Polygon
from django.test import Client

from tests.unosat.makers import (
    NORTH,
    STEP,
    WEST,
    house_outline,
    make_building,
    make_done_assessment,
    make_organisation,
    make_user,
)
from unosat.assessments.models import Assessment
from unosat.ops import jobs
from unosat.ops.models import Job
from unosat.review import outlines, queue, tasks
from unosat.review.models import GRADES, LAST_TURN, Building

JSON = "application/json"
HOUSES = 6


@pytest.fixture
def row(db: None) -> Assessment:  # noqa: ARG001 (a database is needed)
    """Houses in a row; the further east, the less certain."""
    made = make_done_assessment(make_organisation(), houses=0)
    for number in range(HOUSES):
        building = make_building(made, number)
        assert building.footprint is not None
        sure = 0.95 - number * 0.1
        rest = dict.fromkeys(GRADES[:3], (1 - sure) / 3)
        footprint = building.footprint
        footprint.probabilities = rest | {"destroyed": sure}
        footprint.score = building.score = 0.5 + number * 0.08
        footprint.save()
        building.save()
    return made


@pytest.fixture
def client(row: Assessment) -> Client:
    return signed_in(row)


def signed_in(row: Assessment) -> Client:
    client = Client()
    client.force_login(make_user(row.organisation))
    return client


def ordered(row: Assessment) -> None:
    jobs.enqueue("order", row.pk, row.organisation_id)
    tasks.order(str(row.pk))


def ask(client: Client, row: Assessment, **query: str | int | float) -> dict[str, Any]:
    answer = client.get(f"/api/v1/assessments/{row.pk}/queue", text(query))
    assert answer.status_code == 200, answer.content
    told: dict[str, Any] = answer.json()
    return told


def text(query: Mapping[str, str | int | float]) -> dict[str, str]:
    return {name: str(value) for name, value in query.items()}


def uids(answer: dict[str, Any]) -> list[str]:
    return [building["uid"] for building in answer["buildings"]]


def houses(row: Assessment) -> list[str]:
    """From west to east."""
    return [str(uid) for uid in row.buildings.order_by("pk").values_list("uid", flat=True)]


def in_turn(row: Assessment) -> list[str]:
    """By worth from east to west; two of a tier are walked from west to east."""
    east = houses(row)
    return [east[number] for number in (5, 4, 2, 3, 0, 1)]


def decide(client: Client, row: Assessment, uid: str, kind: str, **facts: object) -> None:
    version = row.buildings.get(uid=uid).version
    body = {"id": str(uuid4()), "kind": kind, "building": uid, "on_version": version} | facts
    answer = client.post(f"/api/v1/assessments/{row.pk}/decisions", body, content_type=JSON)
    assert answer.status_code == 200, answer.content


def test_the_least_certain_come_first_and_each_is_whole(
    row: Assessment, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "ROWS_AT_ONCE", 4)  # so that there are several rounds
    ordered(row)

    told = ask(client, row, limit=2)

    assert told["ordered"]
    assert uids(told) == houses(row)[:-3:-1]
    first = told["buildings"][0]
    alone = client.get(f"/api/v1/assessments/{row.pk}/buildings/{first['uid']}").json()
    assert first == alone


def test_an_older_assessment_is_ordered_once_somebody_asks(row: Assessment, client: Client) -> None:
    told = ask(client, row)
    assert (told["ordered"], uids(told)) == (False, houses(row))
    ask(client, row)

    job = Job.objects.get(kind="order", subject_id=row.pk)
    tasks.order(str(job.subject_id))

    told = ask(client, row)
    assert (told["ordered"], uids(told)) == (True, in_turn(row))


def test_pages_follow_each_other_though_buildings_are_decided_meanwhile(
    row: Assessment, client: Client
) -> None:
    ordered(row)
    first = ask(client, row, limit=2)
    for uid in uids(first):
        decide(client, row, uid, "accept")

    rest = ask(client, row, limit=20, cursor=first["next"])

    assert uids(first) + uids(rest) == in_turn(row)
    assert rest["next"] is None
    assert uids(ask(client, row)) == uids(rest)  # the decided have left


def test_added_buildings_come_last_and_only_where_all_states_are_wanted(
    row: Assessment, client: Client
) -> None:
    ordered(row)
    added = Building.objects.create(
        assessment=row,
        organisation=row.organisation,
        uid=uuid4(),
        outline=row.buildings.all()[0].outline,
        grade="destroyed",
        review="added",
        source="analyst",
        version=1,
    )

    assert added.turn == LAST_TURN
    assert str(added.uid) not in uids(ask(client, row))
    assert uids(ask(client, row, state="any"))[-1] == str(added.uid)
    assert uids(ask(client, row, state="any", order="score"))[-1] == str(added.uid)
    assert ask(client, row)["ordered"]


def test_every_filter_leaves_what_it_says(row: Assessment, client: Client) -> None:
    east = houses(row)
    mine = make_user(row.organisation)
    client.force_login(mine)
    decide(client, row, east[0], "regrade", grade="no_damage")
    decide(signed_in(row), row, east[1], "reject")
    left, right = WEST, WEST + 140 * STEP  # the first two houses lie within
    ring = f"{left},{NORTH};{left},{NORTH - 1};{right},{NORTH - 1};{right},{NORTH};{left},{NORTH}"
    wanted: list[tuple[dict[str, str | float], list[str]]] = [
        ({}, east[2:]),
        ({"state": "any"}, east),
        ({"state": "rejected"}, east[1:2]),
        ({"state": "any", "grade": "no_damage"}, east[:1]),
        ({"min_score": 0.7, "max_score": 0.8}, east[3:4]),
        ({"state": "any", "who": mine.username}, east[:1]),
        ({"state": "any", "who": "nobody at all"}, []),
        ({"state": "any", "area": ring}, east[:2]),
        ({"area": ring}, []),
    ]
    for query, expected in wanted:
        assert sorted(uids(ask(client, row, **query))) == sorted(expected), query
        path = f"/api/v1/assessments/{row.pk}/queue/count"
        assert client.get(path, text(query)).json() == {"count": len(expected)}, query


def test_everybody_who_decided_is_named_once_though_others_decided_after_them(
    row: Assessment, client: Client
) -> None:
    east = houses(row)
    people = [make_user(row.organisation) for _ in range(3)]
    idle = make_user(row.organisation)
    path = f"/api/v1/assessments/{row.pk}/queue/people"
    assert client.get(path).json() == {"people": []}
    for version, person in enumerate(people):
        client.force_login(person)
        decide(client, row, east[0], "accept")
        decide(client, row, east[version + 1], "reject")
    people[0].membership.delete()  # has left the organisation
    elsewhere = make_done_assessment(row.organisation)
    client.force_login(idle)
    decide(client, elsewhere, houses(elsewhere)[0], "accept")

    assert client.get(path).json() == {"people": sorted(one.username for one in people)}


def test_orders_by_place_decision_and_score(row: Assessment, client: Client) -> None:
    east = houses(row)
    for uid in (east[4], east[2]):
        decide(client, row, uid, "accept")

    near = f"{WEST + 600 * STEP},{NORTH}"
    assert uids(ask(client, row, order="nearest", near=near)) == [east[n] for n in (5, 3, 1, 0)]
    for order, expected in (
        ("oldest", [east[4], east[2]]),
        ("newest", [east[2], east[4]]),
        ("score", east),
        ("surest", east[::-1]),
    ):
        first = ask(client, row, order=order, state="any", limit=1)
        rest = ask(client, row, order=order, state="any", cursor=first["next"])
        assert uids(first) + uids(rest) == expected, order


@pytest.mark.parametrize(
    "query",
    [
        {"order": "nearest"},
        {"cursor": "here"},
        {"area": "1,2;3"},
        {"area": "0,0;1,1;1,0;0,1;0,0"},  # crosses itself
        {"area": "nan,0;1,1;1,0;nan,0"},
    ],
)
def test_what_makes_no_sense_is_refused(
    row: Assessment, client: Client, query: dict[str, str]
) -> None:
    answer = client.get(f"/api/v1/assessments/{row.pk}/queue", query)

    assert answer.status_code in {400, 422}
    assert answer.json()["message"]


def test_another_organisations_queue_does_not_exist(row: Assessment) -> None:
    stranger = Client()
    stranger.force_login(make_user(make_organisation()))

    for path in ("queue", "queue/count", "queue/people"):
        assert stranger.get(f"/api/v1/assessments/{row.pk}/{path}").status_code == 404
    assert not Job.objects.filter(kind="order").exists()


def test_the_order_does_not_hang_on_what_was_decided(row: Assessment, client: Client) -> None:
    ordered(row)
    before = dict(row.buildings.values_list("uid", "turn"))
    decide(client, row, houses(row)[0], "regrade", grade="no_damage")
    outline = Polygon.from_bbox((WEST, NORTH - 9 * STEP, WEST + 9 * STEP, NORTH))
    row.buildings.filter(uid=houses(row)[1]).update(outline=outline, turn=LAST_TURN)
    Job.objects.all().delete()

    ordered(row)

    assert dict(row.buildings.values_list("uid", "turn")) == before


def test_ordering_gives_old_rows_a_cell_and_leaves_one_where_a_person_moved_it(
    row: Assessment, client: Client
) -> None:
    east = houses(row)
    outline = house_outline(0, shift_px=30)
    decide(client, row, east[0], "redraw", outline=outline)
    moved, *untouched = [row.buildings.get(uid=uid) for uid in east]
    assert [one.cell for one in untouched] == [None] * len(untouched)  # of before there were cells

    ordered(row)

    now = [row.buildings.get(uid=uid) for uid in east]
    assert [one.cell for one in now] == outlines.cells([one.outline for one in now])
    assert now[0].cell == moved.cell
    (as_the_model_said,) = outlines.cells([row.footprints.get(uid=east[0]).outline])
    assert moved.cell != as_the_model_said
