"""From a file and a model to footprints: the one place the steps are put in order."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from uuid import UUID, uuid5

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import Transformer
from shapely.geometry import MultiPolygon, Polygon
from shapely.geometry.base import BaseGeometry

from detection.detector import Detector, TileDetections
from detection.errors import EmptyImage, UnreadableRaster
from detection.footprints import Candidate, Footprint, cut_at_antimeridian, round_lonlat, trace
from detection.grades import MODEL_GRADES
from detection.merging import Merged, merge_rows
from detection.planning import (
    DetectionOptions,
    ScenePlan,
    lonlat_outlines,
    plan_scene,
    plan_shards,
)
from detection.raster import WGS84, Scene, open_scene, to_lonlat
from detection.results import Bounds, Outcome, ShardResult, TileCounts, TileResult
from detection.tiling import Shard

__all__ = [
    "DetectionOptions",
    "DetectionResult",
    "ScenePlan",
    "Shard",
    "ShardResult",
    "TileCounts",
    "detect_scene",
    "detect_shard",
    "merge",
    "plan_scene",
    "plan_shards",
    "total_counts",
]

Progress = Callable[[int, int], None]  # tiles done, tiles in all
READ_AHEAD = 2  # batches read while the model works; each is one tile of pixels on a CPU
UNDER_WAY = 3  # batches given to the model before the first of them is asked for
IDENTITY = UUID("6f1d6f0e-6d0c-5f43-9f5a-0d7b1c9a5e21")


@dataclass(frozen=True, slots=True)
class DetectionResult:
    """What was found in one scene.

    Attributes:
        plan: how it was looked at.
        footprints: each building once, from the north-west down.
        counts: what became of the tiles.
    """

    plan: ScenePlan
    footprints: list[Footprint] = field(repr=False)
    counts: TileCounts


def detect_shard(
    path: Path | str,
    plan: ScenePlan,
    shard: Shard,
    detector: Detector,
    on_tile: Progress | None = None,
) -> ShardResult:
    """Look at one part of a scene. Doing it again gives the same bytes.

    Args:
        path: the scene that ``plan`` was made of.
        plan: how to look at it.
        shard: which part.
        detector: used on one thread, which is not the caller's.
        on_tile: told before each batch and after each tile how many are done; what it raises
            (``Cancelled``, say) stops the work once the model is done with its batch.

    Raises:
        DetectionError: the image or the model cannot be used.
    """
    tiles = list(_detect(path, plan, shard, detector, on_tile))
    return ShardResult(shard, tuple(tiles), _count(plan, tiles))


def merge(plan: ScenePlan, results: Iterable[ShardResult]) -> Iterator[Footprint]:
    """Each building once, whatever the number, order or repetition of shards.

    In ascending order of shards it streams: memory holds a few rows of tiles, not the scene.

    Args:
        plan: what the shards were planned from.
        results: all of them; each is let go of once taken.

    Raises:
        ValueError: a shard is missing.
        EmptyImage: no tile had a valid pixel.
        UnreadableRaster: the file is damaged wherever it has pixels.
    """
    return _merge_tiles(plan, (tile for result in results for tile in result.tiles))


def detect_scene(
    path: Path | str,
    detector: Detector,
    options: DetectionOptions = DetectionOptions(),  # noqa: B008 (frozen)
    *,
    area: BaseGeometry | None = None,
    on_progress: Progress | None = None,
) -> DetectionResult:
    """Find the damaged buildings of one image.

    Holds a few tiles of pixels at a time, so memory does not grow with the scene.

    Raises:
        DetectionError: the image cannot be used, or the model cannot run.
    """
    if options.batch_size is None:
        options = replace(options, batch_size=detector.batch_size)
    plan = plan_scene(path, detector.spec, options, area=area)
    everything = Shard(0, 0, plan.layout.batch_count)
    outcomes: list[TileResult] = []
    with closing(_detect(path, plan, everything, detector, on_progress)) as tiles:
        footprints = list(_merge_tiles(plan, _noting(tiles, outcomes)))
    return DetectionResult(plan, footprints, total_counts(plan, [_count(plan, outcomes)]))


def _noting(tiles: Iterable[TileResult], outcomes: list[TileResult]) -> Iterator[TileResult]:
    """Pass tiles on, keeping what became of each but not what was found in it."""
    for tile in tiles:
        outcomes.append(TileResult(tile.index, tile.outcome))
        yield tile


def total_counts(plan: ScenePlan, counts: Iterable[TileCounts]) -> TileCounts:
    """The sum over all shards, each once, and the tiles the plan already knew to be empty."""
    return sum(counts, TileCounts(empty=plan.empty_tiles))


# --- detecting: a reader thread ahead of the model, a tracing thread behind it


@dataclass(frozen=True, slots=True, eq=False)
class _TilePixels:
    """One tile, read. Without pixels where it is empty or damaged."""

    index: int
    outcome: Outcome
    image: NDArray[np.uint8] | None = None
    valid: NDArray[np.bool_] | None = None


def _detect(
    path: Path | str,
    plan: ScenePlan,
    shard: Shard,
    detector: Detector,
    on_tile: Progress | None,
) -> Generator[TileResult]:
    """Every tile of a shard that holds work, in ascending order, each as soon as it is traced."""
    work = plan.work_indexes
    batches = [
        [index for index in plan.layout.batch(number) if index in work]
        for number in range(shard.first_batch, shard.last_batch)
    ]
    total = sum(map(len, batches))
    done = 0

    def tell() -> None:
        if on_tile:
            on_tile(done, total)

    look = _look(path, plan, [batch for batch in batches if batch], detector, tell)
    with closing(look) as results:  # threads and file end now, not when a traceback is let go of
        for result in results:
            done += 1
            tell()
            yield result


def _look(
    path: Path | str,
    plan: ScenePlan,
    batches: list[list[int]],
    detector: Detector,
    ask: Callable[[], None],
) -> Generator[TileResult]:
    """Read ahead, look, trace behind; ``ask`` may stop it before a batch is given to the model.

    Each of the three has a thread of its own, so that the model waits neither for them nor for
    what the caller does with the results.
    """
    reader = ThreadPoolExecutor(1, "read")
    model = ThreadPoolExecutor(1, "look")
    tracer = ThreadPoolExecutor(1, "trace")
    with open_scene(path, plan.options.bands) as scene:
        _check_same(scene, plan)
        try:
            reads = deque(reader.submit(_read_batch, scene, plan, b) for b in batches[:READ_AHEAD])
            traces: deque[Future[list[TileResult]]] = deque()
            for number in range(len(batches)):
                ask()
                pixels = reads.popleft()
                found = model.submit(_predict, plan, detector, pixels)
                traces.append(tracer.submit(_trace_batch, plan, pixels, found))
                if number + READ_AHEAD < len(batches):
                    ahead = batches[number + READ_AHEAD]
                    reads.append(reader.submit(_read_batch, scene, plan, ahead))
                if len(traces) == UNDER_WAY:
                    yield from traces.popleft().result()
            for left in traces:
                yield from left.result()
        finally:  # the file is closed only once no thread reads it
            for pool in (reader, model, tracer):
                pool.shutdown(wait=False, cancel_futures=True)
            for pool in (reader, model, tracer):
                pool.shutdown()


def _check_same(scene: Scene, plan: ScenePlan) -> None:
    if (scene.grid.width, scene.grid.height) != (plan.scene.width, plan.scene.height):
        raise UnreadableRaster("the file is not the one that was planned")


def _read_batch(scene: Scene, plan: ScenePlan, indexes: list[int]) -> list[_TilePixels]:
    return [_read_tile(scene, plan, index) for index in indexes]


def _read_tile(scene: Scene, plan: ScenePlan, index: int) -> _TilePixels:
    tile = plan.layout.tile(index)
    window = plan.native_window(tile)
    try:
        pixels, valid = scene.read(window, width=tile.width, height=tile.height)
    except UnreadableRaster:
        if scene.is_remote:  # a network fault is not damage: the shard must be tried again
            raise
        return _TilePixels(index, "not_analysed")
    if not valid.any():
        return _TilePixels(index, "empty")
    return _TilePixels(index, "read", plan.stretch.apply(pixels, valid), valid)


def _predict(
    plan: ScenePlan, detector: Detector, pixels: Future[list[_TilePixels]]
) -> list[TileDetections]:
    images = [tile.image for tile in pixels.result() if tile.image is not None]
    if not images:
        return []
    return detector.predict(np.stack(images), min_score=plan.options.min_score or 0.0)


def _trace_batch(
    plan: ScenePlan, pixels: Future[list[_TilePixels]], found: Future[list[TileDetections]]
) -> list[TileResult]:
    detections = iter(found.result())
    return [
        TileResult(
            tile.index,
            tile.outcome,
            tuple(
                trace(next(detections), plan.layout.tile(tile.index), tile.valid, index=tile.index)
            )
            if tile.valid is not None
            else (),
        )
        for tile in pixels.result()
    ]


def _count(plan: ScenePlan, tiles: list[TileResult]) -> TileCounts:
    outcomes = [tile.outcome for tile in tiles]
    missed = [tile.index for tile in tiles if tile.outcome == "not_analysed"]
    return TileCounts(
        outcomes.count("read"),
        outcomes.count("empty"),
        tuple(_bounds(outline) for outline in lonlat_outlines(plan.layout, missed)),
    )


def _bounds(outline: Polygon | MultiPolygon) -> Bounds:
    west, south, east, north = round_lonlat(outline).bounds
    return west, south, east, north


# --- merging


def _merge_tiles(plan: ScenePlan, tiles: Iterable[TileResult]) -> Iterator[Footprint]:
    locate = _Locator(plan, to_lonlat(plan.grid.crs), shapely.from_wkt(plan.area))
    for merged in merge_rows(plan.layout, _rows(plan, tiles)):
        for one in merged:
            footprint = locate(one)
            if footprint is not None:
                yield footprint


def _rows(plan: ScenePlan, tiles: Iterable[TileResult]) -> Iterator[list[Candidate]]:
    """Candidates of one row of tiles after another, each as soon as the row is complete."""
    missing = _work_by_row(plan)
    waiting: dict[int, list[Candidate]] = {}
    outcomes = dict.fromkeys(("read", "empty", "not_analysed"), 0)
    row = 0
    for tile in tiles:
        home = plan.layout.row_of(tile.index)
        if tile.index not in missing[home]:
            continue  # a shard that was done twice
        missing[home].discard(tile.index)
        outcomes[tile.outcome] += 1
        waiting.setdefault(home, []).extend(tile.candidates)
        while row < len(missing) and not missing[row]:
            yield waiting.pop(row, [])
            row += 1
    while row < len(missing) and not missing[row]:
        yield waiting.pop(row, [])
        row += 1
    if row < len(missing):
        raise ValueError(f"{sum(map(len, missing))} tiles are missing, from row {row} on")
    _require_pixels(outcomes)


def _work_by_row(plan: ScenePlan) -> list[set[int]]:
    rows: list[set[int]] = [set() for _ in plan.layout.tops]
    for index in plan.work_indexes:
        rows[plan.layout.row_of(index)].add(index)
    return rows


def _require_pixels(outcomes: dict[str, int]) -> None:
    if outcomes["read"]:
        return
    if outcomes["not_analysed"]:
        raise UnreadableRaster(f"{outcomes['not_analysed']} tiles cannot be decoded")
    raise EmptyImage("no tile has a valid pixel")


@dataclass(frozen=True, slots=True)
class _Locator:
    """Puts buildings on the ground."""

    plan: ScenePlan
    transformer: Transformer
    area: BaseGeometry | None

    def __call__(self, merged: Merged) -> Footprint | None:
        """The building on the ground; None if it lies outside the area."""
        pixels = np.asarray(merged.outline.exterior.coords)
        ground = self.plan.grid.to_ground(pixels)
        lon, lat = self.transformer.transform(ground[:, 0], ground[:, 1])
        lonlat = cut_at_antimeridian(Polygon(np.column_stack([lon, lat])))
        if self.area is not None and not self.area.intersects(lonlat.representative_point()):
            return None
        probabilities = merged.probabilities
        likeliest = int(np.argmax(probabilities))
        area, _ = WGS84.polygon_area_perimeter(lon, lat)
        return Footprint(
            id=uuid5(IDENTITY, f"{self.plan.run_sha256} {merged.outline.wkb_hex}"),
            outline=Polygon(ground),
            lonlat=round_lonlat(lonlat),
            grade=MODEL_GRADES[likeliest],
            score=merged.score,
            grade_score=probabilities[likeliest],
            probabilities=probabilities,
            area_m2=round(abs(area), 1),
            clipped=merged.clipped,
            model=self.plan.model.label,
        )
