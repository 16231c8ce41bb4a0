"""Whose turn it is: which shard a free worker takes up next.

A message names no shard, it only says that there is work: so a continent that was queued first
stands in nobody's way. Urgent assessments come first, then those of the organisation for which
fewest shards are being worked on, then the oldest. Two workers that ask at the same moment do not
see each other's choice; the next one evens that out.
"""

from collections import Counter
from collections.abc import Collection
from uuid import UUID

from django.db import transaction
from django.db.models import Case, OuterRef, Subquery, Value, When
from django.db.models.functions import Now

from unosat.assessments import shardlog
from unosat.assessments.models import Assessment, Shard
from unosat.ops import leases
from unosat.ops.leases import Lease

CANDIDATES = 20  # so many workers may empty the first ones between our look and our claim


def claim_next(*, without: Collection[UUID] = ()) -> Lease | None:
    """Start an attempt at the shard whose turn it is; None if none waits.

    Args:
        without: model versions that this worker cannot load.
    """
    for assessment_id in _in_turn(without):
        lease = _claim_first_of(assessment_id)
        if lease is not None:
            return lease
    return None


def _in_turn(without: Collection[UUID]) -> list[UUID]:
    """Assessments with shards that wait, in the order in which they are served."""
    # The first one, not whether there is one: that PostgreSQL answers by reading every shard.
    waiting = Shard.objects.filter(assessment=OuterRef("pk"), state=leases.WAITING)
    first_waiting = waiting.order_by("index").values("index")[:1]
    rows = Assessment.objects.alias(waits=Subquery(first_waiting)).filter(
        state=Assessment.State.RUNNING, waits__isnull=False
    )
    in_turn = rows.exclude(model_version__in=without).order_by(
        "-urgent", *_served(_busy()), "created_at", "pk"
    )
    return list(in_turn.values_list("pk", flat=True)[:CANDIDATES])


def _served(busy: Counter[UUID]) -> list[Case]:
    """Order by the number of shards of an assessment's organisation that are being worked on."""
    whens = [When(organisation=pk, then=Value(shards)) for pk, shards in busy.items()]
    return [Case(*whens, default=Value(0))] if whens else []


def _busy() -> Counter[UUID]:
    """How many shards of each organisation are being worked on."""
    running = Shard.objects.filter(state=leases.RUNNING, lease_until__gte=Now())
    return Counter(running.values_list("assessment__organisation_id", flat=True))


def _claim_first_of(assessment_id: UUID) -> Lease | None:
    with transaction.atomic():
        waiting = Shard.objects.filter(assessment_id=assessment_id, state=leases.WAITING)
        free = waiting.select_for_update(skip_locked=True).order_by("index")
        shard = free.only("pk", "attempt", "log").first()
        if shard is None:
            return None
        began = f"attempt {shard.attempt + 1} began on {leases.worker_name()}"
        return leases.claim(
            Shard,
            shard.pk,
            tiles_done=0,
            waiting_because="",
            log=shardlog.noted(shard.log, began),
        )
