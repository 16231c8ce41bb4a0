"""Several decisions of one person in one request: each is as if it had been sent alone, in turn.

A page whose line was down has hundreds of them, and one round trip for each took minutes.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from unosat.accounts.actors import Actor
from unosat.assessments import selectors as assessment_selectors
from unosat.errors import RefusedError
from unosat.review import services
from unosat.review.errors import ChangedMeanwhile
from unosat.review.models import Building
from unosat.review.services import DecisionRequest

log = logging.getLogger(__name__)

MOST_AT_ONCE = 50  # a second's work: no more is to hold up one worker, or be sent again in vain


class Became(StrEnum):
    """What became of one decision."""

    APPLIED = "applied"
    CONFLICT = "conflict"
    REFUSED = "refused"
    FAILED = "failed"
    NOT_TRIED = "not_tried"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The answer to one decision.

    Attributes:
        id: the decision's.
        became: what became of it.
        building: that stands after it was applied; or that somebody else has changed.
        error: why it was refused, or met a change.
    """

    id: UUID
    became: Became
    building: Building | None = None
    error: RefusedError | None = None


def record_several(
    actor: Actor, assessment_id: UUID, decisions: Sequence[DecisionRequest]
) -> Iterator[Outcome]:
    """Record decisions in their order, each whole or not at all, whatever became of the others.

    Nothing is tried of a building after something of it was not applied: it was decided on what
    that would have made of it, and might fit by chance what somebody else made of it instead.
    After a fault of ours nothing more is tried. Both may be sent again: what was applied stays as
    it is.

    Yields:
        One outcome for each decision, in the same order.

    Raises:
        Forbidden: partners and programs do not decide.
        NotFound: the assessment is not the organisation's.
    """
    actor.must_be("analyst", "admin")
    actor.must_be_a_person()
    assessment_selectors.must_exist(actor, assessment_id)
    held: set[UUID] = set()
    broken = False
    for wanted in decisions:
        named = {one.building for one in wanted.others} | {wanted.building or wanted.id}
        if broken or named & held:
            outcome = Outcome(wanted.id, Became.NOT_TRIED)
        else:
            outcome = _record(actor, assessment_id, wanted)
        if outcome.became != Became.APPLIED:
            held |= named
        broken = broken or outcome.became == Became.FAILED
        yield outcome


def _record(actor: Actor, assessment_id: UUID, wanted: DecisionRequest) -> Outcome:
    try:
        building = services.record_decision(actor, assessment_id, wanted)
    except ChangedMeanwhile as error:
        return Outcome(wanted.id, Became.CONFLICT, error.building, error)
    except RefusedError as error:
        log.warning("refused", extra={"code": error.code, "why": str(error)})
        return Outcome(wanted.id, Became.REFUSED, error=error)
    except Exception:
        log.exception("decision failed", extra={"decision": str(wanted.id)})
        return Outcome(wanted.id, Became.FAILED)
    return Outcome(wanted.id, Became.APPLIED, building)
