"""Our pipeline beside SAHI's sliced prediction: the same weights, tiles and least score.

    python -m benchmarks.sahi_peer SCENE.tif [--model FOLDER]

SAHI (https://github.com/obss/sahi) is no dependency of the project: install it where this runs
(tried with 0.12.8). It is given the model through its own adapter for torchvision, which wants
masks pasted to the size of a tile, as torchvision's models give them. See ``peers`` for the rest.
"""

from pathlib import Path

import numpy as np
import rasterio
import shapely
import torch
from shapely.geometry import Polygon
from torch import Tensor, nn

from benchmarks import peers
from benchmarks.peers import OVERLAP_PX, TILE_PX, pasted
from detection.detector import Detector


def main(arguments: list[str] | None = None) -> None:
    """Print every figure."""
    needs = ("sahi.models.torchvision", "sahi.predict")
    peers.compare("sahi", "benchmarks.sahi_peer", _by_sahi, needs=needs, arguments=arguments)


class _AsTorchvision(nn.Module):
    """The model as torchvision's detectors answer: masks as large as the image."""

    def __init__(self, detector: Detector, least: float) -> None:
        super().__init__()
        self._detector, self._least = detector, least

    def forward(self, images: list[Tensor]) -> list[dict[str, Tensor]]:
        """Images of shape (3, H, W), values 0 to 1."""
        return [self._one((image * 255).round().byte()) for image in images]

    def _one(self, image: Tensor) -> dict[str, Tensor]:
        (found,) = self._detector.predict(image[None].numpy(), min_score=self._least)
        return {
            "boxes": torch.from_numpy(found.boxes),
            "labels": torch.zeros(len(found.boxes), dtype=torch.int64),
            "scores": torch.from_numpy(found.scores),
            "masks": pasted(found, image.shape[1], image.shape[2]),
        }


def _by_sahi(scene: Path, detector: Detector, least: float) -> list[Polygon]:
    from sahi.models.torchvision import TorchVisionDetectionModel
    from sahi.predict import get_sliced_prediction

    with rasterio.open(scene) as dataset:
        image = np.ascontiguousarray(dataset.read([1, 2, 3]).transpose(1, 2, 0))
    model = TorchVisionDetectionModel(
        model=_AsTorchvision(detector, least),
        confidence_threshold=least,
        category_mapping={"0": "building"},
        device="cpu",
    )
    share = OVERLAP_PX / TILE_PX
    found = get_sliced_prediction(
        image,
        model,
        slice_height=TILE_PX,
        slice_width=TILE_PX,
        overlap_height_ratio=share,
        overlap_width_ratio=share,
        perform_standard_pred=False,
        verbose=0,
    )
    outlines = [_outline(one.mask.segmentation) for one in found.object_prediction_list if one.mask]
    return [outline for outline in outlines if not outline.is_empty]


def _outline(rings: list[list[float]]) -> Polygon:
    """The largest ring that SAHI gives of a building."""
    polygons = [Polygon(np.reshape(ring, (-1, 2))).buffer(0) for ring in rings if len(ring) >= 8]
    parts = [part for polygon in polygons for part in shapely.get_parts(polygon)]
    return max(parts, key=lambda part: part.area, default=Polygon())


if __name__ == "__main__":
    main()
