"""Our names and Detectron2's: nothing is lost on the way there and back."""

import pytest
import torch

from detection.backends.d2_names import from_detectron2, layer_names, to_detectron2
from detection.backends.rcnn import Architecture, DamageRCNN

SMALL = {"channels": 16, "fc": 16, "mask_channels": 16}
ARCHITECTURES = [
    Architecture(backbone="resnet18", mask_layers=3, **SMALL),  # type: ignore[arg-type]
    Architecture(backbone="resnet34", mask_layers=1, **SMALL),  # type: ignore[arg-type]
    Architecture(backbone="resnet50", mask_layers=4, **SMALL),  # type: ignore[arg-type]
    Architecture(sees_before=True, **SMALL),  # type: ignore[arg-type]
]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_names_there_and_back_are_the_same_weights(architecture: Architecture) -> None:
    state = DamageRCNN(architecture).state_dict()

    there = to_detectron2(state, architecture)
    back = from_detectron2(there, architecture)

    assert len(there) == len(state)
    assert not set(there) & set(state)
    assert back.keys() == state.keys()
    assert all(torch.equal(back[name], value) for name, value in state.items())


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_no_two_layers_share_a_name(architecture: Architecture) -> None:
    names = layer_names(architecture)

    assert len(set(names.values())) == len(names)


def test_background_comes_first_with_us_and_last_there() -> None:
    architecture = ARCHITECTURES[0]
    ours = {"box_head.cls_score.bias": torch.tensor([9.0, 0, 1, 2, 3])}

    theirs = to_detectron2(ours, architecture)

    assert theirs["roi_heads.box_predictor.cls_score.bias"].tolist() == [0, 1, 2, 3, 9]


def test_a_name_that_is_not_known_is_an_error() -> None:
    with pytest.raises(KeyError):
        to_detectron2({"semantic_head.weight": torch.zeros(1)}, ARCHITECTURES[0])
