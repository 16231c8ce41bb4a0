"""What users really upload: footprints, or a plain refusal; never a traceback."""

from pathlib import Path

import pytest

from detection.errors import DetectionError
from detection.pipeline import DetectionOptions, detect_scene, plan_scene
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


@pytest.mark.parametrize("name", EXPECTED)
def test_every_format_is_analysed_or_plainly_refused(data_dir: Path, name: str) -> None:
    outcome, sentence = _outcome(data_dir / "formats" / name)

    assert outcome == EXPECTED[name]
    assert sentence.endswith(".")
    assert "/" not in sentence


def _outcome(path: Path) -> tuple[str, str]:
    try:
        result = detect_scene(path, DETECTOR, DetectionOptions())
    except DetectionError as error:
        return error.code, error.user_message
    return ANALYSED, f"{len(result.footprints)} footprints."


def test_no_file_among_the_formats_is_left_out(data_dir: Path) -> None:
    assert {path.name for path in (data_dir / "formats").glob("*.tif")} == set(EXPECTED)


def test_one_band_is_called_panchromatic_and_radar_is_warned_of(data_dir: Path) -> None:
    path = data_dir / "formats" / "sar_single_band_30cm.tif"

    plan = plan_scene(path, DETECTOR.spec)

    assert any("panchromatic" in sentence for sentence in plan.warnings)
    assert any("Radar" in sentence for sentence in plan.warnings)
