"""Cut a scene into tiles, batches and shards. Pure arithmetic: no pixels are read here."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from detection.georef import GeoTile, SceneGrid


@dataclass(frozen=True)
class TileLayout:
    """The fixed tiles of one scene, numbered in row-major order.

    All tiles are one size, so batches need no padding: ``tile_px`` square, or as long as the
    scene where that is shorter. The last row and column move inwards, not shrink. A batch is a
    fixed run of neighbours in one row: what a tile is batched with never depends on the shard.

    Attributes:
        grid: the scene, in pixels of the model's size.
        tile_px: side of a tile, in pixels.
        overlap_px: least overlap between neighbours, in pixels. Choose it no smaller than
            most buildings, so that each is whole in at least one tile.
        batch_size: tiles in a batch; the last batch of a row may be shorter.
    """

    grid: SceneGrid
    tile_px: int
    overlap_px: int
    batch_size: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.overlap_px < self.tile_px:
            raise ValueError(f"need 0 <= overlap_px < tile_px: {self.overlap_px}, {self.tile_px}")
        if self.batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {self.batch_size}")

    @cached_property
    def lefts(self) -> tuple[int, ...]:
        """Left edge of each column of tiles, in pixels."""
        return _starts(self.grid.width, self.tile_px, self.overlap_px)

    @cached_property
    def tops(self) -> tuple[int, ...]:
        """Top edge of each row of tiles, in pixels."""
        return _starts(self.grid.height, self.tile_px, self.overlap_px)

    @property
    def tile_count(self) -> int:
        """How many tiles cover the scene."""
        return len(self.lefts) * len(self.tops)

    @property
    def batches_per_row(self) -> int:
        """How many batches a row of tiles makes."""
        return -(-len(self.lefts) // self.batch_size)

    @property
    def batch_count(self) -> int:
        """How many batches the scene makes."""
        return self.batches_per_row * len(self.tops)

    def tile(self, index: int) -> GeoTile:
        """The tile numbered ``index``."""
        row, column = divmod(index, len(self.lefts))
        return GeoTile(
            self.lefts[column],
            self.tops[row],
            min(self.tile_px, self.grid.width),
            min(self.tile_px, self.grid.height),
            self.grid,
        )

    def row_of(self, index: int) -> int:
        """The row of tiles that tile ``index`` lies in."""
        return index // len(self.lefts)

    def batch_of(self, index: int) -> int:
        """The batch that tile ``index`` belongs to."""
        row, column = divmod(index, len(self.lefts))
        return row * self.batches_per_row + column // self.batch_size

    def batch(self, number: int) -> range:
        """The tiles of one batch."""
        row, position = divmod(number, self.batches_per_row)
        first = position * self.batch_size
        last = min(first + self.batch_size, len(self.lefts))
        return range(row * len(self.lefts) + first, row * len(self.lefts) + last)


@dataclass(frozen=True, slots=True)
class Shard:
    """A part of a scene's work: whole batches, so that sharding never changes what is found.

    Attributes:
        index: 0 upwards, in the order that ``merge`` likes best.
        first_batch: the first batch of this shard.
        last_batch: the batch after its last.
    """

    index: int
    first_batch: int
    last_batch: int


def split_batches(layout: TileLayout, work: Iterable[int], *, shards: int) -> list[Shard]:
    """Share the batches that hold work evenly among at most ``shards`` shards.

    Args:
        layout: the tiles.
        work: numbers of the tiles that need the model, ascending.
        shards: how many shards to make, at least 1; fewer where there are fewer batches.

    Returns:
        Shards in row-major order that together hold every batch with work; never empty.
    """
    if shards < 1:
        raise ValueError(f"need at least one shard, got {shards}")
    batches = sorted({layout.batch_of(index) for index in work})
    if not batches:
        return [Shard(0, 0, layout.batch_count)]
    count = min(shards, len(batches))
    starts = [batches[len(batches) * number // count] for number in range(count)]
    bounds = [*starts, batches[-1] + 1]
    return [Shard(index, first, last) for index, (first, last) in enumerate(pairwise(bounds))]


def runs_of(indexes: Iterable[int]) -> tuple[tuple[int, int], ...]:
    """Ascending whole numbers as half-open runs: 1, 2, 3, 7 become (1, 4), (7, 8)."""
    runs: list[tuple[int, int]] = []
    for index in indexes:
        if runs and runs[-1][1] == index:
            runs[-1] = (runs[-1][0], index + 1)
        else:
            runs.append((index, index + 1))
    return tuple(runs)


def _starts(length_px: int, tile_px: int, overlap_px: int) -> tuple[int, ...]:
    """Offsets of tiles along one axis; the last one ends exactly at ``length_px``."""
    last = max(0, length_px - tile_px)
    return (*range(0, last, tile_px - overlap_px), last)
