"""Ground that was asked for and never looked at is told apart, as polygons."""

import json
from pathlib import Path

import numpy as np
import pyogrio
import pytest
import shapely
from numpy.typing import NDArray
from shapely.geometry import Polygon, box, shape

from detection.cli import main
from detection.gaps import find_gaps
from detection.outputs import describe, gaps_path, write_footprints
from detection.pipeline import DetectionOptions, DetectionResult, detect_scene
from tests.conftest import MakeGeotiff
from tests.detection.oracle import NumberOracle, paint, spec
from tests.detection.test_pipeline import NOON, OPTIONS, ORACLE, _noise, _overwrite_block, _tiled

HOUSES = [box(10, 10, 30, 30), box(200, 200, 220, 220)]


@pytest.fixture
def half_empty(make_geotiff: MakeGeotiff) -> DetectionResult:
    """256 pixels square; the middle, 150 pixels wide, holds nothing."""
    pixels = paint(HOUSES, width=256, height=256)
    pixels[:, :, 50:200] = 0
    return detect_scene(make_geotiff(pixels, nodata=0), ORACLE, OPTIONS)


def _ground(result: DetectionResult, gap: shapely.Geometry) -> Polygon:
    """A gap in pixels of the model's grid again."""
    from detection.raster import to_lonlat

    def back(lonlat: NDArray[np.float64]) -> NDArray[np.float64]:
        to_degrees = to_lonlat(result.plan.grid.crs)
        east, north = to_degrees.transform(lonlat[:, 0], lonlat[:, 1], direction="INVERSE")
        columns, rows = ~result.plan.grid.transform @ (east, north)
        return np.column_stack([columns, rows])

    moved = shapely.transform(gap, back)
    assert isinstance(moved, Polygon)
    return moved


def test_a_scene_that_was_seen_whole_has_no_gaps(make_geotiff: MakeGeotiff) -> None:
    result = detect_scene(make_geotiff(paint(HOUSES, width=256, height=256)), ORACLE, OPTIONS)

    assert find_gaps(result.plan, result.counts) == []


def test_empty_tiles_less_what_their_neighbours_saw_are_a_gap(half_empty: DetectionResult) -> None:
    (gap,) = find_gaps(half_empty.plan, half_empty.counts)

    assert gap.reason == "nodata"
    left, top, right, bottom = _ground(half_empty, gap.outline).bounds
    assert (round(top), round(bottom)) == (0, 256)
    assert 50 <= round(left) < round(right) <= 200


def test_damaged_tiles_are_a_gap_of_their_own(tmp_path: Path) -> None:
    path = _tiled(tmp_path, lambda dataset: dataset.write(_noise(256, 256)), compress="deflate")
    _overwrite_block(path, column=0, row=3)

    result = detect_scene(path, ORACLE, OPTIONS)
    (gap,) = find_gaps(result.plan, result.counts)

    assert gap.reason == "damaged"
    assert _ground(result, gap.outline).contains(box(1, 193, 39, 255))


def test_only_what_was_asked_for_is_a_gap(half_empty: DetectionResult, tmp_path: Path) -> None:
    (whole,) = find_gaps(half_empty.plan, half_empty.counts)
    west, south, east, north = whole.outline.bounds
    wanted = box(west - 0.001, south, east, (south + north) / 2)
    path = tmp_path / "area.geojson"
    path.write_text(json.dumps(shapely.geometry.mapping(wanted)))

    image = tmp_path / "scene.tif"
    result = detect_scene(image, NumberOracle(spec()), DetectionOptions(overlap_px=24), area=wanted)
    (gap,) = find_gaps(result.plan, result.counts)

    assert wanted.buffer(1e-9).contains(gap.outline)
    assert gap.outline.area == pytest.approx(whole.outline.area / 2, rel=0.02)


def test_a_geopackage_holds_gaps_as_a_layer(half_empty: DetectionResult, tmp_path: Path) -> None:
    path, gaps = tmp_path / "a.gpkg", find_gaps(half_empty.plan, half_empty.counts)
    metadata = describe(half_empty.plan, half_empty.counts, time=NOON)

    write_footprints(path, half_empty.footprints, metadata, gaps)

    assert {name for name, _ in pyogrio.list_layers(path)} == {"damage", "not_analysed"}
    meta, _, outlines, (reasons,) = pyogrio.raw.read(path, layer="not_analysed")
    assert meta["fields"].tolist() == ["reason"]
    assert reasons.tolist() == ["nodata"]
    assert shapely.from_wkb(outlines[0]).equals(gaps[0].outline)
    assert len(pyogrio.raw.read(path, layer="damage")[2]) == 2


def test_the_command_writes_gaps_beside_other_formats_and_says_so(
    half_empty: DetectionResult,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from detection import cli

    monkeypatch.setattr(cli, "load_detector", lambda *_args, **_kwargs: ORACLE)
    image = tmp_path / "scene.tif"
    out = tmp_path / "town.geojson"

    assert main(["detect", str(image), "--output", str(out)]) == 0

    beside = gaps_path(out)
    assert beside == tmp_path / "town_not_analysed.geojson"
    written = json.loads(beside.read_text())
    assert [f["properties"]["reason"] for f in written["features"]] == ["nodata"]
    assert shape(written["features"][0]["geometry"]).is_valid
    assert written["metadata"]["scene"]["sha256"] == half_empty.plan.scene_sha256
    assert "town_not_analysed.geojson" in capsys.readouterr().err


def test_gaps_of_an_earlier_run_do_not_stay_beside_a_new_one(
    half_empty: DetectionResult, tmp_path: Path
) -> None:
    path, metadata = tmp_path / "a.fgb", describe(half_empty.plan, half_empty.counts, time=NOON)
    write_footprints(
        path, half_empty.footprints, metadata, find_gaps(half_empty.plan, half_empty.counts)
    )
    assert (tmp_path / "a_not_analysed.geojson").exists()

    write_footprints(path, half_empty.footprints, metadata)

    assert not (tmp_path / "a_not_analysed.geojson").exists()
