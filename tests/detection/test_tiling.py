"""Tiles cover, batches and shards share out, nothing depends on the other."""

from itertools import pairwise

import pytest
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from rasterio.crs import CRS

from detection.georef import SceneGrid
from detection.tiling import TileLayout, runs_of, split_batches

UTM = CRS.from_epsg(32637)


def layout(width: int, height: int, tile: int, overlap: int, batch: int = 1) -> TileLayout:
    return TileLayout(SceneGrid(width, height, Affine.identity(), UTM), tile, overlap, batch)


sizes = st.integers(1, 500)


@given(sizes, sizes, st.integers(2, 200), st.data())
def test_tiles_cover_the_scene_and_overlap_by_what_was_asked(
    width: int, height: int, tile: int, data: st.DataObject
) -> None:
    overlap = data.draw(st.integers(0, tile - 1).filter(lambda px: (500 // (tile - px)) ** 2 < 9e3))
    tiles = layout(width, height, tile, overlap)

    for starts, length in ((tiles.lefts, width), (tiles.tops, height)):
        assert starts[0] == 0
        assert starts[-1] + min(tile, length) == length
        assert all(a < b <= a + tile - overlap for a, b in pairwise(starts))


@given(sizes, sizes, st.integers(1, 9), st.integers(1, 50))
def test_shards_hold_every_batch_once(width: int, height: int, batch: int, shards: int) -> None:
    tiles = layout(width, height, 64, 16, batch)

    found = split_batches(tiles, range(tiles.tile_count), shards=shards)

    batches = [n for shard in found for n in range(shard.first_batch, shard.last_batch)]
    assert batches == list(range(tiles.batch_count))
    assert [index for n in batches for index in tiles.batch(n)] == list(range(tiles.tile_count))
    assert len(found) == min(shards, tiles.batch_count)
    sizes_of = [shard.last_batch - shard.first_batch for shard in found]
    assert max(sizes_of) - min(sizes_of) <= 1


def test_every_tile_knows_its_batch() -> None:
    tiles = layout(500, 300, 64, 16, 4)

    assert all(index in tiles.batch(tiles.batch_of(index)) for index in range(tiles.tile_count))


def test_empty_tiles_are_no_work_to_share() -> None:
    tiles = layout(640, 64, 64, 0)

    found = split_batches(tiles, [0, 7, 8, 9], shards=2)

    assert [(shard.first_batch, shard.last_batch) for shard in found] == [(0, 8), (8, 10)]


@pytest.mark.parametrize(("tile", "overlap", "batch"), [(64, 64, 1), (64, -1, 1), (64, 8, 0)])
def test_impossible_layouts_are_refused(tile: int, overlap: int, batch: int) -> None:
    with pytest.raises(ValueError, match=r"need|must"):
        layout(100, 100, tile, overlap, batch)


@given(st.sets(st.integers(0, 60)))
def test_runs_hold_the_numbers_they_were_made_of(numbers: set[int]) -> None:
    runs = runs_of(sorted(numbers))

    assert [n for first, last in runs for n in range(first, last)] == sorted(numbers)
    assert all(last < first for (_, last), (first, _) in pairwise(runs))
