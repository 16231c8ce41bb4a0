"""Why the model gave a building its grade: asked for, made by a worker, kept as a picture."""

from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

from django.db import transaction

from unosat.accounts.actors import Actor
from unosat.ops import jobs, leases
from unosat.ops import store as files
from unosat.ops.leases import Lease
from unosat.review import selectors
from unosat.review.errors import NoExplanation, NothingToExplain
from unosat.review.models import Building, Explanation, Footprint

State = Explanation.State


@dataclass(frozen=True, slots=True)
class Said:
    """What the model said of the chip that was looked at.

    Attributes:
        grade: as it would be reported.
        score: that it is a building, in [0, 1].
        probabilities: by grade; they may differ a little from the footprint's, which were found in
            a whole tile.
        model: ``name@version``.
    """

    grade: str
    score: float
    probabilities: dict[str, float]
    model: str


def ask(actor: Actor, assessment_id: UUID, uid: UUID) -> Explanation:
    """Have a building explained; one that exists or is under way is not made again.

    Raises:
        NotFound: the building is not the organisation's.
        NothingToExplain: an analyst drew it.
    """
    footprint = _footprint(selectors.building(actor, assessment_id, uid))
    with transaction.atomic():
        row, made = Explanation.objects.select_for_update().get_or_create(footprint=footprint)
        if made:
            jobs.enqueue("explain", row.pk, actor.organisation_id)
        elif row.state == State.FAILED:
            row.state, row.failure_code, row.failure_message = State.WAITING, "", ""
            row.save()
            jobs.enqueue_again("explain", row.pk, actor.organisation_id)
    return row


def find(actor: Actor, assessment_id: UUID, uid: UUID) -> Explanation:
    """What became of it.

    Raises:
        NotFound: the building is not the organisation's.
        NoExplanation: nobody has asked.
    """
    building = selectors.building(actor, assessment_id, uid)
    row = Explanation.objects.filter(footprint__building=building).first()
    if row is None:
        raise NoExplanation(str(uid))
    return row


def picture(actor: Actor, assessment_id: UUID, uid: UUID) -> str:
    """The PNG's key in the store.

    Raises:
        NotFound: the building is not the organisation's.
        NoExplanation: it is not ready.
    """
    row = find(actor, assessment_id, uid)
    if row.state != State.READY:
        raise NoExplanation(f"{uid}: {row.state}")
    return row.picture_key


def store(lease: Lease, row: Explanation, said: Said) -> None:
    """Note that the picture is written; nothing if another worker has taken over.

    The picture of what was deleted meanwhile goes: nobody else knows of it.
    """
    with transaction.atomic():
        if not leases.finish(lease):
            return
        ready = Explanation.objects.filter(pk=row.pk).update(state=State.READY, said=asdict(said))
    if not ready:
        files.remove(row.picture_key)


def job_failed(pk: UUID, code: str, message: str) -> None:
    """Called in the transaction in which its job fails."""
    Explanation.objects.filter(pk=pk).update(
        state=State.FAILED, failure_code=code, failure_message=message
    )


def described(row: Explanation, picture_url: str) -> dict[str, Any]:
    """For the API: what a model said is null until it is ready."""
    ready = row.state == State.READY
    return {
        "state": row.state,
        "said": row.said if ready else None,
        "picture": picture_url if ready else None,
        "failure_code": row.failure_code or None,
        "failure_message": row.failure_message or None,
    }


def _footprint(building: Building) -> Footprint:
    if building.footprint is None:
        raise NothingToExplain(str(building.uid))
    return building.footprint
