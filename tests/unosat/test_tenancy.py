"""Another organisation's objects do not exist: asked of every address that there is.

The list of addresses is the URL configuration itself. A new address whose parameters or body this
file does not know fails here, so none can be added without saying whose objects it shows.
"""

import base64
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.test.client import MULTIPART_CONTENT
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils import timezone

from tests.unosat.makers import make_actor, make_done_assessment, make_organisation, make_user, ring
from unosat.accounts import services as account_services
from unosat.assessments.models import Assessment
from unosat.ops.models import Outbox
from unosat.quality import services as quality_services
from unosat.quality.models import Item, Sample
from unosat.quality.services import SampleRequest
from unosat.review.models import ReviewedArea
from unosat.scenes import fetches, uploads
from unosat.scenes.models import Fetch, Scene
from unosat.teams.models import ControlBuilding, SecondLook, SecondLookPlan, TeamArea
from unosat.training.models import ModelVersion, TrainingRun

pytestmark = pytest.mark.django_db

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
NOT_OURS = ("admin/", "static/")  # Django's own; for staff of the installation, or for everybody
PARAMETER = re.compile(r"<(?:(\w+):)?(\w+)>")
TUS = {
    "Tus-Resumable": "1.0.0",
    "Upload-Offset": "0",
    "Upload-Length": "10",
}
BYTES = "application/offset+octet-stream"
# What a request must carry to get as far as asking whose object it is.
BODIES: dict[str, dict[str, Any]] = {
    "assessments/<uuidstr:assessment_id>/urgent": {"urgent": True},
    "assessments/<uuidstr:assessment_id>/decisions": {
        "id": str(uuid4()),
        "kind": "accept",
        "building": str(uuid4()),
        "on_version": 0,
    },
    "assessments/<uuidstr:assessment_id>/decisions/several": {
        "decisions": [{"id": str(uuid4()), "kind": "accept", "building": str(uuid4())}]
    },
    "assessments/<uuidstr:assessment_id>/reviewed-areas": {"outline": ring(33, 35, 34, 36)},
    "assessments/<uuidstr:assessment_id>/team-areas": {"outline": ring(33, 35, 34, 36)},
    "assessments/<uuidstr:assessment_id>/team-areas/split": {"columns": 2, "rows": 2},
    "team-areas/<uuidstr:team_area_id>/assign": {"member": None},
    "assessments/<uuidstr:assessment_id>/second-look-plan": {"share_percent": 20},
    "assessments/<uuidstr:assessment_id>/second-looks": {"count": 1},
    "second-looks/<uuidstr:look_id>/answer": {"answer": "destroyed"},
    "second-looks/<uuidstr:look_id>/adjudication": {
        "id": str(uuid4()),
        "answer": "destroyed",
        "on_version": 0,
    },
    "assessments/<uuidstr:assessment_id>/controls": {
        "building": str(uuid4()),
        "answer": "destroyed",
    },
    "assessments/<uuidstr:assessment_id>/presence": {
        "centre": [33.5, 35.5],
        "bounds": [33, 35, 34, 36],
    },
    "assessments/<uuidstr:assessment_id>/quality-samples": {"buildings": 60},
    "quality-items/<uuidstr:thing_id>": {"answer": "destroyed"},
    "quality-squares/<uuidstr:thing_id>": {"answer": "judged"},
}


@dataclass(frozen=True)
class Victim:
    """One object of each kind, all of one organisation."""

    ids: dict[str, str]
    secrets: frozenset[str]


@dataclass(frozen=True)
class Route:
    """One address of the URL configuration."""

    pattern: str
    parameters: tuple[tuple[str, str], ...]

    def fill(self, ids: dict[str, str]) -> str:
        """The address with these ids; numbers (of tiles) are 0."""
        return "/" + PARAMETER.sub(
            lambda found: "0" if found[1] == "int" else ids[found[2]], self.pattern
        )


def routes() -> list[Route]:
    """Every address, without Django's own."""
    found = [
        Route(text, tuple((kind, name) for kind, name in PARAMETER.findall(text)))
        for text in _patterns(get_resolver().url_patterns, "")
        if not text.startswith(NOT_OURS)
    ]
    return sorted(set(found), key=lambda route: route.pattern)


def _patterns(patterns: list[URLPattern | URLResolver], before: str) -> Iterator[str]:
    for pattern in patterns:
        text = before + str(pattern.pattern).lstrip("^")
        if isinstance(pattern, URLResolver):
            yield from _patterns(pattern.url_patterns, text)
        else:
            yield text


WITH_ID = [route for route in routes() if route.parameters]
WITHOUT_ID = [route for route in routes() if not route.parameters]


@pytest.fixture
def victim() -> Victim:
    theirs = make_organisation()
    row = make_done_assessment(theirs)
    owner = make_user(theirs)
    admin = make_actor(theirs, "admin")
    version = ModelVersion.objects.create(
        organisation=theirs, name="theirs", version="1", sha256="1" * 64, input_kind="after",
        folder="models/theirs",
    )  # fmt: skip
    run = TrainingRun.objects.create(organisation=theirs, base_version=version)
    building = row.buildings.all()[0]
    area = ReviewedArea.objects.create(assessment=row, outline=building.outline, user=owner)
    key, _ = account_services.create_key(admin, name="theirs")
    upload = uploads.begin(
        admin, length=10, filename="a.tif",
        metadata={"event": str(row.scene.event_id), "phase": "after"},
    )  # fmt: skip
    team_area = TeamArea.objects.create(
        assessment=row, number=1, label="A1", outline=building.outline, rectangular=True
    )
    control = ControlBuilding.objects.create(
        building=building, answer="destroyed", source="marked", set_by=owner
    )
    look = SecondLook.objects.create(
        assessment=row, building=building, because="share", user=owner, lease_until=timezone.now()
    )
    about = {"event": str(row.scene.event_id), "phase": "after"}
    fetch = fetches.begin(admin, url="https://images.example/a.tif", metadata=about)
    sample = quality_services.draw(make_actor(theirs), row.pk, SampleRequest(60))
    ids = {
        "event_id": str(row.scene.event_id),
        "scene_id": str(row.scene_id),
        "assessment_id": str(row.pk),
        "uid": str(building.uid),
        "area_id": str(area.pk),
        "run_id": str(run.pk),
        "version_id": str(version.pk),
        "key_id": str(key.pk),
        "upload_id": str(upload.pk),
        "fetch_id": str(fetch.pk),
        "team_area_id": str(team_area.pk),
        "control_id": str(control.pk),
        "look_id": str(look.pk),
        "when": "after",
        "sample_id": str(sample.pk),
        "thing_id": str(sample.items.all()[0].pk),
    }
    return Victim(ids, frozenset(ids.values()) - {"after"} | {row.scene.event.name, theirs.name})


@pytest.fixture(params=["session", "key"])
def stranger(request: pytest.FixtureRequest, client: Client) -> Client:
    """An admin of another organisation, or an analyst's key of it."""
    admin = make_actor(make_organisation(), "admin")
    if request.param == "session":
        client.force_login(User.objects.get(pk=admin.user_id or 0))
    else:
        _, text = account_services.create_key(admin, name="ours", role="analyst")
        client.defaults["HTTP_AUTHORIZATION"] = f"Bearer {text}"
    return client


def send(client: Client, method: str, route: Route, address: str) -> int:
    """The status of one request; a stream is not read."""
    body = BODIES.get(route.pattern.removeprefix("api/v1/"), {})
    if "uploads/" in route.pattern and method == "PATCH":
        return client.generic(method, address, b"x", BYTES, headers=TUS).status_code
    if method in {"GET", "HEAD"}:
        return client.generic(method, address, headers=TUS).status_code
    response = client.generic(method, address, json.dumps(body), "application/json", headers=TUS)
    return response.status_code


def test_this_file_knows_what_every_address_is_about(victim: Victim) -> None:
    named = {name for route in WITH_ID for kind, name in route.parameters if kind != "int"}

    assert len(WITH_ID) > 20
    assert named <= victim.ids.keys()


def test_another_organisations_object_does_not_exist(stranger: Client, victim: Victim) -> None:
    nobodys = {name: str(uuid4()) for name in victim.ids}
    # some things a key may never do, whoever owns them
    allowed = {403, 404} if "HTTP_AUTHORIZATION" in stranger.defaults else {404}
    before = _everything()

    wrong = {}
    for route in WITH_ID:
        theirs, of_nobody = (
            {method: send(stranger, method, route, route.fill(ids)) for method in METHODS}
            for ids in (victim.ids, nobodys)
        )
        answered = {status for status in theirs.values() if status != 405}
        if theirs != of_nobody or not answered or not answered <= allowed:
            wrong[route.pattern] = (theirs, of_nobody)

    assert wrong == {}
    assert _everything() == before


def test_no_list_and_no_page_shows_another_organisations_objects(
    stranger: Client, victim: Victim
) -> None:
    wrong = {}
    for route in WITHOUT_ID:
        response = stranger.get(f"/{route.pattern}")
        shown = b"" if response.streaming else response.content
        told = [secret for secret in victim.secrets if secret.encode() in shown]
        if told or (response.status_code >= 500 and route.pattern != "health"):  # no worker here
            wrong[route.pattern] = (response.status_code, told)

    assert wrong == {}


def test_no_body_can_name_another_organisations_object(stranger: Client, victim: Victim) -> None:
    theirs = victim.ids
    said = f"phase {base64.b64encode(b'after').decode()},event " + (
        base64.b64encode(theirs["event_id"].encode()).decode()
    )
    form = {
        "event": theirs["event_id"],
        "phase": "after",
        "file": SimpleUploadedFile("a.tif", b"x"),
    }
    before = _everything()

    answers = [
        stranger.post(
            "/api/v1/assessments", {"scene": theirs["scene_id"]}, content_type="application/json"
        ),
        stranger.post("/api/v1/scenes", form, content_type=MULTIPART_CONTENT),
        stranger.post("/api/v1/uploads", headers=TUS | {"Upload-Metadata": said}),
        stranger.post(
            "/api/v1/fetches",
            {"url": "https://images.example/a.tif", "phase": "after", "event": theirs["event_id"]},
            content_type="application/json",
        ),
    ]

    assert [answer.status_code for answer in answers] == [404, 404, 404, 404]
    assert _everything() == before


def test_nothing_but_the_doors_is_open_to_visitors(client: Client, victim: Victim) -> None:
    doors = {"accounts/login/", "accounts/logout/", "health"}
    for route in routes():
        if route.pattern in doors or route.pattern.startswith(("api/v1/openapi", "api/v1/docs")):
            continue
        response = client.get(route.fill(victim.ids | {"path": "x"}), headers=TUS)
        assert response.status_code in {302, 401, 405} or route.pattern == "api/v1/", route.pattern
        if response.status_code == 302:
            assert response["Location"].startswith("/accounts/login/"), route.pattern


def _everything() -> list[object]:
    """What a stranger's request must not change."""
    return [
        list(Scene.objects.order_by("pk").values()),
        list(Fetch.objects.order_by("pk").values()),
        list(Assessment.objects.order_by("pk").values()),
        list(TrainingRun.objects.order_by("pk").values()),
        list(ModelVersion.objects.order_by("pk").values()),
        list(Sample.objects.order_by("pk").values()),
        list(Item.objects.order_by("pk").values()),
        list(ReviewedArea.objects.order_by("pk").values("pk", "kept_aside")),
        list(TeamArea.objects.order_by("pk").values()),
        list(ControlBuilding.objects.order_by("pk").values()),
        list(SecondLook.objects.order_by("pk").values()),
        list(SecondLookPlan.objects.order_by("pk").values()),
        Outbox.objects.count(),
    ]
