"""What shards hand to the merge: plain values that travel between processes as bytes."""

import gzip
import json
import zlib
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self

import numpy as np

from detection.footprints import Candidate, Side
from detection.tiling import Shard

Bounds = tuple[float, float, float, float]  # west, south, east, north; degrees
Outcome = Literal["read", "empty", "not_analysed"]


@dataclass(frozen=True, slots=True)
class TileCounts:
    """What became of tiles.

    Attributes:
        read: given to the model.
        empty: without a valid pixel.
        not_analysed: where the file is damaged: west, south, east, north of each, in degrees.
    """

    read: int = 0
    empty: int = 0
    not_analysed: tuple[Bounds, ...] = ()

    def __add__(self, other: "TileCounts") -> "TileCounts":
        return TileCounts(
            self.read + other.read,
            self.empty + other.empty,
            self.not_analysed + other.not_analysed,
        )


@dataclass(frozen=True, slots=True, eq=False)
class TileResult:
    """One tile's share of the result.

    Attributes:
        index: number of the tile.
        outcome: what became of it.
        candidates: what the model saw in it.
    """

    index: int
    outcome: Outcome
    candidates: tuple[Candidate, ...] = ()


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
            "tiles": [
                [tile.index, tile.outcome, [_candidate_to_json(one) for one in tile.candidates]]
                for tile in self.tiles
            ],
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
        return cls(
            Shard(**read["shard"]),
            tuple(
                TileResult(index, outcome, tuple(_candidate_from_json(index, c) for c in found))
                for index, outcome, found in read["tiles"]
            ),
            TileCounts(**counts, not_analysed=missed),
        )


def _candidate_to_json(candidate: Candidate) -> list[Any]:
    return [
        candidate.outline.ravel().tolist(),
        candidate.score,
        candidate.probabilities,
        int(candidate.sides),
        candidate.at_border,
    ]


def _candidate_from_json(tile: int, data: list[Any]) -> Candidate:
    corners, score, probabilities, sides, at_border = data
    outline = np.array(corners, np.int32).reshape(-1, 2)
    return Candidate(tile, outline, score, tuple(probabilities), Side(sides), at_border)
