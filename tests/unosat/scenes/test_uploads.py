"""Bytes on their way in: kept when a line is cut, never counted twice, one scene in the end."""

import fcntl
import hashlib
import os
import threading
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import override_settings
from django.utils import timezone

from detection.errors import DetectionError
from tests.conftest import MakeGeotiff
from tests.unosat.makers import make_actor, make_organisation
from unosat.accounts.actors import Actor
from unosat.errors import NotFound
from unosat.ops import sweeper
from unosat.ops.models import Job, Outbox
from unosat.ops.store import store_path
from unosat.scenes import models, services, tasks, uploads
from unosat.scenes.errors import (
    BadSceneFacts,
    ChecksumMismatch,
    EmptyFile,
    UploadBusy,
    UploadComplete,
    UploadGone,
    UploadTooLarge,
    WrongOffset,
)
from unosat.scenes.models import Event, Scene, Upload
from unosat.scenes.uploads import Checksum, Read

pytestmark = pytest.mark.django_db

FACTS = {"event_name": "Storm", "phase": "after", "acquired_at": "2026-10-02", "sensor": "WV-3"}


@pytest.fixture
def actor() -> Actor:
    return make_actor(make_organisation())


def begin(actor: Actor, length: int, **facts: str) -> Upload:
    return uploads.begin(actor, length=length, filename="a.tif", metadata=FACTS | facts)


def sending(data: bytes) -> Read:
    """A client that sends these bytes and is then gone."""
    left = bytearray(data)

    def read(size: int) -> bytes:
        taken = bytes(left[:size])
        del left[:size]
        return taken

    return read


def test_a_file_in_two_parts_becomes_one_scene_with_its_job(actor: Actor) -> None:
    upload = begin(actor, 10)

    first = uploads.append(actor, upload.pk, offset=0, read=sending(b"01234"))
    uploads.append(actor, upload.pk, offset=5, read=sending(b"56789"))

    assert first.offset == 5
    scene = Scene.objects.get()
    assert (scene.name, scene.phase, scene.sensor, scene.event.name) == (
        "a.tif", "after", "WV-3", "Storm",
    )  # fmt: skip
    assert scene.acquired_at is not None
    assert scene.acquired_at.isoformat() == "2026-10-02T00:00:00+00:00"
    assert store_path(upload.path).read_bytes() == b"0123456789"
    assert Job.objects.get().subject_id == scene.pk
    assert (Outbox.objects.get().task, Outbox.objects.get().queue) == ("scenes.ingest", "ingest")


def test_what_arrived_of_a_cut_request_is_kept(actor: Actor) -> None:
    upload = begin(actor, 10)

    coming = iter([b"012"])

    def cut(_: int) -> bytes:
        for data in coming:
            return data
        raise OSError("connection lost")

    assert uploads.append(actor, upload.pk, offset=0, read=cut).offset == 3
    upload.refresh_from_db()
    assert upload.offset == 3


def test_bytes_of_a_killed_process_do_not_count(actor: Actor) -> None:
    upload = begin(actor, 10)
    store_path(upload.path).write_bytes(b"garbage that was never counted")

    uploads.append(actor, upload.pk, offset=0, read=sending(b"0123456789"))

    assert store_path(upload.path).read_bytes() == b"0123456789"


def test_more_than_was_announced_is_not_taken(actor: Actor) -> None:
    upload = begin(actor, 4)

    uploads.append(actor, upload.pk, offset=0, read=sending(b"0123456789"))

    assert store_path(upload.path).read_bytes() == b"0123"


@pytest.mark.parametrize("offset", [1, 6])
def test_a_wrong_offset_writes_nothing(actor: Actor, offset: int) -> None:
    upload = begin(actor, 10)
    uploads.append(actor, upload.pk, offset=0, read=sending(b"01234"))

    with pytest.raises(WrongOffset):
        uploads.append(actor, upload.pk, offset=offset, read=sending(b"x"))

    assert store_path(upload.path).read_bytes() == b"01234"


@pytest.mark.parametrize("algorithm", uploads.CHECKSUMS)
def test_a_damaged_part_is_thrown_away_and_a_good_one_kept(actor: Actor, algorithm: str) -> None:
    upload = begin(actor, 10)
    good = Checksum(algorithm, hashlib.new(algorithm, b"01234").digest())

    with pytest.raises(ChecksumMismatch):
        uploads.append(actor, upload.pk, offset=0, read=sending(b"01X34"), checksum=good)
    after = uploads.append(actor, upload.pk, offset=0, read=sending(b"01234"), checksum=good)

    assert after.offset == 5
    assert store_path(upload.path).read_bytes() == b"01234"


@pytest.mark.django_db(transaction=True)
def test_only_one_connection_writes_at_a_time(actor: Actor) -> None:
    upload = begin(actor, 10)
    started, go_on = threading.Event(), threading.Event()

    coming = iter([b"01", b""])

    def slow(_: int) -> bytes:
        started.set()
        go_on.wait(20)
        return next(coming)

    writer = threading.Thread(
        target=uploads.append, args=(actor, upload.pk), kwargs={"offset": 0, "read": slow}
    )
    writer.start()
    started.wait(20)
    with pytest.raises(UploadBusy):
        uploads.append(actor, upload.pk, offset=0, read=sending(b"zz"))
    go_on.set()
    writer.join(20)

    assert store_path(upload.path).read_bytes() == b"01"


@override_settings(UNOSAT_MAX_UPLOAD_BYTES=100)
def test_too_large_a_file_is_refused_before_it_is_sent(actor: Actor) -> None:
    with pytest.raises(UploadTooLarge):
        begin(actor, 101)
    with pytest.raises(EmptyFile):
        begin(actor, 0)


@pytest.mark.parametrize(
    "facts",
    [
        {"phase": "during"},
        {"phase": ""},
        {"event_name": ""},
        {"event": "no id"},
        {"acquired_at": "yesterday"},
        {"acquired_at": "2026-13-01"},
        {"band_order": "XYZ"},
    ],
)
def test_what_is_said_of_the_image_is_checked_first(actor: Actor, facts: dict[str, str]) -> None:
    with pytest.raises(BadSceneFacts):
        begin(actor, 10, **facts)

    assert not Upload.objects.exists()


def test_another_organisations_event_does_not_exist(actor: Actor) -> None:
    stranger = make_actor(make_organisation())
    begin(stranger, 10)

    with pytest.raises(NotFound):
        begin(actor, 10, event=str(Event.objects.get().pk))


def test_a_name_is_never_a_path(actor: Actor) -> None:
    upload = uploads.begin(actor, length=1, filename="..\\../etc/pass\0wd\n.tif", metadata=FACTS)

    assert upload.filename == "passwd.tif"
    assert upload.path == f"uploads/{upload.pk}"


def test_an_ended_upload_is_gone_with_its_file(actor: Actor) -> None:
    upload = begin(actor, 10)

    uploads.end(actor, upload.pk)

    assert not store_path(upload.path).exists()
    with pytest.raises(UploadGone):
        uploads.append(actor, upload.pk, offset=0, read=sending(b"0"))
    with pytest.raises(UploadGone):
        uploads.end(actor, upload.pk)


def test_a_complete_upload_is_an_image_and_can_no_longer_be_given_up(actor: Actor) -> None:
    upload = begin(actor, 1)
    uploads.append(actor, upload.pk, offset=0, read=sending(b"0"))

    with pytest.raises(UploadComplete):
        uploads.end(actor, upload.pk)

    assert store_path(upload.path).exists()


def age(upload: Upload, days: float) -> None:
    """Let so many days pass since the last byte of an upload."""
    passed = timezone.now() + models.KEEP - timedelta(days=days)
    Upload.objects.filter(pk=upload.pk).update(expires_at=passed)


def test_an_upload_that_nobody_went_on_with_is_swept_bytes_first_and_its_row_later(
    actor: Actor,
) -> None:
    old, recent = begin(actor, 10), begin(actor, 10)
    for upload in (old, recent):
        uploads.append(actor, upload.pk, offset=0, read=sending(b"01234"))
    age(old, days=7.01)
    age(recent, days=6.9)

    sweeper.sweep()

    assert set(Upload.objects.values_list("pk", "state")) == {
        (old.pk, "expired"),
        (recent.pk, "open"),
    }
    assert not store_path(old.path).exists()
    assert store_path(recent.path).read_bytes() == b"01234"
    age(old, days=37.01)
    sweeper.sweep()
    assert list(Upload.objects.values_list("pk", flat=True)) == [recent.pk]


def test_going_on_puts_the_end_off(actor: Actor) -> None:
    upload = begin(actor, 10)
    age(upload, days=6.9)

    uploads.append(actor, upload.pk, offset=0, read=sending(b"0"))

    upload.refresh_from_db()
    assert upload.expires_at > timezone.now() + timedelta(days=6.9)


def test_an_upload_is_over_when_it_was_announced_to_be_swept_or_not(actor: Actor) -> None:
    upload = begin(actor, 10)
    age(upload, days=7.01)

    with pytest.raises(UploadGone):
        uploads.append(actor, upload.pk, offset=0, read=sending(b"0"))
    with pytest.raises(UploadGone):
        uploads.settled(actor, upload.pk)


def test_an_upload_that_is_being_written_is_not_swept(actor: Actor) -> None:
    upload = begin(actor, 10)
    age(upload, days=7.01)

    with store_path(upload.path).open("r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # as its writer does
        sweeper.sweep()

    upload.refresh_from_db()
    assert upload.state == "open"


def test_a_complete_upload_whose_request_died_becomes_a_scene_all_the_same(actor: Actor) -> None:
    upload = begin(actor, 1)
    store_path(upload.path).write_bytes(b"0")
    Upload.objects.filter(pk=upload.pk).update(offset=1, state="complete")
    age(upload, days=0)
    sweeper.sweep()
    assert not Scene.objects.exists()  # its request may still be at it

    age(upload, days=0.01)
    sweeper.sweep()

    assert Scene.objects.get().upload == upload


@pytest.mark.parametrize("days", [6.9, 7.01])
def test_a_file_kept_for_another_check_goes_when_nobody_asks_for_one(
    actor: Actor, days: float
) -> None:
    is_kept = days < 7
    scene = receive_bytes(actor, b"0")
    services.ingest_failed(scene.pk, "unexpected", "Ask an admin.")
    scene.refresh_from_db()
    upload = scene.upload
    assert upload is not None
    age(upload, days)

    sweeper.sweep()

    scene.refresh_from_db()
    assert store_path(upload.path).exists() is is_kept
    assert (scene.upload is not None) is is_kept
    assert services.check_again(scene.pk) is is_kept


def test_bytes_that_the_disk_lost_are_asked_for_again(actor: Actor) -> None:
    upload = begin(actor, 10)
    uploads.append(actor, upload.pk, offset=0, read=sending(b"01234"))
    with store_path(upload.path).open("r+b") as file:
        file.truncate(3)

    with pytest.raises(WrongOffset):
        uploads.append(actor, upload.pk, offset=5, read=sending(b"56789"))
    uploads.append(actor, upload.pk, offset=3, read=sending(b"3456789"))

    assert store_path(upload.path).read_bytes() == b"0123456789"


def test_what_killed_converters_left_is_removed_after_a_day() -> None:
    folder = store_path("cogs")
    folder.mkdir(parents=True, exist_ok=True)
    old, fresh = folder / ".old.tif.x1", folder / ".fresh.tif.x2"
    for path in (old, fresh):
        path.touch()
    os.utime(old, (0, 0))

    tasks.expire_uploads()

    assert (old.exists(), fresh.exists()) == (False, True)
    fresh.unlink()


def test_files_that_no_upload_needs_are_removed_after_a_day(actor: Actor) -> None:
    upload = begin(actor, 10)
    scene = receive_bytes(actor, b"0")
    assert scene.upload is not None
    needed = [store_path(upload.path), store_path(scene.upload.path)]
    orphan, ended = store_path("uploads/orphan"), store_path("uploads/ended")
    orphan.touch()
    Upload.objects.create(
        organisation_id=actor.organisation_id,
        length=1,
        state="expired",
        path="uploads/ended",
        expires_at=timezone.now(),
    )
    ended.touch()
    for path in (*needed, orphan, ended):
        os.utime(path, (0, 0))

    tasks.expire_uploads()

    assert [path.exists() for path in needed] == [True, True]
    assert (orphan.exists(), ended.exists()) == (False, False)


def test_an_upload_becomes_one_scene_however_often_it_is_asked(actor: Actor) -> None:
    upload = begin(actor, 1)
    uploads.append(actor, upload.pk, offset=0, read=sending(b"0"))

    assert services.become_scene(upload.pk) == services.become_scene(upload.pk)
    assert Scene.objects.count() == Job.objects.count() == Outbox.objects.count() == 1


def receive_bytes(actor: Actor, data: bytes) -> Scene:
    return uploads.receive_file(actor, SimpleUploadedFile("a.tif", data), FACTS)


def receive(actor: Actor, path: Path, **facts: str) -> Scene:
    file = SimpleUploadedFile(path.name, path.read_bytes())
    return uploads.receive_file(actor, file, FACTS | facts)


def test_ingest_makes_a_scene_ready_and_lets_its_upload_go(
    actor: Actor, make_geotiff: MakeGeotiff, django_capture_on_commit_callbacks: object
) -> None:
    path = make_geotiff(np.full((3, 700, 600), 90, np.uint8))
    scene = receive(actor, path)

    with django_capture_on_commit_callbacks(execute=True):  # type: ignore[operator]
        tasks.ingest(str(scene.pk))

    scene.refresh_from_db()
    assert (scene.state, scene.refusal_code) == ("ready", "")
    assert scene.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (scene.width, scene.height, scene.epsg, scene.dtype) == (600, 700, 32637, "uint8")
    assert scene.footprint is not None
    assert scene.footprint.extent == pytest.approx((39.0, 36.1416, 39.00334, 36.14472), abs=1e-3)
    assert store_path(scene.cog_key).exists()
    assert scene.upload is not None
    assert not store_path(scene.upload.path).exists()


def test_ingest_delivered_twice_does_its_work_once(actor: Actor, make_geotiff: MakeGeotiff) -> None:
    scene = receive(actor, make_geotiff(np.full((3, 64, 64), 90, np.uint8)))

    tasks.ingest(str(scene.pk))
    tasks.ingest(str(scene.pk))
    tasks.ingest(str(uuid4()))

    assert Job.objects.get().attempt == 1


def test_a_refused_scene_says_why_in_the_engines_words(
    actor: Actor, make_geotiff: MakeGeotiff
) -> None:
    scene = receive(actor, make_geotiff(np.full((3, 64, 64), 90, np.uint8), crs=None))

    tasks.ingest(str(scene.pk))

    scene.refresh_from_db()
    assert (scene.state, scene.refusal_code) == ("refused", "missing_georeference")
    words = {error.code: error.user_message for error in DetectionError.__subclasses__()}
    assert scene.refusal_message == words["missing_georeference"]
    assert Job.objects.get().state == "failed"


def test_a_file_that_is_no_image_is_refused(actor: Actor, tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(b"GIF89a" + bytes(100))
    scene = receive(actor, path)

    tasks.ingest(str(scene.pk))

    scene.refresh_from_db()
    assert (scene.state, scene.refusal_code) == ("refused", "not_a_tiff")
