"""Teach the network by Detectron2's own engine: its ``SimpleTrainer`` and hooks.

Everything else is as in ``train.py``: the same chips, options, ground that is ignored, grades that
may be unknown, running average, model folder; a model taught by either loads in both. Two
differences in detail: the mask head learns from all positive proposals instead of 20 an image, and
proposals are scored against a fixed number of samples an image. A loss that is not finite ends the
training, where ``train.py`` leaves the batch out.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import torch
from torch import nn

from detection.backends.d2_names import from_detectron2, to_detectron2
from detection.backends.d2_network import (
    BUILDING,
    DamageGeneralizedRCNN,
    Labels,
    PairBackbone,
    build_network,
)
from detection.backends.quiet import without_old_warnings
from detection.backends.rcnn import DamageRCNN, Losses
from detection.errors import BadLabels, Cancelled, TrainingDiverged
from detection.training.chips import Chip
from detection.training.pretrained import Known
from detection.training.train import (
    MAX_GRADIENT,
    OnStep,
    RunningAverage,
    Serving,
    TrainOptions,
    batches,
    begin,
    encode,
    half_precision,
    new_card,
    optimiser,
    progress,
    set_rate,
    stacked,
    to_target,
)
from detection.weights import write_model

with without_old_warnings():
    from detectron2.engine import HookBase, SimpleTrainer
    from detectron2.layers import FrozenBatchNorm2d
    from detectron2.structures import BitMasks, Boxes

BACKBONE = "network.backbone.bottom_up."
PAIR_BACKBONE = "network.backbone.single.bottom_up."
STEM_AND_FIRST_STAGE = 2  # as Detectron2 counts what is frozen


def train(
    diet: Sequence[Serving],
    options: TrainOptions,
    out: Path,
    *,
    label: str,
    start: Path | Known | None = None,
    on_step: OnStep | None = None,
) -> Path:
    """Train a model and write it to the folder ``out``; takes and does what ``train.train`` does.

    Raises:
        BadLabels: there is nothing to learn from.
        ModelUnavailable: ``start`` cannot be loaded.
        TrainingDiverged: the loss is no number any more; nothing more is written then.
        Cancelled: raised by ``on_step``, passed on; nothing is written then.
    """
    if not any(serving.chips for serving in diet):
        raise BadLabels("no chips to learn from")
    torch.manual_seed(options.seed)
    first = begin(options, start)
    learner = _Learner(first, options)
    card = new_card(first.arch, options, label, start) | {"engine": "detectron2"}
    average = RunningAverage(learner.network, options.ema)

    def write(step: int, minutes: float) -> None:
        done = {"steps": step, "minutes": round(minutes, 1)}
        weights = encode(from_detectron2(average.state, first.arch))
        write_model(out, weights, card | {"training_done": done})

    with closing(batches(diet, options)) as chips, without_old_warnings():
        backbone = PAIR_BACKBONE if first.arch.sees_before else BACKBONE
        adam = optimiser(learner, options, backbone=backbone)
        trainer = SimpleTrainer(learner, chips, adam)
        trainer.register_hooks([_Averaging(average), _Pace(options, write, on_step)])
        _run(trainer, options.steps)
    return out


def _run(trainer: SimpleTrainer, steps: int) -> None:
    try:
        trainer.train(0, steps)
    except _Ended as ended:
        if ended.why:
            raise ended.why from None
    except FloatingPointError as error:
        raise TrainingDiverged(str(error)) from error


class _Learner(nn.Module):
    """What the engine trains: chips in, losses out."""

    def __init__(self, first: DamageRCNN, options: TrainOptions) -> None:
        super().__init__()
        self._device = options.device
        self._pairs = first.arch.sees_before
        self.network: DamageGeneralizedRCNN = build_network(first.arch, options.device)
        self.network.load_state_dict(to_detectron2(first.state_dict(), first.arch))
        self.network.to(memory_format=torch.channels_last)
        weight = torch.tensor(options.grade_weight, device=options.device)
        self.network.roi_heads.box_predictor.grade_weight = weight
        if options.fine_tune or options.keep_early:
            self.network.backbone.bottom_up.freeze(STEM_AND_FIRST_STAGE)
        if options.fine_tune or options.heads_only:
            FrozenBatchNorm2d.convert_frozen_batchnorm(self.network)
        if options.heads_only:
            backbone: nn.Module = self.network.backbone
            pyramid = backbone.single if isinstance(backbone, PairBackbone) else backbone
            pyramid.requires_grad_(False)  # noqa: FBT003 - torch's own signature

    def forward(self, chips: list[Chip]) -> Losses:
        """Losses of one batch."""
        batch = [
            {"image": torch.from_numpy(image).float(), "instances": to_labels(chip)}
            for image, chip in zip(stacked(chips, pairs=self._pairs), chips, strict=True)
        ]
        with half_precision(self._device):
            losses: Losses = self.network(batch)
        return losses


def to_labels(chip: Chip) -> Labels:
    """A chip's labels as Detectron2 wants them; the model moves them to its device."""
    target = to_target(chip, "cpu")
    return Labels(
        target.ignore,
        gt_boxes=Boxes(target.boxes),
        gt_classes=torch.full_like(target.grades, BUILDING),
        gt_grades=target.grades,
        gt_masks=BitMasks(target.masks),
    )


class _Ended(BaseException):
    """Ends a training before its last step; an ``Exception`` would be logged as a failure."""

    def __init__(self, why: Cancelled | None = None) -> None:
        super().__init__()
        self.why = why


class _Averaging(HookBase):  # type: ignore[misc]
    """Bounds the gradient before a step, and takes the weights into the average after it."""

    def __init__(self, average: RunningAverage) -> None:
        self._average = average

    def after_backward(self) -> None:
        """No batch moves the weights far."""
        nn.utils.clip_grad_norm_(self.trainer.model.parameters(), MAX_GRADIENT)

    def after_step(self) -> None:
        """The average follows."""
        self._average.follow(self.trainer.model.network)


class _Pace(HookBase):  # type: ignore[misc]
    """Sets the learning rate, tells of every step, writes the model, and ends in time."""

    def __init__(
        self,
        options: TrainOptions,
        write: Callable[[int, float], None],
        on_step: OnStep | None,
    ) -> None:
        self._options, self._write, self._on_step = options, write, on_step
        self._began = time.monotonic()

    def before_step(self) -> None:
        """As in ``train.py``: up in a line, down in a cosine."""
        share = progress(self.trainer.iter + 1, self._minutes(), self._options)
        set_rate(self.trainer.optimizer, self._options.learning_rate * share)

    def after_step(self) -> None:
        """Tell, write, end."""
        options, step, minutes = self._options, self.trainer.iter + 1, self._minutes()
        self._tell(step)
        late = 0 < options.minutes <= minutes
        if (
            late
            or step == options.steps
            or (options.snapshot_every and step % options.snapshot_every == 0)
        ):
            self._write(step, minutes)
        if late:
            raise _Ended

    def _tell(self, step: int) -> None:
        if not self._on_step:
            return
        loss, _ = self.trainer.storage.latest()["total_loss"]
        try:
            self._on_step(step, self._options.steps, float(loss))
        except Cancelled as why:
            raise _Ended(why) from why

    def _minutes(self) -> float:
        return (time.monotonic() - self._began) / 60
