"""The converter, run as it is in production: a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.enums import ColorInterp, MaskFlags
from rio_cogeo import cog_validate

from detection.errors import (
    DetectionError,
    EmptyImage,
    MissingGeoreference,
    UnreadableRaster,
    UnsupportedBands,
)
from tests.conftest import MakeGeotiff
from tests.unosat.scenes.hostile import named, overviews
from unosat.scenes import sandbox, walls
from unosat.scenes.errors import TooExpensive

RNG = np.random.default_rng(11)
UTM = {"crs": "EPSG:32637", "transform": Affine(0.5, 0, 500_000, 0, -0.5, 4_000_000)}


def noise(bands: int, side: int = 600, dtype: type[np.generic] = np.uint8) -> np.ndarray:
    return RNG.integers(1, 200, (bands, side, side)).astype(dtype)


def test_the_clean_cog_has_the_same_pixels_place_and_nothing_else(
    make_geotiff: MakeGeotiff, tmp_path: Path
) -> None:
    pixels = noise(3, side=1100)
    source = make_geotiff(pixels)
    with rasterio.open(source, "r+") as dataset:
        dataset.update_tags(OPERATOR="told nobody")
        dataset.colorinterp = [ColorInterp.red, ColorInterp.green, ColorInterp.blue]

    facts = sandbox.convert(source, tmp_path / "clean.tif")

    valid, errors, warnings = cog_validate(tmp_path / "clean.tif")
    assert (valid, errors, warnings) == (True, [], [])
    with rasterio.open(tmp_path / "clean.tif") as clean:
        assert np.array_equal(clean.read(), pixels)
        assert clean.transform == UTM["transform"]
        assert clean.crs.to_epsg() == 32637
        assert clean.overviews(1) == [2, 4]
        assert "OPERATOR" not in clean.tags()
    assert (facts.width, facts.height, facts.bands, facts.dtype) == (1100, 1100, 3, "uint8")
    assert facts.pixel_size_m == pytest.approx(0.5, rel=1e-3)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clean.tif", "scene.tif"]


def test_alpha_becomes_the_mask_and_hides_what_is_below(tmp_path: Path) -> None:
    source, pixels = tmp_path / "rgba.tif", noise(4)
    pixels[3] = 255
    pixels[3, :, :300] = 0
    with rasterio.open(
        source, "w", driver="GTiff", width=600, height=600, count=4, dtype="uint8",
        photometric="rgb", alpha="yes", **UTM,
    ) as dataset:  # fmt: skip
        dataset.write(pixels)
        dataset.colorinterp = [
            ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha,
        ]  # fmt: skip

    facts = sandbox.convert(source, tmp_path / "clean.tif")

    with rasterio.open(tmp_path / "clean.tif") as clean:
        assert clean.count == facts.bands == 3
        assert clean.mask_flag_enums[0] == [MaskFlags.per_dataset]
        assert np.array_equal(clean.dataset_mask() > 0, pixels[3] > 0)
        assert not clean.read()[:, :, :300].any()
        assert np.array_equal(clean.read()[:, :, 300:], pixels[:3, :, 300:])


def test_sixteen_bits_keep_their_numbers_nodata_and_get_a_stretch(
    make_geotiff: MakeGeotiff, tmp_path: Path
) -> None:
    pixels = (noise(4, dtype=np.uint16) * 13).astype(np.uint16)
    pixels[:, :50] = 0

    facts = sandbox.convert(make_geotiff(pixels, nodata=0), tmp_path / "clean.tif", "BGRN")

    with rasterio.open(tmp_path / "clean.tif") as clean:
        assert np.array_equal(clean.read(), pixels)
        assert clean.nodata == 0
    assert facts.band_order == "blue,green,red,nir"
    assert facts.shown_bands == [3, 2, 1]
    assert 0 < facts.shown_low[0] < facts.shown_high[0] <= 200 * 13


def test_blocks_that_were_never_written_stay_unseen(tmp_path: Path) -> None:
    source = tmp_path / "sparse.tif"
    with rasterio.open(
        source, "w", driver="GTiff", width=2000, height=2000, count=3, dtype="uint8",
        tiled=True, blockxsize=128, blockysize=128, sparse_ok=True, photometric="rgb", **UTM,
    ) as dataset:  # fmt: skip
        dataset.write(noise(3, side=128), window=rasterio.windows.Window(128, 256, 128, 128))

    sandbox.convert(source, tmp_path / "clean.tif")

    with rasterio.open(tmp_path / "clean.tif") as clean:
        mask = clean.dataset_mask() > 0
    assert mask.sum() == 128 * 128
    assert mask[256:384, 128:256].all()


def test_jpeg_inside_is_decoded_once_and_kept_as_it_looked(tmp_path: Path) -> None:
    source = tmp_path / "jpeg.tif"
    with rasterio.open(
        source, "w", driver="GTiff", width=512, height=512, count=3, dtype="uint8", tiled=True,
        blockxsize=256, blockysize=256, compress="jpeg", photometric="ycbcr", **UTM,
    ) as dataset:  # fmt: skip
        dataset.write(noise(3, side=512))
    with rasterio.open(source) as dataset:
        seen = dataset.read()

    sandbox.convert(source, tmp_path / "clean.tif")

    with rasterio.open(tmp_path / "clean.tif") as clean:
        assert np.array_equal(clean.read(), seen)
        assert clean.compression.name == "zstd"


@pytest.mark.parametrize(
    ("pixels", "options", "error"),
    [
        (noise(3), {"crs": None}, MissingGeoreference),
        (noise(2), {}, UnsupportedBands),
        (np.zeros((1, 64, 64), np.float32), {}, UnsupportedBands),
        (np.zeros((3, 64, 64), np.uint8), {"nodata": 0}, EmptyImage),
    ],
)
def test_what_the_engine_would_refuse_is_refused_with_its_own_words(
    make_geotiff: MakeGeotiff,
    tmp_path: Path,
    pixels: np.ndarray,
    options: dict[str, object],
    error: type[DetectionError],
) -> None:
    with pytest.raises(error):
        sandbox.convert(make_geotiff(pixels, **options), tmp_path / "clean.tif")

    assert not (tmp_path / "clean.tif.part").exists()


def test_damaged_pixels_are_an_unreadable_image(tmp_path: Path) -> None:
    source = tmp_path / "bad.tif"
    with rasterio.open(
        source, "w", driver="GTiff", width=512, height=512, count=3, dtype="uint8",
        compress="deflate", **UTM,
    ) as dataset:  # fmt: skip
        dataset.write(noise(3, side=512))
    data = bytearray(source.read_bytes())
    data[5000:9000] = bytes(4000)
    source.write_bytes(data)

    with pytest.raises(UnreadableRaster):
        sandbox.convert(source, tmp_path / "clean.tif")


def test_the_converter_knows_no_secret_and_no_driver_but_those_it_needs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("UNOSAT_CANARY", "a secret")
    say = (
        "import os, rasterio; env = rasterio.Env(); env.__enter__();"
        "print(sorted(env.drivers()), 'UNOSAT' in str(os.environ))"
    )

    told = subprocess.run(
        [sys.executable, "-c", say], env=sandbox._environment(), capture_output=True, text=True,
        check=True,
    ).stdout  # fmt: skip

    assert told.strip() == "['COG', 'GTiff', 'MEM'] False"


def test_what_the_converter_made_is_not_trusted(tmp_path: Path, make_geotiff: MakeGeotiff) -> None:
    secret = make_geotiff(noise(3, side=64), name="secret.tif")
    facts = sandbox.convert(secret, tmp_path / "clean.tif")
    link, naming = tmp_path / "link.tif", tmp_path / "naming.tif"
    link.symlink_to(secret)
    naming.write_bytes(named(overviews(secret)))

    sandbox._distrust(tmp_path / "clean.tif", facts)
    for made in (link, naming):
        with pytest.raises(sandbox.ConverterFailed):
            sandbox._distrust(made, facts)


@pytest.mark.parametrize("said", ["", "{}", "[1]", '{"code": "none"}', '{"code": "x", "why": 1}'])
@pytest.mark.parametrize("status", [0, 1])
def test_an_answer_that_is_none_is_a_failure_of_ours(status: int, said: str) -> None:
    with pytest.raises(sandbox.ConverterFailed):
        sandbox._understand(status, said, "")


@pytest.mark.parametrize(
    ("status", "error"),
    [(-9, TooExpensive), (137, TooExpensive), (152, TooExpensive), (139, UnreadableRaster)],
)
def test_a_converter_that_was_ended_says_why(status: int, error: type[Exception]) -> None:
    with pytest.raises(error):
        sandbox._understand(status, "", "")


def test_what_a_killed_worker_left_is_removed_later(
    tmp_path: Path, make_geotiff: MakeGeotiff
) -> None:
    old, young = tmp_path / "converting-old", tmp_path / "converting-young"
    for left in (old, young):
        left.mkdir()
        (left / "clean.tif.part").touch()
    os.utime(old, (0, 0))

    sandbox.convert(make_geotiff(noise(3, side=64)), tmp_path / "clean.tif")

    assert young.exists()
    assert not old.exists()


def test_memory_does_not_grow_with_the_image(tmp_path: Path) -> None:
    source = tmp_path / "large.tif"
    block = np.tile(noise(3, side=32), (1, 16, 16))
    with rasterio.open(
        source, "w", driver="GTiff", width=8192, height=8192, count=3, dtype="uint8", tiled=True,
        blockxsize=512, blockysize=512, compress="zstd", zstd_level=1, photometric="rgb", **UTM,
    ) as dataset:  # fmt: skip
        for row in range(0, 8192, 512):
            for column in range(0, 8192, 512):
                dataset.write(block, window=rasterio.windows.Window(column, row, 512, 512))
    say = (
        "import re, sys; from pathlib import Path; from unosat.scenes import convert as c;"
        "c.ENVIRONMENT['GDAL_CACHEMAX'] = 64 * 2**20;"
        "c.convert(Path(sys.argv[1]), Path(sys.argv[2]));"
        # Not ru_maxrss: through fork and exec it begins with the peak of this test session.
        "status = Path('/proc/self/status').read_text();"
        "print(int(re.search(r'VmHWM:\\s+(\\d+)', status)[1]) // 1024)"
    )

    told = subprocess.run(
        [sys.executable, "-c", say, str(source), str(tmp_path / "clean.tif")],
        env=sandbox._environment(), cwd=walls.PROJECT, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip

    assert int(told) < 350  # MiB; its pixels alone are 201
