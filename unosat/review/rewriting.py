"""Many buildings rewritten in one statement.

Django's ``bulk_update`` builds an expression for every value: for the 2,000 outlines of one shift
that took several seconds of processor time, in which others waited for the locked rows.
"""

from collections.abc import Sequence

from django.db import connection

from unosat.review.models import Building
from unosat.scenes.models import WGS84

REWRITE = f"""
UPDATE review_building b SET
    outline = ST_GeomFromWKB(now.outline, {WGS84}), cell = now.cell, grade = now.grade,
    grade_score = now.grade_score, review = now.review, unsure_because = now.unsure_because,
    flagged = now.flagged, version = now.version, updated_by_id = now.updated_by,
    updated_at = now.updated_at
FROM unnest(%s::bigint[], %s::bytea[], %s::bigint[], %s::text[], %s::float8[], %s::text[],
            %s::text[], %s::bool[], %s::int[], %s::int[], %s::timestamptz[])
     AS now (id, outline, cell, grade, grade_score, review, unsure_because, flagged, version,
             updated_by, updated_at)
WHERE b.id = now.id
"""  # noqa: S608 (of our own words)


def rewrite(buildings: Sequence[Building]) -> None:
    """Write all that a decision may change of each; they are locked by this transaction."""
    columns = zip(*map(_values, buildings), strict=True)
    with connection.cursor() as cursor:
        cursor.execute(REWRITE, [list(column) for column in columns])


def _values(one: Building) -> tuple[object, ...]:
    return (
        one.pk,
        bytes(one.outline.wkb),
        one.cell,
        str(one.grade),
        one.grade_score,
        str(one.review),
        one.unsure_because,
        one.flagged,
        one.version,
        one.updated_by_id,
        one.updated_at,
    )
