"""Files say what they are, in the format that their name promises."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pyogrio
import pytest
import shapely
from affine import Affine
from pyarrow import parquet
from shapely.geometry import Polygon, box, shape

from detection.errors import BadOutput
from detection.footprints import Footprint
from detection.outputs import describe, to_geojson, write_footprints
from detection.pipeline import DetectionOptions, DetectionResult, detect_scene
from tests.conftest import MakeGeotiff
from tests.detection.oracle import NumberOracle, paint, spec

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
TOWN = [box(10, 10, 30, 40), box(50, 20, 90, 60), box(95, 70, 110, 99)]
GRADES = {"no_damage", "minor_damage", "major_damage", "destroyed"}


@pytest.fixture
def result(make_geotiff: MakeGeotiff) -> DetectionResult:
    path = make_geotiff(paint(TOWN, width=120, height=100), name="town.tif")
    return detect_scene(path, NumberOracle(spec()), DetectionOptions(overlap_px=24))


def written(result: DetectionResult, path: Path) -> Path:
    metadata = describe(result.plan, result.counts, time=NOON)
    write_footprints(path, result.footprints, metadata)
    return path


def test_geojson_is_what_rfc_7946_asks_for(result: DetectionResult, tmp_path: Path) -> None:
    data = json.loads(written(result, tmp_path / "out.geojson").read_text("utf-8"))

    assert data["type"] == "FeatureCollection"
    assert "crs" not in data
    assert len(data["features"]) == 3
    for feature in data["features"]:
        ring = feature["geometry"]["coordinates"][0]
        assert feature["geometry"]["type"] == "Polygon"
        assert len(feature["geometry"]["coordinates"]) == 1
        assert ring[0] == ring[-1]
        assert shape(feature["geometry"]).is_valid
        assert Polygon(ring).exterior.is_ccw
        assert all(round(value, 7) == value for point in ring for value in point)
        assert all(-180 <= x <= 180 and -90 <= y <= 90 for x, y in ring)


def test_a_feature_carries_every_property(result: DetectionResult, tmp_path: Path) -> None:
    data = json.loads(written(result, tmp_path / "out.geojson").read_text("utf-8"))

    for feature in data["features"]:
        properties = feature["properties"]
        assert feature["id"] == properties["id"]
        assert properties["grade"] in GRADES
        assert set(properties["probabilities"]) == GRADES
        assert properties["grade_score"] == properties["probabilities"][properties["grade"]]
        assert properties["grade_score"] == max(properties["probabilities"].values())
        assert 0 <= properties["score"] <= 1
        assert properties["model"] == "oracle@1"
        assert properties["clipped"] is False
    areas = sorted(feature["properties"]["area_m2"] for feature in data["features"])
    assert areas == pytest.approx([15 * 29 / 4, 20 * 30 / 4, 40 * 40 / 4], rel=0.02)


def test_the_metadata_say_how_it_was_made(result: DetectionResult, tmp_path: Path) -> None:
    metadata = json.loads(written(result, tmp_path / "out.geojson").read_text("utf-8"))["metadata"]

    assert metadata["model"]["name"] == "oracle"
    assert metadata["model"]["sha256"] == "0" * 64
    assert metadata["model"]["licence"] == "Apache-2.0"
    assert metadata["operating_score"] == metadata["options"]["min_score"] == 0.5
    assert metadata["scene"]["name"] == "town.tif"
    assert len(metadata["scene"]["sha256"]) == 64
    assert metadata["tiles"]["read"] == result.plan.tile_count
    assert metadata["tiles"]["empty"] == metadata["tiles"]["not_analysed"] == 0
    assert metadata["time"] == "2026-01-01T12:00:00+00:00"
    assert "not been validated in the field" in metadata["note"]


def test_the_same_image_gives_the_same_ids_and_another_gives_others(
    make_geotiff: MakeGeotiff,
) -> None:
    def ids(seed: int) -> list[str]:
        pixels = paint(TOWN, width=120, height=100)
        pixels[0, 0, 0] = seed
        path = make_geotiff(pixels, name=f"{uuid4()}.tif")
        found = detect_scene(path, NumberOracle(spec()), DetectionOptions(overlap_px=24))
        return [str(one.id) for one in found.footprints]

    assert ids(1) == ids(1)
    assert len(set(ids(1))) == 3
    assert not set(ids(1)) & set(ids(2))


@pytest.mark.parametrize("ending", [".gpkg", ".fgb", ".parquet"])
def test_tables_hold_the_same_buildings_in_flat_columns(
    result: DetectionResult, tmp_path: Path, ending: str
) -> None:
    path = written(result, tmp_path / f"out{ending}")

    names, outlines, columns = read(path)

    rows = dict(zip(names, columns, strict=True))
    order = [str(one.id) for one in result.footprints]
    at = [list(rows["id"]).index(name) for name in order]
    assert {f"p_{grade}" for grade in GRADES} <= set(names)
    assert [rows["grade"][n] for n in at] == [one.grade.value for one in result.footprints]
    assert [float(rows["p_destroyed"][n]) for n in at] == [
        one.probabilities[3] for one in result.footprints
    ]
    assert all(outlines[n].equals(one.lonlat) for n, one in zip(at, result.footprints, strict=True))


@pytest.mark.parametrize("ending", [".geojson", ".gpkg", ".fgb", ".parquet"])
def test_a_scene_without_buildings_is_a_valid_empty_file(
    result: DetectionResult, tmp_path: Path, ending: str
) -> None:
    path = tmp_path / f"out{ending}"
    write_footprints(path, [], describe(result.plan, result.counts, time=NOON))

    if ending == ".geojson":
        assert json.loads(path.read_text("utf-8"))["features"] == []
    else:
        assert len(read(path)[1]) == 0


def test_every_table_carries_the_metadata(result: DetectionResult, tmp_path: Path) -> None:
    geopackage = pyogrio.read_info(written(result, tmp_path / "out.gpkg"))
    columns = parquet.read_schema(written(result, tmp_path / "out.parquet")).metadata
    flat = written(result, tmp_path / "out.fgb").read_bytes()

    assert json.loads(geopackage["layer_metadata"]["metadata"])["engine"]
    assert json.loads(columns[b"metadata"])["engine"]
    assert json.loads(columns[b"geo"])["columns"]["geometry"]["encoding"] == "WKB"
    assert b"not been validated in the field" in flat


def test_nothing_is_left_behind_when_writing_fails(result: DetectionResult, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "out.geojson").write_text("what was there before")

    def broken() -> Iterator[Footprint]:
        yield from result.footprints
        raise OSError("disk full")

    with pytest.raises(BadOutput):
        write_footprints(folder / "out.geojson", broken(), {})

    assert [path.name for path in folder.iterdir()] == ["out.geojson"]
    assert (folder / "out.geojson").read_text() == "what was there before"


@pytest.mark.parametrize("name", ["out.shp", "out", "absent/out.geojson"])
def test_names_that_cannot_be_written_are_refused(
    result: DetectionResult, tmp_path: Path, name: str
) -> None:
    with pytest.raises(BadOutput):
        write_footprints(tmp_path / name, result.footprints, {})


def test_geojson_comes_in_pieces_of_one_feature(result: DetectionResult) -> None:
    pieces = list(to_geojson(result.footprints, {}))

    assert len(pieces) == len(result.footprints) + 2


def test_a_building_across_the_180th_meridian_is_two_parts(make_geotiff: MakeGeotiff) -> None:
    degree = 0.5 / 111_320
    path = make_geotiff(
        paint([box(40, 40, 80, 60)], width=120, height=120),
        crs="EPSG:4326",
        transform=Affine(degree, 0, 180 - 60 * degree, 0, -degree, 0.0001),
    )

    (found,) = detect_scene(path, NumberOracle(spec())).footprints

    assert found.to_feature()["geometry"]["type"] == "MultiPolygon"
    assert all(-180 <= x <= 180 for x, _ in shapely.get_coordinates(found.lonlat))
    assert found.area_m2 == pytest.approx(200, rel=0.02)


def read(path: Path) -> tuple[list[str], list[Any], list[list[Any]]]:
    if path.suffix == ".parquet":
        table = parquet.read_table(path)
        outlines = shapely.from_wkb(table.column("geometry").to_pylist())
        names = [name for name in table.column_names if name != "geometry"]
        return names, list(outlines), [table.column(name).to_pylist() for name in names]
    meta, _, geometry, columns = pyogrio.raw.read(path)
    return list(meta["fields"]), list(shapely.from_wkb(geometry)), [list(c) for c in columns]
