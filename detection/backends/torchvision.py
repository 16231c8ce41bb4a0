"""The default engine: our Mask R-CNN in torchvision, on a CPU or a GPU."""

import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torchvision.ops import boxes as box_ops
from torchvision.ops import nms

from detection.backends.proposals import best_proposals
from detection.backends.rcnn import GRADE_COUNT, Architecture, DamageRCNN, decode
from detection.detector import BoxGrades, ModelSpec, TileDetections
from detection.errors import ModelUnavailable
from detection.weights import read_card, read_spec, read_weights

MAX_DETECTIONS = 600  # a tile; the densest xBD scene has under 500 buildings
SAME_BUILDING_IOU = 0.4  # boxes that overlap more are one building, whatever their grades
LEAST_BOX_PX = 2.0
MASK_CHUNK = 128
BOX_CHUNK = 1000  # as many as there are proposals in a tile
GPU_BATCH = 8


def load_network(folder: Path) -> DamageRCNN:
    """Build the network a card describes and fill it with the weights the card names.

    Raises:
        ModelUnavailable: anything is missing, damaged, misshapen or not finite.
    """
    card = read_card(folder)
    try:
        network = DamageRCNN(Architecture.from_json(card["architecture"]))
        state = {key: value.float() for key, value in load(read_weights(folder)).items()}
        if not all(torch.isfinite(value).all() for value in state.values()):
            raise ModelUnavailable(f"{folder.name}: weights are not finite")
        for key, value in network.state_dict().items():
            if not value.is_floating_point() and key in state:
                state[key] = state[key].to(value.dtype)
        network.load_state_dict(state)
    except (KeyError, TypeError, ValueError, RuntimeError, SafetensorError) as error:
        raise ModelUnavailable(f"{folder.name}: {error}") from error
    return network


class TorchvisionDetector:
    """One trained model, ready on one device.

    Attributes:
        forward_seconds: time spent in backbone, pyramid, proposal head and box head so far;
            suppression and masks are not counted. For benchmarks.
    """

    def __init__(self, folder: Path, *, device: str, dtype: torch.dtype | None = None) -> None:
        """Load a model; ``dtype`` is the number format that is fast here, unless given."""
        self._spec = read_spec(folder)
        self._device = torch.device(device)
        network = load_network(folder).eval()
        _fuse(network.backbone.body)
        self._dtype = dtype or working_type(self._device)
        self._network = network.to(self._device).to(memory_format=torch.channels_last)
        self.forward_seconds = 0.0

    @property
    def spec(self) -> ModelSpec:
        """What the model is."""
        return self._spec

    @property
    def batch_size(self) -> int:
        """Tiles at once."""
        return 1 if self._device.type == "cpu" else GPU_BATCH

    def predict(self, images: NDArray[np.uint8], *, min_score: float) -> list[TileDetections]:
        """Find buildings in images of shape (B, 3, H, W); see ``Detector``."""
        with torch.inference_mode(), self._working():
            return self._predict(torch.from_numpy(images).to(self._device).float(), min_score)

    def grade(
        self, images: NDArray[np.uint8], boxes: Sequence[NDArray[np.float32]]
    ) -> list[BoxGrades]:
        """Judge given boxes in images of shape (B, 3, H, W); see ``BoxGrader``."""
        with torch.inference_mode(), self._working():
            features = self._network.features(torch.from_numpy(images).to(self._device).float())
            return [
                self._grade([feature[index : index + 1] for feature in features], given)
                for index, given in enumerate(boxes)
            ]

    def _grade(self, features: list[Tensor], boxes: NDArray[np.float32]) -> BoxGrades:
        """Judge the boxes of one image, a bounded number at a time."""
        given = torch.from_numpy(np.ascontiguousarray(boxes)).to(self._device)
        parts = [
            self._network.box_head(self._network.pool(features, [chunk], 7))[0].float()
            for chunk in torch.split(given, BOX_CHUNK)
            if len(chunk)
        ]
        return to_grades(torch.cat(parts) if parts else given.new_zeros((0, 1 + GRADE_COUNT)))

    def _working(self) -> torch.autocast:
        return torch.autocast(self._device.type, self._dtype, enabled=self._dtype != torch.float32)

    def _predict(self, images: Tensor, min_score: float) -> list[TileDetections]:
        network = self._network
        began = self._clock()
        features = network.features(images)
        places, moves = network.rpn.head(features)
        self.forward_seconds += self._clock() - began
        size = (images.shape[2], images.shape[3])
        proposals = best_proposals(network.rpn, places, moves, size)
        began = self._clock()
        logits, deltas = network.box_head(network.pool(features, proposals, 7))
        self.forward_seconds += self._clock() - began
        counts = [len(p) for p in proposals]
        kept = [
            select(*of_one, size=size, min_score=min_score)
            for of_one in zip(
                proposals,
                torch.split(logits.float(), counts),
                torch.split(deltas.float(), counts),
                strict=True,
            )
        ]
        masks = self._masks(features, [boxes for boxes, _, _ in kept])
        return [to_detections(*found, mask) for found, mask in zip(kept, masks, strict=True)]

    def _masks(self, features: list[Tensor], boxes: list[Tensor]) -> list[Tensor]:
        """Mask probabilities for the boxes that are kept, a bounded number at a time."""
        done = []
        for index, own in enumerate(boxes):
            level = [feature[index : index + 1] for feature in features]
            parts = [
                self._network.mask_head(self._network.pool(level, [chunk], 14))[:, 0].float()
                for chunk in torch.split(own, MASK_CHUNK)
                if len(chunk)
            ]
            done.append(torch.cat(parts).sigmoid() if parts else own.new_zeros((0, 28, 28)))
        return done

    def _clock(self) -> float:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        return time.perf_counter()


def working_type(device: torch.device) -> torch.dtype:
    """The number format that is fast here: bfloat16 where the processor multiplies in it."""
    if device.type == "cuda":
        return torch.float16
    return torch.bfloat16 if cpu_has_bfloat16() else torch.float32


@cache
def cpu_has_bfloat16() -> bool:
    """Whether this processor multiplies bfloat16 matrices itself; else it would be slower."""
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def select(
    proposals: Tensor,
    logits: Tensor,
    deltas: Tensor,
    *,
    size: tuple[int, int],
    min_score: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Boxes, building scores and grade probabilities worth keeping, best first."""
    boxes = decode(deltas, proposals)
    return keep_best(boxes, logits, size=size, min_score=min_score)[:3]


def keep_best(
    boxes: Tensor, logits: Tensor, *, size: tuple[int, int], min_score: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The boxes worth keeping, best first.

    Suppression does not look at the grade: one building is one detection.

    Args:
        boxes: shape (R, 4).
        logits: shape (R, 5), background first.
        size: height and width of the image, in pixels.
        min_score: less sure ones are left out.

    Returns:
        Boxes inside the image, building scores, grade probabilities, and which of the R they were.
    """
    scores = 1 - logits.softmax(dim=1)[:, 0]
    grades = logits[:, 1:].softmax(dim=1)
    boxes = box_ops.clip_boxes_to_image(boxes, size)
    side = torch.minimum(boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1])
    good = torch.where((scores >= min_score) & (side >= LEAST_BOX_PX))[0]
    best = good[nms(boxes[good], scores[good], SAME_BUILDING_IOU)[:MAX_DETECTIONS]]
    return boxes[best], scores[best], grades[best], best


def to_detections(boxes: Tensor, scores: Tensor, grades: Tensor, masks: Tensor) -> TileDetections:
    """One image's N detections as arrays; masks have shape (N, h, w)."""
    return TileDetections(
        boxes=boxes.cpu().numpy(),
        masks=tuple(masks.cpu().numpy()),
        scores=scores.cpu().numpy(),
        probabilities=grades.cpu().numpy(),
    )


def to_grades(logits: Tensor) -> BoxGrades:
    """What logits of shape (N, 5), background first, say of N given buildings."""
    return BoxGrades(
        scores=(1 - logits.softmax(dim=1)[:, 0]).cpu().numpy(),
        probabilities=logits[:, 1:].softmax(dim=1).cpu().numpy(),
    )


def _fuse(body: nn.Module) -> None:
    """Fold each normalisation into the convolution before it; same answer, fewer passes."""
    pairs = [("conv1", "bn1"), ("conv2", "bn2"), ("conv3", "bn3"), ("0", "1")]
    for module in body.modules():
        for conv, norm in pairs:
            first, second = getattr(module, conv, None), getattr(module, norm, None)
            if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
                setattr(module, conv, fuse_conv_bn_eval(first, second))
                setattr(module, norm, nn.Identity())
