"""How an assessment's second looks stand: what waits, and how far people agree. Reads only."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from unosat.accounts.actors import Actor
from unosat.assessments import selectors as assessment_selectors
from unosat.teams import agreement, choosing, looks, selectors
from unosat.teams.agreement import Agreement
from unosat.teams.models import Adjudication, Answer, SecondLook

RATED = [answer for answer in Answer if answer != Answer.UNSURE]


@dataclass(frozen=True, slots=True)
class AgreementFacts:
    """Cohen's kappa of an assessment.

    Attributes:
        overall: over all answers; unsure is one of them.
        per_answer: of each grade, and of "no building", against all other answers together.
        share_percent: of the decided buildings that are looked at twice, as it is now.
    """

    overall: Agreement
    per_answer: dict[str, Agreement]
    share_percent: int


@dataclass(frozen=True, slots=True)
class Looks:
    """What waits and what is done.

    Attributes:
        done: answered second looks, controls not among them.
        flagged: of these, done only because somebody flagged the building.
        waiting: buildings that wait for a second look by anybody.
        for_me: of these, those that the reader may look at.
        disagree: answered looks that differ from the first answer.
        to_settle: of these, not settled yet.
        to_settle_by_me: of these, those that the reader may settle.
    """

    share_percent: int
    control_percent: int
    done: int
    flagged: int
    waiting: int
    for_me: int
    disagree: int
    to_settle: int
    to_settle_by_me: int


def must_see(actor: Actor, assessment_id: UUID) -> None:
    """Let in those who review, of the assessment's organisation.

    Raises:
        Forbidden: partners and programs do not review.
        NotFound: the assessment is not the organisation's.
    """
    selectors.must_review(actor)
    assessment_selectors.must_exist(actor, assessment_id)


def looks_now(actor: Actor, assessment_id: UUID) -> Looks:
    """What waits for whom.

    Raises:
        Forbidden: partners and programs do not review.
        NotFound: the assessment is not the organisation's.
    """
    user_id = selectors.must_review(actor)
    mine = len(looks.to_settle(actor, assessment_id))
    plan = choosing.plan_of(assessment_id)
    done = _answered(assessment_id)
    to_settle = looks.disagreements(assessment_id).count()
    return Looks(
        share_percent=plan.share_percent,
        control_percent=plan.control_percent,
        done=done.count(),
        flagged=done.filter(because=SecondLook.Because.FLAGGED).count(),
        waiting=choosing.waiting(plan),
        for_me=choosing.left_for(plan, user_id) + len(choosing.open_looks(assessment_id, user_id)),
        disagree=to_settle + Adjudication.objects.filter(look__in=done).count(),
        to_settle=to_settle,
        to_settle_by_me=mine,
    )


def agreement_of(assessment_id: UUID) -> AgreementFacts:
    """Kappa of the pairs (first, second) as they were before adjudication.

    Only of buildings that the dice chose: those that somebody flagged are harder than the rest.
    The reader was let in before.
    """
    pairs = list(
        _answered(assessment_id)
        .filter(because=SecondLook.Because.SHARE)
        .values_list("first", "answer")
    )
    return AgreementFacts(
        overall=agreement.kappa(pairs),
        per_answer={one.value: agreement.kappa_of(one.value, pairs) for one in RATED},
        share_percent=choosing.plan_of(assessment_id).share_percent,
    )


def exported(assessment_id: UUID) -> dict[str, Any]:
    """What a file of the assessment says of agreement; nothing before the first second look."""
    if not _answered(assessment_id).exists():
        return {}
    facts = agreement_of(assessment_id)
    told = {
        "method": "Cohen's kappa of first and second blind answers, before adjudication; "
        "random share, stratified by first answer; 95 % intervals",
        "overall": _told(facts.overall),
        "per_answer": {name: _told(one) for name, one in facts.per_answer.items()},
        "disagreements_not_settled": looks.disagreements(assessment_id).count(),
    }
    return {"agreement": told}


def _answered(assessment_id: UUID) -> QuerySet[SecondLook]:
    return SecondLook.objects.filter(assessment_id=assessment_id, control=None).exclude(answer="")


def _told(one: Agreement) -> dict[str, Any]:
    numbers = {"kappa": one.kappa, "low": one.low, "high": one.high}
    return {
        "pairs": one.pairs,
        "agree": one.agree,
        **{name: None if n is None else round(n, 4) for name, n in numbers.items()},
        **({"why_not": one.why_not} if one.why_not else {}),
    }
