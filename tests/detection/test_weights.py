"""Model folders: only what the card names is ever loaded."""

import json
import pickle
from pathlib import Path

import pytest
import torch

from detection.backends import load_detector
from detection.backends.rcnn import Architecture, DamageRCNN
from detection.errors import ModelUnavailable
from detection.training.train import encode
from detection.weights import CARD, WEIGHTS, find_model, read_spec, verify, write_card, write_model

SMALL = Architecture(channels=16, fc=16, mask_channels=16, mask_layers=1)
CARD_OF_SMALL = {
    "name": "small",
    "version": "1",
    "input_kind": "after",
    "pixel_size_m": 0.5,
    "tile_px": 256,
    "operating_score": 0.4,
    "licence": "CC0-1.0",
    "architecture": SMALL.to_json(),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    write_model(tmp_path / "small", encode(DamageRCNN(SMALL).state_dict()), CARD_OF_SMALL)
    return tmp_path / "small"


def test_a_model_that_was_written_can_be_loaded(folder: Path) -> None:
    detector = load_detector(folder, device="cpu")

    assert detector.spec == read_spec(folder) == verify(folder)
    assert detector.spec.label == "small@1"


def test_a_folder_is_found_by_its_path(folder: Path) -> None:
    assert find_model(folder) == folder


def test_a_name_that_is_no_model_is_refused() -> None:
    with pytest.raises(ModelUnavailable):
        find_model("no-such-model")


def test_weights_with_another_digest_are_refused(folder: Path) -> None:
    blob = bytearray((folder / WEIGHTS).read_bytes())
    blob[-1] ^= 1
    (folder / WEIGHTS).write_bytes(blob)

    with pytest.raises(ModelUnavailable, match="digest"):
        load_detector(folder, device="cpu")


@pytest.mark.parametrize("missing", [CARD, WEIGHTS])
def test_half_a_model_is_refused(folder: Path, missing: str) -> None:
    (folder / missing).unlink()

    with pytest.raises(ModelUnavailable):
        verify(folder)


@pytest.mark.parametrize("key", ["name", "pixel_size_m", "sha256", "licence"])
def test_a_card_that_says_too_little_is_refused(folder: Path, key: str) -> None:
    card = json.loads((folder / CARD).read_text())
    del card[key]
    write_card(folder, card)

    with pytest.raises(ModelUnavailable):
        read_spec(folder)


class Canary:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[type[Path], tuple[str]]:
        self.path.touch()
        return Path, (str(self.path),)


def test_pickled_weights_are_refused_and_not_run(folder: Path, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    blob = pickle.dumps(Canary(canary))
    canary.unlink()
    write_model(folder, blob, CARD_OF_SMALL)

    with pytest.raises(ModelUnavailable):
        load_detector(folder, device="cpu")
    assert not canary.exists()


def test_weights_that_are_not_finite_are_refused(folder: Path) -> None:
    state = DamageRCNN(SMALL).state_dict()
    state["box_head.fc1.bias"][0] = float("nan")
    write_model(folder, encode(state), CARD_OF_SMALL)

    with pytest.raises(ModelUnavailable, match="finite"):
        load_detector(folder, device="cpu")


def test_weights_of_another_shape_are_refused(folder: Path) -> None:
    other = Architecture(channels=32, fc=16, mask_channels=16, mask_layers=1)
    write_model(folder, encode(DamageRCNN(other).state_dict()), CARD_OF_SMALL)

    with pytest.raises(ModelUnavailable):
        load_detector(folder, device="cpu")


def test_a_header_that_lies_about_its_length_is_refused(folder: Path) -> None:
    blob = (1 << 62).to_bytes(8, "little") + (folder / WEIGHTS).read_bytes()[8:]
    write_model(folder, blob, CARD_OF_SMALL)

    with pytest.raises(ModelUnavailable):
        load_detector(folder, device="cpu")


def test_an_unknown_engine_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNOSAT_DETECTOR", "abacus")

    with pytest.raises(ModelUnavailable, match="abacus"):
        load_detector(folder, device="cpu")


def test_a_gpu_that_is_not_there_is_refused(folder: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")

    with pytest.raises(ModelUnavailable, match="GPU"):
        load_detector(folder, device="cuda")
