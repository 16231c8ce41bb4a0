"""Building outlines from the files that people have, one after another, never all in memory.

GeoJSON (a collection, or a feature a line, also as Microsoft's compressed ``.csv.gz``) and CSV with
WKT (Google's) are read without GDAL, GeoParquet (Overture's) by pyarrow; GeoPackage, Shapefile and
FlatGeobuf by GDAL, once their first bytes say that they are what their names say.
"""

import csv
import gzip
import hashlib
import json
import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, time
from pathlib import Path
from typing import Any, TextIO, cast

import numpy as np
import pyarrow as pa
import pyogrio
import pyproj
import shapely
from numpy.typing import NDArray
from pyarrow import parquet
from pyogrio.errors import DataLayerError, DataSourceError
from pyproj.exceptions import ProjError
from shapely.errors import ShapelyError
from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry

from detection.errors import (
    NoOutlines,
    OutlinesWithoutCrs,
    SeveralOutlineLayers,
    UnreadableOutlines,
)
from detection.outlines.geojson import read_features

WGS84 = "OGC:CRS84"  # longitude first, as GeoJSON and GeoParquet without a crs have it
AT_ONCE = 4096
# What the exports of OpenStreetMap, Overture, Google, Microsoft, xBD and UNOSAT call their ids.
ID_FIELDS = (
    *("outline_id", "id", "@id", "full_id", "osm_id", "osm_way_id", "uid", "uuid"),
    *("full_plus_code", "globalid", "building_id", "fid"),
)
GOOGLE_COLUMNS = {"latitude", "longitude", "geometry"}
GDAL_FORMATS = {  # first bytes, and the endings under which GDAL takes them for this and no other
    b"SQLite format 3\x00": (".gpkg",),
    b"fgb\x03fgb": (".fgb",),
    b"\x00\x00\x27\x0a": (".shp",),
}
SHAPEFILE_PARTS = (".shp", ".shx", ".dbf", ".prj", ".cpg")
POLYGONS = {"Polygon", "MultiPolygon", "Unknown", "GeometryCollection", "CurvePolygon"}
_BROKEN = (OSError, EOFError, ValueError, DataSourceError, DataLayerError, pa.ArrowException)


@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """One feature of a file.

    Attributes:
        number: its place in the file, from 1.
        outline_id: its own id, or its number in the file where it has none.
        attributes: everything else that is said of it, fit for JSON.
        geometry: in two dimensions, as drawn; None where there is none or it cannot be read.
    """

    number: int
    outline_id: str
    attributes: dict[str, Any] = field(repr=False)
    geometry: BaseGeometry | None


@dataclass(frozen=True, slots=True)
class OutlineFile:
    """An open file of outlines.

    Attributes:
        crs: of all its geometries; x is the longitude or easting, whatever the CRS says.
        features: all of them, once.
    """

    crs: pyproj.CRS
    features: Iterator[Drawn]


@contextmanager
def open_outlines(path: Path) -> Iterator[OutlineFile]:
    """Open a file of building outlines.

    Raises:
        UnreadableOutlines: it is damaged or in none of the formats; also while it is read.
        OutlinesWithoutCrs: it does not say what its coordinates are.
        NoOutlines: its layers hold points or lines only.
        SeveralOutlineLayers: more than one of its layers holds polygons.
    """
    try:
        with _reader_of(path)(path) as opened:
            yield opened
    except _BROKEN as error:
        raise UnreadableOutlines(f"{path.name}: {error}") from error


def hash_outlines(path: Path) -> str:
    """SHA-256 of a file; of a Shapefile's parts one after another, as hex digits.

    Raises:
        UnreadableOutlines: there is no such file.
    """
    digest = hashlib.sha256()
    for part in _parts(path):
        try:
            with part.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        except OSError as error:
            raise UnreadableOutlines(f"{part.name}: {error}") from error
    return digest.hexdigest()


def _parts(path: Path) -> list[Path]:
    if path.suffix.lower() != ".shp":
        return [path]
    beside = [path.with_suffix(ending) for ending in SHAPEFILE_PARTS]
    return [path, *(part for part in beside[1:] if part.exists())]


def _reader_of(path: Path) -> Callable[[Path], Any]:
    with path.open("rb") as file:
        start = file.read(32)
    if start.startswith(b"PAR1"):
        return _open_parquet
    for magic, endings in GDAL_FORMATS.items():
        if start.startswith(magic):
            if path.suffix.lower() not in endings:
                raise ValueError(f"the name of this file should end in {endings[0]}")
            return _open_with_gdal
    return _open_text


# --- text: GeoJSON and CSV


@contextmanager
def _open_text(path: Path) -> Iterator[OutlineFile]:
    with path.open("rb") as raw:
        packed = raw.read(2) == b"\x1f\x8b"
    with _opened_as_text(path, packed=packed) as file:
        first = file.read(1)
        while first.isspace():
            first = file.read(1)
        file.seek(0)
        yield _from_geojson(file) if first == "{" else _from_csv(file)


def _opened_as_text(path: Path, *, packed: bool) -> TextIO:
    if packed:
        return cast("TextIO", gzip.open(path, "rt", encoding="utf-8-sig"))
    return path.open(encoding="utf-8-sig")


def _from_geojson(file: TextIO) -> OutlineFile:
    features = read_features(file)
    first = next(features, None)
    if first is None:
        raise NoOutlines("no feature")
    if first["type"] != "crs":
        return OutlineFile(_crs_of(WGS84), _drawn_features(_chain(first, features)))
    return OutlineFile(_old_crs(first["crs"]), _drawn_features(features))


def _chain(first: dict[str, Any], rest: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    yield first
    yield from rest


def _old_crs(member: Any) -> pyproj.CRS:  # noqa: ANN401 (whatever JSON holds)
    """The CRS that GeoJSON from before RFC 7946 names."""
    if not isinstance(member, dict) or member.get("type") != "name":
        raise OutlinesWithoutCrs(f"crs {member}")
    return _crs_of(str(member.get("properties", {}).get("name", "")))


def _drawn_features(features: Iterator[dict[str, Any]]) -> Iterator[Drawn]:
    for number, feature in enumerate(features, start=1):
        properties = feature.get("properties")
        attributes = properties if isinstance(properties, dict) else {}
        own = feature.get("id")
        named = str(own) if own not in (None, "") else _id_in(attributes)
        yield Drawn(
            number, named or str(number), attributes, _from_mapping(feature.get("geometry"))
        )


def _from_mapping(geometry: Any) -> BaseGeometry | None:  # noqa: ANN401 (whatever JSON holds)
    try:
        return shapely.force_2d(shape(geometry)) if geometry else None
    except (ShapelyError, ValueError, TypeError, KeyError, AttributeError, IndexError):
        return None  # counted and listed as invalid


def _from_csv(file: TextIO) -> OutlineFile:
    csv.field_size_limit(2**24)
    rows = csv.DictReader(file)
    if not set(rows.fieldnames or ()) >= GOOGLE_COLUMNS:
        raise UnreadableOutlines("neither GeoJSON nor a table of latitude, longitude and geometry")
    return OutlineFile(_crs_of(WGS84), _drawn_rows(rows))


def _drawn_rows(rows: Iterable[dict[str, str]]) -> Iterator[Drawn]:
    for number, row in enumerate(rows, start=1):
        attributes = {str(name): value for name, value in row.items() if name != "geometry"}
        outline = shapely.from_wkt(row.get("geometry") or None, on_invalid="ignore")
        yield Drawn(number, _id_in(attributes) or str(number), attributes, outline)


# --- tables: GeoParquet by pyarrow, the others by GDAL


@contextmanager
def _open_parquet(path: Path) -> Iterator[OutlineFile]:
    with parquet.ParquetFile(path) as file:
        said = json.loads((file.schema_arrow.metadata or {}).get(b"geo", b"null"))
        if not said:
            raise OutlinesWithoutCrs("Parquet, but not GeoParquet")
        name = said["primary_column"]
        column = said["columns"][name]
        if column["encoding"] != "WKB":
            raise ValueError(f"geometries encoded as {column['encoding']}")
        crs = column.get("crs", WGS84)
        if crs is None:
            raise OutlinesWithoutCrs("crs null")
        hidden = {name, *(parts[0] for parts in _covering(column))}
        batches = file.iter_batches(batch_size=AT_ONCE)
        yield OutlineFile(_crs_of(crs), _drawn_batches(batches, name, hidden))


def _covering(column: dict[str, Any]) -> list[list[str]]:
    """The columns that only help to find geometries."""
    return list(column.get("covering", {}).get("bbox", {}).values())


@contextmanager
def _open_with_gdal(path: Path) -> Iterator[OutlineFile]:
    layer = _polygon_layer(path)
    with pyogrio.raw.open_arrow(
        path, layer=layer, batch_size=AT_ONCE, return_fids=True, use_pyarrow=True
    ) as (meta, batches):
        if not meta["crs"]:
            raise OutlinesWithoutCrs(path.name)
        name = meta["geometry_name"] or "wkb_geometry"
        fid = meta["fid_column"] or "OGC_FID"
        yield OutlineFile(_crs_of(meta["crs"]), _drawn_batches(batches, name, {name, fid}, fid))


def _polygon_layer(path: Path) -> str:
    layers = [(str(name), str(kind)) for name, kind in pyogrio.list_layers(path)]
    kinds = {name: kind.removeprefix("2.5D ").split(" ")[0] for name, kind in layers}
    found = [name for name, kind in kinds.items() if kind in POLYGONS]
    if not found:
        raise NoOutlines(f"layers {layers}")
    if len(found) > 1:
        raise SeveralOutlineLayers(f"layers {layers}")
    return found[0]


def _drawn_batches(
    batches: Iterable[pa.RecordBatch], geometry: str, hidden: set[str], fid: str | None = None
) -> Iterator[Drawn]:
    number = 0
    for batch in batches:
        shapes = _from_wkb(batch.column(geometry))
        names = [name for name in batch.schema.names if name not in hidden]
        ids = batch.column(fid).to_pylist() if fid in batch.schema.names else None
        rows = batch.select(names).to_pylist() if names else [{}] * batch.num_rows
        for position, (row, outline) in enumerate(zip(rows, shapes, strict=True)):
            number += 1
            attributes = {name: plain(value) for name, value in row.items()}
            own = str(ids[position]) if ids else str(number)
            yield Drawn(number, _id_in(attributes) or own, attributes, outline)


def _from_wkb(column: pa.Array) -> NDArray[np.object_]:
    values = np.array(column.to_pylist(), dtype=object)
    shapes: NDArray[np.object_] = shapely.force_2d(shapely.from_wkb(values, on_invalid="ignore"))
    return shapes


# --- what all have in common


def _crs_of(name: str | dict[str, Any]) -> pyproj.CRS:
    try:
        crs = pyproj.CRS.from_user_input(name)
        flat = crs.sub_crs_list[0] if crs.is_compound else crs.to_2d()  # heights are left out
    except ProjError as error:
        raise OutlinesWithoutCrs(str(error)) from error
    if not (flat.is_geographic or flat.is_projected):
        raise OutlinesWithoutCrs(flat.type_name)
    return flat


def _id_in(attributes: dict[str, Any]) -> str:
    """The first id that the attributes name; "" if none does."""
    lower = {name.lower(): value for name, value in attributes.items()}
    ids = (lower.get(name) for name in ID_FIELDS)
    return next((str(value) for value in ids if value not in (None, "")), "")


def plain(value: Any) -> Any:  # noqa: ANN401 (whatever a table holds)
    """A value as JSON can say it."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, dict):
        return {str(name): plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    if isinstance(value, bytes):
        return value.hex()
    return value.isoformat() if isinstance(value, date | time) else str(value)
