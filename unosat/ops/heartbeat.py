"""The thread that keeps a lease alive while its worker is busy, on a connection of its own."""

import logging
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from django.conf import settings
from django.db import DatabaseError, connections

from unosat.ops import leases
from unosat.ops.leases import Lease

log = logging.getLogger(__name__)

BEATS_PER_LEASE = 6  # so many may fail before the lease is lost
SLOWEST_BEAT_SECONDS = 2.0  # progress on the screen is at most this old


class Heartbeat:
    """Renews a lease until the block ends; ``lost`` is set once that is no longer possible.

    A stopped database is waited for: the lease may then run out, and another attempt take over,
    which is noticed at the next beat and again when the work is to be finished.
    """

    def __init__(
        self,
        lease: Lease,
        facts: Callable[[], dict[str, Any]] = dict,
        after_beat: Callable[[], None] | None = None,
    ) -> None:
        """Prepare a heartbeat.

        Args:
            lease: what to renew.
            facts: columns of the row to note with each beat, such as how many tiles are done.
            after_beat: called in the thread after a beat that changed ``facts``.
        """
        self.lost = threading.Event()
        self._lease = lease
        self._facts = facts
        self._after_beat = after_beat
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        every = min(settings.UNOSAT_LEASE_SECONDS / BEATS_PER_LEASE, SLOWEST_BEAT_SECONDS)
        noted: dict[str, Any] = {}
        try:
            while not self._ended.wait(every) and not self.lost.is_set():
                noted = self._beat(noted)
        finally:
            connections.close_all()

    def _beat(self, noted: dict[str, Any]) -> dict[str, Any]:
        facts = self._facts()
        try:
            if not leases.renew(self._lease, **facts):
                self.lost.set()
            elif facts != noted and self._after_beat:
                self._after_beat()
        except DatabaseError:
            log.warning("heartbeat failed", extra={"lease": str(self._lease.pk)}, exc_info=True)
            connections.close_all()
            return noted
        return facts
