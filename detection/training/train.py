"""Teach the network: from nothing, or from a model that knows something already."""

import math
import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save
from torch import Tensor, nn

from detection.backends.rcnn import RGB, Architecture, DamageRCNN, Target, alone, comparing
from detection.backends.torchvision import cpu_has_bfloat16, load_network
from detection.errors import BadLabels
from detection.grades import MODEL_GRADES
from detection.training.augment import Augmentation, random_view
from detection.training.chips import Chip, ChipSource
from detection.training.pretrained import Known, is_weights_file, network_from, taught_by
from detection.weights import read_card, read_spec, write_model

OnStep = Callable[[int, int, float], None]  # steps done, steps in all, loss; may raise Cancelled
LICENCE = "CC-BY-NC-SA-4.0"
MAX_GRADIENT = 5.0
NOT_IN_CARD = {"device", "architecture"}  # the first is of no interest, the second beside it


@dataclass(frozen=True, slots=True)
class Serving:
    """Chips and how often they come up.

    Attributes:
        chips: at least one.
        weight: share of the crops taken from here, relative to the other servings.
    """

    chips: Sequence[ChipSource]
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class TrainOptions:
    """How to teach; stored in the model card.

    Attributes:
        steps: optimiser steps, unless ``minutes`` run out first.
        minutes: wall-clock limit; the learning rate falls to nothing by then. 0 is no limit.
        batch: crops a step.
        crop_px: side of a crop, in pixels.
        learning_rate: at its peak.
        warmup: steps until the peak.
        weight_decay: AdamW's.
        ema: of the weights that are kept, in [0, 1).
        keep_early: leave the backbone's stem and first stage as they are.
        fine_tune: leave all normalisation as it is, too.
        heads_only: learn in the heads alone; the backbone with its pyramid stays as it is, which
            is quick, and few chips cannot spoil it.
        backbone_rate: learning rate of the backbone, relative to the rest; what was learned from
            many images is not to be overwritten by few.
        grade_weight: how much a building of each grade counts.
        augmentation: how far the views stray.
        seed: of everything random.
        device: "cpu" or "cuda".
        pixel_size_m: what one pixel of the chips is on the ground, in metres.
        architecture: what to build when starting from nothing.
        pairs: teach the network to compare with images before, if it cannot yet.
        snapshot_every: steps between writing the model so far; 0 writes it once, at the end.
    """

    steps: int
    minutes: float = 0.0
    batch: int = 4
    crop_px: int = 384
    learning_rate: float = 8e-4
    warmup: int = 150
    weight_decay: float = 0.05
    ema: float = 0.998
    keep_early: bool = False
    fine_tune: bool = False
    heads_only: bool = False
    backbone_rate: float = 1.0
    grade_weight: tuple[float, ...] = (0.5, 1.0, 1.5, 1.0)
    augmentation: Augmentation = field(default_factory=Augmentation)
    seed: int = 0
    device: str = "cpu"
    pixel_size_m: float = 0.46
    architecture: Architecture = field(default_factory=Architecture)
    pairs: bool = False
    snapshot_every: int = 0


def train(
    diet: Sequence[Serving],
    options: TrainOptions,
    out: Path,
    *,
    label: str,
    start: Path | Known | None = None,
    on_step: OnStep | None = None,
) -> Path:
    """Train a model and write it to the folder ``out``.

    Args:
        diet: what to learn from.
        options: how.
        out: the model folder to write.
        label: ``name@version`` of the model.
        start: a model folder to begin with, or what photographs taught: "coco" or "imagenet"
            fetches it, a file holds it (see ``pretrained``); from random weights if None.
        on_step: hears of every step.

    Returns:
        ``out``.

    Raises:
        BadLabels: there is nothing to learn from.
        ModelUnavailable: ``start`` cannot be loaded.
        Cancelled: raised by ``on_step``, passed on; nothing is written then.
    """
    if not any(serving.chips for serving in diet):
        raise BadLabels("no chips to learn from")
    torch.manual_seed(options.seed)
    network = begin(options, start)
    network.to(options.device).to(memory_format=torch.channels_last)
    card = new_card(network.arch, options, label, start)
    school = _School(network, options)
    began = time.monotonic()
    for step, batch in enumerate(batches(diet, options), start=1):
        spent = (time.monotonic() - began) / 60
        loss = school.step(batch, progress(step, spent, options))
        last = step >= options.steps or 0 < options.minutes <= spent
        if on_step:
            on_step(step, options.steps, loss)
        if last or (options.snapshot_every and step % options.snapshot_every == 0):
            done = {"steps": step, "minutes": round(spent, 1)}
            write_model(out, encode(school.average.state), card | {"training_done": done})
        if last:
            break
    return out


def heritage(start: Path) -> dict[str, Any]:
    """What the card of a model says that stays true when it is taught a little more."""
    parent = read_card(start)
    kept: dict[str, Any] = {
        key: parent[key]
        for key in ("operating_score", "licence", "tile_px", "not_for", "limits", "training_data")
        if key in parent
    }
    if "calibration" in parent:  # the threshold is one of calibrated scores: they go together
        kept["calibration"] = parent["calibration"] | {"inherited_from": read_spec(start).label}
    return kept


def minded_most(start: Path) -> dict[str, Any]:
    """What a model was taught to mind most, as options; other weights would shift its grades."""
    taught = read_card(start).get("training", {})
    kept = taught.get("grade_weight") if isinstance(taught, dict) else None
    return {"grade_weight": tuple(kept)} if kept else {}


def write_alone(pairs: Path, out: Path, *, label: str) -> Path:
    """Write what a model of pairs is without images before: a model of its own.

    It saw images after alone in training too (``Augmentation.before_share``), and keeps no part
    that compares.

    Args:
        pairs: the folder of the model of pairs.
        out: the model folder to write.
        label: ``name@version`` of the new model.

    Raises:
        ModelUnavailable: ``pairs`` cannot be loaded.
    """
    network = alone(load_network(pairs))
    name, _, version = label.partition("@")
    card = read_card(pairs) | {
        "name": name,
        "version": version,
        "input_kind": "after",
        "architecture": network.arch.to_json(),
    }
    for of_pairs in ("scores", "calibration"):
        card.pop(of_pairs, None)
    write_model(out, encode(network.state_dict()), card)
    return out


def begin(options: TrainOptions, start: Path | Known | None) -> DamageRCNN:
    """The network before its first step; see ``train``."""
    if start is None:
        network = DamageRCNN(options.architecture)
    elif isinstance(start, str) or is_weights_file(start):
        network = network_from(start)
    else:
        network = load_network(start)
    return comparing(network) if options.pairs else network


def encode(state: dict[str, Tensor]) -> bytes:
    """Weights as safetensors: half precision, but normalisation in full."""
    tensors = {}
    for name, value in state.items():
        halve = value.is_floating_point() and value.dim() > 1
        tensors[name] = (value.half() if halve else value).cpu().contiguous()
    return save(tensors)


class _School:
    """Network, optimiser and the running average that is kept."""

    def __init__(self, network: DamageRCNN, options: TrainOptions) -> None:
        self._network = network.train()
        self._options = options
        if options.fine_tune or options.keep_early:
            _freeze_early(network)
        if options.fine_tune or options.heads_only:
            _freeze_normalisation(network)
        if options.heads_only:
            network.backbone.requires_grad_(False)  # noqa: FBT003 - torch's own signature
        self._optimiser = optimiser(network, options, backbone="backbone.body.")
        self.average = RunningAverage(network, options.ema)
        self._weight = torch.tensor(options.grade_weight, device=options.device)

    def step(self, chips: list[Chip], rate: float) -> float:
        """Learn from one batch at ``rate`` times the peak learning rate; returns the loss."""
        device = self._options.device
        set_rate(self._optimiser, self._options.learning_rate * rate)
        images = torch.from_numpy(stacked(chips, pairs=self._network.arch.sees_before))
        targets = [to_target(chip, device) for chip in chips]
        with half_precision(device):
            losses = self._network(images.float().to(device), targets, self._weight)
        total = torch.stack(list(losses.values())).sum()
        self._optimiser.zero_grad(set_to_none=True)
        if not torch.isfinite(total):
            return float("nan")  # a broken batch teaches nothing; its loss shows in the log
        total.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self._network.parameters(), MAX_GRADIENT)
        self._optimiser.step()
        self.average.follow(self._network)
        return float(total.detach())


def stacked(chips: Sequence[Chip], *, pairs: bool) -> NDArray[np.uint8]:
    """The images of a batch, shape (B, C, H, W); C is 6 for ``pairs``, before first, else 3.

    A chip without an image before is black there, which shows nothing.
    """
    if not pairs:
        return np.stack([chip.image[-RGB:] for chip in chips])
    missing = [np.zeros((2 * RGB - len(c.image), *c.image.shape[1:]), np.uint8) for c in chips]
    return np.stack([np.concatenate([m, c.image]) for m, c in zip(missing, chips, strict=True)])


class RunningAverage:
    """Of a network's weights: less restless than the weights themselves.

    Attributes:
        state: the average so far, as a state dict.
    """

    def __init__(self, network: nn.Module, ema: float) -> None:
        self.state = {k: v.detach().clone() for k, v in network.state_dict().items()}
        self._ema = ema
        self._seen = 0

    def follow(self, network: nn.Module) -> None:
        """Take in the weights after one more step; the first steps count more."""
        self._seen += 1
        keep = min(self._ema, (1 + self._seen) / (10 + self._seen))
        for key, value in network.state_dict().items():
            if value.is_floating_point():
                self.state[key].lerp_(value.detach(), 1 - keep)
            else:
                self.state[key].copy_(value)


def half_precision(device: str) -> AbstractContextManager[Any]:
    """bfloat16 where the processor is made for it; elsewhere it would be slower than float32."""
    kind = torch.device(device).type
    fast = kind == "cuda" or cpu_has_bfloat16()
    return torch.autocast(kind, torch.bfloat16) if fast else nullcontext()


def to_target(chip: Chip, device: str) -> Target:
    """A chip's labels as the network wants them."""
    count = len(chip.grades)
    masks = chip.instances[None] == np.arange(1, count + 1)[:, None, None]
    boxes = np.zeros((count, 4), np.float32)
    for index, mask in enumerate(masks):
        rows, cols = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        boxes[index] = cols[0], rows[0], cols[-1] + 1, rows[-1] + 1
    return Target(
        boxes=torch.from_numpy(boxes).to(device),
        grades=torch.from_numpy(chip.grades.astype(np.int64)).to(device),
        masks=torch.from_numpy(masks.astype(np.uint8)).to(device),
        ignore=torch.from_numpy(np.ascontiguousarray(chip.ignore)).to(device),
    )


def optimiser(network: nn.Module, options: TrainOptions, *, backbone: str) -> torch.optim.AdamW:
    """AdamW over what learns; ``backbone`` is what the names of the backbone's weights begin with.

    What learns is grouped by how fast it learns and whether it is drawn towards nothing.
    """
    groups: list[dict[str, Any]] = []
    for inside, share in ((True, options.backbone_rate), (False, 1.0)):
        learning = [
            value
            for name, value in network.named_parameters()
            if value.requires_grad and name.startswith(backbone) == inside
        ]
        matrices = [value for value in learning if value.dim() > 1]
        vectors = [value for value in learning if value.dim() <= 1]
        groups += [
            {"params": matrices, "weight_decay": options.weight_decay, "share": share},
            {"params": vectors, "weight_decay": 0.0, "share": share},
        ]
    return torch.optim.AdamW(groups, lr=options.learning_rate, fused=True)


def set_rate(adam: torch.optim.Optimizer, rate: float) -> None:
    """Set the learning rate; the backbone's is its share of it."""
    for group in adam.param_groups:
        group["lr"] = rate * group["share"]


def _freeze_early(network: DamageRCNN) -> None:
    """Edges and corners look the same everywhere: keep the layers that see them as learned."""
    body = network.backbone.body
    for early in (body.conv1, body.bn1, body.layer1):
        early.requires_grad_(False).eval()  # noqa: FBT003 - torch's own signature


def _freeze_normalisation(network: DamageRCNN) -> None:
    """Fine-tuning sees too little to learn statistics anew."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
            module.requires_grad_(False)  # noqa: FBT003


def progress(step: int, minutes: float, options: TrainOptions) -> float:
    """Share of the peak learning rate: up in a line, down in a cosine over steps or time."""
    done = step / options.steps
    if options.minutes:
        done = max(done, minutes / options.minutes)
    up = min(1.0, step / max(1, options.warmup))
    return up * (0.02 + 0.98 * (1 + math.cos(math.pi * min(1.0, done))) / 2)


def batches(diet: Sequence[Serving], options: TrainOptions) -> Generator[list[Chip]]:
    """Endless batches, the next ones being cut while the network learns; the same every time."""
    with ThreadPoolExecutor(1) as pool:
        ahead = [pool.submit(_batch, diet, options, step) for step in range(3)]
        step = len(ahead)
        try:
            while True:
                yield ahead.pop(0).result()
                ahead.append(pool.submit(_batch, diet, options, step))
                step += 1
        finally:
            for waiting in ahead:
                waiting.cancel()


def _batch(diet: Sequence[Serving], options: TrainOptions, step: int) -> list[Chip]:
    rng = np.random.default_rng([options.seed, step])
    servings = [serving for serving in diet if serving.chips]
    weights = np.array([serving.weight for serving in servings], np.float64)
    chosen = rng.choice(len(servings), options.batch, p=weights / weights.sum())
    views = []
    for index in chosen:
        chips = servings[int(index)].chips
        chip = chips[int(rng.integers(len(chips)))].load()
        views.append(random_view(chip, options.crop_px, options.augmentation, rng))
    return views


def new_card(
    architecture: Architecture,
    options: TrainOptions,
    label: str,
    start: Path | Known | None,
) -> dict[str, Any]:
    """The card of a model that is about to be taught."""
    name, _, version = label.partition("@")
    return {
        "name": name,
        "version": version,
        "input_kind": "before_after" if architecture.sees_before else "after",
        "pixel_size_m": options.pixel_size_m,
        "tile_px": 1024,
        "operating_score": 0.5,
        "licence": LICENCE,
        "grades": [grade.value for grade in MODEL_GRADES],
        "architecture": architecture.to_json(),
        "training": {
            key: value for key, value in asdict(options).items() if key not in NOT_IN_CARD
        },
        "parent": _parent(start),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _parent(start: Path | Known | None) -> str | None:
    """What the model began with: the digest of a model, or whose photographs."""
    if start is None:
        return None
    if isinstance(start, str) or is_weights_file(start):
        return taught_by(start)
    return str(read_card(start)["sha256"])
