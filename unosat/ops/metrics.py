"""What a monitor reads at ``/metrics``: asked of the database and Redis when it asks.

No process counts anything for itself, so any number of web processes say the same, and one that
restarts has forgotten nothing. A part that does not answer is told as such; its figures are then
absent, never 0.
"""

import logging
from collections.abc import Callable, Iterable, Iterator

import redis
from django.db import DatabaseError
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from unosat.ops import figures, inventory, presence
from unosat.ops.commands import QUEUES
from unosat.ops.presence import Worker
from unosat.ops.quickly import asking_redis

log = logging.getLogger(__name__)

MEBIBYTE = 1024**2
AWAY = (DatabaseError, redis.RedisError, OSError)

Rows = Iterable[tuple[tuple[str, ...], float]]


def text() -> bytes:
    """Everything in Prometheus's text format."""
    registry = CollectorRegistry()
    registry.register(_Everything())
    return generate_latest(registry)


class _Everything(Collector):
    """Asks each part once."""

    def collect(self) -> Iterator[Metric]:
        """All families, then which parts answered."""
        parts: dict[str, Callable[[], list[Metric]]] = {
            "database": _of_database,
            "redis": _of_redis,
            "store": _of_store,
        }
        answered: list[tuple[tuple[str, ...], float]] = []
        for part, ask in parts.items():
            try:
                found = ask()
            except AWAY as error:
                log.warning("no figures", extra={"part": part, "why": str(error)})
                found = []
                answered.append(((part,), 0))
            else:
                answered.append(((part,), 1))
            yield from found
        yield _gauge("scrape_ok", "Whether a part could be asked.", ["part"], answered)


def _of_database() -> list[Metric]:
    now = figures.figures()
    queues = now.queues.items()
    times = now.shard_times
    leases = (("job", now.job_leases), ("shard", now.shard_leases))
    quantiles = zip(figures.QUANTILES, times.seconds, strict=False)
    return [
        _gauge(
            "queue_waiting",
            "Jobs and shards that nobody works on yet.",
            ["queue"],
            [((name,), queue.waiting) for name, queue in queues],
        ),
        _gauge(
            "queue_running",
            "Jobs and shards that a worker has a lease of.",
            ["queue"],
            [((name,), queue.running) for name, queue in queues],
        ),
        _gauge(
            "queue_oldest_waiting_seconds",
            "How long ago the oldest work that waits was asked for; 0 if none waits.",
            ["queue"],
            [((name,), queue.oldest_seconds) for name, queue in queues],
        ),
        _gauge("jobs", "Jobs by kind and state.", ["kind", "state"], now.jobs.items()),
        _gauge("shards", "Shards by state.", ["state"], _by_state(now.shards)),
        _gauge("assessments", "Assessments by state.", ["state"], _by_state(now.assessments)),
        _gauge(
            "lease_expiries",
            "Attempts that another followed, over all rows kept. Falls when rows are deleted.",
            ["of"],
            [((what,), lease.expired) for what, lease in leases],
        ),
        _gauge(
            "leases_overdue",
            "Leases that ran out and were not taken up again yet.",
            ["of"],
            [((what,), lease.overdue) for what, lease in leases],
        ),
        _gauge("shards_last_hour", "Shards done in the last hour.", [], [((), times.count)]),
        _gauge("tiles_last_hour", "Tiles of these shards.", [], [((), times.tiles)]),
        _gauge(
            "shard_seconds",
            "Quantiles of the time that shards of the last hour took; absent if there were none.",
            ["quantile"],
            [((str(quantile),), seconds) for quantile, seconds in quantiles],
        ),
        _gauge("outbox_unsent", "Messages not sent yet.", [], [((), now.unsent)]),
        _gauge(
            "outbox_oldest_seconds",
            "Age of the oldest message not sent yet; 0 if there is none.",
            [],
            [((), now.unsent_oldest_seconds)],
        ),
    ]


def _of_redis() -> list[Metric]:
    everybody = presence.workers()
    alive = [worker for worker in everybody if worker.alive]
    with asking_redis() as client:
        lengths = [((queue,), float(client.llen(queue))) for queue in QUEUES]
        store = inventory.measured(client)
    found = [
        _gauge("queue_messages", "Messages in the broker.", ["queue"], lengths),
        _gauge(
            "queue_workers",
            "Workers that take work from a queue.",
            ["queue"],
            [((queue,), sum(queue in worker.queues for worker in alive)) for queue in QUEUES],
        ),
        _gauge(
            "worker_silent_seconds",
            f"Since a worker's last word; over {presence.SILENT_SECONDS:.0f} it counts as gone.",
            ["worker", "queues"],
            [((one.name, ",".join(one.queues)), one.silent_seconds) for one in everybody],
        ),
        *_of_gpus(alive),
    ]
    if store is not None:
        found += [
            _gauge("store_bytes", "What the store held, when measured.", [], [((), store.size)]),
            _gauge("store_files", "Files of the store, when measured.", [], [((), store.files)]),
            _gauge("store_measured_seconds_ago", "Since then.", [], [((), store.age_seconds)]),
        ]
    return found


def _of_gpus(alive: list[Worker]) -> list[Metric]:
    """Absent where no worker has one. Workers of one machine each tell of the same."""
    labels = ["worker", "gpu", "name"]
    seen = [((one.name, str(gpu.index), gpu.name), gpu) for one in alive for gpu in one.gpus]
    if not seen:
        return []
    return [
        _gauge(
            "gpu_busy_ratio",
            "Share of the last moments in which the accelerator computed, whoever used it.",
            labels,
            [(names, gpu.busy) for names, gpu in seen],
        ),
        _gauge(
            "gpu_memory_used_bytes",
            "Memory of the accelerator in use, whoever uses it.",
            labels,
            [(names, gpu.memory_used * MEBIBYTE) for names, gpu in seen],
        ),
        _gauge(
            "gpu_memory_total_bytes",
            "Memory of the accelerator.",
            labels,
            [(names, gpu.memory_total * MEBIBYTE) for names, gpu in seen],
        ),
    ]


def _of_store() -> list[Metric]:
    free = inventory.free_bytes()
    if free is None:
        return []
    return [_gauge("store_free_bytes", "Left where the store lies.", [], [((), free)])]


def _by_state(counts: dict[str, int]) -> Rows:
    return [((state,), count) for state, count in sorted(counts.items())]


def _gauge(name: str, about: str, labels: list[str], rows: Rows) -> Metric:
    family = GaugeMetricFamily(f"unosat_{name}", about, labels=labels)
    for values, number in rows:
        family.add_metric(list(values), number)
    return family
