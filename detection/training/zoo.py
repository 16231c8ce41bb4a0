"""Begin with what Detectron2's own Mask R-CNN learned from COCO: names and pixels as ours.

For the zoo's ``COCO-InstanceSegmentation/mask_rcnn_R_50_FPN_1x`` and ``_3x``. The zoo publishes
pickles, which run what they hold as they are opened; none is opened here, not even in part. Who
trusts one saves the arrays under its "model" with ``numpy.savez(path, **arrays)``.

Those networks see blue first, unscaled, and take their steps of two in the 1 x 1 convolutions. The
first convolution is turned to our pixels exactly, but at the image's edge; the steps of two stay
where our ResNet has them, which training has to even out.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from detection.backends.d2_names import layer_names
from detection.backends.rcnn import PIXEL_MEAN, PIXEL_STD, Architecture

ZOO_MEAN = (123.675, 116.28, 103.53)  # red, green, blue
STEM = "backbone.body.conv1.weight"
STEM_MEAN = "backbone.body.bn1.running_mean"


def is_of_zoo(state: Mapping[str, Tensor]) -> bool:
    """Whether the names are Detectron2's."""
    return any(name.startswith("backbone.bottom_up.") for name in state)


def from_zoo(state: Mapping[str, Tensor], architecture: Architecture) -> dict[str, Tensor]:
    """Weights with our names, for our pixels; what we have no layer for is left out.

    Args:
        state: of the zoo, with its names.
        architecture: ours, of the same shape.
    """
    back = {theirs: ours for ours, theirs in layer_names(architecture).items()}
    found = {}
    for name, value in state.items():
        layer, _, leaf = name.rpartition(".")
        if layer in back:
            found[f"{back[layer]}.{leaf}"] = value
    if STEM in found and STEM_MEAN in found:
        found[STEM], found[STEM_MEAN] = _for_our_pixels(found[STEM], found[STEM_MEAN])
    return found


def _for_our_pixels(weight: Tensor, mean: Tensor) -> tuple[Tensor, Tensor]:
    """The first convolution, and the mean of what it gives, for red first and scaled pixels.

    With theirs = x - z and ours = (x - m) / s, theirs = s * ours + (m - z).
    """
    red_first = weight.flip(1)
    shift = torch.tensor(PIXEL_MEAN) - torch.tensor(ZOO_MEAN)
    scale = torch.tensor(PIXEL_STD)
    constant = (red_first * shift[:, None, None]).sum(dim=(1, 2, 3))
    return red_first * scale[:, None, None], mean - constant
