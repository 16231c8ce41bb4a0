"""The network of ``rcnn.py`` as Detectron2 builds it: its GeneralizedRCNN with a feature pyramid.

All of it is Detectron2's own but for what its parts cannot do:

- boxes are suppressed whatever their grades, whose probabilities are all kept (``GradedLayers``);
- the size of box that belongs to a pyramid level can be set (``DamageHeads``);
- an image before the disaster is compared with the one after it (``PairBackbone``);
- ground of which nothing is known teaches nothing (``UncertainRPN``, ``DamageHeads``), and a
  building of unknown grade teaches only that it is one (``GradedLayers``).
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from detection.backends.quiet import without_old_warnings
from detection.backends.rcnn import (
    BOX_WEIGHTS,
    GRADE_COUNT,
    PIXEL_MEAN,
    PIXEL_STD,
    RGB,
    UNKNOWN_GRADE,
    Architecture,
    Comparison,
    Losses,
    Sample,
    box_losses,
    compare_pairs,
    over_ignored,
)
from detection.backends.torchvision import MAX_DETECTIONS, SAME_BUILDING_IOU, keep_best

with without_old_warnings():
    from detectron2.config import CfgNode, get_cfg
    from detectron2.layers import ShapeSpec
    from detectron2.modeling import (
        BACKBONE_REGISTRY,
        FPN,
        META_ARCH_REGISTRY,
        PROPOSAL_GENERATOR_REGISTRY,
        ROI_HEADS_REGISTRY,
        Backbone,
        build_model,
    )
    from detectron2.modeling.backbone.fpn import build_resnet_fpn_backbone
    from detectron2.modeling.meta_arch import GeneralizedRCNN
    from detectron2.modeling.proposal_generator import RPN
    from detectron2.modeling.roi_heads import FastRCNNOutputLayers, StandardROIHeads
    from detectron2.structures import Boxes, Instances, pairwise_iou

LEVELS = ["p2", "p3", "p4", "p5"]
POSITIVE_IOU = 0.5
BUILDING = 0  # the one class that Detectron2 hears of; grades travel beside it


def configure(arch: Architecture, device: str) -> CfgNode:
    """Detectron2's configuration of our architecture."""
    cfg = get_cfg()
    cfg.INPUT.FORMAT = "RGB"
    cfg.TEST.DETECTIONS_PER_IMAGE = MAX_DETECTIONS
    model = cfg.MODEL
    model.META_ARCHITECTURE = DamageGeneralizedRCNN.__name__
    model.DEVICE = device
    model.MASK_ON = True
    images = 2 if arch.sees_before else 1
    model.PIXEL_MEAN, model.PIXEL_STD = list(PIXEL_MEAN) * images, list(PIXEL_STD) * images
    _configure_backbone(model, arch)
    _configure_proposals(model, arch)
    _configure_heads(model, arch)
    return cfg


def _configure_backbone(model: CfgNode, arch: Architecture) -> None:
    depth = int(arch.backbone.removeprefix("resnet"))
    pairs = build_pair_backbone.__name__
    model.BACKBONE.NAME = pairs if arch.sees_before else "build_resnet_fpn_backbone"
    model.BACKBONE.FREEZE_AT = 0
    model.RESNETS.DEPTH = depth
    model.RESNETS.NORM = "BN"
    model.RESNETS.STRIDE_IN_1X1 = False  # torchvision's ResNets take their steps in the 3 x 3
    model.RESNETS.RES2_OUT_CHANNELS = 64 if depth < 50 else 256
    model.RESNETS.OUT_FEATURES = model.FPN.IN_FEATURES = ["res2", "res3", "res4", "res5"]
    model.FPN.OUT_CHANNELS = arch.channels


def _configure_proposals(model: CfgNode, arch: Architecture) -> None:
    model.ANCHOR_GENERATOR.SIZES = [[size] for size in arch.anchor_sizes]
    model.ANCHOR_GENERATOR.ASPECT_RATIOS = [list(arch.anchor_ratios)]
    model.PROPOSAL_GENERATOR.NAME = UncertainRPN.__name__
    model.PROPOSAL_GENERATOR.MIN_SIZE = 0.001
    model.RPN.IN_FEATURES = LEVELS  # Detectron2's extra pooled level is made and not asked
    model.RPN.IOU_THRESHOLDS = [0.3, 0.6]
    model.RPN.SMOOTH_L1_BETA = 1 / 9
    model.RPN.PRE_NMS_TOPK_TRAIN, model.RPN.POST_NMS_TOPK_TRAIN = 600, 400
    model.RPN.PRE_NMS_TOPK_TEST, model.RPN.POST_NMS_TOPK_TEST = 1000, 1000


def _configure_heads(model: CfgNode, arch: Architecture) -> None:
    heads, box, mask = model.ROI_HEADS, model.ROI_BOX_HEAD, model.ROI_MASK_HEAD
    heads.NAME = DamageHeads.__name__
    heads.IN_FEATURES = LEVELS
    heads.NUM_CLASSES = GRADE_COUNT
    heads.CANONICAL_PX = arch.canonical_px  # ours: the side of a box pooled at stride 16
    heads.IOU_THRESHOLDS = [POSITIVE_IOU]
    heads.BATCH_SIZE_PER_IMAGE, heads.POSITIVE_FRACTION = 112, 0.33
    heads.NMS_THRESH_TEST = SAME_BUILDING_IOU
    box.NAME, box.NUM_FC, box.FC_DIM = "FastRCNNConvFCHead", 2, arch.fc
    box.CLS_AGNOSTIC_BBOX_REG = True
    box.BBOX_REG_WEIGHTS = BOX_WEIGHTS
    mask.NAME, mask.NUM_CONV = "MaskRCNNConvUpsampleHead", arch.mask_layers
    mask.CONV_DIM = arch.mask_channels
    mask.CLS_AGNOSTIC_MASK = True
    for head, size in ((box, 7), (mask, 14)):
        head.POOLER_TYPE, head.POOLER_RESOLUTION = "ROIAlignV2", size  # V2: aligned
        head.POOLER_SAMPLING_RATIO = 2


def build_network(arch: Architecture, device: str) -> "DamageGeneralizedRCNN":
    """The network with random weights, on its device."""
    network: DamageGeneralizedRCNN = build_model(configure(arch, device))
    return network


@BACKBONE_REGISTRY.register()  # type: ignore[untyped-decorator]
def build_pair_backbone(cfg: CfgNode, _: ShapeSpec) -> "PairBackbone":
    """What Detectron2 builds for a network that sees images before as well."""
    return PairBackbone(build_resnet_fpn_backbone(cfg, ShapeSpec(channels=RGB)))


class PairBackbone(Backbone):  # type: ignore[misc]
    """Detectron2's backbone, used on both images of a pair; their pyramids are compared.

    Takes normalised images of shape (B, 6, H, W), before first. Where the image before was black
    it shows nothing; what Detectron2 fills up at the rim counts as shown, in both alike.
    """

    black: Tensor

    def __init__(self, single: FPN) -> None:
        super().__init__()
        self.single = single
        shapes = single.output_shape()
        self.compare = nn.ModuleList(Comparison(shapes[name].channels) for name in LEVELS)
        black = -torch.tensor(PIXEL_MEAN) / torch.tensor(PIXEL_STD)
        self.register_buffer("black", black.view(1, RGB, 1, 1), persistent=False)

    @property
    def bottom_up(self) -> nn.Module:
        """The part that is frozen or learns more slowly."""
        part: nn.Module = self.single.bottom_up
        return part

    @property
    def size_divisibility(self) -> int:
        """Sides of images are filled up to multiples of it."""
        return int(self.single.size_divisibility)

    def output_shape(self) -> dict[str, ShapeSpec]:
        """As the backbone's."""
        shapes: dict[str, ShapeSpec] = self.single.output_shape()
        return shapes

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """The pyramid, by level."""
        before, after = images[:, :RGB], images[:, RGB:]
        known = (before != self.black).any(dim=1, keepdim=True)
        found = dict(
            zip(
                LEVELS,
                compare_pairs(self.compare, self._levels, after, before, known),
                strict=True,
            )
        )
        return found | {"p6": functional.max_pool2d(found["p5"], 1, 2)}  # made, and not asked

    def _levels(self, images: Tensor) -> list[Tensor]:
        pyramid = self.single(images)
        return [pyramid[name] for name in LEVELS]


class Labels(Instances):  # type: ignore[misc]
    """What is known of one image: its buildings, and where nothing is known.

    Fields: ``gt_boxes``, ``gt_classes`` (all ``BUILDING``), ``gt_grades`` (0 to 3, or
    ``UNKNOWN_GRADE``) and ``gt_masks``.
    """

    def __init__(self, ignore: Tensor, **fields: Any) -> None:  # noqa: ANN401 - Detectron2's
        super().__init__(tuple(ignore.shape), **fields)
        self._ignore = ignore

    @property
    def ignore(self) -> Tensor:
        """Shape (H, W), bool: neither building nor background."""
        return self._ignore

    def to(self, *args: Any, **kwargs: Any) -> "Labels":  # noqa: ANN401 - as torch's
        """The same on another device."""
        moved = super().to(*args, **kwargs)
        return Labels(self._ignore.to(*args, **kwargs), **moved.get_fields())


@META_ARCH_REGISTRY.register()
class DamageGeneralizedRCNN(GeneralizedRCNN):  # type: ignore[misc]
    """Detectron2's, which can be told with each call how sure it has to be."""

    def detect(self, images: Tensor, min_score: float) -> list[Instances]:
        """What is seen in images of shape (B, C, H, W), 0 to 255.

        Returns:
            Per image: ``pred_boxes``, ``scores``, ``probabilities`` (N, 4) and ``pred_masks``
            (N, 1, 28, 28), best first.
        """
        with without_old_warnings():
            batch = self.preprocess_image([{"image": image} for image in images])
            features = self.backbone(batch.tensor)
            proposals, _ = self.proposal_generator(batch, features, None)
            found: list[Instances] = self.roi_heads.detect(features, proposals, min_score)
        return found

    def judge(self, images: Tensor, boxes: list[Tensor]) -> list[Tensor]:
        """What is said of given boxes, (N, 4) per image: logits (N, 5), background first."""
        with without_old_warnings():
            batch = self.preprocess_image([{"image": image} for image in images])
            features = self.backbone(batch.tensor)
            logits: list[Tensor] = self.roi_heads.judge(features, boxes)
        return logits


@PROPOSAL_GENERATOR_REGISTRY.register()
class UncertainRPN(RPN):  # type: ignore[misc]
    """Proposals that are not punished for what they find where nothing is known."""

    def label_and_sample_anchors(
        self, anchors: list[Boxes], gt_instances: list[Labels]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """As Detectron2's, but background anchors over ignored ground are not sampled."""
        labels, matched = super().label_and_sample_anchors(anchors, gt_instances)
        every = Boxes.cat(anchors).tensor
        for label, known in zip(labels, gt_instances, strict=True):
            label[(label == 0) & over_ignored(every, known.ignore)] = -1
            super()._subsample_labels(label)
        return labels, matched

    def _subsample_labels(self, label: Tensor) -> Tensor:
        """Nothing yet: what is ignored goes first, above."""
        return label


@ROI_HEADS_REGISTRY.register()
class DamageHeads(StandardROIHeads):  # type: ignore[misc]
    """Detectron2's, with smaller buildings on finer levels and ignored ground left out."""

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: dict[str, Any]) -> dict[str, Any]:
        """What Detectron2 builds, with our last layers."""
        parts: dict[str, Any] = super().from_config(cfg, input_shape)
        for pooler in (parts["box_pooler"], parts["mask_pooler"]):
            pooler.canonical_box_size = cfg.MODEL.ROI_HEADS.CANONICAL_PX
        parts["box_predictor"] = GradedLayers(cfg, parts["box_head"].output_shape)
        return parts

    def detect(
        self, features: dict[str, Tensor], proposals: list[Instances], min_score: float
    ) -> list[Instances]:
        """Boxes, scores, grades and masks that are at least so sure."""
        levels = [features[name] for name in self.box_in_features]
        pooled = self.box_pooler(levels, [p.proposal_boxes for p in proposals])
        predictions = self.box_predictor(self.box_head(pooled))
        found, _ = self.box_predictor.inference(predictions, proposals, min_score)
        kept: list[Instances] = self.forward_with_given_boxes(features, found)
        return kept

    def judge(self, features: dict[str, Tensor], boxes: list[Tensor]) -> list[Tensor]:
        """Logits for given boxes, per image; nothing is proposed, moved or left out."""
        levels = [features[name] for name in self.box_in_features]
        pooled = self.box_pooler(levels, [Boxes(one) for one in boxes])
        logits, _ = self.box_predictor(self.box_head(pooled))
        counts = [len(one) for one in boxes]
        return list(torch.split(_background_first(logits.float()), counts))

    def label_and_sample_proposals(
        self, proposals: list[Instances], targets: list[Labels]
    ) -> list[Instances]:
        """As Detectron2's, but no background is taken from ignored ground."""
        usable = [_usable(p, known) for p, known in zip(proposals, targets, strict=True)]
        sampled: list[Instances] = super().label_and_sample_proposals(usable, targets)
        return sampled


def _usable(proposals: Instances, known: Labels) -> Instances:
    """Proposals that are buildings, or that lie on ground of which something is known."""
    wanted = ~over_ignored(proposals.proposal_boxes.tensor, known.ignore)
    if len(known):
        overlap = pairwise_iou(proposals.proposal_boxes, known.gt_boxes).max(dim=1).values
        wanted |= overlap >= POSITIVE_IOU
    return proposals[wanted]


class GradedLayers(FastRCNNOutputLayers):  # type: ignore[misc]
    """Five scores (four grades, then background) read as: a building? and if so, which grade?

    Attributes:
        grade_weight: shape (4,): how much a building of each grade counts; for training.
    """

    grade_weight: Tensor

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - Detectron2 fills them
        super().__init__(*args, **kwargs)
        self.register_buffer("grade_weight", torch.ones(GRADE_COUNT), persistent=False)

    def inference(
        self,
        predictions: tuple[Tensor, Tensor],
        proposals: list[Instances],
        min_score: float | None = None,
    ) -> tuple[list[Instances], list[Tensor]]:
        """Each building once, whatever its grade.

        Args:
            predictions: logits, shape (R, 5), and deltas, shape (R, 4).
            proposals: of each image.
            min_score: the configuration's unless given.

        Returns:
            What was found, and which proposals it came from.
        """
        least = self.test_score_thresh if min_score is None else min_score
        counts = [len(p) for p in proposals]
        logits = torch.split(_background_first(predictions[0].float()), counts)
        found, origins = [], []
        for image, boxes, of_image in zip(
            proposals, self.predict_boxes(predictions, proposals), logits, strict=True
        ):
            size = image.image_size
            kept, scores, grades, origin = keep_best(boxes, of_image, size=size, min_score=least)
            found.append(
                Instances(
                    size,
                    pred_boxes=Boxes(kept),
                    scores=scores,
                    probabilities=grades,
                    pred_classes=grades.argmax(dim=1),
                )
            )
            origins.append(origin)
        return found, origins

    def losses(self, predictions: tuple[Tensor, Tensor], proposals: list[Instances]) -> Losses:
        """Building or not, which grade (where it is known), and where exactly."""
        logits, deltas = predictions
        samples = [_sample(image) for image in proposals]
        return box_losses(
            _background_first(logits.float()), deltas.float(), samples, self.grade_weight
        )


def _background_first(logits: Tensor) -> Tensor:
    return logits.roll(1, dims=1)


def _sample(image: Instances) -> Sample:
    """Detectron2's sample of one image as ours; without buildings it has no truth."""
    boxes, classes = image.proposal_boxes.tensor, image.gt_classes
    if image.has("gt_grades"):
        truth, grades = image.gt_boxes.tensor, image.gt_grades
    else:
        truth, grades = boxes, torch.full_like(classes, UNKNOWN_GRADE)
    return Sample(boxes, classes == BUILDING, torch.zeros_like(classes), truth, grades)
