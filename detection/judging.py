"""Judge known outlines tile by tile: find how far they lie off, then ask the model of each.

An outline is judged once, in the tile in which it lies most centrally; where it is not whole
there, in a window of its own around it, with coarser pixels if it is larger than a tile.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import ceil, floor

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry import Polygon

from detection.before import Pixels
from detection.detector import BoxGrader, BoxGrades, TileDetections
from detection.errors import UnreadableRaster
from detection.footprints import DECIMALS, SCENE_EDGE_PX, rounded
from detection.georef import GeoTile
from detection.haze import is_veiled
from detection.outlines.book import LEAST_SEEN, Book, Reason, central_tiles
from detection.outlines.offsets import BlockShift, measure_shift
from detection.planning import ScenePlan
from detection.results import Judged
from detection.tiling import TileLayout

# A detection of which at least so much is covered by known outlines is of one of them: not new.
KNOWN_SHARE = 0.3
ROOM_OF_ITS_OWN = 1.25  # side of an outline's own window, if it is larger than a tile, in sides
TILES_IN_MEMORY = 256  # a row or two of a large scene, with the outlines in it
SLIMMEST_PX = 1.0  # a box is widened to it: nothing can be pooled from less

ReadWindow = Callable[[GeoTile, int, int], Pixels]  # part of the model's grid, columns, rows


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """One tile as it was read and looked at.

    Attributes:
        tile: where it lies.
        index: its number.
        image: shape (C, H, W), as the model takes it.
        valid: shape (H, W); False marks nodata.
        found: what the model found there by itself.
    """

    tile: GeoTile
    index: int
    image: NDArray[np.uint8]
    valid: NDArray[np.bool_]
    found: TileDetections


@dataclass(frozen=True, slots=True)
class Judgement:
    """What one tile says of known outlines.

    Attributes:
        judged: those that are its to judge and that it could.
        missed: number and reason of those that it could not.
        shift: how far outlines lie off here; None where there are none.
    """

    judged: tuple[Judged, ...] = ()
    missed: tuple[tuple[int, Reason], ...] = ()
    shift: BlockShift | None = None


@dataclass(frozen=True, slots=True)
class _Case:
    """An outline that this tile is to judge; its box is where its roof should be.

    Attributes:
        number: of the outline.
        box: left, top, right, bottom in model pixels of the scene.
        at_edge: the box is cut by the scene's edge or lies at it.
    """

    number: int
    box: tuple[float, float, float, float]
    at_edge: bool


def judge(
    plan: ScenePlan,
    grader: BoxGrader,
    book: Book,
    looks: Sequence[Look],
    read: ReadWindow,
) -> list[Judgement]:
    """Judge the outlines of a batch of tiles.

    Args:
        plan: how the scene is looked at.
        grader: the model; used on the calling thread.
        book: the outlines.
        looks: the tiles that have pixels, in the order in which they were looked at.
        read: reads and stretches any part of the model's grid.

    Raises:
        UnreadableOutlines: the book is damaged.
    """
    asked = [_Tile.of(plan, book, look) for look in looks]
    if not asked:
        return []
    images = np.stack([one.look.image for one in asked])
    graded = grader.grade(images, [one.boxes() for one in asked])
    return [one.judgement(grades, grader, read) for one, grades in zip(asked, graded, strict=True)]


def missed_outlines(book: Book, index: int, reason: Reason) -> tuple[tuple[int, Reason], ...]:
    """Every outline that was a tile's to judge, with the one reason why none could be."""
    return tuple((number, reason) for number, home, _ in book.of_tile(index) if home == index)


class KnownGround:
    """Where known buildings stand, to tell which detections are new.

    Asked of buildings that are merged already: a sliver that one tile saw of a known building would
    pass for a new one.
    """

    def __init__(self, layout: TileLayout, book: Book) -> None:
        self._layout = layout
        self._book = book
        self._shifts: dict[int, BlockShift] = {}
        self._around = lru_cache(maxsize=TILES_IN_MEMORY)(self._read)

    def learn(self, shift: BlockShift | None) -> None:
        """Take the shift of a tile; before anything that lies in the tile is asked for."""
        if shift:
            self._shifts[shift.tile] = shift

    def is_new(self, outline: Polygon) -> bool:
        """Whether known outlines cover but little of a building, in model pixels of the scene."""
        left, top, right, bottom = outline.bounds
        centre = np.array([[(left + right) / 2, (top + bottom) / 2]])
        known, tree = self._around(int(central_tiles(self._layout, centre)[0]))
        near = known[tree.query(outline, predicate="intersects")]
        if not len(near):
            return True
        covered = outline.intersection(shapely.union_all(near)).area
        return bool(covered < KNOWN_SHARE * outline.area)

    def _read(self, tile: int) -> tuple[NDArray[np.object_], shapely.STRtree]:
        drawn = np.array([shape for _, _, shape in self._book.of_tile(tile)], dtype=object)
        shift = self._shifts.get(tile)
        if shift is not None:
            move = np.array([shift.right_px, shift.down_px])
            drawn = shapely.transform(drawn, lambda xy: xy + move)
        return drawn, shapely.STRtree(drawn)


@dataclass(frozen=True, slots=True)
class _Tile:
    """A tile with its outlines sorted: judged in the tile, in a window of their own, or not."""

    look: Look
    shift: BlockShift
    inside: list[_Case]
    alone: list[_Case]
    missed: list[tuple[int, Reason]]
    met: int

    @classmethod
    def of(cls, plan: ScenePlan, book: Book, look: Look) -> "_Tile":
        """Find the shift of the outlines around a tile, and where each is to be judged."""
        met = book.of_tile(look.index)
        drawn = np.array([shape for _, _, shape in met], dtype=object)
        corner = np.array([look.tile.col_off, look.tile.row_off], np.float64)
        shift = measure_shift(
            look.found,
            shapely.transform(drawn, lambda xy: xy - corner),
            size=look.valid.shape,
            tile=look.index,
            pixel_m=plan.model_pixel_m,
        )
        move = np.array([shift.right_px, shift.down_px])
        outlines = shapely.transform(drawn, lambda xy: xy + move)
        sorted_out = cls(look, shift, [], [], [], len(met))
        for (number, home, _), outline in zip(met, outlines, strict=True):
            if home == look.index:
                sorted_out._sort(number, outline.bounds)
        return sorted_out

    def _sort(self, number: int, bounds: tuple[float, float, float, float]) -> None:
        tile = self.look.tile
        case = _case(number, bounds, tile)
        if case is None:
            self.missed.append((number, "outside_image"))
        elif _holds(tile, case):
            self.inside.append(case)
        else:
            self.alone.append(case)

    def boxes(self) -> NDArray[np.float32]:
        """Boxes to judge in the tile, in its own pixels."""
        return _boxes([case.box for case in self.inside], self.look.tile, 1.0)

    def judgement(self, grades: BoxGrades, grader: BoxGrader, read: ReadWindow) -> Judgement:
        """Put together what the model says of all of them."""
        said = [
            _said(case, grades, row, box, (self.look.image, self.look.valid))
            for row, (case, box) in enumerate(zip(self.inside, self.boxes(), strict=True))
        ]
        said += [_judge_alone(grader, case, self.look.tile, read) for case in self.alone]
        judged = [one for one in said if isinstance(one, Judged)]
        missed = [*self.missed, *(one for one in said if not isinstance(one, Judged))]
        return Judgement(
            tuple(sorted(judged, key=lambda one: one.number)),
            tuple(sorted(missed)),
            self.shift if self.met else None,
        )


def _case(number: int, bounds: tuple[float, float, float, float], tile: GeoTile) -> _Case | None:
    """An outline's box cut to the scene; None where less than half of it is left."""
    left, top, right, bottom = bounds
    width, height = tile.grid.width, tile.grid.height
    box = max(left, 0.0), max(top, 0.0), min(right, float(width)), min(bottom, float(height))
    across, down = box[2] - box[0], box[3] - box[1]
    if across <= 0 or down <= 0 or across * down < LEAST_SEEN * (right - left) * (bottom - top):
        return None
    at_edge = (
        min(left, top) < SCENE_EDGE_PX
        or right > width - SCENE_EDGE_PX
        or bottom > height - SCENE_EDGE_PX
    )
    return _Case(number, box, at_edge)


def _holds(tile: GeoTile, case: _Case) -> bool:
    left, top, right, bottom = case.box
    return (
        tile.col_off <= left
        and tile.row_off <= top
        and right <= tile.col_off + tile.width
        and bottom <= tile.row_off + tile.height
    )


def _judge_alone(
    grader: BoxGrader, case: _Case, home: GeoTile, read: ReadWindow
) -> Judged | tuple[int, Reason]:
    """Judge an outline in a window of its own, in coarser pixels if it is larger than a tile."""
    window, coarser = _window_around(case, home)
    width, height = round(window.width / coarser), round(window.height / coarser)
    try:
        image, valid = read(window, width, height)
    except UnreadableRaster:
        return case.number, "damaged"
    boxes = _boxes([case.box], window, coarser)
    (grades,) = grader.grade(image[None], [boxes])
    return _said(case, grades, 0, boxes[0], (image, valid))


def _window_around(case: _Case, home: GeoTile) -> tuple[GeoTile, float]:
    """A window of the size of a tile, or larger, and how many pixels become one in it."""
    left, top, right, bottom = case.box
    grid = home.grid
    longest = max(right - left, bottom - top)
    tile_px = max(home.width, home.height)
    coarser = max(1.0, ROOM_OF_ITS_OWN * longest / tile_px)
    width, height = (
        min(ceil(side * coarser), most)
        for side, most in ((home.width, grid.width), (home.height, grid.height))
    )
    col_off = floor(min(max((left + right - width) / 2, 0), grid.width - width))
    row_off = floor(min(max((top + bottom - height) / 2, 0), grid.height - height))
    return GeoTile(col_off, row_off, width, height, grid), coarser


def _boxes(
    boxes: Sequence[tuple[float, float, float, float]], window: GeoTile, coarser: float
) -> NDArray[np.float32]:
    """Boxes in the pixels of a window, none too slim to pool from, shape (N, 4)."""
    given = np.array(boxes, np.float64).reshape(-1, 4)
    given -= np.array([window.col_off, window.row_off] * 2)
    given /= coarser
    middle, half = (given[:, :2] + given[:, 2:]) / 2, (given[:, 2:] - given[:, :2]) / 2
    half = np.maximum(half, SLIMMEST_PX / 2)
    ends = np.column_stack([middle - half, middle + half])
    most = np.array([window.width, window.height] * 2) / coarser
    inside: NDArray[np.float32] = np.clip(ends, 0, most).astype(np.float32)
    return inside


def _said(
    case: _Case,
    grades: BoxGrades,
    row: int,
    box: NDArray[np.float32],
    pixels: Pixels,
) -> Judged | tuple[int, Reason]:
    """One answer of the model; none counts where less than half of the box has pixels."""
    image, valid = pixels
    left, top = (floor(value) for value in box[:2])
    right, bottom = (ceil(value) for value in box[2:])
    seen = float(valid[top:bottom, left:right].mean())
    if seen < LEAST_SEEN:
        return case.number, "nodata"
    return Judged(
        case.number,
        round(float(grades.scores[row]), DECIMALS),
        rounded(grades.probabilities[row]),
        case.at_edge or seen < 1,
        "cloud" if is_veiled(image, valid, box.tolist()) else None,
    )
