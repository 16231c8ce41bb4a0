"""The topology guard: what may not be drawn beside what stands already. All is in degrees."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import shapely
from django.contrib.gis.geos import GEOSGeometry
from shapely import STRtree
from shapely.geometry import Polygon
from shapely.geometry.base import BaseGeometry

from unosat.assessments.models import Assessment
from unosat.review import outlines
from unosat.review.errors import MergeMismatch, OutlineOverlaps, SplitMismatch, TooFarToMerge
from unosat.review.models import Building
from unosat.scenes.models import WGS84

MOST_OVERLAP = 0.1  # of the smaller one: two pixels of half a metre at a house of ten metres
WORSE = 1.05  # an overlap that was there before may stay; more than this many times it, no
MOST_GAP_M = 3.0  # between parts of one building: what a shadow or a beam hides, but no alley
MOST_MISFIT = 0.05  # of the area: rounding to a centimetre, and corners that were moved a little


@dataclass(frozen=True, slots=True)
class Drawn:
    """One outline, and what stood in its place.

    Attributes:
        outline: as drawn.
        before: what it replaces; None where nothing stood.
    """

    outline: Polygon
    before: BaseGeometry | None = None


@dataclass(frozen=True, slots=True)
class Clash:
    """Two outlines that lie over one another.

    Attributes:
        mine: place among what is drawn.
        theirs: place among the neighbours.
        share: of the smaller one that is common, in (0, 1].
        common: area, in square degrees.
    """

    mine: int
    theirs: int
    share: float
    common: float


def check_overlap(row: Assessment, drawn: Sequence[Drawn], own: Collection[int]) -> None:
    """Refuse outlines that lie over other standing buildings, unless they did so before.

    Args:
        row: whose buildings.
        drawn: the new outlines.
        own: primary keys of the buildings that they replace.

    Raises:
        OutlineOverlaps: one does.
    """
    reach = shapely.box(*shapely.total_bounds([one.outline for one in drawn]))
    near = (
        Building.objects.filter(
            assessment=row,
            outline__bboverlaps=GEOSGeometry(memoryview(reach.wkb), srid=WGS84),
        )
        .exclude(review__in=Building.HIDDEN)
        .exclude(pk__in=own)
        .values_list("outline", flat=True)
    )
    found = overlaps(drawn, [shape_of(outline) for outline in near])
    if found:
        raise OutlineOverlaps(max(clash.share for clash in found), len(found))


def overlaps(drawn: Sequence[Drawn], neighbours: Sequence[Polygon]) -> list[Clash]:
    """Each pair that overlaps too much, and more than what stood in its place."""
    if not neighbours:
        return []
    after = np.array([_valid(one.outline) for one in drawn])
    before = np.array([_valid(one.before or Polygon()) for one in drawn])
    around = np.array([_valid(neighbour) for neighbour in neighbours])
    mine, theirs = STRtree(around).query(after, predicate="intersects")
    common = shapely.area(shapely.intersection(after[mine], around[theirs]))
    common_before = shapely.area(shapely.intersection(before[mine], around[theirs]))
    share = common / np.minimum(shapely.area(after[mine]), shapely.area(around[theirs]))
    bad = np.flatnonzero((share > MOST_OVERLAP) & (common > WORSE * common_before))
    return [Clash(int(mine[i]), int(theirs[i]), float(share[i]), float(common[i])) for i in bad]


def common(one: Polygon, other: Polygon) -> float:
    """The area that two outlines share, in square degrees."""
    return float(_valid(one).intersection(_valid(other)).area)


def check_split(whole: Polygon, pieces: Sequence[Polygon]) -> None:
    """Refuse pieces that leave something of a building out, add to it or lie over one another.

    Raises:
        SplitMismatch: they do.
    """
    together = shapely.union_all([_valid(piece) for piece in pieces])
    doubled = sum(piece.area for piece in pieces) - together.area
    misfit = shapely.symmetric_difference(together, _valid(whole)).area
    if max(doubled, misfit) > MOST_MISFIT * whole.area:
        raise SplitMismatch(f"{doubled / whole.area:.3f} doubled, {misfit / whole.area:.3f} misfit")


def check_merge(whole: Polygon, parts: Sequence[Polygon]) -> None:
    """Refuse to merge what lies far apart, or an outline that is not that of all parts together.

    Raises:
        TooFarToMerge: a part lies more than ``MOST_GAP_M`` from all others.
        MergeMismatch: it leaves some of a part out, or goes beyond what lies between them.
    """
    if (gap := _widest_gap_m(parts)) > MOST_GAP_M:
        raise TooFarToMerge(gap, MOST_GAP_M)
    together = shapely.union_all([_valid(part) for part in parts])
    left_out = together.difference(_valid(whole)).area
    beyond = _valid(whole).difference(together.convex_hull).area
    if max(left_out, beyond) > MOST_MISFIT * together.area:
        raise MergeMismatch(f"{left_out / together.area:.3f} left out")


def shape_of(outline: Any) -> Polygon:  # noqa: ANN401 (GEOSGeometry has no types)
    """An outline of the database as shapely's."""
    return cast("Polygon", shapely.from_wkb(bytes(outline.wkb)))


def _widest_gap_m(parts: Sequence[Polygon]) -> float:
    """The widest gap that must be bridged so that all hang together, in metres."""
    scale = np.array(outlines.metres_per_degree(parts[0].centroid.y))
    flat = [shapely.transform(part, lambda xy: xy * scale) for part in parts]
    together, rest, widest = [flat[0]], flat[1:], 0.0
    while rest:
        gaps = [min(part.distance(one) for one in together) for part in rest]
        nearest = int(np.argmin(gaps))
        widest = max(widest, gaps[nearest])
        together.append(rest.pop(nearest))
    return widest


def _valid(shape: BaseGeometry) -> BaseGeometry:
    return shape if shape.is_valid else shapely.make_valid(shape)
