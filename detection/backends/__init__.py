"""Engines that run a model, reached through ``load_detector`` alone: torch stays out of sight."""

import os
from importlib import import_module
from pathlib import Path
from typing import cast

from detection.detector import Detector
from detection.errors import ModelUnavailable

ENGINES = {"torchvision": ("detection.backends.torchvision", "TorchvisionDetector")}


def load_detector(folder: Path, *, device: str = "auto") -> Detector:
    """Load a model into memory.

    The engine is ``UNOSAT_DETECTOR``, "torchvision" unless set.

    Args:
        folder: a model folder, see ``detection.weights``.
        device: "cpu", "cuda", "cuda:1" and so on; "auto" takes a GPU where there is one.

    Raises:
        ModelUnavailable: the model is missing or damaged, or engine or device are not there.
    """
    engine = os.environ.get("UNOSAT_DETECTOR", "torchvision")
    if engine not in ENGINES:
        raise ModelUnavailable(f"no engine {engine}; there are {', '.join(ENGINES)}")
    module, name = ENGINES[engine]
    try:
        detector = getattr(import_module(module), name)
    except ImportError as error:
        raise ModelUnavailable(f"engine {engine} is not installed: {error}") from error
    return cast("Detector", detector(folder, device=choose_device(device)))


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
