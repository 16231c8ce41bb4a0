"""Outlines over GeoTIFFs."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from affine import Affine
from rasterio.warp import transform as warp_points

from detection.errors import BadLabels
from detection.labels.vectors import chip_from_outlines, read_outlined
from detection.training.chips import UNKNOWN_GRADE
from tests.conftest import MakeGeotiff


def write_outlines(path: Path, corners: Sequence[tuple[float, float]], **properties: str) -> Path:
    """One polygon given in UTM 37N, written in longitude and latitude."""
    xs, ys = zip(*corners, strict=True)
    lonlat = list(zip(*warp_points("EPSG:32637", "EPSG:4326", xs, ys), strict=True))
    geometry = {"type": "Polygon", "coordinates": [[*lonlat, lonlat[0]]]}
    feature = {"type": "Feature", "properties": properties, "geometry": geometry}
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    return path


# columns 20 to 40 and rows 10 to 30 of a 0.5 m grid from (500 000, 4 000 000)
HOUSE = [(500_010, 3_999_995), (500_020, 3_999_995), (500_020, 3_999_985), (500_010, 3_999_985)]


def test_an_outline_lands_on_its_pixels(make_geotiff: MakeGeotiff, tmp_path: Path) -> None:
    image = make_geotiff(np.full((3, 60, 80), 90, np.uint8))
    outlines = write_outlines(tmp_path / "scene.geojson", HOUSE)

    chip = chip_from_outlines(image, outlines, pixel_size_m=0.5, event="drone")

    rows, cols = np.nonzero(chip.instances)
    assert (cols.min(), cols.max() + 1, rows.min(), rows.max() + 1) == (20, 40, 10, 30)
    assert chip.grades.tolist() == [UNKNOWN_GRADE]


def test_image_and_outlines_are_resampled_together(
    make_geotiff: MakeGeotiff, tmp_path: Path
) -> None:
    pixels = np.full((3, 60, 80), 40, np.uint8)
    pixels[:, 10:30, 20:40] = 200
    image = make_geotiff(pixels)
    outlines = write_outlines(tmp_path / "scene.geojson", HOUSE)

    chip = chip_from_outlines(image, outlines, pixel_size_m=1.0, event="drone")

    assert chip.image.shape == (3, 30, 40)
    assert chip.image[0][chip.instances > 0].min() > 150
    assert chip.image[0][chip.instances == 0].max() < 90


def test_a_rotated_grid_is_honoured(make_geotiff: MakeGeotiff, tmp_path: Path) -> None:
    grid = Affine.translation(500_000, 4_000_000) * Affine.rotation(30) * Affine.scale(0.5, -0.5)
    image = make_geotiff(np.full((3, 60, 80), 90, np.uint8), transform=grid)
    corners = [grid * place for place in ((20, 10), (40, 10), (40, 30), (20, 30))]
    outlines = write_outlines(tmp_path / "scene.geojson", corners)

    chip = chip_from_outlines(image, outlines, pixel_size_m=0.5, event="drone")

    assert (chip.instances[11:29, 21:39] == 1).all()
    assert 390 <= (chip.instances > 0).sum() <= 410


@pytest.mark.parametrize(
    ("field", "word", "code"),
    [("grade", "major_damage", 2), ("damage", "destroyed", 3), ("subtype", "no-damage", 0)],
)
def test_grades_are_read_in_our_words_and_in_those_of_xbd(
    make_geotiff: MakeGeotiff, tmp_path: Path, field: str, word: str, code: int
) -> None:
    image = make_geotiff(np.full((3, 60, 80), 90, np.uint8))
    outlines = write_outlines(tmp_path / "scene.geojson", HOUSE, **{field: word})

    chip = chip_from_outlines(image, outlines, pixel_size_m=0.5, event="x")

    assert chip.grades.tolist() == [code]


def test_a_grade_of_another_scale_is_refused_not_guessed(
    make_geotiff: MakeGeotiff, tmp_path: Path
) -> None:
    image = make_geotiff(np.full((3, 60, 80), 90, np.uint8))
    outlines = write_outlines(tmp_path / "scene.geojson", HOUSE, grade="Possibly damaged")

    with pytest.raises(BadLabels):
        chip_from_outlines(image, outlines, pixel_size_m=0.5, event="x")


def test_outlines_that_lie_elsewhere_are_refused(make_geotiff: MakeGeotiff, tmp_path: Path) -> None:
    image = make_geotiff(np.full((3, 60, 80), 90, np.uint8))
    far = [(x + 10_000, y) for x, y in HOUSE]
    outlines = write_outlines(tmp_path / "scene.geojson", far)

    with pytest.raises(BadLabels):
        chip_from_outlines(image, outlines, pixel_size_m=0.5, event="x")


def test_nodata_is_ignored(make_geotiff: MakeGeotiff, tmp_path: Path) -> None:
    pixels = np.full((3, 60, 80), 90, np.uint8)
    pixels[:, 40:] = 0
    image = make_geotiff(pixels, nodata=0)
    outlines = write_outlines(tmp_path / "scene.geojson", HOUSE)

    chip = chip_from_outlines(image, outlines, pixel_size_m=0.5, event="x")

    assert chip.ignore[40:].all()
    assert not chip.ignore[:40].any()


def test_a_roof_that_was_drawn_twice_counts_once(make_geotiff: MakeGeotiff, tmp_path: Path) -> None:
    image = make_geotiff(np.full((3, 60, 80), 90, np.uint8))
    outlines = write_outlines(tmp_path / "scene.geojson", HOUSE)
    again = write_outlines(tmp_path / "again.geojson", [(x + 0.5, y) for x, y in HOUSE])
    collection = json.loads(outlines.read_text())
    collection["features"] += json.loads(again.read_text())["features"]
    outlines.write_text(json.dumps(collection))

    chip = chip_from_outlines(image, outlines, pixel_size_m=0.5, event="x")

    assert len(chip.grades) == 1


def test_the_real_drone_mosaics_are_read_with_their_outlines(data_dir: Path) -> None:
    sources = read_outlined(data_dir / "buildings", pixel_size_m=0.46)

    assert len(sources) == 11
    assert len(next(s for s in sources if s.name == "fair1_0").load().grades) == 121
