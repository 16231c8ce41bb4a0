"""How a log line looks: time, level, logger, message, then the facts given as ``extra``."""

import logging

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_DROPPED = frozenset({"request", "server_time", "data"})  # whole objects, set by Django or Celery


class FactsFormatter(logging.Formatter):
    """Appends the record's own facts as ``name=value`` after a constant message."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """Format one record on one line (a traceback follows on its own lines)."""
        facts = {
            name: value
            for name, value in vars(record).items()
            if name not in _STANDARD and name not in _DROPPED and not name.startswith("_")
        }
        head, newline, rest = super().format(record).partition("\n")
        return " ".join([head, *(f"{k}={v!r}" for k, v in facts.items())]) + newline + rest
