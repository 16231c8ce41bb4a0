"""Nothing survives the process that started it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.live import gone
from unosat.ops import processes

PARENT = """
import sys, time
from pathlib import Path
from unosat.ops import processes
child = processes.start(processes.guarded(["sleep", "600"]), log=Path(sys.argv[1]))
print(child.pid, flush=True)
time.sleep(600)
"""
POOL = """
import multiprocessing, time
from unosat.ops.processes import die_with_parent

def work(pipe):
    die_with_parent()
    pipe.send(multiprocessing.current_process().pid)
    time.sleep(600)

if __name__ == "__main__":
    here, there = multiprocessing.Pipe()
    multiprocessing.Process(target=work, args=(there,)).start()
    print(here.recv(), flush=True)
    time.sleep(600)
"""


@pytest.mark.parametrize("script", [PARENT, POOL])
def test_a_child_dies_with_a_parent_that_was_killed(script: str, tmp_path: Path) -> None:
    command = [sys.executable, "-c", script, str(tmp_path / "log")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        os.kill(child, 0)

        parent.kill()

    assert gone(child)


def test_stopping_ends_what_a_process_started_too(tmp_path: Path) -> None:
    log = tmp_path / "log"
    script = "sleep 600 & echo $!; wait"
    process = processes.start(processes.guarded(["sh", "-c", script]), log=log)
    while not log.read_text().endswith("\n"):
        time.sleep(0.02)

    processes.stop(process, signal.SIGTERM, seconds=5)

    assert process.returncode == -signal.SIGTERM
    assert gone(int(log.read_text()))


def test_a_process_that_ignores_the_request_is_ended_by_force(tmp_path: Path) -> None:
    log = tmp_path / "log"
    script = "trap '' TERM; echo ready; while :; do sleep 0.1; done"
    process = processes.start(processes.guarded(["sh", "-c", script]), log=log)
    while "ready" not in log.read_text():
        time.sleep(0.02)

    processes.stop(process, signal.SIGTERM, seconds=0.3)

    assert process.returncode == -signal.SIGKILL


def test_a_log_that_grew_large_is_set_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "LOG_LIMIT_BYTES", 10)
    log = tmp_path / "web.log"
    log.write_text("much that was said before\n")

    processes.start(["echo", "new"], log=log).wait()

    assert log.read_text() == "new\n"
    assert (tmp_path / "web.old.log").read_text() == "much that was said before\n"
