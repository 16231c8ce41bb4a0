"""The disk that uploads arrive on: whether it has room, and what to do when it has none."""

import os
from io import FileIO
from pathlib import Path

from django.conf import settings

from unosat.ops.fulldisk import FULL


def has_room(folder: Path, more_bytes: int) -> bool:
    """Whether so much fits, and what the database on the same disk may need stays free."""
    found = os.statvfs(folder)
    free: int = found.f_bavail * found.f_frsize
    return bool(free - settings.UNOSAT_KEEP_FREE_BYTES >= more_bytes)


def write(file: FileIO, data: bytes) -> int:
    """Write as many bytes as the disk takes; fewer than given mean that it is full."""
    done = 0
    while done < len(data):
        try:
            done += file.write(memoryview(data)[done:])
        except OSError as error:
            if error.errno not in FULL:
                raise
            break
    return done
