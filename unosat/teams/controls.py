"""Control buildings: their answer is known, so they tell how well a person judges."""

from dataclasses import dataclass
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import Count, F, Q, QuerySet

from unosat.accounts.actors import Actor
from unosat.assessments import selectors as assessment_selectors
from unosat.errors import NotFound
from unosat.review import selectors as review_selectors
from unosat.teams import agreement, selectors
from unosat.teams.agreement import Share
from unosat.teams.errors import CannotSay, ControlTaken
from unosat.teams.models import KNOWN_ANSWERS, Adjudication, ControlBuilding, SecondLook

TOLD_FROM = 5  # answers, below which a person is not told their own score: it would tell which
# of the buildings just seen was a control


@dataclass(frozen=True, slots=True)
class Accuracy:
    """How one person judged the control buildings of an assessment.

    Attributes:
        unsure: among the answers; they count as not right.
        share: right of all answers, with its 95 % interval.
        mine: it is the reader's own.
    """

    name: str
    share: Share
    unsure: int
    mine: bool


def mark(actor: Actor, assessment_id: UUID, uid: UUID, answer: str) -> ControlBuilding:
    """Make a building a control whose answer an admin knows, from the ground, say.

    Raises:
        Forbidden: only admins do.
        NotFound: the building is not the organisation's.
        CannotSay: unsure is no known answer.
        ControlTaken: it is a control already.
    """
    actor.must_be("admin")
    user_id = actor.must_be_a_person()
    building = review_selectors.building(actor, assessment_id, uid)
    if answer not in KNOWN_ANSWERS:
        raise CannotSay(answer)
    try:
        with transaction.atomic():
            return ControlBuilding.objects.create(
                building=building,
                answer=answer,
                source=ControlBuilding.Source.MARKED,
                set_by_id=user_id,
            )
    except IntegrityError as error:
        raise ControlTaken(f"building {uid}") from error


def from_adjudications(actor: Actor, assessment_id: UUID) -> int:
    """Make controls of all that was adjudicated with a grade or as no building.

    Returns:
        How many are new.

    Raises:
        Forbidden: only admins do.
        NotFound: the assessment is not the organisation's.
    """
    actor.must_be("admin")
    user_id = actor.must_be_a_person()
    assessment_selectors.must_exist(actor, assessment_id)
    settled = Adjudication.objects.filter(
        look__assessment_id=assessment_id,
        answer__in=KNOWN_ANSWERS,
        look__building__control__isnull=True,
    ).select_related("look")
    made = [
        ControlBuilding(
            building_id=one.look.building_id,
            answer=one.answer,
            source=ControlBuilding.Source.ADJUDICATED,
            set_by_id=user_id,
        )
        for one in settled
    ]
    before = ControlBuilding.objects.count()
    ControlBuilding.objects.bulk_create(made, ignore_conflicts=True)
    return ControlBuilding.objects.count() - before


def remove(actor: Actor, control_id: UUID) -> UUID:
    """Let a building be an ordinary one again; what people answered to it goes with it.

    Returns:
        The assessment it was in.

    Raises:
        Forbidden: only admins do.
        NotFound: it is not the organisation's.
    """
    actor.must_be("admin")
    control = (
        ControlBuilding.objects.select_related("building")
        .filter(pk=control_id, building__organisation_id=actor.organisation_id)
        .first()
    )
    if control is None:
        raise NotFound(f"control {control_id}")
    control.delete()
    return control.building.assessment_id


def controls(actor: Actor, assessment_id: UUID) -> QuerySet[ControlBuilding]:
    """The control buildings with ``answered``, how often each was answered; for admins.

    Raises:
        Forbidden: only admins may know which they are.
        NotFound: the assessment is not the organisation's.
    """
    actor.must_be("admin")
    assessment_selectors.must_exist(actor, assessment_id)
    return (
        ControlBuilding.objects.filter(building__assessment_id=assessment_id)
        .select_related("building", "set_by")
        .annotate(answered=Count("looks", filter=~Q(looks__answer="")))
        .order_by("made_at", "pk")
    )


def accuracies(actor: Actor, assessment_id: UUID) -> list[Accuracy]:
    """How well people judged the controls: everybody's for admins, else one's own.

    One's own is told from ``TOLD_FROM`` answers on, so that a score that moves does not give away
    which building was a control.

    Raises:
        Forbidden: partners and programs do not review.
        NotFound: the assessment is not the organisation's.
    """
    user_id = selectors.must_review(actor)
    assessment_selectors.must_exist(actor, assessment_id)
    looks = SecondLook.objects.filter(assessment_id=assessment_id, control__isnull=False)
    looks = looks.exclude(answer="")
    if actor.role != "admin":
        looks = looks.filter(user_id=user_id)
    rows = (
        looks.values("user_id", "user__username")
        .annotate(
            among=Count("pk"),
            right=Count("pk", filter=Q(answer=F("control__answer"))),
            unsure=Count("pk", filter=Q(answer="unsure")),
        )
        .order_by("user__username")
    )
    return [
        Accuracy(
            name=row["user__username"],
            share=agreement.share(row["right"], row["among"]),
            unsure=row["unsure"],
            mine=row["user_id"] == user_id,
        )
        for row in rows
        if actor.role == "admin" or row["among"] >= TOLD_FROM
    ]
