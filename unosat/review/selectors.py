"""Every question asked of buildings and reviewed areas. Reads only."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.contrib.gis.db.models.functions import GeometryDistance
from django.contrib.gis.geos import Point, Polygon
from django.db.models import Count, F, FloatField, IntegerField, Q, QuerySet
from django.db.models.functions import Cast, Floor

from detection.grades import Grade
from unosat.accounts.actors import Actor
from unosat.assessments import selectors as assessment_selectors
from unosat.errors import NotFound
from unosat.review import outlines
from unosat.review.models import Building, Decision, Footprint, ReviewedArea
from unosat.scenes.models import WGS84


@dataclass(frozen=True, slots=True)
class Page:
    """Which buildings, and from where on.

    Attributes:
        bbox: west, south, east, north, in degrees; None for all.
        review: only those in this state; None for all.
        min_score: only those at least so sure, and all that analysts added; None for all.
        near: longitude and latitude: the nearest come first, and it is the only page; None for the
            engine's order.
        after: the number of the last building of the page before; 0 for the first page.
        limit: at most so many.
    """

    bbox: tuple[float, float, float, float] | None = None
    review: str | None = None
    min_score: float | None = None
    near: tuple[float, float] | None = None
    after: int = 0
    limit: int = 500


def buildings(actor: Actor, assessment_id: UUID, page: Page) -> tuple[list[Building], int | None]:
    """One page of buildings, in the engine's order, then those added.

    Returns:
        The buildings, and the number to go on after; None on the last page.

    Raises:
        NotFound: the assessment is not the organisation's.
    """
    assessment_selectors.must_exist(actor, assessment_id)
    rows = Building.objects.filter(assessment_id=assessment_id, pk__gt=page.after)
    if page.bbox:
        box = Polygon.from_bbox(page.bbox)
        box.srid = WGS84
        rows = rows.filter(outline__intersects=box)
    if page.review:
        rows = rows.filter(review=page.review)
    else:
        rows = rows.exclude(review=Building.Review.REPLACED)
    if page.min_score is not None:
        rows = rows.filter(Q(score__gte=page.min_score) | Q(score__isnull=True))
    rows = rows.select_related("footprint", "assessment__model_version")
    if page.near:
        return list(_nearest(rows, page.near)[: page.limit]), None
    found = list(rows.order_by("pk")[: page.limit + 1])
    shown = found[: page.limit]
    return shown, shown[-1].pk if len(found) > page.limit else None


def building(actor: Actor, assessment_id: UUID, uid: UUID) -> Building:
    """One building with what ``detail`` needs.

    Raises:
        NotFound: it is not the organisation's.
    """
    found = (
        Building.objects.select_related("footprint", "updated_by")
        .filter(
            assessment_id=assessment_id,
            assessment__organisation_id=actor.organisation_id,
            uid=uid,
        )
        .first()
    )
    if found is None:
        raise NotFound(f"building {uid}")
    return found


def feature_properties(row: Building, model: str) -> dict[str, Any]:
    """What every output says of a building: the engine's words, and what people made of it."""
    footprint = row.footprint
    return {
        "id": str(row.uid),
        "grade": row.grade,
        "score": row.score,
        "grade_score": row.grade_score,
        "probabilities": footprint.probabilities if footprint else None,
        "area_m2": _area(row),
        "model": model if footprint else None,
        "clipped": footprint.clipped if footprint else False,
        "unclassified_because": _why_no_grade(row),
        "unsure_because": row.unsure_because or None,
        "flagged": row.flagged,
        "review": row.review,
        "source": row.source,
        "version": row.version,
        **_known_as(footprint),
    }


def _why_no_grade(row: Building) -> str | None:
    """Why the model gave no grade, while nobody has given one since."""
    if row.footprint is None or row.grade != Grade.UNCLASSIFIED:
        return None
    return row.footprint.unclassified_because or None


def _known_as(footprint: Footprint | None) -> dict[str, Any]:
    """What the file of known outlines says of a building; nothing where it was detected."""
    if footprint is None or not footprint.outline_id:
        return {}
    return {"outline_id": footprint.outline_id, "attributes": footprint.attributes}


def feature(row: Building, model: str) -> dict[str, Any]:
    """A building as a GeoJSON feature."""
    return {
        "type": "Feature",
        "id": str(row.uid),
        "geometry": outlines.geojson_of(row.outline),
        "properties": feature_properties(row, model),
    }


def detail(row: Building) -> dict[str, Any]:
    """A building with its outline and every decision, oldest first."""
    footprint = row.footprint
    return {
        "uid": row.uid,
        "grade": row.grade,
        "score": row.score,
        "grade_score": row.grade_score,
        "probabilities": footprint.probabilities if footprint else None,
        "model_grade": footprint.grade if footprint else None,
        "clipped": footprint.clipped if footprint else False,
        "unclassified_because": _why_no_grade(row),
        "unsure_because": row.unsure_because or None,
        "flagged": row.flagged,
        "area_m2": _area(row),
        "review": row.review,
        "source": row.source,
        "version": row.version,
        "outline": outlines.geojson_of(row.outline),
        "updated_by": row.updated_by.get_username() if row.updated_by else None,
        "updated_at": row.updated_at,
        "history": [_told(decision) for decision in _decisions(row)],
    }


def count_buildings(actor: Actor, assessment_id: UUID) -> list[Mapping[str, Any]]:
    """How many buildings there are per grade, review state, source and whole percent of score.

    Raises:
        NotFound: the assessment is not the organisation's.
    """
    assessment_selectors.must_exist(actor, assessment_id)
    percent = Cast(Floor(Cast(F("score") * 100, FloatField())), IntegerField())
    counted = (
        Building.objects.filter(assessment_id=assessment_id)
        .exclude(review=Building.Review.REPLACED)
        .annotate(percent=percent)
        .values("grade", "review", "source", "percent")
        .annotate(count=Count("pk"))
    )
    # Sorted here: else PostgreSQL sorts all buildings before it counts them, in thrice the time
    keys = ("grade", "review", "source", "percent")
    return sorted(counted, key=lambda row: [str(row[key]).rjust(3) for key in keys])


def reviewed_areas(actor: Actor, assessment_id: UUID) -> QuerySet[ReviewedArea]:
    """The reviewed areas of an assessment, oldest first.

    Raises:
        NotFound: the assessment is not the organisation's.
    """
    assessment_selectors.must_exist(actor, assessment_id)
    return (
        ReviewedArea.objects.filter(assessment_id=assessment_id)
        .select_related("user")
        .order_by("made_at")
    )


def _decisions(row: Building) -> Iterable[Decision]:
    """Oldest first; of a whole page of buildings they were fetched at once (queue.page)."""
    if "decisions" in getattr(row, "_prefetched_objects_cache", {}):
        return row.decisions.all()
    return row.decisions.select_related("user").order_by("number")


def _nearest(rows: QuerySet[Building], place: tuple[float, float]) -> QuerySet[Building]:
    """Nearest first, in degrees as the spatial index measures: over one image that will do."""
    return rows.order_by(GeometryDistance("outline", Point(*place, srid=WGS84)), "pk")


def _area(row: Building) -> float:
    """Of the outline as it stands, in square metres."""
    if row.footprint and row.footprint.outline == row.outline:
        return row.footprint.area_m2
    return outlines.area_m2(outlines.loaded(row.outline))


def _told(decision: Decision) -> dict[str, Any]:
    return {
        "id": decision.pk,
        "number": decision.number,
        "kind": decision.kind,
        "grade": decision.grade,
        "reason": decision.reason,
        "because": decision.because or None,
        "shift_m": decision.shift_m,
        "others": decision.others,
        "batch": decision.batch,
        "user": decision.user.get_username(),
        "made_at": decision.made_at,
        "on_version": decision.on_version,
    }
