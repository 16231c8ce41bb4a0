"""What each of our weights is called in Detectron2, and back. Knows torch; not Detectron2.

Names differ, shapes do not; and the scores of the second stage stand in another order: background
comes first with us and last there.
"""

from collections.abc import Mapping
from itertools import product

import torch
from torch import Tensor

from detection.backends.rcnn import Architecture

PAIRED = "backbone.single."  # there, the backbone that looks at either image of a pair
MOST_BLOCKS, MOST_CONVS = 6, 3  # of a ResNet's stage, and of a block: ResNet-50's
BY_CLASS = ("box_head.cls_score", "roi_heads.box_predictor.cls_score")

_FIXED = {
    "backbone.body.conv1": "backbone.bottom_up.stem.conv1",
    "backbone.body.bn1": "backbone.bottom_up.stem.conv1.norm",
    "rpn.head.conv.0.0": "proposal_generator.rpn_head.conv",
    "rpn.head.cls_logits": "proposal_generator.rpn_head.objectness_logits",
    "rpn.head.bbox_pred": "proposal_generator.rpn_head.anchor_deltas",
    "box_head.fc1": "roi_heads.box_head.fc1",
    "box_head.fc2": "roi_heads.box_head.fc2",
    "box_head.cls_score": "roi_heads.box_predictor.cls_score",
    "box_head.bbox_pred": "roi_heads.box_predictor.bbox_pred",
}


def to_detectron2(state: Mapping[str, Tensor], architecture: Architecture) -> dict[str, Tensor]:
    """Our state dict as Detectron2's.

    Raises:
        KeyError: a name is not one of ours.
    """
    return _renamed(state, layer_names(architecture), -1)


def from_detectron2(state: Mapping[str, Tensor], architecture: Architecture) -> dict[str, Tensor]:
    """Detectron2's state dict as ours; undoes ``to_detectron2``.

    Raises:
        KeyError: a name is not one of Detectron2's for this architecture.
    """
    back = {theirs: ours for ours, theirs in layer_names(architecture).items()}
    return _renamed(state, back, 1)


def layer_names(architecture: Architecture) -> dict[str, str]:
    """Every layer that may hold weights: our name, then Detectron2's."""
    names = _FIXED | _of_stages() | _of_pyramid() | _of_mask_head(architecture.mask_layers)
    if not architecture.sees_before:
        return names
    inside = {ours: theirs.replace("backbone.", PAIRED, 1) for ours, theirs in names.items()}
    return inside | _of_comparison(len(architecture.anchor_sizes))


def _of_stages() -> dict[str, str]:
    names = {}
    for stage, block in product((1, 2, 3, 4), range(MOST_BLOCKS)):
        ours = f"backbone.body.layer{stage}.{block}"
        theirs = f"backbone.bottom_up.res{stage + 1}.{block}"
        for conv in range(1, MOST_CONVS + 1):
            names[f"{ours}.conv{conv}"] = f"{theirs}.conv{conv}"
            names[f"{ours}.bn{conv}"] = f"{theirs}.conv{conv}.norm"
        names[f"{ours}.downsample.0"] = f"{theirs}.shortcut"
        names[f"{ours}.downsample.1"] = f"{theirs}.shortcut.norm"
    return names


def _of_pyramid() -> dict[str, str]:
    inner = {f"backbone.fpn.inner_blocks.{n}.0": f"backbone.fpn_lateral{n + 2}" for n in range(4)}
    outer = {f"backbone.fpn.layer_blocks.{n}.0": f"backbone.fpn_output{n + 2}" for n in range(4)}
    return inner | outer


def _of_comparison(levels: int) -> dict[str, str]:
    parts = [f"compare.{level}.{part}" for level in range(levels) for part in ("mix", "add")]
    return {part: f"backbone.{part}" for part in parts}


def _of_mask_head(layers: int) -> dict[str, str]:
    """Ours counts the activations between the layers too."""
    there = [f"mask_fcn{n + 1}" for n in range(layers)] + ["deconv", "predictor"]
    return {f"mask_head.{2 * n}": f"roi_heads.mask_head.{name}" for n, name in enumerate(there)}


def _renamed(state: Mapping[str, Tensor], names: dict[str, str], turn: int) -> dict[str, Tensor]:
    found = {}
    for name, value in state.items():
        layer, _, leaf = name.rpartition(".")
        turned = torch.roll(value, turn, 0) if layer in BY_CLASS else value
        found[f"{names[layer]}.{leaf}"] = turned
    return found
