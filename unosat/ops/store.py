"""Where files lie: in a folder of this machine or in an S3 bucket, addressed by keys.

The database holds the keys. Only this module knows which of the two it is, and only
``unosat.ops.s3`` speaks with a bucket. Uploads under way and drafts always lie in the folder.
"""

import logging
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar, cast

from django.conf import settings
from django.core.files.base import File
from django.core.files.storage import FileSystemStorage, storages

from detection.errors import ImageAway
from unosat.ops.errors import DiskFull, StoreAway
from unosat.ops.fulldisk import was_full

log = logging.getLogger(__name__)
Result = TypeVar("Result")

AWAY = (StoreAway, ImageAway)
PAUSE_SECONDS = 1.0  # between two questions whether the store is back; doubled up to the longest
LONGEST_PAUSE_SECONDS = 15.0
FULL_SECONDS = 3600.0  # that work waits for room on a full disk
MOST_FAULTS = 6  # of a store that answers: then it is not the network
HEADER_BYTES = 4 * 1024**2  # of a clean COG with 100,000 blocks, its mask and overviews
REMAINS_SECONDS = 24 * 3600.0  # longer than any work; what a killed process left is older


class Folder(FileSystemStorage):
    """Django's storage in ``UNOSAT_STORE``."""

    @property
    def base_location(self) -> str:
        """The folder, as it is set now."""
        return str(settings.UNOSAT_STORE)

    @property
    def location(self) -> str:
        """The same, absolute."""
        return str(Path(settings.UNOSAT_STORE).absolute())


def store_path(key: str) -> Path:
    """The path of a key in this machine's own folder; whether it exists is not asked.

    With a bucket only uploads under way lie there.

    Raises:
        ValueError: the key would lead out of the store.
    """
    return Path(settings.UNOSAT_STORE).joinpath(*_parts(key))


def raster(key: str) -> Path | str:
    """What the engine opens: a path, or GDAL's name of an object. Open it inside ``reading``."""
    if settings.UNOSAT_BUCKET is None:
        return store_path(key)
    return f"/vsis3/{settings.UNOSAT_BUCKET.name}/{settings.UNOSAT_BUCKET.full_key(_checked(key))}"


def reading(
    header_bytes: int | None = None, *, quick: bool = False
) -> AbstractContextManager[None]:
    """While the block runs, this thread may open what ``raster`` names, and nothing else afar.

    Args:
        header_bytes: of each file of a bucket, fetched when it is opened; None: enough for all.
        quick: somebody waits for it: a bucket that is silent is given up after some 15 seconds.

    Raises:
        StoreAway: GDAL could not read, and nobody below has said so in words of ours.
    """
    bucket = _bucket()
    if bucket is None:
        return nullcontext()
    return cast(
        "AbstractContextManager[None]",
        bucket.reading(header_bytes or HEADER_BYTES, quick=quick),
    )


@contextmanager
def local(key: str) -> Iterator[Path]:
    """A path to read a whole file at; with a bucket it is fetched, and gone after the block.

    Raises:
        FileNotFoundError: the bucket has no such key. A folder says so when the path is opened.
        StoreAway: the bucket does not answer.
    """
    bucket = _bucket()
    if bucket is None:
        yield store_path(key)
        return
    with scratch() as folder:
        path = folder / _parts(key)[-1]
        bucket.fetch(_checked(key), path)
        yield path


@contextmanager
def local_folder(key: str) -> Iterator[Path]:
    """The same for all files of a folder; what is not there is found missing when it is opened.

    Raises:
        StoreAway: the bucket does not answer.
    """
    bucket = _bucket()
    if bucket is None:
        yield store_path(key)
        return
    with scratch() as folder:
        for name in bucket.names(_checked(key)):
            bucket.fetch(f"{key}/{name}", folder / name)
        yield folder


def opened(key: str) -> "File[bytes]":
    """A file to send to somebody, complete: what fails, fails now.

    Raises:
        FileNotFoundError: there is none.
        StoreAway: the bucket does not answer.
    """
    bucket = _bucket()
    if bucket is None:
        return storages["default"].open(_checked(key))
    file: File[bytes] = bucket.opened(_checked(key))
    return file


def exists(key: str) -> bool:
    """Whether there is a file of this key.

    Raises:
        StoreAway: the bucket does not answer.
    """
    bucket = _bucket()
    return bool((bucket or storages["default"]).exists(_checked(key)))


@contextmanager
def writing(key: str) -> Iterator[Path]:
    """A path to write to, which becomes ``key`` when the block ends well, else vanishes.

    The file appears whole or not at all, and survives a power cut once the block has ended.

    Raises:
        StoreAway: the bucket does not answer.
    """
    bucket = _bucket()
    if bucket is None:
        with _writing_here(store_path(key)) as unfinished:
            yield unfinished
        return
    with scratch() as folder:
        path = folder / _parts(key)[-1]
        path.touch()
        yield path
        bucket.send(path, _checked(key))


def hand_over(key: str) -> None:
    """Put a file that lies in this machine's folder where all machines reach it.

    The one here stays: ``remove_here`` it once the database knows. Nothing happens if it is gone.

    Raises:
        StoreAway: the bucket does not answer.
    """
    bucket = _bucket()
    path = store_path(key)
    if bucket is not None and path.exists():
        bucket.send(path, key)


def remove_here(key: str) -> None:
    """Remove from this machine's folder what was handed over."""
    if settings.UNOSAT_BUCKET is not None:
        store_path(key).unlink(missing_ok=True)


def put_folder(draft: Path, key: str, *, last: str) -> None:
    """Move a folder without folders into the store; equal keys must mean equal content.

    Args:
        draft: in a ``scratch`` folder.
        key: of the folder.
        last: name of the file without which the folder counts as not there.

    Raises:
        StoreAway: the bucket does not answer.
    """
    bucket = _bucket()
    if bucket is None:
        _put_here(draft, store_path(key), last)
        return
    for path in sorted(draft.iterdir(), key=lambda path: (path.name == last, path.name)):
        bucket.send(path, f"{_checked(key)}/{path.name}")


def remove(key: str) -> None:
    """Remove a file or folder; nothing happens if it is not there.

    Raises:
        StoreAway: the bucket does not answer.
    """
    bucket = _bucket()
    if bucket is not None:
        bucket.remove(_checked(key))
    path = store_path(key)
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def remove_remains(root: Path, pattern: str, *, seconds: float) -> None:
    """Remove folders that processes left when they were killed, once they are older than that."""
    oldest = time.time() - seconds
    for path in root.glob(pattern):
        if path.lstat().st_mtime < oldest:
            shutil.rmtree(path, ignore_errors=True)


@contextmanager
def scratch() -> Iterator[Path]:
    """An empty folder on the disk of this machine's own folder; gone after the block."""
    with tempfile.TemporaryDirectory(dir=_scratch_root(), prefix="work-") as name:
        yield Path(name)


def answers() -> bool:
    """Whether the store can be reached."""
    bucket = _bucket()
    return Path(settings.UNOSAT_STORE).is_dir() if bucket is None else bool(bucket.answers())


def fault() -> str:
    """What keeps the bucket from being used, in a few words for people; "" if nothing is known.

    Unlike ``answers``, which a server that refuses our key does as well.
    """
    bucket = _bucket()
    return "" if bucket is None else str(bucket.fault())


def patiently(work: Callable[[], Result], ask: Callable[[], None] = lambda: None) -> Result:
    """Do ``work``; wait and do it again if the store goes away meanwhile, or the disk is full.

    Args:
        work: may be done twice.
        ask: called about every second of waiting; what it raises ends it.

    Raises:
        StoreAway, ImageAway: the store answers, yet the work failed ``MOST_FAULTS`` times.
        DiskFull: nobody made room for ``FULL_SECONDS``.
    """
    faults, room = 0, _Room()
    while True:
        try:
            return work()
        except AWAY as error:
            log.warning("store away: the work waits for it", extra={"why": str(error)})
            faults += answers()
            if faults >= MOST_FAULTS:
                raise
        except Exception as error:
            if not was_full(error):
                raise
            room.wait(error, ask)
            continue
        pause = PAUSE_SECONDS * 2**faults
        _wait(pause, ask)
        while not answers():
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
            _wait(pause, ask)
        log.info("the store answers: the work begins again")


@dataclass
class _Room:
    """How long work has waited for room on a full disk."""

    since: float = field(default_factory=time.monotonic)
    pause: float = PAUSE_SECONDS

    def wait(self, error: Exception, ask: Callable[[], None]) -> None:
        """Wait a little, longer each time.

        Raises:
            DiskFull: it has been long enough.
        """
        log.warning("disk full: the work waits for room", extra={"why": str(error)})
        if time.monotonic() - self.since > FULL_SECONDS:
            raise DiskFull(str(error)) from error
        _wait(self.pause, ask)
        self.pause = min(2 * self.pause, LONGEST_PAUSE_SECONDS)


def _wait(seconds: float, ask: Callable[[], None]) -> None:
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        ask()
        time.sleep(min(PAUSE_SECONDS, left))


def _bucket() -> Any:  # noqa: ANN401 (the module; boto3 is loaded only where there is a bucket)
    return None if settings.UNOSAT_BUCKET is None else import_module("unosat.ops.s3")


def _parts(key: str) -> list[str]:
    parts = key.split("/")
    if any(part in {"", ".", ".."} for part in parts):
        raise ValueError("not a key of the store")
    return parts


def _checked(key: str) -> str:
    return "/".join(_parts(key))


def _scratch_root() -> Path:
    root = store_path("scratch")
    root.mkdir(parents=True, exist_ok=True)
    _remove_remains(root)
    return root


@lru_cache(maxsize=4)  # once per process and folder
def _remove_remains(root: Path) -> None:
    remove_remains(root, "work-*", seconds=REMAINS_SECONDS)


@contextmanager
def _writing_here(final: Path) -> Iterator[Path]:
    final.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=final.parent, prefix=f".{final.name}.")
    os.close(handle)
    unfinished = Path(name)
    try:
        yield unfinished
        _to_disk(unfinished)
        unfinished.replace(final)
        _to_disk(final.parent)
    finally:
        unfinished.unlink(missing_ok=True)


def _put_here(draft: Path, final: Path, last: str) -> None:
    """Rename into place; what is there already has the same content."""
    final.parent.mkdir(parents=True, exist_ok=True)
    try:
        draft.rename(final)
    except OSError:
        if not (final / last).is_file():
            shutil.rmtree(final, ignore_errors=True)
            draft.rename(final)


def _to_disk(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
