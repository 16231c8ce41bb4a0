"""A detection worker whose model waits instead of thinking: ``celery -A tests.standin worker``.

So that queues, leases and turns can be timed without a processor per worker.
``STANDIN_TILE_SECONDS`` is how long it waits for each tile. ``STANDIN_POISON`` is the id of a model
version whose work kills the process, as a bug in a driver does.
"""

import os
import signal
import time
from dataclasses import dataclass

import django
import numpy as np
from numpy.typing import NDArray

from unosat.celery import app

django.setup()

from detection import weights  # noqa: E402 (models can be imported only now)
from detection.detector import TileDetections  # noqa: E402
from tests.unosat.makers import BrightIsDestroyed  # noqa: E402
from unosat.assessments import detectors  # noqa: E402
from unosat.ops.store import store_path  # noqa: E402
from unosat.training.models import ModelVersion  # noqa: E402

__all__ = ["app"]

TILE_SECONDS = float(os.environ.get("STANDIN_TILE_SECONDS", "0"))
POISON = os.environ.get("STANDIN_POISON", "")


@dataclass(frozen=True)
class Waits(BrightIsDestroyed):
    """Sees what ``BrightIsDestroyed`` sees, later."""

    def predict(self, images: NDArray[np.uint8], *, min_score: float) -> list[TileDetections]:
        time.sleep(TILE_SECONDS * len(images))
        return super().predict(images, min_score=min_score)


@dataclass(frozen=True)
class Kills(BrightIsDestroyed):
    """Takes its process down at the first tile."""

    def predict(self, images: NDArray[np.uint8], *, min_score: float) -> list[TileDetections]:
        os.kill(os.getpid(), signal.SIGKILL)
        return super().predict(images, min_score=min_score)


def detector_of(version: ModelVersion) -> BrightIsDestroyed:
    """In the place of the real one."""
    kind = Kills if str(version.pk) == POISON else Waits
    return kind(weights.read_spec(store_path(version.folder)))


detectors.detector_of = detector_of
