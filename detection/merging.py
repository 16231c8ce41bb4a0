"""Each building once: what neighbouring tiles both saw is matched, chosen or joined.

Detections of different tiles are compared only inside the ground that both tiles saw, so nothing
is suppressed over the whole scene, and rows of tiles can be taken one after another. What is asked
of every detection or pair is asked for the whole row at once: a call of shapely costs more than
its answer.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from shapely.geometry import Polygon, box

from detection.footprints import TILE_EDGE_PX, Candidate, Side, polygons_of, rounded, tidy
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
_Place = tuple[float, ...]  # top, left, bottom, right, then every corner: a total order of outlines
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
    """A candidate with its geometry, in model pixels of the scene."""

    candidate: Candidate
    polygon: Polygon
    place: _Place
    tile: GeoTile


@dataclass(frozen=True, slots=True, eq=False)
class _Columns:
    """What is compared of N detections.

    Attributes:
        polygons: shape (N,).
        bounds: shape (N, 4): left, top, right, bottom.
        areas: shape (N,), in square pixels.
        tiles: shape (N,): numbers.
        edges: shape (N, 4): of the tiles, as ``bounds``.
        sides: shape (N,): as ``Candidate.sides``.
    """

    polygons: NDArray[np.object_]
    bounds: NDArray[np.float64]
    areas: NDArray[np.float64]
    tiles: NDArray[np.intp]
    edges: NDArray[np.intp]
    sides: NDArray[np.intp]


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
        place: of its outline.
        is_joined: whether it is made of pieces.
        goes_on: it was cut at a tile's edge, and nothing was found to join it to.
        inset: distance from the nearest edge of its tile, in pixels.
    """

    merged: Merged
    place: _Place
    is_joined: bool
    goes_on: bool
    inset: float


_Settled = list[tuple[_Place, Merged]]


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
        settled, seams = _split(layout, _see(layout, candidates))
        fresh = len(pending)
        pending += seams
        links += _links(pending, fresh)
        limit = layout.tops[row + 1] if row + 1 < len(layout.tops) else np.inf
        done, pending, links = _settle(pending, links, limit)
        yield [merged for _, merged in sorted(settled + done, key=itemgetter(0))]


def _see(layout: TileLayout, candidates: list[Candidate]) -> list[_Seen]:
    """The candidates of a row with their geometry, in an order that is theirs alone."""
    polygons = polygons_of(candidates)
    tiles = {index: layout.tile(index) for index in {one.tile for one in candidates}}
    seen = [
        _Seen(candidate, polygon, place, tiles[candidate.tile])
        for candidate, polygon, place in zip(candidates, polygons, _places(polygons), strict=True)
    ]
    return sorted(seen, key=lambda one: (one.candidate.tile, one.place, -one.candidate.score))


def _places(outlines: NDArray[np.object_]) -> Iterator[_Place]:
    corners = shapely.get_coordinates(outlines).ravel().tolist()
    ends = (2 * np.cumsum(shapely.get_num_coordinates(outlines))).tolist()
    start = 0
    for (left, top, right, bottom), end in zip(
        shapely.bounds(outlines).reshape(-1, 4).tolist(), ends, strict=True
    ):
        yield (top, left, bottom, right, *corners[start:end])
        start = end


def _split(layout: TileLayout, seen: list[_Seen]) -> tuple[_Settled, list[_Seen]]:
    """Those that no other tile can have seen, settled; and the others."""
    alone: _Settled = []
    seams = []
    for one, twice in zip(seen, _are_seen_twice(layout, seen), strict=True):
        if twice:
            seams.append(one)
        else:
            alone.append((one.place, _single(one)))
    return alone, seams


def _are_seen_twice(layout: TileLayout, seen: list[_Seen]) -> list[bool]:
    if not seen:
        return []
    top, left, bottom, right = np.array([one.place[:4] for one in seen]).T
    tile = seen[0].tile  # they are all one size
    columns = _reaching_into(layout.lefts, tile.width, left, right)
    rows = _reaching_into(layout.tops, tile.height, top, bottom)
    twice: list[bool] = (columns * rows > 1).tolist()
    return twice


def _reaching_into(
    starts: Sequence[int], length: int, near: NDArray[np.float64], far: NDArray[np.float64]
) -> NDArray[np.intp]:
    """How many of the tiles along one axis reach in between ``near`` and ``far``."""
    begin = np.array(starts)
    return np.searchsorted(begin, far) - np.searchsorted(begin + length, near, side="right")


def _links(pending: list[_Seen], fresh: int) -> list[_Link]:
    """Compare those from ``fresh`` on with all of another tile that they touch."""
    if len(pending) == fresh:
        return []
    seen = _columns(pending)
    first, second = _pairs(seen, fresh)
    are_views, are_pieces = _compare(seen, first, second)
    linked = are_views | are_pieces
    found = (first[linked].tolist(), second[linked].tolist(), are_pieces[linked].tolist())
    return [_Link(*link) for link in zip(*found, strict=True)]


def _columns(pending: list[_Seen]) -> _Columns:
    polygons = np.array([one.polygon for one in pending], dtype=object)
    tiles = [one.tile for one in pending]
    return _Columns(
        polygons,
        shapely.bounds(polygons),
        shapely.area(polygons),
        np.array([one.candidate.tile for one in pending]),
        np.array(
            [(t.col_off, t.row_off, t.col_off + t.width, t.row_off + t.height) for t in tiles]
        ),
        np.array([int(one.candidate.sides) for one in pending]),
    )


def _pairs(seen: _Columns, fresh: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Detections of different tiles whose bounds overlap, at least one of them new; each once."""
    new, other = shapely.STRtree(seen.polygons).query(seen.polygons[fresh:])
    new = new + fresh
    # A pair of two new ones is found from either of them.
    kept = (seen.tiles[new] != seen.tiles[other]) & ((other < fresh) | (new < other))
    first, second = np.minimum(new, other)[kept], np.maximum(new, other)[kept]
    overlap = _overlap(seen.bounds[first], seen.bounds[second]) > 0
    return first[overlap], second[overlap]


def _compare(
    seen: _Columns, first: NDArray[np.intp], second: NDArray[np.intp]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which pairs are two views of one building, and which are two pieces of it."""
    one, other = _parts(seen, first, second), _parts(seen, second, first)
    areas = shapely.area(one), shapely.area(other)
    smaller, larger = np.minimum(*areas), np.maximum(*areas)
    may_agree, may_be_views = smaller >= SAME_IOU * larger, _may_be_views(seen, first, second)
    near = _overlap(shapely.bounds(one), shapely.bounds(other)) >= (
        min(SAME_IOU, SAME_CONTAINED) * smaller
    )
    # Most neighbours that touch end here, without a costly intersection.
    likely = np.flatnonzero((smaller > 0) & (may_agree | may_be_views) & near)
    both = np.zeros(len(first))
    both[likely] = shapely.area(shapely.intersection(one[likely], other[likely]))
    agree = (both > 0) & (both >= SAME_IOU * (larger + smaller - both))
    contained = (both > 0) & may_be_views & (both >= SAME_CONTAINED * smaller)
    pieces = agree & _may_be_pieces(seen, first, second)
    return (agree | contained) & ~pieces, pieces


def _parts(seen: _Columns, ones: NDArray[np.intp], others: NDArray[np.intp]) -> NDArray[np.object_]:
    """The part of each of some detections that the other's tile saw as well."""
    parts, bounds, edges = seen.polygons[ones], seen.bounds[ones], seen.edges[others]
    cut = (bounds[:, :2] < edges[:, :2]).any(axis=1) | (bounds[:, 2:] > edges[:, 2:]).any(axis=1)
    parts[cut] = shapely.intersection(parts[cut], shapely.box(*edges[cut].T))
    return parts


def _overlap(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Area that bounds of shape (N, 4) share; not a number where one is empty."""
    near, far = np.maximum(a[:, :2], b[:, :2]), np.minimum(a[:, 2:], b[:, 2:])
    shared: NDArray[np.float64] = np.maximum(far - near, 0).prod(axis=1)
    return shared


def _may_be_pieces(
    seen: _Columns, first: NDArray[np.intp], second: NDArray[np.intp]
) -> NDArray[np.bool_]:
    """Whether both are cut where the other's tile goes on: one building, larger than the overlap.

    A building cut on one side only is whole, along that axis, in the tile on the other side.
    """
    right, down = (seen.edges[second] - seen.edges[first])[:, :2].T
    sides = seen.sides[first], seen.sides[second]
    return _cross(*sides, right, Side.LEFT, Side.RIGHT) | _cross(
        *sides, down, Side.TOP, Side.BOTTOM
    )


def _cross(
    one: NDArray[np.intp], other: NDArray[np.intp], step: NDArray[np.intp], near: Side, far: Side
) -> NDArray[np.bool_]:
    """Sides of two detections; ``step`` is how far the other's tile lies on."""
    before, after = np.where(step > 0, (one, other), (other, one))
    crossed: NDArray[np.bool_] = (step != 0) & (before & far != 0) & (after & near != 0)
    return crossed


def _may_be_views(
    seen: _Columns, first: NDArray[np.intp], second: NDArray[np.intp]
) -> NDArray[np.bool_]:
    """Whether the smaller of two may be a part of the larger that its tile saw badly."""
    one, other = seen.areas[first], seen.areas[second]
    cut = np.where(one <= other, seen.sides[first], seen.sides[second]) != Side.NONE
    may_be: NDArray[np.bool_] = cut | (
        np.minimum(one, other) / np.maximum(one, other) >= SMALLEST_SHARE
    )
    return may_be


def _settle(
    pending: list[_Seen], links: list[_Link], limit: float
) -> tuple[_Settled, list[_Seen], list[_Link]]:
    """Decide every knot of linked detections that ends above row ``limit``; keep the others."""
    knots = _knots(len(pending), [(link.first, link.second) for link in links])
    open_knots = {knot for knot, one in zip(knots, pending, strict=True) if _bottom(one) > limit}
    by_knot: dict[int, list[_Link]] = {}
    for link in links:
        by_knot.setdefault(knots[link.first], []).append(link)
    members: dict[int, list[int]] = {}
    for number, knot in enumerate(knots):
        members.setdefault(knot, []).append(number)
    done = [
        settled
        for knot, numbers in members.items()
        if knot not in open_knots
        for settled in _decide(pending, numbers, by_knot.get(knot, []))
    ]
    kept = [number for number, knot in enumerate(knots) if knot in open_knots]
    renumbered = {number: place for place, number in enumerate(kept)}
    still = [
        _Link(renumbered[link.first], renumbered[link.second], link.joined)
        for link in links
        if link.first in renumbered
    ]
    return done, [pending[number] for number in kept], still


def _bottom(one: _Seen) -> float:
    return one.place[2]


def _knots(count: int, pairs: list[tuple[int, int]]) -> list[int]:
    """Number the connected sets of ``count`` detections."""
    if not pairs:
        return list(range(count))
    first, second = zip(*pairs, strict=True)
    graph = coo_array((np.ones(len(pairs), np.int8), (first, second)), (count, count))
    labels: list[int] = connected_components(graph, directed=False)[1].tolist()
    return labels


def _decide(pending: list[_Seen], numbers: list[int], links: list[_Link]) -> _Settled:
    """Join pieces; then, best view first, drop every view that a kept one already stands for."""
    if not links:
        return [(pending[number].place, _single(pending[number])) for number in numbers]
    labels = _labels(numbers, links)
    members: dict[int, list[_Seen]] = {}
    for number in numbers:
        members.setdefault(labels[number], []).append(pending[number])
    groups = [_group(members[label]) for label in range(len(members))]
    rivals: list[set[int]] = [set() for _ in groups]
    for link in links:
        first, second = labels[link.first], labels[link.second]
        rivals[first].add(second)
        rivals[second].add(first)
    ranks = [
        _rank(group, [groups[other] for other in rivals[label] - {label}])
        for label, group in enumerate(groups)
    ]
    kept: set[int] = set()
    for label in sorted(range(len(groups)), key=lambda label: ranks[label]):
        if not rivals[label] & (kept - {label}):
            kept.add(label)
    return [(groups[label].place, groups[label].merged) for label in sorted(kept)]


def _labels(numbers: list[int], links: list[_Link]) -> dict[int, int]:
    """Which group each detection belongs to: the pieces of one building share theirs."""
    place = {number: position for position, number in enumerate(numbers)}
    joined = [(place[link.first], place[link.second]) for link in links if link.joined]
    return dict(zip(numbers, _knots(len(numbers), joined), strict=True))


def _rank(group: _Group, rivals: list[_Group]) -> tuple[float | _Place, ...]:
    """The total order, best first: complete, whole or joined, far from the edge, score, place."""
    standing = 2 * group.goes_on + _is_needless(group, rivals) + (not group.is_joined) / 2
    return (standing, -group.inset, -group.merged.score, group.place)


def _is_needless(group: _Group, rivals: list[_Group]) -> bool:
    """Whether pieces were joined to what another tile saw whole."""
    if not group.is_joined:
        return False
    wholes = [one.merged.outline.area for one in rivals if not (one.goes_on or one.is_joined)]
    return max(wholes, default=0.0) >= WHOLE_SHARE * group.merged.outline.area


def _group(views: list[_Seen]) -> _Group:
    if len(views) == 1:
        (one,) = views
        goes_on = one.candidate.sides != Side.NONE
        return _Group(_single(one), one.place, is_joined=False, goes_on=goes_on, inset=_inset(one))
    merged = _joined(views)
    (place,) = _places(np.array([merged.outline], dtype=object))
    goes_on = any(_goes_on(one, views) for one in views)
    return _Group(merged, place, is_joined=True, goes_on=goes_on, inset=0.0)


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
    top, left, bottom, right = one.place[:4]
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
    top, left, bottom, right = one.place[:4]
    tile, grid = one.tile, one.tile.grid
    far = float(tile.width + tile.height)
    return min(
        left - tile.col_off if tile.col_off > 0 else far,
        top - tile.row_off if tile.row_off > 0 else far,
        tile.col_off + tile.width - right if tile.col_off + tile.width < grid.width else far,
        tile.row_off + tile.height - bottom if tile.row_off + tile.height < grid.height else far,
    )
