"""The test stack itself: real processes on the test database, and nothing of them left."""

import urllib.request

from tests.conftest import StartWorker
from tests.live import Stack, gone


def test_the_stack_answers_and_a_killed_worker_is_gone(live_stack: Stack) -> None:
    worker = live_stack.start_worker("detect")

    with urllib.request.urlopen(f"{live_stack.url}accounts/login/") as page:  # noqa: S310
        assert page.status == 200
    live_stack.kill_worker(worker)

    assert gone(worker.pid)


def test_a_worker_takes_tasks_only_inside_its_block(worker: StartWorker) -> None:
    with worker(["light"]) as process:
        assert process.poll() is None

    assert gone(process.pid)
