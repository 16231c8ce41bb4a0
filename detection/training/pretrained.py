"""Transfer learning: begin with what torchvision's networks learned from photographs.

"coco" is a whole Mask R-CNN of ResNet-50 (its proposals, heads and masks are taken over);
"imagenet" is the backbone alone, of ResNet-18, which is small enough for a computer without GPU.
Detectron2's own Mask R-CNN of COCO is taken from a file too (see ``zoo``).
"""

from pathlib import Path
from typing import Literal
from zipfile import BadZipFile

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from torchvision.models import ResNet18_Weights, WeightsEnum, resnet
from torchvision.models.detection import MaskRCNN_ResNet50_FPN_Weights

from detection.backends.rcnn import Architecture, DamageRCNN
from detection.errors import ModelUnavailable, PickledWeights
from detection.training.zoo import from_zoo, is_of_zoo

Known = Literal["coco", "imagenet"]

# The shape of torchvision's maskrcnn_resnet50_fpn, with our anchors.
COCO_ARCHITECTURE = Architecture(
    backbone="resnet50", channels=256, fc=1024, mask_channels=256, mask_layers=4
)
_FETCHED: dict[Known, WeightsEnum] = {
    "coco": MaskRCNN_ResNet50_FPN_Weights.COCO_V1,
    "imagenet": ResNet18_Weights.IMAGENET1K_V1,
}
_BACKBONES = ("resnet18", "resnet34", "resnet50")
_RENAMED = {
    "roi_heads.box_head.fc6.": "box_head.fc1.",
    "roi_heads.box_head.fc7.": "box_head.fc2.",
    "roi_heads.mask_predictor.conv5_mask.": "mask_head.8.",
    **{f"roi_heads.mask_head.{n}.0.": f"mask_head.{2 * n}." for n in range(4)},
}
_KEPT = ("backbone.", "rpn.head.")
_LEARNED_ANEW = ("box_head.cls_score", "box_head.bbox_pred", "mask_head.10")


def network_from(source: Known | Path) -> DamageRCNN:
    """A network that begins with what COCO or ImageNet taught.

    What tells classes apart is always new: a building and its grades are in neither.

    Args:
        source: "coco" or "imagenet" to let torchvision fetch its own weights (their digest is
            checked), or a safetensors or npz file with a state dict of torchvision's
            ``maskrcnn_resnet50_fpn``, ``resnet18``, ``resnet34`` or ``resnet50``, or of
            Detectron2's ``mask_rcnn_R_50_FPN``.

    Raises:
        ModelUnavailable: the weights cannot be had, or are others.
        PickledWeights: the file is a pickle.
    """
    state = _read(source) if isinstance(source, Path) else _fetch(source)
    if is_of_zoo(state):
        return _from_zoo(state)
    if any(name.startswith("roi_heads.") for name in state):
        return _from_coco(state)
    return _from_imagenet(state)


def is_weights_file(source: Known | Path) -> bool:
    """Whether this is a file of somebody's weights, not one of our model folders.

    Raises:
        PickledWeights: it is a pickle.
    """
    if isinstance(source, Path) and source.suffix in {".pkl", ".pth", ".pt"}:
        raise PickledWeights(source.name)
    return isinstance(source, Path) and source.suffix in {".safetensors", ".npz"}


def taught_by(source: Known | Path) -> str:
    """What a model card says of such a beginning."""
    return source if isinstance(source, str) else source.name


def _fetch(name: Known) -> dict[str, Tensor]:
    try:
        state: dict[str, Tensor] = _FETCHED[name].get_state_dict(
            progress=False, check_hash=True, weights_only=True, map_location=torch.device("cpu")
        )
    except (OSError, RuntimeError) as error:
        raise ModelUnavailable(f"{name} weights: {error}") from error
    return state


def _read(path: Path) -> dict[str, Tensor]:
    try:
        if path.suffix == ".npz":
            with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                return {name: torch.from_numpy(arrays[name]) for name in arrays.files}
        return load_file(path)
    except (OSError, ValueError, TypeError, BadZipFile, SafetensorError) as error:
        raise ModelUnavailable(f"{path}: {error}") from error


def _from_coco(state: dict[str, Tensor]) -> DamageRCNN:
    network = DamageRCNN(COCO_ARCHITECTURE)
    own = network.state_dict()
    _load(network, {name: value for name, value in _renamed(state).items() if name in own})
    return network


def _from_zoo(state: dict[str, Tensor]) -> DamageRCNN:
    network = DamageRCNN(COCO_ARCHITECTURE)
    known = from_zoo(state, COCO_ARCHITECTURE)
    old = {name: value for name, value in known.items() if not name.startswith(_LEARNED_ANEW)}
    _load(network, old)
    return network


def _from_imagenet(state: dict[str, Tensor]) -> DamageRCNN:
    body = {name: value for name, value in state.items() if not name.startswith("fc.")}
    weighted = {name for name in body if not name.endswith("num_batches_tracked")}
    for backbone in _BACKBONES:
        with torch.device("meta"):
            names = getattr(resnet, backbone)(weights=None).state_dict().keys()
        if weighted == {n for n in names if not n.startswith("fc.") and "tracked" not in n}:
            network = DamageRCNN(Architecture(backbone=backbone))
            _load(network, {f"backbone.body.{name}": value for name, value in body.items()})
            return network
    raise ModelUnavailable(f"neither a Mask R-CNN nor one of {', '.join(_BACKBONES)}")


def _load(network: DamageRCNN, known: dict[str, Tensor]) -> None:
    """Take over what is known; with "coco" that is all but the classes."""
    try:
        missing, _ = network.load_state_dict(known, strict=False)
    except RuntimeError as error:
        raise ModelUnavailable(f"weights of another network: {error}") from error
    whole = any(name.startswith("rpn.") for name in known)
    lacking = [
        name
        for name in missing
        if (whole or name.startswith("backbone.body."))
        and not name.startswith(_LEARNED_ANEW)
        and not name.endswith("num_batches_tracked")
    ]
    if lacking:
        raise ModelUnavailable(f"the weights lack {lacking[:3]}")


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
