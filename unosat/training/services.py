"""Every change to training runs and model versions. Knows neither HTTP nor Celery."""

import logging
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.utils import timezone

from unosat.accounts.actors import Actor
from unosat.ops import events, jobs, leases
from unosat.ops.leases import Lease
from unosat.training import selectors
from unosat.training.errors import (
    AnotherVersionBecameActive,
    NothingToLearn,
    TrainingOver,
    TrainingUnderWay,
)
from unosat.training.models import Activation, Dataset, ModelVersion, TrainingRun
from unosat.training.registry import check_files

log = logging.getLogger(__name__)
State = TrainingRun.State
UNFINISHED = (State.WAITING, State.RUNNING, State.EVALUATING)


def start(actor: Actor) -> TrainingRun:
    """Record a training run on the organisation's reviewed areas, and queue it.

    It starts from the active model of one image; the chips are made of images after alone.

    Raises:
        Forbidden: the actor is no admin.
        NoActiveModel: there is nothing to start from.
        NothingToLearn: no decision lies in a reviewed area that may teach.
        TrainingUnderWay: there is an unfinished run; of two clicks at once, the database decides.
    """
    actor.must_be("admin")
    base = selectors.active_version()
    preview = selectors.retraining_preview(actor)
    if preview.under_way:
        raise TrainingUnderWay(str(preview.under_way))
    if not preview.possible:
        raise NothingToLearn(f"organisation {actor.organisation_id}")
    try:
        with transaction.atomic():
            run = TrainingRun.objects.create(
                organisation_id=actor.organisation_id,
                base_version=base,
                started_by_id=actor.user_id,
            )
            jobs.enqueue("train", run.pk, actor.organisation_id)
    except IntegrityError as error:
        raise TrainingUnderWay(f"organisation {actor.organisation_id}") from error
    log.info("training requested", extra={"run": str(run.pk), "base": str(base)})
    return run


def cancel(actor: Actor, run_id: UUID) -> TrainingRun:
    """Ask a run to stop: one that waits ends at once, one that runs within a training step.

    Raises:
        NotFound: there is no such run, or it is another organisation's.
        Forbidden: the actor is no admin.
        TrainingOver: it has ended.
    """
    run = selectors.training_run(actor, run_id)
    actor.must_be("admin")
    with transaction.atomic():
        unfinished = TrainingRun.objects.filter(pk=run.pk, state__in=UNFINISHED)
        if not unfinished.update(cancel_requested=True):
            raise TrainingOver(str(run_id))
        unfinished.filter(state=State.WAITING).update(
            state=State.CANCELLED, finished_at=timezone.now()
        )
        announce(run.pk)
    return selectors.training_run(actor, run_id)


def begin(lease: Lease, run_id: UUID) -> TrainingRun | None:
    """Mark a run as running; None if it has ended, or this attempt has lost its lease."""
    with transaction.atomic():
        if not lease.row.exists():
            return None
        TrainingRun.objects.filter(pk=run_id, state=State.WAITING).update(
            state=State.RUNNING, started_at=timezone.now()
        )
        announce(run_id)
    return (
        TrainingRun.objects.select_related("base_version", "dataset", "organisation")
        .filter(pk=run_id, state__in=UNFINISHED)
        .first()
    )


def record_dataset(lease: Lease, run: TrainingRun, dataset: Dataset) -> None:
    """Note what the run learns from, so that an interrupted run starts again on the same."""
    if lease.row.exists():
        TrainingRun.objects.filter(pk=run.pk, dataset=None).update(dataset=dataset)


def record_progress(
    lease: Lease, run_id: UUID, progress: dict[str, Any], state: State = State.RUNNING
) -> bool:
    """Note how far a run is.

    Returns:
        Whether it should go on: False once it was cancelled or another attempt has taken over.
    """
    with transaction.atomic():
        if not lease.row.exists():
            return False
        going = TrainingRun.objects.filter(
            pk=run_id, state__in=UNFINISHED, cancel_requested=False
        ).update(progress=progress, state=state)
        if going:
            announce(run_id)
    return bool(going)


def finish(
    lease: Lease, run: TrainingRun, version: ModelVersion, scores: dict[str, Any]
) -> ModelVersion | None:
    """Store the new version, not active, and end the run: both or neither.

    Args:
        lease: the right to do so.
        run: what was run.
        version: not yet saved.
        scores: of the old and the new model.

    Returns:
        The version, or None if another attempt has taken over or the run was cancelled.
    """
    with transaction.atomic():
        if not leases.finish(lease):
            return None
        if _ended_as_cancelled(run.pk):
            return None
        version.save()
        TrainingRun.objects.filter(pk=run.pk, state__in=UNFINISHED).update(
            state=State.DONE, scores=scores, new_version=version, finished_at=timezone.now()
        )
        announce(run.pk)
    log.info("training done", extra={"run": str(run.pk), "version": str(version)})
    return version


def finish_cancelled(lease: Lease, run_id: UUID) -> None:
    """End a run that was asked to stop; nothing if another attempt has taken over."""
    with transaction.atomic():
        if leases.finish(lease):
            _ended_as_cancelled(run_id)


def job_failed(subject_id: UUID, code: str, message: str) -> None:
    """Fail a run, in the transaction in which its job fails."""
    TrainingRun.objects.filter(pk=subject_id, state__in=UNFINISHED).update(
        state=State.FAILED,
        failure_code=code,
        failure_message=message,
        finished_at=timezone.now(),
    )
    announce(subject_id)


@transaction.atomic
def activate(actor: Actor, version_id: UUID, *, replaces: UUID | None = None) -> ModelVersion:
    """Make a version the one that new Assessments use. Those made before keep theirs.

    Args:
        actor: an admin.
        version_id: the version.
        replaces: the version that was active on the page the admin looked at; None: whichever.

    Raises:
        NotFound: there is no such version, or it is another organisation's.
        Forbidden: the actor is no admin.
        VersionDamaged: its files are not the ones recorded.
        AnotherVersionBecameActive: ``replaces`` is no longer active.
    """
    version = selectors.model_version(actor, version_id)
    actor.must_be("admin")
    check_files(version)
    rows = ModelVersion.objects.filter(input_kind=version.input_kind)
    active = rows.select_for_update().filter(active=True).first()
    if replaces is not None and (active is None or active.pk != replaces):
        raise AnotherVersionBecameActive(f"{version} was to replace {replaces}")
    if active is not None and active.pk == version.pk:
        return version
    _swap(active, version)
    Activation.objects.create(
        organisation_id=actor.organisation_id,
        version=version,
        replaced=active,
        user_id=actor.user_id,
    )
    log.info("model activated", extra={"version": str(version), "by": actor.user_id})
    return version


def announce(run_id: UUID) -> None:
    """Tell everybody who watches a run, after the commit."""
    events.publish_state(topic(run_id), lambda: selectors.run_facts(run_id) or {})


def topic(run_id: UUID) -> str:
    """What a run's news are published under."""
    return f"training:{run_id}"


def _swap(active: ModelVersion | None, version: ModelVersion) -> None:
    """Compare-and-set; the unique constraint catches whoever comes from the side."""
    try:
        with transaction.atomic():
            if active is not None:
                ModelVersion.objects.filter(pk=active.pk, active=True).update(active=False)
            ModelVersion.objects.filter(pk=version.pk).update(active=True)
    except IntegrityError as error:
        raise AnotherVersionBecameActive(str(version)) from error
    version.active = True


def _ended_as_cancelled(run_id: UUID) -> bool:
    ended = TrainingRun.objects.filter(
        pk=run_id, state__in=UNFINISHED, cancel_requested=True
    ).update(state=State.CANCELLED, finished_at=timezone.now())
    if ended:
        announce(run_id)
        log.info("training cancelled", extra={"run": str(run_id)})
    return bool(ended)
