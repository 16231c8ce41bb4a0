"""A disk that is really full: a small one of its own, and something else that takes its room."""

import contextlib
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.db import connections

PATIENCE_SECONDS = 120.0


@contextlib.contextmanager
def small_disk(folder: Path, size_bytes: int) -> Iterator[Path]:
    """A disk of that size, mounted on a new folder while the block runs."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size_bytes}", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("mounting a small disk needs root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def free_bytes(disk: Path) -> int:
    """What is left on it."""
    found = os.statvfs(disk)
    return found.f_bavail * found.f_frsize


def fill(disk: Path, *, leaving_bytes: int) -> Path:
    """Something else takes the room."""
    other = disk / "other"
    other.write_bytes(bytes(free_bytes(disk) - leaving_bytes))
    return other


def until_it_waits_for_room(
    work: Callable[[], None], caplog: pytest.LogCaptureFixture
) -> threading.Thread:
    """Begin work in a thread, as a worker would; returns once it has met the full disk twice."""

    def run() -> None:
        try:
            work()
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    end = time.monotonic() + PATIENCE_SECONDS
    while caplog.text.count("disk full: the work waits for room") < 2:
        assert thread.is_alive(), caplog.text
        assert time.monotonic() < end, caplog.text
        time.sleep(0.05)
    return thread


def ended(thread: threading.Thread) -> bool:
    """Whether the work has ended, after some patience."""
    thread.join(PATIENCE_SECONDS)
    return not thread.is_alive()
