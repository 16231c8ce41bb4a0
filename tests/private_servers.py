"""This test session's own PostgreSQL and Redis: planned at import, started when first needed.

Settings are read before any fixture runs, so the addresses must be known before the servers are
there. Several sessions may run at once, beside ``make run``: the process id keeps them apart.
"""

import contextlib
import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from unosat.ops import broker, postgres, processes
from unosat.ops.folders import Folders, prepare_folders, temporary_test_folder

FOLDER = temporary_test_folder()
FOLDERS = Folders(FOLDER / "postgres", FOLDER / "redis", FOLDER / "run", FOLDER / "log")
CLUSTER = postgres.Cluster(FOLDERS, password="for-tests-only", throwaway=True)  # noqa: S106
DATABASE_URL = CLUSTER.url
REDIS_URL = broker.url(FOLDERS)
STORE = FOLDER / "store"


@dataclass(slots=True)
class Servers:
    """The running servers; a test of faults may stop them and start them again.

    Attributes:
        database: PostgreSQL's process.
        queue: Redis's process.
    """

    database: subprocess.Popen[bytes]
    queue: subprocess.Popen[bytes]

    def restart_queue(self) -> None:
        """Kill Redis and start it again, empty: everything that was queued is lost."""
        processes.kill_session(self.queue)
        self.queue = broker.start(FOLDERS, throwaway=True)

    def restart_database(self) -> None:
        """Stop PostgreSQL and start it again; every connection breaks."""
        postgres.stop(self.database)
        self.database = postgres.start(CLUSTER)

    def kill_database(self) -> None:
        """Kill -9 of all PostgreSQL's processes at once, then start it: it recovers by its log."""
        processes.kill_session(self.database)
        self.database = postgres.start(CLUSTER)


@contextlib.contextmanager
def running() -> Iterator[Servers]:
    """Both servers, until the block ends; then nothing of them is left."""
    with _one_at_a_time(FOLDER.parent):
        remove_remainders(FOLDER.parent)
        FOLDER.mkdir(mode=0o711)
    try:
        prepare_folders(FOLDER)
        STORE.mkdir()
        with contextlib.ExitStack() as stack:
            servers = Servers(postgres.start(CLUSTER), broker.start(FOLDERS, throwaway=True))
            stack.callback(lambda: postgres.stop(servers.database))
            stack.callback(lambda: broker.stop(servers.queue))
            yield servers
    finally:
        shutil.rmtree(FOLDER, ignore_errors=True)


def remove_remainders(place: Path) -> None:
    """Remove the folders of sessions that were killed; the kernel ended their servers.

    One that bears this process's own number was left by an earlier process of that number. Others
    may end meanwhile and remove theirs: what has gone is no fault.
    """
    for folder in place.glob("unosat-test-*"):
        owner = folder.name.removeprefix("unosat-test-")
        dead = owner == str(os.getpid()) or not Path("/proc", owner).exists()
        if owner.isdigit() and dead and _is_ours(folder):
            shutil.rmtree(folder, ignore_errors=True)


def _is_ours(folder: Path) -> bool:
    try:
        return folder.lstat().st_uid == os.geteuid()
    except FileNotFoundError:
        return False


@contextlib.contextmanager
def _one_at_a_time(place: Path) -> Iterator[None]:
    """Sessions of this user begin one after another; a killed one lets go of the lock."""
    path = place / f"unosat-test-{os.geteuid()}.lock"
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)
