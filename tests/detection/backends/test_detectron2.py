"""Detectron2's engine gives the answers of torchvision's, from the same weights."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
from numpy.typing import NDArray
from torchvision.ops import box_iou

from detection.backends import load_detector
from detection.backends.rcnn import Architecture, Comparison, comparing
from detection.backends.torchvision import TorchvisionDetector, load_network
from detection.detector import TileDetections
from detection.errors import EngineUnavailable
from detection.synthetic import render_chip
from detection.training.train import encode
from detection.weights import DEFAULT_MODEL, find_model, read_card, write_model

SMALL = Architecture(channels=16, fc=16, mask_channels=16, mask_layers=1)
SCENES = [
    "hurricane-michael_00000022",
    "hurricane-michael_00000178",
    "hurricane-michael_00000426",
    "santa-rosa-wildfire_00000238",
    "santa-rosa-wildfire_00000292",
]
installed = pytest.mark.skipif(
    importlib.util.find_spec("detectron2") is None, reason="Detectron2 is not installed"
)


def test_without_detectron2_the_refusal_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = ("detection.backends.detectron2", "detection.backends.d2_network")
    for name in [name for name in sys.modules if name in ours or name.startswith("detectron2.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "detectron2", None)
    monkeypatch.setenv("UNOSAT_DETECTOR", "detectron2")

    with pytest.raises(EngineUnavailable, match="detectron2 is not installed") as refusal:
        load_detector(find_model(DEFAULT_MODEL), device="cpu")

    assert "README" in refusal.value.user_message
    assert not refusal.value.retryable


@installed
def test_the_environment_chooses_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    from detection.backends.detectron2 import Detectron2Detector

    monkeypatch.setenv("UNOSAT_DETECTOR", "detectron2")

    detector = load_detector(find_model(DEFAULT_MODEL), device="cpu")

    assert isinstance(detector, Detectron2Detector)
    assert detector.spec.name == DEFAULT_MODEL
    (found,) = detector.predict(views()[:1], min_score=0.25)  # in whatever precision is fast here
    assert len(found.scores) >= 5


def matched(some: TileDetections, others: TileDetections) -> float:
    """Share of what scores over 0.3 that the others have too: IoU 0.95, score within 0.02."""
    sure = some.scores > 0.3
    overlap, index = box_iou(
        torch.from_numpy(some.boxes[sure]), torch.from_numpy(others.boxes)
    ).max(dim=1)
    score = np.abs(some.scores[sure] - others.scores[index.numpy()])
    same = (overlap.numpy() >= 0.95) & (score <= 0.02)
    return float(same.mean())


@installed
@pytest.mark.parametrize("scene", SCENES)
def test_real_tiles_get_the_same_answer(data_dir: Path, scene: str) -> None:
    from detection.backends.detectron2 import Detectron2Detector

    path = data_dir / "xbd" / "val" / "images" / f"{scene}_post_disaster.tif"
    with rasterio.open(path) as dataset:
        image = dataset.read((1, 2, 3))[None]
    folder = find_model(DEFAULT_MODEL)

    (ours,) = TorchvisionDetector(folder, device="cpu", dtype=torch.float32).predict(
        image, min_score=0.25
    )
    (theirs,) = Detectron2Detector(folder, device="cpu", dtype=torch.float32).predict(
        image, min_score=0.25
    )

    assert (ours.scores > 0.3).sum() >= 10
    assert matched(ours, theirs) >= 0.99
    assert matched(theirs, ours) >= 0.99


def views() -> NDArray[np.uint8]:
    """Two made-up towns."""
    return np.stack([render_chip(seed, size_px=256).image for seed in (0, 1)])


def same(some: TileDetections, others: TileDetections) -> bool:
    """Whether boxes, scores, grades and masks of the sure ones are the same but for rounding."""
    sure = np.flatnonzero(some.scores > 0.3)
    _, index = box_iou(torch.from_numpy(some.boxes[sure]), torch.from_numpy(others.boxes)).max(1)
    other = index.numpy()
    return (
        len(sure) >= 5
        and np.allclose(some.boxes[sure], others.boxes[other], atol=0.01)
        and np.allclose(some.scores[sure], others.scores[other], atol=1e-4)
        and np.allclose(some.probabilities[sure], others.probabilities[other], atol=1e-4)
        and np.allclose(np.stack(some.masks)[sure], np.stack(others.masks)[other], atol=1e-3)
    )


@installed
def test_boxes_masks_and_grades_are_those_of_the_other_engine_in_any_batch() -> None:
    from detection.backends.detectron2 import Detectron2Detector

    folder = find_model(DEFAULT_MODEL)
    ours = TorchvisionDetector(folder, device="cpu", dtype=torch.float32)
    theirs = Detectron2Detector(folder, device="cpu", dtype=torch.float32)

    together = theirs.predict(views(), min_score=0.25)

    for image, found in zip(views(), together, strict=True):
        (other,) = ours.predict(image[None], min_score=0.25)
        (alone,) = theirs.predict(image[None], min_score=0.25)
        assert same(found, other)
        assert same(other, found)
        assert same(alone, found)


@installed
def test_given_boxes_get_the_grades_of_the_other_engine() -> None:
    from detection.backends.detectron2 import Detectron2Detector

    folder = find_model(DEFAULT_MODEL)
    ours = TorchvisionDetector(folder, device="cpu", dtype=torch.float32)
    theirs = Detectron2Detector(folder, device="cpu", dtype=torch.float32)
    boxes = [np.array([[8, 8, 40, 30], [60, 50, 200, 180]], np.float32), np.zeros((0, 4), "f4")]

    pairs = list(zip(ours.grade(views(), boxes), theirs.grade(views(), boxes), strict=True))

    assert [len(one.scores) for one, _ in pairs] == [2, 0]
    for one, other in pairs:
        assert np.allclose(one.scores, other.scores, atol=1e-4)
        assert np.allclose(one.probabilities, other.probabilities, atol=1e-4)


@installed
def test_called_as_detectron2_calls_it_the_network_answers_the_same() -> None:
    from detection.backends.d2_network import build_network
    from detection.backends.quiet import without_old_warnings

    torch.manual_seed(0)
    network = build_network(SMALL, "cpu").eval()
    network.roi_heads.box_predictor.test_score_thresh = 0.5
    image = torch.from_numpy(views()[0]).float()

    with torch.inference_mode(), without_old_warnings():
        (usual,) = network.inference([{"image": image}], do_postprocess=False)
        (ours,) = network.detect(image[None], 0.5)

    assert len(usual) > 10
    assert torch.equal(usual.pred_boxes.tensor, ours.pred_boxes.tensor)
    assert torch.equal(usual.probabilities, ours.probabilities)


@installed
def test_pairs_get_the_answers_of_the_other_engine(tmp_path: Path) -> None:
    from detection.backends.detectron2 import Detectron2Detector

    folder = tmp_path / "pairs"
    network = comparing(load_network(find_model(DEFAULT_MODEL)))
    torch.manual_seed(0)
    for module in network.compare:
        assert isinstance(module, Comparison)
        torch.nn.init.normal_(module.add.weight, std=0.01)
    card = read_card(find_model(DEFAULT_MODEL)) | {"input_kind": "before_after"}
    write_model(
        folder, encode(network.state_dict()), card | {"architecture": network.arch.to_json()}
    )
    ours = TorchvisionDetector(folder, device="cpu", dtype=torch.float32)
    theirs = Detectron2Detector(folder, device="cpu", dtype=torch.float32)
    images = np.concatenate([views()[::-1], views()], axis=1)
    images[1, :3, :, 100:] = 0  # the image before shows only part of the second

    found = zip(
        ours.predict(images, min_score=0.25), theirs.predict(images, min_score=0.25), strict=True
    )

    for one, other in found:
        assert same(one, other)
        assert same(other, one)
