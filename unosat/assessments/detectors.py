"""The model of a detection worker: loaded once per child process, from a folder of the store."""

import logging
import time
from functools import lru_cache
from uuid import UUID

from django.conf import settings

from detection import weights
from detection.backends import load_detector
from detection.detector import Detector, ModelSpec
from detection.errors import DetectionError, ModelUnavailable
from unosat.ops import store
from unosat.training.models import ModelVersion

log = logging.getLogger(__name__)

TRY_AGAIN_SECONDS = 120.0  # meanwhile other workers get a chance, and an admin may mend it

_failed: dict[UUID, float] = {}  # of this process: model version, monotonic time


class ModelNotLoadedError(Exception):
    """This worker cannot do work for a model; another may. The text is for people."""


def load(version: ModelVersion) -> Detector:
    """As ``detector_of``, for work that can be given back; this process remembers a failure.

    Raises:
        ModelNotLoadedError: for whatever reason, such as a lack of memory.
    """
    try:
        return detector_of(version)
    except store.AWAY:
        raise  # no fault of the model: it is waited for
    except Exception as error:
        _failed[version.pk] = time.monotonic()
        log.exception("model not loaded", extra={"model": str(version)})
        told = "Ask an admin to read its log."
        if isinstance(error, DetectionError):
            told = error.user_message
        raise ModelNotLoadedError(f"A worker could not load {version}. {told}") from error


def not_loadable() -> list[UUID]:
    """Model versions that this process could not load a while ago."""
    recent = time.monotonic() - TRY_AGAIN_SECONDS
    return [pk for pk, failed in _failed.items() if failed > recent]


def spec_of(version: ModelVersion) -> ModelSpec:
    """What a version says of itself; reads its card, loads nothing.

    Raises:
        ModelUnavailable: it is missing, or not the one recorded.
    """
    try:
        with store.local(f"{version.folder}/{weights.CARD}") as card:
            spec = weights.read_spec(card.parent)
    except FileNotFoundError as error:
        raise ModelUnavailable(f"{version}: {error}") from error
    if spec.sha256 != version.sha256:
        raise ModelUnavailable(f"{version}: the card names other weights")
    return spec


def detector_of(version: ModelVersion) -> Detector:
    """The loaded model. Only a worker's child calls this: it imports torch.

    Raises:
        ModelUnavailable: it is missing, damaged, or not the one recorded.
    """
    spec_of(version)
    return _loaded(version.sha256, version.folder, settings.UNOSAT_DEVICE)


# One of each input kind is active, and shards of both take turns in a worker; beside them one that
# was replaced while its assessments are under way. Each costs 70 MB.
@lru_cache(maxsize=3)
def _loaded(sha256: str, folder: str, device: str) -> Detector:  # noqa: ARG001
    with store.local_folder(folder) as files:
        return load_detector(files, device=device)
