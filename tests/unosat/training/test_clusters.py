"""Which reviewed places teach and which examine."""

from dataclasses import replace
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shapely import box
from shapely.affinity import translate

from unosat.training.clusters import METRES_PER_DEGREE, NEIGHBOUR_M, Place, distance_m, split

SIDE = 100 / METRES_PER_DEGREE  # a square of 100 m, at the equator


def place(number: int, east_m: float, north_m: float = 0, *, kept: bool | None = None) -> Place:
    x, y = east_m / METRES_PER_DEGREE, north_m / METRES_PER_DEGREE
    return Place(UUID(int=number), box(x, y, x + SIDE, y + SIDE), kept)


def remembered(places: list[Place]) -> list[Place]:
    """The same places, each with what ``split`` decided, as the database keeps it."""
    return [
        replace(p, kept_aside=c.kept_aside if p.kept_aside is None else p.kept_aside)
        for c in split(places)
        for p in c.places
    ]


positions = st.lists(
    st.tuples(st.integers(0, 3_000), st.integers(0, 3_000)), min_size=1, max_size=24
)


@given(positions, st.integers(1, 5))
def test_no_area_that_teaches_lies_near_one_that_examines_however_areas_come(
    where: list[tuple[int, int]], batch: int
) -> None:
    known: list[Place] = []
    for start in range(0, len(where), batch):
        new = enumerate(where[start : start + batch], start=start + 1)
        known = remembered(known + [place(number, *at) for number, at in new])

        clusters = split(known)
        teach = [p for c in clusters if not c.kept_aside for p in c.places]
        examine = [p for c in clusters if c.kept_aside for p in c.places]
        gaps = [distance_m(a.outline, b.outline) for a in teach for b in examine]
        assert min(gaps, default=NEIGHBOUR_M + 1) > NEIGHBOUR_M


@given(positions, positions)
def test_what_was_kept_aside_once_never_teaches(
    first: list[tuple[int, int]], later: list[tuple[int, int]]
) -> None:
    known = remembered([place(i, *at) for i, at in enumerate(first, start=1)])
    before = {p.id for p in known if p.kept_aside}

    clusters = split(known + [place(i, *at) for i, at in enumerate(later, start=1_000)])

    assert before <= {p.id for c in clusters if c.kept_aside for p in c.places}


@given(positions)
def test_the_split_does_not_depend_on_the_order_in_which_areas_are_read(
    where: list[tuple[int, int]],
) -> None:
    places = [place(i, *at) for i, at in enumerate(where, start=1)]

    assert split(places) == split(places[::-1])


@pytest.mark.parametrize(("count", "kept"), [(1, 0), (2, 1), (4, 1), (7, 1), (8, 2), (20, 5)])
def test_one_cluster_in_four_is_kept_aside_and_one_as_soon_as_there_are_two(
    count: int, kept: int
) -> None:
    clusters = split([place(i, 1_000 * i) for i in range(1, count + 1)])

    assert len(clusters) == count
    assert sum(cluster.kept_aside for cluster in clusters) == kept


def test_the_second_cluster_is_kept_aside_when_the_first_has_already_taught() -> None:
    first, second = place(1, 0, kept=False), place(2, 5_000)

    kept = {p.id: c.kept_aside for c in split([first, second]) for p in c.places}

    assert kept == {first.id: False, second.id: True}


def test_an_area_that_joins_a_kept_aside_cluster_is_kept_aside() -> None:
    known = [place(1, 0, kept=False), place(2, 5_000, kept=True), place(3, 9_000, kept=False)]
    neighbour = place(4, 5_000 + 100 + NEIGHBOUR_M - 1)

    (joined,) = [c for c in split([*known, neighbour]) if neighbour in c.places]

    assert joined.kept_aside


def test_distances_hold_far_north_and_across_the_date_line() -> None:
    north = box(20, 60, 20.001, 60.001)
    across = box(179.999, -17, 180, -16.999)

    assert distance_m(north, translate(north, 0.002)) == pytest.approx(55.7, rel=0.01)
    assert distance_m(across, box(-180, -17, -179.999, -16.999)) == pytest.approx(0, abs=0.01)
    assert len(split([Place(UUID(int=1), across, None), place(2, 0)])) == 2
    east = Place(UUID(int=3), box(-179.999, -17, -179.998, -16.999), None)
    assert len(split([Place(UUID(int=1), across, None), east])) == 1
