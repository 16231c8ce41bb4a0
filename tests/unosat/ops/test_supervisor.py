"""make run's supervisor: what it starts, how it ends, and where the project may lie."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.live import PROJECT, free_port
from unosat.ops import processes, supervisor
from unosat.ops.folders import Folders, prepare_folders
from unosat.ops.supervisor import Address, Service

START_SECONDS = 120.0


# --- parts -----------------------------------------------------------------------------------


def service_of(command: list[str], tmp_path: Path) -> Service:
    """A service that runs a command."""
    start = lambda: processes.start(processes.guarded(command), log=tmp_path / "log")  # noqa: E731
    return Service("sample", start)


def test_a_child_that_dies_is_started_again(tmp_path: Path) -> None:
    service = service_of(["sleep", "600"], tmp_path)
    supervisor.tend(service)
    first = service.process
    assert first is not None
    first.kill()
    first.wait()

    supervisor.tend(service)
    assert service.due is not None
    service.due = 0.0  # the pause is over
    supervisor.tend(service)

    assert service.process not in (None, first)
    supervisor.stop_all([service])


def test_a_child_that_keeps_dying_is_started_less_and_less_often(tmp_path: Path) -> None:
    service = service_of(["false"], tmp_path)
    pauses = []

    for _ in range(7):
        service.due = 0.0
        supervisor.tend(service)
        assert service.process is not None
        service.process.wait()
        supervisor.tend(service)
        assert service.due is not None
        pauses.append(round(service.due - time.monotonic()))

    assert pauses == [1, 2, 4, 8, 16, 30, 30]


def test_all_children_are_stopped_within_one_wait(tmp_path: Path) -> None:
    stubborn = ["sh", "-c", "trap '' TERM; while :; do sleep 0.1; done"]
    services = [service_of(stubborn, tmp_path) for _ in range(3)]
    for service in services:
        supervisor.tend(service)
    time.sleep(0.2)
    begun = time.monotonic()

    supervisor.stop_all(services, seconds=0.5)

    assert time.monotonic() - begun < 1.4
    assert all(service.process is None for service in services)


def test_secrets_are_made_once_and_for_us_alone(tmp_path: Path) -> None:
    path = tmp_path / "secrets.json"

    first = supervisor.load_secrets(path)

    assert supervisor.load_secrets(path) == first
    assert path.stat().st_mode & 0o777 == 0o600
    assert min(len(value) for value in first.values()) >= 32


def test_what_the_environment_says_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNOSAT_ALLOWED_HOSTS", "damage.example.org")
    monkeypatch.delenv("UNOSAT_DATABASE_URL", raising=False)
    parts = [tmp_path / name for name in ("postgres", "redis", "run", "log")]

    made = supervisor.made_environment(
        Folders(*parts), {"secret_key": "s", "password": "p"}, Address("127.0.0.1", 8000)
    )

    assert made["UNOSAT_ALLOWED_HOSTS"] == "damage.example.org"
    assert made["UNOSAT_DATABASE_URL"].startswith("postgis://unosat:p@/")


# --- the whole, in a copy of the project -----------------------------------------------------


@dataclass(frozen=True, slots=True)
class Copy:
    """A copy of the project, without anything that a start makes."""

    project: Path
    port: int

    @contextlib.contextmanager
    def start(self) -> Iterator[subprocess.Popen[str]]:
        """Start the supervisor as ``make run`` does after its set-up; kill it if it still runs."""
        foreign = ("UNOSAT_", "DJANGO_")
        env = {name: text for name, text in os.environ.items() if not name.startswith(foreign)}
        with subprocess.Popen(
            [sys.executable, "-m", "unosat.ops.supervisor"],
            cwd=self.project,
            env=env | {"UNOSAT_PORT": str(self.port)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Copy]:
    """The project in a 0700 home and a path of at least 150 characters."""
    home = tmp_path_factory.mktemp("home")
    home.chmod(0o700)
    project = home / "a-long-name" / ("x" * max(1, 150 - len(str(home)) - 20)) / "project"
    project.mkdir(parents=True)
    assert len(str(project)) >= 150
    ignored = shutil.ignore_patterns("__pycache__", "node_modules", "*.safetensors")
    for folder in ("unosat", "detection"):
        shutil.copytree(PROJECT / folder, project / folder, ignore=ignored)
    for weights in (PROJECT / "detection").rglob("*.safetensors"):
        (project / weights.relative_to(PROJECT)).symlink_to(weights)
    shutil.copy(PROJECT / "manage.py", project)
    (project / "frontend").mkdir()
    (project / "frontend" / "dist").symlink_to(PROJECT / "frontend" / "dist")
    yield Copy(project, free_port())
    folders = prepare_folders(project / "var")
    for outside in {folders.postgres.parent, folders.sockets} - {project / "var"}:
        shutil.rmtree(outside, ignore_errors=True)


def lines_until(process: subprocess.Popen[str], wanted: str) -> list[str]:
    """What a process says, up to the line that begins with ``wanted``."""
    assert process.stdout is not None
    said: list[str] = []
    for line in process.stdout:
        said.append(line)
        if line.startswith(wanted):
            return said
    raise AssertionError("it ended first:\n" + "".join(said))


def processes_in(project: Path) -> list[str]:
    """Command lines of the processes that belong to a copy of the project."""
    folders = prepare_folders(project / "var")
    marks = (str(project), str(folders.sockets), str(folders.postgres))
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            place = str((entry / "cwd").readlink())
        except OSError:
            continue
        if command and any(mark in command or place.startswith(mark) for mark in marks):
            found.append(command)
    return found


def await_workers(project: Path) -> None:
    """Return when every worker takes tasks."""
    deadline = time.monotonic() + START_SECONDS
    logs = [project / "var" / "log" / f"{queue}.log" for queue in ("ingest", "detect", "train")]
    while not all(log.exists() and " ready." in log.read_text() for log in logs):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def nothing_left(project: Path, *, seconds: float) -> bool:
    """Whether every process of a copy ends within some seconds."""
    deadline = time.monotonic() + seconds
    while (left := processes_in(project)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return not left


def test_ctrl_c_leaves_nothing_behind(copy: Copy) -> None:
    with copy.start() as process:
        said = lines_until(process, "Open ")
        with urllib.request.urlopen(f"{copy.url}accounts/login/") as page:  # noqa: S310
            assert page.status == 200
        assert said[-1].startswith(f"Open {copy.url}")
        await_workers(copy.project)

        process.send_signal(signal.SIGINT)

        assert process.wait(60) == 0
    assert processes_in(copy.project) == []
    written = (copy.project / "var" / "environment").stat()
    assert written.st_mode & 0o077 == 0


def test_the_second_start_is_quick_and_names_no_secret(copy: Copy) -> None:
    secrets = json.loads((copy.project / "var" / "secrets.json").read_text())
    begun = time.monotonic()

    with copy.start() as process:
        said = "".join(lines_until(process, "Open "))
        took = time.monotonic() - begun
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0

    others = max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))  # who else wants a processor
    assert took < 15 * others
    assert "password" not in said.lower()  # the demonstration users were named at the first start
    assert not any(value in said for value in secrets.values())


def test_after_a_kill_nothing_is_left_and_the_next_start_works(copy: Copy) -> None:
    with copy.start() as process:
        lines_until(process, "Open ")
        assert len(processes_in(copy.project)) > 3

        process.kill()
        process.wait()

        assert nothing_left(copy.project, seconds=20)
    with copy.start() as process:
        lines_until(process, "Open ")

        with copy.start() as second:
            answer, _ = second.communicate(timeout=60)

        assert second.returncode == 0
        assert answer.strip() == f"Already running: {copy.url}"
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    assert processes_in(copy.project) == []


# --- set-up ----------------------------------------------------------------------------------

NEEDED = ("bash", "dirname", "basename", "mkdir", "chmod", "ls", "sort", "tail", "tr", "cat", "env")


@pytest.fixture
def poor_machine(tmp_path: Path) -> Callable[[], subprocess.CompletedProcess[str]]:
    """Run the set-up as a user who is not root, where redis-server is not installed."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in (*NEEDED, "pg_config", "python3"):
        found = shutil.which(name)
        if found:
            (programs / name).symlink_to(found)
    (programs / "id").write_text("#!/bin/bash\necho 1000\n")
    (programs / "id").chmod(0o755)
    project = tmp_path / "project"
    (project / "unosat" / "ops").mkdir(parents=True)
    shutil.copy(PROJECT / "unosat" / "ops" / "bootstrap.sh", project / "unosat" / "ops")

    def run() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(project / "unosat" / "ops" / "bootstrap.sh"), "server"],
            env={"PATH": str(programs)},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def test_without_root_one_line_says_what_to_install(
    poor_machine: Callable[[], subprocess.CompletedProcess[str]],
) -> None:
    answer = poor_machine()

    assert answer.returncode == 1
    assert answer.stdout == ""
    assert answer.stderr.count("\n") == 1
    assert "apt-get install" in answer.stderr
    assert "redis-server" in answer.stderr
