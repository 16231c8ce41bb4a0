"""Which workers are there: each says so itself, every few seconds, in Redis.

Asking them all through the queue would take a second at every look, and a dead one would not
answer at all. A record lives for ten minutes after its worker's last word, on Redis's own clock:
so one that went silent can still be named, and no two machines' clocks are compared.
"""

import json
import logging
import os
import shutil
import socket
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, cast

import redis
from celery import bootsteps
from django.conf import settings

from unosat.ops.quickly import asking_redis

log = logging.getLogger(__name__)

REPORT_SECONDS = 5.0
SILENT_SECONDS = 20.0  # four reports missed
KEPT_SECONDS = 600
NAMES = "unosat:workers"
RECORD = "unosat:worker:"
GPU_FACTS = ("index", "name", "utilization.gpu", "memory.used", "memory.total")
GPU_SECONDS = 3.0  # what a driver takes at most to say how busy it is


@dataclass(frozen=True, slots=True)
class Gpu:
    """One accelerator as its driver sees it.

    Attributes:
        index: among those that the worker's machine shows it.
        name: the maker's.
        busy: share of the last moments in which it computed, in [0, 1]; whoever used it.
        memory_used, memory_total: in MiB.
    """

    index: int
    name: str
    busy: float
    memory_used: float
    memory_total: float


@dataclass(frozen=True, slots=True)
class Worker:
    """One worker as it last described itself.

    Attributes:
        name: unlike any other's.
        host: of the machine or container.
        pids: of the processes that do its tasks; rows name them ``host:pid``.
        queues: what it works on.
        since: when it began.
        gpus: what its machine has.
        silent_seconds: since its last word.
    """

    name: str
    host: str
    pids: tuple[int, ...]
    queues: tuple[str, ...]
    since: datetime
    gpus: tuple[Gpu, ...]
    silent_seconds: float

    @property
    def alive(self) -> bool:
        """Whether it spoke lately."""
        return self.silent_seconds < SILENT_SECONDS

    @property
    def hands(self) -> frozenset[str]:
        """How rows name whoever works on them."""
        return frozenset(f"{self.host}:{pid}" for pid in self.pids)


def workers() -> list[Worker]:
    """Everybody who spoke within the last ten minutes, by name.

    Raises:
        redis.RedisError: it is away.
    """
    client = _client(settings.UNOSAT_REDIS_URL)
    names = sorted(str(name, "utf-8") for name in cast("set[bytes]", client.smembers(NAMES)))
    with client.pipeline(transaction=False) as asked:
        for name in names:
            asked.get(RECORD + name)
            asked.pttl(RECORD + name)
        answers = asked.execute()
    found = zip(names, answers[::2], answers[1::2], strict=True)
    gone = [name for name, record, _ in found if record is None]
    if gone:
        client.srem(NAMES, *gone)
    pairs = zip(answers[::2], answers[1::2], strict=True)
    return [_read(record, left) for record, left in pairs if record is not None and left > 0]


def report(worker: dict[str, Any]) -> None:
    """Say that a worker is there; if Redis is away, the next report may reach it."""
    name = str(worker["name"])
    try:
        with _client(settings.UNOSAT_REDIS_URL).pipeline() as said:
            said.set(RECORD + name, json.dumps(worker), ex=KEPT_SECONDS)
            said.sadd(NAMES, name)
            said.execute()
    except redis.RedisError as error:
        log.warning("presence not noted", extra={"why": str(error)})


def leave(name: str) -> None:
    """Say that a worker ended as it should."""
    try:
        _client(settings.UNOSAT_REDIS_URL).delete(RECORD + name)
    except redis.RedisError as error:
        log.warning("presence not taken back", extra={"why": str(error)})


def gpus() -> list[Gpu]:
    """What the NVIDIA driver says of each accelerator; empty where there is none.

    Its own program is asked, because the process that asks must not load torch.
    """
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    query = [program, f"--query-gpu={','.join(GPU_FACTS)}", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(
            query, capture_output=True, text=True, timeout=GPU_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        log.warning("the GPU driver does not answer", extra={"why": str(error)})
        return []
    lines = [line.split(", ") for line in done.stdout.splitlines()]
    return [found for parts in lines if (found := _gpu(parts)) is not None]


class Presence(bootsteps.StartStopStep):
    """The part of a Celery worker that reports. Begins again after each lost connection."""

    requires = ("celery.worker.consumer.events:Events",)  # a web process loads no worker

    def __init__(self, consumer: Any, **options: Any) -> None:  # noqa: ANN401 (Celery's)
        super().__init__(consumer, **options)
        self._since = datetime.now(UTC)
        self._timer: Any = None

    def start(self, consumer: Any) -> None:  # noqa: ANN401
        """Report now, and from now on."""
        self._report(consumer)
        self._timer = consumer.timer.call_repeatedly(REPORT_SECONDS, self._report, (consumer,))

    def stop(self, consumer: Any) -> None:  # noqa: ANN401, ARG002
        """Report no more: the connection is lost, or the worker ends."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def shutdown(self, consumer: Any) -> None:  # noqa: ANN401
        """Take leave."""
        self.stop(consumer)
        leave(consumer.hostname)

    def _report(self, consumer: Any) -> None:  # noqa: ANN401
        queues = sorted(queue.name for queue in consumer.app.amqp.queues.consume_from.values())
        pids = consumer.pool.info.get("processes", []) if consumer.pool else []
        report(
            {
                "name": consumer.hostname,
                "host": socket.gethostname(),
                "pids": list(pids) or [os.getpid()],
                "queues": queues,
                "since": self._since.isoformat(),
                "gpus": [asdict(gpu) for gpu in gpus()] if _uses_gpu(queues) else [],
            }
        )


def _uses_gpu(queues: Sequence[str]) -> bool:
    return settings.UNOSAT_DEVICE != "cpu" and not {"detect", "train"}.isdisjoint(queues)


def _gpu(parts: list[str]) -> Gpu | None:
    """One line of the driver's answer; None where it does not know how busy (shared ones)."""
    try:
        index, name, busy, used, total = parts
        return Gpu(int(index), name, float(busy) / 100, float(used), float(total))
    except ValueError:
        return None


def _read(record: bytes, left_ms: int) -> Worker:
    said = json.loads(record)
    return Worker(
        name=said["name"],
        host=said["host"],
        pids=tuple(said["pids"]),
        queues=tuple(said["queues"]),
        since=datetime.fromisoformat(said["since"]),
        gpus=tuple(Gpu(**gpu) for gpu in said["gpus"]),
        silent_seconds=KEPT_SECONDS - left_ms / 1000,
    )


@lru_cache(maxsize=2)
def _client(url: str) -> redis.Redis:
    return asking_redis(url)
