"""How much a few corrected chips of a new event help: damaged-building F1 by number of chips.

    python -m benchmarks.adaptation --model FOLDER --event hurricane-michael \
        --chips ../shared/data/xbd/train --examined ../shared/data/xbd/val [--card unosat-pair]

The model must never have seen the event; its peer is itself, not adapted. Both folders are in the
xBD layout, and no cluster of the ground is in both. A chip is one scene of 1024 px.
"""

import argparse
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from detection.backends import choose_device, load_detector
from detection.errors import NoBetter
from detection.labels.xbd import read_xbd, with_before
from detection.training.adapt import AdaptOptions, adapt
from detection.training.chips import ChipSource
from detection.training.evaluate import ALL, Evaluation, evaluate
from detection.training.metrics import Score, differences
from detection.training.report import CURVE_PICTURE, write_card_page
from detection.weights import find_model, read_card, read_spec, write_card

COUNTS = (5, 10, 20, 50)


@dataclass(frozen=True, slots=True)
class Step:
    """One adaptation, as the card keeps it.

    Attributes:
        chips: how many were given, those kept aside included.
        buildings: drawn on them.
        minutes: it took, from start to end.
        refused: it was no better on what it kept aside: the model stays as it was.
        damaged_f1: value, and the ends of its 90 % interval, where nothing was taught.
        gain: of damaged F1 over the model as it was, and its interval (paired).
        building_f1: the same scenes.
    """

    chips: int
    buildings: int
    minutes: float
    refused: bool
    damaged_f1: list[float | None]
    gain: list[float | None]
    building_f1: float | None


def main(arguments: list[str] | None = None) -> None:
    """Print a row for each number of chips, and keep them in a card if one is named."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.adaptation")
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--event", required=True)
    parser.add_argument("--chips", type=Path, required=True)
    parser.add_argument("--examined", type=Path, required=True)
    parser.add_argument("--counts", type=int, nargs="+", default=COUNTS)
    parser.add_argument("--minutes", type=float, default=AdaptOptions().minutes)
    parser.add_argument("--learning-rate", type=float, default=AdaptOptions().learning_rate)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--card", help="a model whose card is to hold the curve")
    args = parser.parse_args(arguments)
    chips, examined = (_scenes(folder, args.event) for folder in (args.chips, args.examined))
    before = _score(args.model, examined)
    steps = [_unadapted(before)]
    print(_row(steps[0]), flush=True)
    order = np.random.default_rng(args.seed).permutation(len(chips))
    for count in args.counts:
        few = [chips[number] for number in order[:count]]
        steps.append(_adapted(args, few, examined, before))
        print(_row(steps[-1]), flush=True)
    if args.card:
        _keep(find_model(args.card), args, steps)


def _unadapted(before: Evaluation) -> Step:
    return Step(
        chips=0,
        buildings=0,
        minutes=0.0,
        refused=False,
        damaged_f1=_numbers(_damaged(before)),
        gain=[0.0, None, None],
        building_f1=_f1(before),
    )


def _scenes(folder: Path, event: str) -> list[ChipSource]:
    return with_before(folder, [one for one in read_xbd(folder) if one.event == event])


def _score(model: Path, scenes: list[ChipSource]) -> Evaluation:
    return evaluate(load_detector(model, device="auto"), scenes)


def _adapted(
    args: argparse.Namespace, few: list[ChipSource], examined: list[ChipSource], before: Evaluation
) -> Step:
    options = AdaptOptions(
        minutes=args.minutes,
        learning_rate=args.learning_rate,
        seed=args.seed,
        device=choose_device("auto"),
    )
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        out, refused = Path(folder) / "adapted", False
        try:
            adapt(args.model, few, out, label="adapted@1", options=options)
        except NoBetter as error:
            print(f"  {error}")
            refused = True
        minutes = (time.monotonic() - begun) / 60
        after = before if refused else _score(out, examined)
    gain = differences(after.counts, before.counts)["damaged_f1"]
    buildings = sum(int((chip.load().grades >= 0).sum()) for chip in few)
    return Step(
        len(few),
        buildings,
        round(minutes, 1),
        refused,
        _numbers(_damaged(after)),
        _numbers(gain),
        _f1(after),
    )


def _damaged(evaluation: Evaluation) -> Score:
    return evaluation.reports[ALL].scores["damaged_f1"]


def _f1(evaluation: Evaluation) -> float | None:
    return _numbers(evaluation.reports[ALL].scores["building_f1"])[0]


def _numbers(score: Score) -> list[float | None]:
    found = (score.value, score.low, score.high)
    return [None if number is None else round(number, 3) for number in found]


def _row(step: Step) -> str:
    what = "refused" if step.refused else f"gain {step.gain}"
    return (
        f"{step.chips} chips ({step.buildings} buildings), {step.minutes} minutes: "
        f"damaged F1 {step.damaged_f1}, {what}; building F1 {step.building_f1}"
    )


def _keep(folder: Path, args: argparse.Namespace, steps: list[Step]) -> None:
    curve: dict[str, Any] = {
        "event": args.event,
        "model": read_spec(args.model).label,
        "steps": [asdict(step) for step in steps],
    }
    write_card(folder, read_card(folder) | {"adaptation_curve": curve})
    _draw(curve, steps, folder / CURVE_PICTURE)
    write_card_page(folder)


def _draw(curve: dict[str, Any], steps: list[Step], path: Path) -> None:
    figure = Figure(figsize=(6, 3.6), layout="constrained")
    axes = figure.subplots()
    values = [step.damaged_f1[0] or 0.0 for step in steps]
    lows, highs = ([step.damaged_f1[n] or 0.0 for step in steps] for n in (1, 2))
    places = [step.chips for step in steps]
    axes.fill_between(places, lows, highs, alpha=0.2, linewidth=0)
    axes.plot(places, values, "o-")
    axes.set(xlabel="corrected chips of the event", ylabel="damaged F1", ylim=(0, 1))
    axes.set_title(f"{curve['model']}, taught {curve['event']} (90 % interval)", fontsize=9)
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=100)


if __name__ == "__main__":
    main()
