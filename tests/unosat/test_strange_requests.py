"""What no client of ours would send: every answer says what to do, and nothing breaks."""

import json
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse

from tests.unosat.makers import (
    bright,
    finish,
    make_actor,
    make_done_assessment,
    make_model,
    make_organisation,
    make_scene,
    make_user,
    ring,
)
from unosat.api import api
from unosat.assessments import detectors, known, services
from unosat.assessments.models import Assessment
from unosat.assessments.services import AssessmentRequest
from unosat.errors import RefusedError
from unosat.scenes.models import Event, Fetch

pytestmark = pytest.mark.django_db

NUL, HALF = "a\0b", "a\ud800b"
CODES = {
    400: {"bad_request", "not_json"},
    405: {"method_not_allowed"},
    413: {"too_large"},
    422: {"unusable_text", "bad_area", "bad_outlines", "invalid_fields", "bad_outline"},
}


@pytest.fixture
def row() -> Assessment:
    return make_done_assessment(make_organisation())


@pytest.fixture
def browser(client: Client, row: Assessment) -> Client:
    client.force_login(make_user(row.organisation, "admin"))
    client.raise_request_exception = False
    return client


def sent(browser: Client, path: str, body: Any, *, method: str = "POST") -> int:
    """The status of a request with JSON; a refusal must say why."""
    text = body if isinstance(body, str | bytes) else json.dumps(body)
    response = browser.generic(method, f"/api/v1/{path}", text, "application/json")
    said_why(response)
    return response.status_code


def said_why(response: Any) -> None:
    if response.status_code >= 400:
        told = response.json()
        assert told["code"] in CODES[response.status_code], (response.status_code, told)
        assert told["message"].endswith(".")


@pytest.mark.parametrize("text", [NUL, HALF])
def test_text_that_no_database_keeps_is_refused_wherever_it_is_sent(
    browser: Client, row: Assessment, text: str
) -> None:
    building = str(row.buildings.all()[0].uid)
    decision = {"id": str(uuid4()), "kind": "accept", "building": building}
    image = {"url": "https://images.example/a.tif", "phase": "after"}
    outline = {"type": "Feature", "properties": {"of": text}, "geometry": ring(33, 35, 34, 36)}
    collection = {"type": "FeatureCollection", "features": [outline]}
    told = {
        "events": {"name": text, "date": "2025-01-01"},
        "fetches": image | {"event_name": text},
        f"assessments/{row.pk}/decisions": decision | {"reason": text},
        f"assessments/{row.pk}/team-areas": {"outline": ring(33, 35, 34, 36), "name": text},
        "assessments": {"scene": str(row.scene_id), "outlines": collection},
        "model-versions/" + str(row.model_version_id) + "/activate": {text: 1},
    }

    assert {path: sent(browser, path, body) for path, body in told.items()} == dict.fromkeys(
        told, 422
    )


def test_nul_in_an_address_or_a_form_is_refused(browser: Client, row: Assessment) -> None:
    queue = browser.get(f"/api/v1/assessments/{row.pk}/queue?who=a%00b")
    said_why(queue)
    image = {"url": "https://images.example/a.tif", "phase": "after", "asset": NUL}
    page = browser.post(reverse("fetch_link", args=[row.scene.event_id]), image)
    listed = browser.get("/assessments/?scene=%00")

    assert [queue.status_code, page.status_code, listed.status_code] == [422, 422, 422]
    assert "Remove it and send it again." in page.content.decode()
    assert not Fetch.objects.exists()


@pytest.mark.parametrize(
    "number", [str(2**63), "-" + str(2**63 + 1), "1" + "0" * 400, "1" + "0" * 5000]
)
def test_whole_numbers_beyond_every_column_are_refused(
    browser: Client, row: Assessment, number: str
) -> None:
    area = f'{{"type": "Polygon", "coordinates": [[[{number}, 1], [1, 1], [2, 2], [1, 1]]]}}'
    decision = f'{{"id": "{uuid4()}", "kind": "add", "grade": "destroyed", "outline": {area}}}'
    event = f'{{"name": "Storm", "date": "2025-01-01", "area": {area}}}'

    assert sent(browser, f"assessments/{row.pk}/decisions", decision) == 400
    assert sent(browser, "events", event) == 400
    assert not Event.objects.filter(name="Storm").exists()


def test_json_in_json_without_end_is_refused(browser: Client, row: Assessment) -> None:
    deep = "[" * 900 + "]" * 900
    feature = f'{{"type": "Feature", "geometry": {{"type": "Polygon", "coordinates": {deep}}}}}'
    outlines = f'{{"type": "FeatureCollection", "features": [{feature}]}}'

    assert sent(browser, "events", deep) == 400
    body = f'{{"scene": "{row.scene_id}", "outlines": {outlines}}}'
    assert sent(browser, "assessments", body) == 400


@pytest.mark.parametrize(
    "coordinates",
    [
        [[[33.0, 35.0, 9.0], [34.0, 35.0, 9.0], [34.0, 36.0, 9.0], [33.0, 35.0, 9.0]]],
        [[[1e308, 1e308], [33, 35], [34, 36], [1e308, 1e308]]],
        [[[float("nan"), 1], [33, 35], [34, 36], [float("nan"), 1]]],
        [[[float("inf"), 1], [33, 35], [34, 36], [float("inf"), 1]]],
    ],
)
def test_the_area_of_an_event_is_flat_and_in_degrees_or_refused(
    browser: Client, coordinates: Any
) -> None:
    area = {"type": "Polygon", "coordinates": coordinates}
    body = {"name": "Storm", "date": "2025-01-01", "area": area}

    status = sent(browser, "events", body)

    stored = Event.objects.filter(name="Storm").first()
    flat = len(coordinates[0][0]) == 3
    assert status == (201 if flat else 422)
    assert (stored is not None and stored.area is not None and not stored.area.hasz) == flat


@pytest.mark.parametrize("path", ["events", "scenes", "fetches"])
@pytest.mark.parametrize("name", ["limit", "offset"])
def test_lists_take_no_place_that_the_database_cannot_count_to(
    browser: Client, path: str, name: str
) -> None:
    response = browser.get(f"/api/v1/{path}?{name}={2**63}")

    said_why(response)
    assert response.status_code == 422


@pytest.mark.parametrize(
    "moment", ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "9999-12-31"]
)
def test_moments_outside_of_the_calendar_are_refused(
    browser: Client, row: Assessment, moment: str
) -> None:
    image = {"url": "https://images.example/a.tif", "event_name": "Storm", "phase": "after"}
    quoted = moment.replace("+", "%2B")
    first = row.buildings.all()[0].pk

    asked = [
        browser.get(f"/api/v1/assessments/{row.pk}/decisions?after={quoted}"),
        browser.get(f"/api/v1/assessments/{row.pk}/queue?order=oldest&cursor={first}_{quoted}"),
        browser.post(
            "/api/v1/fetches", image | {"acquired_at": moment}, content_type="application/json"
        ),
    ]

    assert [one.status_code for one in asked] == [400, 400, 422]
    assert "acquired_at" in asked[2].json()["message"]
    assert not Event.objects.filter(name="Storm").exists()


@pytest.mark.parametrize("number", ["nan", "inf", "1e400", "9" * 400, "-1", "1.5", "many"])
def test_a_sample_of_no_number_is_refused_with_what_would_do(
    browser: Client, row: Assessment, number: str
) -> None:
    for field in ("buildings", "squares", "side_m"):
        asked = {"buildings": "60", "squares": "10", "side_m": "100"} | {field: number}
        shown = browser.get(reverse("expected", args=[row.pk]), asked)
        drawn = browser.post(reverse("draw_sample", args=[row.pk]), asked, follow=True)

        assert "Choose 50 to 2,000 buildings" in shown.content.decode(), field
        assert "Choose 50 to 2,000 buildings" in drawn.content.decode(), field


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/form-data", b"x"),
        ("multipart/form-data; boundary=\xff", b"x"),
        ("multipart/form-data; boundary=x", b"x"),
    ],
)
@pytest.mark.parametrize("path", ["events", "scenes", "assessments/{}/cancel"])
def test_a_body_that_is_not_what_it_says_is_refused_and_not_a_fault_of_ours(
    row: Assessment, content_type: str, body: bytes, path: str
) -> None:
    browser = Client(enforce_csrf_checks=True, raise_request_exception=False)
    browser.force_login(make_user(row.organisation, "admin"))

    response = browser.generic("POST", f"/api/v1/{path.format(row.pk)}", body, content_type)

    assert response.status_code in {400, 403}
    assert response.json()["message"].endswith(".")


def test_more_than_a_form_may_be_is_too_large(browser: Client) -> None:
    body = json.dumps({"name": "x" * 17 * 1024**2}).encode()

    assert sent(browser, "events", body) == 413
    page = browser.post(
        reverse("new_event"), f"name={'x' * 17 * 1024**2}", "application/x-www-form-urlencoded"
    )
    many = browser.get("/api/v1/events?" + "&".join(f"f{n}=1" for n in range(1200)))

    assert page.status_code == 413
    assert "Send images as resumable uploads" in page.content.decode()
    assert (many.status_code, many.json()["code"]) == (400, "bad_request")


def test_a_host_that_is_not_ours_is_told_so_in_the_shape_of_all_refusals(browser: Client) -> None:
    told = browser.get("/api/v1/events", headers={"Host": "elsewhere.example"})
    page = browser.get("/", headers={"Host": "elsewhere.example"})

    said_why(told)
    assert [told.status_code, page.status_code] == [400, 400]
    assert "UNOSAT_ALLOWED_HOSTS" in page.content.decode()


def test_a_wrong_method_is_answered_with_the_right_ones(browser: Client, row: Assessment) -> None:
    for path in (
        "events/" + str(row.scene.event_id),
        f"tiles/scenes/{row.scene_id}/3/4/3.webp",
        f"assessments/{row.pk}/events",
    ):
        response = browser.put(f"/api/v1/{path}")
        said_why(response)
        assert (response.status_code, response.headers["Allow"]) == (405, "GET")
        assert "GET" in response.json()["message"]

    page = browser.get(reverse("analyse", args=[row.scene_id]))
    assert page.status_code == 405
    assert "To the events" in page.content.decode()


def test_who_signs_in_after_sending_a_form_comes_to_a_page_that_can_be_opened(
    row: Assessment,
) -> None:
    visitor = Client(headers={"HX-Request": "false"})

    response = visitor.post(reverse("analyse", args=[row.scene_id]))

    assert response.headers["Location"] == f"{reverse('login')}?next=/"


def test_a_part_of_a_page_does_not_show_the_sign_in_page_inside_of_it(row: Assessment) -> None:
    page = f"/assessments/{row.pk}/team/"
    asks = {"HX-Request": "true", "HX-Current-URL": f"http://testserver{page}"}

    response = Client().get(reverse("team_now", args=[row.pk]), headers=asks)

    assert response.headers["HX-Redirect"] == f"{reverse('login')}?next={page}"


def test_a_refused_field_is_named_as_it_was_sent_and_with_what_it_should_be(
    browser: Client,
) -> None:
    told = browser.post(
        "/api/v1/events", {"name": "x" * 121, "kind": "party"}, content_type="application/json"
    ).json()["message"]

    assert told.startswith("Put these fields right: date (Field required); kind (Input should be")
    assert told.endswith("name (String should have at most 120 characters).")
    assert "party" not in told.replace("'", "")


@pytest.mark.parametrize("text", ["\\u0000", "\\ud800"])
@pytest.mark.parametrize("member", ['"id": "a{0}"', '"properties": {{"a": ["{0}"]}}'])
def test_outlines_whose_text_could_not_be_stored_are_refused_at_once_not_after_hours(
    text: str, member: str
) -> None:
    outline = json.dumps(ring(33.301, 35.198, 33.302, 35.199))
    feature = f'{{"type": "Feature", {member.format(text)}, "geometry": {outline}}}'

    with pytest.raises(RefusedError) as caught:
        known.check(f'{{"type": "FeatureCollection", "features": [{feature}]}}'.encode())

    assert caught.value.code == "unusable_text"


@pytest.mark.parametrize("deep", [900, 100_000])
def test_outlines_within_outlines_are_refused(deep: int) -> None:
    rings = "[" * deep + "]" * deep
    feature = f'{{"type": "Feature", "geometry": {{"type": "Polygon", "coordinates": {rings}}}}}'

    with pytest.raises(RefusedError) as caught:
        known.check(f'{{"type": "FeatureCollection", "features": [{feature}]}}'.encode())

    assert caught.value.code in {"bad_outlines", "no_outlines"}


def test_what_outlines_say_is_stored_as_it_was_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detectors, "detector_of", bright)
    make_model()
    scene = make_scene(make_organisation(), pixel_size_m=0.5)
    said = {"of": "\U0001f3e0 \\u0000 \u202e", "floors": 2**62, "deep": [[{"a": None}]]}
    feature = {
        "type": "Feature",
        "id": "no. 7\t",
        "properties": said,
        "geometry": ring(33.3005, 35.1990, 33.3007, 35.1992),
    }
    sent_outlines = json.dumps({"type": "FeatureCollection", "features": [feature]}).encode()
    asked = AssessmentRequest(scene=scene.pk, outlines=sent_outlines)

    row = finish(services.create_assessment(make_actor(scene.organisation), asked))

    assert row.state == "done"
    footprint = row.footprints.get()
    assert (footprint.outline_id, footprint.attributes) == ("no. 7\t", said)


def test_every_operation_says_what_it_answers_with_and_how_it_refuses() -> None:
    described = json.loads(json.dumps(api.get_openapi_schema(), default=str))
    refusal = {"$ref": "#/components/schemas/Refusal"}
    silent = []
    for path, operations in described["paths"].items():
        for method, operation in operations.items():
            answers = operation["responses"]
            done = {status: one for status, one in answers.items() if status.startswith("2")}
            kept = all("content" in one for status, one in done.items() if status != "204")
            told = answers["4XX"]["content"]["application/json"]["schema"] == refusal
            either = all(
                refusal in one["content"]["application/json"]["schema"]["anyOf"]
                for status, one in answers.items()
                if status.isdigit() and int(status) >= 400
            )
            if not (done and kept and told and either):
                silent.append((method, path))

    assert silent == []
