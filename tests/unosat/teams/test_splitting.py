"""Cells tile their box, and each holds about as many points."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from unosat.teams.splitting import Cell, evenly, grid

BOX = (33.0, 35.0, 34.0, 36.0)


def size(cell: Cell) -> float:
    west, south, east, north = cell.box
    return (east - west) * (north - south)


def test_a_grid_is_named_like_one_on_a_map_and_tiles_its_box() -> None:
    cells = grid(BOX, columns=28, rows=2)

    assert [cells[place].label for place in (0, 25, 26, 27, 28)] == ["A1", "Z1", "AA1", "AB1", "A2"]
    assert cells[0].box[0] == BOX[0]
    assert cells[0].box[3] == BOX[3]  # A1 is in the north-west
    assert np.isclose(sum(size(cell) for cell in cells), 1.0)


@given(
    st.lists(st.tuples(st.floats(33.0, 34.0), st.floats(35.0, 36.0)), max_size=300, unique=True),
    st.integers(1, 50),
)
def test_even_cells_tile_their_box_and_none_holds_more_than_asked(
    places: list[tuple[float, float]], at_most: int
) -> None:
    points = np.array(places, np.float64).reshape(-1, 2)

    cells = evenly(points, BOX, at_most=at_most)

    assert np.isclose(sum(size(cell) for cell in cells), 1.0)
    for west, south, east, north in (cell.box for cell in cells):
        xs, ys = points[:, 0], points[:, 1]
        assert ((xs > west) & (xs < east) & (ys > south) & (ys < north)).sum() <= at_most


def test_a_town_beside_empty_land_gets_nearly_all_of_the_cells() -> None:
    dice = np.random.default_rng(3)
    town = dice.uniform([33.0, 35.0], [33.2, 35.2], (900, 2))
    land = dice.uniform([33.0, 35.0], [34.0, 36.0], (100, 2))

    cells = evenly(np.concatenate([town, land]), BOX, at_most=100)

    small = [cell for cell in cells if cell.box[2] < 33.4 and cell.box[3] < 35.4]
    assert 10 <= len(cells) <= 16
    assert len(small) >= 8


def test_buildings_at_one_place_do_not_split_for_ever() -> None:
    points = np.tile([33.5, 35.5], (20, 1))

    assert len(evenly(points, BOX, at_most=3)) == 1
