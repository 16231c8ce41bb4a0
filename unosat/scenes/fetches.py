"""Imports from links: every change to them, and the worker's errand from first byte to Scene.

The bytes go the way of every upload (``uploads.append``): what is on disk is counted in the
database, one process writes at a time, and the last byte makes the Scene. So a cut connection, a
killed worker or a second attempt costs what was not yet counted, and nothing is written twice.
"""

import contextlib
import errno
import logging
import os
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now

from unosat.accounts.actors import Actor
from unosat.accounts.models import Organisation
from unosat.ops import jobs, leases, store
from unosat.ops.leases import Lease
from unosat.ops.models import Job
from unosat.scenes import fetching, selectors, services, stac, uploads
from unosat.scenes.errors import (
    AssetNotNamed,
    BadStacItem,
    FetchEnded,
    NotAnImageLink,
    SourceChanges,
    SourceTooSlow,
    SourceUnreachable,
    StorageFull,
    TooManyFetches,
    UploadBusy,
    UploadComplete,
    UploadGone,
    WrongOffset,
)
from unosat.scenes.fetching import Answer, Fetcher, Interrupted
from unosat.scenes.models import KEEP, Fetch, Upload
from unosat.scenes.requests import SceneRequest

log = logging.getLogger(__name__)
State = Fetch.State

MAX_OPEN = 20  # of one organisation at a time
UNDER_WAY = (State.WAITING, State.FETCHING)
FACTS = ("phase", "name", "acquired_at", "sensor", "licence", "band_order")
SNIFFED_BYTES = 64  # enough to tell a TIFF from JSON after white space
TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
LONGEST_PAUSE_SECONDS = 30.0


def begin(actor: Actor, *, url: str, asset: str = "", metadata: Mapping[str, str]) -> Fetch:
    """Have a worker fetch an image from a link. Nothing is asked of another host here.

    Args:
        actor: whose image it becomes.
        url: https, of a GeoTIFF or of a STAC item.
        asset: key of the image in the STAC item, if that has several.
        metadata: what is said of the image, see ``SceneRequest``; it goes before what a STAC
            item says.

    Raises:
        FetchRefused: not a link that is ever fetched from.
        TooManyFetches: many are under way already.
        BadSceneFacts: what is said of the image cannot be used.
        NotFound: the event is not the organisation's.
    """
    link = fetching.check_link(url.strip(), frozenset(settings.UNOSAT_FETCH_PORTS))
    said = SceneRequest.read(metadata, filename="")
    event = services.event_for(actor, said)
    with transaction.atomic():
        Organisation.objects.select_for_update(no_key=True).get(pk=actor.organisation_id)
        _room_for_one_more(actor)
        fetch = Fetch.objects.create(
            organisation_id=actor.organisation_id,
            event=event,
            created_by_id=actor.user_id,
            api_key_id=actor.api_key_id,
            url=link.url,
            asset=asset.strip()[: stac.MAX_KEY],
            metadata={name: metadata[name] for name in FACTS if metadata.get(name)},
        )
        jobs.enqueue("fetch", fetch.pk, actor.organisation_id)
    log.info("fetch asked for", extra={"fetch": str(fetch.pk), "host": link.host})
    return fetch


def again(actor: Actor, fetch_id: UUID, *, asset: str = "") -> Fetch:
    """Go on with an import that failed, from what has arrived; with an asset, with that one.

    Raises:
        NotFound: not this organisation's.
        FetchEnded: it did not fail.
        TooManyFetches: many are under way already.
    """
    fetch = selectors.fetch(actor, fetch_id)
    changed: dict[str, object] = {}
    if fetch.image_url != fetch.url:  # the item is read again: its links may have been renewed
        changed["image_url"] = ""
    if asset.strip() not in {"", fetch.asset}:
        changed |= {"asset": asset.strip()[: stac.MAX_KEY], "validator": ""}
    with transaction.atomic():
        Organisation.objects.select_for_update(no_key=True).get(pk=actor.organisation_id)
        _room_for_one_more(actor)
        waiting = Fetch.objects.filter(pk=fetch.pk, state=State.FAILED).update(
            state=State.WAITING, failure_code="", failure_message="", begun_at=None, restarts=0,
            **changed,
        )  # fmt: skip
        if not waiting:
            raise FetchEnded(f"{fetch.pk} is {fetch.state}")
        jobs.enqueue_again("fetch", fetch.pk, actor.organisation_id)
    return selectors.fetch(actor, fetch_id)


def cancel(actor: Actor, fetch_id: UUID) -> None:
    """Give an import up; a worker that is at it notices within seconds.

    Raises:
        NotFound: not this organisation's.
        FetchEnded: it is complete, or was cancelled before.
    """
    fetch = selectors.fetch(actor, fetch_id)
    if fetch.upload is not None and fetch.upload.offset == fetch.upload.length:
        raise FetchEnded("complete")
    given_up = Fetch.objects.filter(pk=fetch.pk, state__in=[*UNDER_WAY, State.FAILED])
    if not given_up.update(state=State.CANCELLED, failure_code="", failure_message=""):
        raise FetchEnded(f"{fetch.pk} is {fetch.state}")
    _let_go(fetch)


def fetch_failed(fetch_id: UUID, code: str, message: str) -> None:
    """Record why an import came to nothing; part of failing its job. What arrived is kept."""
    Fetch.objects.filter(pk=fetch_id, state__in=UNDER_WAY).update(
        state=State.FAILED, failure_code=code, failure_message=message
    )


def forget_old() -> int:
    """Cancel what failed and was not tried again, for its link may be secret; returns how many."""
    old = Fetch.objects.filter(state=State.FAILED, created_at__lt=Now() - KEEP)
    for fetch in old:
        Fetch.objects.filter(pk=fetch.pk, state=State.FAILED).update(
            state=State.CANCELLED, failure_code="", failure_message=""
        )
        _let_go(fetch)
    return len(old)


def work(fetch_id: UUID, lease: Lease) -> None:
    """Fetch one image, from what is there already; nothing if it was cancelled or overtaken.

    Raises:
        FetchRefused: it cannot be had.
        UploadTooLarge: it is larger than this installation takes.
    """
    begun = Fetch.objects.filter(pk=fetch_id, state__in=UNDER_WAY)
    begun.filter(begun_at=None).update(begun_at=Now())
    if begun.update(state=State.FETCHING):
        _Errand.of(fetch_id, lease).run()


def _room_for_one_more(actor: Actor) -> None:
    if selectors.fetches(actor).filter(state__in=UNDER_WAY).count() >= MAX_OPEN:
        raise TooManyFetches(str(actor.organisation_id))


def _let_go(fetch: Fetch) -> None:
    """Remove the bytes that arrived, and what may be secret in the links."""
    actor = _sender(fetch)
    if fetch.upload_id is not None:
        # just being written to, which the worker ends, or an image since a moment ago
        with contextlib.suppress(UploadGone, UploadComplete):
            uploads.end(actor, fetch.upload_id)
    _hide_links(fetch)


def _hide_links(fetch: Fetch) -> None:
    Fetch.objects.filter(pk=fetch.pk).update(
        url=_without_query(fetch.url), image_url=_without_query(fetch.image_url)
    )


def _sender(fetch: Fetch) -> Actor:
    """Who asked for it; as a partner, who may send images and nothing else."""
    return Actor(fetch.organisation_id, fetch.created_by_id, fetch.api_key_id, "partner")


def _without_query(url: str) -> str:
    return urlunsplit(urlsplit(url)._replace(query=""))


class _Stopped(Exception):
    """Cancelled, or another attempt has taken over."""


@dataclass(slots=True)
class _Errand:
    """One attempt at one fetch.

    Attributes:
        fetch: its row, as this attempt knows it.
        lease: of the job.
        fetcher: how other hosts are asked.
        ends_at: of the whole fetch, by the monotonic clock.
        turn_ends_at: of this attempt's turn, by the monotonic clock.
    """

    fetch: Fetch
    lease: Lease
    fetcher: Fetcher
    ends_at: float
    turn_ends_at: float
    _window_seconds: float = 0.0
    _window_bytes: int = 0
    _upload: Upload | None = field(default=None)

    @classmethod
    def of(cls, fetch_id: UUID, lease: Lease) -> "_Errand":
        known = Fetch.objects.select_related("upload").annotate(gone=Now() - F("begun_at"))
        fetch = known.get(pk=fetch_id)
        fetcher = fetching.fetcher()
        now = time.monotonic()
        left = timedelta(seconds=fetcher.limits.whole_seconds) - (fetch.gone or timedelta())
        upload = fetch.upload
        if upload is not None and upload.state == Upload.State.EXPIRED:
            upload = None
        return cls(
            fetch=fetch,
            lease=lease,
            fetcher=fetcher,
            ends_at=now + left.total_seconds(),
            turn_ends_at=now + fetcher.limits.turn_seconds,
            _upload=upload,
        )

    def run(self) -> None:
        """Ask, and ask again after interruptions, until the file is whole."""
        limits = self.fetcher.limits
        fruitless = 0
        with contextlib.suppress(_Stopped):
            while not self._is_whole():
                before = self._mark()
                try:
                    self._ask()
                except (Interrupted, UploadBusy, WrongOffset) as error:
                    self._note_interruption(error)
                except StorageFull as error:  # the job waits for room, and goes on from here
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error
                if self._is_whole():
                    break
                if self._mark() != before:
                    fruitless = 0
                    continue
                fruitless += 1
                if fruitless >= limits.tries:
                    raise SourceUnreachable(f"{fruitless} tries")
                pause = limits.pause_seconds * 2 ** (fruitless - 1)
                time.sleep(min(pause, LONGEST_PAUSE_SECONDS))
            self._finish()

    def _mark(self) -> tuple[object, ...]:
        """Differs when something was gained: a byte, an upload, or where the image lies."""
        upload = self._upload
        return (self.fetch.image_url, upload and upload.pk, upload.offset if upload else 0)

    def _is_whole(self) -> bool:
        return self._upload is not None and self._upload.offset == self._upload.length

    def _note_interruption(self, error: Exception) -> None:
        log.info(
            "fetch interrupted",
            extra={"fetch": str(self.fetch.pk), "at": self._offset(), "why": str(error)[:200]},
        )
        if self._upload is not None:
            self._upload.refresh_from_db()
            if self._upload.state == Upload.State.EXPIRED:
                self._upload = None

    def _offset(self) -> int:
        return self._upload.offset if self._upload is not None else 0

    def _ask(self) -> None:
        """One request: what comes of it is kept."""
        self._check_still_wanted()
        asked_at = time.monotonic()
        with self.fetcher.get(
            self.fetch.image_url or self.fetch.url,
            max_bytes=settings.UNOSAT_MAX_UPLOAD_BYTES,
            start=self._offset() if self.fetch.image_url else 0,
            validator=self.fetch.validator,
        ) as answer:
            self._window_seconds += time.monotonic() - asked_at
            if answer.start == 0 and self._is_item(answer):
                self._read_item(answer)
            elif answer.length is None:
                self._take_unsized(answer)
            else:
                self._take(answer, answer.length)

    def _is_item(self, answer: Answer) -> bool:
        """Whether JSON is coming; refuses whatever is neither that nor a TIFF."""
        start = answer.peek(SNIFFED_BYTES)
        if start.startswith(TIFF_STARTS):
            return False
        looks_like_json = start.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"{")
        if looks_like_json and not self.fetch.image_url:
            return True
        raise NotAnImageLink(repr(start[:8]))

    def _read_item(self, answer: Answer) -> None:
        document = b""
        while data := answer.read(stac.MAX_ITEM_BYTES):
            document += data
            if len(document) > stac.MAX_ITEM_BYTES:
                raise BadStacItem("too large")
        try:
            choice = stac.choose(document, url=answer.url, key=self.fetch.asset)
        except AssetNotNamed as error:
            self._note(assets=list(error.keys))
            raise
        link = fetching.check_link(choice.url, self.fetcher.ports)
        self._note(
            image_url=link.url,
            asset=choice.key,
            assets=[],
            metadata=choice.facts | self.fetch.metadata,
        )

    def _take(self, answer: Answer, length: int) -> None:
        """Keep what is sent of a file of known length, as far as it gets."""
        there = self._upload
        if there is not None and (answer.start != there.offset or length != there.length):
            self._start_anew(answer)
        if self._upload is None:
            self._begin_upload(length)
        if answer.start == 0:
            self._note_begin(answer.validator)
        while not self._is_whole():
            self._check_still_wanted()
            self._let_others_go_first(answer)
            reader = _Reader(answer, time.monotonic() + self.fetcher.limits.save_seconds)
            self._append(reader)
            if self._is_whole():
                return
            self._check_pace(reader)
            if reader.trouble is not None:
                raise reader.trouble

    def _take_unsized(self, answer: Answer) -> None:
        """Keep a file whose length shows only at its end: whole or not at all."""
        if self._upload is not None:
            self._start_anew(answer)
        folder = store.store_path("uploads")
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            while True:
                reader = _Reader(answer, time.monotonic() + self.fetcher.limits.save_seconds)
                while data := reader.read(uploads.CHUNK_BYTES):
                    file.write(data)
                self._check_still_wanted()
                self._let_others_go_first(answer)
                self._check_pace(reader)
                if reader.trouble is not None:
                    raise reader.trouble
                if reader.ended:
                    break
            length = file.tell()
            file.seek(0)
            self._begin_upload(length)
            self._note_begin("")
            self._append(file)

    def _append(self, source: Any) -> None:  # noqa: ANN401 (anything to read from)
        upload = self._upload
        if upload is None:
            raise RuntimeError("there is an upload to write to")
        sender = _sender(self.fetch)
        try:
            self._upload = uploads.append(sender, upload.pk, offset=upload.offset, read=source.read)
        except UploadGone as error:
            self._check_still_wanted()
            self._upload = None
            raise Interrupted("the upload is gone") from error

    def _begin_upload(self, length: int) -> None:
        fetch = self.fetch
        self._upload = uploads.begin(
            _sender(fetch),
            length=length,
            filename=fetch.filename,
            metadata=fetch.metadata | {"event": str(fetch.event_id)},
        )

    def _note_begin(self, validator: str) -> None:
        self._note(
            upload=self._upload,
            image_url=self.fetch.image_url or self.fetch.url,
            validator=validator,
        )

    def _start_anew(self, answer: Answer) -> None:
        """Forget what arrived: it belongs to another version, or nothing can follow it."""
        old = self._upload
        self._upload = None
        self._note(upload=None, validator="", restarts=self.fetch.restarts + 1)
        if old is not None:
            with contextlib.suppress(UploadGone):
                uploads.end(_sender(self.fetch), old.pk)
        if self.fetch.restarts > self.fetcher.limits.restarts:
            raise SourceChanges(f"{self.fetch.restarts} times")
        if answer.start != 0:
            raise Interrupted("the rest of another version")

    def _check_still_wanted(self) -> None:
        """Stop if it was cancelled, if this attempt was overtaken, or if it takes too long."""
        wanted = Fetch.objects.filter(pk=self.fetch.pk, state=State.FETCHING).exists()
        if not wanted:
            self._end_upload()
        if not wanted or not self.lease.row.exists():
            raise _Stopped
        if time.monotonic() > self.ends_at:
            raise SourceTooSlow("the whole took too long")

    def _end_upload(self) -> None:
        if self._upload is not None and not self._is_whole():
            with contextlib.suppress(UploadGone):
                uploads.end(_sender(self.fetch), self._upload.pk)

    def _check_pace(self, reader: "_Reader") -> None:
        limits = self.fetcher.limits
        self._window_seconds += reader.seconds
        self._window_bytes += reader.count
        if self._window_seconds < limits.window_seconds:
            return
        if self._window_bytes < limits.least_bytes_per_second * self._window_seconds:
            raise SourceTooSlow(f"{self._window_bytes} bytes in {self._window_seconds:.0f} s")
        self._window_seconds, self._window_bytes = 0.0, 0

    def _let_others_go_first(self, answer: Answer) -> None:
        """After its turn, queue up again behind what waits; the next turn goes on from here.

        What could not be gone on with stays, but not for hours while others wait.
        """
        over_for = time.monotonic() - self.turn_ends_at
        if over_for <= 0 or not self._others_wait():
            return
        if answer.resumable and self.fetch.restarts == 0:
            if self._offset():
                self._queue_up_again()
        elif over_for > self.fetcher.limits.alone_seconds:
            raise SourceTooSlow("it cannot be gone on with, and others wait")

    def _others_wait(self) -> bool:
        queue = jobs.KINDS["fetch"].queue
        kinds = [name for name, kind in jobs.KINDS.items() if kind.queue == queue]
        return Job.objects.filter(state=leases.WAITING, kind__in=kinds).exists()

    def _queue_up_again(self) -> None:
        with transaction.atomic():
            if leases.finish(self.lease):  # a row of its own for the next turn, with all its tries
                Job.objects.filter(pk=str(self.lease.pk)).delete()
                jobs.enqueue("fetch", self.fetch.pk, self.fetch.organisation_id)
        raise _Stopped

    def _note(self, **columns: Any) -> None:  # noqa: ANN401 (columns of the row)
        """Write down what was found out, as long as this attempt may."""
        with transaction.atomic():
            held = self.lease.row.select_for_update().exists()
            rows = Fetch.objects.filter(pk=self.fetch.pk, state=State.FETCHING)
            noted = held and rows.update(**columns)
        if not noted:
            self._end_upload()
            raise _Stopped
        for name, value in columns.items():
            setattr(self.fetch, name, value)

    def _finish(self) -> None:
        if self._upload is None:
            raise RuntimeError("what is whole has an upload")
        services.become_scene(self._upload.pk)
        with transaction.atomic():
            if leases.finish(self.lease):
                Fetch.objects.filter(pk=self.fetch.pk).update(state=State.DONE)
                _hide_links(self.fetch)
        log.info("fetched", extra={"fetch": str(self.fetch.pk), "bytes": self._upload.length})


@dataclass(slots=True)
class _Reader:
    """Reads from an answer until a moment, then makes a break so that progress is saved.

    Attributes:
        answer: what is read.
        until: by the monotonic clock.
        count: bytes read.
        seconds: that it took.
        trouble: what ended the connection, if anything did.
        ended: whether the answer was read to its end.
    """

    answer: Answer
    until: float
    count: int = 0
    seconds: float = 0.0
    trouble: Interrupted | None = None
    ended: bool = False

    def read(self, size: int) -> bytes:
        """As ``uploads.append`` asks for it: nothing at a break, at the end, or once it is cut."""
        now = time.monotonic()
        if self.trouble is not None or (self.count and now > self.until):
            return b""
        try:
            data = self.answer.read(size)
        except Interrupted as error:
            self.trouble = error
            return b""
        finally:
            self.seconds += time.monotonic() - now
        self.ended = not data
        self.count += len(data)
        return data
