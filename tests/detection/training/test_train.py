"""Training: it learns, repeats itself, can be stopped, and leaves a model that loads."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from detection.backends import load_detector
from detection.backends.rcnn import Architecture
from detection.detector import BoxGrader
from detection.errors import BadLabels, Cancelled
from detection.training.augment import NONE
from detection.training.chips import Chip, LazyChip
from detection.training.train import Serving, TrainOptions, train, write_alone
from detection.weights import WEIGHTS, read_card, read_spec, verify

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


def changed() -> Chip:
    """A roof that is as it was, and one that is there no more; both looked alike before."""
    image = np.full((6, SIDE, SIDE), 40, np.uint8)
    instances = np.zeros((SIDE, SIDE), np.int32)
    image[:, 10:40, 10:45] = 200
    instances[10:40, 10:45] = 1
    image[:3, 55:85, 50:80] = 200
    instances[55:85, 50:80] = 2
    grades, ignore = np.array([0, 3], np.int8), np.zeros((SIDE, SIDE), bool)
    return Chip(image, instances, grades, ignore, "pair", "test", "0", 0.5)


def test_pairs_teach_what_one_image_does_not_show(tmp_path: Path) -> None:
    """The lost roof is bare ground in the image after: only the one before tells where it was."""
    diet = [Serving([LazyChip("pair", "test", "0", changed)])]

    pairs = train(diet, replace(options(150), pairs=True), tmp_path / "pairs", label="pairs@1")
    single = write_alone(pairs, tmp_path / "single", label="single@1")

    both = changed().image[None]
    boxes = [np.array([[10, 10, 45, 40], [50, 55, 80, 85]], np.float32)]
    (seen,) = grader(pairs).grade(both, boxes)
    assert (seen.scores > 0.5).all()
    assert seen.probabilities.argmax(axis=1).tolist() == [0, 3]
    assert read_spec(pairs).input_kind == "before_after"
    (untold,) = grader(pairs).grade(np.concatenate([0 * both[:, :3], both[:, 3:]], axis=1), boxes)
    (single_said,) = grader(single).grade(both[:, 3:], boxes)
    assert read_spec(single).label == "single@1"
    assert read_spec(single).input_kind == "after"
    assert np.allclose(single_said.scores, untold.scores, atol=0.02)


def grader(folder: Path) -> BoxGrader:
    detector = load_detector(folder, device="cpu")
    assert isinstance(detector, BoxGrader)
    return detector


def test_images_alone_and_pairs_can_be_taught_together(tmp_path: Path) -> None:
    diet = [Serving([LazyChip("pair", "test", "0", changed)]), *DIET]

    pairs = train(diet, replace(options(3), pairs=True), tmp_path / "pairs", label="pairs@1")
    after = train(diet, options(3), tmp_path / "after", label="after@1")

    assert read_spec(pairs).input_kind == "before_after"
    assert read_spec(after).input_kind == "after"
