"""Known examples by hand, and what must hold where there is little or nothing to go by."""

import numpy as np
import pytest
from scipy import stats

from unosat.quality import estimates
from unosat.quality.estimates import Range


def at(estimate: float, low: float, high: float) -> Range:
    return Range(np.array(estimate), np.array(low), np.array(high))


def test_a_share_of_a_large_stratum_is_jeffreys() -> None:
    share = estimates.share(10, 100, 10**9)

    assert share.estimate == pytest.approx(0.1)
    assert stats.beta(10.5, 90.5).cdf([share.low, share.high]) == pytest.approx([0.025, 0.975])


def test_the_finite_population_counts() -> None:
    # half of 100 judged: worth 50 * 99 / 50 = 99 drawn with replacement
    share = estimates.share(10, 50, 100)
    same = estimates.share(19.8, 99, 10**12)
    quarter = 0.25 / 100  # of a building

    assert share.low == pytest.approx(same.low - quarter, abs=1e-6)
    assert share.high == pytest.approx(same.high + quarter, abs=1e-6)


@pytest.mark.parametrize("found", [0, 7, 20])
def test_what_was_judged_whole_is_known_exactly(found: int) -> None:
    share = estimates.share(found, 20, 20)

    assert share.low == share.estimate == share.high == found / 20


def test_none_found_and_all_found_still_leave_doubt() -> None:
    none, every = estimates.share(0, 30, 5000), estimates.share(30, 30, 5000)

    assert [none.estimate, none.low] == [0, 0]
    assert 0.07 < none.high < 0.09  # 2.5 of 30
    assert [every.estimate, every.high] == [1, 1]
    assert every.low == pytest.approx(1 - none.high)


def test_where_none_was_judged_nothing_is_known() -> None:
    share = estimates.share(0, 0, 50, otherwise=1.0)

    assert [share.estimate, share.low, share.high] == [1, 0, 1]


def test_one_judged_leaves_nearly_everything_open() -> None:
    wrong, right = estimates.share(0, 1, 200), estimates.share(1, 1, 200)

    assert [wrong.low, wrong.estimate] == [0, 0]
    assert [right.estimate, right.high] == [1, 1]
    assert wrong.high == pytest.approx(1 - right.low)
    assert wrong.high > 0.8


@pytest.mark.parametrize(("judged", "size"), [(30, 40), (30, 60), (1, 2)])
def test_the_last_one_that_nobody_judged_may_be_different(judged: int, size: int) -> None:
    none = estimates.share(0, judged, size)
    every = estimates.share(judged, judged, size)

    assert none.high >= 1 / size
    assert every.low <= 1 - 1 / size


def test_more_judged_than_there_are_now_is_all_of_them() -> None:
    share = estimates.share(3, 5, 4)

    assert share.low == share.estimate == share.high == 3 / 5


def test_a_stratum_without_a_building_adds_none() -> None:
    number = estimates.total(estimates.share([0, 5], [0, 20], [0, 20]), [0, 20])

    assert [number.estimate, number.low, number.high] == [5, 5, 5]


def test_a_number_is_the_sum_over_strata_and_its_ends_those_of_mover() -> None:
    shares = Range(np.array([0.1, 0.5]), np.array([0.05, 0.3]), np.array([0.2, 0.7]))
    number = estimates.total(shares, [1000, 100])

    assert number.estimate == pytest.approx(150)
    assert number.low == pytest.approx(150 - np.hypot(50, 20))
    assert number.high == pytest.approx(150 + np.hypot(100, 20))


def test_no_stratum_is_none() -> None:
    number = estimates.total(estimates.share([], [], []), [])

    assert [number.estimate, number.low, number.high] == [0, 0, 0]


def test_squares_stand_for_all_of_their_stratum() -> None:
    # 4 of 40 squares with 0, 1, 1, 2 missed: one each, 40 in all
    number = estimates.in_squares([1.0], [2 / 3], [4], [40])

    assert number.estimate == pytest.approx(40)
    assert number.low < 15
    assert 80 < number.high < 170  # four squares tell little of how they vary


def test_two_squares_tell_less_of_how_squares_vary_than_twenty() -> None:
    few, many = (estimates.in_squares([3.0], [4.0], [n], [40 * n]) for n in (2, 20))

    # ends by Student's t: 12.7 and 2.09 times the error, which alone is 3.2 times as large
    assert (few.high - 240) / 240 > 3 * (many.high - 2400) / 2400
    assert few.low == 0


def test_empty_squares_do_not_prove_that_nothing_was_missed() -> None:
    number = estimates.in_squares([0.0], [0.0], [20], [1000])

    assert [number.estimate, number.low] == [0, 0]
    # Poisson with none seen: under 3.7 in what was looked at, times 1000 / 20; the middle of the
    # two usual conventions is a little less
    assert 100 < number.high < 185


def test_all_squares_judged_leave_no_doubt() -> None:
    number = estimates.in_squares([0.5], [0.3], [40], [40])

    assert number.low == number.estimate == number.high == 20


def test_a_share_of_two_numbers_that_are_known_is_known() -> None:
    share = estimates.part(at(30, 30, 30), at(10, 10, 10))

    assert (share.estimate, share.low, share.high) == pytest.approx((0.75, 0.75, 0.75))


def test_a_share_of_two_numbers_is_between_what_both_ends_allow() -> None:
    share = estimates.part(at(60, 50, 72), at(40, 25, 60))

    assert share.estimate == pytest.approx(0.6)
    assert 50 / 110 < share.low < 0.6 < share.high < 72 / 97


@pytest.mark.parametrize(
    ("inside", "outside", "expected"),
    [
        (at(0, 0, 0), at(0, 0, 0), (0.5, 0, 1)),
        (at(0, 0, 5), at(20, 10, 30), (0, 0, None)),
        (at(20, 10, 30), at(0, 0, 5), (1, None, 1)),
    ],
)
def test_nothing_on_one_side_gives_an_end_and_not_a_fault(
    inside: Range, outside: Range, expected: tuple[float, float | None, float | None]
) -> None:
    share = estimates.part(inside, outside)

    estimate, low, high = expected
    assert share.estimate == estimate
    assert share.low == low if low is not None else 0 < share.low < 1
    assert share.high == high if high is not None else 0 < share.high < 1


def test_neyman_gives_most_to_what_is_large_and_varied_and_something_to_all() -> None:
    chosen = estimates.allocate([10_000, 500, 100, 10], [0.05, 0.5, 0.5, 0.5], 300, 30)

    assert sum(chosen) == 300
    assert chosen[3] == 10  # all there are
    assert chosen[2] == 30  # the least
    # of the rest in proportion to 10,000 * 0.218 and 500 * 0.5
    assert chosen[0] / chosen[1] == pytest.approx(2179 / 250, rel=0.1) or chosen[1] == 30


def test_no_more_is_chosen_than_there_is() -> None:
    assert estimates.allocate([5, 7], [0.5, 0.5], 300, 30) == [5, 7]


def test_a_larger_sample_is_expected_to_tell_more() -> None:
    small, large = (float(estimates.half_width(0.5, n, 10_000)) for n in (50, 200))

    assert small == pytest.approx(2 * large, rel=0.1)
