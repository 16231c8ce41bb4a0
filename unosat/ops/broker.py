"""A private Redis: no TCP port, a socket in a folder nobody else may enter."""

import shutil
import signal
import subprocess
import time

import redis

from unosat.ops import processes
from unosat.ops.errors import MissingProgram, ServerDidNotStart
from unosat.ops.folders import Folders

SOCKET = "redis.sock"
START_SECONDS = 20.0
STOP_SECONDS = 10.0
POLL_SECONDS = 0.05


def url(folders: Folders) -> str:
    """The broker as ``UNOSAT_REDIS_URL`` names it: redis-py's form."""
    return f"unix://{folders.sockets / SOCKET}?db=0"


def start(folders: Folders, *, throwaway: bool = False) -> subprocess.Popen[bytes]:
    """Start Redis and wait until it answers.

    Args:
        folders: where its snapshot, socket and log lie.
        throwaway: keep nothing on the disk.

    Raises:
        MissingProgram: Redis is not installed.
        ServerDidNotStart: it ended or stayed silent; its log says why.
    """
    if shutil.which("redis-server") is None:
        raise MissingProgram("redis-server")
    socket = folders.sockets / SOCKET
    socket.unlink(missing_ok=True)
    command = ["redis-server", "--port", "0", "--unixsocket", str(socket)]
    command += ["--unixsocketperm", "700", "--dir", str(folders.redis), "--daemonize", "no"]
    command += ["--save", "" if throwaway else "60 1", "--maxmemory-policy", "noeviction"]
    log = folders.logs / "redis.log"
    process = processes.start(processes.guarded(command, death_signal="TERM"), log=log)
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        if _answers(folders):
            return process
        time.sleep(POLL_SECONDS)
    stop(process)
    raise ServerDidNotStart(f"Redis: see {log}")


def stop(process: subprocess.Popen[bytes]) -> None:
    """Stop Redis; it writes its snapshot first."""
    processes.stop(process, signal.SIGTERM, seconds=STOP_SECONDS)


def _answers(folders: Folders) -> bool:
    client = redis.Redis.from_url(url(folders))
    try:
        return bool(client.ping())
    except (redis.ConnectionError, redis.TimeoutError):
        return False
    finally:
        client.close()
