"""How much a retraining does: enough to take up a habit of the analysts, too little to forget."""

from dataclasses import dataclass

from django.conf import settings

SECONDS_PER_STEP = 2.0  # before anything was measured; 4 crops of 384 px on 2 cores
EVALUATION_MINUTES = 0.5  # old and new model on the benchmark and on what was kept aside
BENCHMARK_VERSION = 1  # raise it when a benchmark scene changes: scores compare only within one
REPORT_SECONDS = 1.0  # progress and cancel, at most so often


@dataclass(frozen=True, slots=True)
class Recipe:
    """One retraining; stored in the new version's card.

    Attributes:
        steps: optimiser steps.
        batch: crops a step.
        crop_px: side of a crop, in pixels.
        learning_rate: at its peak, after ``warmup`` steps.
        warmup: steps.
        correction_weight: share of crops from the analysts' chips, relative to ``replay_weight``.
        replay_weight: share of crops from synthetic scenes, so that what was known is not lost.
        replay_scenes: how many different ones.
        benchmark_scenes: how many synthetic scenes old and new model are scored on.
        benchmark_px: side of each, in pixels.
    """

    steps: int = 240
    batch: int = 4
    crop_px: int = 384
    learning_rate: float = 2e-4
    warmup: int = 10
    correction_weight: float = 3.0
    replay_weight: float = 1.0
    replay_scenes: int = 256
    benchmark_scenes: int = 6
    benchmark_px: int = 512


REPLAY_SEED = 7_000_000  # far from any seed that shipped models were trained on
BENCHMARK_SEED = 8_000_000


def steps() -> int:
    """Steps of one retraining on this installation."""
    return int(settings.UNOSAT_TRAINING_STEPS)


def recipe() -> Recipe:
    """The recipe of this installation."""
    return Recipe(steps=steps())
