"""Training: it learns, repeats itself, can be stopped, and leaves a model that loads."""

from pathlib import Path

import numpy as np
import pytest

from detection.backends import load_detector
from detection.backends.rcnn import Architecture
from detection.errors import BadLabels, Cancelled
from detection.training.augment import NONE
from detection.training.chips import Chip, LazyChip
from detection.training.train import Serving, TrainOptions, train
from detection.weights import WEIGHTS, read_card, verify

SIDE = 96
SMALL = Architecture(channels=32, fc=32, mask_channels=16, mask_layers=1)


def chip() -> Chip:
    """Two bright roofs on dark ground; one of them destroyed (reddish)."""
    image = np.full((3, SIDE, SIDE), 40, np.uint8)
    instances = np.zeros((SIDE, SIDE), np.int32)
    image[:, 10:40, 10:45] = 200
    instances[10:40, 10:45] = 1
    image[0, 55:85, 50:80] = 180
    instances[55:85, 50:80] = 2
    return Chip(
        image=image,
        instances=instances,
        grades=np.array([0, 3], np.int8),
        ignore=np.zeros((SIDE, SIDE), bool),
        name="chip",
        event="test",
        cluster="0",
        pixel_size_m=0.5,
    )


CHIPS = [LazyChip("chip", "test", "0", chip)]
DIET = [Serving(CHIPS)]


def options(steps: int, *, fine_tune: bool = False) -> TrainOptions:
    return TrainOptions(
        steps=steps,
        batch=2,
        crop_px=SIDE,
        warmup=2,
        fine_tune=fine_tune,
        augmentation=NONE,
        architecture=SMALL,
    )


def test_the_loss_falls_and_the_model_loads(tmp_path: Path) -> None:
    losses: list[float] = []

    folder = train(
        DIET,
        options(25),
        tmp_path / "model",
        label="test@1",
        on_step=lambda _step, _steps, loss: losses.append(loss),
    )

    assert len(losses) == 25
    assert np.mean(losses[-5:]) < 0.75 * np.mean(losses[:5])
    assert verify(folder).label == "test@1"
    assert load_detector(folder, device="cpu").predict(chip().image[None], min_score=0.0)


def test_the_same_seed_gives_the_same_weights(tmp_path: Path) -> None:
    first, second = (
        train(DIET, options(3), tmp_path / name, label="test@1") for name in ("a", "b")
    )

    assert (first / WEIGHTS).read_bytes() == (second / WEIGHTS).read_bytes()


def test_fine_tuning_starts_from_a_model_and_says_so(tmp_path: Path) -> None:
    start = train(DIET, options(2), tmp_path / "start", label="start@1")

    tuned = train(
        DIET, options(2, fine_tune=True), tmp_path / "tuned", label="tuned@1", start=start
    )

    assert read_card(tuned)["parent"] == read_card(start)["sha256"]
    assert (tuned / WEIGHTS).read_bytes() != (start / WEIGHTS).read_bytes()


def test_a_cancelled_training_writes_nothing(tmp_path: Path) -> None:
    def stop(step: int, _steps: int, _loss: float) -> None:
        if step == 2:
            raise Cancelled("asked to")

    with pytest.raises(Cancelled):
        train(DIET, options(5), tmp_path / "model", label="test@1", on_step=stop)

    assert not (tmp_path / "model").exists()


def test_training_on_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadLabels):
        train([Serving([])], options(1), tmp_path / "model", label="test@1")
