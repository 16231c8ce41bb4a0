"""Which buildings are looked at a second time, and by whom: asked of the database, changed by none.

The choice is random and the same each time it is made: within each first answer, the buildings are
ordered by the md5 of the assessment's salt and their uid, and the first so many per cent of them,
rounded up, are chosen. So each grade has its share, rare ones too, and nobody can foresee which.
"""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import connection

from detection.grades import Grade
from unosat.review.models import Building
from unosat.teams.models import Answer, SecondLook, SecondLookPlan

# Buildings can be flagged for a second look once review has a column for it.
_CAN_FLAG = any(field.name == "flagged" for field in Building._meta.get_fields())
FLAGGED = "b.flagged" if _CAN_FLAG else "false"

# What stands, as an answer; a building without a grade was left unsure.
STANDS = f"""
CASE WHEN b.review = 'rejected' THEN '{Answer.NO_BUILDING}'
     WHEN b.review = 'unsure' OR b.grade = '{Grade.UNCLASSIFIED}' THEN '{Answer.UNSURE}'
     ELSE b.grade END
"""

CHOSEN = f"""
WITH decided AS (
    SELECT b.id, md5(%(salt)s || b.uid::text) AS dice, {FLAGGED} AS flagged, {STANDS} AS stands,
           b.review <> 'unreviewed' AS decided
    FROM review_building b
    WHERE b.assessment_id = %(assessment)s AND b.review <> 'replaced'
      AND (b.review <> 'unreviewed' OR {FLAGGED})
), ranked AS (
    SELECT *, row_number() OVER (PARTITION BY decided, stands ORDER BY dice) AS place,
              count(*) OVER (PARTITION BY decided, stands) AS among
    FROM decided
), chosen AS (
    SELECT id, dice,
           CASE WHEN decided AND place <= ceil(among * %(share)s / 100.0) THEN 'share'
                ELSE 'flagged' END AS because
    FROM ranked
    WHERE flagged OR (decided AND place <= ceil(among * %(share)s / 100.0))
)
"""  # noqa: S608 (constants)

PICKED = "SELECT c.id, c.because"
OPEN_TO_ALL = """
FROM chosen c
WHERE NOT EXISTS (SELECT 1 FROM teams_controlbuilding k WHERE k.building_id = c.id)
  AND NOT EXISTS (SELECT 1 FROM teams_secondlook l WHERE l.building_id = c.id
                  AND l.control_id IS NULL AND l.answer <> '')
"""

# Never the same person: whoever decided anything of a building, undone or not, has seen its grade.
NOT_SEEN_BY_USER = """
  AND NOT EXISTS (SELECT 1 FROM review_decision d
                  WHERE d.building_id = c.id AND d.user_id = %(user)s)
  AND NOT EXISTS (SELECT 1 FROM review_building b
                  WHERE b.id = c.id AND b.updated_by_id = %(user)s)
  AND NOT EXISTS (SELECT 1 FROM teams_secondlook l
                  WHERE l.building_id = c.id AND l.user_id = %(user)s)
"""
OPEN_TO_ONE = f"{OPEN_TO_ALL} {NOT_SEEN_BY_USER}"
NOT_RESERVED = """
  AND NOT EXISTS (SELECT 1 FROM teams_secondlook l WHERE l.building_id = c.id
                  AND l.control_id IS NULL AND l.lease_until >= now())
"""


@dataclass(frozen=True, slots=True)
class Chosen:
    """A building to be looked at again, by the database's own number, and why."""

    building_id: int
    because: str


def plan_of(assessment_id: UUID) -> SecondLookPlan:
    """The assessment's plan, made with its salt when it is first asked for."""
    return SecondLookPlan.objects.get_or_create(assessment_id=assessment_id)[0]


def chosen(plan: SecondLookPlan) -> list[Chosen]:
    """Every building chosen so far, in the order of the dice."""
    return _asked(plan, f"{CHOSEN} {PICKED} FROM chosen c ORDER BY dice", {})


def open_to(plan: SecondLookPlan, user_id: int, limit: int) -> list[Chosen]:
    """Those that one person can be given now, in the order of the dice; at most ``limit``."""
    query = f"{CHOSEN} {PICKED} {OPEN_TO_ONE} {NOT_RESERVED} ORDER BY dice LIMIT %(limit)s"
    return _asked(plan, query, {"user": user_id, "limit": limit})


def left_for(plan: SecondLookPlan, user_id: int) -> int:
    """How many wait that this person may look at; what others have open now is among them."""
    return _number(plan, f"{CHOSEN} SELECT count(*) {OPEN_TO_ONE}", {"user": user_id})


def waiting(plan: SecondLookPlan) -> int:
    """How many wait for anybody."""
    return _number(plan, f"{CHOSEN} SELECT count(*) {OPEN_TO_ALL}", {})


def stands_as(building: Building) -> str:
    """What people, or the model, have made of a building, as an answer."""
    if building.review == Building.Review.REJECTED:
        return Answer.NO_BUILDING
    if building.review == "unsure" or building.grade == Grade.UNCLASSIFIED:
        return Answer.UNSURE
    return building.grade


def is_decided(building: Building) -> bool:
    """Whether a second look still has something to look at."""
    flagged = bool(getattr(building, "flagged", False))
    return building.review != "replaced" and (building.review != "unreviewed" or flagged)


def open_looks(assessment_id: UUID, user_id: int) -> list[SecondLook]:
    """What a person was given and has not answered, in order."""
    rows = SecondLook.objects.filter(assessment_id=assessment_id, user_id=user_id, answer="")
    return list(rows.select_related("building", "assessment").order_by("served_at", "pk"))


def _asked(plan: SecondLookPlan, query: str, values: dict[str, Any]) -> list[Chosen]:
    with connection.cursor() as cursor:
        cursor.execute(query, _values(plan) | values)
        return [Chosen(*row) for row in cursor.fetchall()]


def _number(plan: SecondLookPlan, query: str, values: dict[str, Any]) -> int:
    with connection.cursor() as cursor:
        cursor.execute(query, _values(plan) | values)
        row = cursor.fetchone()
    return int(row[0]) if row else 0


def _values(plan: SecondLookPlan) -> dict[str, Any]:
    return {
        "assessment": plan.assessment_id,
        "salt": plan.salt,
        "share": plan.share_percent,
    }
