"""Files of outlines over the images that ``make_geotiff`` makes, in every format."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyogrio
import shapely
from affine import Affine
from numpy.typing import NDArray
from pyarrow import parquet
from pyproj import Transformer
from shapely.geometry import mapping
from shapely.geometry.base import BaseGeometry

UTM = Affine(0.5, 0, 500_000, 0, -0.5, 4_000_000)  # as ``make_geotiff``, EPSG:32637
Record = tuple[BaseGeometry, dict[str, Any]]  # an outline in image pixels, and what is said of it


def to_lonlat(outline: BaseGeometry) -> BaseGeometry:
    """From pixels of a ``make_geotiff`` image to longitude and latitude."""
    transformer = Transformer.from_crs("EPSG:32637", "EPSG:4326", always_xy=True)

    def degrees(xy: NDArray[np.float64]) -> NDArray[np.float64]:
        x, y = UTM * (xy[:, 0], xy[:, 1])
        return np.column_stack(transformer.transform(x, y))

    return shapely.transform(outline, degrees)


def write_geojson(path: Path, records: Sequence[Record], **members: Any) -> Path:
    features = [
        {
            "type": "Feature",
            **({"id": said["id"]} if "id" in said else {}),
            "properties": {name: value for name, value in said.items() if name != "id"},
            "geometry": mapping(to_lonlat(outline)),
        }
        for outline, said in records
    ]
    path.write_text(
        json.dumps({"type": "FeatureCollection", **members, "features": features}), "utf-8"
    )
    return path


def write_lines(path: Path, records: Sequence[Record]) -> Path:
    """A feature a line, as Microsoft publishes them."""
    lines = [
        json.dumps({"type": "Feature", "properties": said, "geometry": mapping(to_lonlat(outline))})
        for outline, said in records
    ]
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def write_google(path: Path, records: Sequence[Record]) -> Path:
    lines = ["latitude,longitude,area_in_meters,confidence,geometry,full_plus_code"]
    for outline, said in records:
        place = to_lonlat(outline)
        middle = place.centroid
        lines.append(f'{middle.y},{middle.x},10.0,0.9,"{place.wkt}",{said["id"]}')
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def write_table(path: Path, records: Sequence[Record], *, crs: str | None = "EPSG:32637") -> Path:
    """GeoPackage, Shapefile or FlatGeobuf, in the image's own coordinates."""
    names = list(records[0][1])
    ground = [
        shapely.transform(o, lambda xy: np.column_stack(UTM * tuple(xy.T))) for o, _ in records
    ]
    pyogrio.raw.write(
        str(path),
        geometry=np.array([outline.wkb for outline in ground], dtype=object),
        field_data=[np.array([said[name] for _, said in records], dtype=object) for name in names],
        fields=np.array(names, dtype=object),
        geometry_type=ground[0].geom_type,
        crs=crs,
    )
    return path


def write_geoparquet(path: Path, records: Sequence[Record], **column: Any) -> Path:
    """As Overture publishes: an id, nested columns, the bounds in a struct, no ``crs``."""
    places = [to_lonlat(outline) for outline, _ in records]
    bounds = [dict(zip(("xmin", "ymin", "xmax", "ymax"), p.bounds, strict=True)) for p in places]
    table = pa.table(
        {
            "id": [str(said["id"]) for _, said in records],
            "geometry": [place.wkb for place in places],
            "bbox": bounds,
            "sources": [[{"dataset": "Test", "confidence": None}] for _ in records],
            "name": [said["name"] for _, said in records],
        }
    )
    covering = {"bbox": {end: ["bbox", end] for end in ("xmin", "ymin", "xmax", "ymax")}}
    geo = {
        "version": "1.1.0",
        "primary_column": "geometry",
        "columns": {
            "geometry": {
                "encoding": "WKB",
                "geometry_types": ["Polygon"],
                "covering": covering,
                **column,
            }
        },
    }
    parquet.write_table(table.replace_schema_metadata({"geo": json.dumps(geo)}), path)
    return path
