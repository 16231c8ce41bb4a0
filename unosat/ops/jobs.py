"""Single pieces of background work: one row each, whatever the queue does.

``enqueue`` in the transaction that makes the work necessary; in the task, ``run`` with a function
that does the work and ends with ``leases.finish`` in the transaction that stores its result.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol
from uuid import UUID

from django.db import IntegrityError, InterfaceError, OperationalError, transaction
from django.db.models.functions import Now
from django.utils.module_loading import import_string

from unosat import logs
from unosat.ops import leases, outbox, stopping, store, sweeper
from unosat.ops.heartbeat import Heartbeat
from unosat.ops.leases import Lease
from unosat.ops.models import Job

log = logging.getLogger(__name__)

DATABASE_AWAY = (OperationalError, InterfaceError)  # restarted, or unreachable
UNEXPECTED = ("unexpected", "Something went wrong that should not. Ask an admin to read the log.")
INTERRUPTED = (
    "interrupted_too_often",
    "This work was interrupted three times and has been given up. Ask an admin to read the log.",
)


@dataclass(frozen=True, slots=True)
class Kind:
    """What a kind of job is.

    Attributes:
        task: Celery name of the task that does it; takes the subject's id as text.
        queue: where it runs.
        on_failed: dotted path of ``f(subject_id, code, message)``, called in the transaction in
            which the job fails, to fail the subject as well. A path, because apps import ops.
    """

    task: str
    queue: str
    on_failed: str


KINDS = {
    "ingest": Kind("scenes.ingest", "ingest", "unosat.scenes.services.ingest_failed"),
    "fetch": Kind("scenes.fetch", "ingest", "unosat.scenes.fetches.fetch_failed"),
    "plan": Kind("assessments.plan", "ingest", "unosat.assessments.services.job_failed"),
    "merge": Kind("assessments.merge", "ingest", "unosat.assessments.services.job_failed"),
    "order": Kind("review.order", "ingest", "unosat.review.queue.order_failed"),
    "explain": Kind("review.explain", "detect", "unosat.review.explanations.job_failed"),
    "train": Kind("training.run", "train", "unosat.training.services.job_failed"),
}

SUBJECTS = {  # in log lines
    "ingest": "scene",
    "plan": "assessment",
    "merge": "assessment",
    "order": "assessment",
}


class PutDownError(Exception):
    """Raised by work whose worker was told to stop: the job waits again, and is not suspected."""


class Refusal(Protocol):
    """Any deliberate error, of the engine or of the application."""

    code: str
    user_message: str


def enqueue(kind: str, subject_id: UUID, organisation_id: UUID | None = None) -> Job:
    """Record a job and queue it at commit; asked twice for one subject, it is one job."""
    try:
        with transaction.atomic():
            job = Job.objects.create(
                kind=kind, subject_id=subject_id, organisation_id=organisation_id
            )
            Job.objects.filter(pk=job.pk).update(created_at=Now())  # not this machine's clock
    except IntegrityError:
        return Job.objects.get(kind=kind, subject_id=subject_id)
    post(job)
    return job


def enqueue_again(kind: str, subject_id: UUID, organisation_id: UUID | None = None) -> Job:
    """Record and queue a job anew if it failed; a row of its own, which no old worker knows."""
    Job.objects.filter(kind=kind, subject_id=subject_id, state=Job.State.FAILED).delete()
    return enqueue(kind, subject_id, organisation_id)


def next_waiting(kind: str) -> UUID | None:
    """The subject of the job of a kind that has waited longest; None if none waits."""
    waiting = Job.objects.filter(kind=kind, state=leases.WAITING).order_by("created_at")
    return waiting.values_list("subject_id", flat=True).first()


def post(job: Job) -> None:
    """Queue a job's task."""
    kind = KINDS[job.kind]
    outbox.post(kind.task, str(job.subject_id), queue=kind.queue)


@logs.scope()
def run(
    kind: str,
    subject_id: UUID,
    work: Callable[[Lease], None],
    *,
    refusals: tuple[type[Exception], ...],
    facts: Callable[[], dict[str, Any]] = dict,
) -> None:
    """Do a job, if it is still to be done and nobody else does it.

    Args:
        kind: one of ``KINDS``.
        subject_id: what the job is about.
        work: does it; its last step is ``leases.finish(lease)`` in the same transaction that
            stores the result. If it returns without, the job is finished afterwards. It may
            raise PutDownError.
        refusals: deliberate errors, with ``code`` and ``user_message``; they fail the job.
        facts: columns of the job to note with each heartbeat.
    """
    pk = Job.objects.filter(kind=kind, subject_id=subject_id).values_list("pk", flat=True).first()
    lease = leases.claim(Job, pk) if pk is not None else None
    if lease is None:
        return
    _tell(kind, subject_id, lease)
    try:
        with Heartbeat(lease, facts):
            store.patiently(partial(work, lease), _go_on)
        leases.finish(lease)
    except DATABASE_AWAY:
        raise  # the lease runs out, and another attempt follows
    except PutDownError:
        with transaction.atomic():
            if leases.release(lease):
                post(Job.objects.get(pk=str(lease.pk)))
    except refusals as error:
        fail(lease, error.code, error.user_message, str(error))  # type: ignore[attr-defined]
    except Exception as error:
        fail(lease, *UNEXPECTED, repr(error))
        raise  # at the border of the process: the job must not hang, nor the bug be hidden


def _go_on() -> None:
    """Asked while work waits for the store."""
    if stopping.requested():
        raise PutDownError("told to stop while it waited")


def _tell(kind: str, subject_id: UUID, lease: Lease) -> None:
    owner = lease.row.values_list("organisation_id", flat=True).first()
    logs.add(job=kind, attempt=lease.attempt, organisation=owner)
    logs.add(**{SUBJECTS.get(kind, kind): subject_id})
    log.info("job begun")


def fail(lease: Lease, code: str, message: str, why: str) -> None:
    """Fail a job and its subject; nothing if the lease was lost."""
    with transaction.atomic():
        if not leases.finish(lease, "failed", failure_code=code, failure_message=message):
            return
        job = Job.objects.get(pk=str(lease.pk))
        import_string(KINDS[job.kind].on_failed)(job.subject_id, code, message)
    log.warning(
        "job failed",
        extra={"kind": job.kind, "subject": str(job.subject_id), "code": code, "why": why},
    )


def sweep() -> None:
    """Queue again the jobs whose worker or message was lost; give up what kills its workers."""
    for job in leases.expired(Job):
        with sweeper.apart(f"job {job.pk}"), transaction.atomic():
            if leases.requeue(Job, job.pk, job.attempt):
                post(job)
                log.warning("job interrupted", extra={"job": job.pk, "attempt": job.attempt})
            elif leases.expired(Job).select_for_update().filter(pk=job.pk).exists():
                Job.objects.filter(pk=job.pk).update(interruptions=leases.MAX_INTERRUPTIONS)
                fail(Lease(Job, job.pk, job.attempt), *INTERRUPTED, why="lease expired")
    overdue = Now() - sweeper.MESSAGE_OVERDUE
    waiting = Job.objects.filter(state=leases.WAITING, created_at__lt=overdue)
    for queue in {KINDS[kind].queue for kind in waiting.values_list("kind", flat=True).distinct()}:
        if sweeper.messages_lost(queue):
            kinds = [name for name, kind in KINDS.items() if kind.queue == queue]
            with transaction.atomic():
                for job in waiting.filter(kind__in=kinds):
                    post(job)
