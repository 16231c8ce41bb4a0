"""What comes next: buildings in an order, narrowed by filters, a page at a time."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import numpy as np
from django.contrib.auth import get_user_model
from django.contrib.gis.db.models.functions import GeometryDistance
from django.contrib.gis.geos import Point, Polygon
from django.db import connection, transaction
from django.db.models import F, Prefetch, Q, QuerySet, Value
from django.db.models.functions import Coalesce

from detection.grades import MODEL_GRADES
from unosat import moments
from unosat.accounts.actors import Actor
from unosat.assessments import selectors as assessment_selectors
from unosat.assessments.models import Assessment
from unosat.errors import BadRequest
from unosat.ops import jobs, leases
from unosat.ops.leases import Lease
from unosat.review import order
from unosat.review.models import LAST_TURN, Building, Decision
from unosat.review.order import Looks
from unosat.scenes.models import WGS84

log = logging.getLogger(__name__)

ROWS_AT_ONCE = 1000  # written in one statement: some 50 ms, for which a decision on one may wait


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which buildings, in which order, and from where on.

    Attributes:
        review: in this state; "any" for all that were not split or merged away.
        grade: with this grade now; None for all.
        min_score: at least so sure, and those that analysts drew.
        max_score: at most so sure; what analysts drew has no score and is left out below 1.
        who: user name of whoever decided last; None for all.
        flagged: only those that somebody wants a second look at.
        area: touching this outline, in degrees; None for everywhere.
        order: "value", "nearest" (to ``near``, one page only), "oldest" or "newest" (by the last
            decision: only what was decided on), "score" or "surest".
        near: longitude and latitude.
        after: the cursor of the page before; "" for the first.
        limit: at most so many.
    """

    review: str = "unreviewed"
    grade: str | None = None
    min_score: float = 0.0
    max_score: float = 1.0
    who: str | None = None
    flagged: bool = False
    area: Polygon | None = None
    order: str = "value"
    near: tuple[float, float] | None = None
    after: str = ""
    limit: int = 20


@dataclass(frozen=True, slots=True)
class QueuePage:
    """A part of the queue.

    Attributes:
        buildings: with footprint, user and decisions fetched.
        next: the cursor to go on with; None on the last page.
        ordered: whether their order by value is known yet; else they come in the engine's order.
    """

    buildings: list[Building]
    next: str | None
    ordered: bool


EVERYTHING = Q()


@dataclass(frozen=True, slots=True)
class _Order:
    """Rows one after another by ``key``, then by number; ``read`` is for the cursor's text."""

    key: Any
    read: Callable[[str], Any]
    descending: bool = False
    narrowed: Q = EVERYTHING


# What analysts drew has no score: after all that have one
SCORE = Coalesce(F("score"), Value(2.0))
DECIDED = Q(version__gt=0)
ORDERS = {
    "value": _Order(F("turn"), int),
    "oldest": _Order(F("updated_at"), moments.read, narrowed=DECIDED),
    "newest": _Order(F("updated_at"), moments.read, descending=True, narrowed=DECIDED),
    "score": _Order(SCORE, float),
    "surest": _Order(SCORE, float, descending=True),
}


def page(actor: Actor, assessment_id: UUID, wanted: Wanted) -> QueuePage:
    """One page of the queue.

    An assessment that was done before there was a queue gets its order from a worker, once
    somebody asks: until then its buildings come in the engine's order.

    Raises:
        NotFound: the assessment is not the organisation's.
        BadRequest: the order or its cursor is none of ours, or the nearest to nothing is wanted.
    """
    assessment_selectors.must_exist(actor, assessment_id)
    ordered = _is_ordered(assessment_id)
    if not ordered:
        _see_to_order(actor, assessment_id)
    rows = _narrowed(assessment_id, wanted)
    if wanted.order == "nearest":
        if wanted.near is None:
            raise BadRequest("near", "For this order give near as longitude,latitude in degrees.")
        nearest = GeometryDistance("outline", Point(*wanted.near, srid=WGS84))
        found = rows.order_by(nearest).values_list("pk", flat=True)[: wanted.limit]
        return QueuePage(_whole(list(found)), None, ordered)
    keys = list(_sorted(rows, wanted)[: wanted.limit + 1])
    shown = keys[: wanted.limit]
    following = _cursor(shown[-1]) if len(keys) > wanted.limit else None
    return QueuePage(_whole([pk for pk, _ in shown]), following, ordered)


def count(actor: Actor, assessment_id: UUID, wanted: Wanted) -> int:
    """How many buildings the filters leave, whatever the page.

    Raises:
        NotFound: the assessment is not the organisation's.
    """
    assessment_selectors.must_exist(actor, assessment_id)
    return _narrowed(assessment_id, wanted).count()


def people(actor: Actor, assessment_id: UUID) -> list[str]:
    """User names of all who decided on a building of it, each once, by name.

    Also of those whose every decision somebody has replaced since, and who have left.

    Raises:
        NotFound: the assessment is not the organisation's.
    """
    assessment_selectors.must_exist(actor, assessment_id)
    with connection.cursor() as cursor:
        cursor.execute(PEOPLE, {"assessment": str(assessment_id)})
        found = [pk for (pk,) in cursor.fetchall()]
    users = get_user_model().objects.filter(pk__in=found).order_by("username")
    return list(users.values_list("username", flat=True))


def store_order(assessment_id: UUID, lease: Lease) -> None:
    """Write each building's turn, and a cell where it has none (it was made before there were any).

    Repeated or broken off, it can be done again.

    A thousand rows at a time, each in a transaction of its own: a decision never waits longer.
    """
    pks, looks = _looks(assessment_id)
    turns, cells = order.turns(looks), order.cells(looks.lonlat)
    for start in range(0, len(pks), ROWS_AT_ONCE):
        part = slice(start, start + ROWS_AT_ONCE)
        with connection.cursor() as cursor:
            columns = [column[part].tolist() for column in (pks, turns, cells)]
            cursor.execute(WRITE, columns)
    leases.finish(lease)
    log.info("queue ordered", extra={"assessment": str(assessment_id), "buildings": len(pks)})


def order_failed(assessment_id: UUID, code: str, message: str) -> None:  # noqa: ARG001
    """Called in the transaction in which the job fails: the engine's order stays."""
    log.warning("queue not ordered", extra={"assessment": str(assessment_id), "code": code})


# From one person to the next along the index, a step for each: DISTINCT would read every decision
PEOPLE = """
WITH RECURSIVE people (id) AS (
    SELECT min(user_id) FROM review_decision WHERE assessment_id = %(assessment)s::uuid
    UNION ALL
    SELECT (SELECT min(d.user_id) FROM review_decision d
            WHERE d.assessment_id = %(assessment)s::uuid AND d.user_id > people.id)
    FROM people WHERE people.id IS NOT NULL
)
SELECT id FROM people WHERE id IS NOT NULL
"""

WRITE = """
UPDATE review_building b SET turn = found.turn, cell = coalesce(b.cell, found.cell)
FROM unnest(%s::bigint[], %s::int[], %s::bigint[]) AS found (id, turn, cell)
WHERE b.id = found.id AND (b.turn IS DISTINCT FROM found.turn OR b.cell IS NULL)
"""

# Of what the model said alone, so that it does not matter who has decided what meanwhile
READ = """
SELECT b.id, (ST_XMin(f.outline) + ST_XMax(f.outline)) / 2,
       (ST_YMin(f.outline) + ST_YMax(f.outline)) / 2, f.area_m2, f.score,
       coalesce(array_position(%(grades)s::text[], f.grade::text), 0) - 1,
       {probabilities}
FROM review_building b JOIN review_footprint f ON f.id = b.footprint_id
WHERE b.assessment_id = %(assessment)s::uuid
ORDER BY b.id
""".format(
    probabilities=", ".join(
        f"coalesce((f.probabilities->>'{grade.value}')::float8, 0)" for grade in MODEL_GRADES
    )
)
COLUMNS = 6 + len(MODEL_GRADES)


def _looks(assessment_id: UUID) -> tuple[order.Integers, Looks]:
    """Numbers of the buildings, and what the order needs of them: 80 bytes a building in all."""
    values: dict[str, Any] = {
        "assessment": str(assessment_id),
        "grades": [grade.value for grade in MODEL_GRADES],
    }
    parts = [np.empty((0, COLUMNS))]
    with transaction.atomic(), connection.chunked_cursor() as cursor:
        cursor.execute(READ, values)
        while rows := cursor.fetchmany(ROWS_AT_ONCE):
            parts.append(np.array(rows, np.float64))
    table = np.concatenate(parts)
    return table[:, 0].astype(np.int64), Looks(
        lonlat=table[:, 1:3],
        area_m2=table[:, 3],
        score=table[:, 4],
        grade=table[:, 5].astype(np.int64),
        probabilities=table[:, 6:],
    )


def _is_ordered(assessment_id: UUID) -> bool:
    """Whether none of the model's buildings still waits for its turn."""
    waiting = Building.objects.filter(
        assessment_id=assessment_id, turn=LAST_TURN, source=Building.Source.MODEL
    )
    return not waiting.exists()


def _see_to_order(actor: Actor, assessment_id: UUID) -> None:
    with transaction.atomic():
        if Assessment.objects.filter(pk=assessment_id, state=Assessment.State.DONE).exists():
            jobs.enqueue("order", assessment_id, actor.organisation_id)


def _narrowed(assessment_id: UUID, wanted: Wanted) -> QuerySet[Building]:
    rows = Building.objects.filter(assessment_id=assessment_id)
    if wanted.review == "any":
        rows = rows.exclude(review=Building.Review.REPLACED)
    else:
        rows = rows.filter(review=wanted.review)
    if wanted.flagged:
        rows = rows.filter(flagged=True)
    if wanted.grade is not None:
        rows = rows.filter(grade=wanted.grade)
    if wanted.min_score > 0:
        rows = rows.filter(Q(score__gte=wanted.min_score) | Q(score__isnull=True))
    if wanted.max_score < 1:
        rows = rows.filter(score__lte=wanted.max_score)
    if wanted.who is not None:
        users = get_user_model().objects.filter(username=wanted.who).values_list("pk", flat=True)
        rows = rows.filter(updated_by_id=users.first() or 0)  # 0: nobody
    if wanted.area is not None:
        rows = rows.filter(outline__intersects=wanted.area)
    return rows


def _sorted(rows: QuerySet[Building], wanted: Wanted) -> QuerySet[Building, tuple[int, Any]]:
    by = ORDERS.get(wanted.order)
    if by is None:
        raise BadRequest("order")
    rows = rows.filter(by.narrowed).annotate(key=by.key)
    if wanted.after:
        key, pk = _read_cursor(wanted.after, by)
        beyond = "lt" if by.descending else "gt"
        # the first part is what the index begins at
        rows = rows.filter(**{f"key__{beyond}e": key}).filter(
            Q(**{f"key__{beyond}": key}) | Q(**{f"pk__{beyond}": pk})
        )
    sign = "-" if by.descending else ""
    return rows.order_by(f"{sign}key", f"{sign}pk").values_list("pk", "key")


def _cursor(last: tuple[int, Any]) -> str:
    pk, key = last
    return f"{pk}_{key.isoformat() if isinstance(key, datetime) else key}"


def _read_cursor(text: str, by: _Order) -> tuple[Any, int]:
    number, _, key = text.partition("_")
    try:
        return by.read(key), int(number)
    except ValueError as error:
        raise BadRequest(
            "cursor", "Give as cursor what next of the page before said, for the same order."
        ) from error


def _whole(pks: list[int]) -> list[Building]:
    """These buildings in this order, with all that ``selectors.detail`` tells of them."""
    decisions = Decision.objects.select_related("user").order_by("number")
    rows = Building.objects.select_related("footprint", "updated_by").prefetch_related(
        Prefetch("decisions", decisions)
    )
    found = rows.in_bulk(pks)
    return [found[pk] for pk in pks if pk in found]
