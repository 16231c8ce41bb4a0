"""What shards hand to the merge: plain values that travel between processes as bytes."""

import gzip
import json
import zlib
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self

import numpy as np

from detection.before import PairShift
from detection.footprints import Candidate, Side
from detection.grades import Hidden
from detection.outlines.book import Reason
from detection.outlines.offsets import BlockShift
from detection.tiling import Shard

Bounds = tuple[float, float, float, float]  # west, south, east, north; degrees
Outcome = Literal["read", "empty", "not_analysed"]


@dataclass(frozen=True, slots=True)
class Judged:
    """What the model says of one known outline.

    Attributes:
        number: of the outline in its file.
        score: that there is a building, in [0, 1].
        probabilities: one per grade of ``MODEL_GRADES``.
        clipped: part of it lies outside the image or under nodata, or at an edge of either.
        hidden: by what, if its grade cannot be told. What lies by less than half on pixels of the
            image is not judged at all, so only a cloud hides.
    """

    number: int
    score: float
    probabilities: tuple[float, ...]
    clipped: bool
    hidden: Hidden | None = None


@dataclass(frozen=True, slots=True)
class OutlineCounts:
    """What became of known outlines in the tiles that were to judge them.

    Attributes:
        judged: how many have a grade.
        missed: number and reason of those that could not be judged.
        shifts: how far outlines lie from the roofs, for each tile that judged any.
    """

    judged: int = 0
    missed: tuple[tuple[int, Reason], ...] = ()
    shifts: tuple[BlockShift, ...] = ()

    def __add__(self, other: "OutlineCounts") -> "OutlineCounts":
        return OutlineCounts(
            self.judged + other.judged, self.missed + other.missed, self.shifts + other.shifts
        )


@dataclass(frozen=True, slots=True)
class TileCounts:
    """What became of tiles.

    Attributes:
        read: given to the model.
        empty: without a valid pixel.
        not_analysed: where the file is damaged: west, south, east, north of each, in degrees.
        outlines: what became of the known outlines in them.
        before: how the image before was laid under each tile that was read; none without one.
        damaged_tiles: numbers of the tiles in ``not_analysed``.
        empty_tiles: numbers of those of the ``empty`` ones that had to be read to know it.
    """

    read: int = 0
    empty: int = 0
    not_analysed: tuple[Bounds, ...] = ()
    outlines: OutlineCounts = OutlineCounts()
    before: tuple[PairShift, ...] = ()
    damaged_tiles: tuple[int, ...] = ()
    empty_tiles: tuple[int, ...] = ()

    @property
    def without_before(self) -> int:
        """Tiles that were read but of which the image before shows nothing."""
        return sum(shift.shown == 0 for shift in self.before)

    def __add__(self, other: "TileCounts") -> "TileCounts":
        return TileCounts(
            self.read + other.read,
            self.empty + other.empty,
            self.not_analysed + other.not_analysed,
            self.outlines + other.outlines,
            self.before + other.before,
            self.damaged_tiles + other.damaged_tiles,
            self.empty_tiles + other.empty_tiles,
        )


@dataclass(frozen=True, slots=True, eq=False)
class TileResult:
    """One tile's share of the result.

    Attributes:
        index: number of the tile.
        outcome: what became of it.
        candidates: what the model saw in it.
        judged: what it says of the known outlines that are this tile's to judge.
        missed: number and reason of those of them that it could not judge.
        shift: how far known outlines lie from the roofs here; None where there are none.
        before: how the image before was laid under it; None where there is none.
    """

    index: int
    outcome: Outcome
    candidates: tuple[Candidate, ...] = ()
    judged: tuple[Judged, ...] = ()
    missed: tuple[tuple[int, Reason], ...] = ()
    shift: BlockShift | None = None
    before: PairShift | None = None


@dataclass(frozen=True, slots=True, eq=False)
class ShardResult:
    """What one shard found; the same bytes whenever and wherever it is done again.

    Attributes:
        shard: which.
        tiles: in ascending order.
        counts: of these tiles.
    """

    shard: Shard
    tiles: tuple[TileResult, ...]
    counts: TileCounts

    def to_bytes(self) -> bytes:
        """As compressed JSON."""
        data = {
            "shard": asdict(self.shard),
            "counts": asdict(self.counts),
            "tiles": [_tile_to_json(tile) for tile in self.tiles],
        }
        return gzip.compress(json.dumps(data, separators=(",", ":")).encode(), 6, mtime=0)

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """The result that ``to_bytes`` wrote.

        Raises:
            ValueError: the bytes are damaged.
        """
        try:
            read = json.loads(gzip.decompress(data))
        except (OSError, EOFError, zlib.error) as error:
            raise ValueError(f"not the result of a shard: {error}") from error
        counts = read["counts"]
        missed = tuple(tuple(bounds) for bounds in counts.pop("not_analysed"))
        outlines = _outline_counts_from_json(counts.pop("outlines"))
        before = tuple(PairShift(**shift) for shift in counts.pop("before"))
        damaged, empty = (tuple(counts.pop(name)) for name in ("damaged_tiles", "empty_tiles"))
        return cls(
            Shard(**read["shard"]),
            tuple(_tile_from_json(*tile) for tile in read["tiles"]),
            TileCounts(
                **counts,
                not_analysed=missed,
                outlines=outlines,
                before=before,
                damaged_tiles=damaged,
                empty_tiles=empty,
            ),
        )


def _outline_counts_from_json(data: dict[str, Any]) -> OutlineCounts:
    return OutlineCounts(
        data["judged"],
        tuple((number, reason) for number, reason in data["missed"]),
        tuple(BlockShift(**shift) for shift in data["shifts"]),
    )


def _tile_to_json(tile: TileResult) -> list[Any]:
    candidates = [_candidate_to_json(one) for one in tile.candidates]
    judged = [
        [one.number, one.score, one.probabilities, one.clipped, one.hidden] for one in tile.judged
    ]
    shift = asdict(tile.shift) if tile.shift else None
    before = asdict(tile.before) if tile.before else None
    return [tile.index, tile.outcome, candidates, judged, tile.missed, shift, before]


def _tile_from_json(  # noqa: PLR0913, PLR0917 (as they lie in the list)
    index: int,
    outcome: Outcome,
    candidates: list[Any],
    judged: list[Any],
    missed: list[Any],
    shift: dict[str, Any] | None,
    before: dict[str, Any] | None,
) -> TileResult:
    return TileResult(
        index,
        outcome,
        tuple(_candidate_from_json(index, one) for one in candidates),
        tuple(Judged(n, score, tuple(grades), *seen) for n, score, grades, *seen in judged),
        tuple((number, reason) for number, reason in missed),
        BlockShift(**shift) if shift else None,
        PairShift(**before) if before else None,
    )


def _candidate_to_json(candidate: Candidate) -> list[Any]:
    return [
        candidate.outline.ravel().tolist(),
        candidate.score,
        candidate.probabilities,
        int(candidate.sides),
        candidate.at_border,
        candidate.hidden,
    ]


def _candidate_from_json(tile: int, data: list[Any]) -> Candidate:
    corners, score, probabilities, sides, *seen = data
    outline = np.array(corners, np.int32).reshape(-1, 2)
    return Candidate(tile, outline, score, tuple(probabilities), Side(sides), *seen)
