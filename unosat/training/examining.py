"""Score a model on what was kept aside and on the synthetic benchmark. Runs in a worker's child."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from detection.backends import load_detector
from detection.detector import Detector
from detection.training.chips import ChipSource
from detection.training.evaluate import ALL, evaluate
from unosat.training.learning import benchmark
from unosat.training.recipe import BENCHMARK_VERSION, Recipe

DECIMALS = 4


def examine(
    folder: Path,
    kept_aside: Sequence[ChipSource],
    recipe: Recipe,
    device: str,
    on_scene: Callable[[], None],
) -> dict[str, Any]:
    """Score a model.

    Args:
        folder: of the model.
        kept_aside: chips that no version has learned from.
        recipe: says how large the benchmark is.
        device: "auto", "cpu", "cuda".
        on_scene: called after each scene; may raise ``Cancelled``.

    Returns:
        ``kept_aside`` and ``synthetic``, each with numbers by name, or None for ``kept_aside``
        where nothing is.
    """
    detector = load_detector(folder, device=device)
    scenes = benchmark(detector.spec, recipe)
    return {
        "kept_aside": _scores(detector, kept_aside, on_scene) if kept_aside else None,
        "synthetic": _scores(detector, scenes, on_scene) | {"benchmark": BENCHMARK_VERSION},
    }


def _scores(
    detector: Detector, scenes: Sequence[ChipSource], on_scene: Callable[[], None]
) -> dict[str, Any]:
    report = evaluate(detector, scenes, on_scene=lambda _done, _all: on_scene()).reports[ALL]
    values = {name: _rounded(score.value) for name, score in report.scores.items()}
    intervals = {
        name: [_rounded(score.low), _rounded(score.high)]
        for name, score in report.scores.items()
        if score.low is not None
    }
    counts = {"chips": report.scenes, "buildings": report.buildings}
    return values | counts | {"intervals": intervals}


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, DECIMALS)
