"""Our pipeline beside another tool: the same file, weights, tiles and least score.

Either reads the file in a process of its own, so that peak memory can be told. The scene is RGB in
8 bits, at the model's own pixel size. Where the model can look at it in one piece, that look is
what both are compared with at the seams.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import shapely
import torch
from affine import Affine
from numpy.typing import NDArray
from shapely.geometry import MultiPolygon, Polygon, mapping
from torch import Tensor
from torchvision.models.detection.roi_heads import paste_masks_in_image

from benchmarks.measures import peak_kibibytes
from detection.backends import load_detector
from detection.detector import Detector, TileDetections
from detection.pipeline import DetectionOptions, detect_scene
from detection.weights import DEFAULT_MODEL, find_model, read_spec

TILE_PX, OVERLAP_PX = 1024, 128
DUPLICATE_IOU = 0.3
SAME_IOU = 0.5
OURS, UNTILED = "ours", "untiled"
ONE_LOOK_PX = 2048 * 2048  # more needs more memory than a usual computer has
FindBuildings = Callable[[Path, Detector, float], list[Polygon]]


def compare(
    peer: str,
    module: str,
    by_peer: FindBuildings,
    *,
    needs: tuple[str, ...],
    arguments: list[str] | None = None,
) -> None:
    """Print time, peak memory, duplicates and misses of both, and the ratios.

    Args:
        peer: the other tool's name.
        module: whose ``main`` calls this; it is started again for each engine.
        by_peer: from a scene's path, a detector and the model's own least score (not calibrated)
            to outlines in pixels of the scene.
        needs: modules that ``by_peer`` uses, imported outside the clock.
        arguments: of the command line.
    """
    parser = argparse.ArgumentParser(prog=f"python -m {module}")
    parser.add_argument("scene", type=Path)
    parser.add_argument("--model", type=Path, default=find_model(DEFAULT_MODEL))
    parser.add_argument("--engine", help=argparse.SUPPRESS)
    args = parser.parse_args(arguments)
    if args.engine:
        if args.engine == peer:
            for name in needs:
                import_module(name)
        finders: dict[str, FindBuildings] = {OURS: _by_us, UNTILED: _in_one_look, peer: by_peer}
        print(json.dumps(_measure(args.scene, args.model, finders[args.engine])))
        return
    with rasterio.open(args.scene) as scene:
        one_look = scene.width * scene.height <= ONE_LOOK_PX
    engines = [OURS, peer] + [UNTILED] * one_look
    found = {engine: _child(module, args.scene, args.model, engine) for engine in engines}
    truth = _polygons(found[UNTILED]) if one_look else None
    for engine in (OURS, peer):
        _report(engine, found[engine], truth)
    for what in ("seconds", "gibibytes", "above_model"):
        print(f"{what}: {found[OURS][what] / found[peer][what]:.2f} of {peer}'s")


def _report(engine: str, found: dict[str, Any], truth: list[Polygon] | None) -> None:
    outlines = _polygons(found)
    print(
        f"{engine}: {found['seconds']:.1f} s, {found['gibibytes']:.2f} GiB "
        f"({found['above_model']:.2f} above the model in memory), {len(outlines)} buildings, "
        f"{_duplicates(outlines)} pairs over IoU {DUPLICATE_IOU}"
    )
    if truth is not None:
        missed = _missed(truth, outlines)
        print(f"  {missed} of the {len(truth)} that one look finds are missed")


def _polygons(measured: dict[str, Any]) -> list[Polygon]:
    return [Polygon(one["coordinates"][0]) for one in measured["outlines"]]


def _child(module: str, scene: Path, model: Path, engine: str) -> dict[str, Any]:
    command = [sys.executable, "-m", module, str(scene), "--model", str(model)]
    done = subprocess.run(
        [*command, "--engine", engine], check=True, stdout=subprocess.PIPE, text=True
    )
    measured: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return measured


def _measure(scene: Path, model: Path, find: FindBuildings) -> dict[str, Any]:
    """Outlines in pixels of the scene; seconds without start and loading; peak memory."""
    detector = load_detector(model, device="cpu")
    loaded = peak_kibibytes()
    detector.predict(np.zeros((1, 3, TILE_PX, TILE_PX), np.uint8), min_score=0.5)  # warm up
    spec = read_spec(model)
    least = spec.operating_score
    raw = spec.calibration.raw_score(least) if spec.calibration else least
    began = time.perf_counter()
    outlines = find(scene, detector, raw)
    return {
        "seconds": time.perf_counter() - began,
        "gibibytes": peak_kibibytes() / 2**20,
        "above_model": (peak_kibibytes() - loaded) / 2**20,
        "outlines": [mapping(outline) for outline in outlines],
    }


def _in_one_look(scene: Path, detector: Detector, raw: float) -> list[Polygon]:
    with rasterio.open(scene) as dataset:
        side = max(dataset.width, dataset.height)
    return _by_us(scene, detector, raw, side)


def _by_us(scene: Path, detector: Detector, _: float, tile_px: int = TILE_PX) -> list[Polygon]:
    """Ours takes its least score calibrated, as everything that reads our outputs does."""
    least = detector.spec.operating_score
    options = DetectionOptions(tile_px=tile_px, overlap_px=OVERLAP_PX, min_score=least)
    result = detect_scene(scene, detector, options)
    return in_pixels((one.outline for one in result.footprints), ~result.plan.scene.transform)


def in_pixels(outlines: Iterable[Polygon | MultiPolygon], inverse: Affine) -> list[Polygon]:
    """Outlines on the ground as polygons in pixels of the scene."""

    def place(ground: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.column_stack(inverse * (ground[:, 0], ground[:, 1]))

    return [
        part
        for outline in outlines
        for part in shapely.get_parts(shapely.transform(outline, place))
    ]


def pasted(found: TileDetections, height: int, width: int) -> Tensor:
    """Masks as large as the image, (N, H, W), as the detectors of other tools answer."""
    if not len(found.boxes):
        return torch.zeros(0, height, width)
    small = torch.from_numpy(np.stack(found.masks))[:, None]
    boxes = torch.from_numpy(found.boxes)
    large: Tensor = paste_masks_in_image(small, boxes, (height, width))
    return large[:, 0]


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
