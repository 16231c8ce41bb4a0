"""Every question asked of areas and people. Reads only."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import numpy as np
from django.contrib.auth.models import User
from django.db import connection
from django.db.models import F, FloatField, QuerySet
from django.db.models.functions import Cast, Extract, Now

from unosat.accounts.actors import Actor
from unosat.accounts.models import Role
from unosat.assessments import selectors as assessment_selectors
from unosat.errors import NotFound
from unosat.teams.models import TeamArea
from unosat.teams.splitting import Points

REVIEWERS = (Role.ANALYST, Role.ADMIN)

# A building is where its point on the surface is. An outline wholly inside a rectangle has it
# there too, and boxes are compared a hundred times faster than the point is found. On a border
# two areas hold the point: the lower number has the building, so that none counts twice.
IN_AREAS = """
SELECT DISTINCT ON (b.id) b.id, a.id AS area_id, b.review, b.updated_by_id
FROM teams_teamarea a
JOIN review_building b ON b.assessment_id = a.assessment_id AND b.outline && a.outline
WHERE a.assessment_id = %(assessment)s AND b.review <> 'replaced'
  AND CASE WHEN a.rectangular AND a.outline ~ b.outline THEN true
           ELSE ST_Intersects(a.outline, ST_PointOnSurface(b.outline)) END
ORDER BY b.id, a.number
"""
PER_AREA = f"""
SELECT area_id, count(*), count(*) FILTER (WHERE review <> 'unreviewed')
FROM ({IN_AREAS}) inside GROUP BY area_id
"""  # noqa: S608 (constants)


@dataclass(frozen=True, slots=True)
class Counted:
    """How many buildings, and how many of them somebody has decided on."""

    buildings: int = 0
    reviewed: int = 0

    def __add__(self, other: "Counted") -> "Counted":
        return Counted(self.buildings + other.buildings, self.reviewed + other.reviewed)

    @property
    def percent(self) -> int:
        """Reviewed of all, rounded down: 100 only when nothing is left."""
        return 100 * self.reviewed // self.buildings if self.buildings else 0


@dataclass(frozen=True, slots=True)
class AreaFacts:
    """An area as people see it.

    Attributes:
        silent_seconds: since its holder was heard of; None unless it is claimed.
        expired: it is claimed, and anybody may take it over.
    """

    id: UUID
    number: int
    label: str
    outline: Any
    state: str
    holder: str | None
    mine: bool
    kept_for: str | None
    kept_for_me: bool
    silent_seconds: float | None
    expired: bool
    finished_at: datetime | None
    counted: Counted


@dataclass(frozen=True, slots=True)
class PersonFacts:
    """What one person does in an assessment.

    Attributes:
        decided: buildings that stand as this person left them.
        area: label of the one being worked on; "" if none.
        finished: labels of those finished.
        counted: of all areas that the person holds or has finished.
    """

    name: str
    decided: int
    area: str
    finished: list[str]
    counted: Counted


@dataclass(frozen=True, slots=True)
class Team:
    """Who does what in an assessment."""

    areas: list[AreaFacts]
    people: list[PersonFacts]
    total: Counted
    outside: Counted  # in no area


def must_review(actor: Actor) -> int:
    """The id of a person who reviews.

    Raises:
        Forbidden: partners and programs do not.
    """
    actor.must_be("analyst", "admin")
    return actor.must_be_a_person()


def reviewers(actor: Actor) -> QuerySet[User]:
    """The organisation's analysts and admins, by name."""
    return User.objects.filter(
        membership__organisation_id=actor.organisation_id,
        membership__role__in=REVIEWERS,
        is_active=True,
    ).order_by("username")


def area(actor: Actor, area_id: UUID) -> TeamArea:
    """One area, with its people.

    Raises:
        NotFound: it is not the organisation's.
    """
    found = (
        TeamArea.objects.select_related("held_by", "assigned_to")
        .filter(pk=area_id, assessment__organisation_id=actor.organisation_id)
        .first()
    )
    if found is None:
        raise NotFound(f"team area {area_id}")
    return found


def team(actor: Actor, assessment_id: UUID) -> Team:
    """Areas and people of an assessment, with how far they are.

    Raises:
        Forbidden: partners and programs do not review.
        NotFound: the assessment is not the organisation's.
    """
    user_id = must_review(actor)
    assessment_selectors.must_exist(actor, assessment_id)
    per_area, total = _counted(assessment_id)
    areas = [_area_facts(one, user_id, per_area) for one in _areas(assessment_id)]
    inside = sum((one.counted for one in areas), Counted())
    outside = Counted(total.buildings - inside.buildings, total.reviewed - inside.reviewed)
    return Team(areas, _people(assessment_id, areas), total, outside)


def points_of(assessment_id: UUID) -> Points:
    """Shape (N, 2): the point on the surface of each building, in degrees."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT ST_X(p), ST_Y(p) FROM (SELECT ST_PointOnSurface(outline) p "
            "FROM review_building WHERE assessment_id = %s AND review <> 'replaced') s",
            [assessment_id],
        )
        return np.array(cursor.fetchall(), np.float64).reshape(-1, 2)


def _areas(assessment_id: UUID) -> QuerySet[TeamArea]:
    """With ``silent`` and ``left``: seconds by the database's clock, that leases run by."""
    return (
        TeamArea.objects.filter(assessment_id=assessment_id)
        .select_related("held_by", "assigned_to")
        .annotate(
            silent=Cast(Extract(Now() - F("heard_at"), "epoch"), FloatField()),
            left=Cast(Extract(F("lease_until") - Now(), "epoch"), FloatField()),
        )
        .order_by("number")
    )


def _area_facts(one: TeamArea, user_id: int, per_area: dict[UUID, Counted]) -> AreaFacts:
    claimed = one.state == TeamArea.State.CLAIMED
    left: float | None = getattr(one, "left", None)
    return AreaFacts(
        id=one.pk,
        number=one.number,
        label=one.label,
        outline=one.outline,
        state=one.state,
        holder=one.held_by.get_username() if one.held_by else None,
        mine=one.held_by_id == user_id,
        kept_for=one.assigned_to.get_username() if one.assigned_to else None,
        kept_for_me=one.assigned_to_id == user_id,
        silent_seconds=getattr(one, "silent", None) if claimed else None,
        expired=claimed and left is not None and left < 0,
        finished_at=one.finished_at,
        counted=per_area.get(one.pk, Counted()),
    )


def _counted(assessment_id: UUID) -> tuple[dict[UUID, Counted], Counted]:
    values = {"assessment": assessment_id}
    with connection.cursor() as cursor:
        cursor.execute(PER_AREA, values)
        per_area = {row[0]: Counted(row[1], row[2]) for row in cursor.fetchall()}
        cursor.execute(
            "SELECT count(*), count(*) FILTER (WHERE review <> 'unreviewed') FROM review_building "
            "WHERE assessment_id = %(assessment)s AND review <> 'replaced'",
            values,
        )
        total = cursor.fetchone() or (0, 0)
    return per_area, Counted(*total)


def _people(assessment_id: UUID, areas: list[AreaFacts]) -> list[PersonFacts]:
    """Everybody who decided something or holds an area, the busiest first."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT u.username, count(*) FROM review_building b "
            "JOIN auth_user u ON u.id = b.updated_by_id "
            "WHERE b.assessment_id = %s AND b.review NOT IN ('unreviewed', 'replaced') "
            "GROUP BY u.username",
            [assessment_id],
        )
        decided: dict[str, int] = dict(cursor.fetchall())
    names = set(decided) | {one.holder for one in areas if one.holder}
    people = [_person(name, decided.get(name, 0), areas) for name in names]
    return sorted(people, key=lambda one: (-one.decided, one.name))


def _person(name: str, decided: int, areas: list[AreaFacts]) -> PersonFacts:
    held = [one for one in areas if one.holder == name]
    working = [one.label for one in held if one.state == TeamArea.State.CLAIMED]
    return PersonFacts(
        name=name,
        decided=decided,
        area=working[0] if working else "",
        finished=[one.label for one in held if one.state == TeamArea.State.FINISHED],
        counted=sum((one.counted for one in held), Counted()),
    )
