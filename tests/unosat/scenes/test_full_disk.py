"""A disk that is really full: uploads stop, keep what came, and go on once there is room."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import requests
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import override_settings
from pytest_django import Settings
from tusclient.client import TusClient

from tests.conftest import MakeGeotiff
from tests.full_disk import ended, fill, free_bytes, small_disk, until_it_waits_for_room
from tests.live import free_port, processes_of
from tests.unosat.makers import make_actor, make_organisation
from tests.unosat.scenes.https import File, serving
from unosat.accounts import services as accounts
from unosat.accounts.actors import Actor
from unosat.ops.store import store_path
from unosat.scenes import fetches, services, tasks, uploads
from unosat.scenes.errors import NoRoomForFile, StorageFull
from unosat.scenes.models import Scene, Upload
from unosat.scenes.uploads import Checksum, Read

pytestmark = pytest.mark.django_db

MIB = 1024**2
DISK_BYTES = 8 * MIB
FACTS = {"event_name": "Storm", "phase": "after"}


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 8 MiB of its own, on which the store lies."""
    with (
        small_disk(tmp_path / "disk", DISK_BYTES) as folder,
        override_settings(UNOSAT_STORE=folder, UNOSAT_KEEP_FREE_BYTES=0),
    ):
        yield folder


@pytest.fixture
def actor() -> Actor:
    return make_actor(make_organisation())


def begin(actor: Actor, length: int) -> Upload:
    return uploads.begin(actor, length=length, filename="a.tif", metadata=FACTS)


def sending(data: bytes) -> Read:
    left = memoryview(data)

    def read(size: int) -> bytes:
        nonlocal left
        taken, left = left[:size], left[size:]
        return bytes(taken)

    return read


def test_what_the_disk_took_is_kept_and_the_rest_follows_once_there_is_room(
    disk: Path, actor: Actor
) -> None:
    data = np.random.default_rng(1).bytes(6 * MIB)
    upload = begin(actor, len(data))
    other = fill(disk, leaving_bytes=3 * MIB + 5 * 4096)

    with pytest.raises(StorageFull) as refusal:
        uploads.append(actor, upload.pk, offset=0, read=sending(data))
    upload.refresh_from_db()
    reached = upload.offset
    with pytest.raises(StorageFull):
        uploads.append(actor, upload.pk, offset=reached, read=sending(data[reached:]))

    assert refusal.value.status == 507
    assert 3 * MIB <= reached < 6 * MIB
    assert store_path(upload.path).read_bytes() == data[:reached]
    other.unlink()
    uploads.append(actor, upload.pk, offset=reached, read=sending(data[reached:]))
    assert store_path(upload.path).read_bytes() == data
    assert Scene.objects.get().upload_id == upload.pk


def test_a_disk_that_fills_up_within_a_write_counts_what_it_took(disk: Path, actor: Actor) -> None:
    upload = begin(actor, 2 * MIB)
    other = fill(disk, leaving_bytes=0)
    with other.open("r+b") as file:
        file.truncate(other.stat().st_size - 300 * 1024)  # less than one write has
    data = np.random.default_rng(2).bytes(2 * MIB)

    with override_settings(UNOSAT_KEEP_FREE_BYTES=-2 * MIB), pytest.raises(StorageFull):
        uploads.append(actor, upload.pk, offset=0, read=sending(data))

    upload.refresh_from_db()
    assert upload.offset == 300 * 1024
    assert store_path(upload.path).read_bytes() == data[: 300 * 1024]


def test_a_part_with_a_checksum_is_all_or_nothing_on_a_full_disk_too(
    disk: Path, actor: Actor
) -> None:
    data = np.random.default_rng(3).bytes(4 * MIB)
    checksum = Checksum("sha256", hashlib.sha256(data[MIB:]).digest())
    upload = begin(actor, len(data))
    uploads.append(actor, upload.pk, offset=0, read=sending(data[:MIB]))
    fill(disk, leaving_bytes=MIB)

    with pytest.raises(StorageFull):
        uploads.append(actor, upload.pk, offset=MIB, read=sending(data[MIB:]), checksum=checksum)

    upload.refresh_from_db()
    assert upload.offset == MIB
    assert store_path(upload.path).read_bytes() == data[:MIB]


def test_a_file_that_the_disk_has_no_room_for_is_refused_before_it_is_sent(
    disk: Path, actor: Actor
) -> None:
    with pytest.raises(NoRoomForFile):
        begin(actor, DISK_BYTES + 1)

    assert not Upload.objects.exists()
    assert not list((disk / "uploads").iterdir())


def test_what_the_database_may_need_stays_free(disk: Path, actor: Actor) -> None:
    upload = begin(actor, 6 * MIB)

    with override_settings(UNOSAT_KEEP_FREE_BYTES=4 * MIB), pytest.raises(StorageFull):
        uploads.append(actor, upload.pk, offset=0, read=sending(bytes(6 * MIB)))

    assert 4 * MIB <= free_bytes(disk) < 5 * MIB


@pytest.mark.parametrize("leaving_bytes", [0, MIB // 2, MIB, 3 * MIB // 2, 2 * MIB])
def test_an_image_whose_check_met_a_full_disk_is_kept_and_checked_again(
    disk: Path,
    actor: Actor,
    make_geotiff: MakeGeotiff,
    django_capture_on_commit_callbacks: object,
    leaving_bytes: int,
) -> None:
    noise = np.random.default_rng(4).integers(1, 255, (3, 600, 600), np.uint8)
    sent = make_geotiff(noise).read_bytes()
    scene = uploads.receive_file(actor, SimpleUploadedFile("a.tif", sent), FACTS)
    other = fill(disk, leaving_bytes=leaving_bytes)

    with django_capture_on_commit_callbacks(execute=True):  # type: ignore[operator]
        tasks.ingest(str(scene.pk))
    scene.refresh_from_db()
    assert (scene.state, scene.refusal_code) == ("refused", "storage_full")
    assert scene.upload is not None
    assert store_path(scene.upload.path).read_bytes() == sent

    other.unlink()
    assert services.check_again(scene.pk)
    tasks.ingest(str(scene.pk))
    scene.refresh_from_db()
    assert (scene.state, scene.refusal_code) == ("ready", "")
    assert not services.check_again(scene.pk)


@pytest.mark.django_db(transaction=True)
def test_an_import_by_link_waits_for_room_and_goes_on_from_what_arrived(
    disk: Path,
    tmp_path: Path,
    actor: Actor,
    caplog: pytest.LogCaptureFixture,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = b"II*\0" + np.random.default_rng(6).bytes(6 * MIB)
    with serving(tmp_path) as server:
        server.files["/a.tif"] = File(data)
        monkeypatch.setattr("tests.unosat.scenes.https.fetcher_of_worker", server.fetcher)
        settings.UNOSAT_FETCHER = "tests.unosat.scenes.https.fetcher_of_worker"
        fetch = fetches.begin(actor, url=server.url("/a.tif"), metadata=FACTS)
        other = disk / "other"
        other.write_bytes(bytes(DISK_BYTES - 3 * MIB))

        fetching = until_it_waits_for_room(lambda: tasks.fetch(str(fetch.pk)), caplog)
        fetch.refresh_from_db()
        halfway = fetch.state
        other.unlink()
        assert ended(fetching)

    fetch.refresh_from_db()
    assert halfway == "fetching"
    assert fetch.state == "done", fetch.failure_code
    assert fetch.upload is not None
    assert store_path(fetch.upload.path).read_bytes() == data
    assert Scene.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_over_the_network_a_full_disk_is_507_and_a_client_goes_on_later(
    disk: Path, redis_url: str, tmp_path: Path
) -> None:
    data = np.random.default_rng(5).bytes(6 * MIB)
    _, key = accounts.create_key(make_actor(make_organisation(), "admin"), name="partner")
    connection.close()
    headers = {"Authorization": f"Bearer {key}", "Tus-Resumable": "1.0.0"}
    file = tmp_path / "after.tif"
    file.write_bytes(data)

    with processes_of(redis_url, tmp_path / "log") as stack, file.open("rb") as stream:
        stack.start_web(free_port(), UNOSAT_STORE=str(disk), UNOSAT_KEEP_FREE_BYTES="0")
        client = TusClient(f"{stack.url}api/v1/uploads", headers=headers)
        uploader = client.uploader(file_stream=stream, chunk_size=MIB, metadata=FACTS)
        uploader.upload_chunk()
        other = fill(disk, leaving_bytes=MIB + MIB // 2)
        rest = {"Content-Type": "application/offset+octet-stream", "Upload-Offset": str(MIB)}
        refused = requests.patch(uploader.url, headers=headers | rest, data=data[MIB:], timeout=60)
        offset = int(
            requests.head(uploader.url, headers=headers, timeout=60).headers["Upload-Offset"]
        )
        other.unlink()
        uploader.offset = offset
        uploader.upload()

    assert refused.status_code == 507
    assert refused.json()["message"].startswith("The server's disk is full. What has arrived is")
    assert MIB < offset < 4 * MIB
    assert store_path(Upload.objects.get().path).read_bytes() == data
