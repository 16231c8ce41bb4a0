"""Decide which reviewed places teach the model and which examine it. Pure: no database here."""

import hashlib
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from uuid import UUID

from shapely import Polygon, STRtree, box
from shapely.affinity import affine_transform

NEIGHBOUR_M = 200.0  # closer places share roofs, light and builders: they look alike to a model
ONE_IN = 4
METRES_PER_DEGREE = 111_320.0  # of latitude; 0.6 % off at worst


@dataclass(frozen=True, slots=True)
class Place:
    """One reviewed area, as the split sees it.

    Attributes:
        id: of the ReviewedArea.
        outline: in EPSG:4326, longitude first.
        kept_aside: what was decided before; None for an area that no Dataset has seen.
    """

    id: UUID
    outline: Polygon
    kept_aside: bool | None


@dataclass(frozen=True, slots=True)
class Cluster:
    """Places that lie within ``NEIGHBOUR_M`` of each other, in a chain.

    Attributes:
        key: stable name, made from its members.
        places: at least one, by id.
        kept_aside: never trained on. A cluster that holds one kept-aside place is kept aside
            whole, so that nothing within ``NEIGHBOUR_M`` of what examines is ever learned.
    """

    key: str
    places: tuple[Place, ...]
    kept_aside: bool


def split(places: Iterable[Place]) -> list[Cluster]:
    """Group places into clusters and say which are kept aside: one in four, for ever.

    What was kept aside stays so. Of the others, only clusters that have never taught may be
    chosen, in the order of a hash, so that the answer does not depend on who came first. As soon
    as there are two clusters, one is kept aside if any of them has never taught.

    Args:
        places: all reviewed areas of one organisation, in any order.

    Returns:
        Clusters by key; every place is in exactly one.
    """
    groups = _grouped(sorted(places, key=lambda place: place.id.bytes))
    kept = {i for i, group in enumerate(groups) if any(p.kept_aside for p in group)}
    fresh = [i for i, group in enumerate(groups) if all(p.kept_aside is None for p in group)]
    wanted = max(len(groups) // ONE_IN, 1 if len(groups) > 1 else 0)
    fresh.sort(key=lambda i: _key(groups[i]))
    kept.update(fresh[: max(0, wanted - len(kept))])
    found = [Cluster(_key(g), tuple(g), i in kept) for i, g in enumerate(groups)]
    return sorted(found, key=lambda cluster: cluster.key)


def distance_m(one: Polygon, other: Polygon) -> float:
    """Metres between two outlines in EPSG:4326; right to 1 % over the distances that matter here.

    Holds across the date line: the second outline is moved by whole turns to the first.
    """
    (lon, lat), (other_lon, _) = (o.centroid.coords[0] for o in (one, other))
    turns = round((lon - other_lon) / 360)
    east = METRES_PER_DEGREE * math.cos(math.radians(lat))

    def flat(outline: Polygon, shift: float) -> Polygon:
        x, y = -east * (lon - shift), -METRES_PER_DEGREE * lat
        return affine_transform(outline, [east, 0, 0, METRES_PER_DEGREE, x, y])

    return float(flat(one, 0).distance(flat(other, 360 * turns)))


def _key(group: Sequence[Place]) -> str:
    """A hash of the member with the smallest hash: joining a cluster seldom renames it."""
    return min(hashlib.sha256(place.id.bytes).hexdigest()[:16] for place in group)


def _grouped(places: Sequence[Place]) -> list[list[Place]]:
    """Union-find over pairs that are near."""
    parent = list(range(len(places)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    for i, j in _near_pairs(places):
        parent[root(j)] = root(i)
    groups: dict[int, list[Place]] = {}
    for i, place in enumerate(places):
        groups.setdefault(root(i), []).append(place)
    return list(groups.values())


def _near_pairs(places: Sequence[Place]) -> Iterator[tuple[int, int]]:
    tree = STRtree([place.outline for place in places])
    for i, place in enumerate(places):
        for shift in (-360.0, 0.0, 360.0):
            for j in tree.query(_padded(place.outline, shift)):
                if j > i and distance_m(place.outline, places[j].outline) <= NEIGHBOUR_M:
                    yield i, int(j)


def _padded(outline: Polygon, shift: float) -> Polygon:
    """The box of an outline grown by a little more than ``NEIGHBOUR_M``, in degrees."""
    west, south, east, north = outline.bounds
    up = 1.05 * NEIGHBOUR_M / METRES_PER_DEGREE
    steepest = min(89.9, max(abs(south), abs(north)) + up)
    side = up / math.cos(math.radians(steepest))
    return box(west - side + shift, south - up, east + side + shift, north + up)
