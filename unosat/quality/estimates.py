"""What a random sample says of all of them: shares and numbers, each with a 95 % interval.

No Django here. Every function takes arrays and works along the last axis, so that a simulation of
thousands of samples is one call. The methods were chosen by such simulations (see
``tests/unosat/quality/test_coverage.py``):

- one stratum: Jeffreys' interval (Brown, Cai and DasGupta, Statistical Science 16, 2001), 0 and 1
  where none or all are so, of as many as the sample is worth by Cochran's finite population
  correction. Wilson's begins too high where one or two are seen of what is rare:
  from a large stratum that moved every number, and recalls held the truth in 91 of 100.
- numbers added up over strata, and found ones plus missed ones: the variance estimates recovered
  from each interval (MOVER, Zou and Donner). A large stratum in which nothing was found still
  widens the result, by what may well be in it.
- missed buildings, counted in squares: a gamma interval (Fay and Feuer, with the mean weight of
  Tiwari et al.), because counts are small, skewed and come in clusters; wider by Student's t with
  Satterthwaite's degrees of freedom, because how they vary is known from a few squares only.
- a share of two such numbers (recall): MOVER for a ratio (Donner and Zou).

In simulation single grades hold the truth in 93 of 100 samples or more, before and after review.
After it they hold more than 97 where few of what the map calls so were judged: nobody knows of
those, and the interval says it. Of one stratum by itself coverage swings with the share, as that
of every such interval: with 30 to 100 judged it is 95 of 100 on average, and 88 where two or three
are expected.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

Z = 1.959963984540054  # of the normal distribution, for 95 %
TAIL = 0.025  # beyond each end
HARDLY = 1e-9  # stands for nothing where one divides by it
# Of a building, added at both ends, because buildings come whole. Without it the last ones of a
# small stratum are often missed (2 of 33, where 30 are judged: 18 times of 100); a half holds
# over 97 % where strata are small
WHOLE = 0.25

Numbers = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Range:
    """Estimates with their 95 % intervals.

    Attributes:
        estimate: any shape.
        low: same shape; never above ``estimate``.
        high: same shape; never below ``estimate``.
    """

    estimate: Numbers
    low: Numbers
    high: Numbers


def share(
    found: ArrayLike, judged: ArrayLike, size: ArrayLike, otherwise: ArrayLike = 0.5
) -> Range:
    """The share of a stratum that is so, from a simple random sample of it.

    Args:
        found: how many of the judged ones are so.
        judged: how many were judged; where none was, nothing is known: 0 to 1.
        size: how many there are in the stratum.
        otherwise: the estimate where none was judged, in [0, 1].

    Returns:
        Shares in [0, 1]; exact where everything was judged.
    """
    x, n, of = (np.asarray(a, np.float64) for a in np.broadcast_arrays(found, judged, size))
    p = np.where(n > 0, x / np.maximum(n, 1), otherwise)
    worth = (of - 1) / np.maximum(of - n, 1)  # of one, had they been drawn with replacement
    so, not_so = x * worth + 0.5, (n - x) * worth + 0.5
    low = np.where(x > 0, special.betaincinv(so, not_so, TAIL), 0)
    high = np.where(x < n, special.betaincinv(so, not_so, 1 - TAIL), 1)
    whole = WHOLE / np.maximum(of, 1)
    all_judged = (n >= of) & (n > 0)
    return Range(
        p,
        np.where(all_judged, p, np.clip(low - whole, 0, p)),
        np.where(all_judged, p, np.clip(high + whole, p, 1)),
    )


def total(shares: Range, sizes: ArrayLike) -> Range:
    """How many there are over all strata.

    Args:
        shares: last axis strata.
        sizes: of the strata.

    Returns:
        Without the last axis. Zero strata are zero.
    """
    of = np.asarray(sizes, np.float64)
    middle = (shares.estimate * of).sum(-1)
    below = np.sqrt((((shares.estimate - shares.low) * of) ** 2).sum(-1))
    above = np.sqrt((((shares.high - shares.estimate) * of) ** 2).sum(-1))
    return Range(middle, np.maximum(middle - below, 0), np.minimum(middle + above, of.sum(-1)))


def plus(one: Range, other: Range) -> Range:
    """The sum of two numbers that were estimated independently of each other."""
    middle = one.estimate + other.estimate
    below = np.hypot(one.estimate - one.low, other.estimate - other.low)
    above = np.hypot(one.high - one.estimate, other.high - other.estimate)
    return Range(middle, np.maximum(middle - below, 0), middle + above)


def in_squares(mean: ArrayLike, variance: ArrayLike, judged: ArrayLike, size: ArrayLike) -> Range:
    """How many there are on the ground, counted in a random sample of its squares.

    Args:
        mean: number in a judged square; last axis strata of squares.
        variance: of that number between the judged squares (divisor one less than their number).
        judged: squares that were judged, at least one in each stratum.
        size: squares in the stratum.

    Returns:
        Without the last axis.
    """
    y, spread, m, of = (np.asarray(a, np.float64) for a in (mean, variance, judged, size))
    left = 1 - m / of
    middle = (of * y).sum(-1)
    # counts that come singly vary by their mean; a few squares can look smoother than that
    varies = of**2 / m * left * np.maximum(spread, y)
    vary = varies.sum(-1)
    doubt = (varies**2 / np.maximum(m - 1, 1)).sum(-1)
    free = np.where(doubt > 0, vary**2 / np.maximum(doubt, HARDLY), np.inf)
    unsure = special.stdtrit(np.maximum(free, 1), 1 - TAIL) / Z
    weight = of.sum(-1) / m.sum(-1) * np.sqrt(np.clip(1 - m.sum(-1) / of.sum(-1), 0, 1))
    more, wider = middle + weight / 2, vary + weight**2 / 2
    low = np.where(vary > 0, _gamma_quantile(middle, vary, TAIL), middle)
    high = np.where(wider > 0, _gamma_quantile(more, wider, 1 - TAIL), middle)
    return Range(
        middle,
        np.maximum(middle - unsure * np.maximum(middle - low, 0), 0),
        middle + unsure * np.maximum(high - middle, 0),
    )


def part(inside: Range, outside: Range) -> Range:
    """The share ``inside / (inside + outside)`` of two numbers estimated independently.

    Where both estimates are zero nothing is known: 0 to 1.
    """
    a, b = inside, outside
    both = a.estimate + b.estimate
    middle = np.where(both > 0, a.estimate / np.where(both > 0, both, 1), 0.5)
    low = 1 / (1 + _ratio_at_most(b, a))
    high = 1 / (1 + _ratio_at_least(b, a))
    return Range(
        middle,
        np.where(both > 0, np.minimum(low, middle), 0.0),
        np.where(both > 0, np.maximum(high, middle), 1.0),
    )


def half_width(shares: ArrayLike, judged: ArrayLike, size: ArrayLike) -> Numbers:
    """Half the width to expect of an interval of a share, before anything was judged."""
    p, n = np.asarray(shares, np.float64), np.asarray(judged, np.float64)
    expected = share(p * n, n, size)
    half: Numbers = (expected.high - expected.low) / 2
    return half


def allocate(sizes: ArrayLike, shares: ArrayLike, count: int, least: int) -> list[int]:
    """How many to judge in each stratum (Neyman's allocation, with a minimum).

    Args:
        sizes: of the strata.
        shares: what is expected in each, in [0, 1]: those near one half need more.
        count: to judge in all; more where the minimum asks for it, fewer where there are not so
            many.
        least: in each stratum, or all where there are fewer.
    """
    of = np.asarray(sizes, np.int64)
    p = np.asarray(shares, np.float64)
    wants = of * np.sqrt(p * (1 - p))
    chosen = np.minimum(of, least)
    while chosen.sum() < count and (chosen < of).any():
        # the one that gains most by one more
        gains = np.where(chosen < of, wants**2 / np.maximum(chosen * (chosen + 1), 1), -1.0)
        chosen[int(np.argmax(gains))] += 1
    return [int(n) for n in chosen]


def _gamma_quantile(mean: Numbers, variance: Numbers, at: float) -> Numbers:
    safe_mean, safe_variance = np.maximum(mean, HARDLY), np.maximum(variance, HARDLY)
    scale = safe_variance / safe_mean
    quantile: Numbers = special.gammaincinv(safe_mean / scale, at) * scale
    return quantile


def _ratio_at_most(b: Range, a: Range) -> Numbers:
    """The upper end of the interval of b / a: without bound where a may be zero."""
    product = a.estimate * b.estimate
    below = a.low * (2 * a.estimate - a.low)
    under_root = product**2 - b.high * (2 * b.estimate - b.high) * below
    end: Numbers = product + np.sqrt(np.maximum(under_root, 0))
    return np.where(below > 0, end / np.where(below > 0, below, 1), np.inf)


def _ratio_at_least(b: Range, a: Range) -> Numbers:
    """The lower end, in the form that divides by nothing near zero."""
    product = a.estimate * b.estimate
    above = b.low * (2 * b.estimate - b.low)
    under_root = product**2 - above * a.high * (2 * a.estimate - a.high)
    divisor = product + np.sqrt(np.maximum(under_root, 0))
    end: Numbers = above / np.where(divisor > 0, divisor, 1)
    return np.where(divisor > 0, end, 0.0)
