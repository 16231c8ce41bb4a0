"""The network: a Mask R-CNN whose second stage separates "is a building" from "how damaged".

Built from torchvision's parts, with what satellite buildings need: small anchors, class-agnostic
boxes and masks, labels that may be unknown, and regions of which nothing is known. Every part has
its equal in Detectron2 (ROIAlign aligned with two samples, unrounded anchors, box weights
10-10-5-5), so that one set of weights can serve both.

Images are float32, shape (B, C, H, W), values 0 to 255; boxes are (left, top, right, bottom) in
pixels, edges not centres.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models import resnet
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.rpn import RegionProposalNetwork, RPNHead
from torchvision.ops import boxes as box_ops
from torchvision.ops import roi_align
from torchvision.ops.feature_pyramid_network import ExtraFPNBlock

GRADE_COUNT = 4
RGB = 3
UNKNOWN_GRADE = -1
BOX_WEIGHTS = (10.0, 10.0, 5.0, 5.0)
# Means and spreads of 8-bit RGB satellite scenes; fixed, so that they need not be stored.
PIXEL_MEAN = (85.0, 95.0, 85.0)
PIXEL_STD = (50.0, 46.0, 45.0)
Losses = dict[str, Tensor]
MASKS_PER_IMAGE = 20
MAX_LOG_SCALE = 4.135166556742356  # log(1000 / 16), as in Detectron2 and torchvision


@dataclass(frozen=True, slots=True)
class Architecture:
    """What has to be known to build the network; stored in the model card.

    Attributes:
        backbone: a torchvision ResNet, "resnet18" to "resnet50".
        channels: of every pyramid level.
        anchor_sizes: one per pyramid level (strides 4, 8, 16, 32), in pixels.
        anchor_ratios: height over width.
        fc: width of the two fully connected layers of the box head.
        mask_channels: of the mask head.
        mask_layers: 3 x 3 convolutions before the mask is enlarged.
        canonical_px: a box of this side is pooled from the level of stride 16.
        sees_before: the network compares each image with one from before the disaster.
    """

    backbone: str = "resnet18"
    channels: int = 128
    anchor_sizes: tuple[int, ...] = (12, 28, 64, 128)
    anchor_ratios: tuple[float, ...] = (0.5, 1.0, 2.0)
    fc: int = 512
    mask_channels: int = 128
    mask_layers: int = 3
    canonical_px: float = 112.0
    sees_before: bool = False

    def to_json(self) -> dict[str, Any]:
        """For the model card."""
        return {"family": "mask_rcnn", **asdict(self)}

    @classmethod
    def from_json(cls, card: dict[str, Any]) -> "Architecture":
        """Read what ``to_json`` wrote; a name that is not known is an error."""
        values = {key: value for key, value in card.items() if key != "family"}
        for key in ("anchor_sizes", "anchor_ratios"):
            values[key] = tuple(values[key])
        return cls(**values)


@dataclass(frozen=True, slots=True)
class Target:
    """What is known of one training image with N buildings.

    Attributes:
        boxes: shape (N, 4), float32.
        grades: shape (N,), int64: 0 to 3, or ``UNKNOWN_GRADE``.
        masks: shape (N, H, W), uint8.
        ignore: shape (H, W), bool: neither building nor background.
    """

    boxes: Tensor
    grades: Tensor
    masks: Tensor
    ignore: Tensor


class ExactAnchors(AnchorGenerator):  # type: ignore[misc]
    """Anchors without torchvision's rounding to whole pixels, which Detectron2 does not do."""

    def generate_anchors(
        self,
        scales: Sequence[int],
        aspect_ratios: Sequence[float],
        dtype: torch.dtype = torch.float32,
        device: torch.device | None = None,
    ) -> Tensor:
        """Anchors around (0, 0), shape (ratios x scales, 4)."""
        scale = torch.as_tensor(scales, dtype=dtype, device=device)
        height = torch.sqrt(torch.as_tensor(aspect_ratios, dtype=dtype, device=device))
        widths = (scale[None, :] / height[:, None]).reshape(-1)
        heights = (scale[None, :] * height[:, None]).reshape(-1)
        return torch.stack([-widths, -heights, widths, heights], dim=1) / 2


class ExactRPNHead(RPNHead):  # type: ignore[misc]
    """Answers in float32 under autocast too: a box of 16 bits is 4 pixels off at column 1000."""

    def forward(self, x: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """As torchvision's: logits and deltas per level."""
        logits, deltas = super().forward(x)
        return [one.float() for one in logits], [one.float() for one in deltas]


class IgnoringRPN(RegionProposalNetwork):  # type: ignore[misc]
    """Proposals that are not punished for what they find where nothing is known."""

    def assign_targets_to_anchors(
        self, anchors: list[Tensor], targets: list[dict[str, Tensor]]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """As torchvision's, but background anchors over ignored ground are not sampled."""
        labels, matched = super().assign_targets_to_anchors(anchors, targets)
        for label, anchor, target in zip(labels, anchors, targets, strict=True):
            label[(label == 0) & over_ignored(anchor, target["ignore"])] = -1.0
        return labels, matched


class BoxHead(nn.Module):
    """Pooled features to class scores (background and four grades) and one box each."""

    def __init__(self, arch: Architecture) -> None:
        super().__init__()
        self.fc1 = nn.Linear(arch.channels * 7 * 7, arch.fc)
        self.fc2 = nn.Linear(arch.fc, arch.fc)
        self.cls_score = nn.Linear(arch.fc, 1 + GRADE_COUNT)
        self.bbox_pred = nn.Linear(arch.fc, 4)
        nn.init.normal_(self.cls_score.weight, std=0.01)
        nn.init.normal_(self.bbox_pred.weight, std=0.001)

    def forward(self, pooled: Tensor) -> tuple[Tensor, Tensor]:
        """Shape (R, channels, 7, 7) to logits (R, 5), background first, and deltas (R, 4)."""
        x = functional.relu(self.fc1(pooled.flatten(1)))
        x = functional.relu(self.fc2(x))
        return self.cls_score(x), self.bbox_pred(x)


class MaskHead(nn.Sequential):
    """Pooled features, shape (R, channels, 14, 14), to mask logits (R, 1, 28, 28)."""

    def __init__(self, arch: Architecture) -> None:
        layers: list[nn.Module] = []
        width = arch.channels
        for _ in range(arch.mask_layers):
            layers += [nn.Conv2d(width, arch.mask_channels, 3, padding=1), nn.ReLU(inplace=True)]
            width = arch.mask_channels
        layers += [nn.ConvTranspose2d(width, width, 2, stride=2), nn.ReLU(inplace=True)]
        last = nn.Conv2d(width, 1, 1)
        super().__init__(*layers, last)
        for layer in self:
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
                assert layer.bias is not None  # noqa: S101 - for the type checker
                nn.init.zeros_(layer.bias)
        nn.init.normal_(last.weight, std=0.001)  # start undecided everywhere


class Comparison(nn.Module):
    """What one pyramid level learns from the image before: added to what the image after says.

    Both images went through the same backbone. The last layer begins at zero, so that a network
    which knew only images after the disaster starts out with what it knew.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mix = nn.Conv2d(2 * channels, channels, 1)
        self.add = nn.Conv2d(channels, channels, 1)
        nn.init.kaiming_normal_(self.mix.weight, nonlinearity="relu")
        nn.init.zeros_(self.add.weight)
        for layer in (self.mix, self.add):
            assert layer.bias is not None  # noqa: S101 - for the type checker
            nn.init.zeros_(layer.bias)

    def forward(self, after: Tensor, before: Tensor, known: Tensor) -> Tensor:
        """Compare two levels of shape (B, channels, h, w) where ``known``, (B, 1, h, w), is 1."""
        said: Tensor = self.add(functional.relu(self.mix(torch.cat([after, before], dim=1))))
        return after + known * said


def compare_pairs(
    compare: Iterable[nn.Module],
    levels_of: Callable[[Tensor], list[Tensor]],
    after: Tensor,
    before: Tensor,
    known: Tensor,
) -> list[Tensor]:
    """The pyramids of images after, with what the images before add.

    Args:
        compare: a ``Comparison`` for each level.
        levels_of: makes pyramids of images of shape (B, 3, H, W).
        after: shape (B, 3, H, W).
        before: the same.
        known: shape (B, 1, H, W), bool: where the image before shows anything.
    """
    seen = torch.where(known.flatten(1).any(dim=1))[0]
    # One pass for both: normalisation then learns from both alike.
    both = levels_of(torch.cat([after, before[seen]]))
    if not len(seen):
        return both
    count, shown = len(after), known[seen].float()
    return [
        _compared(module, level[:count], level[count:], shown, seen)
        for module, level in zip(compare, both, strict=True)
    ]


def _compared(
    module: nn.Module, after: Tensor, before: Tensor, shown: Tensor, seen: Tensor
) -> Tensor:
    """One level of all images after, with what those before add to the ``seen`` ones."""
    share = functional.adaptive_avg_pool2d(shown, (after.shape[2], after.shape[3]))
    told: Tensor = module(after[seen], before, share).float()
    return told if len(seen) == len(after) else after.index_copy(0, seen, told)


class DamageRCNN(nn.Module):
    """The whole network. ``forward`` trains; ``features``, ``propose`` and the heads detect.

    Images have 3 bands; 6, before first, if the architecture says that it sees them. A pixel of
    the image before that is black in all bands shows nothing: there the answer is the one that
    the image after gives alone.
    """

    pixel_mean: Tensor
    pixel_std: Tensor

    def __init__(self, arch: Architecture) -> None:
        super().__init__()
        self.arch = arch
        body = getattr(resnet, arch.backbone)(weights=None)
        widths = [body.inplanes // 2**k for k in (3, 2, 1, 0)]
        levels = {f"layer{n}": str(n - 1) for n in (1, 2, 3, 4)}
        self.backbone = BackboneWithFPN(
            body, levels, widths, arch.channels, extra_blocks=NoExtraLevel()
        )
        anchors = ExactAnchors(
            tuple((size,) for size in arch.anchor_sizes),
            (arch.anchor_ratios,) * len(arch.anchor_sizes),
        )
        self.rpn = IgnoringRPN(
            anchors,
            ExactRPNHead(arch.channels, len(arch.anchor_ratios)),
            fg_iou_thresh=0.6,
            bg_iou_thresh=0.3,
            batch_size_per_image=256,
            positive_fraction=0.5,
            pre_nms_top_n={"training": 600, "testing": 1000},
            post_nms_top_n={"training": 400, "testing": 1000},
            nms_thresh=0.7,
        )
        self.box_head = BoxHead(arch)
        self.mask_head = MaskHead(arch)
        if arch.sees_before:
            self.compare = nn.ModuleList(Comparison(arch.channels) for _ in arch.anchor_sizes)
        self.register_buffer(
            "pixel_mean", torch.tensor(PIXEL_MEAN).view(1, 3, 1, 1), persistent=False
        )
        self.register_buffer(
            "pixel_std", torch.tensor(PIXEL_STD).view(1, 3, 1, 1), persistent=False
        )

    def features(self, images: Tensor) -> list[Tensor]:
        """Pyramid of float32 features, strides 4, 8, 16, 32, of images with 3 or 6 bands."""
        if images.shape[1] == RGB:
            return self._levels(images)
        before, after = images[:, :RGB], images[:, RGB:]
        known = before.amax(dim=1, keepdim=True) > 0
        return compare_pairs(self.compare, self._levels, after, before, known)

    def _levels(self, images: Tensor) -> list[Tensor]:
        normal = (images - self.pixel_mean) / self.pixel_std
        pyramid = self.backbone(normal.contiguous(memory_format=torch.channels_last))
        return [level.float() for level in pyramid.values()]

    def propose(
        self, images: Tensor, features: list[Tensor], targets: list[Target] | None = None
    ) -> tuple[list[Tensor], dict[str, Tensor]]:
        """Boxes worth a closer look, per image, and the two RPN losses when training."""
        sizes = [(int(images.shape[2]), int(images.shape[3]))] * len(images)
        known = None
        if targets is not None:
            known = [{"boxes": t.boxes, "ignore": t.ignore} for t in targets]
        named = {str(level): feature for level, feature in enumerate(features)}
        proposals, losses = self.rpn(ImageList(images, sizes), named, known)
        return proposals, losses

    def pool(self, features: list[Tensor], boxes: list[Tensor], size: int) -> Tensor:
        """Features under each box, shape (R, channels, size, size), from the level that fits."""
        owner = torch.cat([torch.full_like(b[:, :1], i) for i, b in enumerate(boxes)])
        rois = torch.cat([owner, torch.cat(boxes)], dim=1).float()
        side = torch.sqrt(box_ops.box_area(rois[:, 1:]).clamp(min=1e-6))
        level = torch.floor(4 + torch.log2(side / self.arch.canonical_px + 1e-8))
        level = level.clamp(2, 1 + len(features)).long() - 2
        pooled = features[0].new_zeros((len(rois), features[0].shape[1], size, size))
        for index, feature in enumerate(features):
            chosen = torch.where(level == index)[0]
            if len(chosen):
                pooled[chosen] = pool_level(feature, rois[chosen], size, 1 / 2 ** (index + 2))
        return pooled

    def forward(self, images: Tensor, targets: list[Target], grade_weight: Tensor) -> Losses:
        """Losses of one batch.

        Args:
            images: shape (B, 3, H, W), or 6 bands, before first; 0 to 255.
            targets: one per image.
            grade_weight: shape (4,): how much a building of each grade counts.
        """
        features = self.features(images)
        proposals, losses = self.propose(images, features, targets)
        with torch.no_grad():
            samples = [sample_boxes(p.detach(), t) for p, t in zip(proposals, targets, strict=True)]
        logits, deltas = self.box_head(self.pool(features, [s.boxes for s in samples], 7))
        losses |= box_losses(logits.float(), deltas.float(), samples, grade_weight)
        positives = [s.boxes[s.positive][:MASKS_PER_IMAGE] for s in samples]
        if sum(map(len, positives)):
            masks = self.mask_head(self.pool(features, positives, 14)).float()[:, 0]
            losses["mask"] = functional.binary_cross_entropy_with_logits(
                masks, mask_targets(positives, samples, targets)
            )
        return losses


def comparing(network: DamageRCNN) -> DamageRCNN:
    """The same network, ready to learn from images before; it says what it said until it does."""
    if network.arch.sees_before:
        return network
    wider = DamageRCNN(replace(network.arch, sees_before=True))
    wider.load_state_dict(wider.state_dict() | network.state_dict())
    return wider


def alone(network: DamageRCNN) -> DamageRCNN:
    """The same network without the part that compares: what it says of an image after alone."""
    narrower = DamageRCNN(replace(network.arch, sees_before=False))
    state = network.state_dict()
    narrower.load_state_dict({key: state[key] for key in narrower.state_dict()})
    return narrower


def pool_level(feature: Tensor, rois: Tensor, size: int, scale: float) -> Tensor:
    """ROIAlign (aligned, two samples a side and bin) of one pyramid level.

    The same numbers as torchvision's ``roi_align`` to 1e-4. That one walks single values on a CPU;
    here each of the 16 corners a bin is made of is a row of all channels, and their weighted sum is
    an embedding bag: 8 times faster forward and 5 times backward on one core.

    Args:
        feature: shape (B, C, H, W).
        rois: shape (R, 5): index of the image, then a box in image pixels.
        size: bins a side.
        scale: feature pixels per image pixel.

    Returns:
        Shape (R, C, size, size).
    """
    if feature.is_cuda:
        return cast("Tensor", roi_align(feature, rois, size, scale, 2, aligned=True))
    _, channels, height, width = feature.shape
    rows, row_weight = _corners(rois[:, 2] * scale, rois[:, 4] * scale, size, height)
    cols, col_weight = _corners(rois[:, 1] * scale, rois[:, 3] * scale, size, width)
    image = rois[:, 0].long()[:, None, None, None, None]
    index = (image * height + rows[:, :, None, :, None]) * width + cols[:, None, :, None, :]
    weight = row_weight[:, :, None, :, None] * col_weight[:, None, :, None, :]
    table = feature.permute(0, 2, 3, 1).reshape(-1, channels)
    bags = functional.embedding_bag(
        index.reshape(-1, 16), table, per_sample_weights=weight.reshape(-1, 16), mode="sum"
    )
    return bags.view(len(rois), size, size, channels).permute(0, 3, 1, 2)


def _corners(start: Tensor, end: Tensor, size: int, length: int) -> tuple[Tensor, Tensor]:
    """Pixels and weights that two samples a bin are interpolated from, both (R, size, 4)."""
    steps = (torch.arange(2 * size, dtype=start.dtype, device=start.device) + 0.5) / (2 * size)
    place = start[:, None] - 0.5 + steps * (end - start)[:, None]
    inside = (place > -1) & (place < length)  # beyond, a sample counts nothing
    place = place.clamp(0, length - 1)
    low = place.floor()
    above = place - low
    pixels = torch.stack([low, (low + 1).clamp(max=length - 1)], dim=-1).long()
    weights = torch.stack([1 - above, above], dim=-1) * inside[..., None] / 2
    return pixels.view(-1, size, 4), weights.view(-1, size, 4)


class NoExtraLevel(ExtraFPNBlock):  # type: ignore[misc]
    """Stands in for torchvision's extra pooled level, which small buildings do not need."""

    def forward(
        self, results: list[Tensor], _inputs: list[Tensor], names: list[str]
    ) -> tuple[list[Tensor], list[str]]:
        """Return the levels as they are."""
        return results, names


@dataclass(frozen=True, slots=True)
class Sample:
    """The proposals of one image that the second stage learns from.

    Attributes:
        boxes: shape (S, 4).
        positive: shape (S,), bool.
        matched: shape (S,), int64: which building; meaningless where not positive.
        truth: shape (S, 4): that building's box.
        grades: shape (S,), int64: its grade, or ``UNKNOWN_GRADE``.
    """

    boxes: Tensor
    positive: Tensor
    matched: Tensor
    truth: Tensor
    grades: Tensor


def sample_boxes(
    proposals: Tensor, target: Target, *, count: int = 112, positive_share: float = 0.33
) -> Sample:
    """Choose proposals, the true boxes among them: positives at IoU 0.5 or more."""
    boxes = torch.cat([proposals, target.boxes])
    if len(target.boxes):
        overlap, matched = box_ops.box_iou(boxes, target.boxes).max(dim=1)
    else:
        overlap, matched = boxes.new_zeros(len(boxes)), boxes.new_zeros(len(boxes)).long()
    positive = overlap >= 0.5
    negative = ~positive & ~over_ignored(boxes, target.ignore)
    chosen_positive = _some(positive, int(count * positive_share))
    chosen_negative = _some(negative, count - len(chosen_positive))
    chosen = torch.cat([chosen_positive, chosen_negative])
    matched = matched[chosen]
    is_positive = positive[chosen]
    if len(target.boxes):
        truth, grades = target.boxes[matched], target.grades[matched]
    else:
        truth, grades = boxes[chosen], torch.full_like(matched, UNKNOWN_GRADE)
    return Sample(boxes[chosen], is_positive, matched, truth, grades)


def box_losses(
    logits: Tensor, deltas: Tensor, samples: list[Sample], grade_weight: Tensor
) -> Losses:
    """Building or not, which grade (where it is known), and where exactly."""
    positive = torch.cat([s.positive for s in samples])
    grades = torch.cat([s.grades for s in samples])
    boxes = torch.cat([s.boxes for s in samples])
    truth = torch.cat([s.truth for s in samples])
    # p(building) = 1 - p(background): a building of unknown grade teaches just this.
    building = torch.logsumexp(logits[:, 1:], dim=1) - logits[:, 0]
    losses = {"building": functional.binary_cross_entropy_with_logits(building, positive.float())}
    graded = positive & (grades >= 0)
    losses["grade"] = logits.sum() * 0
    if graded.any():
        each = functional.cross_entropy(logits[graded, 1:], grades[graded], reduction="none")
        weight = grade_weight[grades[graded]]
        losses["grade"] = (each * weight).sum() / weight.sum().clamp(min=1.0)
    offset = encode(truth[positive], boxes[positive]) - deltas[positive]
    zero = torch.zeros_like(offset)
    losses["box"] = functional.smooth_l1_loss(offset, zero, beta=0.5, reduction="sum") / max(
        1, len(positive)
    )
    return losses


def mask_targets(
    positives: list[Tensor], samples: list[Sample], targets: list[Target], size: int = 28
) -> Tensor:
    """The true mask inside each positive box, shape (P, size, size), float32 0 or 1."""
    cut = []
    for boxes, sample, target in zip(positives, samples, targets, strict=True):
        if len(boxes):
            owner = sample.matched[sample.positive][: len(boxes)]
            rois = torch.cat([owner[:, None].to(boxes), boxes], dim=1)
            masks = target.masks[:, None].to(boxes)
            cut.append(roi_align(masks, rois, size, 1.0, 2, aligned=True)[:, 0] >= 0.5)
    return torch.cat(cut).float()


def encode(truth: Tensor, boxes: Tensor) -> Tensor:
    """Deltas that turn ``boxes`` into ``truth``, both (N, 4); as Girshick et al. 2014, app. C."""
    wide, high = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    true_wide, true_high = truth[:, 2] - truth[:, 0], truth[:, 3] - truth[:, 1]
    dx = (truth[:, 0] + truth[:, 2] - boxes[:, 0] - boxes[:, 2]) / 2 / wide
    dy = (truth[:, 1] + truth[:, 3] - boxes[:, 1] - boxes[:, 3]) / 2 / high
    logs = torch.log(true_wide / wide), torch.log(true_high / high)
    return torch.stack([dx, dy, *logs], dim=1) * boxes.new_tensor(BOX_WEIGHTS)


def decode(deltas: Tensor, boxes: Tensor) -> Tensor:
    """The boxes that ``deltas`` make of ``boxes``; the inverse of ``encode``."""
    wide, high = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    dx, dy, dw, dh = (deltas / deltas.new_tensor(BOX_WEIGHTS)).unbind(dim=1)
    col = (boxes[:, 0] + boxes[:, 2]) / 2 + dx * wide
    row = (boxes[:, 1] + boxes[:, 3]) / 2 + dy * high
    half_wide = torch.exp(dw.clamp(max=MAX_LOG_SCALE)) * wide / 2
    half_high = torch.exp(dh.clamp(max=MAX_LOG_SCALE)) * high / 2
    return torch.stack([col - half_wide, row - half_high, col + half_wide, row + half_high], dim=1)


def _some(wanted: Tensor, at_most: int) -> Tensor:
    """Indices where ``wanted`` is true, at most so many, chosen by torch's own generator."""
    found = torch.where(wanted)[0]
    if len(found) <= at_most:
        return found
    return found[torch.randperm(len(found), device=found.device)[:at_most]]


def over_ignored(boxes: Tensor, ignore: Tensor) -> Tensor:
    """Which boxes lie by at least half over ignored ground; by an integral image."""
    if not ignore.any():
        return torch.zeros(len(boxes), dtype=torch.bool, device=boxes.device)
    height, width = ignore.shape
    table = functional.pad(ignore.float(), (1, 0, 1, 0)).cumsum(0).cumsum(1)
    x0, x1 = (boxes[:, i].round().long().clamp(0, width) for i in (0, 2))
    y0, y1 = (boxes[:, i].round().long().clamp(0, height) for i in (1, 3))
    inside = table[y1, x1] - table[y0, x1] - table[y1, x0] + table[y0, x0]
    area = ((x1 - x0) * (y1 - y0)).clamp(min=1)
    return inside >= 0.5 * area
