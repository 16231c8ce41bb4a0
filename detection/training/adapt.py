"""Adapt a model to one event: its heads learn from a few corrected chips, within minutes.

Every disaster looks new. Some chips are kept aside, in other places than those taught: the adapted
model is written only if it is no worse there than the one it came from.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detection.backends import load_detector
from detection.errors import NothingToExamine, WouldBeWorse
from detection.training.augment import Augmentation
from detection.training.chips import ChipSource, at_pixel_size
from detection.training.evaluate import ALL, Evaluation, evaluate
from detection.training.train import (
    OnStep,
    Serving,
    TrainOptions,
    heritage,
    minded_most,
    train,
)
from detection.weights import read_card, read_spec, read_weights, write_card, write_model

ASIDE = 0.2  # of the buildings, and of the damaged ones
TRIES = 200  # of partings; the one nearest to ASIDE is taken
Counts = NDArray[np.floating[Any]]
DAMAGED, BUILDINGS = "damaged_f1", "building_f1"


@dataclass(frozen=True, slots=True)
class AdaptOptions:
    """How to adapt; chosen on an event left out (see the model card).

    Attributes:
        minutes: of teaching; loading and the two examinations come on top.
        steps: at most.
        learning_rate: at its peak.
        crop_px: side of a crop, in pixels.
        seed: of the parting and of everything random in teaching.
        device: "cpu" or "cuda".
    """

    minutes: float = 3.5
    steps: int = 1000
    learning_rate: float = 3e-4
    crop_px: int = 384
    seed: int = 0
    device: str = "cpu"


@dataclass(frozen=True, slots=True)
class Adapted:
    """What came of it.

    Attributes:
        taught: chips that were learned from.
        aside: chips that were kept aside.
        before: the scores of the model it began with, on those kept aside.
        after: the scores of the adapted model, on the same.
    """

    taught: int
    aside: int
    before: Evaluation
    after: Evaluation


def adapt(
    start: Path,
    chips: Sequence[ChipSource],
    out: Path,
    *,
    label: str,
    options: AdaptOptions = AdaptOptions(),
    on_step: OnStep | None = None,
) -> Adapted:
    """Teach the heads of a model what the chips of one event show, and examine it elsewhere.

    Args:
        start: the folder of the model.
        chips: of one event, from at least two clusters; pairs for a model of pairs.
        out: the model folder to write.
        label: ``name@version`` of the adapted model.
        options: how.
        on_step: hears of every step; may raise ``Cancelled``.

    Raises:
        NothingToExamine: the chips are of several events, or of one cluster.
        WouldBeWorse: it was, on the chips kept aside; nothing is written.
        ModelUnavailable: ``start`` cannot be loaded.
    """
    taught, aside = part(chips, seed=options.seed)
    before = _examine(start, aside, options)
    with tempfile.TemporaryDirectory(prefix="adapt-") as folder:
        draft = train(
            [Serving(at_pixel_size(taught, read_spec(start).pixel_size_m))],
            _lesson(start, options),
            Path(folder) / "model",
            label=label,
            start=start,
            on_step=on_step,
        )
        write_card(draft, read_card(draft) | heritage(start))
        after = _examine(draft, aside, options)
        found = Adapted(len(taught), len(aside), before, after)
        _must_not_be_worse(found)
        facts = _facts(start, chips, found)
        write_model(out, read_weights(draft), read_card(draft) | facts)
    return found


def part(chips: Sequence[ChipSource], *, seed: int) -> tuple[list[ChipSource], list[ChipSource]]:
    """Chips to teach and chips to examine, never of one cluster, each with buildings.

    Of many random partings the one is taken that keeps nearest to a fifth of the buildings, and of
    the damaged ones, aside.

    Raises:
        NothingToExamine: they are of several events, or buildings are in one cluster only.
    """
    events = {chip.event for chip in chips}
    if len(events) > 1:
        raise NothingToExamine(f"{len(events)} events")
    table: dict[str, Counts] = {}
    for chip in chips:
        grades = chip.load().grades
        drawn = np.array([(grades >= 0).sum(), (grades > 0).sum()])
        table[chip.cluster] = table.get(chip.cluster, np.zeros(2)) + drawn
    aside = _kept_aside(table, np.random.default_rng(seed))
    return (
        [chip for chip in chips if chip.cluster not in aside],
        [chip for chip in chips if chip.cluster in aside],
    )


def _kept_aside(table: dict[str, Counts], rng: np.random.Generator) -> set[str]:
    """Which clusters to keep aside, given how many buildings and damaged ones each has."""
    clusters = sorted(table)
    counts = np.array([table[cluster] for cluster in clusters]).reshape(-1, 2)
    if (counts[:, 0] > 0).sum() < 2:
        raise NothingToExamine(f"buildings in {(counts[:, 0] > 0).sum()} clusters")
    matter = (counts > 0).sum(axis=0) > 1  # damage in one place can only be taught or examined
    total = counts.sum(axis=0)
    best, chosen = np.inf, set[str]()
    for _ in range(TRIES):
        most = max(1, round(2 * ASIDE * len(clusters)))
        tried = rng.permutation(len(clusters))[: rng.integers(1, most + 1)]
        kept = counts[tried].sum(axis=0)
        if ((kept == 0) | (kept == total))[matter].any():
            continue
        off = float(np.abs(kept / np.maximum(total, 1) - ASIDE)[matter].sum())
        if off < best:
            best, chosen = off, {clusters[number] for number in tried}
    if not chosen:
        raise NothingToExamine("no parting has buildings on both sides")
    return chosen


def _lesson(start: Path, options: AdaptOptions) -> TrainOptions:
    return TrainOptions(
        steps=options.steps,
        minutes=options.minutes,
        crop_px=options.crop_px,
        learning_rate=options.learning_rate,
        warmup=20,
        ema=0.98,
        heads_only=True,
        # one sensor, one date: views need not stray as far as when the whole world is learned
        augmentation=replace(Augmentation(), colour=0.4, grey_share=0.0, before_share=1.0),
        seed=options.seed,
        device=options.device,
        pixel_size_m=read_spec(start).pixel_size_m,
        **minded_most(start),
    )


def _examine(folder: Path, aside: Sequence[ChipSource], options: AdaptOptions) -> Evaluation:
    return evaluate(load_detector(folder, device=options.device, engine="torchvision"), aside)


def _must_not_be_worse(found: Adapted) -> None:
    """Neither of damage, to which it was to adapt, nor of damage and buildings together."""
    for names in ((DAMAGED,), (DAMAGED, BUILDINGS)):
        was, now = (sum(_value(one, name) for name in names) for one in (found.before, found.after))
        if now < was:
            what = " + ".join(names)
            raise WouldBeWorse(f"{what} on {found.aside} chips kept aside: {was:.3f} to {now:.3f}")


def _value(evaluation: Evaluation, name: str) -> float:
    return evaluation.reports[ALL].scores[name].value or 0.0


def _facts(start: Path, chips: Sequence[ChipSource], found: Adapted) -> dict[str, object]:
    """For the card: whose child it is, and how it did."""
    spec = read_spec(start)
    return {
        "parent": spec.label,
        "parent_sha256": spec.sha256,
        "data": {chips[0].event: f"{found.taught} images, {found.aside} more kept aside"},
        "adaptation": {
            "event": chips[0].event,
            "taught": found.taught,
            "aside": found.aside,
            **{
                name: [round(_value(one, name), 4) for one in (found.before, found.after)]
                for name in (DAMAGED, BUILDINGS)
            },
        },
    }
