"""The commands that teach and judge models, and ``synthesize``, which makes towns for both."""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Never

from tqdm import tqdm

from detection.backends import ENGINES, choose_engine
from detection.errors import BadLabels, EngineUnavailable
from detection.labels.masks import read_masks
from detection.labels.vectors import read_outlined
from detection.labels.xbd import read_xbd, with_before
from detection.planning import PROFILES, DetectionOptions
from detection.synthetic import USUAL_DAMAGE, SceneFile, TownScene, render_chip, write_scene
from detection.training.chips import (
    Chip,
    ChipSource,
    LazyChip,
    at_pixel_size,
    cached,
    stored_chips,
)
from detection.weights import (
    DEFAULT_MODEL,
    DEFAULT_PAIR_MODEL,
    find_model,
    read_card,
    read_spec,
    write_card,
)

if TYPE_CHECKING:
    from detection.training.evaluate import Evaluation

PIXEL_SIZE_M = 0.46
CHOOSE = "choose"
Photographs = Literal["coco", "imagenet"]
PHOTOGRAPHS: dict[str, Photographs] = {"coco": "coco", "imagenet": "imagenet"}


def add_arguments(name: str, parser: argparse.ArgumentParser) -> None:
    """Say what one of the commands takes."""
    {
        "train": _add_train,
        "adapt": _add_adapt,
        "calibrate": _add_calibrate,
        "evaluate": _add_evaluate,
        "synthesize": _add_synthesize,
    }[name](parser)


def run(args: argparse.Namespace) -> int:
    """Run the command that was parsed; 0 if it went well."""
    act: Callable[[argparse.Namespace], None] = args.act
    act(args)
    return 0


def _add_labels(parser: argparse.ArgumentParser) -> None:
    labels = parser.add_argument_group("labelled images; each may be given several times")
    labels.add_argument("--xbd", type=Path, action="append", default=[], metavar="FOLDER")
    labels.add_argument("--masks", type=Path, action="append", default=[], metavar="FOLDER")
    labels.add_argument("--outlines", type=Path, action="append", default=[], metavar="FOLDER")
    labels.add_argument("--chips", type=Path, action="append", default=[], metavar="FOLDER")
    parser.add_argument("--split", help="only xBD scenes that manifest.csv puts in this split")
    parser.add_argument(
        "--mask-pixel-size", type=float, default=0.5, metavar="METRES", help="of --masks (0.5)"
    )


def _labelled(
    args: argparse.Namespace, pixel_size_m: float, *, pairs: bool = False
) -> list[ChipSource]:
    """Every chip that was asked for, in its own pixel size but for outlines over GeoTIFFs.

    With ``pairs``, those of images taken after a disaster have the image before as well.
    """
    found: list[ChipSource] = []
    for folder in args.xbd:
        scenes = read_xbd(folder, split=args.split)
        found += with_before(folder, scenes) if pairs else scenes
    for folder in args.masks:
        scenes = read_masks(folder, pixel_size_m=args.mask_pixel_size)
        after = [scene for scene in scenes if scene.name.endswith("_post_disaster")]
        other = [scene for scene in scenes if scene not in after]
        found += [*with_before(folder, after), *other] if pairs else scenes
    for folder in args.outlines:
        found += read_outlined(folder, pixel_size_m=pixel_size_m)
    for folder in args.chips:
        found += stored_chips(folder)
    return found


def _add_train(parser: argparse.ArgumentParser) -> None:
    _add_labels(parser)
    parser.add_argument("--out", type=Path, required=True, help="the model folder to write")
    parser.add_argument("--name", default=DEFAULT_MODEL)
    parser.add_argument("--version", default=datetime.now(UTC).strftime("%Y.%m.%d"))
    parser.add_argument("--before", action="store_true", help="xBD images from before as well")
    parser.add_argument(
        "--pairs",
        action="store_true",
        help="teach a model that compares an image before with the one after; it learns from "
        "images after alone as well",
    )
    parser.add_argument(
        "--after-too",
        type=Path,
        metavar="FOLDER",
        help="with --pairs: write here what the model is without images before",
    )
    parser.add_argument("--synthetic", type=int, default=0, metavar="N", help="N made-up chips")
    parser.add_argument(
        "--start",
        help="model to begin with; 'imagenet' or 'coco' for torchvision's weights, or a "
        "safetensors or npz file of them or of Detectron2's; from nothing unless given",
    )
    parser.add_argument("--steps", type=int, default=6000)
    parser.add_argument("--minutes", type=float, default=0.0, help="stop by then; 0: by steps only")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--learning-rate", type=float, default=8e-4)
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    _add_backend(parser)
    parser.add_argument("--pixel-size", type=float, default=PIXEL_SIZE_M, metavar="METRES")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cache", type=Path, help="folder for decoded chips; makes steps faster")
    parser.set_defaults(act=_train, refuse=parser.error)


def _add_backend(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--backend", choices=list(ENGINES), help="the engine; UNOSAT_DETECTOR unless given"
    )


def _train(args: argparse.Namespace) -> None:
    import torch

    from detection.training.train import Serving, TrainOptions, write_alone

    if args.after_too and not args.pairs:
        args.refuse("--after-too needs --pairs")
    train = _trainer(args.backend)
    drawn = _labelled(args, args.pixel_size, pairs=args.pairs)
    if args.before:
        for folder in args.xbd:
            drawn += read_xbd(folder, when="pre", split=args.split)
    made = [_made_up(args.seed * 1_000_000 + k, args.pixel_size) for k in range(args.synthetic)]
    diet = [
        Serving(_prepared(chips, args), weight)
        for chips, weight in ((drawn, 1.0), (made, 0.3 if drawn else 1.0))
        if chips
    ]
    cuda = torch.cuda.is_available() if args.device == "auto" else args.device == "cuda"
    options = TrainOptions(
        steps=args.steps,
        minutes=args.minutes,
        batch=args.batch,
        learning_rate=args.learning_rate,
        device="cuda" if cuda else "cpu",
        pixel_size_m=args.pixel_size,
        seed=args.seed,
        pairs=args.pairs,
    )
    start = _start(args.start)
    with tqdm(total=args.steps, unit="step", disable=None) as bar:

        def show(step: int, steps: int, loss: float) -> None:
            bar.total = steps
            bar.set_postfix(loss=f"{loss:.2f}", refresh=False)
            bar.update(step - bar.n)

        label = f"{args.name}@{args.version}"
        train(diet, options, args.out, label=label, start=start, on_step=show)
    _tell_data(args.out, drawn + made)
    if args.after_too:
        write_alone(args.out, args.after_too, label=f"{DEFAULT_MODEL}@{args.version}")


def _trainer(backend: str | None) -> Callable[..., Path]:
    """What trains: ``train`` of ``detection.training.train``, or its equal in Detectron2.

    Raises:
        EngineUnavailable: it is not installed.
    """
    if choose_engine(backend) == "torchvision":
        from detection.training.train import train

        return train
    try:
        from detection.training import detectron2
    except ImportError as error:
        raise EngineUnavailable(f"detectron2 is not installed: {error}") from error
    return detectron2.train


def _start(name: str | None) -> Path | Photographs | None:
    if name is None:
        return None
    if name in PHOTOGRAPHS:
        return PHOTOGRAPHS[name]
    from detection.training.pretrained import is_weights_file

    return Path(name) if is_weights_file(Path(name)) else find_model(name)


def _made_up(seed: int, pixel_size_m: float) -> ChipSource:
    name = f"synthetic-{seed}"

    def make() -> Chip:
        return render_chip(seed, pixel_size_m=pixel_size_m)

    return LazyChip(name, "synthetic", name, make)


def _prepared(chips: list[ChipSource], args: argparse.Namespace) -> list[ChipSource]:
    sized = at_pixel_size(chips, args.pixel_size)
    if not args.cache:
        return sized
    return list(cached(sized, args.cache / f"{args.pixel_size:g}m"))


def _tell_data(folder: Path, chips: list[ChipSource]) -> None:
    """Say in a model's card what it learned from: images per event."""
    counts = Counter(chip.event for chip in chips)
    data = {event: f"{count} images" for event, count in sorted(counts.items())}
    write_card(folder, read_card(folder) | {"data": data})


def _add_adapt(parser: argparse.ArgumentParser) -> None:
    _add_labels(parser)
    parser.add_argument("--model", default=DEFAULT_PAIR_MODEL, help="folder, or a shipped one")
    parser.add_argument("--out", type=Path, required=True, help="the model folder to write")
    parser.add_argument("--event", help="only chips of this event")
    parser.add_argument("--minutes", type=float, default=3.5, help="of teaching (3.5)")
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    parser.add_argument("--seed", type=int, default=0)
    parser.set_defaults(act=_adapt)


def _adapt(args: argparse.Namespace) -> None:
    from detection.backends import choose_device
    from detection.training.adapt import AdaptOptions, adapt
    from detection.training.report import to_table

    folder = find_model(args.model)
    spec = read_spec(folder)
    chips = _labelled(args, spec.pixel_size_m, pairs=spec.input_kind == "before_after")
    chips = [chip for chip in chips if args.event in (None, chip.event)]
    if not chips:
        raise BadLabels(f"no chips of {args.event}")
    options = AdaptOptions(minutes=args.minutes, seed=args.seed, device=choose_device(args.device))
    with tqdm(total=options.steps, unit="step", disable=None, leave=False) as bar:
        found = adapt(
            folder,
            chips,
            args.out,
            label=f"{spec.name}@{spec.version}+{chips[0].event}",
            options=options,
            on_step=lambda step, _steps, _loss: _advance(bar, step),
        )
    print(
        f"{found.taught} chips taught, {found.share:.0%} of the new weights taken; "
        f"on {found.aside} kept aside, before and after:"
    )
    print(to_table(found.before), to_table(found.after), sep="\n\n")


def _add_evaluate(parser: argparse.ArgumentParser) -> None:
    _add_labels(parser)
    parser.add_argument("--model", default=DEFAULT_MODEL, help="model folder, or a shipped one")
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    _add_backend(parser)
    parser.add_argument(
        "--operating-score",
        type=_operating_score,
        help="0 to 1, or 'choose' to take the one of the highest building F1 on these scenes; "
        "the model's own unless given",
    )
    parser.add_argument("--profile", choices=PROFILES, default="normal", help="as of detect")
    parser.add_argument(
        "--against", metavar="MODEL", help="score this one too and say what differs, with intervals"
    )
    parser.add_argument("--json", type=Path, help="write the scores here")
    parser.add_argument("--page", type=Path, help="draw the scores here, as PNG")
    either = parser.add_mutually_exclusive_group()
    either.add_argument(
        "--outlines-given",
        action="store_true",
        help="give the model the drawn outlines and score its grades alone",
    )
    either.add_argument(
        "--update-card", metavar="WORDS", help="put the scores into the model's card, as on WORDS"
    )
    parser.set_defaults(act=_evaluate, refuse=parser.error)


def _evaluate(args: argparse.Namespace) -> None:
    from detection.training.report import (
        draw_page,
        to_difference,
        to_json,
        to_table,
        update_card,
    )

    if args.update_card and args.profile != "normal":
        args.refuse("a card holds the scores of the normal profile")
    folder = find_model(args.model)
    found = _scored(args, folder)
    print(to_table(found))
    if args.against:
        print("", to_difference(found, _scored(args, find_model(args.against))), sep="\n")
    if args.json:
        args.json.write_text(json.dumps(to_json(found), indent=2) + "\n", encoding="utf-8")
    if args.page:
        draw_page(found, args.page)
    if args.update_card:
        update_card(folder, found, data=args.update_card)


def _scored(args: argparse.Namespace, folder: Path) -> "Evaluation":
    from detection.backends import load_detector
    from detection.training.evaluate import evaluate

    spec = read_spec(folder)
    scenes = _labelled(args, spec.pixel_size_m, pairs=spec.input_kind == "before_after")
    detector = load_detector(folder, device=args.device, engine=args.backend)
    with tqdm(total=len(scenes), unit="scene", disable=None, leave=False) as bar:
        return evaluate(
            detector,
            scenes,
            operating_score=args.operating_score,
            outlines_given=args.outlines_given,
            options=DetectionOptions(profile=args.profile),
            on_scene=lambda done, _: _advance(bar, done),
        )


def _add_calibrate(parser: argparse.ArgumentParser) -> None:
    _add_labels(parser)
    parser.add_argument("--model", type=Path, required=True, help="model folder; its card changes")
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    _add_backend(parser)
    parser.add_argument(
        "--fitted-on",
        metavar="WORDS",
        help="what the labelled images are, for the card; the names of their folders unless given",
    )
    parser.add_argument(
        "--lean",
        type=_share,
        help="which grade is reported: 1 the likeliest, 0 the one that the network favours, which "
        "learned that missing a rare grade costs more (0.5)",
    )
    parser.set_defaults(act=_calibrate)


def _calibrate(args: argparse.Namespace) -> None:
    from detection.backends import load_detector
    from detection.training.calibrate import LEAN, calibrate
    from detection.training.report import to_calibration, write_calibration

    folder = find_model(args.model)
    spec = read_spec(folder)
    scenes = _labelled(args, spec.pixel_size_m, pairs=spec.input_kind == "before_after")
    detector = load_detector(folder, device=args.device, engine=args.backend)
    with tqdm(total=len(scenes), unit="scene", disable=None, leave=False) as bar:
        found = calibrate(
            detector,
            scenes,
            lean=LEAN if args.lean is None else args.lean,
            on_scene=lambda done, _: _advance(bar, done),
        )
    print(to_calibration(spec.label, found))
    write_calibration(folder, found, fitted_on=args.fitted_on or _names(args))
    print(
        "The card has the calibration; its old scores are gone: run evaluate --update-card.",
        file=sys.stderr,
    )


def _names(args: argparse.Namespace) -> str:
    """The labelled folders that were asked for, in a few words."""
    folders = [*args.xbd, *args.masks, *args.outlines, *args.chips]
    names = ", ".join("/".join(folder.resolve().parts[-2:]) for folder in folders)
    return f"{names} ({args.split})" if args.split else names


def _operating_score(words: str) -> float:
    return -1.0 if words == CHOOSE else _share(words)


def _share(words: str) -> float:
    share = float(words)
    if not 0 <= share <= 1:
        raise argparse.ArgumentTypeError(f"{words} is not between 0 and 1")
    return share


def _advance(bar: "tqdm[Never]", done: int) -> None:
    bar.update(done - bar.n)


@dataclass(frozen=True, slots=True)
class _Size:
    width: int
    height: int


def _size(text: str) -> _Size:
    width, _, height = text.partition("x")
    return _Size(int(width), int(height or width))


def _add_synthesize(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("image", type=Path, metavar="SCENE.tif", help="GeoTIFF to write")
    parser.add_argument("--truth", type=Path, help="GeoJSON to write; SCENE_truth.geojson if not")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--size", type=_size, default=_Size(4096, 4096), metavar="WIDTHxHEIGHT")
    parser.add_argument("--pixel-size", type=float, default=0.5, metavar="METRES")
    parser.add_argument("--crs", default=SceneFile(1, 1).crs, help="in metres")
    parser.add_argument("--origin", type=float, nargs=2, default=SceneFile(1, 1).origin)
    parser.add_argument(
        "--damage",
        type=float,
        nargs=4,
        default=USUAL_DAMAGE,
        metavar=("NONE", "MINOR", "MAJOR", "DESTROYED"),
        help="how often each grade occurs",
    )
    parser.set_defaults(act=_synthesize, refuse=parser.error)


def _synthesize(args: argparse.Namespace) -> None:
    if min(args.damage) < 0 or not any(args.damage):
        args.refuse("--damage needs four numbers from 0, not all of them 0")
    truth = args.truth or args.image.with_name(f"{args.image.stem}_truth.geojson")
    scene = TownScene(args.seed, args.pixel_size, tuple(args.damage))
    place = SceneFile(args.size.width, args.size.height, args.crs, tuple(args.origin))
    with tqdm(unit="tile", disable=None, leave=False) as bar:

        def show(done: int, total: int) -> None:
            bar.total = total
            _advance(bar, done)

        count = write_scene(args.image, truth, scene, place, show)
    print(f"{count} buildings in {args.image.name}", file=sys.stderr)
