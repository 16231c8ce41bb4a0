"""How much waits, runs and failed, asked of the database in a handful of queries.

Everything is derived from the rows that own the work, so that every web process says the same and
nothing is counted twice or forgotten at a restart.
"""

from dataclasses import dataclass, field
from typing import Any

from django.db import connection, transaction

from unosat.ops.commands import QUEUES
from unosat.ops.jobs import KINDS

PATIENCE = "5s"  # a scrape that the database cannot answer by then must not pile up
QUANTILES = (0.5, 0.9, 0.99)
SHARD_QUEUE = "detect"
NOT_WANTED = "not_wanted"  # shards that wait, of an assessment that has ended


@dataclass(slots=True)
class Queue:
    """Work of one queue, whatever the broker holds of it.

    Attributes:
        waiting: rows that nobody works on yet.
        running: rows that somebody has a lease of.
        oldest_seconds: how long ago the oldest of those that wait was asked for; 0: none does.
    """

    waiting: int = 0
    running: int = 0
    oldest_seconds: float = 0.0


@dataclass(slots=True)
class Leases:
    """How often workers went silent over their work.

    Attributes:
        expired: attempts that another one followed, over all rows that there are. It falls when
            rows are deleted, so it is a gauge and no counter.
        overdue: leases that have run out and were not taken up again yet.
    """

    expired: int = 0
    overdue: int = 0


@dataclass(frozen=True, slots=True)
class ShardTimes:
    """Shards that ended within the last hour.

    Attributes:
        count: how many.
        seconds: of looking, at each of ``QUANTILES``; empty if there were none.
        tiles: how many they held.
        total_seconds: of all of them together.
    """

    count: int
    seconds: tuple[float, ...]
    tiles: int
    total_seconds: float


@dataclass(slots=True)
class Figures:
    """All of it, at one moment."""

    queues: dict[str, Queue] = field(default_factory=lambda: {name: Queue() for name in QUEUES})
    jobs: dict[tuple[str, str], int] = field(default_factory=dict)  # by kind and state
    shards: dict[str, int] = field(default_factory=dict)  # by state
    assessments: dict[str, int] = field(default_factory=dict)  # by state
    job_leases: Leases = field(default_factory=Leases)
    shard_leases: Leases = field(default_factory=Leases)
    shard_times: ShardTimes = ShardTimes(0, (), 0, 0.0)
    unsent: int = 0
    unsent_oldest_seconds: float = 0.0


JOBS = """
SELECT kind, state, count(*), extract(epoch FROM now() - min(created_at))::float,
       sum(interruptions),
       count(*) FILTER (WHERE state = 'running' AND lease_until < now())
FROM ops_job GROUP BY kind, state
"""
SHARDS = """
SELECT state, count(*), sum(interruptions),
       count(*) FILTER (WHERE state = 'running' AND lease_until < now())
FROM assessments_shard GROUP BY state
"""
SHARDS_WAITING = """
SELECT count(*), extract(epoch FROM now() - min(shard.created_at))::float
FROM assessments_shard shard JOIN assessments_assessment parent ON parent.id = shard.assessment_id
WHERE shard.state = 'waiting' AND parent.state = 'running'
"""
# a shard's last heartbeat is at most two seconds before its end
SHARD_TIMES = """
SELECT count(*), percentile_cont(%s::float[]) WITHIN GROUP (ORDER BY seconds),
       coalesce(sum(tiles_total), 0), coalesce(sum(seconds), 0)
FROM assessments_shard WHERE state = 'done' AND heartbeat_at > now() - interval '1 hour'
"""
ASSESSMENTS = "SELECT state, count(*) FROM assessments_assessment GROUP BY state"
UNSENT = """
SELECT count(*), coalesce(extract(epoch FROM now() - min(created_at)), 0)::float
FROM ops_outbox WHERE sent_at IS NULL
"""


def figures() -> Figures:
    """Ask for everything.

    Raises:
        django.db.DatabaseError: the database is away, or takes longer than ``PATIENCE``.
    """
    found = Figures()
    with transaction.atomic():
        _rows("SELECT set_config('statement_timeout', %s, true)", [PATIENCE])
        _add_jobs(found)
        _add_shards(found)
        found.assessments = dict(_rows(ASSESSMENTS))
        ((found.unsent, found.unsent_oldest_seconds),) = _rows(UNSENT)
    return found


def _add_jobs(found: Figures) -> None:
    for kind, state, count, age, again, overdue in _rows(JOBS):
        found.jobs[kind, state] = count
        found.job_leases.expired += again
        found.job_leases.overdue += overdue
        queue = found.queues[KINDS[kind].queue]
        if state == "running":
            queue.running += count
        elif state == "waiting":
            queue.waiting += count
            queue.oldest_seconds = max(queue.oldest_seconds, age)


def _add_shards(found: Figures) -> None:
    for state, count, again, overdue in _rows(SHARDS):
        found.shards[state] = count
        found.shard_leases.expired += again
        found.shard_leases.overdue += overdue
    ((wanted, age),) = _rows(SHARDS_WAITING)
    found.shards[NOT_WANTED] = found.shards.get("waiting", 0) - wanted
    found.shards["waiting"] = wanted
    queue = found.queues[SHARD_QUEUE]
    queue.waiting += wanted
    queue.running += found.shards.get("running", 0)
    queue.oldest_seconds = max(queue.oldest_seconds, age or 0.0)
    ((count, seconds, tiles, total),) = _rows(SHARD_TIMES, [list(QUANTILES)])
    found.shard_times = ShardTimes(count, tuple(seconds or ()), tiles, total)


def _rows(query: str, values: list[Any] | None = None) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query, values)
        return list(cursor.fetchall())
