"""Real processes of the application for tests: the same command lines that make run uses."""

import contextlib
import itertools
import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from signal import SIGTERM

import redis
from django.db import connection

from benchmarks.measures import processor_seconds
from tests import private_servers
from unosat.ops import processes
from unosat.ops.commands import beat_command, web_command, worker_command

PROJECT = Path(__file__).resolve().parent.parent
READY_SECONDS = 180.0  # of a machine that does much else
STOP_SECONDS = 10.0
QUIET_SECONDS = 60.0  # that a web process may take to end what it was asked; most take none
POLL_SECONDS = 0.1


@dataclass(slots=True)
class Stack:
    """Processes that work on the test database, all ended with the test.

    Attributes:
        logs: one file per process.
        url: of the web process, with a closing slash; "" before it was started.
        base: all that processes started from now on find in their environment, but for what each
            is given; None: the real settings, pointed at the test database.
    """

    logs: Path
    url: str = ""
    base: dict[str, str] | None = None
    _processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def start_worker(self, *queues: str, **env: str) -> subprocess.Popen[bytes]:
        """Start a worker for some queues; returns when it takes tasks. Keywords: environment."""
        return self._start_worker("unosat.celery", queues, env)

    def start_standin(self, *queues: str, **env: str) -> subprocess.Popen[bytes]:
        """Start a worker whose model waits instead of thinking; see ``tests.standin``."""
        return self._start_worker("tests.standin", queues, env)

    def _start_worker(
        self, app: str, queues: Sequence[str], env: dict[str, str]
    ) -> subprocess.Popen[bytes]:
        name = f"{'-'.join(queues)}-{next(self._numbers)}"
        command = [
            app if part == "unosat.celery" else part for part in worker_command(queues, name=name)
        ]
        process = self._start(command, name, env)
        log = self.logs / f"{name}.log"
        self._await(process, log, lambda: " ready." in log.read_text())
        return process

    def start_beat(self) -> subprocess.Popen[bytes]:
        """Start the clock that relays the outbox and sweeps leases."""
        return self._start(beat_command(), f"beat-{next(self._numbers)}", {})

    def start_web(self, port: int, **env: str) -> subprocess.Popen[bytes]:
        """Start the web process; returns when it answers."""
        name = f"web-{next(self._numbers)}"
        process = self._start(web_command("127.0.0.1", port), name, env)
        self.url = f"http://127.0.0.1:{port}/"
        self._await(process, self.logs / f"{name}.log", lambda: _answers(self.url))
        return process

    def kill_worker(self, process: subprocess.Popen[bytes]) -> None:
        """Kill -9 of a worker and its pool child; also for one that is dead already."""
        processes.kill_session(process)

    def stop_worker(self, process: subprocess.Popen[bytes]) -> None:
        """Let a worker finish what it does, for at most some seconds."""
        processes.stop(process, SIGTERM, seconds=STOP_SECONDS)

    def end(self) -> None:
        """End every process at once."""
        for process in self._processes:
            processes.kill_session(process)

    def _start(self, command: list[str], name: str, env: dict[str, str]) -> subprocess.Popen[bytes]:
        process = processes.start(
            processes.guarded(command),
            log=self.logs / f"{name}.log",
            env=(environment() if self.base is None else self.base) | env,
            cwd=PROJECT,
        )
        self._processes.append(process)
        return process

    def _await(
        self, process: subprocess.Popen[bytes], log: Path, ready: Callable[[], bool]
    ) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while process.poll() is None and time.monotonic() < deadline:
            if ready():
                return
            time.sleep(POLL_SECONDS)
        raise AssertionError(f"did not start:\n{log.read_text()[-4000:]}")


@contextlib.contextmanager
def processes_of(redis_url: str, logs: Path, *, url: str = "") -> Iterator[Stack]:
    """A stack without processes yet, on an empty queue; nothing of it outlives the block.

    Args:
        redis_url: of the queue.
        logs: the folder of its processes' logs.
        url: of a web process that others use too, before and after. The block ends when that
            process has answered all that it was asked, so that the database can be emptied.
    """
    client = redis.Redis.from_url(redis_url)
    client.flushall()
    client.close()
    stack = Stack(logs, url)
    try:
        yield stack
    finally:
        stack.end()
        if url:
            await_quiet_database()


def environment() -> dict[str, str]:
    """The real settings, pointed at the test database."""
    base, _, _ = private_servers.DATABASE_URL.rpartition("/")
    name = connection.settings_dict["NAME"]
    return dict(os.environ) | {
        "DJANGO_SETTINGS_MODULE": "unosat.settings",
        "UNOSAT_DATABASE_URL": f"{base}/{name}",
        "PYTHONUNBUFFERED": "1",
    }


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def await_quiet_database() -> None:
    """Wait until no other connection asks the test database anything, nor is about to commit."""
    deadline = time.monotonic() + QUIET_SECONDS
    while busy := _queries_of_others():
        assert time.monotonic() < deadline, f"still at work after the test: {busy}"
        time.sleep(POLL_SECONDS)


def cpu_seconds() -> float:
    """Processor time of this process and of its database connection: others' work is not in it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (pid,) = cursor.fetchone()
    return time.process_time() + processor_seconds(pid)


def gone(pid: int, *, seconds: float = 10.0) -> bool:
    """Whether a process ends within some seconds; a zombie nobody waits for has ended."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    return False


def _queries_of_others() -> list[str]:
    """What other connections to the test database are at, or have begun and not yet ended."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT query FROM pg_stat_activity WHERE datname = current_database()"
            " AND backend_type = 'client backend' AND pid <> pg_backend_pid() AND state <> 'idle'"
        )
        return [query for (query,) in cursor]


def _answers(url: str) -> bool:
    """Whether anything answers, an error page included: the test will see it sooner."""
    try:
        with urllib.request.urlopen(url, timeout=10):  # noqa: S310
            return True
    except urllib.error.HTTPError as error:
        error.close()
        return True
    except OSError:
        return False
