"""In which order buildings are worth a look. Numbers in, numbers out: knows no database.

The order hangs on what the model said alone, never on what people have decided since: computed
again, it is the same.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detection.grades import MODEL_GRADES

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

NO_GRADE = -1  # of a building that the model left unclassified
WORST = len(MODEL_GRADES) - 1

SMALLEST_M2, TYPICAL_M2, LARGEST_M2 = 25.0, 100.0, 2500.0
NEIGHBOURHOOD_M = 50.0  # a street: damage of one cause seldom changes more sharply
FEWEST_NEIGHBOURS = 3  # fewer say nothing of a neighbourhood
GROUND_M = 250.0  # the side of a cell: what a screen shows at the scale at which one judges
TIERS = (0.1, 0.3, 0.6)  # of all buildings, most worth a look first; the rest is the last tier
POINTS_PER_STRIP_SQUARED = 3.0  # known to give the shortest walk by strips over even ground
METRES_PER_DEGREE = 111_195.0  # of latitude, on a sphere: good enough to order by

CELL_ZOOM = 20  # of the web map: cells of some 40 m at the equator
MERCATOR_END = 85.05  # degrees: where the web map ends


@dataclass(frozen=True, slots=True)
class Looks:
    """What the order needs of N buildings, in the engine's order.

    Attributes:
        lonlat: middles, shape (N, 2), degrees.
        area_m2: shape (N,), square metres.
        grade: shape (N,), 0 to 3 up the Joint Damage Scale; -1 where the model gave none.
        probabilities: of the four grades, shape (N, 4).
        score: that it is a building, shape (N,), in [0, 1].
    """

    lonlat: Floats
    area_m2: Floats
    grade: Integers
    probabilities: Floats
    score: Floats

    def __len__(self) -> int:
        return len(self.grade)


def worth(looks: Looks) -> Floats:
    """The expected value of one look at each building: how much of what is published it mends.

    ``(score * steps + (1 - score)) * size * (1 + disagreement)``, where

    - ``steps`` is the expected distance between the grade shown and the true one, in grades: the
      sum of p(k) * |k - grade|. Entropy would not do: to waver between destroyed and no damage
      misleads more than between neighbours. A building without a grade is wrong by one at least.
    - ``1 - score`` is the chance that there is no building: wrong by one as well.
    - ``size`` is the square root of the area in houses of 100 square metres, from 25 to 2,500:
      more people under one roof, but ten sheds before one hangar.
    - ``disagreement`` is the distance from the mean grade of the neighbours within some 50 m, as a
      share of the scale: damage lies in clusters, so the odd one out is more often an error than
      its own probabilities admit.

    Returns:
        Shape (N,), at least 0; of no unit, only to compare.
    """
    total = looks.probabilities.sum(axis=1, keepdims=True)
    even = np.full_like(looks.probabilities, 1 / len(MODEL_GRADES))
    shares = np.divide(looks.probabilities, total, out=even, where=total > 0)
    scale = np.arange(len(MODEL_GRADES))
    distance = shares @ np.abs(scale[:, None] - scale[None, :])  # if the grade were each of them
    graded = looks.grade != NO_GRADE
    shown = np.take_along_axis(distance, np.maximum(looks.grade, 0)[:, None], axis=1)[:, 0]
    steps = np.where(graded, shown, distance.min(axis=1) + 1)
    size = np.sqrt(np.clip(looks.area_m2, SMALLEST_M2, LARGEST_M2) / TYPICAL_M2)
    wrong = looks.score * steps + (1 - looks.score)
    value: Floats = wrong * size * (1 + _disagreement(looks))
    return value


def turns(looks: Looks) -> Integers:
    """Each building's place in the queue, shape (N,): every number from 0 to N - 1 once.

    In tiers, the tenth most worth a look first; a tier goes cell of ground by cell of ground, the
    cell with most to mend first; and a cell by a short walk, up and down in strips. So the map
    moves rarely and little, and nobody looks at what is certain before what is not.
    """
    value = worth(looks)
    count = len(looks)
    rank = np.empty(count, np.int64)
    rank[np.argsort(-value, kind="stable")] = np.arange(count)
    tier = np.searchsorted(np.array(TIERS) * count, rank, side="right")
    metres = _metres(looks.lonlat)
    column, row = np.floor(metres / GROUND_M).astype(np.int64).T
    _, batch = np.unique(np.stack([tier, column, row], axis=1), axis=0, return_inverse=True)
    batch = batch.reshape(-1)
    gain = np.bincount(batch, weights=value, minlength=1)
    strip, along = _strips(metres - GROUND_M * np.stack([column, row], axis=1), batch)
    walk = np.lexsort((np.arange(count), along, strip, batch, -gain[batch], tier))
    found = np.empty(count, np.int64)
    found[walk] = np.arange(count)
    return found


def cells(lonlat: Floats) -> Integers:
    """The cell of the web map at zoom 20 that each place lies in, as one number (Morton order).

    All cells inside one tile of a lower zoom follow each other without a gap, so an index finds
    them as one range.

    Args:
        lonlat: shape (N, 2), degrees.
    """
    longitude = (lonlat[:, 0] + 180) % 360
    sine = np.sin(np.radians(np.clip(lonlat[:, 1], -MERCATOR_END, MERCATOR_END)))
    x = longitude / 360
    y = 0.5 - np.log((1 + sine) / (1 - sine)) / (4 * np.pi)
    side = 1 << CELL_ZOOM
    column, row = (np.clip(np.floor(part * side), 0, side - 1).astype(np.int64) for part in (x, y))
    return interleaved(column) | (interleaved(row) << 1)


def interleaved(numbers: Integers) -> Integers:
    """Each bit of numbers below 2**31 moved to twice its place: room for another between."""
    spread = numbers.astype(np.int64)
    for shift, mask in (
        (16, 0x0000FFFF0000FFFF),
        (8, 0x00FF00FF00FF00FF),
        (4, 0x0F0F0F0F0F0F0F0F),
        (2, 0x3333333333333333),
        (1, 0x5555555555555555),
    ):
        spread = (spread | (spread << shift)) & mask
    return spread


def _metres(lonlat: Floats) -> Floats:
    """Right and up from the south-western corner of all."""
    if len(lonlat) == 0:
        return lonlat
    squeeze = np.cos(np.radians(lonlat[:, 1].mean()))
    from_corner = lonlat - lonlat.min(axis=0)
    metres: Floats = from_corner * METRES_PER_DEGREE * np.array([squeeze, 1.0])
    return metres


def _strips(inside: Floats, batch: Integers) -> tuple[Integers, Floats]:
    """For places inside their cells, in metres: which strip, and how far along its direction."""
    sizes = np.bincount(batch, minlength=1)[batch]
    strips = np.maximum(1, np.rint(np.sqrt(sizes / POINTS_PER_STRIP_SQUARED)))
    strip = np.floor(inside[:, 1] / GROUND_M * strips).astype(np.int64)
    return strip, np.where(strip % 2 == 0, inside[:, 0], -inside[:, 0])


def _disagreement(looks: Looks) -> Floats:
    """How far each grade lies from its neighbours' mean, as a share of the scale, in [0, 1].

    Neighbours are all others with a grade in the nine squares of 50 m round a building.
    """
    if len(looks) == 0:
        return looks.area_m2
    graded = looks.grade != NO_GRADE
    column, row = np.floor(_metres(looks.lonlat) / NEIGHBOURHOOD_M).astype(np.int64).T + 1
    wide = int(column.max(initial=0)) + 2
    keys, square = np.unique(row * wide + column, return_inverse=True)
    square = square.reshape(-1)
    count = np.bincount(square, weights=graded, minlength=len(keys))
    total = np.bincount(square, weights=np.where(graded, looks.grade, 0), minlength=len(keys))
    around_count, around_total = np.zeros_like(count), np.zeros_like(total)
    for down in (-1, 0, 1):
        for right in (-1, 0, 1):
            wanted = keys + down * wide + right
            at = np.minimum(np.searchsorted(keys, wanted), max(len(keys) - 1, 0))
            there = keys[at] == wanted
            around_count += np.where(there, count[at], 0)
            around_total += np.where(there, total[at], 0)
    others = around_count[square] - graded
    mean = np.divide(
        around_total[square] - np.where(graded, looks.grade, 0),
        others,
        out=looks.grade.astype(float),
        where=others > 0,
    )
    apart: Floats = np.abs(looks.grade - mean) / WORST
    return np.where(graded & (others >= FEWEST_NEIGHBOURS), apart, 0.0)
