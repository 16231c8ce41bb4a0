"""Kappa and intervals against numbers worked out by hand, and where they are not defined."""

import math

import numpy as np
import pytest

from unosat.teams.agreement import Pair, kappa, kappa_of, share

# Two readers of 100: rows are the first answer, columns the second.
TABLE = {("a", "a"): 75, ("a", "b"): 1, ("a", "c"): 4, ("b", "a"): 5, ("b", "b"): 4,
         ("b", "c"): 1, ("c", "c"): 10}  # fmt: skip


def pairs_of(table: dict[Pair, int]) -> list[Pair]:
    return [pair for pair, count in table.items() for _ in range(count)]


def test_kappa_is_agreement_beyond_chance_as_worked_out_by_hand() -> None:
    found = kappa(pairs_of(TABLE))

    # observed 0.75 + 0.04 + 0.10; by chance 0.80 x 0.80 + 0.10 x 0.05 + 0.10 x 0.15
    assert (found.pairs, found.agree) == (100, 89)
    assert found.kappa == pytest.approx((0.89 - 0.66) / (1 - 0.66))


def test_the_interval_is_that_of_the_delta_method() -> None:
    found = kappa(pairs_of(TABLE))
    assert found.kappa is not None
    assert found.low is not None
    assert found.high is not None

    error = _delta_method(pairs_of(TABLE))
    assert (found.high - found.low) / 2 == pytest.approx(1.959964 * error, rel=1e-3)


def test_one_answer_against_the_others_is_a_kappa_of_yes_and_no() -> None:
    found = kappa_of("b", pairs_of(TABLE))

    # both yes 4, first only 6, second only 1, neither 89
    by_chance = 0.10 * 0.05 + 0.90 * 0.95
    assert found.kappa == pytest.approx((0.93 - by_chance) / (1 - by_chance))


def test_disagreement_everywhere_is_below_chance() -> None:
    found = kappa([("a", "b"), ("b", "a")] * 10)

    assert found.kappa == pytest.approx(-1.0)
    assert found.low == -1.0


def test_full_agreement_of_few_pairs_does_not_claim_certainty() -> None:
    few = kappa([("a", "a"), ("b", "b")] * 3)
    many = kappa([("a", "a"), ("b", "b")] * 300)

    assert few.kappa == many.kappa == 1.0
    assert few.low is not None
    assert many.low is not None
    assert few.low < 0.4
    assert 0.98 < many.low < 1.0
    assert few.few
    assert not many.few


@pytest.mark.parametrize("pairs", [[], [("a", "a")], [("a", "a")] * 40])
def test_without_pairs_or_with_one_answer_only_it_is_not_defined_and_says_so(
    pairs: list[Pair],
) -> None:
    found = kappa(pairs)

    assert (found.kappa, found.low, found.high) == (None, None, None)
    assert found.why_not


def test_a_reader_who_always_says_the_same_gives_no_kappa_of_nought_with_certainty() -> None:
    found = kappa([("a", "b")] * 5 + [("b", "b")] * 20)

    assert (found.kappa, found.agree) == (None, 20)
    assert "one and the same answer" in found.why_not


def test_an_answer_that_nobody_gave_has_no_kappa() -> None:
    assert kappa_of("z", pairs_of(TABLE)).kappa is None


def test_shares_have_wilsons_interval() -> None:
    found = share(8, 10)

    # (0.8 + z2/20 +- z sqrt(0.8 x 0.2 / 10 + z2/400)) / (1 + z2/10), z2 = 3.8415
    assert found.low == pytest.approx(0.4902, abs=1e-4)
    assert found.high == pytest.approx(0.9433, abs=1e-4)
    assert (share(0, 0).low, share(0, 0).high) == (None, None)
    assert share(5, 5).high == 1.0
    assert 0.5 < (share(5, 5).low or 0) < 0.6


def _delta_method(pairs: list[Pair]) -> float:
    """The same standard error by differences: kappa's gradient through the shares' covariance."""
    names = sorted({name for pair in pairs for name in pair})
    table = np.array([[pairs.count((a, b)) for b in names] for a in names]) / len(pairs)

    def of(shares: np.ndarray) -> float:
        expected = float(shares.sum(axis=1) @ shares.sum(axis=0))
        return float((np.trace(shares) - expected) / (1 - expected))

    gradient = np.zeros_like(table)
    for place in np.ndindex(*table.shape):
        step = np.zeros_like(table)
        step[place] = 1e-6
        gradient[place] = (of(table + step) - of(table - step)) / 2e-6
    mean = float((gradient * table).sum())
    return math.sqrt((float((gradient**2 * table).sum()) - mean**2) / len(pairs))
