"""Files on their way in: what is safely on disk, in order, by one writer at a time.

``Upload.offset`` says how many bytes of the file count; bytes beyond it (of a process that was
killed) are cut off before the next are written. It only moves by compare-and-set, after fsync.
Files lie on a local disk while they arrive, and one writer at a time is a lock on the file.
"""

import contextlib
import fcntl
import hashlib
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from io import FileIO
from pathlib import Path
from uuid import UUID, uuid4

from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.db import close_old_connections, connection, transaction
from django.db.models import Q
from django.db.models.functions import Now
from django.http import UnreadablePostError
from django.utils import timezone

from unosat.accounts.actors import Actor
from unosat.ops import store, sweeper
from unosat.ops.errors import StoreAway
from unosat.ops.fulldisk import was_full
from unosat.ops.store import store_path
from unosat.scenes import disk, quota, selectors, services
from unosat.scenes.errors import (
    ChecksumMismatch,
    EmptyFile,
    NoRoomForFile,
    QuotaExceeded,
    StorageFull,
    UploadBusy,
    UploadComplete,
    UploadGone,
    UploadTooLarge,
    WrongOffset,
)
from unosat.scenes.models import KEEP, NOT_THE_FILES_FAULT, Event, Scene, Upload
from unosat.scenes.requests import SceneRequest

log = logging.getLogger(__name__)

FORGET = timedelta(days=30)  # until then a late client is told that its upload expired
CHUNK_BYTES = 1024**2
# What a kill -9 may cost: on a slow line the first, on one too fast for that the last. The pause
# between is that of a slow disk's fsync.
SAVE_BYTES, SAVE_SECONDS, SAVE_AT_MOST_BYTES = 2 * 1024**2, 0.25, 16 * 1024**2
BUSY_SECONDS = 3.0  # for which a writer is waited for: one whose line was cut ends at once
BUSY_POLL_SECONDS = 0.05
UNCLAIMED = timedelta(minutes=1)  # complete, and its request died before it became a scene
REMAINS_SECONDS = 24 * 3600.0  # longer than any conversion
CHECKSUMS = ("sha1", "sha256")

Read = Callable[[int], bytes]


@dataclass(frozen=True, slots=True)
class Checksum:
    """Of the bytes of one request.

    Attributes:
        algorithm: one of ``CHECKSUMS``.
        digest: what it should come to.
    """

    algorithm: str
    digest: bytes


def begin(
    actor: Actor, *, length: int, filename: str, metadata: Mapping[str, str], said: str = ""
) -> Upload:
    """Announce a file.

    Args:
        actor: who sends it.
        length: of the whole file, in bytes.
        filename: for people; never used as a path.
        metadata: what is said of the image, see ``SceneRequest``.
        said: the same as a tus client wrote it, to be repeated to it.

    Raises:
        UploadTooLarge: more than this installation takes.
        QuotaExceeded: more than the organisation may still keep.
        NoRoomForFile: more than the disk has room for.
        EmptyFile: no bytes.
        BadSceneFacts: what is said of it cannot be used.
        NotFound: the event is not the organisation's.
    """
    if length > settings.UNOSAT_MAX_UPLOAD_BYTES:
        raise UploadTooLarge(f"{length} bytes")
    if length <= 0:
        raise EmptyFile("no bytes")
    filename = _plain_name(filename)
    wanted = SceneRequest.read(metadata, filename=filename)
    event = services.event_for(actor, wanted)
    pk = uuid4()
    upload = Upload(
        pk=pk,
        organisation_id=actor.organisation_id,
        created_by_id=actor.user_id,
        api_key_id=actor.api_key_id,
        filename=filename,
        length=length,
        metadata=_as_metadata(replace(wanted, event_id=event.pk, event_name="")),
        said=said,
        path=f"uploads/{pk}",
        expires_at=timezone.now() + KEEP,
    )
    path = store_path(upload.path)
    path.parent.mkdir(parents=True, exist_ok=True)
    if not disk.has_room(path.parent, length):
        raise NoRoomForFile(f"{length} bytes")
    _create(path)
    try:
        quota.reserve_upload(upload)
    except QuotaExceeded:
        path.unlink(missing_ok=True)
        raise
    return upload


def append(
    actor: Actor,
    upload_id: UUID,
    *,
    offset: int,
    read: Read,
    checksum: Checksum | None = None,
) -> Upload:
    """Write what a client sends, as far as it gets; what arrived of a cut request is kept.

    With a checksum it is all or nothing. The last byte turns the upload into a Scene.

    Args:
        actor: who sends.
        upload_id: which file.
        offset: where the client goes on.
        read: gives at most so many bytes; none at the end, or when the client is gone.
        checksum: of these bytes.

    Raises:
        NotFound: not this organisation's.
        WrongOffset: the file goes on at another place.
        UploadBusy: somebody else is writing.
        UploadGone: ended or expired.
        ChecksumMismatch: damaged on the way; nothing is kept.
        StorageFull: the disk is; what it took is kept, unless there is a checksum.
    """
    upload = _open_upload(actor, upload_id, offset)
    _release_connection()
    with _exclusive(store_path(upload.path)) as file:
        upload = _open_upload(actor, upload_id, offset)  # as it is, now that nobody else writes
        _release_connection()
        _must_hold(upload, file)
        file.truncate(offset)
        file.seek(offset)
        _receive(upload, file, read, checksum)
    if upload.offset == upload.length:
        services.become_scene(upload.pk)
    return upload


def settled(actor: Actor, upload_id: UUID) -> Upload:
    """An upload, once nobody writes to it: a client whose line was cut goes on at the last byte.

    Otherwise it would be told an offset that the dying request is about to move, and send a whole
    chunk again to learn that.

    Raises:
        NotFound: not this organisation's.
        UploadBusy: somebody is still writing.
        UploadGone: ended or expired.
    """
    upload = selectors.upload(actor, upload_id)
    if upload.is_over:
        raise UploadGone(f"{upload_id} is over")
    if upload.state == Upload.State.OPEN:
        _release_connection()
        with _exclusive(store_path(upload.path)):
            upload.refresh_from_db()
    return upload


def receive_file(actor: Actor, file: "UploadedFile[bytes]", metadata: Mapping[str, str]) -> Scene:
    """Take a whole small file in one request; the same way in as a resumable upload.

    Raises:
        UploadTooLarge: more than this installation takes.
        QuotaExceeded: more than the organisation may still keep.
        StorageFull: more than the disk has room for; nothing is kept.
        BadSceneFacts: what is said of it cannot be used.
        NotFound: the event is not the organisation's.
    """
    upload = begin(
        actor, length=file.size or 0, filename=file.name or "image.tif", metadata=metadata
    )
    try:
        append(actor, upload.pk, offset=0, read=file.read)
    except StorageFull as error:
        end(actor, upload.pk)  # its sender knows no address to go on at
        raise NoRoomForFile(upload.path) from error
    return services.become_scene(upload.pk)


def end(actor: Actor, upload_id: UUID) -> None:
    """Give an unfinished upload up, at the sender's wish.

    tus would let a client end complete uploads too. Here these are images: no longer the sender's
    alone, and perhaps being worked with.

    Raises:
        NotFound: not this organisation's.
        UploadComplete: it is an image by now.
        UploadGone: it was ended before.
    """
    upload = selectors.upload(actor, upload_id)
    if upload.state in {Upload.State.COMPLETE, Upload.State.CONSUMED}:
        raise UploadComplete(f"{upload_id} is {upload.state}")
    if not _drop(upload):
        raise UploadGone(f"{upload_id} is {upload.state}")


def sweep() -> None:
    """Look after uploads that nobody else looks after; several sweeps may run at once.

    Those that nobody went on with go, bytes first; their rows stay a while, to say so. Those whose
    last request died become scenes. Files kept for another check go when their time is over.
    """
    now = Now()  # the database's clock: whose uploads are late is not for one machine to say
    for upload in Upload.objects.filter(state=Upload.State.OPEN, expires_at__lte=now):
        with sweeper.apart(f"upload {upload.pk}", but=(StoreAway,)):
            _expire(upload)
    complete = Upload.objects.filter(state=Upload.State.COMPLETE)
    for upload in complete.filter(expires_at__lt=now + KEEP - UNCLAIMED):
        with sweeper.apart(f"upload {upload.pk}", but=(StoreAway,)):
            _become_scene(upload)
    for scene in Scene.objects.filter(NOT_THE_FILES_FAULT, upload__expires_at__lte=now):
        with sweeper.apart(f"file of scene {scene.pk}", but=(StoreAway,)):
            _let_file_go(scene)
    Upload.objects.filter(state=Upload.State.EXPIRED, expires_at__lt=now - FORGET).delete()


def remove_remains() -> None:
    """Remove what killed processes left: beside the clean images, and of uploads that are over."""
    oldest = time.time() - REMAINS_SECONDS
    unneeded = [*store_path("cogs").glob(".*"), *filter(_is_unneeded, _uploaded_files())]
    for path in unneeded:
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_mtime < oldest:
                path.unlink()


def _uploaded_files() -> list[Path]:
    return list(store_path("uploads").glob("*"))


def _is_unneeded(path: Path) -> bool:
    """Whether no row will ever ask for an upload's file."""
    upload = Upload.objects.filter(path=f"uploads/{path.name}")
    unfinished = upload.filter(state__in=[Upload.State.OPEN, Upload.State.COMPLETE])
    wanted = Scene.objects.filter(upload__in=upload).filter(
        Q(state__in=[Scene.State.UPLOADED, Scene.State.CHECKING]) | NOT_THE_FILES_FAULT
    )
    return not unfinished.exists() and not wanted.exists()


def _become_scene(upload: Upload) -> None:
    try:
        services.become_scene(upload.pk)
    except Event.DoesNotExist:  # deleted since: there is nothing to be an image of
        Upload.objects.filter(pk=upload.pk).update(state=Upload.State.EXPIRED)
        store_path(upload.path).unlink(missing_ok=True)


def _let_file_go(scene: Scene) -> None:
    """Remove the file of a scene that nobody had checked again."""
    with transaction.atomic():
        rows = Scene.objects.select_for_update().filter(NOT_THE_FILES_FAULT, pk=scene.pk)
        waiting = rows.first()
        if waiting is not None and waiting.upload is not None:
            store.remove(waiting.upload.path)
            waiting.upload.delete()


def _expire(upload: Upload) -> None:
    """Remove an upload that is past its time, unless somebody is writing to it right now."""
    seen = {"offset": upload.offset, "expires_at": upload.expires_at}
    with contextlib.suppress(UploadBusy):
        try:
            with _exclusive(store_path(upload.path), patience_seconds=0):
                _drop(upload, **seen)
        except UploadGone:  # its file is
            _drop(upload, **seen)


def _drop(upload: Upload, **seen: object) -> bool:
    """End an open upload. The file goes before the row says so: a crash leaves no bytes behind."""
    rows = Upload.objects.filter(pk=upload.pk, state=Upload.State.OPEN, **seen)
    with transaction.atomic():
        if not rows.update(state=Upload.State.EXPIRED):
            return False
        store_path(upload.path).unlink(missing_ok=True)
    return True


def _create(path: Path) -> None:
    try:
        path.touch(mode=0o600)
    except OSError as error:
        if was_full(error):
            raise NoRoomForFile(path.name) from error
        raise


def _open_upload(actor: Actor, upload_id: UUID, offset: int) -> Upload:
    upload = selectors.upload(actor, upload_id)
    if upload.state != Upload.State.OPEN or upload.is_over:
        raise UploadGone(f"{upload_id} is {upload.state}")
    if upload.offset != offset:
        raise WrongOffset(f"{offset}, not {upload.offset}")
    return upload


@contextmanager
def _exclusive(path: Path, *, patience_seconds: float = BUSY_SECONDS) -> Iterator[FileIO]:
    """The file, while nobody else in any process writes to it; a dead process lets go of it."""
    try:
        file = path.open("r+b", buffering=0)  # what is written is written, when the disk is full
    except FileNotFoundError as error:
        raise UploadGone("its file is gone") from error
    with file:
        deadline = time.monotonic() + patience_seconds
        while not _lock(file):
            if time.monotonic() >= deadline:
                raise UploadBusy(path.name)
            time.sleep(BUSY_POLL_SECONDS)
        yield file


def _lock(file: FileIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _must_hold(upload: Upload, file: FileIO) -> None:
    """Go back to what the file holds, should its disk have lost bytes: never zeros in between."""
    size = os.fstat(file.fileno()).st_size
    if size < upload.offset:
        log.error("bytes of an upload are lost", extra={"upload": str(upload.pk), "size": size})
        Upload.objects.filter(pk=upload.pk, offset=upload.offset).update(offset=size)
        raise WrongOffset(f"{upload.offset}, but the file has {size}")


def _receive(upload: Upload, file: FileIO, read: Read, checksum: Checksum | None) -> None:
    digest = hashlib.new(checksum.algorithm, usedforsecurity=False) if checksum else None
    at, saved_at, is_full = upload.offset, time.monotonic(), False
    while at < upload.length and not is_full:
        data = _read_some(read, min(CHUNK_BYTES, upload.length - at))
        if not data:
            break
        written = _write(upload, file, data)
        at, is_full = at + written, written < len(data)
        if digest is not None:
            digest.update(data)
        elif _is_time_to_save(at - upload.offset, time.monotonic() - saved_at):
            _save(upload, file, at)
            saved_at = time.monotonic()
    if checksum is not None and digest is not None:
        _check(upload, file, is_full=is_full, is_right=digest.digest() == checksum.digest)
    _save(upload, file, at)
    if is_full:
        raise StorageFull(f"{upload.path} at {at}")


def _write(upload: Upload, file: FileIO, data: bytes) -> int:
    if not disk.has_room(store_path(upload.path).parent, len(data)):
        return 0
    return disk.write(file, data)


def _check(upload: Upload, file: FileIO, *, is_full: bool, is_right: bool) -> None:
    """Throw away what came under a checksum, unless it is whole and right."""
    if is_full or not is_right:
        file.truncate(upload.offset)
        raise StorageFull(upload.path) if is_full else ChecksumMismatch(upload.path)


def _is_time_to_save(unsaved_bytes: int, seconds: float) -> bool:
    return unsaved_bytes >= SAVE_AT_MOST_BYTES or (
        unsaved_bytes >= SAVE_BYTES and seconds >= SAVE_SECONDS
    )


def _read_some(read: Read, size: int) -> bytes:
    try:
        return read(size)
    except (UnreadablePostError, OSError):  # the client is gone: keep what came
        return b""


def _save(upload: Upload, file: FileIO, offset: int) -> None:
    """Move the row's offset to what is on disk for good."""
    _to_disk(upload, file)
    moved = Upload.objects.filter(
        pk=upload.pk, offset=upload.offset, state=Upload.State.OPEN
    ).update(
        offset=offset,
        expires_at=Now() + KEEP,
        state=Upload.State.COMPLETE if offset == upload.length else Upload.State.OPEN,
    )
    if not moved:
        raise UploadGone("ended while it was written")
    upload.offset = offset
    _release_connection()


def _to_disk(upload: Upload, file: FileIO) -> None:
    """Some disks notice only here that they are full."""
    try:
        os.fsync(file.fileno())
    except OSError as error:
        if not was_full(error):
            raise
        file.truncate(upload.offset)
        raise StorageFull(upload.path) from error


def _release_connection() -> None:
    """Hold no database connection while waiting for a slow client."""
    if not connection.in_atomic_block:
        close_old_connections()
        connection.close()


def _plain_name(filename: str) -> str:
    last = filename.replace("\\", "/").rsplit("/", 1)[-1]
    return "".join(letter for letter in last if letter.isprintable()).strip()[:255] or "image.tif"


def _as_metadata(said: SceneRequest) -> dict[str, str]:
    return {
        "event": str(said.event_id),
        "phase": said.phase,
        "name": said.name,
        "acquired_at": said.acquired_at.isoformat() if said.acquired_at else "",
        "sensor": said.sensor,
        "licence": said.licence,
        "band_order": said.band_order,
    }
