"""Start the converter apart from everything: own process, no network, no secrets, few drivers."""

import json
import logging
import os
import signal
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

from detection.errors import DetectionError, UnreadableRaster
from unosat.scenes.errors import ImageRefused, TooExpensive
from unosat.scenes.facts import SceneFacts

log = logging.getLogger(__name__)

PROJECT = Path(__file__).resolve().parent.parent.parent
NEEDED_DRIVERS = frozenset({"GTiff", "COG", "MEM"})
WALL_CLOCK_SECONDS = 3 * 3600
REFUSED = 1


class ConverterFailed(Exception):
    """A bug or a full disk, not the upload's fault; the detail goes to the log."""


def convert(source: Path, target: Path, band_order: str = "") -> SceneFacts:
    """Make the clean COG of a file that passed the header check.

    Args:
        source: the upload; is only read.
        target: where the COG goes.
        band_order: as a person stated it, such as "BGRN"; "" for as the file says.

    Raises:
        ImageRefused: the file cannot be taken.
        DetectionError: the engine could not use the image.
        ConverterFailed: not the file's fault.
    """
    command = [
        *_isolation(),
        *(sys.executable, "-m", "unosat.scenes.convert"),
        *(str(source.resolve()), str(target.resolve())),
        *([band_order] if band_order else []),
    ]
    try:
        done = subprocess.run(  # noqa: S603 - our own interpreter and module; no shell
            command,
            cwd=PROJECT,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=WALL_CLOCK_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise TooExpensive("wall clock") from error
    finally:
        target.with_name(f"{target.name}.part").unlink(missing_ok=True)
    return _understand(done)


def _understand(done: "subprocess.CompletedProcess[bytes]") -> SceneFacts:
    said = done.stdout.decode(errors="replace")
    complaint = done.stderr.decode(errors="replace")[-2000:]
    if done.returncode == 0:
        return SceneFacts.from_json(said)
    if done.returncode == REFUSED and said.startswith("{"):
        answer = json.loads(said)
        raise _refusals()[answer["code"]](answer["why"])
    if done.returncode in {-signal.SIGXCPU, -signal.SIGKILL} or "MemoryError" in complaint:
        raise TooExpensive(f"ended by {done.returncode}")
    if done.returncode < 0:  # the image library crashed over this file
        raise UnreadableRaster(f"ended by signal {-done.returncode}: {complaint}")
    raise ConverterFailed(complaint)


@lru_cache(maxsize=1)
def _refusals() -> dict[str, type[DetectionError] | type[ImageRefused]]:
    theirs: list[type[DetectionError]] = [DetectionError, *DetectionError.__subclasses__()]
    ours: list[type[ImageRefused]] = [ImageRefused, *ImageRefused.__subclasses__()]
    return {kind.code: kind for kind in theirs} | {kind.code: kind for kind in ours}


def layers() -> tuple[str, ...]:
    """What stands between an upload and this machine here, for the health page."""
    found = ["header check", "own process", "few drivers", "resource limits"]
    found += ["no network"] if "unshare" in _isolation() else []
    found += ["no new privileges"] if "setpriv" in _isolation() else []
    return tuple(found)


@lru_cache(maxsize=1)
def _isolation() -> tuple[str, ...]:
    """Programs that the converter starts through: each does its part and becomes the next."""
    guards = ("setpriv", "--no-new-privs", "--pdeathsig", "KILL")
    for unshare in (("unshare", "--net"), ("unshare", "--net", "--map-root-user")):
        if _works([*unshare, *guards, "true"]):
            return (*unshare, *guards)
    log.warning("this kernel allows no network namespace: conversion runs without one")
    return guards if _works([*guards, "true"]) else ()


def _works(command: list[str]) -> bool:
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0  # noqa: S603
    except OSError:
        return False


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
    }
