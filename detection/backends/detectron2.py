"""The GPU workers' engine: our Mask R-CNN as Detectron2 builds it, from the same weights file.

The same answers as ``torchvision.py``. What may differ, both in float32:

- Sums are added up in another order (ROIAlign, normalisation that is not folded into the
  convolutions). On six xBD tiles all sure detections (score over 0.3) of either engine matched one
  of the other, with scores within 4e-6 and an IoU of at least 0.9999. Where two boxes overlap
  within such a difference of a threshold of suppression, another one of the two may stay.
- Detectron2 fills images up to a multiple of 32 pixels on the right and at the bottom; torchvision
  does not. Tiles are such multiples; of any other size, what lies near those edges may differ.
- In half precision every engine rounds on its own: there the two agree less closely.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from detection.backends.d2_names import to_detectron2
from detection.backends.d2_network import DamageGeneralizedRCNN, build_network
from detection.backends.torchvision import (
    GPU_BATCH,
    load_network,
    to_detections,
    to_grades,
    working_type,
)
from detection.detector import BoxGrades, ModelSpec, TileDetections
from detection.weights import read_spec


def load_detectron2(folder: Path, device: str) -> DamageGeneralizedRCNN:
    """Detectron2's network with the weights of a model folder.

    They are read by our own loader: Detectron2's unpickles.

    Raises:
        ModelUnavailable: anything is missing, damaged, misshapen or not finite.
    """
    ours = load_network(folder)
    network = build_network(ours.arch, device)
    network.load_state_dict(to_detectron2(ours.state_dict(), ours.arch))
    return network


class Detectron2Detector:
    """One trained model, ready on one device."""

    def __init__(self, folder: Path, *, device: str, dtype: torch.dtype | None = None) -> None:
        """Load a model; ``dtype`` is the number format that is fast here, unless given."""
        self._spec = read_spec(folder)
        self._device = torch.device(device)
        self._dtype = dtype or working_type(self._device)
        network = load_detectron2(folder, device).eval()
        self._network = network.to(memory_format=torch.channels_last)

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
            batch = torch.from_numpy(images).to(self._device).float()
            return [
                to_detections(
                    one.pred_boxes.tensor,
                    one.scores,
                    one.probabilities,
                    one.pred_masks[:, 0].float(),
                )
                for one in self._network.detect(batch, min_score)
            ]

    def grade(
        self, images: NDArray[np.uint8], boxes: Sequence[NDArray[np.float32]]
    ) -> list[BoxGrades]:
        """Judge given boxes in images of shape (B, 3, H, W); see ``BoxGrader``."""
        given = [torch.from_numpy(np.ascontiguousarray(one)).to(self._device) for one in boxes]
        with torch.inference_mode(), self._working():
            batch = torch.from_numpy(images).to(self._device).float()
            return [to_grades(logits) for logits in self._network.judge(batch, given)]

    def _working(self) -> torch.autocast:
        return torch.autocast(self._device.type, self._dtype, enabled=self._dtype != torch.float32)
