"""Where files lie: one folder, addressed by keys that the database holds."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings


def store_path(key: str) -> Path:
    """The path of a key such as ``cogs/<scene>.tif``; whether it exists is not asked.

    Raises:
        ValueError: the key would lead out of the store.
    """
    root = Path(settings.UNOSAT_STORE)
    parts = key.strip("/").split("/")
    if key.startswith("/") or any(part in {"", ".", ".."} for part in parts):
        raise ValueError("not a key of the store")
    return root.joinpath(*parts)


@contextmanager
def writing(key: str) -> Iterator[Path]:
    """A path to write to, which becomes ``key`` when the block ends well, else vanishes.

    The file appears whole or not at all, and survives a power cut once the block has ended.
    """
    final = store_path(key)
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


def remove(key: str) -> None:
    """Remove a file or folder; nothing happens if it is not there."""
    path = store_path(key)
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _to_disk(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
