"""This test session's own PostgreSQL and Redis: planned at import, started when first needed.

Settings are read before any fixture runs, so the addresses must be known before the servers are
there. Several sessions may run at once, beside ``make run``: the process id keeps them apart.
"""

import contextlib
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
    _remove_remainders()
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


def _remove_remainders() -> None:
    """Remove the folders of sessions that were killed; the kernel ended their servers."""
    for folder in FOLDER.parent.glob("unosat-test-*"):
        owner = folder.name.removeprefix("unosat-test-")
        ours = owner.isdigit() and folder.stat().st_uid == os.geteuid()
        if ours and not Path("/proc", owner).exists():
            shutil.rmtree(folder, ignore_errors=True)
