"""make run's supervisor: what it starts, how it ends, and where the project may lie."""

import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests import long
from tests.copies import Copy, copy_project, lines_until, python_for
from tests.live import PROJECT, free_port
from unosat.ops import processes, supervisor
from unosat.ops.errors import PortTaken
from unosat.ops.folders import Folders
from unosat.ops.supervisor import Address, Service

ANALYSIS_SECONDS = 240.0  # of the demonstration, on a machine that does much else
AS_ROOT = os.geteuid() == 0
ORDINARY = "daemon"  # an account, with a group of its name, on every Debian


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

    supervisor.stop_all(services, seconds=3)

    assert time.monotonic() - begun < 8  # one after the other they would have 9 seconds
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


def test_copies_that_start_together_choose_different_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("UNOSAT_PORT", raising=False)

    with (
        supervisor.reserved_port("127.0.0.1") as mine,
        supervisor.reserved_port("127.0.0.1") as theirs,
    ):
        assert mine != theirs
    with supervisor.reserved_port("127.0.0.1") as again:
        assert again == mine


def test_a_port_that_somebody_asked_for_is_not_exchanged_for_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("UNOSAT_PORT", str(free_port()))

    with (
        supervisor.reserved_port("127.0.0.1"),
        pytest.raises(PortTaken),
        supervisor.reserved_port("127.0.0.1"),
    ):
        pass


# --- the whole, in a copy of the project -----------------------------------------------------


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Copy]:
    """The project in a 0700 home and a path of at least 150 characters."""
    home = tmp_path_factory.mktemp("home")
    home.chmod(0o700)
    project = home / "a-long-name" / ("x" * max(1, 150 - len(str(home)) - 20)) / "project"
    assert len(str(project)) >= 150
    copied = copy_project(project)
    yield copied
    copied.remove()


@pytest.fixture
def of_another_user() -> Iterator[Copy]:
    """A second copy, which belongs to somebody who is not root and runs it as such."""
    with tempfile.TemporaryDirectory(prefix="unosat-user-", dir="/tmp") as folder:
        home = Path(folder)  # not below pytest's, which nobody else may enter
        copied = replace(copy_project(home / "project"), port=None)
        if AS_ROOT:
            copied = replace(copied, account=ORDINARY, python=python_for(ORDINARY, home))
        yield copied


def test_ctrl_c_leaves_nothing_behind(copy: Copy) -> None:
    with copy.start() as process:
        said = lines_until(process, "Open ")
        with urllib.request.urlopen(f"{copy.url}accounts/login/") as page:  # noqa: S310
            assert page.status == 200
        assert said[-1].startswith(f"Open {copy.url}")
        copy.await_workers()

        process.send_signal(signal.SIGINT)

        assert process.wait(60) == 0
    assert copy.processes() == []
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
        assert len(copy.processes()) > 3

        process.kill()
        process.wait()

        assert copy.ends(seconds=20)
    with copy.start() as process:
        lines_until(process, "Open ")

        with copy.start() as second:
            answer, _ = second.communicate(timeout=60)

        assert second.returncode == 0
        assert answer.strip() == f"Already running: {copy.url}"
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    assert copy.processes() == []


@long.faults
@pytest.mark.timeout(900)
def test_an_ordinary_user_s_copy_runs_beside_it_and_analyses_its_demonstration(
    copy: Copy, of_another_user: Copy
) -> None:
    with copy.start(), of_another_user.start() as process:
        said = "".join(lines_until(process, "Open "))
        url, key = found_in(said, r"Open (\S+)"), found_in(said, r"(unosat_\S+)")
        with urllib.request.urlopen(f"{url}accounts/login/") as page:  # noqa: S310
            assert page.status == 200
        assert url != copy.url

        await_analysis(f"{url}api/v1/assessments", key)

        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
        assert of_another_user.processes() == []
        assert len(copy.processes()) > 3
    assert (of_another_user.project / "var" / "store").stat().st_mode & 0o077 == 0


def found_in(text: str, pattern: str) -> str:
    found = re.search(pattern, text)
    assert found, text
    return found[1]


def await_analysis(url: str, key: str) -> None:
    """Return when the only assessment is done and has found buildings."""
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {key}"})  # noqa: S310
    deadline = time.monotonic() + ANALYSIS_SECONDS
    while True:
        with urllib.request.urlopen(request) as answer:  # noqa: S310
            (row,) = json.load(answer)
        if row["state"] == "done":
            assert row["footprints_found"] > 0
            return
        assert row["state"] not in {"failed", "cancelled"}, row["failure_message"]
        assert time.monotonic() < deadline, row
        time.sleep(0.5)


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
