"""What users really upload: footprints, or a plain refusal; never a traceback."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from detection.errors import DetectionError
from detection.pipeline import DetectionOptions, detect_scene
from tests.detection.oracle import BrightOracle, spec

ANALYSED = "analysed"
EXPECTED = {
    "drone_rgba_epsg4326_2cm.tif": "unsupported_pixel_size",
    "orthophoto_rgba_irregular_border_5cm.tif": ANALYSED,
    "pan_uint16_utm16n_nodata0.tif": ANALYSED,
    "really_a_jpeg_no_crs.tif": "unreadable_raster",
    "rgb_utm19n_30cm.tif": ANALYSED,
    "sar_single_band_30cm.tif": ANALYSED,
}
DETECTOR = BrightOracle(spec(pixel_size_m=0.46, tile_px=512))


Analyse = Callable[[str], tuple[str, str, tuple[str, ...]]]


@pytest.fixture(scope="module")
def analyse(data_dir: Path) -> Analyse:
    """Return a function that says what becomes of a format: each is analysed once."""
    return cache(lambda name: _outcome(data_dir / "formats" / name))


@pytest.mark.parametrize("name", EXPECTED)
def test_every_format_is_analysed_or_plainly_refused(analyse: Analyse, name: str) -> None:
    outcome, sentence, _ = analyse(name)

    assert outcome == EXPECTED[name]
    assert sentence.endswith(".")
    assert "/" not in sentence


def _outcome(path: Path) -> tuple[str, str, tuple[str, ...]]:
    """A code, a sentence for the user, and what the plan warns of."""
    try:
        result = detect_scene(path, DETECTOR, DetectionOptions())
    except DetectionError as error:
        return error.code, error.user_message, ()
    return ANALYSED, f"{len(result.footprints)} footprints.", result.plan.warnings


def test_no_file_among_the_formats_is_left_out(data_dir: Path) -> None:
    assert {path.name for path in (data_dir / "formats").glob("*.tif")} == set(EXPECTED)


def test_one_band_is_called_panchromatic_and_radar_is_warned_of(analyse: Analyse) -> None:
    _, _, warnings = analyse("sar_single_band_30cm.tif")

    assert any("panchromatic" in sentence for sentence in warnings)
    assert any("Radar" in sentence for sentence in warnings)
