"""Imports from links over HTTP: for programs, and on the page of an event."""

import re

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from tests.unosat.makers import make_actor, make_organisation
from unosat.accounts import services as account_services
from unosat.accounts.actors import Actor
from unosat.scenes import fetches, uploads
from unosat.scenes.models import Event, Fetch

pytestmark = pytest.mark.django_db

LINK = "https://images.example/a.tif?signature=secret"
INLINE = re.compile(r"<style|\sstyle=|\son[a-z]+=|<script(?![^>]*(src=|application/json))", re.I)


@pytest.fixture
def actor() -> Actor:
    return make_actor(make_organisation(), "admin")


@pytest.fixture
def program(client: Client, actor: Actor) -> Client:
    """A partner's program, with its key."""
    _, text = account_services.create_key(actor, name="ours", role="partner")
    client.defaults["HTTP_AUTHORIZATION"] = f"Bearer {text}"
    return client


@pytest.fixture
def browser(actor: Actor) -> Client:
    client = Client()
    client.force_login(User.objects.get(pk=actor.user_id or 0))
    return client


@pytest.fixture
def event(actor: Actor) -> Event:
    return Event.objects.create(
        organisation_id=actor.organisation_id, name="Storm", kind="storm", date="2025-10-01"
    )


def failed(actor: Actor, event: Event, *assets: str) -> Fetch:
    """An import of which five of ten bytes arrived before it failed."""
    about = {"event": str(event.pk), "phase": "after"}
    fetch = fetches.begin(actor, url=LINK, metadata=about)
    upload = uploads.begin(actor, length=10, filename="a.tif", metadata=about)
    coming = iter([b"01234", b""])
    uploads.append(actor, upload.pk, offset=0, read=lambda _: next(coming))
    Fetch.objects.update(
        upload=upload, state="failed", failure_code="x", failure_message="<b>No</b>", assets=assets
    )
    return fetch


def test_a_program_asks_for_an_import_follows_it_and_gives_it_up(program: Client) -> None:
    asked = program.post(
        "/api/v1/fetches",
        {"url": LINK, "phase": "after", "event_name": "Storm", "licence": "CC0"},
        content_type="application/json",
    )
    address = f"/api/v1/fetches/{asked.json()['id']}"
    read = program.get(address)
    listed = program.get("/api/v1/fetches")
    ended = program.delete(address)

    assert asked.status_code == 202
    assert read.json() == asked.json()
    assert (read.json()["state"], read.json()["host"]) == ("waiting", "images.example")
    assert (read.json()["filename"], read.json()["received"], read.json()["length"]) == (
        "a.tif", 0, None,
    )  # fmt: skip
    assert b"secret" not in read.content + listed.content
    assert listed.json()["count"] == 1
    assert Fetch.objects.get().metadata["licence"] == "CC0"
    assert ended.status_code == 204
    assert program.get(address).json()["state"] == "cancelled"
    assert (program.delete(address).status_code, program.delete(address).json()["code"]) == (
        409, "fetch_ended",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"url": "http://images.example/a.tif"}, "link_not_allowed"),
        ({"url": "https://10.0.0.1/a.tif"}, "address_not_allowed"),
        ({"url": ""}, "invalid_fields"),
        ({"phase": "during"}, "invalid_fields"),
        ({"event_name": ""}, "bad_scene_facts"),
    ],
)
def test_what_cannot_be_imported_is_refused_in_the_shape_of_all_refusals(
    change: dict[str, str], code: str, program: Client
) -> None:
    body = {"url": LINK, "phase": "after", "event_name": "Storm"} | change

    response = program.post("/api/v1/fetches", body, content_type="application/json")

    assert (response.status_code, response.json()["code"]) == (422, code)
    assert set(response.json()) == {"code", "message"}


def test_a_program_goes_on_with_an_import_that_failed(
    program: Client, actor: Actor, event: Event
) -> None:
    address = f"/api/v1/fetches/{failed(actor, event, 'red', 'ms').pk}"

    before = program.get(address).json()
    again = program.post(f"{address}/again", {"asset": "ms"}, content_type="application/json")
    twice = program.generic("POST", f"{address}/again")

    assert (before["received"], before["length"], before["assets"]) == (5, 10, ["red", "ms"])
    assert (again.status_code, again.json()["state"], again.json()["asset"]) == (
        202,
        "waiting",
        "ms",
    )
    assert (twice.status_code, twice.json()["code"]) == (409, "fetch_ended")


def test_the_documentation_describes_it(client: Client) -> None:
    paths = client.get("/api/v1/openapi.json").json()["paths"]

    assert set(paths["/api/v1/fetches"]) == {"get", "post"}
    assert set(paths["/api/v1/fetches/{fetch_id}"]) == {"get", "delete"}


def test_a_person_imports_from_the_page_of_the_event(browser: Client, event: Event) -> None:
    page = reverse("event", args=[event.pk])
    assert "Import from a link" in browser.get(page).content.decode()

    sent = browser.post(reverse("fetch_link", args=[event.pk]), {"url": LINK, "phase": "before"})

    shown = browser.get(page).content.decode()
    assert (sent.status_code, sent["Location"]) == (302, page)
    assert Fetch.objects.get().metadata["phase"] == "before"
    assert "images.example" in shown
    assert "every 2s" in shown
    assert "secret" not in shown
    assert not INLINE.search(shown)


def test_a_refused_link_stays_in_the_form_with_the_reason(browser: Client, event: Event) -> None:
    address = reverse("fetch_link", args=[event.pk])
    fields = {"url": "http://images.example/a.tif", "phase": "before"}

    whole = browser.post(address, fields).content.decode()
    part = browser.post(address, fields, headers={"HX-Request": "true"}).content.decode()

    for text in (whole, part):
        assert "begins with https://" in text
        assert 'value="http://images.example/a.tif"' in text
        assert re.search(r'value="before"\s+checked', text)
    assert "<h1>" in whole
    assert part.startswith("<form")
    assert not Fetch.objects.exists()


def test_the_list_shows_how_far_it_is_why_it_failed_and_what_can_be_done(
    browser: Client, actor: Actor, event: Event
) -> None:
    fetch = failed(actor, event, "red", "ms")
    part = {"HX-Request": "true"}

    shown = browser.get(reverse("event_scenes", args=[event.pk])).content.decode()
    again = browser.post(
        reverse("fetch_again", args=[fetch.pk]), {"asset": "ms"}, headers=part
    ).content.decode()
    gone = browser.post(reverse("fetch_cancel", args=[fetch.pk]), headers=part).content.decode()

    assert '<progress value="5" max="10"' in shown
    assert "&lt;b&gt;No&lt;/b&gt;" in shown
    assert "Import red" in shown
    assert "Import ms" in shown
    assert "state-waiting" in again
    assert "images.example" not in gone


def test_where_it_is_switched_off_there_is_no_form(
    browser: Client, event: Event, settings: Settings
) -> None:
    settings.UNOSAT_FETCH_PORTS = []

    page = browser.get(reverse("event", args=[event.pk])).content.decode()
    sent = browser.post(reverse("fetch_link", args=[event.pk]), {"url": LINK, "phase": "after"})

    assert "Import from a link" not in page
    assert sent.status_code == 200
    assert not Fetch.objects.exists()
