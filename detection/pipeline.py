"""From a file and a model to footprints: the one place the steps are put in order."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from uuid import UUID, uuid5

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import Transformer
from shapely.geometry import MultiPolygon, Polygon
from shapely.geometry.base import BaseGeometry

from detection.before import BeforeImage, BeforeScene, PairShift, Pixels, open_before
from detection.calibration import weighed
from detection.detector import BoxGrader, Detector, TileDetections, calibrated
from detection.errors import EmptyImage, ModelUnavailable, UnreadableRaster
from detection.footprints import (
    Candidate,
    Footprint,
    KnownAs,
    cut_all_at_antimeridian,
    round_all_lonlat,
    round_lonlat,
    trace,
)
from detection.georef import GeoTile
from detection.grades import MODEL_GRADES, Doubt, Grade
from detection.judging import Judgement, KnownGround, Look, judge, missed_outlines
from detection.merging import Merged, merge_rows
from detection.outlines.book import Book, Reason, open_book
from detection.outlines.offsets import EVIDENCE_SCORE, BlockShift
from detection.planning import (
    DetectionOptions,
    KnownOutlines,
    ScenePlan,
    lonlat_outlines,
    plan_scene,
    plan_shards,
    read_after,
)
from detection.raster import WGS84, Scene, open_scene, to_lonlat
from detection.results import (
    Bounds,
    Judged,
    Outcome,
    OutlineCounts,
    ShardResult,
    TileCounts,
    TileResult,
)
from detection.tiling import Shard

__all__ = [
    "BeforeScene",
    "DetectionOptions",
    "DetectionResult",
    "KnownOutlines",
    "ScenePlan",
    "Shard",
    "ShardResult",
    "TileCounts",
    "detect_scene",
    "detect_shard",
    "merge",
    "not_analysed",
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


def detect_shard(  # noqa: PLR0913 (each is asked for on its own, by name)
    path: Path | str,
    plan: ScenePlan,
    shard: Shard,
    detector: Detector,
    on_tile: Progress | None = None,
    *,
    book: Path | None = None,
    before: Path | str | None = None,
) -> ShardResult:
    """Look at one part of a scene. Doing it again gives the same bytes.

    Args:
        path: the scene that ``plan`` was made of.
        plan: how to look at it.
        shard: which part.
        detector: used on one thread, which is not the caller's.
        on_tile: told before each batch and after each tile how many are done; what it raises
            (``Cancelled``, say) stops the work once the model is done with its batch.
        book: that ``plan_scene`` wrote, where the plan has known outlines.
        before: the image before, where the plan has one.

    Raises:
        DetectionError: an image, the outlines or the model cannot be used.
    """
    tiles = list(_detect(_Files(path, before, book), plan, shard, detector, on_tile))
    return ShardResult(shard, tuple(tiles), _count(plan, tiles))


def merge(
    plan: ScenePlan, results: Iterable[ShardResult], *, book: Path | None = None
) -> Iterator[Footprint]:
    """Each building once, whatever the number, order or repetition of shards.

    In ascending order of shards it streams: memory holds a few rows of tiles, not the scene.

    Args:
        plan: what the shards were planned from.
        results: all of them; each is let go of once taken.
        book: that ``plan_scene`` wrote, where the plan has known outlines.

    Raises:
        ValueError: a shard is missing.
        EmptyImage: no tile had a valid pixel.
        UnreadableRaster: the file is damaged wherever it has pixels.
    """
    return _merge_tiles(plan, (tile for result in results for tile in result.tiles), book)


def not_analysed(
    plan: ScenePlan, counts: TileCounts, book: Path
) -> Iterator[tuple[int, str, Reason]]:
    """Every known outline that has no grade: its number in its file, its id there, and why.

    Args:
        plan: of the scene.
        counts: of all its tiles (``total_counts``).
        book: that ``plan_scene`` wrote.
    """
    if plan.outlines is None:
        return
    with open_book(book, plan.outlines.contents) as opened:
        yield from opened.not_judged()
        for number, reason in sorted(counts.outlines.missed):
            yield number, opened.outline_id(number), reason


def detect_scene(  # noqa: PLR0913 (each is asked for on its own, by name)
    path: Path | str,
    detector: Detector,
    options: DetectionOptions = DetectionOptions(),  # noqa: B008 (frozen)
    *,
    area: BaseGeometry | None = None,
    outlines: KnownOutlines | None = None,
    before: BeforeScene | None = None,
    on_progress: Progress | None = None,
) -> DetectionResult:
    """Find the damaged buildings of one image, or judge those whose outlines are known.

    Holds a few tiles of pixels at a time, so memory does not grow with the scene.

    Raises:
        DetectionError: the image cannot be used, or the model cannot run.
    """
    if options.batch_size is None:
        options = replace(options, batch_size=detector.batch_size)
    plan = plan_scene(path, detector.spec, options, area=area, outlines=outlines, before=before)
    everything = Shard(0, 0, plan.layout.batch_count)
    outcomes: list[TileResult] = []
    book = outlines.book if outlines else None
    files = _Files(path, before.path if before else None, book)
    with closing(_detect(files, plan, everything, detector, on_progress)) as tiles:
        footprints = list(_merge_tiles(plan, _noting(tiles, outcomes), book))
    return DetectionResult(plan, footprints, total_counts(plan, [_count(plan, outcomes)]))


def _noting(tiles: Iterable[TileResult], outcomes: list[TileResult]) -> Iterator[TileResult]:
    """Pass tiles on, keeping what became of each but not what was found in it."""
    for tile in tiles:
        outcomes.append(replace(tile, candidates=()))
        yield tile


def total_counts(plan: ScenePlan, counts: Iterable[TileCounts]) -> TileCounts:
    """The sum over all shards, each once, and the tiles the plan already knew to be empty."""
    return sum(counts, TileCounts(empty=plan.empty_tiles))


# --- detecting: a reader thread ahead of the model, a tracing thread behind it


@dataclass(frozen=True, slots=True)
class _Files:
    """What a shard reads from."""

    after: Path | str
    before: Path | str | None
    book: Path | None


@dataclass(frozen=True, slots=True, eq=False)
class _TilePixels:
    """One tile, read. Without pixels where it is empty or damaged."""

    index: int
    outcome: Outcome
    image: NDArray[np.uint8] | None = None
    valid: NDArray[np.bool_] | None = None
    before: PairShift | None = None


@dataclass(frozen=True, slots=True)
class _Images:
    """The open images of a plan; read by one thread."""

    plan: ScenePlan
    after: Scene
    before: BeforeImage | None

    def tile(self, index: int) -> _TilePixels:
        """One tile, as the model takes it."""
        tile = self.plan.layout.tile(index)
        try:
            pixels, valid = read_after(self.after, self.plan, tile, tile.width, tile.height)
            if not _holds_more(self.plan, index, valid):
                return _TilePixels(index, "empty")
            if self.before is None:
                return _TilePixels(index, "read", pixels, valid)
            under, shift = self.before.under(tile, index, (pixels, valid))
        except UnreadableRaster:  # what a store does not give is ImageAway, and no damage
            return _TilePixels(index, "not_analysed")
        return _TilePixels(index, "read", np.concatenate([under, pixels]), valid, shift)

    def window(self, window: GeoTile, width: int, height: int) -> Pixels:
        """Any part of the model's grid, resampled, as the model takes it."""
        pixels, valid = read_after(self.after, self.plan, window, width, height)
        if self.before is None:
            return pixels, valid
        return np.concatenate([self.before.read(window, width, height), pixels]), valid


def _holds_more(plan: ScenePlan, index: int, valid: NDArray[np.bool_]) -> bool:
    """Whether a tile has a pixel that the one to its left, or above, does not see as well.

    Beside nodata many tiles hold only the strip they share. Whatever is cut there is cut by
    nodata, so the other tile sees all of it. Only those before it are asked: of two tiles that
    hold nothing but what they share, one is looked at.
    """
    if plan.outlines is not None:  # each outline is judged in one tile, which may be this
        return bool(valid.any())
    tile, columns = plan.layout.tile(index), len(plan.layout.lefts)
    row, column = divmod(index, columns)
    rests = [valid]
    if column and index - 1 in plan.work_indexes:
        left = plan.layout.tile(index - 1)
        rests.append(valid[:, left.col_off + left.width - tile.col_off :])
    if row and index - columns in plan.work_indexes:
        above = plan.layout.tile(index - columns)
        rests.append(valid[above.row_off + above.height - tile.row_off :])
    return all(rest.any() for rest in rests)


def _detect(
    files: _Files,
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

    batches = [batch for batch in batches if batch]
    look = _look(files, plan, batches, calibrated(detector, plan.model.calibration), tell)
    with closing(look) as results:  # threads and file end now, not when a traceback is let go of
        for result in results:
            done += 1
            tell()
            yield result


def _look(
    files: _Files,
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
    with ExitStack() as opened:
        images = _enter_images(plan, files, opened)
        book = _enter_book(plan, files.book, opened)
        judges = _judges(plan, detector, images, reader, book)
        try:
            reads = deque(reader.submit(_read_batch, images, b) for b in batches[:READ_AHEAD])
            traces: deque[Future[list[TileResult]]] = deque()
            for number in range(len(batches)):
                ask()
                looked = model.submit(_look_at, plan, detector, judges, reads.popleft())
                traces.append(tracer.submit(_trace_batch, plan, looked))
                if number + READ_AHEAD < len(batches):
                    ahead = batches[number + READ_AHEAD]
                    reads.append(reader.submit(_read_batch, images, ahead))
                if len(traces) == UNDER_WAY:
                    yield from traces.popleft().result()
            for left in traces:
                yield from left.result()
        finally:  # the file is closed only once no thread reads it
            for pool in (reader, model, tracer):
                pool.shutdown(wait=False, cancel_futures=True)
            for pool in (reader, model, tracer):
                pool.shutdown()


def _enter_book(plan: ScenePlan, book: Path | None, opened: ExitStack) -> Book | None:
    if plan.outlines is None:
        return None
    if book is None:
        raise ValueError("the plan has known outlines: say where its book is")
    return opened.enter_context(open_book(book, plan.outlines.contents))


def _enter_images(plan: ScenePlan, files: _Files, opened: ExitStack) -> _Images:
    scene = opened.enter_context(open_scene(files.after, plan.options.bands))
    if (scene.grid.width, scene.grid.height) != (plan.scene.width, plan.scene.height):
        raise UnreadableRaster("the file is not the one that was planned")
    if plan.before is None:
        return _Images(plan, scene, None)
    if files.before is None:
        raise ValueError("the plan has an image before: say where it is")
    laid = open_before(files.before, plan.before, plan.grid, plan.model_pixel_m)
    return _Images(plan, scene, opened.enter_context(laid))


def _read_batch(images: _Images, indexes: list[int]) -> list[_TilePixels]:
    return [images.tile(index) for index in indexes]


def _look_at(
    plan: ScenePlan,
    detector: Detector,
    judges: "_Judges | None",
    reading: Future[list[_TilePixels]],
) -> "_Looked":
    pixels = reading.result()
    found = _predict(plan, detector, pixels)
    return pixels, found, judges(pixels, found) if judges else {}


def _predict(
    plan: ScenePlan, detector: Detector, pixels: list[_TilePixels]
) -> list[TileDetections]:
    images = [tile.image for tile in pixels if tile.image is not None]
    if not images:
        return []
    wanted = plan.options.min_score or 0.0
    # Unsure detections are enough to tell how far known outlines lie off.
    least = min(wanted, _evidence_score(plan)) if plan.outlines else wanted
    return detector.predict(np.stack(images), min_score=least)


def _evidence_score(plan: ScenePlan) -> float:
    calibration = plan.model.calibration
    return calibration.score(EVIDENCE_SCORE) if calibration else EVIDENCE_SCORE


def _evidence(plan: ScenePlan, found: TileDetections) -> TileDetections:
    """Detections by the model's own scores: with those it was measured how sure a shift is."""
    calibration = plan.model.calibration
    return replace(found, scores=calibration.raw_scores(found.scores)) if calibration else found


def _trace_batch(plan: ScenePlan, looked: "Future[_Looked]") -> list[TileResult]:
    pixels, found, known = looked.result()
    detections = iter(found)
    results = []
    for tile in pixels:
        candidates: list[Candidate] = []
        if tile.valid is not None:
            candidates = _trace_tile(plan, tile, next(detections), known.get(tile.index))
        said = known.get(tile.index, _NOTHING_KNOWN)
        results.append(
            TileResult(
                tile.index,
                tile.outcome,
                tuple(candidates),
                said.judged,
                said.missed,
                said.shift,
                tile.before,
            )
        )
    return results


def _trace_tile(
    plan: ScenePlan, pixels: _TilePixels, found: TileDetections, known: Judgement | None
) -> list[Candidate]:
    """Outlines of what was detected; beside known outlines only if that was asked for."""
    if (
        pixels.image is None
        or pixels.valid is None
        or (plan.outlines and not plan.outlines.also_detect)
    ):
        return []
    if known is not None:
        found = found.at_least(plan.options.min_score or 0.0)
    tile = plan.layout.tile(pixels.index)
    return trace(found, tile, pixels.image, pixels.valid, index=pixels.index)


# --- judging known outlines

_NOTHING_KNOWN = Judgement()
_Judges = Callable[[list[_TilePixels], list[TileDetections]], dict[int, Judgement]]
_Looked = tuple[list[_TilePixels], list[TileDetections], dict[int, Judgement]]


def _judges(
    plan: ScenePlan,
    detector: Detector,
    images: _Images,
    reader: ThreadPoolExecutor,
    book: Book | None,
) -> _Judges | None:
    """What judges the known outlines of a batch; None where the plan has none."""
    if book is None:
        return None
    if not isinstance(detector, BoxGrader):
        raise ModelUnavailable(f"{detector.spec.label} cannot judge given outlines")

    def read(window: GeoTile, width: int, height: int) -> Pixels:  # no two threads read a file
        return reader.submit(images.window, window, width, height).result()

    def judges(pixels: list[_TilePixels], found: list[TileDetections]) -> dict[int, Judgement]:
        looks, reasons = [], {}
        detections = iter(found)
        for tile in pixels:
            if tile.image is not None and tile.valid is not None:
                place, evidence = plan.layout.tile(tile.index), _evidence(plan, next(detections))
                looks.append(Look(place, tile.index, tile.image, tile.valid, evidence))
            else:
                reasons[tile.index] = _REASONS[tile.outcome]
        judged = judge(plan, detector, book, looks, read)
        said = {look.index: one for look, one in zip(looks, judged, strict=True)}
        for index, reason in reasons.items():
            missed = missed_outlines(book, index, reason)
            said[index] = replace(_NOTHING_KNOWN, missed=missed)
        return said

    return judges


_REASONS: dict[Outcome, Reason] = {"empty": "nodata", "not_analysed": "damaged"}


def _count(plan: ScenePlan, tiles: list[TileResult]) -> TileCounts:
    outcomes = [tile.outcome for tile in tiles]
    missed = [tile.index for tile in tiles if tile.outcome == "not_analysed"]
    return TileCounts(
        outcomes.count("read"),
        outcomes.count("empty"),
        tuple(_bounds(outline) for outline in lonlat_outlines(plan.layout, missed)),
        sum((_count_outlines(tile) for tile in tiles), OutlineCounts()),
        tuple(tile.before for tile in tiles if tile.before),
        tuple(missed),
        tuple(tile.index for tile in tiles if tile.outcome == "empty"),
    )


def _count_outlines(tile: TileResult) -> OutlineCounts:
    return OutlineCounts(len(tile.judged), tile.missed, (tile.shift,) if tile.shift else ())


def _bounds(outline: Polygon | MultiPolygon) -> Bounds:
    west, south, east, north = round_lonlat(outline).bounds
    return west, south, east, north


# --- merging


def _merge_tiles(
    plan: ScenePlan, tiles: Iterable[TileResult], book: Path | None
) -> Iterator[Footprint]:
    locate = _Locator(plan, to_lonlat(plan.grid.crs), shapely.from_wkt(plan.area))
    judged: list[TileResult] = []
    with ExitStack() as opened:
        known = _enter_book(plan, book, opened)
        ground = KnownGround(plan.layout, known) if known else None
        for merged in merge_rows(plan.layout, _candidates(_rows(plan, tiles), judged)):
            for tile in judged:
                if known and ground:
                    ground.learn(tile.shift)
                    yield from (locate.known(known, one, tile.shift) for one in tile.judged)
            judged.clear()
            new = merged if ground is None else [o for o in merged if ground.is_new(o.outline)]
            yield from locate(new)


def _candidates(
    rows: Iterable[list[TileResult]], judged: list[TileResult]
) -> Iterator[list[Candidate]]:
    """The candidates of each row of tiles; what its tiles judged is put aside."""
    for row in rows:
        judged += sorted(row, key=lambda tile: tile.index)
        yield [candidate for tile in row for candidate in tile.candidates]


def _rows(plan: ScenePlan, tiles: Iterable[TileResult]) -> Iterator[list[TileResult]]:
    """The results of one row of tiles after another, each as soon as the row is complete."""
    missing = _work_by_row(plan)
    waiting: dict[int, list[TileResult]] = {}
    outcomes = dict.fromkeys(("read", "empty", "not_analysed"), 0)
    row = 0
    for tile in tiles:
        home = plan.layout.row_of(tile.index)
        if tile.index not in missing[home]:
            continue  # a shard that was done twice
        missing[home].discard(tile.index)
        outcomes[tile.outcome] += 1
        waiting.setdefault(home, []).append(tile)
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

    def __call__(self, merged: Sequence[Merged]) -> Iterator[Footprint]:
        """The buildings on the ground, in order; those outside the area are left out."""
        pixels = np.array([one.outline for one in merged], dtype=object)
        ground = shapely.transform(pixels, self.plan.grid.to_ground)
        uncut = shapely.transform(pixels, self._to_lonlat)
        lonlat = cut_all_at_antimeridian(uncut)
        names, rounded = shapely.to_wkb(pixels, hex=True), round_all_lonlat(lonlat)
        for number in np.flatnonzero(self._is_inside(lonlat)).tolist():
            lon, lat = shapely.get_coordinates(uncut[number]).T
            area, _ = WGS84.polygon_area_perimeter(lon, lat)
            places = ground[number], rounded[number]
            yield self._footprint(names[number], *places, area, merged[number])

    def _is_inside(self, lonlat: NDArray[np.object_]) -> NDArray[np.bool_]:
        if self.area is None:
            return np.ones(len(lonlat), np.bool_)
        inside: NDArray[np.bool_] = shapely.intersects(self.area, shapely.point_on_surface(lonlat))
        return inside

    def known(self, book: Book, judged: Judged, shift: BlockShift | None) -> Footprint:
        """A known outline with its grade: as it was drawn, or moved to where its roof is."""
        drawn = book.known(judged.number)
        pixels, lonlat = drawn.pixels, drawn.lonlat
        if shift and self.plan.outlines and self.plan.outlines.move:
            move = np.array([shift.right_px, shift.down_px])
            pixels = shapely.transform(pixels, lambda xy: xy + move)
            lonlat = shapely.transform(pixels, self._to_lonlat)
        area, _ = WGS84.geometry_area_perimeter(shapely.orient_polygons(lonlat))
        name = f"outline {drawn.number} {drawn.lonlat.wkb_hex}"
        ground = shapely.transform(pixels, self.plan.grid.to_ground)
        known = KnownAs(drawn.outline_id, drawn.attributes)
        return self._footprint(name, ground, round_lonlat(lonlat), area, judged, known)

    def _footprint(
        self,
        name: str,
        ground: Polygon | MultiPolygon,
        lonlat: Polygon | MultiPolygon,
        area_m2: float,
        said: Merged | Judged,
        known: KnownAs | None = None,
    ) -> Footprint:
        """A building in the scene's CRS and in rounded degrees; its ``name`` is its own."""
        chosen, doubt = self._choose(said)
        return Footprint(
            id=uuid5(IDENTITY, f"{self.plan.run_sha256} {name}"),
            outline=ground,
            lonlat=lonlat,
            grade=Grade.UNCLASSIFIED if doubt else MODEL_GRADES[chosen],
            score=said.score,
            grade_score=said.probabilities[chosen],
            probabilities=said.probabilities,
            area_m2=round(abs(area_m2), 1),
            clipped=said.clipped,
            model=self.plan.model.label,
            known=known,
            unclassified_because=doubt,
        )

    def _choose(self, said: Merged | Judged) -> tuple[int, Doubt | None]:
        """The grade to report, and why it must not be.

        It is the likeliest, or for a calibrated model the weightiest. What decides is what is
        stored, rounded as it is: whoever reads the output can follow it.
        """
        (shares,) = weighed(np.array([said.probabilities]), self.plan.model.grade_weight)
        second, first = np.sort(shares)[-2:]
        is_tie = bool(first - second < self.plan.options.grade_margin)
        return int(shares.argmax()), said.hidden or ("near_tie" if is_tie else None)

    def _to_lonlat(self, pixels: NDArray[np.float64]) -> NDArray[np.float64]:
        ground = self.plan.grid.to_ground(pixels)
        return np.column_stack(self.transformer.transform(ground[:, 0], ground[:, 1]))
