"""The clean COG is laid out for readers afar, and costs only what there are pixels for."""

import struct
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from rasterio.shutil import copy as gdal_copy
from rio_tiler.io import Reader

from tests.conftest import MakeGeotiff
from tests.unosat.scenes.hostile import one_tile
from unosat.scenes import cogs, rasters, sandbox
from unosat.scenes.convert import WRITTEN
from unosat.scenes.models import Scene
from unosat.scenes.overviews import overviews_of
from unosat.scenes.tiffcheck import TILE_OFFSETS, check_tiff
from unosat.scenes.tiffdirectory import TiffReader

SIDE = 100_000
TILE = 512
LEVELS = [2, 4, 8, 16, 32, 64, 128, 256]


@pytest.fixture
def scene(make_geotiff: MakeGeotiff) -> Path:
    """1500 x 1100 px of noise with an empty corner, which a mask marks."""
    pixels = np.random.default_rng(1).integers(0, 256, (3, 1100, 1500), np.uint8)
    pixels[:, :300, :700] = 0
    valid = np.ones((1100, 1500), np.bool_)
    valid[:300, :700] = False
    source = make_geotiff(pixels)
    with (
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK="YES"),
        rasterio.open(source, "r+") as dataset,
    ):
        dataset.write_mask(valid)
    return source


def levels(path: Path) -> list[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
    """Pixels and mask of an image and of its overviews."""
    with rasterio.open(path) as dataset:
        count = len(dataset.overviews(1))
    found = []
    for level in ("NONE", *range(count)):
        with rasterio.open(path, OVERVIEW_LEVEL=level) as dataset:
            found.append((dataset.read(), dataset.dataset_mask()))
    return found


def directories(path: Path) -> list[tuple[int, list[int]]]:
    """Where each directory begins, and where the blocks that were written are."""
    found = []
    with path.open("rb") as file:
        reader = TiffReader(file, path.stat().st_size)
        at = reader.first
        while at:
            tags, after = reader.directory(at, once=frozenset())
            offsets = [offset for offset in reader.integers(tags[TILE_OFFSETS]) if offset]
            found.append((at, offsets))
            at = after
    return found


def test_one_tile_of_ten_thousand_million_pixels_costs_one_tile(tmp_path: Path) -> None:
    source, clean = tmp_path / "a.tif", tmp_path / "clean.tif"
    source.write_bytes(one_tile(SIDE, 3))
    before = getrusage(RUSAGE_CHILDREN).ru_utime

    facts = sandbox.convert(source, clean)

    assert getrusage(RUSAGE_CHILDREN).ru_utime - before < 10  # GDAL took 98 seconds for it
    assert check_tiff(clean).is_sparse
    assert (facts.width, facts.height) == (SIDE, SIDE)
    assert {path.name for path in tmp_path.iterdir()} == {"a.tif", "clean.tif"}
    with Reader(str(clean)) as reader:
        assert reader.dataset.overviews(1) == LEVELS
        left, _, _, top = reader.dataset.bounds
        step = -(-SIDE // TILE) // 2 * TILE * 0.5  # of pixels of half a metre
        near = (left + step, top - step - 256, left + step + 256, top - step)
        far = (left, top - 256, left + 256, top)
        shown, empty = (
            reader.part(box, bounds_crs=reader.crs, dst_crs=reader.crs) for box in (near, far)
        )
        whole = reader.preview(max_size=391)
    assert shown.mask.all()
    assert set(np.unique(shown.data)) <= set(range(1, 71))
    assert not empty.mask.any()
    assert 1 <= (whole.mask > 0).sum() <= 16  # and nothing of it got lost on the way up


def test_its_overviews_are_those_that_gdal_would_make(scene: Path, tmp_path: Path) -> None:
    sandbox.convert(scene, tmp_path / "clean.tif")
    gdal_copy(
        scene, tmp_path / "gdal.tif", driver="COG", BLOCKSIZE=TILE, RESAMPLING="AVERAGE",
        COMPRESS="ZSTD",
    )  # fmt: skip

    ours, gdals = levels(tmp_path / "clean.tif"), levels(tmp_path / "gdal.tif")

    assert len(ours) == len(gdals) == 3
    for (pixels, mask), (expected, expected_mask) in zip(ours, gdals, strict=True):
        assert pixels.shape == expected.shape
        assert np.array_equal(mask, expected_mask)
        assert np.array_equal(pixels[:, mask > 0], expected[:, mask > 0])


def test_directories_come_first_and_then_the_smallest_overview(scene: Path, tmp_path: Path) -> None:
    sandbox.convert(scene, tmp_path / "clean.tif")

    found = directories(tmp_path / "clean.tif")

    begins = [at for at, _ in found]
    assert len(found) == 6  # three levels, each with a mask
    assert begins == sorted(begins)
    assert begins[-1] < min(min(offsets) for _, offsets in found)
    image, _, half, _, quarter, _ = (offsets for _, offsets in found)
    assert image == sorted(image)
    assert max(quarter) < min(half) <= max(half) < min(image)
    with rasterio.open(tmp_path / "clean.tif") as clean:
        assert clean.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"


def test_a_map_tile_fetches_every_table_of_blocks_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(one_tile(SIDE, 3))
    sandbox.convert(tmp_path / "a.tif", tmp_path / "clean.tif")

    first_block = min(at for _, offsets in directories(tmp_path / "clean.tif") for at in offsets)

    fetched = rasters.header_bytes(Scene(width=SIDE, height=SIDE))
    assert first_block <= fetched < 3 * first_block  # a BigTIFF has tables twice as large


def test_each_block_stands_between_its_length_and_its_end_as_the_file_says(
    scene: Path, tmp_path: Path
) -> None:
    sandbox.convert(scene, tmp_path / "clean.tif")

    data = (tmp_path / "clean.tif").read_bytes()
    for _, offsets in directories(tmp_path / "clean.tif"):
        for offset in offsets:
            (size,) = struct.unpack_from("<I", data, offset - 4)
            end = offset + size
            assert data[end - 4 : end] == data[end : end + 4]


def test_a_file_too_large_for_32_bits_is_a_bigtiff_of_the_same_pixels(
    scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox.convert(scene, tmp_path / "clean.tif")
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK="YES"):
        gdal_copy(scene, tmp_path / "tiled.tif", **WRITTEN)
    monkeypatch.setattr(cogs, "SMALL_FILE_BYTES", 0)

    with overviews_of(tmp_path / "tiled.tif", WRITTEN) as overviews:
        cogs.lay_out([tmp_path / "tiled.tif", *overviews], tmp_path / "large.tif")

    assert (tmp_path / "large.tif").read_bytes()[:4] == b"II\x2b\0"
    check_tiff(tmp_path / "large.tif")
    for mine, expected in zip(
        levels(tmp_path / "large.tif"), levels(tmp_path / "clean.tif"), strict=True
    ):
        assert all(map(np.array_equal, mine, expected))
    with (
        rasterio.open(tmp_path / "large.tif") as large,
        rasterio.open(tmp_path / "clean.tif") as clean,
    ):
        assert (large.crs, large.transform) == (clean.crs, clean.transform)
