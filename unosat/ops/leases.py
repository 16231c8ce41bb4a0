"""Leases: who works on a row, until when, and which attempt may finish it.

A Shard and a Job are worked on in the same way. The message that names one may arrive twice,
late or never, and its worker may die: so the row itself says whether there is anything to do.
Every change is one UPDATE that compares ``attempt`` before it sets, on the database's own clock.

``attempt`` counts claims and is the fence; ``interruptions`` counts only those whose worker fell
silent. Work that was given back, by a worker that was told to stop, say, is not suspected.
"""

import os
import socket
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import models
from django.db.models import Case, F, Q, QuerySet, Value, When
from django.db.models.functions import Now

WAITING = "waiting"
RUNNING = "running"
DONE = "done"

MAX_INTERRUPTIONS = 3  # work that has taken its worker down as often is given up


@dataclass(frozen=True, slots=True)
class Lease:
    """The right of one attempt to work on one row and to finish it.

    Attributes:
        model: the row's model; has state, attempt, interruptions, lease_until, heartbeat_at and
            worker.
        pk: the row.
        attempt: number of this attempt, 1 upwards; a newer one takes the right away.
    """

    model: type[models.Model]
    pk: int | UUID
    attempt: int

    @property
    def row(self) -> QuerySet[Any]:
        """The row, as long as this attempt holds it; else nothing."""
        rows: QuerySet[Any] = self.model._default_manager.filter(
            pk=self.pk, state=RUNNING, attempt=self.attempt
        )
        return rows


def claim(model: type[models.Model], pk: int | UUID, **facts: Any) -> Lease | None:  # noqa: ANN401 (columns of the row)
    """Start the next attempt at a row; None if there is nothing to do or somebody does it.

    A row can be claimed while it waits, or once the lease of whoever ran it has run out. What was
    interrupted too often cannot: the sweeper gives it up.
    """
    rows = model._default_manager
    silent = Q(state=RUNNING, lease_until__lt=Now())
    free = Q(state=WAITING) | (silent & _may_be_tried_again())
    seen = rows.filter(free, pk=pk).values_list("attempt", flat=True).first()
    if seen is None:
        return None
    counted = Case(When(silent, then=Value(1)), default=Value(0))
    won = rows.filter(free, pk=pk, attempt=seen).update(
        state=RUNNING,
        attempt=seen + 1,
        interruptions=F("interruptions") + counted,
        worker=worker_name(),
        **_renewed(),
        **facts,
    )
    return Lease(model, pk, seen + 1) if won else None


def renew(lease: Lease, **facts: Any) -> bool:  # noqa: ANN401 (columns of the row)
    """Prolong the lease and note ``facts`` in the row; False if the lease was lost."""
    return bool(lease.row.update(**_renewed(), **facts))


def finish(lease: Lease, state: str = DONE, **facts: Any) -> bool:  # noqa: ANN401 (columns of the row)
    """End the attempt; False if a newer one has taken over, and then store nothing.

    Call it in the same transaction that stores the result: both or neither.
    """
    return bool(lease.row.update(state=state, lease_until=None, **facts))


def release(lease: Lease, **facts: Any) -> bool:  # noqa: ANN401 (columns of the row)
    """Give the row back to wait for another attempt; False if the lease was lost."""
    return bool(lease.row.update(state=WAITING, lease_until=None, **facts))


def expired(model: type[models.Model]) -> QuerySet[Any]:
    """Rows whose worker has gone silent."""
    rows: QuerySet[Any] = model._default_manager.filter(state=RUNNING, lease_until__lt=Now())
    return rows


def requeue(model: type[models.Model], pk: int | UUID, attempt: int, **facts: Any) -> bool:  # noqa: ANN401 (columns of the row)
    """Let an expired row wait again; False if it is to be given up or is no longer expired."""
    return bool(
        expired(model)
        .filter(_may_be_tried_again(), pk=pk, attempt=attempt)
        .update(state=WAITING, lease_until=None, interruptions=F("interruptions") + 1, **facts)
    )


def worker_name() -> str:
    """This process, as rows and their logs name it."""
    return f"{socket.gethostname()}:{os.getpid()}"[:100]


def _may_be_tried_again() -> Q:
    """Of a row whose worker fell silent: that was not the last interruption it is allowed."""
    return Q(interruptions__lt=MAX_INTERRUPTIONS - 1)


def _renewed() -> dict[str, Any]:
    until = Now() + timedelta(seconds=settings.UNOSAT_LEASE_SECONDS)
    return {"lease_until": until, "heartbeat_at": Now()}
