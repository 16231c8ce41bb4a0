"""How fast the engine is, how much memory it takes, and how little the place of its tiles matters.

    python -m benchmarks.engine [--model FOLDER] [--megapixels 17] [--memory 100 400]

The image is a made-up town, written once and repeated, so that any size can be had; the figures
do not depend on what is in it beyond how many buildings there are.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import rasterio
import shapely
from affine import Affine
from numpy.typing import NDArray
from rasterio.windows import Window

from benchmarks.measures import peak_kibibytes
from detection.backends import load_detector
from detection.detector import Detector, ModelSpec, TileDetections
from detection.footprints import Footprint
from detection.outputs import describe, write_footprints
from detection.pipeline import DetectionOptions, DetectionResult, detect_scene
from detection.synthetic import SceneFile, TownScene, write_scene
from detection.weights import DEFAULT_MODEL, find_model

BLOCK = 1024
CORNER = Affine(0.46, 0, 500_000, 0, -0.46, 4_000_000)
SAME_IOU = 0.5
SHIFT_PX = 300  # not a divisor of the distance between tiles
LEARNED_TILES = 3  # the memory run looks at so many in earnest, then repeats what it saw


def main(arguments: list[str] | None = None) -> None:
    """Print every figure."""
    args = _parser().parse_args(arguments)
    if args.peak_of:
        print(json.dumps(_peak(args.model, args.peak_of)))
        return
    with tempfile.TemporaryDirectory() as folder:
        town = _town(Path(folder))
        detector = load_detector(args.model, device=args.device)
        print(f"model {detector.spec.label}, device {args.device}")
        _speed(Path(folder), town, detector, args.megapixels)
        _agreement(Path(folder), town, detector)
        for megapixels in args.memory:
            _memory(Path(folder), town, args.model, megapixels)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.engine")
    parser.add_argument("--model", type=Path, default=find_model(DEFAULT_MODEL))
    parser.add_argument("--device", default="auto")
    parser.add_argument("--megapixels", type=int, default=17)
    parser.add_argument("--memory", type=int, nargs="*", default=[100, 400], metavar="MEGAPIXELS")
    parser.add_argument("--peak-of", type=Path, help=argparse.SUPPRESS)
    return parser


def _town(folder: Path) -> NDArray[np.uint8]:
    """A made-up town of 2048 x 2048 pixels, shape (3, height, width)."""
    image = folder / "made-up.tif"
    scene = TownScene(seed=1, pixel_size_m=CORNER.a)
    write_scene(image, folder / "made-up.geojson", scene, SceneFile(2 * BLOCK, 2 * BLOCK))
    with rasterio.open(image) as dataset:
        pixels: NDArray[np.uint8] = dataset.read([1, 2, 3])
    return pixels


def _write(path: Path, town: NDArray[np.uint8], side: int) -> Path:
    """A square image of ``side`` pixels, the town repeated over it; one block in memory."""
    profile = {"driver": "GTiff", "count": 3, "dtype": "uint8", "width": side, "height": side}
    layout = {"tiled": True, "blockxsize": 512, "blockysize": 512, "compress": "deflate"}
    with rasterio.open(
        path, "w", crs="EPSG:32637", transform=CORNER, interleave="pixel", **profile, **layout
    ) as dataset:
        for window in _windows(side, town.shape[1]):
            part = town[:, : int(window.height), : int(window.width)]
            dataset.write(part, window=window)
    return path


def _windows(side: int, step: int) -> Iterator[Window]:
    for top in range(0, side, step):
        for left in range(0, side, step):
            yield Window(left, top, min(step, side - left), min(step, side - top))


def _speed(folder: Path, town: NDArray[np.uint8], detector: Detector, megapixels: int) -> None:
    path = _write(folder / "speed.tif", town, int((megapixels * 1e6) ** 0.5))
    detector.predict(np.zeros((1, 3, BLOCK, BLOCK), np.uint8), min_score=0.5)  # warm up
    before = _forward(detector)
    began = time.perf_counter()
    result = detect_scene(path, detector)
    _save(result, folder / "speed.geojson")
    whole = time.perf_counter() - began
    forward = _forward(detector) - before
    tile = result.plan.layout.tile(0)
    seen = result.counts.read * tile.width * tile.height / 1e6
    across, down = result.plan.pixel_size_m
    area = result.plan.scene.width * across * result.plan.scene.height * down / 1e6
    print(
        f"speed: {megapixels} megapixels, {result.counts.read} tiles, "
        f"{len(result.footprints)} footprints"
    )
    print(f"  whole {whole:.1f} s, forward passes {forward:.1f} s: {whole / forward:.2f} times")
    print(f"  {whole / seen:.2f} s per megapixel of model input, {whole / area:.1f} s per km2")


def _forward(detector: Detector) -> float:
    """Seconds so far in backbone and heads; the torchvision engine keeps count."""
    seconds: float = getattr(detector, "forward_seconds", float("nan"))
    return seconds


def _save(result: DetectionResult, path: Path) -> None:
    metadata = describe(result.plan, result.counts, time=datetime.now(UTC))
    write_footprints(path, result.footprints, metadata)


def _agreement(folder: Path, town: NDArray[np.uint8], detector: Detector) -> None:
    """Find the same town twice, its tiles lying elsewhere, and compare building by building."""
    options = DetectionOptions(tile_px=768, overlap_px=128)
    plain = _write(folder / "plain.tif", town, town.shape[1])
    moved = np.roll(town, (SHIFT_PX, SHIFT_PX), axis=(1, 2))
    shifted = _write(folder / "shifted.tif", moved, town.shape[1])
    first = _interior(detect_scene(plain, detector, options), 0)
    second = _interior(detect_scene(shifted, detector, options), SHIFT_PX)
    pairs = _matched(first, second)
    grades = sum(a.grade == b.grade for a, b in pairs)
    total = max(1, len(first) + len(second))
    print(
        f"shifted grid: {len(first)} and {len(second)} buildings, "
        f"{2 * len(pairs) / total:.1%} in both, {grades / max(1, len(pairs)):.1%} of these "
        "with the same grade"
    )


def _interior(result: DetectionResult, shift: int) -> list[Footprint]:
    """Buildings that the shift did not bring near an edge, moved back to where they were."""
    metres = shift * CORNER.a
    moved = [
        (one, shapely.transform(one.outline, lambda xy: xy + np.array([-metres, metres])))
        for one in result.footprints
    ]
    side = result.plan.scene.width * CORNER.a
    margin = 64 * CORNER.a
    inner = shapely.box(
        CORNER.c + margin,
        CORNER.f - side + SHIFT_PX * CORNER.a + margin,
        CORNER.c + side - SHIFT_PX * CORNER.a - margin,
        CORNER.f - margin,
    )
    return [
        replace(one, outline=outline) for one, outline in moved if inner.contains(outline.centroid)
    ]


def _matched(first: list[Footprint], second: list[Footprint]) -> list[tuple[Footprint, Footprint]]:
    """Pairs whose outlines agree; at IoU 0.5 no outline has more than one partner."""
    if not first or not second:
        return []
    left = np.array([one.outline for one in first], dtype=object)
    right = np.array([one.outline for one in second], dtype=object)
    a, b = shapely.STRtree(right).query(left)
    shared = shapely.area(shapely.intersection(left[a], right[b]))
    iou = shared / (shapely.area(left[a]) + shapely.area(right[b]) - shared)
    return [
        (first[i], second[j]) for i, j, value in zip(a, b, iou, strict=True) if value > SAME_IOU
    ]


def _memory(folder: Path, town: NDArray[np.uint8], model: Path, megapixels: int) -> None:
    """Peak memory of a process of its own, interpreter, torch and model included."""
    path = _write(folder / "memory.tif", town, int((megapixels * 1e6) ** 0.5))
    command = [sys.executable, "-m", "benchmarks.engine", "--model", str(model)]
    done = subprocess.run(
        [*command, "--peak-of", str(path)], check=True, capture_output=True, text=True
    )
    peak = json.loads(done.stdout)
    print(
        f"memory: {megapixels} megapixels, {peak['footprints']} footprints: "
        f"{peak['gibibytes']:.2f} GiB at most"
    )


class _Repeating:
    """The real model for a few tiles, then its last answers again: memory, not time, is asked."""

    def __init__(self, model: Path) -> None:
        self._detector = load_detector(model, device="auto")
        self._seen: list[TileDetections] = []

    @property
    def spec(self) -> ModelSpec:
        return self._detector.spec

    @property
    def batch_size(self) -> int:
        return 1

    def predict(self, images: NDArray[np.uint8], *, min_score: float) -> list[TileDetections]:
        if len(self._seen) < LEARNED_TILES:
            self._seen += self._detector.predict(images, min_score=min_score)
        return self._seen[-1:]


def _peak(model: Path, path: Path) -> dict[str, float]:
    result = detect_scene(path, _Repeating(model))
    _save(result, path.with_suffix(".geojson"))
    return {"gibibytes": peak_kibibytes() / 2**20, "footprints": len(result.footprints)}


if __name__ == "__main__":
    main()
