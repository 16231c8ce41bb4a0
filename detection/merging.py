"""Each building once: what neighbouring tiles both saw is matched, chosen or joined.

Detections of different tiles are compared only inside the ground that both tiles saw, so nothing
is suppressed over the whole scene, and rows of tiles can be taken one after another.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from shapely.geometry import Polygon, box
from shapely.geometry.base import BaseGeometry

from detection.footprints import TILE_EDGE_PX, Candidate, Side, rounded, tidy
from detection.georef import GeoTile
from detection.grades import Hidden
from detection.tiling import TileLayout

SAME_IOU = 0.5  # of what two tiles say about the ground they share
SAME_CONTAINED = 0.5  # of the smaller one: a sliver of a large building has a tiny IoU
# A whole small building inside a much larger outline is a building of its own (a shed in a yard),
# not another view of the larger one; a cut one is.
SMALLEST_SHARE = 0.15
# A whole view that is about as large as joined pieces is better than they are; a smaller one is a
# part of what was too large to be seen at once.
WHOLE_SHARE = 0.9
_Parts = dict[tuple[int, int], BaseGeometry]  # by number of the detection, and other tile
_CUTS = (Side.LEFT, Side.TOP, Side.RIGHT, Side.BOTTOM)


@dataclass(frozen=True, slots=True)
class Merged:
    """One building of the whole scene.

    Attributes:
        outline: in model pixels of the scene.
        score: that it is a building.
        probabilities: one per grade.
        clipped: the building may go on beyond the outline.
        hidden: by what, if too little of it is seen to tell its grade.
    """

    outline: Polygon
    score: float
    probabilities: tuple[float, ...]
    clipped: bool
    hidden: Hidden | None = None


@dataclass(frozen=True, slots=True, eq=False)
class _Seen:
    """A candidate with its geometry; ``number`` orders those not yet settled."""

    candidate: Candidate
    polygon: Polygon
    tile: GeoTile


@dataclass(frozen=True, slots=True)
class _Link:
    """Two detections of one building: two views (``joined`` False) or two pieces of it."""

    first: int
    second: int
    joined: bool


@dataclass(frozen=True, slots=True, eq=False)
class _Group:
    """One view of a building: a detection, or the joined pieces of one.

    Attributes:
        merged: what it says of the building.
        is_joined: whether it is made of pieces.
        goes_on: it was cut at a tile's edge, and nothing was found to join it to.
        inset: distance from the nearest edge of its tile, in pixels.
    """

    merged: Merged
    is_joined: bool
    goes_on: bool
    inset: float


def merge_rows(layout: TileLayout, rows: Iterable[list[Candidate]]) -> Iterator[list[Merged]]:
    """Settle the scene's buildings, one row of tiles after another.

    Args:
        layout: the tiles.
        rows: the candidates of every row of tiles, from the top; their order within a row does
            not matter.

    Yields:
        For each row, what can no longer change, sorted by place. Memory holds what reaches into
        rows to come, not the scene.
    """
    pending: list[_Seen] = []
    links: list[_Link] = []
    for row, candidates in enumerate(rows):
        seen = sorted((_see(layout, candidate) for candidate in candidates), key=_order)
        settled, seams = _split(layout, seen)
        fresh = len(pending)
        pending += seams
        links += _links(pending, fresh)
        limit = layout.tops[row + 1] if row + 1 < len(layout.tops) else np.inf
        done, pending, links = _settle(pending, links, limit)
        settled += done
        yield sorted(settled, key=lambda merged: _place(merged.outline))


def _see(layout: TileLayout, candidate: Candidate) -> _Seen:
    return _Seen(candidate, candidate.polygon, layout.tile(candidate.tile))


def _order(seen: _Seen) -> tuple[object, ...]:
    return (seen.candidate.tile, _place(seen.polygon), -seen.candidate.score)


def _place(outline: Polygon) -> tuple[float, ...]:
    left, top, right, bottom = outline.bounds
    return (top, left, bottom, right, *np.asarray(outline.exterior.coords).ravel())


def _split(layout: TileLayout, seen: list[_Seen]) -> tuple[list[Merged], list[_Seen]]:
    """Those that no other tile can have seen, settled; and the others."""
    alone, seams = [], []
    for one in seen:
        if _is_seen_twice(layout, one):
            seams.append(one)
        else:
            alone.append(_single(one))
    return alone, seams


def _is_seen_twice(layout: TileLayout, one: _Seen) -> bool:
    left, top, right, bottom = one.polygon.bounds
    size = one.tile
    columns = sum(start < right and left < start + size.width for start in layout.lefts)
    rows = sum(start < bottom and top < start + size.height for start in layout.tops)
    return columns * rows > 1


def _links(pending: list[_Seen], fresh: int) -> list[_Link]:
    """Compare those from ``fresh`` on with all of another tile that they touch."""
    polygons = np.array([one.polygon for one in pending], dtype=object)
    if len(polygons) == fresh:
        return []
    new, other = shapely.STRtree(polygons).query(polygons[fresh:], predicate="intersects")
    pairs = {
        (min(a, b), max(a, b))
        for a, b in zip((new + fresh).tolist(), other.tolist(), strict=True)
        if pending[a].candidate.tile != pending[b].candidate.tile
    }
    parts: _Parts = {}
    compared = (_compare(pending, first, second, parts) for first, second in sorted(pairs))
    return [link for link in compared if link is not None]


def _compare(pending: list[_Seen], first: int, second: int, parts: _Parts) -> _Link | None:
    a, b = pending[first], pending[second]
    part_a, part_b = _part(a, first, b, parts), _part(b, second, a, parts)
    smaller, larger = sorted((part_a.area, part_b.area))
    may_agree, may_be_a_view = smaller >= SAME_IOU * larger, _is_a_view(a, b)
    if smaller <= 0 or not (may_agree or may_be_a_view):
        return None
    if _bounds_overlap(part_a, part_b) < min(SAME_IOU, SAME_CONTAINED) * smaller:
        return None  # most neighbours that touch end here
    both = part_a.intersection(part_b).area
    agree = both / (larger + smaller - both) >= SAME_IOU
    if agree and _are_pieces(a, b):
        return _Link(first, second, joined=True)
    if agree or (may_be_a_view and both / smaller >= SAME_CONTAINED):
        return _Link(first, second, joined=False)
    return None


def _part(one: _Seen, number: int, other: _Seen, parts: _Parts) -> BaseGeometry:
    """The part of a detection that the other's tile saw as well; worked out once per tile."""
    key = (number, other.candidate.tile)
    if key not in parts:
        parts[key] = _inside(one.polygon, other.tile)
    return parts[key]


def _inside(polygon: Polygon, tile: GeoTile) -> BaseGeometry:
    """The part of a polygon that lies on a tile."""
    left, top, right, bottom = polygon.bounds
    edges = _edges(tile)
    if (
        edges[Side.LEFT] <= left
        and edges[Side.TOP] <= top
        and right <= edges[Side.RIGHT]
        and bottom <= edges[Side.BOTTOM]
    ):
        return polygon
    seen = box(edges[Side.LEFT], edges[Side.TOP], edges[Side.RIGHT], edges[Side.BOTTOM])
    return polygon.intersection(seen)


def _bounds_overlap(a: BaseGeometry, b: BaseGeometry) -> float:
    if a.is_empty or b.is_empty:
        return 0.0
    left, top, right, bottom = zip(a.bounds, b.bounds, strict=True)
    return float(max(0, min(right) - max(left)) * max(0, min(bottom) - max(top)))


def _are_pieces(a: _Seen, b: _Seen) -> bool:
    """Whether both are cut where the other's tile goes on: one building, larger than the overlap.

    A building cut on one side only is whole, along that axis, in the tile on the other side.
    """
    return _cross(a, b, Side.LEFT, Side.RIGHT, b.tile.col_off - a.tile.col_off) or _cross(
        a, b, Side.TOP, Side.BOTTOM, b.tile.row_off - a.tile.row_off
    )


def _cross(a: _Seen, b: _Seen, near: Side, far: Side, step: int) -> bool:
    first, second = (a, b) if step > 0 else (b, a)
    return step != 0 and far in first.candidate.sides and near in second.candidate.sides


def _is_a_view(a: _Seen, b: _Seen) -> bool:
    """Whether the smaller of two may be a part of the larger that its tile saw badly."""
    smaller, larger = sorted((a, b), key=lambda one: one.polygon.area)
    share = smaller.polygon.area / larger.polygon.area
    return smaller.candidate.sides != Side.NONE or share >= SMALLEST_SHARE


def _settle(
    pending: list[_Seen], links: list[_Link], limit: float
) -> tuple[list[Merged], list[_Seen], list[_Link]]:
    """Decide every knot of linked detections that ends above row ``limit``; keep the others."""
    knots = _knots(len(pending), links)
    bottoms = np.array([one.polygon.bounds[3] for one in pending])
    open_knots = set(knots[bottoms > limit].tolist()) if pending else set()
    by_knot: dict[int, list[_Link]] = {}
    for link in links:
        by_knot.setdefault(int(knots[link.first]), []).append(link)
    members: dict[int, list[int]] = {}
    for number, knot in enumerate(knots.tolist()):
        members.setdefault(knot, []).append(number)
    done = [
        merged
        for knot, numbers in members.items()
        if knot not in open_knots
        for merged in _decide(pending, numbers, by_knot.get(knot, []))
    ]
    kept = [number for number, knot in enumerate(knots.tolist()) if knot in open_knots]
    renumbered = {number: place for place, number in enumerate(kept)}
    still = [
        _Link(renumbered[link.first], renumbered[link.second], link.joined)
        for link in links
        if link.first in renumbered
    ]
    return done, [pending[number] for number in kept], still


def _knots(count: int, links: Iterable[_Link]) -> NDArray[np.int32]:
    """Number the connected sets of ``count`` detections."""
    pairs = np.array([(link.first, link.second) for link in links], np.intp).reshape(-1, 2)
    if not len(pairs):
        return np.arange(count, dtype=np.int32)
    graph = coo_array((np.ones(len(pairs), np.int8), (pairs[:, 0], pairs[:, 1])), (count, count))
    labels: NDArray[np.int32] = connected_components(graph, directed=False)[1]
    return labels


def _decide(pending: list[_Seen], numbers: list[int], links: list[_Link]) -> list[Merged]:
    """Join pieces; then, best view first, drop every view that a kept one already stands for."""
    if not links:
        return [_single(pending[number]) for number in numbers]
    place = {number: position for position, number in enumerate(numbers)}
    local = [_Link(place[link.first], place[link.second], link.joined) for link in links]
    labels = _knots(len(numbers), (link for link in local if link.joined))
    groups = [
        _group(pending, [numbers[position] for position in np.flatnonzero(labels == label)])
        for label in range(int(labels.max()) + 1)
    ]
    rivals: dict[int, set[int]] = {}
    for link in local:
        first, second = int(labels[link.first]), int(labels[link.second])
        rivals.setdefault(first, set()).add(second)
        rivals.setdefault(second, set()).add(first)
    ranks = [_rank(group, label, groups, rivals) for label, group in enumerate(groups)]
    kept: set[int] = set()
    for label in sorted(range(len(groups)), key=lambda label: ranks[label]):
        if not rivals.get(label, set()) & (kept - {label}):
            kept.add(label)
    return [groups[label].merged for label in sorted(kept)]


def _rank(
    group: _Group, label: int, groups: list[_Group], rivals: dict[int, set[int]]
) -> tuple[float, ...]:
    """The total order, best first: complete, whole or joined, far from the edge, score, place."""
    others = [groups[other] for other in rivals.get(label, set()) - {label}]
    wholes = [one.merged.outline.area for one in others if not (one.goes_on or one.is_joined)]
    needless = group.is_joined and max(wholes, default=0.0) >= WHOLE_SHARE * (
        group.merged.outline.area
    )
    standing = 2 * group.goes_on + needless + (not group.is_joined) / 2
    merged = group.merged
    return (standing, -group.inset, -merged.score, *_place(merged.outline))


def _group(pending: list[_Seen], numbers: list[int]) -> _Group:
    views = [pending[number] for number in numbers]
    if len(views) == 1:
        (one,) = views
        return _Group(
            _single(one), is_joined=False, goes_on=bool(one.candidate.sides), inset=_inset(one)
        )
    merged = _joined(views)
    goes_on = any(_goes_on(one, views) for one in views)
    return _Group(merged, is_joined=True, goes_on=goes_on, inset=0.0)


def _single(one: _Seen) -> Merged:
    candidate = one.candidate
    return Merged(
        one.polygon,
        candidate.score,
        candidate.probabilities,
        candidate.at_border or candidate.sides != Side.NONE,
        candidate.hidden,
    )


def _joined(views: list[_Seen]) -> Merged:
    """The union of a building's pieces; each speaks for the grade by its area."""
    (outline,) = tidy(np.array([shapely.union_all([one.polygon for one in views])], dtype=object))
    areas = np.array([one.polygon.area for one in views])
    probabilities = np.array([one.candidate.probabilities for one in views])
    mean = (areas[:, None] * probabilities).sum(axis=0) / areas.sum()
    return Merged(
        outline,
        max(one.candidate.score for one in views),
        rounded(mean),
        any(one.candidate.at_border or _goes_on(one, views) for one in views),
        _mostly_hidden(views, areas),
    )


def _mostly_hidden(views: list[_Seen], areas: NDArray[np.float64]) -> Hidden | None:
    """What hides the larger part of a building's pieces, if anything does."""
    hidden = np.array([one.candidate.hidden is not None for one in views])
    if areas[hidden].sum() <= areas.sum() / 2:
        return None
    return views[int(np.argmax(np.where(hidden, areas, 0.0)))].candidate.hidden


def _goes_on(one: _Seen, views: list[_Seen]) -> bool:
    """Whether a piece is cut at a side of its tile where no other piece takes over from it."""
    return any(
        side in one.candidate.sides
        and not any(_takes_over(one, other, side) for other in views if other is not one)
        for side in _CUTS
    )


def _takes_over(one: _Seen, other: _Seen, side: Side) -> bool:
    """Whether the other tile goes on beyond that side, and its piece is there as well."""
    edge, tile = _edges(one.tile), _edges(other.tile)
    outward = -1 if side in {Side.LEFT, Side.TOP} else 1
    if outward * (tile[side] - edge[side]) <= TILE_EDGE_PX:
        return False
    left, top, right, bottom = one.polygon.bounds
    strip = {
        Side.LEFT: (left, top, left + TILE_EDGE_PX, bottom),
        Side.TOP: (left, top, right, top + TILE_EDGE_PX),
        Side.RIGHT: (right - TILE_EDGE_PX, top, right, bottom),
        Side.BOTTOM: (left, bottom - TILE_EDGE_PX, right, bottom),
    }[side]
    return bool(other.polygon.intersects(box(*strip)))


def _edges(tile: GeoTile) -> dict[Side, int]:
    return {
        Side.LEFT: tile.col_off,
        Side.TOP: tile.row_off,
        Side.RIGHT: tile.col_off + tile.width,
        Side.BOTTOM: tile.row_off + tile.height,
    }


def _inset(one: _Seen) -> float:
    """Distance from the nearest edge of its tile that lies inside the scene, in pixels."""
    left, top, right, bottom = one.polygon.bounds
    tile, grid = one.tile, one.tile.grid
    far = float(tile.width + tile.height)
    return min(
        left - tile.col_off if tile.col_off > 0 else far,
        top - tile.row_off if tile.row_off > 0 else far,
        tile.col_off + tile.width - right if tile.col_off + tile.width < grid.width else far,
        tile.row_off + tile.height - bottom if tile.row_off + tile.height < grid.height else far,
    )
