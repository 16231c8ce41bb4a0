"""The command line: ``python -m detection detect AFTER.tif --output OUT.geojson``."""

import argparse
import logging
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Never

from tqdm import tqdm

from detection.areas import read_area
from detection.backends import ENGINES, load_detector
from detection.detector import Detector
from detection.errors import DetectionError, OutlinesWanted
from detection.explaining import explain
from detection.gaps import Gap, find_gaps
from detection.outputs import (
    GAPS_LAYER,
    check_output,
    describe,
    find_outline,
    gaps_path,
    omissions_path,
    write_footprints,
    write_omissions,
)
from detection.pipeline import (
    BeforeScene,
    DetectionOptions,
    DetectionResult,
    KnownOutlines,
    Progress,
    detect_scene,
    not_analysed,
)
from detection.planning import GRADE_MARGIN, PROFILES
from detection.raster import BandOrder
from detection.weights import DEFAULT_MODEL, DEFAULT_PAIR_MODEL, find_model

log = logging.getLogger(__name__)

REFUSED, INTERRUPTED = 1, 130
# What needs torch to teach a model is imported only when it is asked for.
TRAINING = {
    "train": "train a model from labelled images",
    "adapt": "teach a model's heads one event from a few corrected chips, in minutes",
    "calibrate": "find on labelled images what a model's scores are worth, into its card",
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
    _add_explain(commands.add_parser("explain", help="draw why a building got its grade"))
    for name, words in TRAINING.items():
        command = commands.add_parser(name, help=words)
        if arguments[:1] == [name]:
            training = import_module("detection.training.commands")
            training.add_arguments(name, command)
            command.set_defaults(run=training.run)
    return parser


def _add_explain(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("image", type=Path, metavar="AFTER.tif", help="GeoTIFF from after")
    parser.add_argument("found", type=Path, metavar="FOUND.geojson", help="what detect wrote")
    parser.add_argument("--id", required=True, help="of the building, in FOUND.geojson")
    parser.add_argument("--output", type=Path, required=True, metavar="PICTURE.png")
    _add_model(parser)
    parser.add_argument(
        "--bands", help="such as RGB, BGRN, PAN or 5,3,2; the file's own unless given"
    )
    parser.set_defaults(run=_explain)


def _add_detect(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("image", type=Path, metavar="AFTER.tif", help="GeoTIFF from after")
    parser.add_argument(
        "--output", type=Path, required=True, help="ends in .geojson, .gpkg, .fgb or .parquet"
    )
    _add_model(parser)
    parser.add_argument(
        "--min-score", type=_score, help="0 to 1; the model's operating score unless given"
    )
    parser.add_argument(
        "--profile",
        choices=PROFILES,
        default="normal",
        help="fast: half the work for each square kilometre, but small buildings are missed",
    )
    parser.add_argument(
        "--grade-margin",
        type=_score,
        default=GRADE_MARGIN,
        help="a building whose two likeliest grades lie nearer than this is unclassified "
        f"({GRADE_MARGIN}; 0: never)",
    )
    parser.add_argument("--area", type=Path, help="GeoJSON polygons to look inside")
    parser.add_argument(
        "--outlines",
        type=Path,
        metavar="FILE",
        help="building outlines to judge instead of looking for buildings: GeoJSON, GeoPackage, "
        "Shapefile, FlatGeobuf or GeoParquet",
    )
    parser.add_argument(
        "--also-detect", action="store_true", help="find buildings that are not in --outlines too"
    )
    parser.add_argument(
        "--move-outlines",
        action="store_true",
        help="write --outlines where the roofs were seen, not where they were drawn",
    )
    parser.add_argument(
        "--bands", help="such as RGB, BGRN, PAN or 5,3,2; the file's own unless given"
    )
    parser.set_defaults(run=_detect)


def _add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--before", type=Path, metavar="BEFORE.tif", help="GeoTIFF from before, to compare with"
    )
    parser.add_argument(
        "--model",
        help=f"model folder, or name of a shipped one; {DEFAULT_MODEL}, or {DEFAULT_PAIR_MODEL} "
        "with --before, unless given",
    )
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    parser.add_argument(
        "--backend", choices=list(ENGINES), help="the engine; UNOSAT_DETECTOR unless given"
    )


def _score(text: str) -> float:
    score = float(text)
    if not 0 <= score <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return score


def _detect(args: argparse.Namespace) -> int:
    check_output(args.output)
    options = DetectionOptions(
        min_score=args.min_score,
        bands=BandOrder.parse(args.bands) if args.bands else None,
        profile=args.profile,
        grade_margin=args.grade_margin,
    )
    area = read_area(args.area) if args.area else None
    detector = _detector(args)
    with _known(args) as outlines:
        with _bar() as bar:
            result = detect_scene(
                args.image,
                detector,
                options,
                area=area,
                outlines=outlines,
                before=BeforeScene(args.before) if args.before else None,
                on_progress=_shown_on(bar),
            )
        metadata = describe(result.plan, result.counts, time=datetime.now(UTC))
        if outlines:
            write_omissions(args.output, not_analysed(result.plan, result.counts, outlines.book))
        gaps = find_gaps(result.plan, result.counts)
        write_footprints(args.output, result.footprints, metadata, gaps)
    _say(result, args.output, gaps)
    return 0


def _detector(args: argparse.Namespace) -> Detector:
    model = args.model or (DEFAULT_PAIR_MODEL if args.before else DEFAULT_MODEL)
    return load_detector(find_model(model), device=args.device, engine=args.backend)


def _explain(args: argparse.Namespace) -> int:
    from detection.drawing import draw_explanation

    outline = find_outline(args.found, args.id)
    options = DetectionOptions(bands=BandOrder.parse(args.bands) if args.bands else None)
    before = BeforeScene(args.before) if args.before else None
    draw_explanation(
        explain(args.image, outline, _detector(args), options, before=before), args.output
    )
    return 0


@contextmanager
def _known(args: argparse.Namespace) -> Iterator[KnownOutlines | None]:
    """The known outlines that were asked for; what is written down of them vanishes at the end."""
    if args.outlines is None:
        if args.also_detect or args.move_outlines:
            raise OutlinesWanted("no --outlines")
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="outlines-") as folder:
        book = Path(folder) / "outlines.sqlite"
        yield KnownOutlines(args.outlines, book, args.also_detect, args.move_outlines)


def _bar() -> "tqdm[Never]":
    return tqdm(unit="tile", disable=None, leave=False)  # None: silent in a pipe


def _shown_on(bar: "tqdm[Never]") -> Progress:
    def show(done: int, total: int) -> None:
        bar.total = total
        bar.update(done - bar.n)

    return show


def _say(result: DetectionResult, output: Path, gaps: list[Gap]) -> None:
    missed = len(result.counts.not_analysed)
    warnings = list(result.plan.warnings)
    if missed:
        warnings.append(f"The file is damaged: {missed} of its tiles could not be analysed.")
    if gaps:
        beside = gaps_path(output)
        place = beside.name if beside else f"layer {GAPS_LAYER} of {output.name}"
        reasons = " and ".join(gap.reason for gap in gaps)
        warnings.append(f"Part of the image was not looked at ({reasons}): see {place}.")
    without = result.counts.without_before
    if without:
        warnings.append(
            f"The image before shows nothing of {without} of {result.counts.read} tiles; there the "
            "image after was judged alone."
        )
    warnings += _about_outlines(result, output)
    for sentence in warnings:
        print(f"Warning: {sentence}", file=sys.stderr)
    if sys.stderr.isatty():
        print(f"{len(result.footprints)} buildings in {output}", file=sys.stderr)


def _about_outlines(result: DetectionResult, output: Path) -> Iterator[str]:
    """What a person must know of the outlines that were given."""
    if result.plan.outlines is None:
        return
    given, judged = result.plan.outlines.contents.given, result.counts.outlines.judged
    if given > judged:
        yield (
            f"{given - judged} of {given} outlines were not analysed; "
            f"{omissions_path(output).name} lists them with the reason."
        )
    shifts = result.counts.outlines.shifts
    unmeasured = sum(not shift.measured for shift in shifts)
    if unmeasured:
        yield (
            f"In {unmeasured} of {len(shifts)} blocks it could not be told how far the outlines "
            "lie off the roofs; there they were judged where they were drawn."
        )
