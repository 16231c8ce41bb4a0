"""Files on their way in: what is safely on disk, in order, by one writer at a time.

``Upload.offset`` says how many bytes of the file count; bytes beyond it (of a process that was
killed) are cut off before the next are written. It only moves by compare-and-set, after fsync.
"""

import fcntl
import hashlib
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import BinaryIO
from uuid import UUID, uuid4

from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.db import close_old_connections, connection
from django.http import UnreadablePostError
from django.utils import timezone

from unosat.accounts.actors import Actor
from unosat.ops.store import store_path
from unosat.scenes import selectors, services
from unosat.scenes.errors import (
    BadUpload,
    ChecksumMismatch,
    UploadBusy,
    UploadGone,
    UploadTooLarge,
    WrongOffset,
)
from unosat.scenes.models import Scene, Upload
from unosat.scenes.requests import SceneRequest

log = logging.getLogger(__name__)

KEEP = timedelta(days=7)  # since the last byte
CHUNK_BYTES = 1024**2
SAVE_EVERY_BYTES = 16 * 1024**2  # what a kill -9 may cost
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


def begin(actor: Actor, *, length: int, filename: str, metadata: Mapping[str, str]) -> Upload:
    """Announce a file.

    Args:
        actor: who sends it.
        length: of the whole file, in bytes.
        filename: for people; never used as a path.
        metadata: what is said of the image, see ``SceneRequest``.

    Raises:
        UploadTooLarge: more than this installation takes.
        BadUpload: an empty file.
        BadSceneFacts: what is said of it cannot be used.
        NotFound: the event is not the organisation's.
    """
    if length > settings.UNOSAT_MAX_UPLOAD_BYTES:
        raise UploadTooLarge(f"{length} bytes")
    if length <= 0:
        raise BadUpload("no bytes")
    filename = _plain_name(filename)
    said = SceneRequest.read(metadata, filename=filename)
    event = services.event_for(actor, said)
    pk = uuid4()
    upload = Upload(
        pk=pk,
        organisation_id=actor.organisation_id,
        created_by_id=actor.user_id,
        api_key_id=actor.api_key_id,
        filename=filename,
        length=length,
        metadata=_as_metadata(replace(said, event_id=event.pk, event_name="")),
        path=f"uploads/{pk}",
        expires_at=timezone.now() + KEEP,
    )
    path = store_path(upload.path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    upload.save(force_insert=True)
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
    """
    upload = _open_upload(actor, upload_id, offset)
    with _exclusive(store_path(upload.path)) as file:
        upload = _open_upload(actor, upload_id, offset)  # as it is, now that nobody else writes
        _release_connection()
        file.truncate(offset)
        file.seek(offset)
        _receive(upload, file, read, checksum)
    if upload.offset == upload.length:
        services.become_scene(upload.pk)
    return upload


def receive_file(actor: Actor, file: "UploadedFile[bytes]", metadata: Mapping[str, str]) -> Scene:
    """Take a whole small file in one request; the same way in as a resumable upload.

    Raises:
        UploadTooLarge: more than this installation takes.
        BadSceneFacts: what is said of it cannot be used.
        NotFound: the event is not the organisation's.
    """
    upload = begin(
        actor, length=file.size or 0, filename=file.name or "image.tif", metadata=metadata
    )
    append(actor, upload.pk, offset=0, read=file.read)
    return services.become_scene(upload.pk)


def end(actor: Actor, upload_id: UUID) -> None:
    """Give an unfinished upload up, at the sender's wish.

    Raises:
        NotFound: not this organisation's.
        UploadGone: it is complete, or was ended before.
    """
    upload = selectors.upload(actor, upload_id)
    if not _expire(upload):
        raise UploadGone(f"{upload_id} is {upload.state}")


def expire_old() -> int:
    """Remove uploads that nobody went on with; returns how many."""
    _remove_remains()
    old = Upload.objects.filter(state=Upload.State.OPEN, expires_at__lt=timezone.now())
    return sum(_expire(upload) for upload in old)


def _remove_remains() -> None:
    """Remove what converters that were killed left beside the clean images."""
    oldest = time.time() - REMAINS_SECONDS
    for path in store_path("cogs").glob(".*"):
        if path.stat().st_mtime < oldest:
            path.unlink(missing_ok=True)


def _expire(upload: Upload) -> bool:
    rows = Upload.objects.filter(pk=upload.pk, state=Upload.State.OPEN, offset=upload.offset)
    if not rows.update(state=Upload.State.EXPIRED):
        return False
    store_path(upload.path).unlink(missing_ok=True)
    return True


def _open_upload(actor: Actor, upload_id: UUID, offset: int) -> Upload:
    upload = selectors.upload(actor, upload_id)
    if upload.state != Upload.State.OPEN:
        raise UploadGone(f"{upload_id} is {upload.state}")
    if upload.offset != offset:
        raise WrongOffset(f"{offset}, not {upload.offset}")
    return upload


@contextmanager
def _exclusive(path: Path) -> Iterator[BinaryIO]:
    """The file, while nobody else in any process writes to it; a dead process lets go of it."""
    try:
        file = path.open("r+b")
    except FileNotFoundError as error:
        raise UploadGone("its file is gone") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UploadBusy(path.name) from error
        yield file


def _receive(upload: Upload, file: BinaryIO, read: Read, checksum: Checksum | None) -> None:
    digest = hashlib.new(checksum.algorithm, usedforsecurity=False) if checksum else None
    at, unsaved = upload.offset, 0
    while at < upload.length:
        data = _read_some(read, min(CHUNK_BYTES, upload.length - at))
        if not data:
            break
        file.write(data)
        at, unsaved = at + len(data), unsaved + len(data)
        if digest is not None:
            digest.update(data)
        elif unsaved >= SAVE_EVERY_BYTES:
            _save(upload, file, at)
            unsaved = 0
    if digest is not None and checksum is not None and digest.digest() != checksum.digest:
        file.truncate(upload.offset)
        raise ChecksumMismatch(upload.path)
    _save(upload, file, at)


def _read_some(read: Read, size: int) -> bytes:
    try:
        return read(size)
    except (UnreadablePostError, OSError):  # the client is gone: keep what came
        return b""


def _save(upload: Upload, file: BinaryIO, offset: int) -> None:
    """Move the row's offset to what is on disk for good."""
    file.flush()
    os.fsync(file.fileno())
    moved = Upload.objects.filter(
        pk=upload.pk, offset=upload.offset, state=Upload.State.OPEN
    ).update(
        offset=offset,
        expires_at=timezone.now() + KEEP,
        state=Upload.State.COMPLETE if offset == upload.length else Upload.State.OPEN,
    )
    if not moved:
        raise UploadGone("ended while it was written")
    upload.offset = offset
    _release_connection()


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
