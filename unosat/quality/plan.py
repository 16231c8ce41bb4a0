"""How large a sample is, and what it can be expected to tell, before anybody judges. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from detection.grades import Grade
from unosat.quality import estimates

ADDED = "added"  # the stratum of buildings that analysts had added when the sample was drawn

# What is expected of each stratum while nothing is known, for the allocation alone: the estimates
# do not use it. One half is the worst case; of what the model calls undamaged, little is damaged.
USUALLY_DAMAGED: dict[str, float] = {
    Grade.NO_DAMAGE.value: 0.05,
    Grade.MINOR_DAMAGE.value: 0.5,
    Grade.MAJOR_DAMAGE.value: 0.5,
    Grade.DESTROYED.value: 0.5,
    Grade.UNCLASSIFIED.value: 0.5,
    ADDED: 0.5,
}
LEAST = 30  # of each stratum, or all of it: a share is then known to within 18 points

# Squares without, with few and with many outlines: most of what is missed stands near what is found
SQUARE_STRATA = ("empty", "sparse", "dense")
SQUARES_BY_STRATUM = (0.2, 0.45, 0.35)
LEAST_SQUARES = 2  # of each stratum: one tells nothing of how they vary


@dataclass(frozen=True, slots=True)
class Stratum:
    """A part of the population that is sampled by itself.

    Attributes:
        name: the model's grade, or ``ADDED``; of squares one of ``SQUARE_STRATA``.
        size: how many there are in it.
        sampled: how many of them are judged.
    """

    name: str
    size: int
    sampled: int


def strata_of(sizes: Mapping[str, int], count: int) -> list[Stratum]:
    """Share ``count`` buildings out over the strata that have any."""
    names = [name for name in USUALLY_DAMAGED if sizes.get(name)]
    of = [sizes[name] for name in names]
    chosen = estimates.allocate(of, [USUALLY_DAMAGED[n] for n in names], count, LEAST)
    return [Stratum(*row) for row in zip(names, of, chosen, strict=True)]


def square_strata_of(sizes: Mapping[str, int], count: int) -> list[Stratum]:
    """Share ``count`` squares out over the strata that have any."""
    strata = []
    for name, part in zip(SQUARE_STRATA, SQUARES_BY_STRATUM, strict=True):
        size = sizes.get(name, 0)
        if size:
            wanted = max(LEAST_SQUARES, round(count * part))
            strata.append(Stratum(name, size, min(size, wanted)))
    return strata


def expected(strata: list[Stratum]) -> dict[str, float]:
    """Half widths to expect of the 95 % intervals.

    Returns:
        Per stratum that of its precision, as a share, at worst; and as ``number`` that of the
        number of damaged buildings among those outlined, if the strata are as ``USUALLY_DAMAGED``.
    """
    n, of = [s.sampled for s in strata], [s.size for s in strata]
    worst = estimates.half_width(np.full(len(n), 0.5), n, of)
    usual = np.array([USUALLY_DAMAGED[s.name] for s in strata])
    number = estimates.total(estimates.share(usual * n, n, of), of)
    return {s.name: float(half) for s, half in zip(strata, worst, strict=True)} | {
        "number": float((number.high - number.low) / 2)
    }
