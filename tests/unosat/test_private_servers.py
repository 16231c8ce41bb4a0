"""Test sessions that begin at the same time do not trip over each other."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.private_servers import remove_remainders

NO_PROCESS = 2**22 + 1  # Linux gives no process a number above 2**22
SESSIONS = 4


def test_sessions_that_begin_at_once_all_clear_up_what_killed_ones_left(tmp_path: Path) -> None:
    for number in range(200):
        (tmp_path / f"unosat-test-{NO_PROCESS + number}" / "postgres").mkdir(parents=True)
    gate = threading.Barrier(SESSIONS)

    def begin(_: int) -> None:
        gate.wait()
        remove_remainders(tmp_path)

    with ThreadPoolExecutor(SESSIONS) as sessions:
        list(sessions.map(begin, range(SESSIONS)))  # raises what one of them raised

    assert list(tmp_path.iterdir()) == []


def test_a_session_that_runs_keeps_its_folder_and_a_number_is_used_again(tmp_path: Path) -> None:
    running, ours, strange = (
        tmp_path / f"unosat-test-{owner}" for owner in (os.getppid(), os.getpid(), "notes")
    )
    for folder in (running, ours, strange):
        folder.mkdir()

    remove_remainders(tmp_path)

    assert sorted(tmp_path.iterdir()) == sorted([running, strange])
