"""From the proposal head's answers to boxes worth a closer look, when detecting.

The same boxes as torchvision's ``RegionProposalNetwork``; but anchors are made and decoded only for
the thousand best places of a level, not for all of the two hundred thousand in a tile.
"""

import torch
from torch import Tensor
from torchvision.models.detection.rpn import RegionProposalNetwork
from torchvision.ops import boxes as box_ops

PER_LEVEL = 1000
PER_IMAGE = 1000
FIRST_STRIDE_PX = 4


def best_proposals(
    rpn: RegionProposalNetwork, logits: list[Tensor], deltas: list[Tensor], size: tuple[int, int]
) -> list[Tensor]:
    """The best boxes of each image, best first, each place once.

    Args:
        rpn: for its anchors, its way to decode, and its threshold of suppression.
        logits: per level, shape (B, A, h, w), for A anchors a place.
        deltas: per level, shape (B, 4 A, h, w).
        size: height and width of the images, in pixels.

    Returns:
        One tensor of shape (P, 4) per image, at most ``PER_IMAGE`` boxes.
    """
    return [
        _of_one(rpn, [one[index] for one in logits], [one[index] for one in deltas], size)
        for index in range(len(logits[0]))
    ]


def _of_one(
    rpn: RegionProposalNetwork, logits: list[Tensor], deltas: list[Tensor], size: tuple[int, int]
) -> Tensor:
    boxes, scores, levels = [], [], []
    for level, (logit, delta) in enumerate(zip(logits, deltas, strict=True)):
        best, found = _best_of_level(rpn, logit, delta, level)
        boxes.append(found)
        scores.append(best)
        levels.append(torch.full_like(best, level, dtype=torch.int64))
    every = box_ops.clip_boxes_to_image(torch.cat(boxes), size)
    score, level_of = torch.cat(scores), torch.cat(levels)
    real = box_ops.remove_small_boxes(every, rpn.min_size)
    every, score, level_of = every[real], score[real], level_of[real]
    kept = box_ops.batched_nms(every, score, level_of, rpn.nms_thresh)
    proposals: Tensor = every[kept[:PER_IMAGE]]
    return proposals


def _best_of_level(
    rpn: RegionProposalNetwork, logit: Tensor, delta: Tensor, level: int
) -> tuple[Tensor, Tensor]:
    """Scores and boxes of the likeliest places of one level."""
    anchors, _, wide = logit.shape
    flat = logit.permute(1, 2, 0).reshape(-1)
    best, place = flat.topk(min(PER_LEVEL, len(flat)))
    which = place % anchors
    column = place // anchors % wide
    row = place // (anchors * wide)
    stride = FIRST_STRIDE_PX * 2**level
    corner = torch.stack([column, row, column, row], dim=1) * stride
    cell = rpn.anchor_generator.cell_anchors[level].to(delta)
    moves = delta.view(anchors, 4, -1)[which, :, place // anchors]
    return best.sigmoid(), rpn.box_coder.decode_single(moves, cell[which] + corner)
