"""From what the shards found to Footprints and Buildings: all in one transaction."""

import hashlib
import logging
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from typing import Any
from uuid import UUID

from django.db import IntegrityError, InternalError, transaction
from django.utils import timezone

from detection import footprints, outputs, pipeline
from detection.gaps import find_gaps
from detection.pipeline import ScenePlan, ShardResult, TileCounts
from unosat.assessments import known, services
from unosat.assessments.errors import DamagedResult
from unosat.assessments.keys import gaps_key
from unosat.assessments.models import Assessment, Shard
from unosat.ops import jobs, leases, store
from unosat.ops.leases import Lease
from unosat.review import outlines
from unosat.review.models import Building, Footprint

log = logging.getLogger(__name__)
State = Assessment.State

ROWS_AT_ONCE = 1000


class _OvertakenError(Exception):
    """Cancelled or done by somebody else meanwhile: everything written is rolled back."""


def merge_shards(assessment_id: UUID, lease: Lease) -> None:
    """Store what the model said, and mark the assessment DONE: both or neither.

    The rows are written first and the state is compared last, so that a cancel never waits for
    the writing. Two merges at once meet at a unique constraint, and one is rolled back.
    Shards whose results turn out to be damaged fail instead, so that they can be done anew.
    """
    row = Assessment.objects.filter(pk=assessment_id, state=State.MERGING).first()
    if row is None:
        return
    try:
        with transaction.atomic():
            _store(row, lease)
    except _OvertakenError:
        log.info("merge was not wanted any more", extra={"assessment": str(row.pk)})
    except DamagedResult:
        damaged = _damaged(row.pk)
        if not damaged:
            raise  # it could be read after all: joining the parts again will do
        services.fail_damaged(lease, row.pk, damaged)
    except IntegrityError:
        if lease.row.exists():
            raise


def _store(row: Assessment, lease: Lease) -> None:
    plan = ScenePlan.from_json(str(row.plan))
    results = _Results(row.pk)
    found = 0
    with known.book_of(row.pk, plan) as book:
        merged = pipeline.merge(plan, results, book=book)
        while chunk := list(islice(merged, ROWS_AT_ONCE)):
            found += len(chunk)
            _store_chunk(row, chunk)
        counts = pipeline.total_counts(plan, results.counts)
        if book:
            with store.writing(known.omissions_key(row.pk)) as path:
                omissions = pipeline.not_analysed(plan, counts, book)
                path.write_text("".join(outputs.omissions_csv(omissions)), encoding="utf-8")
    metadata = outputs.describe(plan, counts, time=timezone.now())
    with store.writing(gaps_key(row.pk)) as path:
        path.write_text(outputs.gaps_geojson(find_gaps(plan, counts), metadata), encoding="utf-8")
    finished = Assessment.objects.filter(pk=row.pk, state=State.MERGING).update(
        state=State.DONE,
        footprints_found=found,
        tiles_done=row.tiles_total,
        tiles_empty=counts.empty,
        tiles_not_analysed=len(counts.not_analysed),
        metadata=metadata,
        options=_with_counts(row.options, counts),
        finished_at=timezone.now(),
    )
    if not finished or not leases.finish(lease):
        raise _OvertakenError
    jobs.enqueue("order", row.pk, row.organisation_id)
    services.announce(row.pk)
    log.info("assessment done", extra={"assessment": str(row.pk), "footprints": found})


def _with_counts(options: dict[str, Any], counts: TileCounts) -> dict[str, Any]:
    """What only the end tells of the known outlines, and of the image from before."""
    told = {
        "outlines": {"judged": counts.outlines.judged},
        "before": {"tiles_without": counts.without_before},
    }
    return options | {key: options[key] | told[key] for key in told if key in options}


class _Results:
    """The shards' results, one at a time in order, and their counts."""

    def __init__(self, assessment_id: UUID) -> None:
        self._assessment_id = assessment_id
        self.counts: list[TileCounts] = []

    def __iter__(self) -> Iterator[ShardResult]:
        self.counts = []
        for index in _indexes(self._assessment_id):
            result = _result(self._assessment_id, index)
            self.counts.append(result.counts)
            yield result


def _indexes(assessment_id: UUID) -> list[int]:
    rows = Shard.objects.filter(assessment_id=assessment_id).order_by("index")
    return list(rows.values_list("index", flat=True))


def _result(assessment_id: UUID, index: int) -> ShardResult:
    """What one shard found.

    Raises:
        DamagedResult: it is not what was stored, or neither the database nor we can read it.
    """
    rows = Shard.objects.filter(assessment_id=assessment_id, index=index)
    try:
        result, sha256 = rows.values_list("result", "result_sha256").get()
        stored = bytes(result or b"")
        if hashlib.sha256(stored).hexdigest() != sha256:
            raise DamagedResult(index)
        return ShardResult.from_bytes(stored)
    except (InternalError, ValueError, KeyError, TypeError) as error:
        raise DamagedResult(index) from error


def _damaged(assessment_id: UUID) -> list[int]:
    """Which shards' results cannot be used: all of them, not only the first that a merge meets."""
    damaged = set(_indexes(assessment_id))
    for index in sorted(damaged):
        with suppress(DamagedResult):
            _result(assessment_id, index)
            damaged.remove(index)
    return sorted(damaged)


def _store_chunk(row: Assessment, chunk: list[footprints.Footprint]) -> None:
    stored = Footprint.objects.bulk_create(_footprint(row, found) for found in chunk)
    cells = outlines.cells([footprint.outline for footprint in stored])
    Building.objects.bulk_create(
        Building(
            assessment=row,
            organisation_id=row.organisation_id,
            uid=footprint.uid,
            footprint=footprint,
            outline=footprint.outline,
            grade=footprint.grade,
            score=footprint.score,
            grade_score=footprint.grade_score,
            # now, not with its turn in the queue: the map far off is made of cells
            cell=cell,
        )
        for footprint, cell in zip(stored, cells, strict=True)
    )


def _footprint(row: Assessment, found: footprints.Footprint) -> Footprint:
    properties: dict[str, Any] = found.to_feature()["properties"]
    return Footprint(
        assessment=row,
        uid=found.id,
        outline=outlines.stored(found.lonlat),
        unclassified_because=found.unclassified_because or "",
        outline_id=found.known.outline_id if found.known else "",
        attributes=found.known.attributes if found.known else None,
        **{
            name: properties[name]
            for name in ("grade", "score", "grade_score", "probabilities", "area_m2", "clipped")
        },
    )
