"""Outlines follow their masks to within half a pixel, and are what the standard asks for."""

from dataclasses import replace

import numpy as np
import pytest
import shapely
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from rasterio.crs import CRS
from shapely.geometry import MultiPolygon, Polygon, box

from detection.detector import TileDetections
from detection.footprints import Candidate, Side, cut_at_antimeridian, round_lonlat, trace
from detection.georef import GeoTile, SceneGrid

GRID = SceneGrid(300, 300, Affine(0.5, 0, 5e5, 0, -0.5, 4e6), CRS.from_epsg(32637))
MIDDLE = GeoTile(100, 100, 100, 100, GRID)
VALID = np.ones((100, 100), np.bool_)


def coverage(shape: Polygon, bounds: tuple[float, ...], size: int = 28) -> NDArray[np.float32]:
    """How much of each of size x size cells of a box a shape covers."""
    left, top, right, bottom = bounds
    xs, ys = np.linspace(left, right, size + 1), np.linspace(top, bottom, size + 1)
    left_of, top_of = np.meshgrid(xs[:-1], ys[:-1])
    right_of, bottom_of = np.meshgrid(xs[1:], ys[1:])
    cells = shapely.box(left_of, top_of, right_of, bottom_of)
    areas = shapely.area(shapely.intersection(cells, shape)) / shapely.area(cells)
    return np.asarray(areas, np.float32)


def detections(*found: tuple[tuple[float, ...], NDArray[np.float32]]) -> TileDetections:
    return TileDetections(
        np.array([bounds for bounds, _ in found], np.float32),
        tuple(mask for _, mask in found),
        np.full(len(found), 0.75, np.float32),
        np.tile(np.array([0.1, 0.2, 0.3, 0.4], np.float32), (len(found), 1)),
    )


def outlines(
    tile: GeoTile, *found: tuple[tuple[float, ...], NDArray[np.float32]]
) -> list[Candidate]:
    valid = np.ones((tile.height, tile.width), np.bool_)
    return trace(detections(*found), tile, ground(valid), valid, index=7)


def ground(valid: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Dark, as under clear air."""
    return np.full((3, *valid.shape), 40, np.uint8)


@settings(max_examples=25, deadline=None)
@given(
    angle=st.floats(0, 90),
    x=st.floats(35, 60),
    y=st.floats(35, 60),
    width=st.floats(8, 28),
    height=st.floats(8, 28),
)
def test_a_roof_is_outlined_within_half_a_pixel(
    angle: float, x: float, y: float, width: float, height: float
) -> None:
    roof = shapely.affinity.rotate(box(x, y, x + width, y + height), angle)

    (found,) = outlines(MIDDLE, (roof.bounds, coverage(roof, roof.bounds)))

    there = shapely.affinity.translate(roof, 100, 100)
    # A corner sharper than the mask's cells is rounded by at most one cell's half diagonal.
    cell = max(roof.bounds[2] - roof.bounds[0], roof.bounds[3] - roof.bounds[1]) / 28
    assert shapely.hausdorff_distance(found.polygon, there, densify=0.05) < 0.3 + 0.71 * cell
    assert found.polygon.area == pytest.approx(there.area, rel=0.05)


def test_a_full_mask_is_exactly_its_box() -> None:
    (found,) = outlines(MIDDLE, ((10.5, 20, 30, 44.25), np.ones((28, 28), np.float32)))

    assert found.polygon.equals(box(110.5, 120, 130, 144.25))


def test_a_courtyard_is_filled_and_only_the_largest_part_is_kept() -> None:
    mask = np.zeros((20, 20), np.float32)
    mask[:14, :14] = 1
    mask[4:10, 4:10] = 0
    mask[17:, 17:] = 1

    (found,) = outlines(MIDDLE, ((10, 10, 30, 30), mask))

    assert not found.polygon.interiors
    assert found.polygon.area == pytest.approx(14 * 14, abs=2)


def test_a_mask_that_never_reaches_one_half_gives_nothing() -> None:
    assert outlines(MIDDLE, ((10, 10, 30, 30), np.full((28, 28), 0.4, np.float32))) == []


@pytest.mark.parametrize(("sure", "left"), [(0.9, "whole"), (0.6, "part")])
def test_a_part_of_a_building_found_beside_the_whole_is_left_out(sure: float, left: str) -> None:
    full = np.ones((28, 28), np.float32)
    bounds = {"part": (22, 22, 40, 38), "whole": (20, 20, 60, 40), "neighbour": (60, 20, 80, 40)}
    seen = detections(*((place, full) for place in bounds.values()))
    seen = replace(seen, scores=np.array([0.75, sure, 0.5], np.float32))

    found = trace(seen, MIDDLE, ground(VALID), VALID, index=0)

    expected = [tuple(100 + edge for edge in bounds[name]) for name in (left, "neighbour")]
    assert [one.polygon.bounds for one in found] == expected


def test_detections_keep_their_numbers_when_one_is_dropped() -> None:
    full, empty = np.ones((28, 28), np.float32), np.zeros((28, 28), np.float32)

    found = outlines(MIDDLE, ((0, 0, 9, 9), empty), ((20, 20, 40, 40), full))

    assert [one.polygon.bounds for one in found] == [(120, 120, 140, 140)]
    assert (found[0].tile, found[0].score) == (7, 0.75)
    assert found[0].probabilities == (0.1, 0.2, 0.3, 0.4)


@pytest.mark.parametrize(
    ("bounds", "sides"),
    [
        ((0, 20, 20, 40), Side.LEFT),
        ((20, 0, 40, 20), Side.TOP),
        ((80, 80, 100, 100), Side.RIGHT | Side.BOTTOM),
        ((20, 20, 40, 40), Side.NONE),
    ],
)
def test_a_tile_knows_at_which_sides_it_cut(bounds: tuple[float, ...], sides: Side) -> None:
    (found,) = outlines(MIDDLE, (bounds, np.ones((28, 28), np.float32)))

    assert found.sides == sides
    assert not found.at_border


def test_the_scenes_edge_is_no_seam() -> None:
    corner = GeoTile(0, 0, 100, 100, GRID)

    (found,) = outlines(corner, ((0, 0, 20, 20), np.ones((28, 28), np.float32)))

    assert found.sides == Side.NONE
    assert found.at_border


def test_nodata_beside_a_building_is_noticed() -> None:
    valid = VALID.copy()
    valid[:, 40:] = False
    full = np.ones((28, 28), np.float32)

    two = detections(((20, 20, 40, 40), full), ((5, 5, 15, 15), full))
    near, far = trace(two, MIDDLE, ground(valid), valid, index=0)

    assert near.at_border
    assert not far.at_border


@given(st.integers(0, 2**31))
def test_any_mask_gives_a_valid_single_ring(seed: int) -> None:
    mask = np.random.default_rng(seed).random((28, 28)).astype(np.float32)

    for found in outlines(MIDDLE, ((3.3, 4.7, 61.2, 33.9), mask)):
        assert found.polygon.is_valid
        assert not found.polygon.interiors
        assert box(103, 104, 162, 134).contains(found.polygon)


def test_a_building_on_the_180th_meridian_is_cut_there() -> None:
    across = Polygon([(179.9999, 10), (-179.9999, 10), (-179.9999, 10.0002), (179.9999, 10.0002)])

    cut = cut_at_antimeridian(across)

    assert isinstance(cut, MultiPolygon)
    assert sorted(part.bounds[::2] for part in cut.geoms) == [
        pytest.approx((-180, -179.9999)),
        pytest.approx((179.9999, 180)),
    ]
    assert cut.area == pytest.approx(0.0002 * 0.0002, rel=1e-3)


def test_degrees_are_anticlockwise_and_to_a_centimetre() -> None:
    clockwise = Polygon([(1.123456789, 1), (1.123456789, 2), (2, 2), (2, 1)])

    found = round_lonlat(clockwise)

    assert isinstance(found, Polygon)
    assert found.exterior.is_ccw
    assert found.bounds[0] == 1.1234568


@pytest.mark.parametrize(("west", "expected"), [(190, -170), (-181, 179), (359.5, -0.5)])
def test_longitudes_beyond_180_are_brought_back(west: float, expected: float) -> None:
    beyond = box(west, 10, west + 1 if west < 350 else west + 0.9, 11)

    found = cut_at_antimeridian(beyond)

    assert found.bounds[0] == pytest.approx(expected)
    assert found.area == pytest.approx(beyond.area)
