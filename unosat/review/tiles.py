"""Buildings and reviewed areas as vector tiles, made by PostGIS."""

import time
from functools import lru_cache
from typing import Any
from uuid import UUID

import numpy as np
from django.db import connection, transaction

from unosat.accounts.actors import Actor
from unosat.assessments import selectors as assessment_selectors
from unosat.errors import NotFound
from unosat.review.order import CELL_ZOOM, interleaved

DEEPEST_ZOOM = 24
EXTENT = 4096
BUFFER = 64  # of the 4096: an outline on a tile's edge is drawn in both tiles, without a seam

# Below it a house of 15 m is some four pixels wide at most, and a tile of a dense city would hold
# 10,000 outlines: every building is in a dot instead. The map says so.
OUTLINES_FROM_ZOOM = 15
# A tile of these zooms holds a whole city: 200,000 buildings take 0.1 s to count. The map draws
# what a person decides on top, so that a few seconds' age does not show.
KEPT_UP_TO_ZOOM = 11
KEPT_SECONDS = 10
DOTS_ACROSS = 6  # as a power of two: 64 by 64 places for dots, 8 pixels apart, in a tile of 512

AREAS = """
areas AS (
    SELECT id::text AS id, kind, because,
           ST_AsMVTGeom(ST_Transform(outline, 3857), envelope, %(extent)s, %(buffer)s) AS geom
    FROM review_reviewedarea, tile
    WHERE assessment_id = %(assessment)s::uuid AND outline && box
)
"""
# Buildings are cut a whole tile farther out, so hardly any is: of one that is cut, either tile
# would have a middle of its own, and the map a badge in each.
# The box is made in the table's own CRS, so that its index answers; a tile needs no second
# process, and asking for some costs 50 ms.
TILE = """
tile AS (
    SELECT ST_TileEnvelope(%(z)s, %(x)s, %(y)s) AS envelope,
           ST_Transform(ST_TileEnvelope(%(z)s, %(x)s, %(y)s, margin => %(margin)s), 4326) AS box
)
"""
LAYER_OF_AREAS = """
    (SELECT ST_AsMVT(a, 'reviewed_areas', %(extent)s, 'geom')
     FROM areas a WHERE geom IS NOT NULL)
"""
OUTLINES = f"""
WITH {TILE}, buildings AS (
    SELECT uid::text AS uid, grade, score, grade_score, review, source, version, flagged,
           ST_AsMVTGeom(ST_Transform(outline, 3857), envelope, %(extent)s, %(extent)s) AS geom
    FROM review_building, tile
    WHERE assessment_id = %(assessment)s::uuid AND outline && box AND review <> 'replaced'
), {AREAS}
SELECT
    (SELECT ST_AsMVT(b, 'buildings', %(extent)s, 'geom')
     FROM buildings b WHERE geom IS NOT NULL)
    || {LAYER_OF_AREAS}
"""  # noqa: S608 (of our own words)
# A dot for every place and grade, so that the map can hide what is below a score or rejected.
# What has no cell (made before there were cells, not in the queue yet) comes with its outline.
DOTS = f"""
WITH {TILE}, places AS (
    SELECT (cell - %(first)s) >> %(shift)s AS place, grade,
           review = 'rejected' AS gone,
           max(CASE WHEN review = 'unreviewed' THEN score ELSE 1 END) AS score,
           count(*) AS buildings
    FROM review_building
    WHERE assessment_id = %(assessment)s::uuid AND cell >= %(first)s AND cell < %(end)s
      AND review <> 'replaced'
    GROUP BY 1, 2, 3
), dots AS (
    SELECT grade, score, buildings,
           CASE WHEN gone THEN 'rejected' ELSE 'unreviewed' END AS review,
           ST_Point((xs[(place & 4095) + 1] + 0.5) * %(step)s,
                    (ys[(place & 4095) + 1] + 0.5) * %(step)s) AS geom
    FROM places, (SELECT %(columns)s::int[] AS xs, %(rows)s::int[] AS ys) AS places_of_a_tile
), buildings AS (
    SELECT uid::text AS uid, grade, score, grade_score, review, source, version, flagged,
           ST_AsMVTGeom(ST_Transform(outline, 3857), envelope, %(extent)s, %(extent)s) AS geom
    FROM review_building, tile
    WHERE assessment_id = %(assessment)s::uuid AND cell IS NULL AND outline && box
      AND review <> 'replaced'
), {AREAS}
SELECT
    (SELECT ST_AsMVT(d, 'dots', %(extent)s, 'geom') FROM dots d)
    || (SELECT ST_AsMVT(b, 'buildings', %(extent)s, 'geom')
        FROM buildings b WHERE geom IS NOT NULL)
    || {LAYER_OF_AREAS}
"""  # noqa: S608 (of our own words)


def _places() -> tuple[list[int], list[int]]:
    """Column and row of each place for a dot, in the order of their numbers."""
    side = 1 << DOTS_ACROSS
    rows, columns = np.mgrid[:side, :side].reshape(2, -1)
    by_number = np.argsort(interleaved(columns) | (interleaved(rows) << 1))
    return columns[by_number].tolist(), rows[by_number].tolist()


DOT_COLUMNS, DOT_ROWS = _places()


def vector_tile(actor: Actor, assessment_id: UUID, z: int, x: int, y: int) -> bytes:
    """One Mapbox vector tile; may be empty.

    Its layers are "buildings" with their outlines and "reviewed_areas"; below zoom 15 also "dots",
    each for all buildings of one grade in a square of 8 screen pixels (``buildings`` says how
    many), and then "buildings" has only those that no dot stands for. Up to zoom 11 it may be 10
    seconds old.

    Args:
        actor: who asks.
        assessment_id: whose buildings.
        z: zoom, 0 to 24.
        x: column, from the west.
        y: row, from the north.

    Raises:
        NotFound: the assessment is not the organisation's, or there is no such tile.
    """
    if not (0 <= z <= DEEPEST_ZOOM and 0 <= x < 2**z and 0 <= y < 2**z):
        raise NotFound(f"tile {z}/{x}/{y}")
    assessment_selectors.must_exist(actor, assessment_id)
    if z <= KEPT_UP_TO_ZOOM:
        return _kept(assessment_id, z, x, y, int(time.monotonic() / KEPT_SECONDS))
    return _made(assessment_id, z, x, y)


@lru_cache(maxsize=64)  # of 100 kB at most
def _kept(assessment_id: UUID, z: int, x: int, y: int, moment: int) -> bytes:  # noqa: ARG001
    return _made(assessment_id, z, x, y)


def _made(assessment_id: UUID, z: int, x: int, y: int) -> bytes:
    values: dict[str, Any] = {
        "z": z,
        "x": x,
        "y": y,
        "assessment": str(assessment_id),
        "extent": EXTENT,
        "buffer": BUFFER,
        "margin": BUFFER / EXTENT,
    }
    far = z < OUTLINES_FROM_ZOOM
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL max_parallel_workers_per_gather = 0")
        cursor.execute(DOTS if far else OUTLINES, values | (_range(z, x, y) if far else {}))
        row = cursor.fetchone()
    return bytes(row[0]) if row and row[0] else b""


def _range(z: int, x: int, y: int) -> dict[str, Any]:
    """Which cells lie in a tile, and how they are put together to dots."""
    numbers = interleaved(np.array([x])) | (interleaved(np.array([y])) << 1)
    bits = 2 * (CELL_ZOOM - z)
    first = int(numbers[0]) << bits
    return {
        "first": first,
        "end": first + (1 << bits),
        "shift": bits - 2 * DOTS_ACROSS,
        "step": EXTENT >> DOTS_ACROSS,
        "columns": DOT_COLUMNS,
        "rows": DOT_ROWS,
    }
