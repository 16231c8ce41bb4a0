"""Everything that ``make run`` starts, in one process that leaves nothing behind.

PostgreSQL and Redis (unless the environment names others), migrations, the demonstration, then
web, beat and workers. A child that dies is started again; Ctrl-C, SIGTERM and kill -9 end all.
"""

import contextlib
import fcntl
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from unosat.ops import broker, postgres, processes
from unosat.ops.commands import QUEUES, beat_command, web_command, worker_command
from unosat.ops.errors import AlreadyRunning, PortTaken, ServerDidNotStart, StartError
from unosat.ops.folders import Folders, prepare_folders, private_folder

PROJECT = Path(__file__).resolve().parent.parent.parent
LOOPBACK = ("127.0.0.1", "localhost")
FIRST_PORT, LAST_PORT = 8000, 8099
POLL_SECONDS = 0.5
ANSWER_SECONDS = 120.0  # a slow machine's first page
FINISH_SECONDS = 6.0  # uvicorn's 3 for open event streams, and as much again
SHORTEST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 30.0
SETTLED_SECONDS = 60.0  # after a life this long, the next death is the first of a row again


@dataclass(frozen=True, slots=True)
class Address:
    """Where the web process listens."""

    host: str
    port: int

    @property
    def url(self) -> str:
        """What to open in a browser."""
        return f"http://{self.host}:{self.port}/"


@dataclass(slots=True)
class Service:
    """One child: how it is started and stopped, and what became of it.

    Attributes:
        name: also of its log.
        start: starts it and returns its process.
        stop_signal: what it understands as "finish".
        process: the present one.
        started: monotonic time of the last start, in seconds.
        pause: seconds to wait before the next start, while it keeps dying.
        due: monotonic time of the next start; None while it runs.
    """

    name: str
    start: Callable[[], subprocess.Popen[bytes]]
    stop_signal: signal.Signals = signal.SIGTERM
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    pause: float = SHORTEST_PAUSE_SECONDS
    due: float | None = field(default=0.0)


def main() -> int:
    """Run until told to stop; exit code 0 after a stop that was asked for."""
    stopping = threading.Event()
    for sig in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(sig, lambda *_: stopping.set())
    var = PROJECT / "var"
    var.mkdir(mode=0o711, exist_ok=True)
    try:
        with _lock(var / "run.lock") as lock:
            _run(var, lock, stopping)
    except AlreadyRunning as running:
        print(f"Already running: {running}")
        return 0
    except StartError as error:
        print(f"{error.user_message} ({error})", file=sys.stderr)
        return 1
    return 0


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[TextIO]:
    """Hold the folder; the file's text is the address, for whoever comes second.

    Raises:
        AlreadyRunning: another supervisor holds it.
    """
    with path.open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise AlreadyRunning(lock.read().strip() or "it is just starting") from None
        lock.truncate(0)
        yield lock
        lock.truncate(0)


def _run(var: Path, lock: TextIO, stopping: threading.Event) -> None:
    host = os.environ.get("UNOSAT_HOST", LOOPBACK[0])
    with reserved_port(host) as port:
        _run_at(Address(host, port), var, lock, stopping)


def _run_at(address: Address, var: Path, lock: TextIO, stopping: threading.Event) -> None:
    folders = prepare_folders(var)
    private_folder(var / "store")
    keys = load_secrets(var / "secrets.json")
    env = os.environ | made_environment(folders, keys, address)
    write_environment(var / "environment", env)
    servers = _private_servers(folders, keys)
    children = _children(address, env, folders)
    try:
        for service in servers:
            start_due(service)
        start_due(children[0])  # the web process: nobody hears its address before all is ready
        _manage("prepare", env=env, stopping=stopping)
        _serve(children, servers, address=address, lock=lock, stopping=stopping)
    finally:
        stop_all(children)
        for service in reversed(servers):
            stop_all([service])


def _serve(
    children: Sequence[Service],
    servers: Sequence[Service],
    *,
    address: Address,
    lock: TextIO,
    stopping: threading.Event,
) -> None:
    """Start the children, say where the page is once it answers, and keep them all alive.

    The first child is the web process. The others wait until it answers: it is what people wait
    for, and all at once they would share its processors.
    """
    told, patience = False, time.monotonic() + ANSWER_SECONDS
    while not stopping.is_set():
        for service in (*servers, *(children if told else children[:1])):
            tend(service)
        if not told and answers(address):
            told = True
            print(f"Open {address.url}   (Ctrl-C stops everything)", flush=True)
            lock.write(address.url)
            lock.flush()
        if not told and time.monotonic() > patience:
            raise ServerDidNotStart("the web process: see var/log/web.log")
        stopping.wait(POLL_SECONDS)
    print("Stopping ...", flush=True)


def tend(service: Service) -> None:
    """Note that a service died, or start it again when its pause is over.

    Each death in quick succession doubles the pause, so that one that cannot start does not eat
    the machine.
    """
    if service.process is not None and service.process.poll() is not None:
        code = service.process.returncode
        processes.kill_session(service.process)
        service.process = None
        if time.monotonic() - service.started > SETTLED_SECONDS:
            service.pause = SHORTEST_PAUSE_SECONDS
        _postpone(service)
        print(f"{service.name} ended with code {code}; starting it again", file=sys.stderr)
    if service.due is not None and time.monotonic() >= service.due:
        try:
            start_due(service)
        except StartError as error:
            _postpone(service)
            print(f"{service.name}: {error.user_message} ({error})", file=sys.stderr)


def _postpone(service: Service) -> None:
    service.due = time.monotonic() + service.pause
    service.pause = min(2 * service.pause, LONGEST_PAUSE_SECONDS)


def start_due(service: Service) -> None:
    """Start a service now."""
    service.process = service.start()
    service.started, service.due = time.monotonic(), None


def stop_all(services: Sequence[Service], *, seconds: float = FINISH_SECONDS) -> None:
    """Ask all at once, wait once, then end what is left of each by force.

    A shard that does not finish in time is done again after the next start: its lease runs out.
    """
    running = [(s, s.process) for s in services if s.process is not None]
    for service, process in running:
        if process.poll() is None:
            process.send_signal(service.stop_signal)
    deadline = time.monotonic() + seconds
    for service, process in running:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(max(0.0, deadline - time.monotonic()))
        processes.kill_session(process)
        service.process = None


def load_secrets(path: Path) -> dict[str, str]:
    """Read this installation's secrets, making them at the first start; only we may read them."""
    if not path.exists():
        values = {"secret_key": secrets.token_urlsafe(48), "password": postgres.new_password()}
        _write_private(path, json.dumps(values))
    stored: dict[str, str] = json.loads(path.read_text())
    return stored


def made_environment(folders: Folders, keys: dict[str, str], address: Address) -> dict[str, str]:
    """What the children read beside our own environment; what that already says stands."""
    made = {
        "DJANGO_SETTINGS_MODULE": "unosat.settings",
        "PYTHONUNBUFFERED": "1",
        "UNOSAT_SECRET_KEY": keys["secret_key"],
        "UNOSAT_ALLOWED_HOSTS": ",".join(dict.fromkeys([*LOOPBACK, address.host])),
        "UNOSAT_DATABASE_URL": postgres.Cluster(folders, keys["password"]).url,
        "UNOSAT_REDIS_URL": broker.url(folders),
    }
    return made | {name: os.environ[name] for name in made.keys() & os.environ.keys()}


def write_environment(path: Path, env: Mapping[str, str]) -> None:
    """Leave our own variables where manage.py finds them, readable by nobody else."""
    ours = {name: value for name, value in sorted(env.items()) if name.startswith("UNOSAT_")}
    _write_private(path, "".join(f"{name}={value}\n" for name, value in ours.items()))


def _write_private(path: Path, text: str) -> None:
    half_made = path.with_name(f"{path.name}.new")
    half_made.unlink(missing_ok=True)
    half_made.touch(mode=0o600)
    half_made.write_text(text)
    half_made.rename(path)


def answers(address: Address) -> bool:
    """Whether the web process answers, with whatever page."""
    try:
        with urllib.request.urlopen(f"{address.url}accounts/login/", timeout=10):  # noqa: S310
            return True
    except urllib.error.HTTPError as error:
        return error.code < 500
    except OSError:
        return False


@contextlib.contextmanager
def reserved_port(host: str) -> Iterator[int]:
    """The port asked for, or the first free one; no other copy of the project gets it meanwhile.

    A port stays free until the web process listens, some seconds later: two copies that start
    together would choose the same one, and one of them would announce the other's page. So each
    holds a name in the kernel's abstract space, which ends with its process.

    Raises:
        PortTaken: it is not free, or none is.
    """
    wanted = os.environ.get("UNOSAT_PORT")
    ports = [int(wanted)] if wanted else range(FIRST_PORT, LAST_PORT + 1)
    for port in ports:
        with socket.socket(socket.AF_UNIX) as claim:
            try:
                claim.bind(f"\0unosat {host}:{port}")
                _must_be_free(host, port)
            except OSError:
                continue
            yield port
            return
    raise PortTaken(wanted or f"{FIRST_PORT} to {LAST_PORT}")


def _must_be_free(host: str, port: int) -> None:
    """Raise OSError if anybody listens there."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, port))


def _private_servers(folders: Folders, keys: dict[str, str]) -> list[Service]:
    """PostgreSQL and Redis, each unless the environment names another."""
    cluster = postgres.Cluster(folders, keys["password"])
    servers = []
    if "UNOSAT_DATABASE_URL" not in os.environ:
        servers.append(Service("postgres", lambda: postgres.start(cluster), signal.SIGINT))
    if "UNOSAT_REDIS_URL" not in os.environ:
        servers.append(Service("redis", lambda: broker.start(folders)))
    return servers


def _children(address: Address, env: dict[str, str], folders: Folders) -> list[Service]:
    def starter(name: str, command: list[str]) -> Callable[[], subprocess.Popen[bytes]]:
        log = folders.logs / f"{name}.log"
        guarded = processes.guarded(command)
        return lambda: processes.start(guarded, log=log, env=env, cwd=PROJECT)

    commands = {"web": web_command(address.host, address.port), "beat": beat_command()}
    for queue in QUEUES:  # the light queue has a task every 2 seconds: no line for each
        level = "WARNING" if queue == "light" else "INFO"
        commands[queue] = worker_command([queue], name=queue, log_level=level)
    return [Service(name, starter(name, command)) for name, command in commands.items()]


def _manage(*arguments: str, env: dict[str, str], stopping: threading.Event) -> None:
    """Run a management command to its end, or until we are told to stop.

    Its words appear on our terminal; the terminal's Ctrl-C reaches only us.
    """
    if stopping.is_set():
        return
    command = processes.guarded([sys.executable, "manage.py", *arguments])
    quiet = {"UNOSAT_LOG_LEVEL": "WARNING"} | env
    process = subprocess.Popen(command, env=quiet, cwd=PROJECT, start_new_session=True)
    while process.poll() is None and not stopping.wait(POLL_SECONDS / 10):
        pass
    processes.kill_session(process)
    if process.returncode and not stopping.is_set():
        raise ServerDidNotStart(f"manage.py {arguments[0]} failed; its message is above")


if __name__ == "__main__":
    sys.exit(main())
