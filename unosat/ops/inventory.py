"""What lies in the store: listed, measured and hashed. All that backups and metrics know of it."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

import redis
from django.conf import settings
from django.core.files.storage import storages
from django.utils import timezone

from unosat.ops.store import store_path

CHUNK_BYTES = 1024 * 1024
MEASURED = "unosat:store"  # in Redis: a walk over every file is nothing for each scrape


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of the store.

    Attributes:
        key: its name there.
        size: in bytes.
        changed_ns: when its content last changed, in nanoseconds since 1970.
    """

    key: str
    size: int
    changed_ns: int


@dataclass(frozen=True, slots=True)
class Measure:
    """How much the store holds, and how old that knowledge is."""

    files: int
    size: int
    age_seconds: float


def entries() -> Iterator[Entry]:
    """Every finished file: of this machine's folder, then of the bucket if there is one."""
    yield from _in_folder()
    if _has_bucket():
        yield from _in_bucket()


def _in_folder() -> Iterator[Entry]:
    """What is half written has a hidden name and is left out."""
    root = Path(settings.UNOSAT_STORE)
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(folder) / name
            if name.startswith(".") or path.is_symlink():
                continue
            try:
                facts = path.stat()
            except FileNotFoundError:
                continue  # gone since the folder was read
            yield Entry(path.relative_to(root).as_posix(), facts.st_size, facts.st_mtime_ns)


def _in_bucket() -> Iterator[Entry]:
    storage, folders = storages["default"], [""]
    while folders:
        folder = folders.pop()
        inner, names = storage.listdir(folder)
        folders += [f"{folder}{name}/" for name in sorted(inner, reverse=True)]
        for key in (f"{folder}{name}" for name in sorted(names)):
            changed = storage.get_modified_time(key).timestamp()
            yield Entry(key, storage.size(key), int(changed * 1e9))


def _has_bucket() -> bool:
    return getattr(settings, "UNOSAT_BUCKET", None) is not None


def opened(key: str) -> BinaryIO:
    """A file of the store, to read.

    Raises:
        FileNotFoundError: it is not there.
    """
    path = store_path(key)
    if _has_bucket() and not path.exists():
        return cast("BinaryIO", storages["default"].open(key))
    return path.open("rb")


def digest(key: str) -> str | None:
    """The sha256 of a file, hex; None if it is not there."""
    try:
        with opened(key) as file:
            return copy(file)[1]
    except FileNotFoundError:
        return None


def copy(source: BinaryIO, target: BinaryIO | None = None) -> tuple[int, str]:
    """Read to the end, and write it if there is a target; returns its bytes and sha256, hex."""
    hasher, size = hashlib.sha256(), 0
    while chunk := source.read(CHUNK_BYTES):
        hasher.update(chunk)
        size += len(chunk)
        if target is not None:
            target.write(chunk)
    return size, hasher.hexdigest()


def free_bytes() -> int | None:
    """What is left where the store lies; None where nobody can tell, as of a bucket."""
    if _has_bucket():
        return None
    try:
        return shutil.disk_usage(settings.UNOSAT_STORE).free
    except OSError:
        return None


def measure() -> None:
    """Count and add up every file, and note it for whoever asks."""
    files = size = 0
    for entry in entries():
        files, size = files + 1, size + entry.size
    said = {"files": files, "size": size, "at": timezone.now().timestamp()}
    with redis.Redis.from_url(settings.UNOSAT_REDIS_URL, socket_timeout=2) as client:
        client.set(MEASURED, json.dumps(said))


def measured(client: redis.Redis) -> Measure | None:
    """The last measure; None before the first, or after Redis lost its memory."""
    said = client.get(MEASURED)
    if said is None:
        return None
    known = json.loads(said)
    age = timezone.now().timestamp() - known["at"]
    return Measure(known["files"], known["size"], max(0.0, age))
