"""Celery tasks of an assessment. Each fetches, calls the engine, stores; each may run twice."""

import logging
import math
import time
from contextlib import ExitStack
from functools import partial
from typing import Any
from uuid import UUID

from celery import shared_task
from django.conf import settings
from django.db import connection
from django.utils.module_loading import import_string

from detection import pipeline
from detection.errors import Cancelled, DetectionError
from detection.pipeline import DetectionOptions, ScenePlan
from unosat import logs
from unosat.assessments import detectors, known, merging, selectors, services, shardlog, turns
from unosat.assessments.detectors import ModelNotLoadedError
from unosat.assessments.files import before_of
from unosat.assessments.models import Assessment, Shard
from unosat.assessments.shardlog import Recorder
from unosat.errors import RefusedError
from unosat.ops import jobs, stopping, store
from unosat.ops.heartbeat import Heartbeat
from unosat.ops.jobs import DATABASE_AWAY
from unosat.ops.leases import Lease

log = logging.getLogger(__name__)

REFUSALS = (DetectionError, RefusedError)
EXPLAIN = "unosat.review.tasks.explain"  # a path, because review imports assessments
FEWEST_SHARDS = 6  # so that several workers share even a small scene, and progress is seen
FEWEST_TILES = 4  # but no shard smaller than this: reading its halo would cost more than it
CANCEL_SECONDS = 0.2  # how often a running shard asks whether it is still wanted, at most


@shared_task(name="assessments.plan")
def plan(assessment_id: str) -> None:
    """Cut an assessment into shards. Knows the model's card, not its weights."""
    subject = UUID(assessment_id)
    jobs.run("plan", subject, partial(_plan, subject), refusals=REFUSALS)


@shared_task(name="assessments.detect")
@logs.scope()
def detect() -> None:
    """Do the shard whose turn it is, if one waits. The message only says that there is work."""
    _explain_first()
    lease = turns.claim_next(without=detectors.not_loadable())
    if lease is None:
        return
    shard = _shard(lease)
    logs.add(
        shard=shard.pk,
        attempt=lease.attempt,
        assessment=shard.assessment_id,
        organisation=shard.assessment.organisation_id,
    )
    with Recorder(shard.log) as record:
        _do(lease, shard, record)


@shared_task(name="assessments.merge")
def merge(assessment_id: str) -> None:
    """Make Footprints and Buildings of what the shards found."""
    subject = UUID(assessment_id)
    jobs.run("merge", subject, partial(merging.merge_shards, subject), refusals=REFUSALS)


def _explain_first() -> None:
    """It takes seconds, and its own message stands behind those of a continent."""
    subject = jobs.next_waiting("explain")
    if subject is not None:
        import_string(EXPLAIN)(str(subject))


def _do(lease: Lease, shard: Shard, record: Recorder) -> None:
    """One shard, to whichever end: done, failed, or given back."""
    failed = partial(services.fail_shard, lease, shard.assessment_id, Shard.State.FAILED)
    try:
        _detect(lease, shard, record)
    except Cancelled:
        services.give_back(lease, shard, shardlog.noted(record.text, "put down"))
    except ModelNotLoadedError as error:
        services.give_back(lease, shard, record.text, because=str(error))
    except DATABASE_AWAY:
        raise  # the lease runs out, and another attempt follows
    except REFUSALS as error:
        log.warning("shard failed", extra={"shard": str(shard.pk), "why": str(error)})
        failed(error.code, error.user_message, record.text)
    except Exception:
        log.exception("shard failed", extra={"shard": str(shard.pk)})
        failed(*jobs.UNEXPECTED, record.text)
        raise  # at the border of the process: the shard must not hang, nor the bug be hidden


def _plan(assessment_id: UUID, lease: Lease) -> None:
    row = services.begin_planning(assessment_id)
    if row is None:
        return
    planned = _plan_scene(row)
    count = shard_count(planned.work_tiles, selectors.seconds_per_tile(row.model_version_id))
    shards = pipeline.plan_shards(planned, shards=count)
    services.store_plan(lease, row, planned, [(shard, _tiles(planned, shard)) for shard in shards])


def _plan_scene(row: Assessment) -> ScenePlan:
    with ExitStack() as files:
        outlines = None
        if "outlines" in row.options:
            also_detect = row.options["outlines"]["also_detect"]
            outlines = files.enter_context(known.to_plan(row.pk, also_detect=also_detect))
        files.enter_context(store.reading())
        return pipeline.plan_scene(
            store.raster(row.scene.cog_key),
            detectors.spec_of(row.model_version),
            DetectionOptions(
                min_score=row.options.get("min_score"), batch_size=settings.UNOSAT_BATCH_SIZE
            ),
            outlines=outlines,
            before=before_of(row),
            scene_sha256=row.scene.sha256,
            scene_name=row.scene.name,
        )


def shard_count(tiles: int, seconds_per_tile: float) -> int:
    """How many shards: as long as the settings say each, but enough of them to share out."""
    by_time = math.ceil(tiles * seconds_per_tile / settings.UNOSAT_SHARD_SECONDS)
    return max(1, int(by_time), min(FEWEST_SHARDS, tiles // FEWEST_TILES))


def _tiles(planned: ScenePlan, shard: pipeline.Shard) -> int:
    """How many tiles of a shard hold work."""
    batches = (planned.layout.batch(n) for n in range(shard.first_batch, shard.last_batch))
    return sum(index in planned.work_indexes for batch in batches for index in batch)


def _is_wanted(assessment_id: UUID) -> bool:
    """Whether to go on; yes while the database cannot be asked: it may be back in time."""
    try:
        return services.is_running(assessment_id)
    except DATABASE_AWAY:
        connection.close()
        return True


def _shard(lease: Lease) -> Shard:
    rows = Shard.objects.select_related(
        "assessment__scene", "assessment__before_scene", "assessment__model_version"
    )
    return rows.defer("result").get(pk=str(lease.pk))


def _detect(lease: Lease, shard: Shard, record: Recorder) -> None:
    row = shard.assessment
    before = before_of(row)
    done = 0
    asked = 0.0

    def on_tile(tiles_done: int, tiles: int) -> None:  # noqa: ARG001
        nonlocal done, asked
        done = min(tiles_done, shard.tiles_total)
        if stopping.requested():
            raise Cancelled(f"shard {shard.pk}")
        if time.monotonic() - asked < CANCEL_SECONDS:
            return
        asked = time.monotonic()
        if beat.lost.is_set() or not _is_wanted(row.pk):
            raise Cancelled(f"shard {shard.pk}")

    def look() -> tuple[pipeline.ShardResult, float]:
        detector = detectors.load(row.model_version)
        plan = ScenePlan.from_json(str(row.plan))
        begun = time.monotonic()
        with known.book_of(row.pk, plan) as book, store.reading():
            result = pipeline.detect_shard(
                store.raster(row.scene.cog_key),
                plan,
                pipeline.Shard(**shard.spec),
                detector,
                on_tile,
                book=book,
                before=before.path if before else None,
            )
        return result, time.monotonic() - begun

    def facts() -> dict[str, Any]:
        return {"tiles_done": done, "log": record.text}

    with Heartbeat(lease, facts, partial(services.announce, row.pk)) as beat:
        result, seconds = store.patiently(look, lambda: on_tile(done, shard.tiles_total))
    services.store_shard(
        lease,
        shard,
        result.to_bytes(),
        found=sum(len(tile.candidates) + len(tile.judged) for tile in result.tiles),
        seconds=seconds,
    )
    log.info("shard looked at", extra={"tiles": shard.tiles_total, "seconds": round(seconds, 2)})
