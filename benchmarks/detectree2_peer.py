"""Our pipeline beside detectree2's tiling and stitching: the same weights, tiles, least score.

    python -m benchmarks.detectree2_peer SCENE.tif [--model FOLDER]

detectree2 (https://github.com/PatBall1/detectree2) and the Detectron2 it imports are no
dependencies of the project: install them where this runs (tried with detectree2 2.1.2, commit
39da1ba). It runs as its documentation has it for whole orthomosaics: tiles to files, a prediction
file for each, outlines to the ground, stitching, cleaning (IoU 0.3, which is what counts here as a
duplicate). Its predictor is our model, so both look with the same network; colours stay as they
are, for the model learned from such. Its tiles are whole metres. See ``peers`` for the rest.
"""

import math
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import torch
from numpy.typing import NDArray
from shapely.geometry import Polygon

from benchmarks import peers
from benchmarks.peers import DUPLICATE_IOU, OVERLAP_PX, TILE_PX, in_pixels, pasted
from detection.detector import Detector

MASK_THRESHOLD = 0.5


def main(arguments: list[str] | None = None) -> None:
    """Print every figure."""
    peers.compare(
        "detectree2",
        "benchmarks.detectree2_peer",
        _by_detectree2,
        needs=("detectree2.models.predict", "detectree2.preprocessing.tiling"),
        arguments=arguments,
    )


def _by_detectree2(scene: Path, detector: Detector, raw: float) -> list[Polygon]:
    from detectree2.models.outputs import clean_crowns, project_to_geojson, stitch_crowns
    from detectree2.models.predict import predict_on_data
    from detectree2.preprocessing.tiling import tile_data

    with rasterio.open(scene) as dataset:
        pixel_m, inverse = dataset.transform.a, ~dataset.transform
    buffer_m = math.ceil(OVERLAP_PX / 2 * pixel_m)
    side_m = math.floor(TILE_PX * pixel_m) - 2 * buffer_m
    with tempfile.TemporaryDirectory() as folder:
        tiles, answers, outlines = (Path(folder) / name for name in ("tiles", "answers", "ground"))
        tile_data(
            str(scene),
            str(tiles),
            buffer=buffer_m,
            tile_width=side_m,
            tile_height=side_m,
            nan_threshold=0.99,
            dtype_bool=True,
            enhance_rgb_contrast=False,
            full_coverage=True,
        )
        predict_on_data(tiles, answers, predictor=_Predictor(detector, raw))
        project_to_geojson(tiles, answers, outlines)
        crowns = stitch_crowns(str(outlines), shift=1)
        crowns = clean_crowns(crowns, iou_threshold=DUPLICATE_IOU, confidence=0.0, verbose=False)
    return in_pixels(crowns.geometry, inverse)


class _Predictor:
    """Our model as Detectron2's predictors answer: masks as large as the image."""

    def __init__(self, detector: Detector, least: float) -> None:
        self._detector, self._least = detector, least

    def __call__(self, image: NDArray[np.uint8]) -> dict[str, Any]:
        """An image of shape (H, W, 3), blue first."""
        from detectron2.structures import Boxes, Instances

        batch = np.ascontiguousarray(image[:, :, ::-1].transpose(2, 0, 1)[None])
        (found,) = self._detector.predict(batch, min_score=self._least)
        height, width = image.shape[:2]
        return {
            "instances": Instances(
                (height, width),
                pred_boxes=Boxes(torch.from_numpy(found.boxes)),
                scores=torch.from_numpy(found.scores),
                pred_classes=torch.zeros(len(found.boxes), dtype=torch.int64),
                pred_masks=pasted(found, height, width) >= MASK_THRESHOLD,
            )
        }


if __name__ == "__main__":
    main()
