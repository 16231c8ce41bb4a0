"""Transfer learning: begin with what torchvision's Mask R-CNN learned on COCO photographs."""

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from torchvision.models.detection import MaskRCNN_ResNet50_FPN_Weights

from detection.backends.rcnn import Architecture, DamageRCNN
from detection.errors import ModelUnavailable

# The shape of torchvision's maskrcnn_resnet50_fpn, with our anchors.
COCO_ARCHITECTURE = Architecture(
    backbone="resnet50", channels=256, fc=1024, mask_channels=256, mask_layers=4
)
_RENAMED = {
    "roi_heads.box_head.fc6.": "box_head.fc1.",
    "roi_heads.box_head.fc7.": "box_head.fc2.",
    "roi_heads.mask_predictor.conv5_mask.": "mask_head.8.",
    **{f"roi_heads.mask_head.{n}.0.": f"mask_head.{2 * n}." for n in range(4)},
}
_KEPT = ("backbone.", "rpn.head.")


def network_from_coco(source: str | Path) -> DamageRCNN:
    """A network whose backbone, pyramid, proposals and heads come from COCO.

    What tells classes apart is new: a building and its four grades are not in COCO.

    Args:
        source: "coco" to let torchvision fetch its own weights (their digest is checked), or a
            safetensors file with a state dict of torchvision's ``maskrcnn_resnet50_fpn``.

    Raises:
        ModelUnavailable: the weights cannot be had, or are others.
    """
    network = DamageRCNN(COCO_ARCHITECTURE)
    own = network.state_dict()
    known = {name: value for name, value in _renamed(_state(source)).items() if name in own}
    try:
        missing, _ = network.load_state_dict(known, strict=False)
    except RuntimeError as error:
        raise ModelUnavailable(f"not the weights of maskrcnn_resnet50_fpn: {error}") from error
    learned_anew = ("box_head.cls_score", "box_head.bbox_pred", "mask_head.10")
    lacking = [
        name
        for name in missing
        if not name.startswith(learned_anew) and not name.endswith("num_batches_tracked")
    ]
    if lacking:
        raise ModelUnavailable(f"COCO weights lack {lacking[:3]}")
    return network


def _state(source: str | Path) -> dict[str, Tensor]:
    try:
        if source != "coco":
            return load_file(source)
        weights = MaskRCNN_ResNet50_FPN_Weights.COCO_V1
        state: dict[str, Tensor] = weights.get_state_dict(
            progress=False, check_hash=True, weights_only=True, map_location=torch.device("cpu")
        )
    except (OSError, RuntimeError, SafetensorError) as error:
        raise ModelUnavailable(f"COCO weights: {error}") from error
    return state


def _renamed(state: dict[str, Tensor]) -> dict[str, Tensor]:
    found = {}
    for name, value in state.items():
        if name.startswith(_KEPT):
            # Proposals of small buildings lie on the four finest levels; names are the same.
            found[name.replace("rpn.head.conv.weight", "rpn.head.conv.0.0.weight")] = value
        for old, new in _RENAMED.items():
            if name.startswith(old):
                found[name.replace(old, new)] = value
    return found
