"""Each building once, even where tiles disagree about it; and memory that does not grow."""

import random
import tracemalloc
from collections.abc import Iterator

import numpy as np
import shapely
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.crs import CRS
from shapely.geometry import Polygon, box

from detection.footprints import SUBPIXELS, Candidate, Side
from detection.georef import SceneGrid
from detection.merging import Merged, merge_rows
from detection.tiling import TileLayout

# Two tiles side by side: columns 0 to 100 and 60 to 160.
PAIR = TileLayout(
    SceneGrid(160, 100, Affine(0.5, 0, 5e5, 0, -0.5, 4e6), CRS.from_epsg(32637)), 100, 40
)


def seen(tile: int, outline: Polygon, *, score: float = 0.7, sides: Side = Side.NONE) -> Candidate:
    corners = np.asarray(outline.exterior.coords)[:-1] * SUBPIXELS
    return Candidate(
        tile, corners.astype(np.int32), score, (0.7, 0.1, 0.1, 0.1), sides, at_border=False
    )


def merged(*candidates: Candidate, layout: TileLayout = PAIR) -> list[Merged]:
    rows: list[list[Candidate]] = [[] for _ in layout.tops]
    for candidate in candidates:
        rows[layout.row_of(candidate.tile)].append(candidate)
    return [one for row in merge_rows(layout, rows) for one in row]


def bounds(found: list[Merged]) -> list[tuple[float, ...]]:
    return [one.outline.bounds for one in found]


def test_a_whole_outline_wins_over_a_surer_sliver() -> None:
    whole = seen(1, box(90, 20, 120, 50), score=0.6)
    sliver = seen(0, box(90, 20, 100, 50), score=0.9, sides=Side.RIGHT)

    (found,) = merged(whole, sliver)

    assert found.outline.bounds == (90, 20, 120, 50)
    assert not found.clipped


def test_of_two_whole_views_the_one_farther_from_its_tiles_edge_wins() -> None:
    near_edge = seen(0, box(82, 20, 95, 40), score=0.9)
    farther = seen(1, box(81, 20, 94, 40), score=0.6)

    assert bounds(merged(near_edge, farther)) == [(81, 20, 94, 40)]


def test_two_houses_that_touch_stay_two() -> None:
    houses = [box(70, 20, 80, 40), box(80, 20, 90, 40)]

    found = merged(*(seen(tile, house) for tile in (0, 1) for house in houses))

    assert sorted(bounds(found)) == [house.bounds for house in houses]


def test_one_tiles_block_and_the_others_houses_are_not_both_reported() -> None:
    block = seen(0, box(66, 20, 78, 60))
    houses = [seen(1, box(66, top, 78, top + 13)) for top in (20, 33, 46)]

    found = [one.outline for one in merged(block, *houses)]

    assert sum(outline.area for outline in found) <= 1.05 * 12 * 40


def test_a_shed_inside_a_large_roof_is_no_second_view_of_it() -> None:
    roof, shed = box(62, 10, 98, 90), box(70, 20, 76, 26)

    found = merged(seen(0, roof), seen(1, shed))

    assert len(found) == 2


def test_pieces_of_what_is_larger_than_the_overlap_are_joined() -> None:
    left = seen(0, box(20, 20, 100, 60), score=0.6, sides=Side.RIGHT)
    right = seen(1, box(60, 20, 140, 60), score=0.8, sides=Side.LEFT)

    (found,) = merged(left, right)

    assert found.outline.equals(box(20, 20, 140, 60))
    assert found.score == 0.8
    assert not found.clipped


def test_pieces_that_disagree_where_both_tiles_looked_are_not_joined() -> None:
    left = seen(0, box(20, 20, 100, 60), sides=Side.RIGHT)
    right = seen(1, box(60, 58, 140, 90), sides=Side.LEFT)

    assert len(merged(left, right)) == 2


def test_a_piece_whose_other_half_nobody_saw_is_called_clipped() -> None:
    (found,) = merged(seen(0, box(80, 20, 100, 60), sides=Side.RIGHT))

    assert found.clipped


def test_two_detections_of_one_tile_are_left_to_its_model() -> None:
    found = merged(seen(0, box(70, 20, 80, 40)), seen(0, box(71, 20, 80, 40)))

    assert len(found) == 2


GRID = TileLayout(
    SceneGrid(220, 220, Affine(0.5, 0, 5e5, 0, -0.5, 4e6), CRS.from_epsg(32637)), 100, 40
)


@st.composite
def noisy_town(draw: st.DrawFn) -> list[Candidate]:
    """What a poor model might say: shaky outlines, misses, inventions."""
    found = []
    for tile_index in range(GRID.tile_count):
        tile = GRID.tile(tile_index)
        for _ in range(draw(st.integers(0, 6))):
            left = tile.col_off + draw(st.integers(0, 90))
            top = tile.row_off + draw(st.integers(0, 90))
            right = min(left + draw(st.integers(3, 60)), tile.col_off + 100)
            bottom = min(top + draw(st.integers(3, 60)), tile.row_off + 100)
            sides = Side.NONE
            for side, cut in (
                (Side.LEFT, left == tile.col_off > 0),
                (Side.TOP, top == tile.row_off > 0),
                (Side.RIGHT, right == tile.col_off + 100 < 220),
                (Side.BOTTOM, bottom == tile.row_off + 100 < 220),
            ):
                sides |= side if cut else Side.NONE
            found.append(seen(tile_index, box(left, top, right, bottom), sides=sides))
    return found


@settings(max_examples=60, deadline=None)
@given(noisy_town(), st.integers(0, 1000))
def test_the_order_of_what_was_seen_does_not_matter(found: list[Candidate], seed: int) -> None:
    shuffled = random.Random(seed).sample(found, len(found))  # noqa: S311 (no secret)

    assert merged(*shuffled, layout=GRID) == merged(*found, layout=GRID)


@settings(max_examples=60, deadline=None)
@given(noisy_town())
def test_no_view_survives_beside_a_view_of_the_same_building(found: list[Candidate]) -> None:
    alone = {
        candidate.polygon.wkb_hex: candidate.tile for candidate in found if not candidate.sides
    }
    kept = [one.outline for one in merged(*found, layout=GRID) if one.outline.wkb_hex in alone]

    for first in range(len(kept)):
        for second in range(first + 1, len(kept)):
            a, b = kept[first], kept[second]
            if alone[a.wkb_hex] != alone[b.wkb_hex]:
                assert a.intersection(b).area <= 0.5 * shapely.union(a, b).area


def test_memory_does_not_grow_with_the_scene() -> None:
    def peak(rows: int) -> int:
        height = 40 + 60 * rows
        grid = SceneGrid(700, height, PAIR.grid.transform, PAIR.grid.crs)
        layout = TileLayout(grid, 100, 40)

        def town() -> Iterator[list[Candidate]]:
            for row, top in enumerate(layout.tops):
                yield [
                    seen(row * 11 + column, box(left + 5 * n, top + 70, left + 5 * n + 4, top + 95))
                    for column, left in enumerate(layout.lefts)
                    for n in range(19)
                ]

        tracemalloc.start()
        for _ in merge_rows(layout, town()):
            pass
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return size

    peak(5)  # imports and caches

    assert peak(40) < 1.3 * peak(10)
