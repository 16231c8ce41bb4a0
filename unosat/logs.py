"""How a log line looks: one JSON object with time, level, logger, message and the facts about it.

Facts come from three places: ``extra`` of the call; the scope of the request or task under way,
whoever logs in it (the engine's loggers too); and, for threads that were started outside a
scope, the task that this process does: a worker's child does one at a time.
"""

import contextlib
import json
import logging
import sys
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_DROPPED = frozenset({"request", "server_time", "data"})  # whole objects, set by Django or Celery

_scope: ContextVar[Mapping[str, Any] | None] = ContextVar("unosat_log_scope", default=None)
_task: dict[str, Any] | None = None  # what this process does, where it is a worker's child


@contextlib.contextmanager
def scope(**facts: Any) -> Iterator[None]:  # noqa: ANN401 (whatever there is to say)
    """Put ``facts``, and those that ``add`` names meanwhile, on every line logged inside.

    Also a decorator: ``@logs.scope()``. Scopes inside one another add up.
    """
    token = _scope.set(dict(_scope.get() or {}) | _plain(facts))
    try:
        yield
    finally:
        _scope.reset(token)


def add(**facts: Any) -> None:  # noqa: ANN401 (whatever there is to say)
    """Add facts to the scope and the task under way; without either none can stay behind."""
    known = _scope.get()
    if known is not None:
        _scope.set(dict(known) | _plain(facts))
    if _task is not None:
        _task.update(_plain(facts))


def begin_task(**facts: Any) -> None:  # noqa: ANN401 (whatever there is to say)
    """Say what this process does from now on, for its own lines and those of its threads."""
    global _task  # noqa: PLW0603 - one task at a time is a fact about the whole process
    _task = _plain(facts)


def end_task() -> None:
    """The task is over; what follows is about nothing in particular."""
    global _task  # noqa: PLW0603
    _task = None


def facts_of(record: logging.LogRecord) -> dict[str, Any]:
    """Everything known about one record beside its message; what it says itself wins."""
    own = {
        name: value
        for name, value in vars(record).items()
        if name not in _STANDARD and name not in _DROPPED and not name.startswith("_")
    }
    return (_task or {}) | dict(_scope.get() or {}) | own


def formatter() -> logging.Formatter:
    """JSON for files and collectors; the same facts as text where a person looks on."""
    return FactsFormatter() if sys.stderr.isatty() else JsonFormatter()


class JsonFormatter(logging.Formatter):
    """One JSON object on one line; a traceback is a field of it."""

    def format(self, record: logging.LogRecord) -> str:
        """Format one record."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {name: value for name, value in facts_of(record).items() if name not in line}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)


class FactsFormatter(logging.Formatter):
    """Appends the facts as ``name=value`` after a constant message, for a terminal."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """Format one record on one line (a traceback follows on its own lines)."""
        head, newline, rest = super().format(record).partition("\n")
        facts = (f"{name}={value!r}" for name, value in facts_of(record).items())
        return " ".join([head, *facts]) + newline + rest


def _plain(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Ids as text; what is not known is left out."""
    return {
        name: value if isinstance(value, int | float) else str(value)
        for name, value in facts.items()
        if value is not None
    }
