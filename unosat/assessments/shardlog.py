"""What is known of the attempts at one shard: kept in its row, so that it outlives its workers.

Lines come from this process's log while it works on the shard, and reach the row with each
heartbeat. After a kill -9 the row still says when each attempt began, on which worker, what was
logged until the last heartbeat, and how many tiles were done.
"""

import logging
from types import TracebackType
from typing import Self

from django.utils import timezone

from unosat.logs import FactsFormatter

MOST_CHARACTERS = 8000  # of the end; enough for a traceback and three attempts


class Recorder(logging.Handler):
    """Collects all that this process logs until the block ends; a worker does one shard at once."""

    def __init__(self, before: str) -> None:
        """Begin with what the row says already."""
        super().__init__()
        self.setFormatter(FactsFormatter())
        self.text = before

    def emit(self, record: logging.LogRecord) -> None:
        """Append one record."""
        self.text = with_line(self.text, self.format(record))

    def __enter__(self) -> Self:
        logging.getLogger().addHandler(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        logging.getLogger().removeHandler(self)


def noted(log: str, event: str) -> str:
    """The log with something that happened just now."""
    return with_line(log, f"{timezone.now():%Y-%m-%d %H:%M:%S} {event}")


def with_line(log: str, line: str) -> str:
    """The log with a line more, cut at its beginning; only what PostgreSQL can store."""
    clean = line.replace("\0", "").encode("utf-8", "replace").decode()
    return f"{log}{clean}\n"[-MOST_CHARACTERS:]
