"""Second looks: who is given which building, what they answer, and who settles a disagreement.

What a person who looks a second time is told: a picture, the outline in it, and nothing else. No
grade, no history, no name, no address of the building, and not whether it is a control building.
What cannot be hidden: analysts may open the review page in another tab, find the same roof there
and see its colour. The page of second looks therefore shows one building alone and links to none,
whoever has decided on a building is never given it, and agreement is reported as what it is.
"""

import hashlib
import logging
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now

from detection.grades import Grade
from unosat.accounts.actors import Actor
from unosat.assessments import selectors as assessment_selectors
from unosat.assessments.models import Assessment
from unosat.errors import NotFound
from unosat.review import services as review_services
from unosat.review.errors import NotDone
from unosat.review.models import Building, Decision
from unosat.review.services import DecisionRequest
from unosat.teams import choosing, selectors
from unosat.teams.errors import (
    CannotSay,
    LookAnswered,
    LookNotNeeded,
    LookTaken,
    NotForYou,
    Settled,
)
from unosat.teams.models import Adjudication, Answer, ControlBuilding, SecondLook, SecondLookPlan

log = logging.getLogger(__name__)

LEASE = timedelta(minutes=10)  # for one building; then somebody else may be given it
AT_ONCE = 5  # given to one person at most: the one looked at, and the next for a quick change
SPARE = 20  # further candidates, where others take the same at the same moment

# "I cannot tell" is a decision once review knows it; until then it settles nothing.
CAN_BE_UNSURE = "unsure" in Decision.Kind.values
VERDICTS = [a for a in Answer.values if a != Answer.UNSURE or CAN_BE_UNSURE]


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a third person settles a disagreement.

    Attributes:
        id: of the Decision, made by the client; sent twice, it is one.
        answer: one of ``VERDICTS``.
        on_version: of the building that the person looked at.
    """

    id: UUID
    answer: str
    on_version: int


def set_plan(
    actor: Actor, assessment_id: UUID, *, share_percent: int, control_percent: int
) -> SecondLookPlan:
    """Say how much of an assessment is looked at twice, and how often a control comes.

    Raises:
        Forbidden: only admins do.
        NotFound: the assessment is not the organisation's.
    """
    actor.must_be("admin")
    user_id = actor.must_be_a_person()
    assessment_selectors.must_exist(actor, assessment_id)
    plan = choosing.plan_of(assessment_id)
    plan.share_percent, plan.control_percent = share_percent, control_percent
    plan.set_by_id = user_id
    plan.save(update_fields=["share_percent", "control_percent", "set_by", "changed_at"])
    return plan


def serve(actor: Actor, assessment_id: UUID, count: int) -> tuple[list[SecondLook], int]:
    """Give a person the next buildings to look at, kept for them for ``LEASE``.

    Asked again, those given before and not answered come first.

    Returns:
        At most ``count`` looks (and ``AT_ONCE``), and how many wait for this person in all.

    Raises:
        Forbidden: partners and programs do not look.
        NotFound: the assessment is not the organisation's.
        NotDone: it has no buildings yet.
    """
    user_id = selectors.must_review(actor)
    row = assessment_selectors.assessment(actor, assessment_id)
    if row.state != Assessment.State.DONE:
        raise NotDone(f"assessment {row.pk} is {row.state}")
    plan = choosing.plan_of(row.pk)
    wanted = min(count, AT_ONCE)
    given = _kept(row.pk, user_id)
    for candidate in choosing.open_to(plan, user_id, wanted + SPARE):
        if len(given) >= wanted:
            break
        control = _control_instead(plan, user_id)
        look = control or _reserve(row.pk, candidate, user_id)
        if look is not None:
            given.append(look)
    return given[:wanted], choosing.left_for(plan, user_id) + len(given)


def answer(actor: Actor, look_id: UUID, said: str) -> SecondLook:
    """Record what a person says of a building; the Building stays as it is.

    Sent again with the same answer it is the same look.

    Raises:
        Forbidden, NotFound: as for ``serve``.
        LookTaken: the time ran out, and somebody else was given it.
        LookAnswered: another answer was given before.
        LookNotNeeded: nothing stands there to be looked at, or the person decided on it meanwhile.
        CannotSay: it is no answer.
    """
    user_id = selectors.must_review(actor)
    if said not in Answer.values:
        raise CannotSay(said)
    with transaction.atomic():
        look = _look(actor, look_id)
        building = Building.objects.select_for_update(of=("self",)).get(pk=look.building_id)
        look.refresh_from_db()
        if look.user_id != user_id:
            raise LookTaken(f"look {look_id}")
        if look.answer:
            if look.answer == said:
                return look
            raise LookAnswered(f"look {look_id}")
        if look.control_id is None and not _fill_first(look, building):
            look.delete()
            needed = False
        else:
            _keep(look, said)
            needed = True
    if not needed:  # after the commit, so that it is gone
        raise LookNotNeeded(f"look {look_id}")
    return look


def picture_of(actor: Actor, look_id: UUID) -> SecondLook:
    """A look whose picture this person may see: its own, or one to settle.

    Raises:
        Forbidden, NotFound: as for ``serve``; somebody else's look does not exist.
    """
    user_id = selectors.must_review(actor)
    look = _look(actor, look_id)
    if look.user_id != user_id and not _may_settle(actor, look):
        raise NotFound(f"look {look_id}")
    return look


def disagreements(assessment_id: UUID) -> QuerySet[SecondLook]:
    """Answered second looks that differ from the first answer and that nobody has settled."""
    return (
        SecondLook.objects.filter(
            assessment_id=assessment_id, control=None, adjudication__isnull=True
        )
        .exclude(answer="")
        .exclude(first=F("answer"))
        .select_related("building", "assessment")
        .order_by("answered_at", "pk")
    )


def to_settle(actor: Actor, assessment_id: UUID) -> list[SecondLook]:
    """The disagreements that this person may settle, oldest first.

    Raises:
        Forbidden, NotFound: as for ``serve``.
    """
    user_id = selectors.must_review(actor)
    assessment_selectors.must_exist(actor, assessment_id)
    people = _reviewer_ids(actor)
    return [
        look for look in disagreements(assessment_id) if _third(user_id, actor.role, look, people)
    ]


def settle(actor: Actor, look_id: UUID, verdict: Verdict) -> Adjudication:
    """Decide between two answers; the Building changes by an ordinary Decision.

    Raises:
        Forbidden, NotFound: as for ``serve``.
        NotForYou: the person is one of the two, and a third is there.
        Settled: somebody else has settled it, or the two agree.
        CannotSay: it settles nothing.
        ChangedMeanwhile: the building is at another version; it comes with the error.
    """
    user_id = selectors.must_review(actor)
    look = _look(actor, look_id)
    if verdict.answer not in VERDICTS:
        raise CannotSay(verdict.answer)
    with transaction.atomic():
        look = SecondLook.objects.select_for_update(of=("self",)).get(pk=look.pk)
        earlier = Adjudication.objects.filter(look=look).first()
        if earlier is not None:
            if earlier.decision == verdict.id:
                return earlier
            raise Settled(f"look {look_id}")
        if look.control_id is not None or not look.answer or look.answer == look.first:
            raise Settled(f"look {look_id}")
        if not _third(user_id, actor.role, look, _reviewer_ids(actor)):
            raise NotForYou(f"look {look_id}")
        review_services.record_decision(actor, look.assessment_id, _decision(look, verdict))
        made = Adjudication.objects.create(
            look=look, answer=verdict.answer, decision=verdict.id, user_id=user_id
        )
    log.info("settled", extra={"look": str(look.pk)})
    return made


def _kept(assessment_id: UUID, user_id: int) -> list[SecondLook]:
    """What the person was given before and still can answer, with a new lease."""
    spoilt = SecondLook.objects.filter(
        Q(building__decisions__user=user_id) | Q(building__updated_by=user_id),
        assessment_id=assessment_id,
        user_id=user_id,
        answer="",
    )
    SecondLook.objects.filter(pk__in=[look.pk for look in spoilt]).delete()
    kept = []
    for look in choosing.open_looks(assessment_id, user_id):
        if look.control_id is None and not choosing.is_decided(look.building):
            look.delete()
            continue
        rows = SecondLook.objects.filter(pk=look.pk, user_id=user_id, answer="")
        if rows.update(lease_until=Now() + LEASE):
            kept.append(look)
    return kept


def _reserve(assessment_id: UUID, candidate: choosing.Chosen, user_id: int) -> SecondLook | None:
    """Give one building to one person; None if somebody else was faster."""
    facts = {"user_id": user_id, "lease_until": Now() + LEASE, "because": candidate.because}
    try:
        with transaction.atomic():
            look = SecondLook.objects.create(
                assessment_id=assessment_id, building_id=candidate.building_id, **facts
            )
    except IntegrityError:  # given to somebody before; theirs may have run out
        stale = SecondLook.objects.filter(
            building_id=candidate.building_id, control=None, answer="", lease_until__lt=Now()
        )
        if not stale.update(**facts, served_at=Now()):
            return None
        look = SecondLook.objects.get(building_id=candidate.building_id, control=None)
        if look.user_id != user_id:
            return None
    return SecondLook.objects.select_related("building", "assessment").get(pk=look.pk)


def _control_instead(plan: SecondLookPlan, user_id: int) -> SecondLook | None:
    """Now and then a building whose answer is known, in the place of an unknown one.

    The dice are the salt, the person and how many looks they were given: nobody can foresee them.
    """
    if plan.control_percent == 0:
        return None
    served = SecondLook.objects.filter(assessment_id=plan.assessment_id, user_id=user_id).count()
    if _dice(plan.salt, user_id, served) % 100 >= plan.control_percent:
        return None
    rows = (
        ControlBuilding.objects.filter(building__assessment_id=plan.assessment_id)
        .exclude(set_by=user_id)
        .exclude(building__decisions__user=user_id)
        .exclude(building__updated_by=user_id)
        .exclude(building__second_looks__user=user_id)
        .exclude(building__second_looks__adjudication__user=user_id)
    )
    controls = sorted(rows, key=lambda one: _dice(plan.salt, user_id, one.building_id))
    if not controls:
        return None
    look = SecondLook.objects.create(
        assessment_id=plan.assessment_id,
        building_id=controls[0].building_id,
        control=controls[0],
        because=SecondLook.Because.CONTROL,
        user_id=user_id,
        lease_until=Now() + LEASE,
    )
    return SecondLook.objects.select_related("building", "assessment").get(pk=look.pk)


def _dice(salt: str, user_id: int, number: int) -> int:
    text = f"{salt}:{user_id}:{number}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def _look(actor: Actor, look_id: UUID) -> SecondLook:
    found = (
        SecondLook.objects.select_related("building", "assessment")
        .filter(pk=look_id, assessment__organisation_id=actor.organisation_id)
        .first()
    )
    if found is None:
        raise NotFound(f"look {look_id}")
    return found


def _fill_first(look: SecondLook, building: Building) -> bool:
    """Note what stands and who said so; False if there is nothing left to compare with."""
    deciders = Decision.objects.filter(building=building).exclude(kind__in=["flag", "unflag"])
    last = deciders.order_by("-number").first()
    first_user = last.user_id if last else building.updated_by_id
    own = Decision.objects.filter(building=building, user_id=look.user_id).exists()
    if own or first_user == look.user_id or not choosing.is_decided(building):
        return False
    look.first = choosing.stands_as(building)
    look.first_user_id = first_user
    look.on_version = building.version
    return True


def _keep(look: SecondLook, said: str) -> None:
    """Store the answer and, of a control, what is right."""
    SecondLook.objects.filter(pk=look.pk).update(
        answer=said,
        answered_at=Now(),
        first=look.first,
        first_user=look.first_user_id,
        on_version=look.on_version,
    )
    look.refresh_from_db()


def _may_settle(actor: Actor, look: SecondLook) -> bool:
    waits = disagreements(look.assessment_id).filter(pk=look.pk).exists()
    return waits and _third(actor.user_id or 0, actor.role, look, _reviewer_ids(actor))


def _third(user_id: int, role: str, look: SecondLook, people: set[int]) -> bool:
    """Neither of the two; where nobody else is there, an admin of the two, or else either."""
    two = {look.user_id, look.first_user_id}
    if user_id not in two:
        return True
    if people - two:
        return False
    admins = set(
        User.objects.filter(
            pk__in=[one for one in two if one], membership__role="admin", is_active=True
        ).values_list("pk", flat=True)
    )
    return role == "admin" or not admins


def _reviewer_ids(actor: Actor) -> set[int]:
    return set(selectors.reviewers(actor).values_list("pk", flat=True))


def _decision(look: SecondLook, verdict: Verdict) -> DecisionRequest:
    """The ordinary decision that an adjudication is; its reason tells both answers."""
    building = Building.objects.get(pk=look.building_id)
    said = f"Adjudicated: first {Answer(look.first).label}, second {Answer(look.answer).label}."
    facts: dict[str, Any] = {"kind": "regrade", "grade": None}
    if verdict.answer == Answer.NO_BUILDING:
        facts["kind"] = "reject"
    elif verdict.answer == Answer.UNSURE:
        facts |= {"kind": "unsure", "because": "other"}
    elif verdict.answer == building.grade and building.review != Building.Review.REJECTED:
        facts["kind"] = "accept"
    else:
        facts["grade"] = Grade(verdict.answer)
    return DecisionRequest(
        id=verdict.id,
        building=building.uid,
        on_version=verdict.on_version,
        reason=said,
        **facts,
    )
