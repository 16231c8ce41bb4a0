"""Waiting for what other processes do."""

import time
from collections.abc import Callable

from unosat.assessments.models import Assessment, Shard
from unosat.ops.models import Job
from unosat.scenes.models import Fetch

PATIENCE_SECONDS = 500.0  # of a machine that does much else
POLL_SECONDS = 0.1


def wait(true: Callable[[], bool]) -> None:
    """Return once it is true.

    Raises:
        AssertionError: it did not become true in time; the message says where all work stands.
    """
    end = time.monotonic() + PATIENCE_SECONDS
    while not true():
        assert time.monotonic() < end, where_work_stands()
        time.sleep(POLL_SECONDS)


def where_work_stands() -> dict[str, list[tuple[object, ...]]]:
    """Runs, shards, jobs and imports, at most twenty of each."""
    return {
        "runs": list(Assessment.objects.values_list("state", "failure_message")[:20]),
        "shards": list(
            Shard.objects.values_list("state", "attempt", "interruptions", "tiles_done", "log")[:20]
        ),
        "jobs": list(Job.objects.values_list("kind", "state", "attempt", "interruptions")[:20]),
        "imports": list(Fetch.objects.values_list("state", "failure_message")[:20]),
    }
