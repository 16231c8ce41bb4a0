"""The order of the queue: what is most worth a look first, and a map that moves little."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from unosat.review import order
from unosat.review.order import GROUND_M, METRES_PER_DEGREE, TIERS, Looks, turns, worth

SURE = (0.97, 0.01, 0.01, 0.01)
TORN = (0.4, 0.3, 0.2, 0.1)
FAR_APART = 0.01  # degrees, some kilometre: nobody's neighbour


def looks(*probabilities: tuple[float, ...]) -> Looks:
    """Houses of 100 square metres without neighbours, graded as is likeliest."""
    shares = np.array(probabilities)
    count = len(shares)
    return Looks(
        lonlat=np.stack([np.arange(count) * FAR_APART, np.zeros(count)], axis=1),
        area_m2=np.full(count, 100.0),
        grade=shares.argmax(axis=1),
        probabilities=shares,
        score=np.full(count, 0.9),
    )


def city(count: int, side_m: float = 5000, seed: int = 4) -> Looks:
    """Houses anywhere in a square, as sure and as large as chance will have it."""
    chance = np.random.default_rng(seed)
    shares = chance.dirichlet(np.full(4, 0.5), count)
    return Looks(
        lonlat=chance.uniform(0, side_m / METRES_PER_DEGREE, (count, 2)),
        area_m2=chance.lognormal(4.6, 0.7, count),
        grade=np.where(chance.uniform(size=count) < 0.05, order.NO_GRADE, shares.argmax(axis=1)),
        probabilities=shares,
        score=chance.uniform(0.5, 1, count),
    )


def test_the_less_certain_a_grade_the_more_a_look_is_worth() -> None:
    near, wide, sure = worth(looks((0.5, 0.5, 0, 0), (0.5, 0, 0, 0.5), SURE))

    assert wide > near > sure  # destroyed or not at all is worse than a neighbour's grade


def test_the_larger_and_the_less_likely_a_building_the_more_a_look_is_worth() -> None:
    both = looks(TORN, TORN)

    assert np.diff(worth(replace(both, area_m2=np.array([100.0, 400.0]))))[0] > 0
    assert np.diff(worth(replace(looks(SURE, SURE), score=np.array([0.9, 0.5]))))[0] > 0


def test_what_has_no_grade_is_worth_more_than_the_same_with_one() -> None:
    both = looks(TORN, TORN)
    without, graded = worth(replace(both, grade=np.array([order.NO_GRADE, 0])))

    assert without > graded


def test_the_odd_one_out_among_neighbours_is_worth_more() -> None:
    shares = np.eye(4) * 0.9 + 0.025
    street = looks(*[tuple(shares[0])] * 8, tuple(shares[3]))
    near = replace(street, lonlat=street.lonlat / 100)  # 11 m from door to door

    assert np.argmax(worth(near)) == 8
    assert np.allclose(worth(street)[0], worth(street)[8])  # far apart they are all alike
    assert np.allclose(worth(near)[0], worth(street)[0], rtol=0.2)


@pytest.mark.parametrize("count", [0, 1, 2, 11, 3000])
def test_every_building_has_one_turn_and_the_same_each_time(count: int) -> None:
    town = city(count)

    found = turns(town)

    assert sorted(found) == list(range(count))
    assert np.array_equal(found, turns(town))


def test_tiers_come_in_the_order_of_their_worth() -> None:
    town = city(5000)
    in_turn = worth(town)[np.argsort(turns(town))]

    ends = [0, *(int(share * len(town)) for share in TIERS), len(town)]
    tiers = [in_turn[start:end] for start, end in pairwise(ends)]

    for better, worse in pairwise(tiers):
        assert better.min() >= worse.max()


def test_the_map_moves_little() -> None:
    town = city(20_000)

    steps = steps_m(town, turns(town))
    by_worth_alone = steps_m(town, np.argsort(np.argsort(-worth(town), kind="stable")))

    assert np.median(steps) < GROUND_M / 3
    assert steps.mean() < by_worth_alone.mean() / 8
    assert (steps > 1.5 * GROUND_M).mean() < 4 * (5000 / GROUND_M) ** 2 / len(town)  # new cells


def test_the_walk_in_a_cell_is_near_the_shortest_there_is() -> None:
    one_cell = city(60, side_m=GROUND_M * 0.999)
    alike = replace(
        one_cell,
        probabilities=np.tile(TORN, (60, 1)),
        grade=np.zeros(60, np.int64),
        area_m2=np.full(60, 100.0),
        score=np.full(60, 0.9),
    )
    walk = sum(
        steps_m(alike, turns(alike))[start : end - 1].sum()
        for start, end in ((0, 6), (6, 18), (18, 36), (36, 60))
    )
    # Beardwood, Halton, Hammersley: no walk through n places at random is much shorter
    shortest = sum(0.7124 * np.sqrt(n) * GROUND_M for n in (6, 12, 18, 24))
    assert walk < 1.5 * shortest


def test_cells_of_one_tile_follow_each_other_without_a_gap() -> None:
    chance = np.random.default_rng(1)
    lonlat = chance.uniform((-180, -80), (180, 80), (2000, 2))
    zoom = 6
    shift = 2 * (order.CELL_ZOOM - zoom)

    tiles = order.cells(lonlat) >> shift

    side = 1 << zoom
    column = np.floor((lonlat[:, 0] + 180) / 360 * side).astype(np.int64)
    sine = np.sin(np.radians(lonlat[:, 1]))
    row = np.floor((0.5 - np.arctanh(sine) / (2 * np.pi)) * side).astype(np.int64)
    assert np.array_equal(tiles, order.interleaved(column) | (order.interleaved(row) << 1))
    assert order.cells(np.array([[190.0, 10.0]])) == order.cells(np.array([[-170.0, 10.0]]))


def steps_m(town: Looks, turn: order.Integers) -> order.Floats:
    """From each building to the next, in metres."""
    places = town.lonlat[np.argsort(turn)] * METRES_PER_DEGREE
    east, north = np.diff(places, axis=0).T
    return np.asarray(np.hypot(east, north), np.float64)
