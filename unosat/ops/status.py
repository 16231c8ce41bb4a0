"""What the admins of the installation see: who works on what, what waits, what failed."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import redis
from django.db.models import Max, Q, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from unosat.assessments.models import Assessment, Shard
from unosat.ops import figures, inventory, presence
from unosat.ops.commands import QUEUES
from unosat.ops.figures import Figures
from unosat.ops.models import Job
from unosat.ops.presence import Worker
from unosat.ops.quickly import asking_redis
from unosat.scenes import sandbox
from unosat.scenes.models import Scene
from unosat.training.models import ModelVersion

LOADED_AT_MOST = 3  # models that a worker's child keeps (assessments.detectors)
LOADED_WITHIN = timedelta(hours=1)
FAILURES_SHOWN = 12
SUBJECTS = {
    "fetch": "import from a link",
    "ingest": "image",
    "train": "training run",
    "explain": "explanation",
    "order": "queue of an assessment",
}


@dataclass(frozen=True, slots=True)
class Work:
    """One thing that is being done.

    Attributes:
        kind: "detect", or the kind of the job.
        about: what it is done to, for people.
        pk: of that thing, as log lines name it.
        attempt: 1 upwards.
        tiles_done, tiles_total: of a shard; None of a job.
        silent_seconds: since the last heartbeat.
        overdue: its lease has run out: its worker counts as dead.
    """

    kind: str
    about: str
    pk: UUID
    attempt: int
    tiles_done: int | None
    tiles_total: int | None
    silent_seconds: float
    overdue: bool


@dataclass(frozen=True, slots=True)
class Hand:
    """A worker with what it does and the models it has loaded, as far as its rows tell."""

    worker: Worker
    work: list[Work]
    loaded: list[str]


@dataclass(frozen=True, slots=True)
class QueueLine:
    """One queue: rows from the database, messages and workers from Redis (None: it is away)."""

    name: str
    waiting: int
    oldest_seconds: float
    running: int
    messages: int | None
    workers: int | None


@dataclass(frozen=True, slots=True)
class Failure:
    """Something that ended badly."""

    at: datetime
    what: str
    code: str
    message: str
    pk: UUID


@dataclass(frozen=True, slots=True)
class Status:
    """The whole page.

    Attributes:
        redis_away: workers and messages cannot be told.
        hands: every worker that spoke within the last ten minutes.
        orphans: work whose worker is not among them.
        queues: one line for each.
        now: further figures.
        models: active versions, with the workers that have them loaded.
        failures: the latest, newest first.
        layers: what stands between an upload and the machine that reads it.
        store: what it held when last measured; None if not known.
        free_bytes: what is left where it lies; None if not known.
    """

    redis_away: bool
    hands: list[Hand]
    orphans: list[Work]
    queues: list[QueueLine]
    now: Figures
    models: list[tuple[ModelVersion, list[str]]]
    failures: list[Failure]
    layers: tuple[str, ...]
    store: inventory.Measure | None
    free_bytes: int | None


def status() -> Status:
    """Ask for everything; a Redis that is away is told, not raised."""
    now = figures.figures()
    workers, lengths, store = _of_redis()
    doing, loaded = _doing(), _loaded()
    hands = [_hand(worker, doing, loaded) for worker in workers or ()]
    known = {name for hand in hands for name in hand.worker.hands}
    orphans = [work for name, works in doing.items() if name not in known for work in works]
    active = ModelVersion.objects.filter(active=True).order_by("input_kind")
    return Status(
        redis_away=workers is None,
        hands=hands,
        orphans=orphans,
        queues=[_line(name, now, workers, lengths) for name in QUEUES],
        now=now,
        models=[
            (version, [hand.worker.name for hand in hands if str(version) in hand.loaded])
            for version in active
        ],
        failures=_failures(),
        layers=sandbox.layers(),
        store=store,
        free_bytes=inventory.free_bytes(),
    )


def _of_redis() -> tuple[list[Worker] | None, dict[str, int], inventory.Measure | None]:
    try:
        with asking_redis() as client:
            lengths = {queue: client.llen(queue) for queue in QUEUES}
            return presence.workers(), lengths, inventory.measured(client)
    except (redis.RedisError, OSError):
        return None, {}, None


def _line(
    name: str, now: Figures, workers: list[Worker] | None, lengths: dict[str, int]
) -> QueueLine:
    queue = now.queues[name]
    at_work = sum(one.alive and name in one.queues for one in workers or ())
    return QueueLine(
        name=name,
        waiting=queue.waiting,
        oldest_seconds=queue.oldest_seconds,
        running=queue.running,
        messages=lengths.get(name),
        workers=None if workers is None else at_work,
    )


def _hand(worker: Worker, doing: dict[str, list[Work]], loaded: dict[str, list[str]]) -> Hand:
    work = [one for name in sorted(worker.hands) for one in doing.get(name, ())]
    models = [one for name in sorted(worker.hands) for one in loaded.get(name, ())]
    return Hand(worker, work, models if worker.alive else [])


def _loaded() -> dict[str, list[str]]:
    """The models that each process looked with lately, the last first: it keeps a few."""
    recent = Shard.objects.filter(
        Q(state="running", tiles_done__gt=0) | Q(state="done"),
        heartbeat_at__gt=Now() - LOADED_WITHIN,
    )
    uses = recent.values_list(
        "worker", "assessment__model_version__name", "assessment__model_version__version"
    ).annotate(last=Max("heartbeat_at"))
    found: dict[str, list[str]] = {}
    for hand, name, version, _ in uses.order_by("-last"):
        found.setdefault(hand, []).append(f"{name}@{version}")
    return {hand: models[:LOADED_AT_MOST] for hand, models in found.items()}


def _doing() -> dict[str, list[Work]]:
    """All work under way, by the process that does it."""
    found: dict[str, list[Work]] = {}
    shards = Shard.objects.filter(state="running").select_related("assessment__scene")
    slim = shards.only(
        *("index", "attempt", "tiles_done", "tiles_total", "heartbeat_at", "lease_until", "worker"),
        *("assessment__name", "assessment__scene__name"),
    )
    for shard in slim:
        found.setdefault(shard.worker, []).append(_of_shard(shard))
    jobs = list(Job.objects.filter(state=Job.State.RUNNING))
    names = _names(jobs)
    for job in jobs:
        found.setdefault(job.worker, []).append(_of_job(job, names))
    return found


def _of_shard(shard: Shard) -> Work:
    row = shard.assessment
    return Work(
        kind="detect",
        about=f"{row.name or row.scene.name}, shard {shard.index + 1}",
        pk=row.pk,
        attempt=shard.attempt,
        tiles_done=shard.tiles_done,
        tiles_total=shard.tiles_total,
        silent_seconds=_since(shard.heartbeat_at),
        overdue=_is_past(shard.lease_until),
    )


def _of_job(job: Job, names: dict[UUID, str]) -> Work:
    return Work(
        kind=job.kind,
        about=names.get(job.subject_id) or SUBJECTS.get(job.kind, job.kind),
        pk=job.subject_id,
        attempt=job.attempt,
        tiles_done=None,
        tiles_total=None,
        silent_seconds=_since(job.heartbeat_at),
        overdue=_is_past(job.lease_until),
    )


def _names(jobs: Iterable[Job]) -> dict[UUID, str]:
    """What people call the images and assessments that jobs are about."""
    ids = [job.subject_id for job in jobs]
    scenes: QuerySet[Scene, tuple[UUID, str]] = Scene.objects.filter(pk__in=ids).values_list(
        "pk", "name"
    )
    rows: QuerySet[Assessment, tuple[UUID, str]] = Assessment.objects.filter(
        pk__in=ids
    ).values_list("pk", "name")
    return dict(scenes) | dict(rows)


def _failures() -> list[Failure]:
    """Failed assessments (their shards and jobs with them), then failed jobs of other kinds."""
    ended = Assessment.objects.filter(state="failed").select_related("scene")
    slim = ended.only(
        "name", "finished_at", "created_at", "failure_code", "failure_message", "scene__name"
    )
    found = [
        Failure(
            row.finished_at or row.created_at,
            f"assessment {row.name or row.scene.name}",
            row.failure_code,
            row.failure_message,
            row.pk,
        )
        for row in slim.order_by("-finished_at")[:FAILURES_SHOWN]
    ]
    failed = Job.objects.filter(state=Job.State.FAILED).exclude(kind__in=["plan", "merge"])
    jobs = list(failed.order_by("-heartbeat_at")[:FAILURES_SHOWN])
    names = _names(jobs)
    found += [
        Failure(
            job.heartbeat_at or job.created_at,
            f"{job.kind}: {names.get(job.subject_id) or SUBJECTS.get(job.kind, job.kind)}",
            job.failure_code,
            job.failure_message,
            job.subject_id,
        )
        for job in jobs
    ]
    return sorted(found, key=lambda one: one.at, reverse=True)[:FAILURES_SHOWN]


def _since(moment: datetime | None) -> float:
    return (timezone.now() - moment).total_seconds() if moment else 0.0


def _is_past(moment: datetime | None) -> bool:
    return moment is not None and moment < timezone.now()
