"""The one door to the trainer. It is opened in a worker's child only: torch stays out of sight."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from detection import weights
from detection.detector import ModelSpec
from detection.synthetic import render_chip
from detection.training.chips import ChipSource, LazyChip
from unosat.training.recipe import BENCHMARK_SEED, REPLAY_SEED, Recipe

OnStep = Callable[[int, int, float], None]  # steps done, steps in all, loss; may raise Cancelled


@dataclass(frozen=True, slots=True)
class Lesson:
    """What one retraining needs.

    Attributes:
        start: folder of the model to begin with.
        out: folder to write.
        label: ``name@version`` of the new model.
        seed: of everything random.
        device: "auto", "cpu", "cuda".
        facts: for the new model's card.
    """

    start: Path
    out: Path
    label: str
    seed: int
    device: str
    facts: dict[str, Any]


def teach(
    lesson: Lesson, recipe: Recipe, corrections: Sequence[ChipSource], on_step: OnStep
) -> Path:
    """Fine-tune a model on corrections, mixed with synthetic scenes.

    Returns:
        ``lesson.out``, with weights and card.

    Raises:
        ModelUnavailable: the model to start from is missing or damaged.
        Cancelled: raised by ``on_step``.
    """
    trainer = import_module("detection.training.train")
    spec = weights.read_spec(lesson.start)
    trainer.train(
        [
            trainer.Serving(corrections, recipe.correction_weight),
            trainer.Serving(replay(spec, recipe), recipe.replay_weight),
        ],
        trainer.TrainOptions(
            steps=recipe.steps,
            batch=recipe.batch,
            crop_px=recipe.crop_px,
            learning_rate=recipe.learning_rate,
            warmup=recipe.warmup,
            fine_tune=True,
            seed=lesson.seed,
            device=import_module("detection.backends").choose_device(lesson.device),
            pixel_size_m=spec.pixel_size_m,
            **trainer.minded_most(lesson.start),
        ),
        lesson.out,
        label=lesson.label,
        start=lesson.start,
        on_step=on_step,
    )
    _complete_card(lesson, recipe, spec, trainer.heritage(lesson.start))
    return lesson.out


def replay(spec: ModelSpec, recipe: Recipe) -> list[LazyChip]:
    """Synthetic scenes that keep alive what the model knew."""
    return _scenes(REPLAY_SEED, recipe.replay_scenes, recipe.crop_px, spec.pixel_size_m)


def benchmark(spec: ModelSpec, recipe: Recipe) -> list[LazyChip]:
    """Synthetic scenes that no model was trained on; the same for all versions."""
    return _scenes(BENCHMARK_SEED, recipe.benchmark_scenes, recipe.benchmark_px, spec.pixel_size_m)


def _scenes(first_seed: int, count: int, size_px: int, pixel_size_m: float) -> list[LazyChip]:
    return [
        LazyChip(
            f"synthetic-{seed}",
            "synthetic",
            f"synthetic-{seed}",
            partial(render_chip, seed, size_px, pixel_size_m),
        )
        for seed in range(first_seed, first_seed + count)
    ]


def _complete_card(lesson: Lesson, recipe: Recipe, spec: ModelSpec, kept: dict[str, Any]) -> None:
    """What the trainer cannot know: whose child it is, and of what lesson."""
    card = weights.read_card(lesson.out) | kept | lesson.facts
    card |= {"parent": spec.label, "parent_sha256": spec.sha256, "recipe": asdict(recipe)}
    weights.write_card(lesson.out, card)


def note_scores(folder: Path, scores: dict[str, Any]) -> None:
    """Write into the card how the model did, and how the one before it did."""
    weights.write_card(folder, weights.read_card(folder) | {"retraining_scores": scores})
