"""The command line: ``python -m detection detect AFTER.tif --output OUT.geojson``."""

import argparse
import logging
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Never

from tqdm import tqdm

from detection.areas import read_area
from detection.backends import ENGINES, load_detector
from detection.errors import DetectionError
from detection.outputs import check_output, describe, write_footprints
from detection.pipeline import DetectionOptions, DetectionResult, Progress, detect_scene
from detection.raster import BandOrder
from detection.weights import DEFAULT_MODEL, find_model

log = logging.getLogger(__name__)

REFUSED, INTERRUPTED = 1, 130
# What needs torch to teach a model is imported only when it is asked for.
TRAINING = {
    "train": "train a model from labelled images",
    "evaluate": "score a model on labelled images and write its card",
    "synthesize": "make town scenes with exact truth",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        The exit code: 0 done, 1 refused (with one plain sentence), 2 wrong usage, 130 stopped.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        args = _parser(arguments).parse_args(arguments)
        code: int = args.run(args)
    except DetectionError as error:
        log.info("%s: %s", error.code, error)
        print(error.user_message, file=sys.stderr)
        return REFUSED
    except KeyboardInterrupt:
        print("Stopped; nothing was written.", file=sys.stderr)
        return INTERRUPTED
    return code


def _parser(arguments: list[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m detection", description="Damaged-building footprints from satellite images."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND", dest="command")
    _add_detect(commands.add_parser("detect", help="find damaged buildings in an image"))
    for name, words in TRAINING.items():
        command = commands.add_parser(name, help=words)
        if arguments[:1] == [name]:
            training = import_module("detection.training.commands")
            training.add_arguments(name, command)
            command.set_defaults(run=training.run)
    return parser


def _add_detect(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("image", type=Path, metavar="AFTER.tif", help="GeoTIFF from after")
    parser.add_argument(
        "--output", type=Path, required=True, help="ends in .geojson, .gpkg, .fgb or .parquet"
    )
    parser.add_argument(
        "--model", default=DEFAULT_MODEL, help="model folder, or name of a shipped one"
    )
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    parser.add_argument(
        "--backend", choices=list(ENGINES), help="the engine; UNOSAT_DETECTOR unless given"
    )
    parser.add_argument(
        "--min-score", type=_score, help="0 to 1; the model's operating score unless given"
    )
    parser.add_argument("--area", type=Path, help="GeoJSON polygons to look inside")
    parser.add_argument(
        "--bands", help="such as RGB, BGRN, PAN or 5,3,2; the file's own unless given"
    )
    parser.set_defaults(run=_detect)


def _score(text: str) -> float:
    score = float(text)
    if not 0 <= score <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return score


def _detect(args: argparse.Namespace) -> int:
    check_output(args.output)
    options = DetectionOptions(
        min_score=args.min_score, bands=BandOrder.parse(args.bands) if args.bands else None
    )
    area = read_area(args.area) if args.area else None
    detector = load_detector(find_model(args.model), device=args.device, engine=args.backend)
    with _bar() as bar:
        result = detect_scene(args.image, detector, options, area=area, on_progress=_shown_on(bar))
    metadata = describe(result.plan, result.counts, time=datetime.now(UTC))
    write_footprints(args.output, result.footprints, metadata)
    _say(result, args.output)
    return 0


def _bar() -> "tqdm[Never]":
    return tqdm(unit="tile", disable=None, leave=False)  # None: silent in a pipe


def _shown_on(bar: "tqdm[Never]") -> Progress:
    def show(done: int, total: int) -> None:
        bar.total = total
        bar.update(done - bar.n)

    return show


def _say(result: DetectionResult, output: Path) -> None:
    missed = len(result.counts.not_analysed)
    warnings = list(result.plan.warnings)
    if missed:
        warnings.append(f"The file is damaged: {missed} of its tiles could not be analysed.")
    for sentence in warnings:
        print(f"Warning: {sentence}", file=sys.stderr)
    if sys.stderr.isatty():
        print(f"{len(result.footprints)} buildings in {output}", file=sys.stderr)
