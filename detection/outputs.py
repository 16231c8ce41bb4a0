"""Write footprints: GeoJSON (RFC 7946), GeoPackage, FlatGeobuf, GeoParquet."""

import csv
import json
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyogrio
import shapely
from numpy.typing import NDArray
from pyarrow import parquet
from shapely.errors import GEOSException
from shapely.geometry import MultiPolygon, Polygon, shape

from detection import __version__
from detection.errors import BadOutput, BuildingNotFound, UnreadableOutlines
from detection.footprints import Footprint
from detection.gaps import Gap
from detection.grades import MODEL_GRADES
from detection.outlines.book import REASONS, Reason
from detection.planning import ScenePlan, lonlat_outlines
from detection.raster import WGS84, to_lonlat
from detection.results import TileCounts

PRELIMINARY = (
    "This is a preliminary analysis made by a computer; it has not been validated in the field."
)
LAYER = "damage"
GAPS_LAYER = "not_analysed"
Columns = dict[str, NDArray[Any]]


def describe(plan: ScenePlan, counts: TileCounts, *, time: datetime) -> dict[str, Any]:
    """What a file says of itself: the collection's ``metadata`` member.

    Args:
        plan: how the scene was looked at.
        counts: of all its tiles (``total_counts``).
        time: when the analysis ended, with its time zone.
    """
    known = {"outlines": _describe_outlines(plan, counts)} if plan.outlines else {}
    before = {"before": _describe_before(plan, counts)} if plan.before else {}
    return {
        "note": PRELIMINARY,
        "engine": __version__,
        "model": {
            "name": plan.model.name,
            "version": plan.model.version,
            "sha256": plan.model.sha256,
            "licence": plan.model.licence,
            "calibration": _describe_calibration(plan),
        },
        "operating_score": plan.model.operating_score,
        "options": plan.describe_options(),
        "pixel_size_m": [round(length, 4) for length in plan.pixel_size_m],
        "scene": {"name": plan.scene_name, "sha256": plan.scene_sha256},
        "tiles": {
            "read": counts.read,
            "empty": counts.empty,
            "not_analysed": len(counts.not_analysed),
            "not_analysed_bounds": [list(bounds) for bounds in counts.not_analysed],
        },
        "time": time.isoformat(timespec="seconds"),
        "warnings": list(plan.warnings),
        **before,
        **known,
    }


def _describe_calibration(plan: ScenePlan) -> dict[str, Any] | None:
    """How scores and probabilities were made frequencies; None: they are the network's own."""
    calibration = plan.model.calibration
    return calibration.to_json() if calibration else None


def _describe_before(plan: ScenePlan, counts: TileCounts) -> dict[str, Any]:
    """Which image it was, and how it was laid under each tile; metres east and north."""
    assert plan.before is not None  # noqa: S101 - for the type checker
    whole = before_moved_m(plan)
    shifts = sorted(counts.before, key=lambda one: one.tile)
    east, north = _moved_m(plan, [(s.tile, s.right_px, s.down_px) for s in shifts])
    places = lonlat_outlines(plan.layout, [one.tile for one in shifts])
    return {
        "name": plan.before.name,
        "sha256": plan.before.sha256,
        "pixel_size_m": [round(length, 4) for length in plan.before.pixel_size_m],
        "measured": plan.before.measured,
        "east_m": whole[0],
        "north_m": whole[1],
        "tiles_without": counts.without_before,
        "shifts": [
            {
                "bounds": [round(value, 7) for value in place.bounds],
                "measured": shift.measured,
                "east_m": east[number],
                "north_m": north[number],
                "sureness": shift.sureness,
                "shown": shift.shown,
            }
            for number, (shift, place) in enumerate(zip(shifts, places, strict=True))
        ],
    }


def before_moved_m(plan: ScenePlan) -> tuple[float, float]:
    """How far the image before was moved as a whole, in metres east and north.

    Single tiles differ from it by a few metres (``detection.before.LOCAL_M``).

    Args:
        plan: of a pair of images.
    """
    assert plan.before is not None  # noqa: S101 - for the type checker
    middle = plan.layout.tile_count // 2
    east, north = _moved_m(plan, [(middle, plan.before.right_px, plan.before.down_px)])
    return east[0], north[0]


def _moved_m(
    plan: ScenePlan, moves: Sequence[tuple[int, float, float]]
) -> tuple[list[float], list[float]]:
    """Metres east and north of moves in model pixels, each from the middle of a tile."""
    tiles = [plan.layout.tile(index) for index, _, _ in moves]
    middles = np.array([(t.col_off + t.width / 2, t.row_off + t.height / 2) for t in tiles])
    middles = middles.reshape(-1, 2)
    moved = middles + np.array([move[1:] for move in moves]).reshape(-1, 2)
    to_degrees = to_lonlat(plan.grid.crs)
    start = to_degrees.transform(*plan.grid.to_ground(middles).T)
    end = to_degrees.transform(*plan.grid.to_ground(moved).T)
    azimuth, _, length = WGS84.inv(*start, *end)
    east, north = length * np.sin(np.radians(azimuth)), length * np.cos(np.radians(azimuth))
    return (np.round(east, 2) + 0.0).tolist(), (np.round(north, 2) + 0.0).tolist()


def _describe_outlines(plan: ScenePlan, counts: TileCounts) -> dict[str, Any]:
    """What became of the known outlines, and how far they lay off, tile by tile."""
    assert plan.outlines is not None  # noqa: S101 - for the type checker
    contents, later = plan.outlines.contents, Counter(why for _, why in counts.outlines.missed)
    missed = {why: contents.not_analysed.get(why, 0) + later[why] for why in REASONS}
    return {
        "name": contents.name,
        "sha256": contents.sha256,
        "given": contents.given,
        "judged": counts.outlines.judged,
        "repaired": contents.repaired,
        "not_analysed": {why: count for why, count in missed.items() if count},
        "also_detect": plan.outlines.also_detect,
        "moved_to_roofs": plan.outlines.move,
        "shifts": _describe_shifts(plan, counts),
    }


def _describe_shifts(plan: ScenePlan, counts: TileCounts) -> list[dict[str, Any]]:
    shifts = sorted(counts.outlines.shifts, key=lambda one: one.tile)
    places = lonlat_outlines(plan.layout, [one.tile for one in shifts])
    east, north = _moved_m(plan, [(s.tile, s.right_px, s.down_px) for s in shifts])
    return [
        {
            "bounds": [round(value, 7) for value in place.bounds],
            "outlines": shift.outlines,
            "measured": shift.measured,
            "east_m": east[number],
            "north_m": north[number],
            "sureness": shift.sureness,
        }
        for number, (shift, place) in enumerate(zip(shifts, places, strict=True))
    ]


def omissions_path(output: Path) -> Path:
    """Where the list of outlines without a grade lies: beside the output."""
    return output.with_name(f"{output.stem}_not_analysed.csv")


def omissions_csv(omissions: Iterable[tuple[int, str, Reason]]) -> Iterator[str]:
    """A table of the known outlines that have no grade: place in their file, id, reason."""
    line = _Line()
    writer = csv.writer(line)
    writer.writerow(["number", "outline_id", "reason"])
    yield line.text
    for omission in omissions:
        writer.writerow(omission)
        yield line.text


def write_omissions(output: Path, omissions: Iterable[tuple[int, str, Reason]]) -> None:
    """Write that table beside an output; it appears whole or not at all.

    Raises:
        BadOutput: it cannot be written.
    """
    with (
        _appearing_whole(omissions_path(output)) as unfinished,
        unfinished.open("w", encoding="utf-8", newline="") as file,
    ):
        file.writelines(omissions_csv(omissions))


class _Line:
    """Holds the last line that a ``csv.writer`` wrote."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> None:
        """Take a line."""
        self.text = text


def to_geojson(footprints: Iterable[Footprint], metadata: dict[str, Any]) -> Iterator[str]:
    """A FeatureCollection (RFC 7946), piece by piece, so that it never lies in memory whole."""
    yield '{"type": "FeatureCollection",\n"metadata": ' + _dump(metadata) + ',\n"features": ['
    separator = "\n"
    for footprint in footprints:
        yield separator + _dump(footprint.to_feature())
        separator = ",\n"
    yield "\n]}\n"


def find_outline(path: Path, feature_id: str) -> Polygon | MultiPolygon:
    """The outline of one building in a GeoJSON file of ours, in longitude and latitude.

    Raises:
        BuildingNotFound: there is no such building in it.
        UnreadableOutlines: the file is no GeoJSON of ours.
    """
    try:
        features = json.loads(path.read_text(encoding="utf-8"))["features"]
        found = [shape(one["geometry"]) for one in features if one.get("id") == feature_id]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, GEOSException) as error:
        raise UnreadableOutlines(f"{path.name}: {error}") from error
    if len(found) != 1 or not isinstance(found[0], Polygon | MultiPolygon):
        raise BuildingNotFound(f"{path.name}: {feature_id}")
    return found[0]


def check_output(path: Path) -> None:
    """Refuse a name that nothing can be written to, before the work rather than after it.

    Raises:
        BadOutput: the ending is unknown, or the folder does not exist or cannot be written.
    """
    if path.suffix.lower() not in _WRITERS or path.is_dir():
        raise BadOutput(f"{path.name}: unknown ending")
    if not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
        raise BadOutput(f"{path.parent}: not a folder that can be written")


def gaps_path(output: Path) -> Path | None:
    """Where ground that was not looked at is written beside an output; None: it is inside."""
    if output.suffix.lower() == ".gpkg":
        return None
    return output.with_name(f"{output.stem}_not_analysed.geojson")


def write_footprints(
    path: Path,
    footprints: Iterable[Footprint],
    metadata: dict[str, Any],
    gaps: Sequence[Gap] = (),
) -> None:
    """Write a file whose format its ending names; it appears whole or not at all.

    Ground that was not looked at comes with it where there is any: in a GeoPackage as a layer
    ``not_analysed``, else as a file beside it (``gaps_path``). One of an earlier run vanishes.

    Args:
        path: ends in .geojson, .json, .gpkg, .fgb or .parquet.
        footprints: what was found.
        metadata: from ``describe``; every format carries it.
        gaps: from ``find_gaps``.

    Raises:
        BadOutput: unknown ending, or the file cannot be written.
    """
    check_output(path)
    beside = gaps_path(path)
    if beside is not None:
        _write_gaps(beside, gaps, metadata)
    with _appearing_whole(path) as unfinished:
        _WRITERS[unfinished.suffix](unfinished, footprints, metadata)
        if beside is None and gaps:
            _add_gaps_layer(unfinished, gaps)


def _write_gaps(path: Path, gaps: Sequence[Gap], metadata: dict[str, Any]) -> None:
    if not gaps:
        path.unlink(missing_ok=True)
        return
    with _appearing_whole(path) as unfinished:
        unfinished.write_text(gaps_geojson(gaps, metadata), encoding="utf-8")


def gaps_geojson(gaps: Sequence[Gap], metadata: dict[str, Any]) -> str:
    """Ground that was not looked at as a GeoJSON FeatureCollection (RFC 7946).

    Args:
        gaps: from ``find_gaps``; may be none.
        metadata: from ``describe``.
    """
    features = [gap.to_feature() for gap in gaps]
    whole = {"type": "FeatureCollection", "metadata": metadata, "features": features}
    return _dump(whole) + "\n"


def _add_gaps_layer(path: Path, gaps: Sequence[Gap]) -> None:
    pyogrio.raw.write(
        str(path),
        geometry=np.array([gap.outline.wkb for gap in gaps], dtype=object),
        field_data=[np.array([gap.reason for gap in gaps], dtype=object)],
        fields=np.array(["reason"], dtype=object),
        layer=GAPS_LAYER,
        geometry_type="Unknown",
        crs="EPSG:4326",
        append=True,
    )


@contextmanager
def _appearing_whole(path: Path) -> Iterator[Path]:
    """Where to write a file, its ending in small letters, that is moved to ``path`` once whole."""
    try:
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".writing-") as folder:
            unfinished = Path(folder) / f"{path.stem}{path.suffix.lower()}"
            yield unfinished
            unfinished.replace(path)
    except (OSError, pyogrio.errors.DataSourceError, pa.ArrowException) as error:
        raise BadOutput(f"{path.name}: {error}") from error


def _write_geojson(path: Path, footprints: Iterable[Footprint], metadata: dict[str, Any]) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.writelines(to_geojson(footprints, metadata))


def _write_vector(path: Path, footprints: Iterable[Footprint], metadata: dict[str, Any]) -> None:
    """GeoPackage or FlatGeobuf, through GDAL."""
    found = list(footprints)
    columns = _columns(found, metadata)
    pyogrio.raw.write(
        str(path),
        geometry=np.array([one.lonlat.wkb for one in found], dtype=object),
        field_data=list(columns.values()),
        fields=np.array(list(columns), dtype=object),
        layer=LAYER,
        geometry_type=_geometry_type(found),
        crs="EPSG:4326",
        layer_metadata={"metadata": _dump(metadata)} if path.suffix.lower() == ".gpkg" else None,
        **_flatgeobuf_title(path, metadata),
    )


def _flatgeobuf_title(path: Path, metadata: dict[str, Any]) -> dict[str, str]:
    """FlatGeobuf has no metadata but a description."""
    return {"DESCRIPTION": _dump(metadata)} if path.suffix.lower() == ".fgb" else {}


def _write_parquet(path: Path, footprints: Iterable[Footprint], metadata: dict[str, Any]) -> None:
    """GeoParquet 1.1; without a ``crs`` its coordinates are longitude and latitude."""
    found = list(footprints)
    arrays: dict[str, Any] = {
        name: pa.array(values.tolist(), _ARROW_TYPES[values.dtype.kind])
        for name, values in _columns(found, metadata).items()
    }
    arrays["geometry"] = pa.array([one.lonlat.wkb for one in found], pa.binary())
    column = {
        "encoding": "WKB",
        "geometry_types": sorted({one.lonlat.geom_type for one in found}),
        "orientation": "counterclockwise",
    }
    if found:
        column["bbox"] = shapely.total_bounds([one.lonlat for one in found]).tolist()
    geo = {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": column}}
    table = pa.table(arrays).replace_schema_metadata(
        {"geo": _dump(geo), "metadata": _dump(metadata)}
    )
    parquet.write_table(table, path, compression="zstd")


def _columns(found: list[Footprint], metadata: dict[str, Any]) -> Columns:
    """The properties as flat columns; one ``p_`` column per grade, attributes as JSON text."""
    columns: Columns = {
        "id": np.array([str(one.id) for one in found], dtype=object),
        "grade": np.array([one.grade.value for one in found], dtype=object),
        "score": np.array([one.score for one in found], np.float64),
        "grade_score": np.array([one.grade_score for one in found], np.float64),
    }
    for position, grade in enumerate(MODEL_GRADES):
        probabilities = [one.probabilities[position] for one in found]
        columns[f"p_{grade.value}"] = np.array(probabilities, np.float64)
    columns["area_m2"] = np.array([one.area_m2 for one in found], np.float64)
    columns["model"] = np.array([one.model for one in found], dtype=object)
    columns["clipped"] = np.array([one.clipped for one in found], np.bool_)
    doubts = [one.unclassified_because for one in found]
    columns["unclassified_because"] = np.array(doubts, dtype=object)
    columns["source"] = np.array([one.source for one in found], dtype=object)
    if "outlines" in metadata:
        known = [one.known for one in found]
        columns["outline_id"] = np.array([k.outline_id if k else None for k in known], dtype=object)
        texts = [_dump(k.attributes) if k else None for k in known]
        columns["attributes"] = np.array(texts, dtype=object)
    return columns


def _geometry_type(found: list[Footprint]) -> str:
    kinds = {one.lonlat.geom_type for one in found} or {"Polygon"}
    return kinds.pop() if len(kinds) == 1 else "Unknown"


def _dump(value: Any) -> str:  # noqa: ANN401 (whatever JSON holds)
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


_ARROW_TYPES = {"O": pa.string(), "f": pa.float64(), "b": pa.bool_()}
_WRITERS: dict[str, Callable[[Path, Iterable[Footprint], dict[str, Any]], None]] = {
    ".geojson": _write_geojson,
    ".json": _write_geojson,
    ".gpkg": _write_vector,
    ".fgb": _write_vector,
    ".parquet": _write_parquet,
}
