"""Images are opened, or refused with a code; what was guessed is said."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.enums import ColorInterp
from rasterio.windows import Window

from detection.errors import (
    DetectionError,
    MissingGeoreference,
    UnreadableRaster,
    UnsupportedBands,
    UnsupportedCrs,
    UnsupportedPixelSize,
)
from detection.raster import BandOrder, open_scene
from tests.conftest import MakeGeotiff

UTM = Affine(0.5, 0, 500_000, 0, -0.5, 4_000_000)
COMPOUND = "EPSG:9707"  # WGS 84 with heights above the geoid
LOCAL = 'LOCAL_CS["site",UNIT["metre",1]]'


def zeros(
    bands: int = 3, dtype: str = "uint8"
) -> np.ndarray[tuple[int, ...], np.dtype[np.generic]]:
    return np.ones((bands, 16, 16), dtype)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"crs": None}, MissingGeoreference),
        ({"transform": None}, MissingGeoreference),
        ({"crs": COMPOUND, "transform": Affine(4e-6, 0, 30, 0, -4e-6, 40)}, UnsupportedCrs),
        ({"crs": LOCAL}, UnsupportedCrs),
        ({"transform": Affine(0.02, 0, 500_000, 0, -0.02, 4e6)}, UnsupportedPixelSize),
        ({"transform": Affine(10, 0, 500_000, 0, -10, 4e6)}, UnsupportedPixelSize),
    ],
)
@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_images_without_a_usable_place_are_refused(
    make_geotiff: MakeGeotiff, changes: dict[str, object], error: type[DetectionError]
) -> None:
    path = make_geotiff(zeros(), **changes)

    with pytest.raises(error), open_scene(path):
        pass


@pytest.mark.parametrize(
    ("bands", "dtype"), [(2, "uint8"), (5, "uint16"), (3, "float32"), (3, "int16"), (13, "uint16")]
)
def test_bands_that_no_model_was_made_for_are_refused(
    make_geotiff: MakeGeotiff, bands: int, dtype: str
) -> None:
    path = make_geotiff(zeros(bands, dtype))

    with pytest.raises(UnsupportedBands), open_scene(path):
        pass


def test_a_file_that_is_no_geotiff_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "scene.tif"
    path.write_text("II*\0 not really")

    for name in (path, tmp_path / "absent.tif"):
        with pytest.raises(UnreadableRaster), open_scene(name):
            pass


@pytest.mark.parametrize(
    ("bands", "dtype", "order", "warned"),
    [
        (1, "uint16", (1, 1, 1), True),
        (4, "uint16", (3, 2, 1), True),
        (8, "uint16", (5, 3, 2), True),
        (3, "uint8", (1, 2, 3), False),  # GDAL writes red, green and blue into such a file
        (4, "uint8", (1, 2, 3), False),
    ],
)
def test_band_orders_are_read_or_guessed_and_guesses_are_said(
    make_geotiff: MakeGeotiff, bands: int, dtype: str, order: tuple[int, ...], *, warned: bool
) -> None:
    with open_scene(make_geotiff(zeros(bands, dtype))) as scene:
        assert scene.bands.indexes == order
        assert bool(scene.warnings) == warned


def test_described_bands_are_believed(make_geotiff: MakeGeotiff) -> None:
    path = make_geotiff(zeros(4, "uint16"))
    with rasterio.open(path, "r+") as dataset:
        dataset.descriptions = ("Red", "nir", "Green", "Blue")

    with open_scene(path) as scene:
        assert scene.bands == BandOrder(1, 3, 4)
        assert not scene.warnings


def test_a_stated_order_is_obeyed_and_checked(make_geotiff: MakeGeotiff) -> None:
    path = make_geotiff(zeros(4, "uint16"))

    with open_scene(path, BandOrder.parse("NBGR")) as scene:
        assert scene.bands.indexes == (4, 3, 2)
    with pytest.raises(UnsupportedBands), open_scene(path, BandOrder(5, 3, 2)):
        pass


@pytest.mark.parametrize(
    ("text", "order"),
    [("RGB", (1, 2, 3)), ("bgrn", (3, 2, 1)), ("pan", (1, 1, 1)), ("5, 3, 2", (5, 3, 2))],
)
def test_band_orders_are_written_as_people_write_them(text: str, order: tuple[int, ...]) -> None:
    assert BandOrder.parse(text).indexes == order


@pytest.mark.parametrize("text", ["", "RG", "RGBB", "1,2", "nonsense"])
def test_other_band_orders_are_refused(text: str) -> None:
    with pytest.raises(UnsupportedBands):
        BandOrder.parse(text)


def test_transparent_pixels_are_nodata(make_geotiff: MakeGeotiff) -> None:
    pixels = np.full((4, 16, 16), 255, np.uint8)
    pixels[3, :, :8] = 0
    path = make_geotiff(pixels)
    with rasterio.open(path, "r+") as dataset:
        dataset.colorinterp = (*dataset.colorinterp[:3], ColorInterp.alpha)

    with open_scene(path) as scene:
        _, valid = scene.read(Window(0, 0, 16, 16), width=16, height=16)

    assert not valid[:, :8].any()
    assert valid[:, 8:].all()


def test_an_internal_mask_is_nodata(make_geotiff: MakeGeotiff) -> None:
    path = make_geotiff(zeros())
    with (
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
        rasterio.open(path, "r+") as dataset,
    ):
        dataset.write_mask(np.tri(16, dtype=np.uint8) * 255)

    with open_scene(path) as scene:
        _, valid = scene.read(Window(0, 0, 16, 16), width=16, height=16)

    assert (valid == np.tri(16, dtype=np.bool_)).all()


def test_a_dark_pixel_is_data_where_only_one_band_equals_nodata(make_geotiff: MakeGeotiff) -> None:
    pixels = zeros()
    pixels[0] = 0
    pixels[:, 0, 0] = 0

    with open_scene(make_geotiff(pixels, nodata=0)) as scene:
        _, valid = scene.read(Window(0, 0, 16, 16), width=16, height=16)

    assert not valid[0, 0]
    assert valid.sum() == 255


def test_shrinking_averages_and_leaves_nodata_out(make_geotiff: MakeGeotiff) -> None:
    pixels = np.full((3, 16, 16), 100, np.uint8)
    pixels[:, ::2, ::2] = 200
    pixels[:, 8:] = 0

    with open_scene(make_geotiff(pixels, nodata=0)) as scene:
        small, valid = scene.read(Window(0, 0, 16, 16), width=4, height=4)

    assert (small[:, :2] == 125).all()
    assert valid.tolist() == [[True] * 4] * 2 + [[False] * 4] * 2


def test_no_other_file_is_opened_as_overviews(make_geotiff: MakeGeotiff) -> None:
    pixels = np.full((3, 64, 64), 50, np.uint8)
    other = make_geotiff(np.full((3, 32, 32), 250, np.uint8), name="other.tif")
    path = make_geotiff(pixels)
    with rasterio.open(path, "r+") as dataset:
        dataset.update_tags(ns="OVERVIEWS", OVERVIEW_FILE=str(other))

    with open_scene(path) as scene:
        small, _ = scene.read(Window(0, 0, 64, 64), width=32, height=32)

    assert (small == 50).all()


@pytest.mark.parametrize("degrees", [0, 30, 135])
def test_pixels_are_measured_on_the_ground_however_the_grid_is_turned(
    make_geotiff: MakeGeotiff, degrees: float
) -> None:
    path = make_geotiff(zeros(), transform=UTM @ Affine.rotation(degrees))

    with open_scene(path) as scene:
        assert scene.pixel_size_m == pytest.approx((0.5, 0.5), rel=2e-3)
