"""This test session's own PostgreSQL and Redis: planned at import, started when first needed.

Settings are read before any fixture runs, so the addresses must be known before the servers are
there. Several sessions may run at once, beside ``make run``: the process id keeps them apart.
"""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from unosat.ops import broker, postgres
from unosat.ops.folders import Folders, prepare_folders, temporary_test_folder

FOLDER = temporary_test_folder()
FOLDERS = Folders(FOLDER / "postgres", FOLDER / "redis", FOLDER / "run", FOLDER / "log")
CLUSTER = postgres.Cluster(FOLDERS, password="for-tests-only", throwaway=True)  # noqa: S106
DATABASE_URL = CLUSTER.url
REDIS_URL = broker.url(FOLDERS)
STORE = FOLDER / "store"


@contextlib.contextmanager
def running() -> Iterator[None]:
    """Both servers, until the block ends; then nothing of them is left."""
    _remove_remainders()
    FOLDER.mkdir(mode=0o711)
    prepare_folders(FOLDER)
    STORE.mkdir()
    database = postgres.start(CLUSTER)
    try:
        queue = broker.start(FOLDERS, throwaway=True)
        try:
            yield
        finally:
            broker.stop(queue)
    finally:
        postgres.stop(database)
        shutil.rmtree(FOLDER, ignore_errors=True)


def _remove_remainders() -> None:
    """Remove the folders of sessions that were killed; the kernel ended their servers."""
    for folder in FOLDER.parent.glob("unosat-test-*"):
        owner = folder.name.removeprefix("unosat-test-")
        ours = owner.isdigit() and folder.stat().st_uid == os.geteuid()
        if ours and not Path("/proc", owner).exists():
            shutil.rmtree(folder, ignore_errors=True)
