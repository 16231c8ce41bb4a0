"""Known outlines from the request to the export: frozen, judged, and none lost on the way."""

import json
from typing import Any

import pytest
from django.test import Client

from tests.unosat.makers import (
    HOUSES,
    bright,
    finish,
    house_outline,
    make_actor,
    make_model,
    make_organisation,
    make_scene,
)
from unosat.accounts.actors import Actor
from unosat.assessments import detectors, known, selectors, services, tasks
from unosat.assessments.errors import (
    BadOutlines,
    KeyUsedDifferently,
    NoPolygons,
    NothingLeftOut,
    TooManyOutlines,
)
from unosat.assessments.models import Assessment
from unosat.assessments.services import AssessmentRequest
from unosat.exports import services as exports
from unosat.ops.store import store_path
from unosat.review.models import Building
from unosat.scenes.models import Scene

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def actor() -> Actor:
    return make_actor(make_organisation())


@pytest.fixture
def scene(actor: Actor, monkeypatch: pytest.MonkeyPatch) -> Scene:
    """A ready scene, and workers whose model needs no torch."""
    from unosat.accounts.models import Organisation

    make_model()
    monkeypatch.setattr(detectors, "detector_of", bright)
    return make_scene(Organisation.objects.get(pk=actor.organisation_id))


def collection(*features: dict[str, Any], **members: Any) -> bytes:
    return json.dumps({"type": "FeatureCollection", **members, "features": features}).encode()


def feature(geometry: dict[str, Any] | None, name: str) -> dict[str, Any]:
    properties = {"name": name, "tags": {"building": "yes"}}
    return {"type": "Feature", "id": name, "properties": properties, "geometry": geometry}


SENT = collection(
    feature(house_outline(0), "way/1"),
    feature(house_outline(1), "way/2"),
    feature(house_outline(0, shift_px=90_000), "way/far"),
    feature({"type": "Point", "coordinates": [33, 35]}, "node/3"),
)


def start(actor: Actor, scene: Scene, **wishes: Any) -> Assessment:
    wanted = AssessmentRequest(scene=scene.pk, outlines=SENT, **wishes)
    return services.create_assessment(actor, wanted)


def test_each_outline_becomes_a_graded_building_with_its_id_and_attributes(
    actor: Actor, scene: Scene
) -> None:
    row = start(actor, scene)
    finish(row)

    told = selectors.progress(selectors.assessment(actor, row.pk))
    assert (told.state, told.footprints_found) == ("done", 2)
    assert (told.outlines_given, told.outlines_judged) == (4, 2)
    with exports.write_geojson(actor, row.pk, exports.Choice()) as file:
        data = json.load(file)
    by_id = {one["properties"]["outline_id"]: one for one in data["features"]}
    assert set(by_id) == {"way/1", "way/2"}
    assert by_id["way/1"]["properties"]["attributes"] == {
        "name": "way/1",
        "tags": {"building": "yes"},
    }
    assert by_id["way/1"]["properties"]["grade"] == "destroyed"
    assert data["metadata"]["outlines"]["not_analysed"] == {"invalid": 1, "outside_image": 1}
    assert len(data["metadata"]["outlines"]["sha256"]) == 64


def test_what_has_no_grade_is_listed_with_its_reason(actor: Actor, scene: Scene) -> None:
    row = start(actor, scene)
    with pytest.raises(NothingLeftOut):
        selectors.omissions(actor, row.pk)
    finish(row)

    table = store_path(selectors.omissions(actor, row.pk))
    lines = table.read_text("utf-8").splitlines()

    assert lines == ["number,outline_id,reason", "3,way/far,outside_image", "4,node/3,invalid"]


def test_the_rest_is_detected_only_where_that_was_asked_for(actor: Actor, scene: Scene) -> None:
    row = start(actor, scene, also_detect=True)
    finish(row)

    buildings = Building.objects.filter(assessment=row)
    assert buildings.exclude(footprint__outline_id="").count() == 2
    assert buildings.filter(footprint__outline_id="").count() == HOUSES - 2


def test_every_task_twice_changes_nothing(actor: Actor, scene: Scene) -> None:
    row = start(actor, scene)
    finish(row)
    before = list(Building.objects.filter(assessment=row).order_by("pk").values("uid", "grade"))

    finish(row)

    after = list(Building.objects.filter(assessment=row).order_by("pk").values("uid", "grade"))
    assert after == before


def test_outlines_elsewhere_fail_the_assessment_with_a_plain_sentence(
    actor: Actor, scene: Scene
) -> None:
    far = collection(feature(house_outline(0, shift_px=90_000), "way/far"))
    row = services.create_assessment(actor, AssessmentRequest(scene=scene.pk, outlines=far))

    tasks.plan(str(row.pk))

    row.refresh_from_db()
    assert (row.state, row.failure_code) == ("failed", "outlines_elsewhere")
    assert row.failure_message.startswith("None of the outlines lies on this image")


def test_parts_and_crossed_rings_become_single_outlines_of_one_id() -> None:
    west, north = house_outline(0)["coordinates"], house_outline(1)["coordinates"]
    both = {"type": "MultiPolygon", "coordinates": [west, north]}
    bow_tie = {"type": "Polygon", "coordinates": [[[0, 0], [2, 2], [2, 0], [0, 2], [0, 0]]]}

    sent = known.check(collection(feature(both, "two"), feature(bow_tie, "tie")))

    features = json.loads(sent.content)["features"]
    assert [one["id"] for one in features] == ["two", "two", "tie", "tie"]
    assert {one["geometry"]["type"] for one in features} == {"Polygon"}
    assert sent.count == 4


@pytest.mark.parametrize(
    ("content", "refusal"),
    [
        (b"", NoPolygons),
        (b"SQLite format 3\x00", BadOutlines),
        (b"\xff\xfe", BadOutlines),
        (b'{"type": "FeatureCollection", "features": [{}]}', BadOutlines),
        (b"[" * 100_000, BadOutlines),
        (collection(feature({"type": "Point", "coordinates": [1, 2]}, "p")), NoPolygons),
        (collection(feature({"type": "Polygon", "coordinates": [[[1e999, 1]]]}, "p")), NoPolygons),
        (collection(crs={"type": "name", "properties": {"name": "EPSG:32637"}}), BadOutlines),
        (b" " * (known.MOST_BYTES + 1), TooManyOutlines),
    ],
)
def test_what_cannot_be_used_is_refused_at_once(content: bytes, refusal: type[Exception]) -> None:
    with pytest.raises(refusal):
        known.check(content)


def test_one_key_is_one_assessment_and_other_outlines_are_another_request(
    actor: Actor, scene: Scene
) -> None:
    before = set(store_path("outlines").glob("*"))
    first = start(actor, scene, idempotency_key="k")
    again = start(actor, scene, idempotency_key="k")

    assert again.pk == first.pk
    assert set(store_path("outlines").glob("*")) - before == {store_path(f"outlines/{first.pk}")}
    other = collection(feature(house_outline(2), "way/9"))
    changed = AssessmentRequest(scene=scene.pk, outlines=other, idempotency_key="k")
    with pytest.raises(KeyUsedDifferently):
        services.create_assessment(actor, changed)


def test_the_form_and_the_api_take_outlines(client: Client, actor: Actor, scene: Scene) -> None:
    from django.contrib.auth.models import User
    from django.core.files.uploadedfile import SimpleUploadedFile

    client.force_login(User.objects.get(pk=str(actor.user_id)))

    sent = SimpleUploadedFile("osm.geojson", SENT)
    page = client.post(f"/scenes/{scene.pk}/analyse/", {"outlines": sent, "also_detect": "on"})
    answer = client.post(
        "/api/v1/assessments",
        {"scene": str(scene.pk), "outlines": json.loads(SENT)},
        content_type="application/json",
    )

    assert page.status_code == 302, page.content
    assert answer.status_code == 202, answer.content
    assert answer.json()["outlines_given"] == 4
    by_form, by_api = Assessment.objects.order_by("created_at")
    assert by_form.options["outlines"]["also_detect"] is True
    assert by_api.options["outlines"]["also_detect"] is False
    left = client.get(f"/api/v1/assessments/{by_api.pk}/not-analysed")
    assert (left.status_code, left.json()["code"]) == (404, "no_outlines_given")
