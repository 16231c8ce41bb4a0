"""What has been decided since: for pages whose live line was down, or lost a piece of news."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import Max, Q
from django.utils import timezone

from unosat import moments
from unosat.accounts.actors import Actor
from unosat.assessments import selectors as assessment_selectors
from unosat.errors import BadRequest
from unosat.review.models import Decision

# A decision is seen only once it is committed, and that may be after one that was made later. So
# each look begins a little earlier than the last one ended; whoever asks knows decisions by id.
OVERLAP = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Since:
    """A page of decisions in their order.

    Attributes:
        decisions: oldest first.
        next: where the next page begins; None on the last.
        seen: what to ask after the next time.
    """

    decisions: list[Decision]
    next: str | None
    seen: str


def decisions_since(actor: Actor, assessment_id: UUID, after: str, limit: int) -> Since:
    """Decisions made after a place in time, in order.

    Args:
        actor: who asks.
        assessment_id: of which assessment.
        after: ``next`` or ``seen`` of an earlier answer; "" to only learn where now is.
        limit: at most so many.

    Raises:
        NotFound: the assessment is not the organisation's.
        BadRequest: ``after`` is neither.
    """
    assessment_selectors.must_exist(actor, assessment_id)
    seen = (timezone.now() - OVERLAP).isoformat()
    if not after:
        return Since([], None, seen)
    made_at, last = _place(after)
    later = Q(made_at__gt=made_at)
    later |= Q(made_at=made_at, pk__gt=last) if last else Q(made_at=made_at)
    rows = Decision.objects.filter(later, assessment_id=assessment_id)
    found = list(rows.select_related("user", "building").order_by("made_at", "pk")[: limit + 1])
    shown = found[:limit]
    more = len(found) > limit
    return Since(shown, f"{shown[-1].made_at.isoformat()}_{shown[-1].pk}" if more else None, seen)


def latest(actor: Actor, assessment_id: UUID) -> datetime | None:
    """When the newest decision was made; None if there is none. Raises NotFound."""
    assessment_selectors.must_exist(actor, assessment_id)
    found = Decision.objects.filter(assessment_id=assessment_id).aggregate(at=Max("made_at"))
    at: datetime | None = found["at"]
    return at


def _place(after: str) -> tuple[datetime, UUID | None]:
    moment, _, last = after.partition("_")
    try:
        return moments.read_ours(moment), UUID(last) if last else None
    except ValueError as error:
        raise BadRequest(
            "after", "Give as after what next or seen of an earlier answer said."
        ) from error
