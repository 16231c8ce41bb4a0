"""How long it takes to settle a large scene's buildings, and how much memory.

    python -m benchmarks.merging [--footprints 100000 1000000] [--across 129]

Nothing is detected: what the tiles of a made-up town would have seen is made row by row, outside
the clock. Buildings have 4 to 12 corners, about 60 to a tile; every tile sees them up to a pixel
off, misses one in twenty, and cuts what reaches over its edge; one in a hundred is longer than the
overlap, so that its pieces must be joined. Every figure is one core's time in a process of its own.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS

from benchmarks.measures import peak_kibibytes
from detection.detector import ModelSpec
from detection.footprints import LEAST_AREA_PX, SUBPIXELS, TILE_EDGE_PX, Candidate, Side
from detection.georef import SceneGrid
from detection.merging import merge_rows
from detection.pipeline import DetectionOptions, ScenePlan, Shard, ShardResult, TileCounts, merge
from detection.radiometry import Stretch
from detection.results import TileResult
from detection.tiling import TileLayout

TILE_PX = 1024
OVERLAP_PX = 128
CORE_PX = TILE_PX - OVERLAP_PX
CELL_PX = 114  # a building every 114 pixels is 60 in a tile's core
MISSED = 0.05
JITTER_PX = 1.0
LONG_PX = (300, 50)
LONG_EVERY = 10  # cells, across and down
Rows = Iterator[tuple[int, list[Candidate]]]
T = TypeVar("T")


def main(arguments: list[str] | None = None) -> None:
    """Print time and peak memory at every size, of the merge alone and down to footprints."""
    args = _parser().parse_args(arguments)
    if args.stage:
        print(json.dumps(_measure(args.stage, args.footprints[0], args.across)))
        return
    for stage in _STAGES:
        for footprints in args.footprints:
            _report(stage, footprints, args.across)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.merging")
    parser.add_argument("--footprints", type=int, nargs="*", default=[100_000, 1_000_000])
    parser.add_argument("--across", type=int, default=129, help="tiles in a row")
    parser.add_argument("--stage", choices=list(_STAGES), help=argparse.SUPPRESS)
    return parser


def _report(stage: str, footprints: int, across: int) -> None:
    command = [sys.executable, "-m", "benchmarks.merging", "--stage", stage]
    sizes = ["--footprints", str(footprints), "--across", str(across)]
    done = subprocess.run([*command, *sizes], check=True, capture_output=True, text=True)
    said = json.loads(done.stdout)
    print(
        f"{stage}: {said['seen']:,} detections to {said['footprints']:,} footprints in "
        f"{said['seconds']:.1f} s, {1e6 * said['seconds'] / said['footprints']:.0f} s per million; "
        f"{said['gibibytes']:.2f} GiB at most, {said['before']:.2f} before it began"
    )


def _measure(stage: str, footprints: int, across: int) -> dict[str, float]:
    """One stage at one size; the time its input takes to make is not counted."""
    town = _Town(across, max(2, round(footprints / 60 / across)))
    before = peak_kibibytes()
    clock = _Clock()
    began = time.process_time()
    found = _STAGES[stage](town, clock)
    seconds = time.process_time() - began - clock.seconds
    return {
        "seen": town.seen,
        "footprints": found,
        "seconds": seconds,
        "before": before / 2**20,
        "gibibytes": peak_kibibytes() / 2**20,
    }


@dataclass
class _Clock:
    """Seconds of this process that its input took to make."""

    seconds: float = 0.0

    def around(self, made: Iterable[T]) -> Iterator[T]:
        """The same values; the time each takes to come is noted."""
        values = iter(made)
        while True:
            began = time.process_time()
            try:
                value = next(values)
            except StopIteration:
                return
            finally:
                self.seconds += time.process_time() - began
            yield value


def _merge_alone(town: "_Town", clock: _Clock) -> int:
    rows = (row for _, row in clock.around(town.rows()))
    return sum(map(len, merge_rows(town.layout, rows)))


def _merge_whole(town: "_Town", clock: _Clock) -> int:
    """From the bytes of shards to footprints; a shard is a row of tiles."""
    shards = clock.around(_shards(town))
    return sum(1 for _ in merge(_plan(town.layout), map(ShardResult.from_bytes, shards)))


_STAGES: dict[str, Callable[["_Town", _Clock], int]] = {
    "merge_rows": _merge_alone,
    "the whole merge": _merge_whole,
}


def _shards(town: "_Town") -> Iterator[bytes]:
    across = len(town.layout.lefts)
    for number, row in town.rows():
        by_tile: dict[int, list[Candidate]] = {}
        for candidate in row:
            by_tile.setdefault(candidate.tile, []).append(candidate)
        tiles = range(number * across, (number + 1) * across)
        results = [TileResult(tile, "read", tuple(by_tile.get(tile, ()))) for tile in tiles]
        shard = Shard(number, tiles.start, tiles.stop)
        yield ShardResult(shard, tuple(results), TileCounts(read=across)).to_bytes()


def _plan(layout: TileLayout) -> ScenePlan:
    model = ModelSpec("none", "1", "0" * 64, "after", 0.5, TILE_PX, 0.5, "Apache-2.0")
    options = DetectionOptions(TILE_PX, OVERLAP_PX, 0.5, 1)
    stretch = Stretch((0.0, 0.0, 0.0), (255.0, 255.0, 255.0))
    return ScenePlan(
        scene_name="made-up",
        scene_sha256="0" * 64,
        scene=layout.grid,
        grid=layout.grid,
        pixel_size_m=(0.5, 0.5),
        model=model,
        options=options,
        stretch=stretch,
        area=None,
        work=((0, layout.tile_count),),
        empty_tiles=0,
        warnings=(),
    )


# --- the made-up town


@dataclass
class _Town:
    """What tiles would have seen of a town; any row of it can be made alone.

    Attributes:
        across: tiles in a row.
        down: rows of tiles.
        seen: how many detections have been made so far.
    """

    across: int
    down: int
    seen: int = 0
    layout: TileLayout = field(init=False)

    def __post_init__(self) -> None:
        width, height = (OVERLAP_PX + CORE_PX * tiles for tiles in (self.across, self.down))
        transform = Affine(0.5, 0, 300_000, 0, -0.5, 4_000_000)
        grid = SceneGrid(width, height, transform, CRS.from_epsg(32637))
        self.layout = TileLayout(grid, TILE_PX, OVERLAP_PX)

    def rows(self) -> Rows:
        """Number and detections of every row of tiles."""
        for number in range(self.down):
            row = self._row(number)
            self.seen += len(row)
            yield number, row

    def _row(self, number: int) -> list[Candidate]:
        top = self.layout.tops[number]
        first, last = int(top / CELL_PX) - 2, int((top + TILE_PX) / CELL_PX) + 3
        width = self.layout.grid.width
        buildings = np.concatenate([_buildings(line, width) for line in range(first, last)])
        chance = np.random.default_rng([1, number])
        which, column = self._views(buildings, top)
        caught = chance.random(len(which)) >= MISSED
        which, column = which[caught], column[caught]
        moves = chance.uniform(-JITTER_PX, JITTER_PX, (len(which), 2))
        scores = np.round(chance.uniform(0.5, 1, len(which)), 4)
        return self._candidates(_moved(buildings[which], moves), number, column, scores)

    def _views(
        self, buildings: NDArray[np.object_], top: int
    ) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Number of the building, and column of the tile, of every view there may be."""
        left, above, right, below = shapely.bounds(buildings).T
        starts = np.array(self.layout.lefts)
        first = np.searchsorted(starts + TILE_PX, left, "right")
        last = np.searchsorted(starts, right, "left")
        count = np.where((above < top + TILE_PX) & (below > top), last - first, 0)
        which = np.repeat(np.arange(len(buildings)), count)
        before = np.repeat(np.cumsum(count) - count, count)
        return which, first[which] + np.arange(len(which)) - before

    def _candidates(
        self,
        seen: NDArray[np.object_],
        row: int,
        column: NDArray[np.intp],
        scores: NDArray[np.float64],
    ) -> list[Candidate]:
        left = np.array(self.layout.lefts)[column].astype(float)
        top = np.full(len(left), float(self.layout.tops[row]))
        cut = shapely.intersection(seen, shapely.box(left, top, left + TILE_PX, top + TILE_PX))
        cut = shapely.normalize(shapely.set_precision(cut, 1 / SUBPIXELS))
        whole = (shapely.get_type_id(cut) == 3) & (shapely.area(cut) >= LEAST_AREA_PX)
        sides = self._sides(cut, left, top)
        corners = (shapely.get_coordinates(cut) * SUBPIXELS).astype(np.int32)
        ends = np.cumsum(shapely.get_num_coordinates(cut))
        return [
            Candidate(
                row * len(self.layout.lefts) + int(column[n]),
                corners[ends[n - 1] if n else 0 : ends[n] - 1],
                float(scores[n]),
                (0.7, 0.1, 0.1, 0.1),
                Side(int(sides[n])),
                at_border=False,
            )
            for n in np.flatnonzero(whole)
        ]

    def _sides(
        self, cut: NDArray[np.object_], left: NDArray[np.float64], top: NDArray[np.float64]
    ) -> NDArray[np.int64]:
        grid = self.layout.grid
        bounds = shapely.bounds(cut)
        near, far = TILE_EDGE_PX, TILE_PX - TILE_EDGE_PX
        sides = Side.LEFT * ((left > 0) & (bounds[:, 0] - left <= near))
        sides |= Side.TOP * ((top > 0) & (bounds[:, 1] - top <= near))
        sides |= Side.RIGHT * ((left + TILE_PX < grid.width) & (bounds[:, 2] - left >= far))
        sides |= Side.BOTTOM * ((top + TILE_PX < grid.height) & (bounds[:, 3] - top >= far))
        return sides.astype(np.int64)


def _buildings(line: int, width: int) -> NDArray[np.object_]:
    """The buildings of one line of cells, each in a cell of its own; long ones reach over three."""
    cells = np.arange(-1, width // CELL_PX + 2)
    chance = np.random.default_rng([2, line + 10])
    middles = (np.column_stack([cells, np.full(len(cells), line)]) + 0.5) * CELL_PX
    size = chance.uniform(15, 50, len(cells))
    across, down = cells % LONG_EVERY - 5, line % LONG_EVERY - 5
    is_long = (across == 0) & (down == 0)
    free = (np.abs(across) + abs(down)) != 1
    usual = _stars(chance, middles, size)
    high, wide = (cells // LONG_EVERY + line // LONG_EVERY) % 2 == 0, np.array(LONG_PX) / 2
    reach = np.where(high[:, None], wide[::-1], wide)
    (left, top), (right, bottom) = (middles - reach).T, (middles + reach).T
    long = shapely.box(left, top, right, bottom)
    found: NDArray[np.object_] = np.where(is_long, long, usual)[free]
    return found


def _stars(
    chance: np.random.Generator, middles: NDArray[np.float64], size: NDArray[np.float64]
) -> NDArray[np.object_]:
    """Outlines of 4 to 12 corners, seen from the middle one after another."""
    count = chance.integers(4, 13, len(middles))
    corner = np.arange(12)
    turn = 2 * np.pi * (corner + chance.uniform(0, 0.6, (len(middles), 12))) / count[:, None]
    reach = size[:, None] * chance.uniform(0.75, 1, turn.shape)
    places = middles[:, None] + np.stack([np.cos(turn), np.sin(turn)], axis=2) * reach[..., None]
    real = corner < count[:, None]
    owner = np.broadcast_to(np.arange(len(middles))[:, None], real.shape)[real]
    return np.asarray(
        shapely.polygons(shapely.linearrings(places[real], indices=owner)), dtype=object
    )


def _moved(outlines: NDArray[np.object_], moves: NDArray[np.float64]) -> NDArray[np.object_]:
    coordinates = shapely.get_coordinates(outlines)
    each = np.repeat(moves, shapely.get_num_coordinates(outlines), axis=0)
    moved: NDArray[np.object_] = shapely.set_coordinates(outlines.copy(), coordinates + each)
    return moved


if __name__ == "__main__":
    main()
