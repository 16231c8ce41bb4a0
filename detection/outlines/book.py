"""The known outlines of one scene, each with the one tile that judges it, in a file of their own.

Whatever file they came from, they are read once, when the scene is planned. The book is an SQLite
file: a shard takes from it what lies in its tiles, so that memory does not grow with the scene.
"""

import json
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Final, Literal, get_args

import numpy as np
import pyproj
import shapely
from numpy.typing import NDArray
from pyproj import Transformer
from shapely.geometry import MultiPolygon, Polygon
from shapely.geometry.base import BaseGeometry

from detection.errors import NoOutlines, OutlinesElsewhere, UnreadableOutlines
from detection.outlines.files import Drawn, OutlineFile, hash_outlines, open_outlines
from detection.tiling import TileLayout

Reason = Literal[
    "not_a_polygon", "invalid", "outside_image", "outside_area", "too_large", "nodata", "damaged"
]
REASONS: Final[tuple[Reason, ...]] = get_args(Reason)
AT_ONCE = 4096
LEAST_SEEN = 0.5  # share of an outline's bounds that must lie on the image, on valid pixels
LARGEST_TILES = (
    4.0  # a larger outline would be judged at less than a quarter of the model's sharpness
)
_SCHEMA = """
CREATE TABLE outline (
    number INTEGER PRIMARY KEY,
    outline_id TEXT NOT NULL,
    reason TEXT,
    tile INTEGER,
    attributes TEXT,
    lonlat BLOB,
    pixels BLOB
);
CREATE TABLE meets (
    tile INTEGER NOT NULL, number INTEGER NOT NULL, PRIMARY KEY (tile, number)
) WITHOUT ROWID;
CREATE TABLE about (sha256 TEXT NOT NULL, width INTEGER NOT NULL, height INTEGER NOT NULL);
"""


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """One outline that can be judged.

    Attributes:
        number: its place in the file it came from, from 1.
        outline_id: its id there.
        attributes: what is said of it there.
        lonlat: as drawn, in longitude and latitude.
        pixels: in model pixels of the scene.
        tile: number of the tile that judges it.
    """

    number: int
    outline_id: str
    attributes: dict[str, Any] = field(repr=False)
    lonlat: Polygon | MultiPolygon
    pixels: Polygon | MultiPolygon
    tile: int


@dataclass(frozen=True, slots=True)
class Placing:
    """Where outlines are judged.

    Attributes:
        layout: the tiles of the scene.
        has_pixels: by number of the tile, whether it may hold any.
        area: only outlines in it are judged, in longitude and latitude; None: all.
    """

    layout: TileLayout
    has_pixels: NDArray[np.bool_]
    area: BaseGeometry | None


@dataclass(frozen=True, slots=True)
class Contents:
    """What a file of outlines amounts to.

    Attributes:
        name: of the file.
        sha256: of the file.
        given: how many features it has.
        repaired: how many were invalid and could be mended.
        not_analysed: by reason, how many are known not to be judged before a pixel is read.
    """

    name: str
    sha256: str
    given: int
    repaired: int
    not_analysed: dict[str, int]

    @property
    def to_judge(self) -> int:
        """How many are left."""
        return self.given - sum(self.not_analysed.values())


def write_book(book: Path, source: Path, placing: Placing) -> Contents:
    """Read a file of outlines, once, and write down where each is judged, or why it is not.

    Args:
        book: the file to write; what was there is replaced.
        source: see ``detection.outlines.files``.
        placing: the scene's tiles.

    Raises:
        DetectionError: the file cannot be used, or none of its outlines can be judged.
    """
    book.unlink(missing_ok=True)
    sha256 = hash_outlines(source)
    counts: Counter[str] = Counter()
    with open_outlines(source) as opened, closing(sqlite3.connect(book)) as database:
        database.execute("PRAGMA journal_mode = OFF")
        database.execute("PRAGMA synchronous = OFF")
        database.executescript(_SCHEMA)
        for chunk in _chunks(opened):
            _write_chunk(database, _place(chunk, opened.crs, placing), placing, counts)
        grid = placing.layout.grid
        database.execute("INSERT INTO about VALUES (?, ?, ?)", (sha256, grid.width, grid.height))
        database.commit()
    missed: dict[str, int] = {reason: counts[reason] for reason in REASONS if counts[reason]}
    contents = Contents(source.name, sha256, counts["given"], counts["repaired"], missed)
    _require_some(contents)
    return contents


def _require_some(contents: Contents) -> None:
    if contents.to_judge:
        return
    shapeless = sum(contents.not_analysed.get(reason, 0) for reason in ("not_a_polygon", "invalid"))
    if shapeless == contents.given:
        raise NoOutlines(f"{contents.given} features: {contents.not_analysed}")
    if contents.not_analysed.keys() <= {
        "outside_image",
        "outside_area",
        "not_a_polygon",
        "invalid",
    }:
        raise OutlinesElsewhere(f"{contents.not_analysed}")


# --- where each is judged


@dataclass(slots=True, eq=False)
class _Placed:
    """A feature on its way into the book."""

    drawn: Drawn
    reason: Reason | None = None
    repaired: bool = False
    lonlat: BaseGeometry | None = None
    pixels: BaseGeometry | None = None
    tile: int | None = None


def _chunks(opened: OutlineFile) -> Iterator[list[Drawn]]:
    while chunk := list(islice(opened.features, AT_ONCE)):
        yield chunk


def _place(chunk: list[Drawn], crs: pyproj.CRS, placing: Placing) -> list[_Placed]:
    placed = [_shaped(drawn) for drawn in chunk]
    _put_on_ground([one for one in placed if one.reason is None], crs, placing)
    _choose_tiles([one for one in placed if one.reason is None], placing)
    return placed


def _shaped(drawn: Drawn) -> _Placed:
    """A feature as valid polygons, or the reason why it cannot be."""
    shape = drawn.geometry
    if shape is None or shape.is_empty or not np.isfinite(shapely.get_coordinates(shape)).all():
        return _Placed(drawn, "invalid")
    if shape.geom_type not in {"Polygon", "MultiPolygon", "GeometryCollection"}:
        return _Placed(drawn, "not_a_polygon")
    valid = bool(shape.is_valid)
    parts = _polygons(shape if valid else shapely.make_valid(shape))
    if not parts:
        return _Placed(drawn, "invalid")
    whole = parts[0] if len(parts) == 1 else MultiPolygon(parts)
    return _Placed(drawn, repaired=not valid, lonlat=whole)


def _polygons(shape: BaseGeometry) -> list[Polygon]:
    if isinstance(shape, Polygon):
        return [shape] if shape.area > 0 else []
    nested = [_polygons(part) for part in getattr(shape, "geoms", ())]
    return [part for parts in nested for part in parts]


def _put_on_ground(placed: list[_Placed], crs: pyproj.CRS, placing: Placing) -> None:
    """From the file's coordinates to degrees and to model pixels."""
    grid = placing.layout.grid
    shapes = np.array([one.lonlat for one in placed], dtype=object)
    scene_crs = pyproj.CRS.from_wkt(grid.crs.to_wkt())
    to_degrees = Transformer.from_crs(crs, "EPSG:4326", always_xy=True)
    to_scene = Transformer.from_crs(crs, scene_crs, always_xy=True)
    inverse = ~grid.transform

    def degrees(xy: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.column_stack(to_degrees.transform(xy[:, 0], xy[:, 1]))

    def pixels(xy: NDArray[np.float64]) -> NDArray[np.float64]:
        x, y = to_scene.transform(xy[:, 0], xy[:, 1])
        return np.column_stack(
            [inverse.a * x + inverse.b * y + inverse.c, inverse.d * x + inverse.e * y + inverse.f]
        )

    on_ground, on_image = shapely.transform(shapes, degrees), shapely.transform(shapes, pixels)
    for one, lonlat, seen in zip(placed, on_ground, on_image, strict=True):
        one.lonlat, one.pixels = lonlat, seen
        if not np.isfinite([*lonlat.bounds, *seen.bounds]).all():
            one.reason = "outside_image"  # where the scene's own map has no place for it


def _choose_tiles(placed: list[_Placed], placing: Placing) -> None:
    """The tile in which each lies most centrally, or why none can judge it."""
    layout, grid = placing.layout, placing.layout.grid
    bounds = shapely.bounds(np.array([one.pixels for one in placed], dtype=object)).reshape(-1, 4)
    size = np.array([grid.width, grid.height])
    seen = np.clip(bounds, 0, np.tile(size, 2))
    whole, visible = bounds[:, 2:] - bounds[:, :2], seen[:, 2:] - seen[:, :2]
    share = visible.prod(axis=1) / np.maximum(whole.prod(axis=1), 1e-9)
    centres = (seen[:, :2] + seen[:, 2:]) / 2
    tiles = central_tiles(layout, centres)
    too_large = visible.max(axis=1) > LARGEST_TILES * layout.tile_px
    for number, one in enumerate(placed):
        if share[number] < LEAST_SEEN:
            one.reason = "outside_image"
        elif not _is_in(placing.area, one.lonlat):
            one.reason = "outside_area"
        elif too_large[number]:
            one.reason = "too_large"
        elif not placing.has_pixels[tiles[number]]:
            one.reason = "nodata"
        else:
            one.tile = int(tiles[number])


def _is_in(area: BaseGeometry | None, lonlat: BaseGeometry | None) -> bool:
    if area is None or lonlat is None:
        return area is None
    return bool(area.intersects(lonlat.representative_point()))


def central_tiles(layout: TileLayout, centres: NDArray[np.float64]) -> NDArray[np.intp]:
    """For each place, the tile in which it lies most centrally.

    Args:
        layout: the tiles.
        centres: shape (N, 2): column and row in model pixels of the scene.

    Returns:
        Shape (N,): numbers of tiles.
    """
    size, grid = layout.tile(0), layout.grid
    columns = _most_central(centres[:, 0], layout.lefts, size.width, grid.width)
    rows = _most_central(centres[:, 1], layout.tops, size.height, grid.height)
    tiles: NDArray[np.intp] = rows * len(layout.lefts) + columns
    return tiles


def _most_central(
    centres: NDArray[np.float64], starts: tuple[int, ...], tile_px: int, length_px: int
) -> NDArray[np.intp]:
    """Along one axis, the tile whose cut edges are farthest from each centre."""
    begin = np.array(starts, np.float64)
    end = begin + tile_px
    begin[begin <= 0] = -np.inf  # the scene ends there: nothing is cut off
    end[end >= length_px] = np.inf
    inset = np.minimum(centres[:, None] - begin, end - centres[:, None])
    chosen: NDArray[np.intp] = inset.argmax(axis=1)
    return chosen


def _write_chunk(
    database: sqlite3.Connection, placed: list[_Placed], placing: Placing, counts: Counter[str]
) -> None:
    for one in placed:
        counts.update(["given", *([one.reason] if one.reason else [])])
        counts["repaired"] += one.repaired and one.reason is None
    database.executemany(
        "INSERT INTO outline VALUES (?, ?, ?, ?, ?, ?, ?)", map(_outline_row, placed)
    )
    judged = [one for one in placed if one.tile is not None]
    database.executemany(
        "INSERT INTO meets VALUES (?, ?)",
        ((tile, one.drawn.number) for one in judged for tile in _tiles_met(one, placing.layout)),
    )


def _outline_row(one: _Placed) -> tuple[Any, ...]:
    drawn = one.drawn
    row = (drawn.number, drawn.outline_id, one.reason, one.tile)
    if one.tile is None or one.lonlat is None or one.pixels is None:
        return (*row, None, None, None)
    attributes = json.dumps(drawn.attributes, ensure_ascii=False, allow_nan=False)
    return (*row, attributes, one.lonlat.wkb, one.pixels.wkb)


def _tiles_met(one: _Placed, layout: TileLayout) -> Iterator[int]:
    """Numbers of all tiles that an outline's bounds meet."""
    assert one.pixels is not None  # noqa: S101 - for the type checker
    left, top, right, bottom = one.pixels.bounds
    size = layout.tile(0)
    for row, start in enumerate(layout.tops):
        if start < bottom and top < start + size.height:
            for column, begin in enumerate(layout.lefts):
                if begin < right and left < begin + size.width:
                    yield row * len(layout.lefts) + column


# --- reading it again


@contextmanager
def open_book(book: Path, contents: Contents) -> Iterator["Book"]:
    """Open a book to read, from any number of processes at once.

    Raises:
        UnreadableOutlines: it is not there, damaged, or not that of these contents.
    """
    try:
        with closing(
            sqlite3.connect(f"file:{book}?mode=ro&immutable=1", uri=True, check_same_thread=False)
        ) as database:
            (sha256, _, _) = database.execute("SELECT * FROM about").fetchone()
            if sha256 != contents.sha256:
                raise UnreadableOutlines("the outlines are not those that were planned")
            yield Book(database)
    except sqlite3.Error as error:
        raise UnreadableOutlines(f"{book.name}: {error}") from error


class Book:
    """An open book; ``open_book`` makes it."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def tiles(self) -> list[int]:
        """Numbers of the tiles that judge an outline, ascending."""
        rows = self._database.execute(
            "SELECT DISTINCT tile FROM outline WHERE tile IS NOT NULL ORDER BY tile"
        )
        return [tile for (tile,) in rows]

    def of_tile(self, tile: int) -> list[tuple[int, int | None, Polygon | MultiPolygon]]:
        """Every outline that meets a tile: its number, the tile that judges it, its pixels."""
        rows = self._database.execute(
            "SELECT outline.number, outline.tile, pixels FROM meets JOIN outline USING (number) "
            "WHERE meets.tile = ? ORDER BY outline.number",
            (tile,),
        ).fetchall()
        shapes = shapely.from_wkb([pixels for _, _, pixels in rows])
        return [(n, t, one) for (n, t, _), one in zip(rows, shapes, strict=True)]

    def known(self, number: int) -> Known:
        """Everything of one outline that can be judged."""
        row = self._database.execute(
            "SELECT outline_id, attributes, lonlat, pixels, tile FROM outline WHERE number = ?",
            (number,),
        ).fetchone()
        outline_id, attributes, lonlat, pixels, tile = row
        return Known(
            number,
            outline_id,
            json.loads(attributes),
            shapely.from_wkb(lonlat),
            shapely.from_wkb(pixels),
            tile,
        )

    def not_judged(self) -> Iterator[tuple[int, str, Reason]]:
        """Number, id and reason of the outlines that no tile was to judge, in order."""
        rows = self._database.execute(
            "SELECT number, outline_id, reason FROM outline WHERE reason IS NOT NULL "
            "ORDER BY number"
        )
        yield from rows

    def outline_id(self, number: int) -> str:
        """The id of an outline."""
        row = self._database.execute(
            "SELECT outline_id FROM outline WHERE number = ?", (number,)
        ).fetchone()
        return str(row[0])
