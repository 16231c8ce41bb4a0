"""Whether everything that the application needs is there. Reads only; never raises.

Whatever hangs is asked first with little patience, and what hangs on it is then not asked: a
monitor that waits long counts the web process as dead.
"""

import os
import select
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import psycopg
import redis
from django.conf import settings
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from kombu.exceptions import OperationalError
from psycopg.pq import ExecStatus
from psycopg_pool import ConnectionPool

from unosat.celery import app
from unosat.ops import store
from unosat.ops.commands import QUEUES
from unosat.ops.models import Job, Outbox
from unosat.ops.quickly import ANSWER_SECONDS, asking_redis
from unosat.scenes import sandbox
from unosat.training.models import ModelVersion

CONNECT_SECONDS = 2.5  # a new connection is a new process on a server that may be busy
REMEMBER_SECONDS = 5.0  # a monitor must not shout at the workers at every request
_migrated = False  # once true it stays so while this process lives


@dataclass(frozen=True, slots=True)
class Check:
    """One part of the application.

    Attributes:
        name: of the part.
        ok: whether it works.
        detail: a few words for people; no address, path or version.
    """

    name: str
    ok: bool
    detail: str


@dataclass(frozen=True, slots=True)
class Health:
    """All parts, and whether all of them work."""

    ok: bool
    checks: tuple[Check, ...]


def report(database: Check | None = None) -> Health:
    """Ask every part, but the database if that was just done."""
    database, redis_ = database or _asked("Database", _database), _asked("Redis", _redis)
    checks = (
        database,
        redis_,
        _asked("Queues", _queues, database, redis_),
        _asked("Workers", _workers, redis_),
        _asked("Active model", _model, database),
        _asked("Store", _store),
        _asked("Upload sandbox", _sandbox),
    )
    return Health(all(check.ok for check in checks), checks)


def ask_database() -> Check:
    """Whether the database can be asked now; known within four seconds."""
    return _asked("Database", _database_soon)


def missing() -> list[str]:
    """What this process needs to serve requests and lacks, by name; empty if it is ready.

    Workers and models are not asked for: pages and uploads do without them.
    """
    asked = [_asked("database", _database_soon), _asked("redis", _redis), _asked("store", _store)]
    if asked[0].ok:
        asked.insert(1, _asked("migrations", _migrations))
    return [check.name for check in asked if not check.ok]


def _asked(name: str, ask: Callable[[], tuple[bool, str]], *through: Check) -> Check:
    """Ask one part, unless a part ``through`` which it is asked is away."""
    away = [check.name for check in through if not check.ok]
    if away:
        return Check(name, ok=False, detail=f"cannot be told without: {', '.join(away)}")
    try:
        return Check(name, *ask())
    except (DatabaseError, psycopg.Error, redis.RedisError, OperationalError, OSError):
        return Check(name, ok=False, detail="does not answer")


def _database() -> tuple[bool, str]:
    _database_soon()
    with connection.cursor() as cursor:
        cursor.execute("SELECT postgis_lib_version()")
    return True, "answers, with PostGIS"


def _database_soon() -> tuple[bool, str]:
    """Whether it answers at all: the pool itself would wait for ten seconds, and then for ever."""
    pool = connection.pool  # type: ignore[attr-defined]
    if pool is None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        return True, "answers"
    pool.open()
    try:
        _ping(pool, ANSWER_SECONDS)
    except psycopg.OperationalError:  # a restarted server leaves broken connections behind
        pool.drain()
        _ping(pool, CONNECT_SECONDS)
    return True, "answers"


def _ping(pool: ConnectionPool, seconds: float) -> None:
    """Ask on one of the pool's connections; a server that took it may have fallen silent since.

    Args:
        pool: of this process.
        seconds: how long to wait for a connection.

    Raises:
        psycopg.OperationalError: there is none, or no answer within a second, or a bad one.
    """
    with pool.connection(timeout=seconds) as borrowed:
        asked = borrowed.pgconn  # psycopg itself waits for an answer without end
        asked.send_query(b"SELECT 1")
        asked.flush()
        answers = select.poll()  # select.select() takes no more than 1,024 open files
        answers.register(asked.socket, select.POLLIN)
        if not answers.poll(ANSWER_SECONDS * 1000):
            borrowed.close()
            raise psycopg.OperationalError("no answer in time")
        while answer := asked.get_result():
            if answer.status != ExecStatus.TUPLES_OK:
                raise psycopg.OperationalError("the connection is broken")


def _migrations() -> tuple[bool, str]:
    """Whether the tables are as this release wants them."""
    global _migrated  # noqa: PLW0603 - a fact about this process
    if not _migrated:
        executor = MigrationExecutor(connection)
        _migrated = not executor.migration_plan(executor.loader.graph.leaf_nodes())
    return _migrated, "applied" if _migrated else "not applied yet"


def _redis() -> tuple[bool, str]:
    with asking_redis() as client:
        client.ping()
    return True, "answers"


def _queues() -> tuple[bool, str]:
    with asking_redis() as client:
        lengths = [f"{queue} {client.llen(queue)}" for queue in QUEUES]
    unsent = Outbox.objects.filter(sent_at=None).count()
    running = Job.objects.filter(state="running").count()
    return True, f"waiting: {', '.join(lengths)}; not sent yet: {unsent}; jobs running: {running}"


def _workers() -> tuple[bool, str]:
    missing = [queue for queue in QUEUES if queue not in _served(_now())]
    if missing:
        return False, f"nobody works on: {', '.join(missing)}"
    return True, f"at work on: {', '.join(QUEUES)}"


@lru_cache(maxsize=1)
def _served(_: int) -> frozenset[str]:
    """Queues that a worker listens to. One that is busy answers as well."""
    answers = app.control.inspect(timeout=ANSWER_SECONDS).active_queues() or {}
    return frozenset(queue["name"] for queues in answers.values() for queue in queues)


def _now() -> int:
    return int(time.monotonic() / REMEMBER_SECONDS)


def _model() -> tuple[bool, str]:
    """One that takes a single image must be there; one for pairs adds to it."""
    kinds = ModelVersion.InputKind
    active = {
        version.input_kind: str(version) for version in ModelVersion.objects.filter(active=True)
    }
    of_pairs = active.get(kinds.BEFORE_AFTER, "none, so images from before cannot be compared")
    return kinds.AFTER in active, f"{active.get(kinds.AFTER, 'none')}; for pairs: {of_pairs}"


def _store() -> tuple[bool, str]:
    if not os.access(settings.UNOSAT_STORE, os.W_OK):
        return False, "cannot be written"
    fault = store.fault()
    return not fault, fault or "writable"


def _sandbox() -> tuple[bool, str]:
    missing = sandbox.missing_layers()
    lacks = f"; missing on this machine: {', '.join(missing)}" if missing else ""
    return True, ", ".join(sandbox.layers()) + lacks
