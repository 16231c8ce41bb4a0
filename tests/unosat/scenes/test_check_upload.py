"""`manage.py check_upload`, run as a person would, without database, queue or secret."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[3]
PLAIN = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}

ANSWERS = {
    "drone_rgba_epsg4326_2cm.tif": "unsupported_pixel_size",
    "orthophoto_rgba_irregular_border_5cm.tif": "accepted",
    "pan_uint16_utm16n_nodata0.tif": "accepted",
    "really_a_jpeg_no_crs.tif": "not_a_tiff",
    "rgb_utm19n_30cm.tif": "accepted",
    "sar_single_band_30cm.tif": "accepted",
}


def check_upload(path: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "manage.py", "check_upload", str(path)],
        cwd=PROJECT, env=PLAIN, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("name", ANSWERS)
def test_every_format_is_taken_or_plainly_refused(data_dir: Path, name: str) -> None:
    done = check_upload(data_dir / "formats" / name)

    code, colon, sentence = done.stdout.strip().partition(": ")
    assert code == ANSWERS[name]
    assert done.returncode == (0 if code == "accepted" else 1)
    assert not colon or sentence.endswith(".")
    assert "Traceback" not in done.stdout + done.stderr


def test_the_table_names_every_file(data_dir: Path) -> None:
    assert {path.name for path in (data_dir / "formats").glob("*.tif")} == set(ANSWERS)


def test_a_file_that_is_not_there_is_refused_in_words(tmp_path: Path) -> None:
    done = check_upload(tmp_path / "nothing.tif")

    assert done.returncode == 1
    assert done.stdout.startswith("unreadable_raster: ")
