"""Our pipeline beside SAHI's sliced prediction: the same weights, tiles and least score.

    python -m benchmarks.sahi_peer SCENE.tif [--model FOLDER]

SAHI (https://github.com/obss/sahi) is no dependency of the project: install it where this runs
(tried with 0.12.8). It is given the model through its own adapter for torchvision, which wants
masks pasted to the size of a tile, as torchvision's models give them. Either reads the same file,
in a process of its own, so that peak memory can be told.

The scene is RGB in 8 bits, at the model's own pixel size. Where the model can look at it in one
piece, that look is what both are compared with at the seams.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import shapely
import torch
from numpy.typing import NDArray
from shapely.geometry import Polygon, mapping
from torch import Tensor, nn
from torchvision.models.detection.roi_heads import paste_masks_in_image

from benchmarks.measures import peak_kibibytes
from detection.backends import load_detector
from detection.detector import Detector
from detection.pipeline import DetectionOptions, detect_scene
from detection.weights import DEFAULT_MODEL, find_model, read_spec

TILE_PX, OVERLAP_PX = 1024, 128
DUPLICATE_IOU = 0.3
SAME_IOU = 0.5
ENGINES = ("ours", "sahi", "untiled")
ONE_LOOK_PX = 2048 * 2048  # more needs more memory than a usual computer has


def main(arguments: list[str] | None = None) -> None:
    """Print every figure."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sahi_peer")
    parser.add_argument("scene", type=Path)
    parser.add_argument("--model", type=Path, default=find_model(DEFAULT_MODEL))
    parser.add_argument("--engine", choices=ENGINES, help=argparse.SUPPRESS)
    args = parser.parse_args(arguments)
    if args.engine:
        print(json.dumps(_measure(args.scene, args.model, args.engine)))
        return
    with rasterio.open(args.scene) as scene:
        engines = ENGINES if scene.width * scene.height <= ONE_LOOK_PX else ENGINES[:2]
    found = {engine: _child(args.scene, args.model, engine) for engine in engines}
    truth = _polygons(found["untiled"]) if "untiled" in found else None
    for engine in ENGINES[:2]:
        outlines = _polygons(found[engine])
        print(
            f"{engine}: {found[engine]['seconds']:.1f} s, {found[engine]['gibibytes']:.2f} GiB, "
            f"{len(outlines)} buildings, {_duplicates(outlines)} pairs over IoU {DUPLICATE_IOU}"
        )
        if truth is not None:
            missed = _missed(truth, outlines)
            print(f"  {missed} of the {len(truth)} that one look finds are missed")
    for what in ("seconds", "gibibytes"):
        print(f"{what}: {found['ours'][what] / found['sahi'][what]:.2f} of SAHI's")


def _polygons(measured: dict[str, Any]) -> list[Polygon]:
    return [Polygon(one["coordinates"][0]) for one in measured["outlines"]]


def _child(scene: Path, model: Path, engine: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.sahi_peer", str(scene), "--model", str(model)]
    done = subprocess.run(
        [*command, "--engine", engine], check=True, capture_output=True, text=True
    )
    measured: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return measured


def _measure(scene: Path, model: Path, engine: str) -> dict[str, Any]:
    """Outlines in pixels of the scene; seconds without start and loading; peak memory."""
    detector = load_detector(model, device="cpu")
    detector.predict(np.zeros((1, 3, TILE_PX, TILE_PX), np.uint8), min_score=0.5)  # warm up
    spec = read_spec(model)
    least = spec.operating_score
    began = time.perf_counter()
    if engine == "sahi":
        raw = spec.calibration.raw_score(least) if spec.calibration else least
        outlines = _by_sahi(scene, detector, raw)  # asks the model itself, without calibration
    else:
        with rasterio.open(scene) as dataset:
            side = max(dataset.width, dataset.height)
        outlines = _by_us(scene, detector, least, TILE_PX if engine == "ours" else side)
    return {
        "seconds": time.perf_counter() - began,
        "gibibytes": peak_kibibytes() / 2**20,
        "outlines": [mapping(outline) for outline in outlines],
    }


def _by_us(scene: Path, detector: Detector, least: float, tile_px: int) -> list[Polygon]:
    options = DetectionOptions(tile_px=tile_px, overlap_px=OVERLAP_PX, min_score=least)
    result = detect_scene(scene, detector, options)
    inverse = ~result.plan.scene.transform

    def place(ground: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.column_stack(inverse * (ground[:, 0], ground[:, 1]))

    return [
        part
        for one in result.footprints
        for part in shapely.get_parts(shapely.transform(one.outline, place))
    ]


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
        boxes, height, width = torch.from_numpy(found.boxes), image.shape[1], image.shape[2]
        masks = torch.zeros(0, height, width)
        if len(boxes):
            small = torch.from_numpy(np.stack(found.masks))[:, None]
            masks = paste_masks_in_image(small, boxes, (height, width))[:, 0]
        return {
            "boxes": boxes,
            "labels": torch.zeros(len(boxes), dtype=torch.int64),
            "scores": torch.from_numpy(found.scores),
            "masks": masks,
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


def _duplicates(outlines: list[Polygon]) -> int:
    """Pairs of outlines that overlap as if they were one building."""
    every = np.array(outlines, dtype=object)
    a, b = shapely.STRtree(every).query(every)
    a, b = a[a < b], b[a < b]
    return int((_iou(every[a], every[b]) > DUPLICATE_IOU).sum())


def _missed(truth: list[Polygon], outlines: list[Polygon]) -> int:
    """How many of the truth no outline matches."""
    every, known = np.array(outlines, dtype=object), np.array(truth, dtype=object)
    a, b = shapely.STRtree(every).query(known)
    matched = a[_iou(known[a], every[b]) >= SAME_IOU]
    return len(truth) - len(set(matched.tolist()))


def _iou(some: NDArray[np.object_], others: NDArray[np.object_]) -> NDArray[np.float64]:
    shared = shapely.area(shapely.intersection(some, others))
    iou: NDArray[np.float64] = shared / (shapely.area(some) + shapely.area(others) - shared)
    return iou


if __name__ == "__main__":
    main()
