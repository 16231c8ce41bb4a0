"""Files that people have, down to the ids and attributes; what cannot be used is refused."""

import gzip
import json
from pathlib import Path

import pytest
from pyproj import CRS
from shapely.geometry import LineString, Point, Polygon, box

from detection.errors import (
    NoOutlines,
    OutlinesWithoutCrs,
    SeveralOutlineLayers,
    UnreadableOutlines,
)
from detection.outlines.files import Drawn, hash_outlines, open_outlines
from tests.detection.outlines.makers import (
    Record,
    to_lonlat,
    write_geojson,
    write_geoparquet,
    write_google,
    write_lines,
    write_table,
)

HOUSES = [box(10, 10, 30, 40), box(50, 20, 90, 60)]
RECORDS: list[Record] = [
    (HOUSES[0], {"id": "way/17", "name": "Märkt"}),
    (HOUSES[1], {"id": "way/4", "name": "Hall"}),
]


def read(path: Path) -> tuple[CRS, list[Drawn]]:
    with open_outlines(path) as opened:
        return opened.crs, list(opened.features)


def assert_same_place(drawn: Drawn, crs: CRS, house: Polygon) -> None:
    assert drawn.geometry is not None
    if crs.is_geographic:
        assert drawn.geometry.equals_exact(to_lonlat(house), 1e-9, normalize=True)
    else:
        assert drawn.geometry.bounds[0] == pytest.approx(500_000 + house.bounds[0] / 2)


@pytest.mark.parametrize("ending", [".gpkg", ".shp", ".fgb"])
def test_tables_keep_id_and_attributes(tmp_path: Path, ending: str) -> None:
    crs, found = read(write_table(tmp_path / f"houses{ending}", RECORDS))

    assert sorted((one.outline_id, one.attributes["name"]) for one in found) == [
        ("way/17", "Märkt"),
        ("way/4", "Hall"),
    ]
    for one in found:
        assert_same_place(one, crs, HOUSES[0] if one.outline_id == "way/17" else HOUSES[1])


def test_geoparquet_without_a_crs_is_in_degrees_and_its_bounds_are_no_attribute(
    tmp_path: Path,
) -> None:
    crs, (first, _) = read(write_geoparquet(tmp_path / "overture.parquet", RECORDS))

    assert_same_place(first, crs, HOUSES[0])
    assert first.outline_id == "way/17"
    assert first.attributes == {
        "id": "way/17",
        "sources": [{"dataset": "Test", "confidence": None}],
        "name": "Märkt",
    }


def test_geojson_keeps_the_ids_of_features_and_nested_attributes(tmp_path: Path) -> None:
    records = [(HOUSES[0], {"id": 17, "tags": {"building": "yes", "levels": [1, 2]}})]

    crs, (found,) = read(write_geojson(tmp_path / "osm.geojson", records))

    assert (found.number, found.outline_id) == (1, "17")
    assert found.attributes == {"tags": {"building": "yes", "levels": [1, 2]}}
    assert_same_place(found, crs, HOUSES[0])


def test_lines_of_features_are_read_packed_or_not(tmp_path: Path) -> None:
    plain = write_lines(tmp_path / "part.geojsonl", RECORDS)
    packed = tmp_path / "part.csv.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))

    for path in (plain, packed):
        crs, found = read(path)
        assert [one.outline_id for one in found] == ["way/17", "way/4"]
        assert_same_place(found[1], crs, HOUSES[1])


def test_the_table_that_google_publishes_is_read(tmp_path: Path) -> None:
    crs, found = read(write_google(tmp_path / "open_buildings.csv", RECORDS))

    assert [one.outline_id for one in found] == ["way/17", "way/4"]
    assert found[0].attributes["confidence"] == "0.9"
    assert_same_place(found[0], crs, HOUSES[0])


def test_what_has_no_id_is_known_by_its_place_in_the_file(tmp_path: Path) -> None:
    _, found = read(write_geojson(tmp_path / "a.geojson", [(house, {}) for house in HOUSES]))

    assert [one.outline_id for one in found] == ["1", "2"]


def test_a_crs_from_before_rfc_7946_is_honoured(tmp_path: Path) -> None:
    name = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32637"}}

    crs, _ = read(write_geojson(tmp_path / "a.geojson", RECORDS, crs=name))

    assert crs.to_epsg() == 32637


def test_a_compound_crs_is_read_without_its_heights(data_dir: Path, tmp_path: Path) -> None:
    path = write_table(tmp_path / "a.gpkg", RECORDS, crs="EPSG:9707")

    crs, _ = read(path)

    assert crs.to_epsg() == 4326
    with pytest.raises(NoOutlines):  # a real one, of points
        read(data_dir / "vector" / "unosat_gaza_damage_20231126.gpkg")


def test_a_real_export_of_openstreetmap_is_read_whole(data_dir: Path) -> None:
    _, found = read(data_dir / "vector" / "osm_turkiye_destroyed_buildings.geojson")

    assert len(found) == 3259
    assert len({one.outline_id for one in found}) == 3259
    assert all(one.geometry is not None for one in found)
    assert found[0].attributes["damage_event"] == "#TürkiyeEQ060223"


def test_a_long_value_across_the_pieces_that_are_read_stays_whole(tmp_path: Path) -> None:
    words = "ä" * (2**20 + 7)
    records = [(HOUSES[0], {"id": "a", "words": words}), (HOUSES[1], {"id": "b"})]

    _, found = read(write_geojson(tmp_path / "a.geojson", records, name="x" * 2**20))

    assert found[0].attributes["words"] == words
    assert [one.outline_id for one in found] == ["a", "b"]


def test_geometry_that_cannot_be_read_is_handed_on_as_missing(tmp_path: Path) -> None:
    path = write_geojson(tmp_path / "a.geojson", RECORDS)
    data = json.loads(path.read_text("utf-8"))
    data["features"][0]["geometry"] = {"type": "Polygon", "coordinates": [[["x", 1]]]}
    data["features"][1]["geometry"] = None
    path.write_text(json.dumps(data))

    assert [one.geometry for one in read(path)[1]] == [None, None]


@pytest.mark.parametrize(
    ("content", "refusal"),
    [
        (b"", UnreadableOutlines),
        (b"\x00\x01\x02 no outlines", UnreadableOutlines),
        (b"a,b\n1,2\n", UnreadableOutlines),
        (b"{", UnreadableOutlines),
        (b'{"type": "FeatureCollection", "features": [{"type": "Feature"', UnreadableOutlines),
        (b'{"type": "FeatureCollection", "features": [17]}', UnreadableOutlines),
        (b'{"type": "Topology", "objects": {}}', UnreadableOutlines),
        (b"[" * 100_000, UnreadableOutlines),
        (b'{"features": ' + b"[" * 100_000, UnreadableOutlines),
        (b"SQLite format 3\x00 but a torso", UnreadableOutlines),
        (b"PAR1 but a torso", UnreadableOutlines),
        (b'{"type": "FeatureCollection", "features": []}', NoOutlines),
        (b'{"type": "FeatureCollection", "crs": null, "features": []}', OutlinesWithoutCrs),
    ],
)
def test_what_is_no_file_of_outlines_is_refused(
    tmp_path: Path, content: bytes, refusal: type[Exception]
) -> None:
    for ending in (".geojson", ".gpkg"):
        path = tmp_path / f"a{ending}"
        path.write_bytes(content)
        with pytest.raises(refusal):
            read(path)


def test_a_file_whose_name_belies_it_never_reaches_gdal(tmp_path: Path) -> None:
    real = write_table(tmp_path / "a.gpkg", RECORDS)
    renamed = tmp_path / "a.fgb"
    real.rename(renamed)
    virtual = tmp_path / "b.gpkg"
    virtual.write_text('<OGRVRTDataSource><OGRVRTLayer name="a"/></OGRVRTDataSource>')

    for path in (renamed, virtual, tmp_path / "absent.gpkg"):
        with pytest.raises(UnreadableOutlines):
            read(path)


@pytest.mark.parametrize("shape", [Point(20, 20), LineString([(0, 0), (9, 9)])])
def test_points_and_lines_are_no_outlines(tmp_path: Path, shape: Point | LineString) -> None:
    with pytest.raises(NoOutlines):
        read(write_table(tmp_path / "a.gpkg", [(shape, {"id": "1"})]))


def test_without_a_crs_nothing_can_be_placed(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="crs"):
        shapefile = write_table(tmp_path / "a.shp", RECORDS, crs=None)

    with pytest.raises(OutlinesWithoutCrs):
        read(shapefile)
    with pytest.raises(OutlinesWithoutCrs):
        read(write_geoparquet(tmp_path / "a.parquet", RECORDS, crs=None))


def test_one_of_several_layers_is_never_guessed(tmp_path: Path) -> None:
    import pyogrio

    path = write_table(tmp_path / "a.gpkg", RECORDS)
    meta, _, geometry, columns = pyogrio.raw.read(path)
    pyogrio.raw.write(
        path,
        geometry=geometry,
        field_data=columns,
        fields=meta["fields"],
        geometry_type="Polygon",
        crs="EPSG:32637",
        layer="other",
        append=True,
    )

    with pytest.raises(SeveralOutlineLayers):
        read(path)


def test_the_hash_of_a_shapefile_is_of_all_its_parts(tmp_path: Path) -> None:
    path = write_table(tmp_path / "a.shp", RECORDS)
    before = hash_outlines(path)

    path.with_suffix(".prj").write_text("another")

    assert hash_outlines(path) != before
