"""From judged samples to what the page says: precision, recall and number. No Django."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from detection.grades import Grade
from unosat.quality import estimates
from unosat.quality.estimates import Range

NOT_SHOWN = ""  # said of a building that the map does not show
FEWEST = 10  # judged buildings that an interval is given for; see test_coverage.py
DAMAGED = frozenset({Grade.MINOR_DAMAGE.value, Grade.MAJOR_DAMAGE.value, Grade.DESTROYED.value})
TRUE_GRADES = frozenset(DAMAGED | {Grade.NO_DAMAGE.value})
ANY = frozenset(TRUE_GRADES | {Grade.UNCLASSIFIED.value})
_Called = tuple[str, bool]  # a stratum, and whether the map calls it so


@dataclass(frozen=True, slots=True)
class Cell:
    """Buildings that were sampled alike and that the map says the same of.

    Attributes:
        stratum: what they were sampled as; in it all had the same chance.
        said: grade on the map; ``NOT_SHOWN`` where it shows no building.
        size: how many there are.
        truth: how many of the judged ones are of each true grade; no building is ``NOT_SHOWN``.
        not_judged: how many of the sampled ones could not be judged.
    """

    stratum: str
    said: str
    size: int
    truth: Mapping[str, int]
    not_judged: int = 0

    @property
    def judged(self) -> int:
        """How many were judged."""
        return sum(self.truth.values())


@dataclass(frozen=True, slots=True)
class Ground:
    """Squares that were sampled alike.

    Attributes:
        size: how many there are.
        seen: for each judged square, how many buildings of each grade the map misses there.
    """

    size: int
    seen: Sequence[Mapping[str, int]]


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with its 95 % interval."""

    estimate: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Class:
    """What is known of one class of buildings.

    Attributes:
        name: a grade, ``damaged`` or ``building``.
        precision: of what the map calls so, the share that is; None: too few were judged.
        precision_of: judged buildings that it rests on.
        recall: of what is so, the share that the map calls so; None: too few were seen.
        recall_of: buildings that are so, among those judged and those marked as missed.
    """

    name: str
    precision: Interval | None
    precision_of: int
    recall: Interval | None
    recall_of: int


@dataclass(frozen=True, slots=True)
class Figures:
    """What a sample says of a map.

    Attributes:
        classes: grades, then ``damaged`` and ``building``.
        shown: damaged buildings that the map shows.
        number: damaged buildings there are; None: too few were seen.
        number_of: damaged buildings that it rests on.
        missed: damaged buildings that no outline shows; None where no squares were judged.
        bounds: the number if none, or all, of what could not be judged is damaged; None where
            everything could be.
        with_missed: whether squares were judged. Without them recall is of the outlined ones only.
    """

    classes: tuple[Class, ...]
    shown: int
    number: Interval | None
    number_of: int
    missed: Interval | None
    bounds: tuple[float, float] | None
    with_missed: bool


CLASSES: tuple[tuple[str, frozenset[str], frozenset[str]], ...] = (
    *(
        (g.value, frozenset({g.value}), frozenset({g.value}))
        for g in Grade
        if g.value in TRUE_GRADES
    ),
    ("damaged", DAMAGED, DAMAGED),
    ("building", ANY, TRUE_GRADES),
)


def figures(
    cells: Sequence[Cell], ground: Sequence[Ground], added: Mapping[str, int] | None = None
) -> Figures:
    """Work out everything.

    Args:
        cells: of all sampled buildings; sizes add up to all there are.
        ground: of all sampled squares; empty where none were.
        added: buildings on the map, by grade, that came after the sample was drawn. Nobody judged
            them: they count as what they are called.
    """
    later = added or {}
    looked = [stratum for stratum in ground if stratum.seen]
    ground = (
        looked if len(looked) == len(ground) else []
    )  # a stratum nobody could see tells nothing
    said_damaged = sum(c.size for c in cells if c.said in DAMAGED)
    number, missed = _number(cells, ground, DAMAGED, later)
    seen = _seen(cells, ground, DAMAGED)
    return Figures(
        classes=tuple(
            _class(name, said, true, cells, ground, later) for name, said, true in CLASSES
        ),
        shown=said_damaged + _of(later, DAMAGED),
        number=_plain(number) if _enough(seen, cells, ground) else None,
        number_of=seen,
        missed=_plain(missed) if missed else None,
        bounds=_bounds(cells, ground, later),
        with_missed=bool(ground),
    )


def _class(
    name: str,
    said: frozenset[str],
    true: frozenset[str],
    cells: Sequence[Cell],
    ground: Sequence[Ground],
    later: Mapping[str, int],
) -> Class:
    called = [cell for cell in cells if cell.said in said]
    others = [cell for cell in cells if cell.said not in said]
    hits = _found(called, true)
    size = sum(cell.size for cell in called)
    judged = sum(cell.judged for cell in called)
    left = _found(others, true)
    if ground:
        left = estimates.plus(left, _missed(ground, ANY if name == "building" else true))
    recall = estimates.part(_shifted(hits, _of(later, said)), left)
    seen = _seen(cells, ground, true)
    return Class(
        name=name,
        precision=_plain(_divided(hits, size)) if size and _enough(judged, called) else None,
        precision_of=judged,
        recall=_plain(recall) if _enough(seen, cells, ground) else None,
        recall_of=seen,
    )


def _number(
    cells: Sequence[Cell],
    ground: Sequence[Ground],
    true: frozenset[str],
    later: Mapping[str, int],
) -> tuple[Range, Range | None]:
    found = _shifted(_found(cells, true), _of(later, true))
    if not ground:
        return found, None
    missed = _missed(ground, true)
    return estimates.plus(found, missed), missed


def _found(cells: Sequence[Cell], true: frozenset[str]) -> Range:
    """Of each stratum two shares: of what the map calls so, and of the rest.

    The cells of the rest were sampled alike: together they tell more than each by itself, where
    some have hardly any of the sample.
    """
    sizes, judged, so = Counter[_Called](), Counter[_Called](), Counter[_Called]()
    for cell in cells:
        which = cell.stratum, cell.said in true
        sizes[which] += cell.size
        judged[which] += cell.judged
        so[which] += _of(cell.truth, true)
    shares = estimates.share(
        [so[which] for which in sizes],
        [judged[which] for which in sizes],
        list(sizes.values()),
        [float(called) for _, called in sizes],  # unjudged: the map's word, 0 to all
    )
    return estimates.total(shares, list(sizes.values()))


def _missed(ground: Sequence[Ground], grades: frozenset[str]) -> Range:
    counts = [np.array([_of(square, grades) for square in s.seen], np.float64) for s in ground]
    return estimates.in_squares(
        [c.mean() for c in counts],
        [c.var(ddof=1) if len(c) > 1 else c.mean() for c in counts],
        [len(c) for c in counts],
        [stratum.size for stratum in ground],
    )


def _bounds(
    cells: Sequence[Cell], ground: Sequence[Ground], later: Mapping[str, int]
) -> tuple[float, float] | None:
    """Each cell's share once with all that could not be judged as undamaged, once as damaged."""
    if not any(cell.not_judged for cell in cells):
        return None
    ends = []
    for grade in (NOT_SHOWN, Grade.DESTROYED.value):
        filled = [
            replace(cell, truth={**cell.truth, grade: cell.truth.get(grade, 0) + cell.not_judged})
            for cell in cells
        ]
        ends.append(float(_number(filled, ground, DAMAGED, later)[0].estimate))
    return ends[0], ends[1]


def _seen(cells: Iterable[Cell], ground: Iterable[Ground], true: frozenset[str]) -> int:
    judged = sum(_of(cell.truth, true) for cell in cells)
    return judged + sum(_of(square, true) for stratum in ground for square in stratum.seen)


def _enough(count: int, cells: Sequence[Cell], ground: Sequence[Ground] = ()) -> bool:
    """Whether an interval is worth giving: enough was seen, or there is nothing more to see."""
    everything = bool(cells) and all(cell.judged == cell.size for cell in cells)
    everything = everything and all(len(stratum.seen) == stratum.size for stratum in ground)
    return count >= FEWEST or (everything and count > 0)


def _of(counts: Mapping[str, int], names: frozenset[str]) -> int:
    return sum(count for name, count in counts.items() if name in names)


def _shifted(of: Range, by: float) -> Range:
    return Range(of.estimate + by, of.low + by, of.high + by)


def _divided(of: Range, by: float) -> Range:
    return Range(of.estimate / by, of.low / by, of.high / by)


def _plain(of: Range) -> Interval:
    return Interval(float(of.estimate), float(of.low), float(of.high))
