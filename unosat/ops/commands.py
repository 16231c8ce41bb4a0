"""The command lines of the application's own processes: one place for make run and the tests."""

import sys
from collections.abc import Sequence

QUEUES = ("light", "ingest", "detect", "train")
CELERY = [sys.executable, "-m", "celery", "-A", "unosat.celery"]


def web_command(host: str, port: int) -> list[str]:
    """The web process.

    Open event streams get 3 seconds at a shutdown, else they would hold it. Each request begins
    with no context of the one before: after an upload, asyncio would hand the next request of that
    connection a context whose threads have ended (CPython issue 140947), and cut its answer off.
    """
    listen = ["--host", host, "--port", str(port), "--timeout-graceful-shutdown", "3"]
    quiet = ["--lifespan", "off", "--no-server-header", "--log-level", "warning"]
    server = [sys.executable, "-m", "uvicorn", "unosat.asgi:application"]
    return [*server, *listen, *quiet, "--reset-contextvars"]


def beat_command() -> list[str]:
    """The clock. It keeps no file: every period is short, or harmless to begin anew."""
    return [*CELERY, "beat", "--scheduler", "celery.beat:Scheduler", "--pidfile="]


def worker_command(queues: Sequence[str], *, name: str, log_level: str = "INFO") -> list[str]:
    """A worker with one pool child, because torch may start only in the child.

    Args:
        queues: some of ``QUEUES``. "light" (outbox, sweeper) has a worker of its own in
            production, so that no long conversion holds it up.
        name: unlike any other worker's.
        log_level: Celery's; at INFO every task is two lines.
    """
    pool = ["--pool", "prefork", "--concurrency", "1"]
    calm = ["--without-gossip", "--without-mingle", "--loglevel", log_level]
    return [*CELERY, "worker", "-Q", ",".join(queues), "-n", f"{name}@%h", *pool, *calm]
