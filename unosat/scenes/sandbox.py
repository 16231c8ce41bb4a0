"""Start the converter apart from everything: own process, no network, no secrets, few drivers."""

import json
import logging
import os
import signal
import stat
import subprocess
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

from detection.errors import DetectionError, UnreadableRaster
from unosat.ops import store
from unosat.scenes import walls
from unosat.scenes.errors import ImageRefused, TooExpensive
from unosat.scenes.facts import SceneFacts
from unosat.scenes.tiffcheck import check_tiff
from unosat.scenes.walls import PROJECT

log = logging.getLogger(__name__)

NEEDED_DRIVERS = frozenset({"GTiff", "COG", "MEM"})
WALL_CLOCK_SECONDS = 3 * 3600
REFUSED = 1
BY_SIGNAL = 128  # bubblewrap's answer is that much more than the signal that ended the converter
ANSWER_BYTES = 1024**2  # what the converter says is read so far
COMPLAINT_BYTES = 2000
WRITE_FAILED = b"_tiff"  # libtiff's words on what GDAL then tells nobody: a write went wrong
WORK_PREFIX = "converting-"  # of a folder beside the target, for the time of one conversion


class ConverterFailed(Exception):
    """A bug or a full disk, not the upload's fault; the detail goes to the log."""


def convert(source: Path, target: Path, band_order: str = "") -> SceneFacts:
    """Make the clean COG of a file that passed the header check.

    Args:
        source: the upload; is only read.
        target: where the COG goes; appears whole.
        band_order: as a person stated it, such as "BGRN"; "" for as the file says.

    Raises:
        ImageRefused: the file cannot be taken.
        DetectionError: the engine could not use the image.
        ConverterFailed: not the file's fault.
    """
    # no converter works as long as that: its starter was killed
    store.remove_remains(target.parent, f"{WORK_PREFIX}*", seconds=2 * WALL_CLOCK_SECONDS)
    with tempfile.TemporaryDirectory(
        dir=target.parent, prefix=WORK_PREFIX, ignore_cleanup_errors=True
    ) as folder:
        made = Path(folder, "clean.tif")
        facts = _run(source, made, band_order)
        _distrust(made, facts)
        made.replace(target)
    return facts


def _run(source: Path, made: Path, band_order: str) -> SceneFacts:
    standing = walls.standing()
    command = standing.command(
        ["-m", "unosat.scenes.convert"], source, made, *([band_order] if band_order else [])
    )
    calls = {"CONVERTER_FEW_CALLS": "1"} if walls.FEW_CALLS in standing.layers else {}
    # what it complains of is kept in memory, for the disk may be what is full
    memory = os.memfd_create("complaint")
    with tempfile.TemporaryFile() as answer, os.fdopen(memory, "w+b") as complaint:
        try:
            done = subprocess.run(  # noqa: S603 - our own interpreter and module; no shell
                command,
                cwd=PROJECT,
                env=_environment() | calls,
                stdin=subprocess.DEVNULL,
                stdout=answer,
                stderr=complaint,
                timeout=WALL_CLOCK_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise TooExpensive("wall clock") from error
        said, complained = _start(answer), _end(complaint)
        unwritten = _first_failed_write(complaint)
    log.info("converter ended by %s, %s", done.returncode, complained.strip().rpartition("\n")[2])
    if (
        unwritten
    ):  # then whatever else was said may be a consequence, and what was made is not whole
        raise ConverterFailed(unwritten)
    return _understand(done.returncode, said, complained)


def _first_failed_write(complaint: BinaryIO) -> str:
    complaint.seek(0)
    found = (line for line in complaint if line.startswith(WRITE_FAILED))
    return next(found, b"")[:COMPLAINT_BYTES].decode(errors="replace")


def _start(file: BinaryIO) -> str:
    file.seek(0)
    return file.read(ANSWER_BYTES).decode(errors="replace")


def _end(file: BinaryIO) -> str:
    file.seek(max(0, file.seek(0, os.SEEK_END) - COMPLAINT_BYTES))
    return file.read().decode(errors="replace")


def _understand(status: int, said: str, complaint: str) -> SceneFacts:
    try:
        if status == 0:
            return SceneFacts.from_json(said)
        refusal = json.loads(said) if status == REFUSED and said.startswith("{") else None
        error = None if refusal is None else _refusals()[refusal["code"]](str(refusal["why"]))
    except (ValueError, KeyError, TypeError) as unclear:
        raise ConverterFailed(f"answered {said[:200]!r}") from unclear
    if error is not None:
        raise error
    ended_by = -status if status < 0 else status - BY_SIGNAL
    if ended_by in {signal.SIGXCPU, signal.SIGKILL} or "MemoryError" in complaint:
        raise TooExpensive(f"ended by {ended_by}")
    if ended_by > 0:  # the image library crashed over this file
        raise UnreadableRaster(f"ended by signal {ended_by}: {complaint}")
    raise ConverterFailed(complaint)


def _distrust(made: Path, facts: SceneFacts) -> None:
    """Look at what was made as at any upload: a file of its own, that names no other.

    Whoever found a hole in the image library would have had the converter write something else.
    """
    found = made.lstat()
    if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
        raise ConverterFailed("made no plain file")
    try:
        header = check_tiff(made)
    except ImageRefused as error:
        raise ConverterFailed(f"made what would be refused: {error.code}, {error}") from error
    if (header.width, header.height, header.bands) != (facts.width, facts.height, facts.bands):
        raise ConverterFailed(f"made {header}, told {facts}")


@lru_cache(maxsize=1)
def _refusals() -> dict[str, type[DetectionError] | type[ImageRefused]]:
    theirs: list[type[DetectionError]] = [DetectionError, *DetectionError.__subclasses__()]
    ours: list[type[ImageRefused]] = [ImageRefused, *ImageRefused.__subclasses__()]
    return {kind.code: kind for kind in theirs} | {kind.code: kind for kind in ours}


def layers() -> tuple[str, ...]:
    """What stands between an upload and this machine here, for the health page."""
    always = ("header check", "own process", "few drivers", "resource limits")
    return (*always, *walls.standing().layers)


def missing_layers() -> tuple[str, ...]:
    """What does not, and would elsewhere."""
    return walls.standing().missing


@lru_cache(maxsize=1)
def _environment() -> dict[str, str]:
    """All that the converter knows: nothing of the database, no secret."""
    from rasterio.env import Env

    with Env() as env:
        skipped = sorted(set(env.drivers()) - NEEDED_DRIVERS)
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "LANG": "C.UTF-8",
        "GDAL_SKIP": ",".join(skipped),
        "GDAL_DRIVER_PATH": "disable",
        "GDAL_VRT_ENABLE_PYTHON": "NO",
        "CPL_VSIL_CURL_ALLOWED_EXTENSIONS": ".none",
        "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
        "GDAL_PAM_ENABLED": "NO",
        "PROJ_NETWORK": "OFF",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "MALLOC_ARENA_MAX": "2",  # address space is what is limited
    }
