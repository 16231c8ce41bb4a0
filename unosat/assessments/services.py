"""Every change to assessments and shards. Knows the database; knows neither HTTP nor Celery."""

import hashlib
import json
import logging
import math
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any
from uuid import UUID, uuid4

from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from detection import outputs
from detection.pipeline import ScenePlan
from detection.pipeline import Shard as EngineShard
from unosat.accounts.actors import Actor
from unosat.assessments import known, selectors, shardlog
from unosat.assessments.errors import (
    AlreadyFinished,
    BeforeNotReady,
    BeforeOfAnotherEvent,
    BeforeWrongPhase,
    DamagedResult,
    KeyUsedDifferently,
    NoActiveModel,
    NoActivePairModel,
    NothingToRetry,
    PartsFailed,
    SceneNotReady,
    WrongPhase,
)
from unosat.assessments.known import SentOutlines
from unosat.assessments.models import Assessment, Shard
from unosat.errors import NotFound
from unosat.ops import events, jobs, leases, outbox, sweeper
from unosat.ops.leases import Lease
from unosat.scenes.models import Scene
from unosat.training.models import ModelVersion

log = logging.getLogger(__name__)
State = Assessment.State

DETECT_TASK = "assessments.detect"
DETECT_QUEUE = "detect"
FAILED_STATES = (Shard.State.FAILED, Shard.State.FAILED_POISON)


@dataclass(frozen=True, slots=True)
class AssessmentRequest:
    """What somebody asks for.

    Attributes:
        scene: the image taken after the disaster.
        before_scene: the image taken before, to compare with; None: the one after is looked at
            by itself, with another model.
        min_score: buildings below it are not reported, in [0, 1]; None: the model's own.
        name: for people.
        idempotency_key: the same key twice is the same assessment; "" for none.
        outlines: building outlines to judge instead of looking for buildings, as GeoJSON; None:
            there are none.
        also_detect: look for buildings that are not among the outlines as well.
    """

    scene: UUID
    before_scene: UUID | None = None
    min_score: float | None = None
    name: str = ""
    idempotency_key: str = ""
    outlines: bytes | None = field(default=None, repr=False)
    also_detect: bool = False


def create_assessment(actor: Actor, wanted: AssessmentRequest) -> Assessment:
    """Record that a scene is to be analysed by the active model of its kind, and queue it.

    The kind is that of pairs where there is an image from before, else that of one image.

    Raises:
        NotFound: a scene is not the organisation's.
        SceneNotReady: it is not checked yet, or was refused.
        WrongPhase: it was taken before the disaster.
        BeforeWrongPhase, BeforeOfAnotherEvent, BeforeNotReady: the image from before is not one.
        NoActiveModel, NoActivePairModel: there is nothing to analyse it with.
        BadOutlines, NoPolygons, TooManyOutlines: the known outlines cannot be used.
        KeyUsedDifferently: the idempotency key belongs to another request.
    """
    scene = _scene(actor, wanted.scene)
    before = _scene(actor, wanted.before_scene) if wanted.before_scene else None
    if scene.phase != Scene.Phase.AFTER:
        raise WrongPhase(f"scene {scene.pk}")
    if scene.state != Scene.State.READY:
        raise SceneNotReady(f"scene {scene.pk} is {scene.state}")
    if before:
        _check_before(before, scene)
    version = _active_version(pairs=before is not None)
    sent = known.check(wanted.outlines) if wanted.outlines is not None else None
    asked = _as_asked(wanted, sent)
    pk = uuid4()
    if sent:
        known.keep(pk, sent)
    try:
        with transaction.atomic():
            row = Assessment.objects.create(
                pk=pk,
                organisation_id=actor.organisation_id,
                scene=scene,
                before_scene=before,
                model_version=version,
                created_by_id=actor.user_id,
                api_key_id=actor.api_key_id,
                name=wanted.name or scene.name,
                options={"min_score": wanted.min_score, "asked": asked}
                | _outline_options(wanted, sent),
                idempotency_key=wanted.idempotency_key,
            )
            jobs.enqueue("plan", row.pk, actor.organisation_id)
    except IntegrityError:
        known.forget(pk)
        return _asked_before(actor, wanted, asked)
    log.info("assessment created", extra={"assessment": str(row.pk), "scene": str(scene.pk)})
    return selectors.assessment(actor, row.pk)


def cancel_assessment(actor: Actor, assessment_id: UUID) -> Assessment:
    """Stop an assessment; its workers notice between two tiles, and nothing of it is stored.

    Raises:
        NotFound: it is not the organisation's.
        AlreadyFinished: it is done or has failed.
    """
    selectors.assessment(actor, assessment_id)
    with transaction.atomic():
        ended = _unfinished(assessment_id).update(
            state=State.CANCELLED, cancel_requested=True, finished_at=timezone.now()
        )
        announce(assessment_id)
    row = selectors.assessment(actor, assessment_id)
    if not ended and row.state != State.CANCELLED:
        raise AlreadyFinished(f"assessment {assessment_id} is {row.state}")
    if ended:
        log.info("assessment cancelled", extra={"assessment": str(assessment_id)})
    return row


def begin_planning(assessment_id: UUID) -> Assessment | None:
    """The assessment to plan; None if it was cancelled."""
    with transaction.atomic():
        rows = Assessment.objects.filter(pk=assessment_id, state__in=["waiting", "planning"])
        if not rows.update(state=State.PLANNING):
            return None
        announce(assessment_id)
    rows = Assessment.objects.select_related("scene", "before_scene", "model_version")
    return rows.get(pk=assessment_id)


def store_plan(
    lease: Lease, row: Assessment, plan: ScenePlan, shards: list[tuple[EngineShard, int]]
) -> None:
    """Store a plan with its shards and queue each: all or nothing.

    Args:
        lease: of the plan job.
        row: the assessment.
        plan: what the engine planned.
        shards: each with its number of tiles.
    """
    with transaction.atomic():
        if not leases.finish(lease):
            return
        facts = (
            row.options
            | {
                "min_score": plan.options.min_score,
                "operating_score": plan.model.operating_score,
                "warnings": list(plan.warnings),
            }
            | _before_facts(plan)
        )
        if not Assessment.objects.filter(pk=row.pk, state=State.PLANNING).update(
            state=State.RUNNING,
            plan=plan.to_json(),
            options=facts,
            tiles_total=sum(tiles for _, tiles in shards),
            started_at=timezone.now(),
            **_hashes(row, plan),
        ):
            return  # cancelled meanwhile
        rows = Shard.objects.bulk_create(
            Shard(assessment=row, index=shard.index, spec=asdict(shard), tiles_total=tiles)
            for shard, tiles in shards
        )
        row.shards.update(created_at=Now())  # not this machine's clock
        wake_workers(len(rows))
        announce(row.pk)
    log.info("assessment planned", extra={"assessment": str(row.pk), "shards": len(shards)})


def is_running(assessment_id: UUID) -> bool:
    """Whether its shards are still wanted."""
    return Assessment.objects.filter(pk=assessment_id, state=State.RUNNING).exists()


def store_shard(lease: Lease, shard: Shard, result: bytes, *, found: int, seconds: float) -> None:
    """Store what one shard found; the last one queues the merge. Nothing if it was overtaken."""
    with transaction.atomic():
        parent = _locked(shard.assessment_id)
        if not leases.finish(
            lease,
            result=result,
            result_sha256=hashlib.sha256(result).hexdigest(),
            found=found,
            seconds=seconds,
            tiles_done=shard.tiles_total,
        ):
            return
        _go_on(parent)


def fail_assessment(assessment_id: UUID, code: str, message: str) -> None:
    """Say that an assessment failed and why; nothing happens to one that has ended."""
    with transaction.atomic():
        if not _unfinished(assessment_id).update(
            state=State.FAILED,
            failure_code=code,
            failure_message=message,
            finished_at=timezone.now(),
        ):
            return
        announce(assessment_id)
    log.warning("assessment failed", extra={"assessment": str(assessment_id), "code": code})


job_failed = fail_assessment  # a plan or merge job that fails takes its assessment along


def fail_shard(
    lease: Lease, assessment_id: UUID, state: Shard.State, code: str, message: str, log: str
) -> None:
    """Note that a shard cannot be done; nothing if the lease was lost. The others go on.

    Args:
        lease: of the shard.
        assessment_id: whose shard it is.
        state: FAILED, or FAILED_POISON.
        code: stable identifier of the reason.
        message: the reason in a sentence for people.
        log: what is known of its attempts.
    """
    with transaction.atomic():
        parent = _locked(assessment_id)
        facts = {"failure_code": code, "failure_message": message, "log": log}
        if leases.finish(lease, state, **facts):
            _go_on(parent)


def fail_damaged(lease: Lease, assessment_id: UUID, indexes: list[int]) -> None:
    """Fail shards whose stored results a merge could not use, and the merge and assessment too.

    Each can then be retried like any shard that failed. Nothing if the lease was lost.

    Args:
        lease: of the merge job.
        assessment_id: whose shards they are.
        indexes: of the shards, at least one.
    """
    with transaction.atomic():
        parent = _locked(assessment_id)
        if not lease.row.select_for_update().first():
            return
        shards = Shard.objects.filter(assessment=parent)
        for shard in shards.filter(index__in=indexes).only("index", "log"):
            error = DamagedResult(shard.index)
            shards.filter(pk=shard.pk).update(
                state=Shard.State.FAILED,
                failure_code=error.code,
                failure_message=error.user_message,
                log=shardlog.noted(shard.log, "what it had stored was found damaged"),
                tiles_done=0,
                found=0,
            )
        first = DamagedResult(min(indexes))
        message = _parts_failed(len(indexes), shards.count(), first.user_message)
        jobs.fail(lease, first.code, message, why=f"results of shards {indexes}")


def give_back(lease: Lease, shard: Shard, log: str, *, because: str = "") -> None:
    """Let a shard wait for another worker; nothing if the lease was lost.

    Args:
        lease: of the shard.
        shard: as it was when it was claimed.
        log: what is known of its attempts.
        because: why this worker does not do it, for people; "" if that says nothing of the shard.
    """
    with transaction.atomic():
        if leases.release(lease, waiting_because=because[:400], log=log) and is_running(
            shard.assessment_id
        ):
            wake_workers()
            announce(shard.assessment_id)


def retry_shard(actor: Actor, assessment_id: UUID, index: int) -> Assessment:
    """Have a failed shard done anew; everything else of the assessment is kept.

    Raises:
        NotFound: the assessment is not the organisation's.
        NothingToRetry: it has no such shard, that one has not failed, or it was cancelled.
    """
    selectors.assessment(actor, assessment_id)
    with transaction.atomic():
        parent = _locked(assessment_id)
        failed = Shard.objects.filter(assessment=parent, index=index, state__in=FAILED_STATES)
        if parent.state not in {State.RUNNING, State.FAILED} or not _do_anew(parent, failed):
            raise NothingToRetry(f"shard {index} of assessment {assessment_id}")
    log.info("shard retried", extra={"assessment": str(assessment_id), "index": index})
    return selectors.assessment(actor, assessment_id)


def retry_merge(actor: Actor, assessment_id: UUID) -> Assessment:
    """Join the parts anew after that failed, on a full disk, say; what the shards found is kept.

    Shards whose stored results the merge found damaged are done anew first, and the merge follows
    the last of them.

    Raises:
        NotFound: the assessment is not the organisation's.
        NothingToRetry: it has not failed, or not for want of a merge.
        PartsFailed: a shard failed for a reason of its own, so that there is not all to join.
    """
    selectors.assessment(actor, assessment_id)
    with transaction.atomic():
        parent = _locked(assessment_id)
        shards = Shard.objects.filter(assessment=parent)
        all_ended = not shards.exclude(state__in=[leases.DONE, *FAILED_STATES]).exists()
        if parent.state != State.FAILED or not shards.exists() or not all_ended:
            raise NothingToRetry(f"merge of assessment {assessment_id}")
        failed = shards.filter(state__in=FAILED_STATES)
        others = failed.exclude(failure_code=DamagedResult.code).order_by("index")
        if indexes := list(others.values_list("index", flat=True)):
            raise PartsFailed(indexes)
        if not _do_anew(parent, failed):
            _begin_anew(parent, State.MERGING)
            jobs.enqueue_again("merge", parent.pk, parent.organisation_id)
            announce(parent.pk)
    log.info("merge retried", extra={"assessment": str(assessment_id)})
    return selectors.assessment(actor, assessment_id)


def set_urgent(actor: Actor, assessment_id: UUID, *, urgent: bool) -> Assessment:
    """Let an assessment go before all that are not urgent, or no longer.

    Raises:
        NotFound: it is not the organisation's.
        Forbidden: the actor is no admin.
        AlreadyFinished: it has ended.
    """
    selectors.assessment(actor, assessment_id)
    actor.must_be("admin")
    with transaction.atomic():
        if not _unfinished(assessment_id).update(urgent=urgent):
            raise AlreadyFinished(f"assessment {assessment_id}")
        announce(assessment_id)
    return selectors.assessment(actor, assessment_id)


def wake_workers(shards: int = 1) -> None:
    """Tell detection workers that so many more shards wait, once the transaction is committed."""
    outbox.post_all(DETECT_TASK, [[] for _ in range(shards)], queue=DETECT_QUEUE)


def sweep_shards() -> None:
    """Let shards wait again that lost their worker; give up what kills workers; wake workers."""
    wanted = Shard.objects.filter(assessment__state=State.RUNNING)
    for shard in leases.expired(Shard).filter(pk__in=wanted.values("pk")).defer("result"):
        with sweeper.apart(f"shard {shard.pk}"):
            _take_back(shard)
    overdue = Now() - sweeper.MESSAGE_OVERDUE
    waiting = wanted.filter(state=leases.WAITING, created_at__lt=overdue)
    if waiting.exists() and sweeper.messages_lost(DETECT_QUEUE):
        with transaction.atomic():
            wake_workers(waiting.count())


def _take_back(shard: Shard) -> None:
    """From a worker that has gone silent."""
    heard = f"{shard.heartbeat_at:%H:%M:%S}" if shard.heartbeat_at else "its start"
    noted = shardlog.noted(
        shard.log,
        f"attempt {shard.attempt} was interrupted: {shard.worker} was last heard of at {heard}, "
        f"after {shard.tiles_done} of {shard.tiles_total} tiles",
    )
    with transaction.atomic():
        parent = _locked(shard.assessment_id)
        if leases.requeue(Shard, shard.pk, shard.attempt, log=noted):
            wake_workers()
            log.warning(
                "shard interrupted", extra={"shard": str(shard.pk), "attempt": shard.attempt}
            )
        elif leases.expired(Shard).select_for_update().filter(pk=shard.pk).exists():
            Shard.objects.filter(pk=shard.pk).update(interruptions=leases.MAX_INTERRUPTIONS)
            lease = Lease(Shard, shard.pk, shard.attempt)
            poison = Shard.State.FAILED_POISON
            fail_shard(lease, parent.pk, poison, *jobs.INTERRUPTED, log=noted)


def announce(assessment_id: UUID) -> None:
    """Tell every open page how far the assessment is, once this transaction is committed."""
    ask = partial(selectors.progress_of, assessment_id)
    events.publish_state(selectors.topic(assessment_id), ask)


def _locked(assessment_id: UUID) -> Assessment:
    """Locked, so that two last shards cannot each see the other as unfinished."""
    rows = Assessment.objects.select_for_update().only("pk", "organisation", "state")
    return rows.get(pk=assessment_id)


def _go_on(parent: Assessment) -> None:
    """After the end of a shard: the last one queues the merge, or fails what lacks a part."""
    shards = Shard.objects.filter(assessment=parent)
    if not shards.filter(state__in=[leases.WAITING, leases.RUNNING]).exists():
        failed = shards.filter(state__in=FAILED_STATES).order_by("index")
        first = failed.only("failure_code", "failure_message").first()
        if first is not None:
            message = _parts_failed(failed.count(), shards.count(), first.failure_message)
            fail_assessment(parent.pk, first.failure_code, message)
        elif _move(parent.pk, State.RUNNING, State.MERGING):
            # again: a merge that met damaged results has failed before
            jobs.enqueue_again("merge", parent.pk, parent.organisation_id)
    announce(parent.pk)


def _parts_failed(failed: int, shards: int, reason: str) -> str:
    """The assessment's failure; the sentence of its first failed shard comes first."""
    kept = " What the others found is kept." if failed < shards else ""
    return f"{reason[:250]} This stopped {failed} of {shards} shards.{kept} They can be retried."


def _do_anew(parent: Assessment, failed: QuerySet[Shard]) -> int:
    """Let failed shards of a locked assessment wait for a worker; how many there were."""
    shards = list(failed.only("log"))
    for shard in shards:
        Shard.objects.filter(pk=shard.pk).update(
            state=leases.WAITING,
            interruptions=0,
            failure_code="",
            failure_message="",
            log=shardlog.noted(shard.log, "asked for anew"),
        )
    if shards:
        _begin_anew(parent, State.RUNNING)
        wake_workers(len(shards))
        announce(parent.pk)
    return len(shards)


def _begin_anew(parent: Assessment, state: State) -> None:
    Assessment.objects.filter(pk=parent.pk).update(
        state=state, failure_code="", failure_message="", finished_at=None
    )


def _unfinished(assessment_id: UUID) -> QuerySet[Assessment]:
    return Assessment.objects.filter(pk=assessment_id, state__in=selectors.UNFINISHED)


def _move(assessment_id: UUID, old: State, new: State) -> bool:
    return bool(Assessment.objects.filter(pk=assessment_id, state=old).update(state=new))


def _scene(actor: Actor, scene_id: UUID) -> Scene:
    scene = Scene.objects.filter(organisation_id=actor.organisation_id, pk=scene_id).first()
    if scene is None:
        raise NotFound(f"scene {scene_id}")
    return scene


def _check_before(before: Scene, scene: Scene) -> None:
    if before.phase != Scene.Phase.BEFORE:
        raise BeforeWrongPhase(f"scene {before.pk}")
    if before.event_id != scene.event_id:
        raise BeforeOfAnotherEvent(f"scene {before.pk}")
    if before.state != Scene.State.READY:
        raise BeforeNotReady(f"scene {before.pk} is {before.state}")


def _active_version(*, pairs: bool) -> ModelVersion:
    kind = ModelVersion.InputKind.BEFORE_AFTER if pairs else ModelVersion.InputKind.AFTER
    version = ModelVersion.objects.filter(active=True, input_kind=kind).first()
    if version is None:
        raise (NoActivePairModel if pairs else NoActiveModel)(f"input kind {kind}")
    return version


def _hashes(row: Assessment, plan: ScenePlan) -> dict[str, str]:
    """Of what an assessment is made: with the same three, another gives the same buildings."""
    inputs = {
        "scene": row.scene.sha256,
        "before": row.before_scene.sha256 if row.before_scene else None,
        "outlines": row.options.get("outlines"),
    }
    return {
        "input_sha256": _sha256_of(inputs),
        "model_sha256": row.model_version.sha256,
        "options_sha256": _sha256_of(asdict(plan.options)),
    }


def _sha256_of(facts: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _before_facts(plan: ScenePlan) -> dict[str, Any]:
    """How the image from before was laid as a whole, for the page; nothing where there is none."""
    if plan.before is None:
        return {}
    east_m, north_m = outputs.before_moved_m(plan)
    shift_m = round(math.hypot(east_m, north_m), 1) if plan.before.measured else None
    return {"before": {"shift_m": shift_m}}


def _as_asked(wanted: AssessmentRequest, sent: SentOutlines | None) -> dict[str, Any]:
    said = {key: str(value) for key, value in asdict(wanted).items() if value is not None}
    return said | {"outlines": sent.sha256} if sent else said


def _outline_options(wanted: AssessmentRequest, sent: SentOutlines | None) -> dict[str, Any]:
    if sent is None:
        return {}
    facts = {"sha256": sent.sha256, "given": sent.count, "also_detect": wanted.also_detect}
    return {"outlines": facts}


def _asked_before(actor: Actor, wanted: AssessmentRequest, asked: dict[str, Any]) -> Assessment:
    earlier = Assessment.objects.get(
        organisation_id=actor.organisation_id, idempotency_key=wanted.idempotency_key
    )
    if earlier.options["asked"] != asked:
        raise KeyUsedDifferently(wanted.idempotency_key)
    return selectors.assessment(actor, earlier.pk)
