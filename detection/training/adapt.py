"""Adapt a model to one event: its heads learn from a few corrected chips, within minutes.

Every disaster looks new. Some chips are kept aside, in other places than those taught: the adapted
model is written only if it is better there than the one it came from. From few chips the heads
learn those chips as well as the event, so mixtures of old and new weights are examined too, after
Wortsman et al., Robust fine-tuning of zero-shot models, CVPR 2022.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.torch import load

from detection.backends import load_detector
from detection.errors import NoBetter, NothingToExamine
from detection.training.augment import Augmentation
from detection.training.chips import ChipSource, at_pixel_size
from detection.training.evaluate import ALL, Evaluation, evaluate
from detection.training.train import (
    OnStep,
    Serving,
    TrainOptions,
    encode,
    heritage,
    minded_most,
    train,
)
from detection.weights import read_card, read_spec, read_weights, write_card, write_model

ASIDE = 0.2  # of the buildings, and of the damaged ones
TRIES = 200  # of partings; the one nearest to ASIDE is taken
SHARES = (1.0, 0.5, 0.25)  # of the new weights, that are tried; the rest is the old ones'
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
        share: of the newly taught weights in it, in (0, 1].
    """

    taught: int
    aside: int
    before: Evaluation
    after: Evaluation
    share: float


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
        NoBetter: than before, on the chips kept aside; nothing is written.
        ModelUnavailable: ``start`` cannot be loaded.
    """
    taught, aside = part(chips, seed=options.seed)
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
        chosen, found = _best_mixture(start, draft, len(taught), aside, options)
        write_model(out, read_weights(chosen), read_card(chosen) | _facts(start, chips, found))
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


def _best_mixture(
    start: Path, draft: Path, taught: int, aside: Sequence[ChipSource], options: AdaptOptions
) -> tuple[Path, Adapted]:
    before = _examine(start, aside, options)
    tried = []
    for share in SHARES:
        folder = mix(start, draft, share)
        after = _examine(folder, aside, options)
        tried.append((folder, Adapted(taught, len(aside), before, after, share)))
    best = max(tried, key=lambda one: (_is_better(one[1]), _gain(one[1], DAMAGED, BUILDINGS)))
    if not _is_better(best[1]):
        raise NoBetter(_how_it_did(best[1]))
    return best


def mix(start: Path, taught: Path, share: float) -> Path:
    """A model so much of the way from one to the other, beside the second."""
    if share == 1.0:
        return taught
    old, new = (load(read_weights(folder)) for folder in (start, taught))
    mixed = {
        name: old[name].float().lerp(value.float(), share) if value.is_floating_point() else value
        for name, value in new.items()
    }
    folder = taught.with_name(f"{taught.name}-{share}")
    write_model(folder, encode(mixed), read_card(taught))
    return folder


def _is_better(found: Adapted) -> bool:
    """At damage and buildings together, and no worse at damage, to which it was to adapt."""
    return _gain(found, DAMAGED) >= 0 and _gain(found, DAMAGED, BUILDINGS) > 0


def _gain(found: Adapted, *names: str) -> float:
    return sum(_value(found.after, name) - _value(found.before, name) for name in names)


def _how_it_did(found: Adapted) -> str:
    scores = (
        f"{name} {_value(found.before, name):.3f} to {_value(found.after, name):.3f}"
        for name in (DAMAGED, BUILDINGS)
    )
    return f"on {found.aside} chips kept aside, best of {len(SHARES)}: {', '.join(scores)}"


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
            "share": found.share,
            **{
                name: [round(_value(one, name), 4) for one in (found.before, found.after)]
                for name in (DAMAGED, BUILDINGS)
            },
        },
    }
