"""Buildings and reviewed areas as vector tiles, made by PostGIS."""

from uuid import UUID

from django.db import connection, transaction

from unosat.accounts.actors import Actor
from unosat.assessments import selectors as assessment_selectors
from unosat.errors import NotFound

DEEPEST_ZOOM = 24
EXTENT = 4096
BUFFER = 64  # of the 4096: an outline on a tile's edge is drawn in both tiles, without a seam

# The box is made in the table's own CRS, so that its index answers; a tile needs no second
# process, and asking for some costs 50 ms.
SQL = """
WITH tile AS (
    SELECT ST_TileEnvelope(%(z)s, %(x)s, %(y)s) AS envelope,
           ST_Transform(ST_TileEnvelope(%(z)s, %(x)s, %(y)s, margin => %(margin)s), 4326) AS box
), buildings AS (
    SELECT uid::text AS uid, grade, score, grade_score, review, source, version, flagged,
           ST_AsMVTGeom(ST_Transform(outline, 3857), envelope, %(extent)s, %(buffer)s) AS geom
    FROM review_building, tile
    WHERE assessment_id = %(assessment)s::uuid AND outline && box AND review <> 'replaced'
), areas AS (
    SELECT id::text AS id, kind, because,
           ST_AsMVTGeom(ST_Transform(outline, 3857), envelope, %(extent)s, %(buffer)s) AS geom
    FROM review_reviewedarea, tile
    WHERE assessment_id = %(assessment)s::uuid AND outline && box
)
SELECT
    (SELECT ST_AsMVT(b, 'buildings', %(extent)s, 'geom')
     FROM buildings b WHERE geom IS NOT NULL)
    ||
    (SELECT ST_AsMVT(a, 'reviewed_areas', %(extent)s, 'geom')
     FROM areas a WHERE geom IS NOT NULL)
"""


def vector_tile(actor: Actor, assessment_id: UUID, z: int, x: int, y: int) -> bytes:
    """One Mapbox vector tile with the layers "buildings" and "reviewed_areas"; may be empty.

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
    values: dict[str, int | float | str] = {
        "z": z,
        "x": x,
        "y": y,
        "assessment": str(assessment_id),
        "extent": EXTENT,
        "buffer": BUFFER,
        "margin": BUFFER / EXTENT,
    }
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL max_parallel_workers_per_gather = 0")
        cursor.execute(SQL, values)
        row = cursor.fetchone()
    return bytes(row[0]) if row and row[0] else b""
