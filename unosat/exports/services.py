"""A GeoJSON file of an assessment's Buildings, saying of itself what it is."""

import json
import tempfile
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, Any, Literal
from uuid import UUID

from django.db import connection, transaction
from django.db.models import QuerySet
from django.utils import timezone

from unosat.accounts.actors import Actor
from unosat.assessments import selectors as assessment_selectors
from unosat.assessments.models import Assessment
from unosat.exports import ground, lineage
from unosat.exports.errors import NothingToExport
from unosat.ops.errors import DiskFull
from unosat.ops.fulldisk import was_full
from unosat.quality import selectors as quality_selectors
from unosat.review.models import Building, ReviewedArea
from unosat.review.selectors import feature
from unosat.teams import overview

ROWS_AT_ONCE = 2000

Only = Literal["all", "reviewed"]
Rejected = Literal["include", "leave_out"]


@dataclass(frozen=True, slots=True)
class Choice:
    """What a file shall hold.

    Attributes:
        only: every building, or only those that somebody decided on.
        rejected: whether those found to be no buildings are in it (marked as such).
    """

    only: Only = "all"
    rejected: Rejected = "include"


def write_geojson(actor: Actor, assessment_id: UUID, choice: Choice) -> IO[bytes]:
    """Write the file to a temporary place and return it, rewound; it vanishes when closed.

    All of it is read in one snapshot of the database, so that the counts in its metadata are
    those of its features; memory does not grow with it.

    Raises:
        NotFound: the assessment is not the organisation's.
        NothingToExport: it has no result.
        DiskFull: there is no room to make the file.
    """
    row = assessment_selectors.assessment(actor, assessment_id)
    if row.state != Assessment.State.DONE:
        raise NothingToExport(f"assessment {row.pk} is {row.state}")
    file = tempfile.TemporaryFile()  # noqa: SIM115 (the caller closes it)
    try:
        with transaction.atomic():
            if not _nested():
                with connection.cursor() as cursor:
                    cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            measured = quality_selectors.for_export(actor, assessment_id)
            _write(file, row, choice, {"quality": measured})
        file.seek(0)  # writes what is still in memory
    except BaseException as error:
        with suppress(OSError):
            file.close()
        if was_full(error):
            raise DiskFull("export") from error
        raise
    return file


def file_name(actor: Actor, assessment_id: UUID, choice: Choice) -> str:
    """A name for the file, of plain characters."""
    row = assessment_selectors.assessment(actor, assessment_id)
    words = "".join(c if c.isalnum() and c.isascii() else "-" for c in row.name).strip("-")
    return f"{words[:60] or 'damage'}-{choice.only}.geojson"


def _nested() -> bool:
    """Whether an outer transaction is under way, whose isolation stands already (in tests)."""
    return len(connection.savepoint_ids) > 0


def _write(file: IO[bytes], row: Assessment, choice: Choice, more: dict[str, Any]) -> None:
    metadata = json.dumps(_metadata(row, choice) | more, ensure_ascii=False)
    file.write(f'{{"type": "FeatureCollection",\n"metadata": {metadata},\n"features": ['.encode())
    model = str(row.model_version)
    separator = "\n"
    origins, unseen = lineage.origins_of(row.pk), ground.unseen_ground(row.pk)
    buildings = _chosen(row, choice).select_related("footprint").order_by("pk")
    for building in buildings.iterator(chunk_size=ROWS_AT_ONCE):
        told = feature(building, model)
        told["properties"]["not_assessable"] = unseen.why(building)
        told["properties"] |= origins.get(building.uid, {})
        file.write(f"{separator}{json.dumps(told)}".encode())
        separator = ",\n"
    layer = json.dumps(unseen.layer(), ensure_ascii=False)
    file.write(f'\n],\n"not_assessable": {layer}\n}}\n'.encode())


def write_not_assessable(actor: Actor, assessment_id: UUID) -> dict[str, Any]:
    """The ground that people said cannot be assessed, as a GeoJSON FeatureCollection.

    Raises:
        NotFound: the assessment is not the organisation's.
    """
    row = assessment_selectors.assessment(actor, assessment_id)
    return ground.unseen_ground(row.pk).layer()


def _chosen(row: Assessment, choice: Choice) -> QuerySet[Building]:
    buildings = Building.objects.filter(assessment=row).exclude(review=Building.Review.REPLACED)
    if choice.only == "reviewed":
        buildings = buildings.exclude(review=Building.Review.UNREVIEWED)
    if choice.rejected == "leave_out":
        buildings = buildings.exclude(review=Building.Review.REJECTED)
    return buildings


def _metadata(row: Assessment, choice: Choice) -> dict[str, Any]:
    """What the engine said, and what people made of it since."""
    every = Counter(Building.objects.filter(assessment=row).values_list("review", flat=True))
    # Others took their place, and are counted: they are not left out.
    names = [name for name in Building.Review.values if name != Building.Review.REPLACED]
    chosen = Counter(_chosen(row, choice).values_list("review", flat=True))
    reviewers = Building.objects.filter(assessment=row, updated_by__isnull=False)
    people = reviewers.order_by("updated_by__username").values_list(
        "updated_by__username", flat=True
    )
    told: dict[str, Any] = row.metadata
    return (
        told
        | _before(row)
        | overview.exported(row.pk)
        | {
            "assessment": str(row.pk),
            "event": row.scene.event.name,
            "synthetic": row.scene.synthetic,
            "data_licence": row.scene.licence,
            "acquired_at": row.scene.acquired_at.isoformat() if row.scene.acquired_at else None,
            "threshold": row.options.get("min_score"),
            "exported_at": timezone.now().isoformat(timespec="seconds"),
            "only": choice.only,
            "rejected": choice.rejected,
            "features": sum(chosen.values()),
            "buildings_by_review": {name: chosen[name] for name in names},
            "left_out_by_review": {name: every[name] - chosen[name] for name in names},
            "reviewed_by": list(people.distinct()),
            "flagged_for_a_second_look": _chosen(row, choice).filter(flagged=True).count(),
            "reviewed_areas": row.reviewed_areas.filter(kind=ReviewedArea.Kind.REVIEWED).count(),
            "not_assessable_areas": row.reviewed_areas.exclude(
                kind=ReviewedArea.Kind.REVIEWED
            ).count(),
        }
    )


def _before(row: Assessment) -> dict[str, Any]:
    """What the engine said of the image from before, and whose it is."""
    scene = row.before_scene
    if scene is None or "before" not in row.metadata:
        return {}
    facts = {
        "data_licence": scene.licence,
        "acquired_at": scene.acquired_at.isoformat() if scene.acquired_at else None,
    }
    return {"before": row.metadata["before"] | facts}
