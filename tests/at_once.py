"""The same work by several threads at the same moment, each with connections of its own."""

import threading
from collections.abc import Callable
from typing import TypeVar

from django.db import connections

PATIENCE_SECONDS = 120.0
T = TypeVar("T")


def at_once(work: Callable[[], T], times: int) -> list[T]:
    """What each of ``times`` threads came to; fails if one of them raised, or never ends."""
    start = threading.Barrier(times)
    results: list[T] = []
    errors: list[Exception] = []

    def run() -> None:
        start.wait(PATIENCE_SECONDS)
        try:
            results.append(work())
        except Exception as error:
            errors.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run) for _ in range(times)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(results) == times
    return results
