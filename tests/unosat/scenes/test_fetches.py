"""Imports from links, from the question to the scene: cut, killed, changed, cancelled, refused."""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.db.models.functions import Now
from django.utils import timezone
from pytest_django import Settings

from tests.conftest import MakeGeotiff
from tests.unosat.makers import make_actor, make_organisation
from tests.unosat.scenes.https import HOST, PATIENT, File, Server, serving, sha256
from unosat.accounts.actors import Actor
from unosat.errors import NotFound
from unosat.ops import jobs, leases
from unosat.ops.models import Job, Outbox
from unosat.ops.store import store_path
from unosat.scenes import fetches, fetching, tasks
from unosat.scenes.errors import (
    AddressNotAllowed,
    BadSceneFacts,
    FetchEnded,
    LinkNotAllowed,
    TooManyFetches,
)
from unosat.scenes.fetching import Fetcher
from unosat.scenes.models import Event, Fetch, Scene, Upload

pytestmark = pytest.mark.django_db

FACTS = {"event_name": "Storm", "phase": "after"}
COG = "image/tiff; application=geotiff; profile=cloud-optimized"
TIFF = b"II*\0" + bytes(range(256)) * 8000  # two megabytes that begin like one


@pytest.fixture
def actor() -> Actor:
    return make_actor(make_organisation())


UseFetcher = Callable[[Fetcher], None]


@pytest.fixture
def use(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> UseFetcher:
    """Have the application use a fetcher."""

    def take(fetcher: Fetcher) -> None:
        monkeypatch.setattr("tests.unosat.scenes.https.fetcher_of_worker", lambda: fetcher)

    settings.UNOSAT_FETCHER = "tests.unosat.scenes.https.fetcher_of_worker"
    return take


@pytest.fixture
def server(tmp_path: Path, use: UseFetcher) -> Iterator[Server]:
    """A server, and the application's fetcher reaches it."""
    with serving(tmp_path) as running:
        use(running.fetcher())
        yield running


def ask(actor: Actor, url: str, *, asset: str = "", **facts: str) -> Fetch:
    return fetches.begin(actor, url=url, asset=asset, metadata=FACTS | facts)


def fetched(fetch: Fetch) -> Fetch:
    """The import after its task ran once."""
    tasks.fetch(str(fetch.pk))
    return Fetch.objects.select_related("upload").get(pk=fetch.pk)


def sent_bytes(fetch: Fetch) -> bytes:
    assert fetch.upload is not None
    return store_path(fetch.upload.path).read_bytes()


def item(assets: dict[str, Any], **properties: object) -> bytes:
    document = {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": "one",
        "properties": {"datetime": "2025-10-02T10:11:12Z", "platform": "WV-3"} | properties,
        "assets": assets,
    }
    return json.dumps(document).encode()


def image(href: str) -> dict[str, Any]:
    return {"href": href, "type": COG, "roles": ["data"]}


def test_an_image_from_a_link_becomes_a_ready_scene(
    actor: Actor, server: Server, make_geotiff: MakeGeotiff
) -> None:
    data = make_geotiff(np.full((3, 700, 600), 90, np.uint8)).read_bytes()
    server.files["/after.tif"] = File(data)

    asked = ask(actor, server.url("/after.tif?signature=secret"), sensor="WV-3")
    assert (Outbox.objects.get().task, Outbox.objects.get().queue) == ("scenes.fetch", "ingest")
    fetch = fetched(asked)
    scene = Scene.objects.get()
    tasks.ingest(str(scene.pk))

    scene.refresh_from_db()
    assert (fetch.state, fetch.scene_id, fetch.received) == ("done", scene.pk, len(data))
    assert (scene.state, scene.name, scene.sensor, scene.phase) == (
        "ready", "after.tif", "WV-3", "after",
    )  # fmt: skip
    assert scene.sha256 == sha256(data)
    assert (scene.created_by_id, scene.event.name) == (actor.user_id, "Storm")
    assert fetch.url == server.url("/after.tif")  # what was secret in the link is gone
    assert "secret" not in fetch.image_url


def test_a_link_cut_five_times_comes_whole_and_nothing_is_sent_twice(
    actor: Actor, server: Server
) -> None:
    server.files["/a.tif"] = File(TIFF, cuts=[300_000] * 5)

    fetch = fetched(ask(actor, server.url("/a.tif")))

    assert fetch.state == "done"
    assert sha256(sent_bytes(fetch)) == sha256(TIFF)
    assert len(server.seen) == 6
    assert sum(seen.sent[0] for seen in server.seen) == len(TIFF)
    assert fetch.restarts == 0


def test_an_attempt_that_died_is_gone_on_with_by_the_next(actor: Actor, server: Server) -> None:
    server.files["/a.tif"] = File(TIFF, cuts=[500_000])
    asked = ask(actor, server.url("/a.tif"))

    class Killed(BaseException):
        """As kill -9: nothing of ours runs after it."""

    def die(*_: object) -> None:
        raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("unosat.scenes.fetches._Errand._note_interruption", die)
        with pytest.raises(Killed):
            tasks.fetch(str(asked.pk))
    half = Fetch.objects.select_related("upload").get(pk=asked.pk)
    assert (half.state, half.received) == ("fetching", 500_000)
    with store_path(half.upload.path if half.upload else "").open("ab") as file:
        file.write(b"written, but never counted")
    Job.objects.update(lease_until=Now() - timedelta(seconds=1))

    fetch = fetched(asked)

    assert fetch.state == "done"
    assert sent_bytes(fetch) == TIFF
    assert server.seen[1].headers["range"] == "bytes=500000-"
    assert Job.objects.get(kind="fetch").attempt == 2


def test_a_file_that_changes_between_two_parts_is_never_mixed(actor: Actor, server: Server) -> None:
    old, new = File(TIFF, cuts=[300_000]), File(TIFF[:4] + TIFF[:3:-1], etag='"2"')
    server.files["/a.tif"] = old
    old.pause = lambda at: server.files.update({"/a.tif": new} if at else {})

    fetch = fetched(ask(actor, server.url("/a.tif")))

    assert fetch.state == "done"
    assert sent_bytes(fetch) == new.body
    assert (fetch.validator, fetch.restarts) == ('"2"', 1)
    assert Upload.objects.filter(state="expired").count() == 1


def test_a_server_that_cannot_go_on_in_the_middle_is_not_asked_for_ever(
    actor: Actor, server: Server
) -> None:
    server.files["/a.tif"] = File(TIFF, ranges=False, cuts=[300_000] * 100)

    fetch = fetched(ask(actor, server.url("/a.tif")))

    assert (fetch.state, fetch.failure_code) == ("failed", "source_changes")
    assert len(server.seen) == PATIENT.restarts + 2


def test_without_ranges_a_connection_that_lasts_is_enough(actor: Actor, server: Server) -> None:
    server.files["/a.tif"] = File(TIFF, ranges=False, etag="", cuts=[300_000, 900_000])

    fetch = fetched(ask(actor, server.url("/a.tif")))

    assert (fetch.state, fetch.restarts) == ("done", 2)
    assert sent_bytes(fetch) == TIFF


def test_a_file_in_chunks_is_taken_whole_or_not_at_all(actor: Actor, server: Server) -> None:
    server.files["/a.tif"] = File(TIFF, chunked=True, cuts=[300_000, 600_000])

    fetch = fetched(ask(actor, server.url("/a.tif")))

    assert fetch.state == "done"
    assert sent_bytes(fetch) == TIFF


def test_what_arrived_before_a_server_went_away_is_gone_on_with_later(
    actor: Actor, server: Server
) -> None:
    server.files["/a.tif"] = File(TIFF, cuts=[300_000] + [0] * 5)
    failed = fetched(ask(actor, server.url("/a.tif?signature=secret")))
    assert (failed.state, failed.failure_code) == ("failed", "source_unreachable")
    assert failed.received == 300_000

    fetches.again(actor, failed.pk)
    with pytest.raises(FetchEnded):
        fetches.again(actor, failed.pk)
    fetch = fetched(failed)

    assert fetch.state == "done"
    assert sent_bytes(fetch) == TIFF
    assert server.seen[-1].headers["range"] == "bytes=300000-"
    assert server.seen[-1].path.endswith("signature=secret")


@pytest.mark.parametrize("chunked", [False, True])
def test_too_large_an_image_is_refused_by_what_is_said_and_by_what_comes(
    chunked: bool,  # noqa: FBT001
    actor: Actor,
    server: Server,
    settings: Settings,
) -> None:
    settings.UNOSAT_MAX_UPLOAD_BYTES = len(TIFF) - 1
    server.files["/a.tif"] = File(TIFF, chunked=chunked)

    fetch = fetched(ask(actor, server.url("/a.tif")))

    assert (fetch.state, fetch.failure_code) == ("failed", "upload_too_large")
    assert not Upload.objects.exists()


def test_a_page_is_no_image_and_is_not_fetched_to_its_end(actor: Actor, server: Server) -> None:
    server.files["/a.tif"] = File(b"<!doctype html>" + bytes(10**7))

    fetch = fetched(ask(actor, server.url("/a.tif")))

    assert fetch.failure_code == "not_an_image_link"
    assert not Upload.objects.exists()


def test_a_server_that_drips_is_given_up_so_that_others_get_their_turn(
    actor: Actor, server: Server, use: UseFetcher
) -> None:
    server.files["/a.tif"] = File(TIFF, piece=100_000, pause=lambda _: time.sleep(0.05))
    slow = replace(PATIENT, window_seconds=0.0, least_bytes_per_second=10.0**12)
    use(server.fetcher(limits=slow))

    fetch = fetched(ask(actor, server.url("/a.tif")))

    assert (fetch.state, fetch.failure_code) == ("failed", "source_too_slow")


def test_a_fetch_that_takes_days_is_given_up_whatever_its_pace(
    actor: Actor, server: Server
) -> None:
    server.files["/a.tif"] = File(TIFF)
    asked = ask(actor, server.url("/a.tif"))
    Fetch.objects.update(begun_at=timezone.now() - timedelta(days=2))

    fetch = fetched(asked)

    assert (fetch.failure_code, server.seen) == ("source_too_slow", [])


def test_after_its_turn_a_fetch_queues_up_behind_what_waits(
    actor: Actor, server: Server, use: UseFetcher
) -> None:
    server.files["/a.tif"] = File(TIFF, cuts=[300_000])
    use(server.fetcher(limits=replace(PATIENT, turn_seconds=0.0, save_seconds=0.0)))
    asked = ask(actor, server.url("/a.tif"))
    other = jobs.enqueue("ingest", asked.pk)
    first = Job.objects.get(kind="fetch")
    half = None
    for _ in range(400):
        half = fetched(asked)
        if half.received:
            break
        assert half.state == "fetching"
    Job.objects.filter(pk=other.pk).delete()
    fetch = fetched(asked)

    assert half is not None
    assert half.state == "fetching"
    assert fetch.state == "done"
    assert sent_bytes(fetch) == TIFF
    last = Job.objects.get(kind="fetch")
    assert (last.pk != first.pk, last.attempt, last.state) == (True, 1, leases.DONE)


@pytest.mark.parametrize("way", [{"ranges": False, "etag": ""}, {"chunked": True}])
def test_what_cannot_be_gone_on_with_does_not_keep_others_waiting_for_hours(
    way: dict[str, Any], actor: Actor, server: Server, use: UseFetcher
) -> None:
    server.files["/a.tif"] = File(TIFF, **way)
    use(
        server.fetcher(
            limits=replace(PATIENT, turn_seconds=0.0, alone_seconds=0.0, save_seconds=0.0)
        )
    )
    alone, beside = ask(actor, server.url("/a.tif")), ask(actor, server.url("/a.tif"))

    assert fetched(beside).failure_code == "source_too_slow"
    assert fetched(alone).state == "done"


@pytest.mark.parametrize("to", ["https://127.0.0.1/a.tif", "https://[::1]/a.tif"])
@pytest.mark.parametrize("by", ["redirect", "item"])
def test_neither_a_redirect_nor_an_item_leads_into_a_private_network(
    by: str, to: str, actor: Actor, server: Server
) -> None:
    if by == "redirect":
        server.redirect("/a", to)
    server.files.setdefault("/a", File(item({"image": image(to)})))

    fetch = fetched(ask(actor, server.url("/a")))

    assert (fetch.state, fetch.failure_code) == ("failed", "address_not_allowed")
    assert len(server.seen) == 1


def test_a_stac_item_gives_the_image_and_what_is_known_of_it(actor: Actor, server: Server) -> None:
    server.files["/items/one"] = File(
        b"\xef\xbb\xbf\n " + item({"image": image("../a.tif")}, license="CC0-1.0"), chunked=True
    )
    server.files["/a.tif"] = File(TIFF)

    fetch = fetched(ask(actor, server.url("/items/one"), licence="ours"))

    scene = Scene.objects.get()
    assert fetch.state == "done"
    assert (scene.name, scene.sensor, scene.licence) == ("one", "WV-3", "ours")
    assert scene.acquired_at is not None
    assert scene.acquired_at.isoformat() == "2025-10-02T10:11:12+00:00"
    assert sent_bytes(fetch) == TIFF


def test_of_several_images_one_is_chosen_and_then_fetched(actor: Actor, server: Server) -> None:
    server.files["/one"] = File(item({"red": image("/a.tif"), "ms": image("/b.tif")}))
    server.files["/b.tif"] = File(TIFF)
    refused = fetched(ask(actor, server.url("/one")))
    assert (refused.failure_code, refused.assets) == ("asset_not_named", ["red", "ms"])
    assert "red, ms" in refused.failure_message

    fetches.again(actor, refused.pk, asset="ms")
    fetch = fetched(refused)
    named = fetched(ask(actor, server.url("/one"), asset="ms"))

    assert (fetch.state, fetch.asset, fetch.assets) == ("done", "ms", [])
    assert named.state == "done"
    assert [seen.path for seen in server.seen] == ["/one", "/one", "/b.tif", "/one", "/b.tif"]


@pytest.mark.parametrize(
    ("document", "code"),
    [
        (item({}), "no_image_asset"),
        (item({"image": image("/one")}), "not_an_image_link"),  # an item of items
        (b'{"type": "Catalog"}', "bad_stac_item"),
        (b"{" + bytes(2 * 1024**2), "bad_stac_item"),
    ],
)
def test_an_item_that_leads_to_no_image_is_refused(
    document: bytes, code: str, actor: Actor, server: Server
) -> None:
    server.files["/one"] = File(document)

    fetch = fetched(ask(actor, server.url("/one")))

    assert (fetch.state, fetch.failure_code) == ("failed", code)
    assert fetch.failure_message.endswith(".")


def test_a_cancelled_import_stops_and_leaves_nothing(
    actor: Actor, server: Server, use: UseFetcher
) -> None:
    server.files["/a.tif"] = file = File(TIFF, piece=200_000)
    asked = ask(actor, server.url("/a.tif?signature=secret"))
    pressed: list[int] = []

    def press(fetch: fetches._Errand) -> None:
        if fetch._offset() and not pressed:
            pressed.append(fetch._offset())
            fetches.cancel(actor, asked.pk)
        checked(fetch)

    file.pause = lambda _: None
    checked = fetches._Errand._check_still_wanted
    use(server.fetcher(limits=replace(PATIENT, save_seconds=0.0)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("unosat.scenes.fetches._Errand._check_still_wanted", press)
        fetch = fetched(asked)

    assert pressed
    assert (fetch.state, fetch.url) == ("cancelled", server.url("/a.tif"))
    assert fetch.upload is not None
    assert fetch.upload.state == "expired"
    assert not store_path(fetch.upload.path).exists()
    assert not Scene.objects.exists()
    assert Job.objects.get().state == "done"
    with pytest.raises(FetchEnded):
        fetches.cancel(actor, fetch.pk)
    with pytest.raises(FetchEnded):
        fetches.again(actor, fetch.pk)


def test_an_import_that_waits_can_be_cancelled_and_is_never_begun(
    actor: Actor, server: Server
) -> None:
    asked = ask(actor, server.url("/a.tif"))

    fetches.cancel(actor, asked.pk)

    assert fetched(asked).state == "cancelled"
    assert server.seen == []


def test_a_finished_import_cannot_be_cancelled(actor: Actor, server: Server) -> None:
    server.files["/a.tif"] = File(TIFF)
    fetch = fetched(ask(actor, server.url("/a.tif")))

    with pytest.raises(FetchEnded):
        fetches.cancel(actor, fetch.pk)

    assert fetched(fetch).state == "done"
    assert len(server.seen) == Scene.objects.count() == 1


def test_a_link_that_came_to_nothing_is_forgotten_after_a_week(
    actor: Actor, server: Server
) -> None:
    old, fresh = (fetched(ask(actor, server.url(f"/{n}.tif?sig=secret"))) for n in range(2))
    assert {old.failure_code, fresh.failure_code} == {"source_refused"}
    Fetch.objects.filter(pk=old.pk).update(created_at=timezone.now() - timedelta(days=8))

    tasks.expire_uploads()

    assert set(Fetch.objects.values_list("url", "state")) == {
        (server.url("/0.tif"), "cancelled"),
        (server.url("/1.tif?sig=secret"), "failed"),
    }


@pytest.mark.parametrize(
    ("url", "facts", "error"),
    [
        ("http://images.example/a.tif", {}, LinkNotAllowed),
        ("https://169.254.169.254/latest", {}, AddressNotAllowed),
        (f"https://{HOST}/a.tif", {"phase": "during"}, BadSceneFacts),
        (f"https://{HOST}/a.tif", {"event_name": ""}, BadSceneFacts),
    ],
)
def test_what_can_be_seen_at_once_is_refused_at_once(
    url: str, facts: dict[str, str], error: type[Exception], actor: Actor
) -> None:
    with pytest.raises(error):
        ask(actor, url, **facts)

    assert not Fetch.objects.exists()
    assert not Job.objects.exists()


def test_asking_resolves_no_name_and_asks_no_host(
    actor: Actor, use: UseFetcher, server: Server
) -> None:
    dialled: list[str] = []
    use(server.fetcher({HOST: [[]]}, dialled=dialled))

    asked = ask(actor, server.url("/a.tif"))

    assert (dialled, server.seen, asked.state) == ([], [], "waiting")
    assert fetched(asked).failure_code == "host_unknown"


def test_one_organisation_cannot_queue_up_without_end(actor: Actor) -> None:
    for number in range(fetches.MAX_OPEN):
        ask(actor, f"https://{HOST}/{number}.tif")

    with pytest.raises(TooManyFetches):
        ask(actor, f"https://{HOST}/one-more.tif")
    ask(make_actor(make_organisation()), f"https://{HOST}/of-others.tif")


def test_another_organisations_event_and_imports_do_not_exist(actor: Actor) -> None:
    stranger = make_actor(make_organisation())
    theirs = ask(stranger, f"https://{HOST}/a.tif")

    with pytest.raises(NotFound):
        ask(actor, f"https://{HOST}/a.tif", event=str(Event.objects.get().pk))
    with pytest.raises(NotFound):
        fetches.cancel(actor, theirs.pk)
    with pytest.raises(NotFound):
        fetches.again(actor, theirs.pk)


def test_the_task_run_twice_and_for_nothing_does_its_work_once(
    actor: Actor, server: Server
) -> None:
    server.files["/a.tif"] = File(TIFF)
    fetch = fetched(ask(actor, server.url("/a.tif")))

    fetched(fetch)
    tasks.fetch(str(Event.objects.get().pk))

    assert len(server.seen) == Scene.objects.count() == 1


def test_the_settings_of_an_installation_name_the_real_fetcher(settings: Settings) -> None:
    real = fetching.fetcher()

    assert settings.UNOSAT_FETCHER == "unosat.scenes.fetching.from_settings"
    assert real.ports == {443, 8443}
    assert (real.resolve, real.dial) == (fetching.resolve, fetching.dial)
    assert real.tls.check_hostname
