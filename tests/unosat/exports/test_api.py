"""The downloaded file says what it is, and shows every decision."""

import json
from typing import Any, cast
from uuid import uuid4

import pytest
from asgiref.sync import async_to_sync
from django.http import StreamingHttpResponse
from django.test import AsyncClient, Client

from tests.unosat.makers import (
    NORTH,
    STEP,
    WEST,
    make_actor,
    make_done_assessment,
    make_organisation,
    make_user,
    ring,
)
from unosat.assessments.models import Assessment
from unosat.review import services
from unosat.review.models import Footprint
from unosat.review.services import DecisionRequest


@pytest.fixture
def row(db: None) -> Assessment:  # noqa: ARG001 (a database is needed)
    """Three buildings: accepted, rejected, unreviewed."""
    row = make_done_assessment(make_organisation())
    actor = make_actor(row.organisation)
    for kind, building in zip(("accept", "reject"), row.buildings.order_by("pk"), strict=False):
        wanted = DecisionRequest(id=uuid4(), kind=kind, building=building.uid)
        services.record_decision(actor, row.pk, wanted)
    return row


def download(row: Assessment, query: str = "") -> dict[str, Any]:
    client = Client()
    client.force_login(make_user(row.organisation))
    answer = client.get(f"/api/v1/assessments/{row.pk}/download{query}")
    assert answer.status_code == 200
    assert answer["Content-Type"] == "application/geo+json"
    told: dict[str, Any] = json.loads(answer.getvalue())
    return told


@pytest.mark.parametrize(
    ("query", "reviews"),
    [
        ("", ["accepted", "rejected", "unreviewed"]),
        ("?only=reviewed", ["accepted", "rejected"]),
        ("?rejected=leave_out", ["accepted", "unreviewed"]),
        ("?only=reviewed&rejected=leave_out", ["accepted"]),
    ],
)
def test_a_download_holds_what_was_asked_for_and_counts_what_it_left_out(
    row: Assessment, query: str, reviews: list[str]
) -> None:
    told = download(row, query)

    assert [feature["properties"]["review"] for feature in told["features"]] == reviews
    metadata = told["metadata"]
    assert metadata["features"] == len(reviews)
    assert sum(metadata["left_out_by_review"].values()) == 3 - len(reviews)
    assert metadata["only"] in {"all", "reviewed"}
    assert metadata["threshold"] == 0.5
    assert len(metadata["reviewed_by"]) == 1


def part(left: float, right: float) -> dict[str, object]:
    """Of the third house, between two of its 40 columns."""
    west, north = WEST + 180 * STEP, NORTH - 20 * STEP
    return ring(west + left * STEP, north - 40 * STEP, west + right * STEP, north)


def test_what_was_split_away_is_told_by_its_pieces_and_by_nothing_else(row: Assessment) -> None:
    whole = row.buildings.order_by("pk")[2]
    Footprint.objects.filter(building=whole).update(outline_id="osm-7")
    actor = make_actor(row.organisation)
    services.record_decision(
        actor,
        row.pk,
        DecisionRequest(
            id=uuid4(), kind="split", building=whole.uid, outlines=[part(0, 20), part(20, 40)]
        ),
    )
    piece = row.buildings.filter(source="analyst").order_by("pk")[0]
    services.record_decision(
        actor,
        row.pk,
        DecisionRequest(
            id=uuid4(),
            kind="split",
            building=piece.uid,
            on_version=1,
            outlines=[part(0, 10), part(10, 20)],
        ),
    )

    told = download(row)

    made = [f["properties"] for f in told["features"] if f["properties"]["source"] == "analyst"]
    assert len(made) == 3
    assert {str(whole.uid), str(piece.uid)}.isdisjoint(f["id"] for f in told["features"])
    for properties in made:
        assert properties["made_from"] == [str(whole.uid)]
        assert properties["made_from_outlines"] == ["osm-7"]
    assert told["metadata"]["features"] == 5
    assert "replaced" not in told["metadata"]["buildings_by_review"]


def test_doubts_flags_and_unseen_ground_are_said_and_no_grade_is_changed(row: Assessment) -> None:
    unsure, flagged = row.buildings.order_by("pk")[1:]
    actor = make_actor(row.organisation)
    doubt = DecisionRequest(
        id=uuid4(), kind="unsure", building=unsure.uid, on_version=1, because="shadow"
    )
    services.record_decision(actor, row.pk, doubt)
    services.record_decision(
        actor, row.pk, DecisionRequest(id=uuid4(), kind="flag", building=flagged.uid)
    )
    west = ring(WEST, NORTH - 100 * STEP, WEST + 80 * STEP, NORTH)
    services.mark_reviewed(actor, row.pk, west, not_assessable="cloud")

    told = download(row)

    first, second, third = (feature["properties"] for feature in told["features"])
    assert (second["review"], second["grade"]) == ("unsure", "unclassified")
    assert second["unsure_because"] == "shadow"
    assert (third["flagged"], third["review"]) == (True, "unreviewed")
    assert told["metadata"]["flagged_for_a_second_look"] == 1
    assert (first["not_assessable"], first["grade"]) == ("cloud", "destroyed")
    assert [second["not_assessable"], third["not_assessable"]] == [None, None]
    assert told["metadata"]["not_assessable_areas"] == 1
    assert told["metadata"]["reviewed_areas"] == 0
    (area,) = told["not_assessable"]["features"]
    assert area["properties"]["because"] == "cloud"
    client = Client()
    client.force_login(make_user(row.organisation))
    layer = client.get(f"/api/v1/assessments/{row.pk}/not-assessable")
    assert layer.json() == told["not_assessable"]


def test_each_feature_has_what_the_engine_says_and_what_people_made_of_it(row: Assessment) -> None:
    (feature, *_) = download(row)["features"]

    assert set(feature["properties"]) == {
        "id",
        "grade",
        "score",
        "grade_score",
        "probabilities",
        "area_m2",
        "model",
        "clipped",
        "unclassified_because",
        "unsure_because",
        "flagged",
        "not_assessable",
        "review",
        "source",
        "version",
    }
    assert feature["id"] == feature["properties"]["id"]
    assert feature["properties"]["model"] == str(row.model_version)


def test_there_is_no_download_before_the_end(row: Assessment) -> None:
    Assessment.objects.update(state="running")
    client = Client()
    client.force_login(make_user(row.organisation))

    answer = client.get(f"/api/v1/assessments/{row.pk}/download")

    assert (answer.status_code, answer.json()["code"]) == (409, "assessment_not_done")


@pytest.mark.django_db(transaction=True)
def test_the_file_is_streamed_under_asgi(row: Assessment) -> None:
    client = AsyncClient()
    client.force_login(make_user(row.organisation))

    async def fetch() -> bytes:
        answer = await client.get(f"/api/v1/assessments/{row.pk}/download")
        pieces = aiter(cast("StreamingHttpResponse", answer))
        return b"".join([piece async for piece in pieces])

    assert len(json.loads(async_to_sync(fetch)())["features"]) == 3
