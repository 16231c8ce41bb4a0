"""Celery tasks of an assessment. Each fetches, calls the engine, stores; each may run twice."""

import logging
import math
import time
from contextlib import ExitStack
from functools import partial
from uuid import UUID

from celery import shared_task
from django.conf import settings
from django.db import connection

from detection import pipeline
from detection.errors import Cancelled, DetectionError
from detection.pipeline import DetectionOptions, ScenePlan
from unosat import logs
from unosat.assessments import detectors, known, merging, selectors, services
from unosat.assessments.files import before_of
from unosat.assessments.models import Assessment, Shard
from unosat.errors import RefusedError
from unosat.ops import jobs, leases, store
from unosat.ops.heartbeat import Heartbeat
from unosat.ops.jobs import DATABASE_AWAY
from unosat.ops.leases import Lease

log = logging.getLogger(__name__)

REFUSALS = (DetectionError, RefusedError)
FEWEST_SHARDS = 6  # so that several workers share even a small scene, and progress is seen
FEWEST_TILES = 4  # but no shard smaller than this: reading its halo would cost more than it
CANCEL_SECONDS = 0.2  # how often a running shard asks whether it is still wanted, at most


@shared_task(name="assessments.plan")
def plan(assessment_id: str) -> None:
    """Cut an assessment into shards. Knows the model's card, not its weights."""
    subject = UUID(assessment_id)
    jobs.run("plan", subject, partial(_plan, subject), refusals=REFUSALS)


@shared_task(name="assessments.detect_shard")
@logs.scope()
def detect_shard(shard_id: str) -> None:
    """Do one shard, unless it is done, in other hands, or no longer wanted."""
    lease = leases.claim(Shard, UUID(shard_id))
    if lease is None:
        return
    shard = _shard(lease)
    logs.add(
        shard=shard.pk,
        attempt=lease.attempt,
        assessment=shard.assessment_id,
        organisation=shard.assessment.organisation_id,
    )
    if not services.is_running(shard.assessment_id):
        leases.release(lease)
        return
    try:
        _detect(lease, shard)
    except Cancelled:
        leases.release(lease)
    except DATABASE_AWAY:
        raise  # the lease runs out, and another attempt follows
    except REFUSALS as error:
        log.warning("shard failed", extra={"shard": shard_id, "why": str(error)})
        services.fail_shard(lease, shard.assessment_id, error.code, error.user_message)
    except Exception:
        services.fail_shard(lease, shard.assessment_id, *jobs.UNEXPECTED)
        raise  # at the border of the process: the shard must not hang, nor the bug be hidden


@shared_task(name="assessments.merge")
def merge(assessment_id: str) -> None:
    """Make Footprints and Buildings of what the shards found."""
    subject = UUID(assessment_id)
    jobs.run("merge", subject, partial(merging.merge_shards, subject), refusals=REFUSALS)


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


def _detect(lease: Lease, shard: Shard) -> None:
    row = shard.assessment
    before = before_of(row)
    done = 0
    asked = 0.0

    def on_tile(tiles_done: int, tiles: int) -> None:  # noqa: ARG001
        nonlocal done, asked
        done = min(tiles_done, shard.tiles_total)
        if time.monotonic() - asked < CANCEL_SECONDS:
            return
        asked = time.monotonic()
        if beat.lost.is_set() or not _is_wanted(row.pk):
            raise Cancelled(f"shard {shard.pk}")

    def look() -> tuple[pipeline.ShardResult, float]:
        detector = detectors.detector_of(row.model_version)
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

    beat = Heartbeat(lease, lambda: {"tiles_done": done}, partial(services.announce, row.pk))
    with beat:
        result, seconds = store.patiently(look, lambda: on_tile(done, shard.tiles_total))
    services.store_shard(
        lease,
        shard,
        result.to_bytes(),
        found=sum(len(tile.candidates) + len(tile.judged) for tile in result.tiles),
        seconds=seconds,
    )
    log.info("shard looked at", extra={"tiles": shard.tiles_total, "seconds": round(seconds, 2)})
