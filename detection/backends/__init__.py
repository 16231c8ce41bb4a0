"""Engines that run a model, reached through ``load_detector`` alone: torch stays out of sight."""

import os
from importlib import import_module
from pathlib import Path
from typing import cast

from detection.detector import Detector
from detection.errors import EngineUnavailable, ModelUnavailable

ENGINES = {
    "torchvision": ("detection.backends.torchvision", "TorchvisionDetector"),
    "detectron2": ("detection.backends.detectron2", "Detectron2Detector"),
}


def load_detector(folder: Path, *, device: str = "auto", engine: str | None = None) -> Detector:
    """Load a model into memory.

    Args:
        folder: a model folder, see ``detection.weights``.
        device: "cpu", "cuda", "cuda:1" and so on; "auto" takes a GPU where there is one.
        engine: one of ``ENGINES``; see ``choose_engine``.

    Raises:
        ModelUnavailable: the model is missing or damaged, or the device is not there.
        EngineUnavailable: the engine is not there.
    """
    engine = choose_engine(engine)
    module, name = ENGINES[engine]
    try:
        detector = getattr(import_module(module), name)
    except ImportError as error:
        raise EngineUnavailable(f"engine {engine} is not installed: {error}") from error
    return cast("Detector", detector(folder, device=choose_device(device)))


def choose_engine(wanted: str | None = None) -> str:
    """The engine that was asked for: else ``UNOSAT_DETECTOR``, else "torchvision".

    Raises:
        EngineUnavailable: there is none of that name.
    """
    engine = wanted or os.environ.get("UNOSAT_DETECTOR") or "torchvision"
    if engine not in ENGINES:
        raise EngineUnavailable(f"no engine {engine}; there are {', '.join(ENGINES)}")
    return engine


def choose_device(wanted: str) -> str:
    """What torch calls the device that was asked for; "auto" is a GPU where there is one.

    Raises:
        ModelUnavailable: a GPU was asked for and there is none.
    """
    import torch

    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if wanted.startswith("cuda") and not torch.cuda.is_available():
        raise ModelUnavailable("no GPU on this machine")
    return wanted
