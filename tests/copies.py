"""Whole copies of the project, started as ``make run`` starts one once its set-up is done."""

import contextlib
import os
import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.live import PROJECT, free_port
from unosat.ops import processes
from unosat.ops.folders import prepare_folders, reachable

START_SECONDS = 120.0
POLL_SECONDS = 0.1
DEBIANS_PYTHON = Path(
    "/usr/bin/python3.11"
)  # every user may run it; the tests' own may lie in a home
FOREIGN = ("UNOSAT_", "DJANGO_")  # what the tests' own settings have put into the environment


@dataclass(frozen=True, slots=True)
class Copy:
    """A copy of the project, without anything that a start makes.

    Attributes:
        project: its folder.
        port: asked for; None: the supervisor finds one.
        account: who starts it; None: ourselves.
        python: an interpreter which that account may run.
    """

    project: Path
    port: int | None
    account: str | None = None
    python: Path = Path(sys.executable)

    @property
    def url(self) -> str:
        """Where its page is, if a port was asked for."""
        return f"http://127.0.0.1:{self.port}/"

    @contextlib.contextmanager
    def start(self) -> Iterator[subprocess.Popen[str]]:
        """Start the supervisor; kill it if it still runs at the end of the block."""
        env = {name: text for name, text in os.environ.items() if not name.startswith(FOREIGN)}
        if self.port:
            env["UNOSAT_PORT"] = str(self.port)
        if self.account:
            env["HOME"] = str(self.project.parent)
        become = processes.as_account(self.account) if self.account else []
        with subprocess.Popen(
            [*become, str(self.python), "-m", "unosat.ops.supervisor"],
            cwd=self.project,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    def processes(self) -> list[str]:
        """Command lines of the processes that belong to it."""
        marks = [str(self.project), *(str(folder) for folder in self._folders_outside())]
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

    def await_workers(self) -> None:
        """Return when every worker takes tasks."""
        deadline = time.monotonic() + START_SECONDS
        folder = self.project / "var" / "log"
        logs = [folder / f"{queue}.log" for queue in ("ingest", "detect", "train")]
        while not all(log.exists() and " ready." in log.read_text() for log in logs):
            assert time.monotonic() < deadline
            time.sleep(POLL_SECONDS)

    def ends(self, *, seconds: float) -> bool:
        """Whether every process of it ends within some seconds."""
        deadline = time.monotonic() + seconds
        while (left := self.processes()) and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
        return not left

    def remove(self) -> None:
        """Remove what it keeps outside of its folder."""
        for folder in self._folders_outside():
            shutil.rmtree(folder, ignore_errors=True)

    def _folders_outside(self) -> set[Path]:
        """Ours only: another account's copy lies in a place where it needs none."""
        if self.account:
            return set()
        var = self.project / "var"
        folders = prepare_folders(var)
        return {folders.postgres.parent, folders.sockets} - {var, var / "run"}


def copy_project(project: Path) -> Copy:
    """Copy what a start needs; large files and the front end's build are links to ours."""
    project.mkdir(parents=True)
    ignored = shutil.ignore_patterns("__pycache__", "node_modules", "*.safetensors")
    for folder in ("unosat", "detection"):
        shutil.copytree(PROJECT / folder, project / folder, ignore=ignored)
    for weights in (PROJECT / "detection").rglob("*.safetensors"):
        (project / weights.relative_to(PROJECT)).symlink_to(weights)
    shutil.copy(PROJECT / "manage.py", project)
    (project / "frontend").mkdir()
    (project / "frontend" / "dist").symlink_to(PROJECT / "frontend" / "dist")
    return Copy(project, free_port())


def lines_until(process: subprocess.Popen[str], wanted: str) -> list[str]:
    """What a process says, up to the line that begins with ``wanted``."""
    assert process.stdout is not None
    said: list[str] = []
    for line in process.stdout:
        said.append(line)
        if line.startswith(wanted):
            return said
    raise AssertionError("it ended first:\n" + "".join(said))


def python_for(account: str, home: Path) -> Path:
    """An interpreter with our packages for another account, to whom ``home`` is given.

    Skips the test where that account cannot reach the packages.
    """
    packages = Path(sysconfig.get_path("purelib"))
    if not reachable(packages, account) or not DEBIANS_PYTHON.exists():
        pytest.skip(f"{account} can reach neither our packages nor a Python of its own here")
    subprocess.run([DEBIANS_PYTHON, "-m", "venv", "--without-pip", home / "venv"], check=True)
    (own,) = (home / "venv" / "lib").glob("python*/site-packages")
    (own / "ours.pth").write_text(f"{packages}\n")
    subprocess.run(["chown", "--recursive", account, home], check=True)
    return home / "venv" / "bin" / "python"
