"""Training by Detectron2's engine: what it writes is a model like any other."""

import dataclasses
import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load

from detection.backends.quiet import without_old_warnings
from detection.backends.rcnn import Architecture
from detection.backends.torchvision import TorchvisionDetector
from detection.errors import BadLabels, Cancelled, TrainingDiverged
from detection.training.augment import NONE
from detection.training.chips import Chip, LazyChip
from detection.training.train import Serving, TrainOptions
from detection.training.train import train as train_by_ours
from detection.weights import read_card, read_weights, verify

if importlib.util.find_spec("detectron2") is None:
    pytest.skip("Detectron2 is not installed", allow_module_level=True)

with without_old_warnings():
    from detectron2.structures import Boxes, Instances
    from detectron2.utils.events import EventStorage

from detection.backends.d2_network import Labels, build_network
from detection.backends.detectron2 import Detectron2Detector
from detection.training.detectron2 import to_labels, train

pytestmark = pytest.mark.filterwarnings("ignore:torch.meshgrid:UserWarning")  # Detectron2's
SIDE = 96
SMALL = Architecture(channels=32, fc=32, mask_channels=16, mask_layers=1)


def chip(grades: tuple[int, int] = (0, 3)) -> Chip:
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
        grades=np.array(grades, np.int8),
        ignore=np.zeros((SIDE, SIDE), bool),
        name="chip",
        event="test",
        cluster="0",
        pixel_size_m=0.5,
    )


DIET = [Serving([LazyChip("chip", "test", "0", chip)])]


def options(steps: int, *, minutes: float = 0.0, fine_tune: bool = False) -> TrainOptions:
    return TrainOptions(
        steps=steps,
        minutes=minutes,
        batch=2,
        crop_px=SIDE,
        warmup=2,
        fine_tune=fine_tune,
        augmentation=NONE,
        architecture=SMALL,
    )


def test_the_loss_falls_and_the_model_answers_the_same_in_both_engines(tmp_path: Path) -> None:
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
    assert read_card(folder)["training_done"]["steps"] == 25
    (ours,), (theirs,) = (
        engine(folder, device="cpu", dtype=torch.float32).predict(chip().image[None], min_score=0.1)
        for engine in (TorchvisionDetector, Detectron2Detector)
    )
    assert len(ours.scores) == len(theirs.scores) > 0
    assert np.allclose(ours.boxes, theirs.boxes, atol=0.01)
    assert np.allclose(ours.scores, theirs.scores, atol=1e-3)


def test_either_engine_goes_on_where_the_other_stopped(tmp_path: Path) -> None:
    first = train_by_ours(DIET, options(1), tmp_path / "first", label="first@1")

    second = train(DIET, options(2, fine_tune=True), tmp_path / "second", label="b@1", start=first)
    third = train_by_ours(DIET, options(1), tmp_path / "third", label="c@1", start=second)

    assert read_card(second)["parent"] == read_card(first)["sha256"]
    assert read_card(third)["parent"] == read_card(second)["sha256"]
    assert verify(third).label == "c@1"


def test_the_heads_alone_learn_and_backbone_and_pyramid_stay(tmp_path: Path) -> None:
    first = train_by_ours(DIET, options(1), tmp_path / "first", label="first@1")
    heads = dataclasses.replace(options(2), heads_only=True)

    second = train(DIET, heads, tmp_path / "second", label="second@1", start=first)

    old, new = load(read_weights(first)), load(read_weights(second))
    changed = {name for name in old if not old[name].equal(new[name])}
    assert any(name.startswith("box_head.") for name in changed)
    assert not [name for name in changed if name.startswith("backbone.")]


def test_a_cancelled_training_writes_nothing_and_logs_no_failure(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def stop(step: int, _steps: int, _loss: float) -> None:
        if step == 2:
            raise Cancelled("asked to")

    with pytest.raises(Cancelled):
        train(DIET, options(5), tmp_path / "model", label="test@1", on_step=stop)

    assert not (tmp_path / "model").exists()
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def test_a_training_ends_when_its_time_is_up_and_is_kept(tmp_path: Path) -> None:
    folder = train(DIET, options(1000, minutes=1e-6), tmp_path / "model", label="test@1")

    assert read_card(folder)["training_done"]["steps"] == 1


def test_a_training_that_goes_astray_is_refused(tmp_path: Path) -> None:
    wild = dataclasses.replace(options(20), learning_rate=1e9)

    with pytest.raises(TrainingDiverged):
        train(DIET, wild, tmp_path / "model", label="test@1")

    assert not (tmp_path / "model").exists()


def test_training_on_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadLabels):
        train([Serving([])], options(1), tmp_path / "model", label="test@1")


def half_known() -> Labels:
    """One building on the left; of the right half nothing is known."""
    labels = to_labels(chip())
    ignore = torch.zeros(SIDE, SIDE, dtype=torch.bool)
    ignore[:, 48:] = True
    fields = {name: value[:1] for name, value in labels.get_fields().items()}
    return Labels(ignore, **fields)


def test_background_anchors_over_ignored_ground_are_not_sampled() -> None:
    rpn = build_network(SMALL, "cpu").proposal_generator
    anchors = Boxes(torch.tensor([[10.0, 10, 45, 40], [2.0, 60, 30, 90], [60.0, 60, 90, 90]]))

    (labels,), _ = rpn.label_and_sample_anchors([anchors], [half_known()])

    assert labels.tolist() == [1, 0, -1]


def test_background_proposals_over_ignored_ground_are_not_sampled() -> None:
    heads = build_network(SMALL, "cpu").roi_heads
    boxes = Boxes(torch.tensor([[11.0, 11, 45, 40], [2.0, 60, 30, 90], [60.0, 60, 90, 90]]))
    proposals = Instances((SIDE, SIDE), proposal_boxes=boxes, objectness_logits=torch.zeros(3))

    with EventStorage():
        (sample,) = heads.label_and_sample_proposals([proposals], [half_known()])

    sampled = {tuple(box) for box in sample.proposal_boxes.tensor.tolist()}
    assert sampled == {(11.0, 11, 45, 40), (10.0, 10, 45, 40), (2.0, 60, 30, 90)}


@pytest.mark.parametrize(("grades", "taught"), [((-1, -1), False), ((-1, 3), True)])
def test_a_building_of_unknown_grade_teaches_no_grade(
    grades: tuple[int, int],
    taught: bool,  # noqa: FBT001
) -> None:
    torch.manual_seed(0)
    network = build_network(SMALL, "cpu").train()
    view = chip(grades)

    with EventStorage():
        losses = network(
            [{"image": torch.from_numpy(view.image).float(), "instances": to_labels(view)}]
        )

    assert losses["building"] > 0
    assert (losses["grade"] > 0) == taught


def test_an_image_without_buildings_gives_finite_losses() -> None:
    torch.manual_seed(0)
    network = build_network(SMALL, "cpu").train()
    empty = dataclasses.replace(
        chip(), instances=np.zeros((SIDE, SIDE), np.int32), grades=np.zeros(0, np.int8)
    )

    with EventStorage():
        losses = network(
            [{"image": torch.from_numpy(empty.image).float(), "instances": to_labels(empty)}]
        )

    assert all(torch.isfinite(loss) for loss in losses.values())
