"""How far two people agree beyond chance, and how often one is right. Pure: no database.

Cohen's kappa: J. Cohen, "A coefficient of agreement for nominal scales", Educational and
Psychological Measurement 20 (1960), 37-46. Its standard error in large samples: J. L. Fleiss,
J. Cohen and B. S. Everitt, "Large sample standard errors of kappa and weighted kappa",
Psychological Bulletin 72 (1969), 323-327, equation 13. The interval of a share: E. B. Wilson,
"Probable inference, the law of succession, and statistical inference", Journal of the American
Statistical Association 22 (1927), 209-212.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Z_95 = 1.959964  # of the normal distribution: 95 % lie within so many standard errors
FEW_PAIRS = 50  # the standard error holds for large samples; below this people are told so

NO_PAIRS = "There are no pairs yet."
ONE_ANSWER = (
    "Not defined: both people gave one and the same answer each time, "
    "so agreement cannot be told from chance."
)

ONE_SIDED = (
    "Not told: one of the two gave one and the same answer each time. "
    "Kappa is then 0, whatever the other said."
)

Pair = tuple[str, str]  # first answer, second answer


@dataclass(frozen=True, slots=True)
class Agreement:
    """Cohen's kappa of pairs of answers.

    Attributes:
        pairs: how many.
        agree: in how many the two answers are the same.
        kappa: 1 for full agreement, 0 for as much as chance brings; None where not defined.
        low, high: the 95 % interval, within [-1, 1]; None with ``kappa``.
        why_not: a sentence where ``kappa`` is None; else "".
    """

    pairs: int
    agree: int
    kappa: float | None = None
    low: float | None = None
    high: float | None = None
    why_not: str = ""

    @property
    def few(self) -> bool:
        """Too few for the interval to be more than a hint."""
        return self.pairs < FEW_PAIRS


@dataclass(frozen=True, slots=True)
class Share:
    """How many of so many, with Wilson's 95 % interval as fractions; None where there are none."""

    right: int
    among: int
    low: float | None
    high: float | None


def kappa(pairs: Sequence[Pair]) -> Agreement:
    """Cohen's kappa over all answers, each a category of its own.

    Where all pairs agree the standard error is 0, which would claim certainty from any few pairs:
    there the interval is that of the agreement after Wilson, with chance agreement held fixed.
    """
    agree = sum(first == second for first, second in pairs)
    if not pairs:
        return Agreement(0, 0, why_not=NO_PAIRS)
    table = _table(pairs)
    expected = float(table.sum(axis=1) @ table.sum(axis=0))
    if math.isclose(expected, 1.0):
        return Agreement(len(pairs), agree, why_not=ONE_ANSWER)
    if len({one for one, _ in pairs}) == 1 or len({other for _, other in pairs}) == 1:
        return Agreement(len(pairs), agree, why_not=ONE_SIDED)
    observed = agree / len(pairs)
    value = (observed - expected) / (1 - expected)
    if agree == len(pairs):
        low = ((share(agree, agree).low or 0.0) - expected) / (1 - expected)
        return Agreement(len(pairs), agree, value, max(-1.0, low), 1.0)
    reach = Z_95 * _standard_error(table, observed, expected, len(pairs))
    return Agreement(len(pairs), agree, value, max(-1.0, value - reach), min(1.0, value + reach))


def kappa_of(answer: str, pairs: Sequence[Pair]) -> Agreement:
    """Cohen's kappa of one answer against all others together."""
    return kappa([(_is(answer, first), _is(answer, second)) for first, second in pairs])


def share(right: int, among: int) -> Share:
    """Wilson's 95 % interval of ``right`` among ``among``."""
    if among == 0:
        return Share(0, 0, None, None)
    part, squared = right / among, Z_95**2
    middle = (part + squared / (2 * among)) / (1 + squared / among)
    reach = Z_95 * math.sqrt(part * (1 - part) / among + squared / (4 * among**2))
    reach /= 1 + squared / among
    return Share(right, among, max(0.0, middle - reach), min(1.0, middle + reach))


def _is(answer: str, said: str) -> str:
    return "yes" if said == answer else "no"


def _table(pairs: Sequence[Pair]) -> NDArray[np.float64]:
    """Shape (K, K): the share of pairs with first answer i and second answer j."""
    answers = sorted({answer for pair in pairs for answer in pair})
    places = {answer: place for place, answer in enumerate(answers)}
    table = np.zeros((len(answers), len(answers)))
    for first, second in pairs:
        table[places[first], places[second]] += 1
    shares: NDArray[np.float64] = table / len(pairs)
    return shares


def _standard_error(
    table: NDArray[np.float64], observed: float, expected: float, pairs: int
) -> float:
    """Equation 13 of Fleiss, Cohen and Everitt, unweighted."""
    rows, columns = table.sum(axis=1), table.sum(axis=0)
    same = np.diag(table) * ((1 - expected) - (rows + columns) * (1 - observed)) ** 2
    crossed = table * (columns[:, None] + rows[None, :]) ** 2
    other = (1 - observed) ** 2 * (crossed.sum() - np.diag(crossed).sum())
    rest = (observed * expected - 2 * expected + observed) ** 2
    variance = (same.sum() + other - rest) / (pairs * (1 - expected) ** 4)
    return math.sqrt(max(0.0, float(variance)))
