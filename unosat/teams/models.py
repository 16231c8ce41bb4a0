"""How many people share one assessment: areas, second looks, adjudication, control buildings."""

import secrets
import uuid

from django.conf import settings
from django.contrib.gis.db import models
from django.db.models import Q

from detection.grades import Grade
from unosat.assessments.models import Assessment
from unosat.review.models import Building
from unosat.scenes.models import WGS84


class Answer(models.TextChoices):
    """What a person can say of a building without changing it."""

    NO_DAMAGE = Grade.NO_DAMAGE.value, "no damage"
    MINOR_DAMAGE = Grade.MINOR_DAMAGE.value, "minor damage"
    MAJOR_DAMAGE = Grade.MAJOR_DAMAGE.value, "major damage"
    DESTROYED = Grade.DESTROYED.value, "destroyed"
    NO_BUILDING = "no_building", "no building"
    UNSURE = "unsure", "unsure"


KNOWN_ANSWERS = [answer for answer in Answer.values if answer != Answer.UNSURE]


def new_salt() -> str:
    """Makes the choice of second looks unforeseeable, and the same each time it is made."""
    return secrets.token_hex(16)


class TeamArea(models.Model):
    """A part of an assessment that one person reviews. Areas do not overlap.

    Whose area a building is in is asked of its outline each time, never stored: buildings are
    added and moved. ``number`` decides where one lies on a border: the lower one has it.
    """

    class State(models.TextChoices):
        """FREE -> CLAIMED -> FINISHED; released or opened again it is FREE."""

        FREE = "free"
        CLAIMED = "claimed"
        FINISHED = "finished"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    assessment = models.ForeignKey(Assessment, on_delete=models.CASCADE, related_name="team_areas")
    number = models.PositiveIntegerField()
    label = models.CharField(max_length=40)
    outline = models.PolygonField(srid=WGS84)
    rectangular = models.BooleanField()  # a cell of a split: a box inside its box is inside it
    state = models.CharField(max_length=10, choices=State, default=State.FREE)
    assigned_to = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    # who works on it, or has finished it
    held_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    held_since = models.DateTimeField(null=True, blank=True)
    heard_at = models.DateTimeField(null=True, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["assessment", "number"], name="areas_numbered_once"),
            models.UniqueConstraint(
                fields=["assessment", "held_by"],
                condition=Q(state="claimed"),
                name="one_claimed_area_per_person",
            ),
            models.CheckConstraint(
                condition=Q(state="claimed", lease_until__isnull=False)
                | (~Q(state="claimed") & Q(lease_until__isnull=True)),
                name="claimed_areas_have_a_lease",
            ),
            models.CheckConstraint(
                condition=~Q(state="free") | Q(held_by__isnull=True),
                name="free_areas_have_no_holder",
            ),
        ]

    def __str__(self) -> str:
        return f"area {self.label} of {self.assessment_id}: {self.state}"


class SecondLookPlan(models.Model):
    """Which share of an assessment is looked at twice, and how many control buildings come in."""

    assessment = models.OneToOneField(
        Assessment, on_delete=models.CASCADE, related_name="second_look_plan"
    )
    share_percent = models.PositiveSmallIntegerField(default=10)  # of the decided buildings
    control_percent = models.PositiveSmallIntegerField(default=0)  # of the looks that are served
    salt = models.CharField(max_length=32, default=new_salt)
    set_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    changed_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(share_percent__lte=100, control_percent__lte=50),
                name="second_look_shares_are_percents",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.share_percent} % of {self.assessment_id}"


class ControlBuilding(models.Model):
    """A building whose answer is known, to see how well people judge."""

    class Source(models.TextChoices):
        """How the answer came to be known."""

        MARKED = "marked"
        ADJUDICATED = "adjudicated"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    building = models.OneToOneField(Building, on_delete=models.CASCADE, related_name="control")
    answer = models.CharField(max_length=15, choices=Answer)
    source = models.CharField(max_length=11, choices=Source)
    set_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    made_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(answer__in=KNOWN_ANSWERS), name="control_answer_is_known"
            ),
        ]

    def __str__(self) -> str:
        return f"control {self.building_id}: {self.answer}"


class SecondLook(models.Model):
    """One person's blind look at one building; ``control`` is set where the answer was known.

    Reserved when it is served (``answer`` is "" and the lease runs), then answered once. It never
    changes the Building. ``first`` is what stood when it was answered.
    """

    class Because(models.TextChoices):
        """Why this building."""

        SHARE = "share"
        FLAGGED = "flagged"
        CONTROL = "control"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    assessment = models.ForeignKey(
        Assessment, on_delete=models.CASCADE, related_name="second_looks"
    )
    building = models.ForeignKey(Building, on_delete=models.CASCADE, related_name="second_looks")
    control = models.ForeignKey(
        ControlBuilding, null=True, on_delete=models.CASCADE, related_name="looks"
    )
    because = models.CharField(max_length=10, choices=Because)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    lease_until = models.DateTimeField()
    answer = models.CharField(max_length=15, choices=Answer, blank=True)
    answered_at = models.DateTimeField(null=True, blank=True)
    first = models.CharField(max_length=15, choices=Answer, blank=True)
    first_user = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    on_version = models.PositiveIntegerField(null=True)  # of the building, when answered
    served_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["building"],
                condition=Q(control__isnull=True),
                name="one_second_look_per_building",
            ),
            models.UniqueConstraint(
                fields=["building", "user"], name="nobody_looks_twice_at_a_building"
            ),
            models.CheckConstraint(
                condition=Q(first_user__isnull=True) | ~Q(first_user=models.F("user")),
                name="second_looks_are_by_somebody_else",
            ),
            models.CheckConstraint(
                condition=Q(answer="", answered_at__isnull=True)
                | (~Q(answer="") & Q(answered_at__isnull=False)),
                name="answered_looks_have_a_time",
            ),
            models.CheckConstraint(
                condition=Q(answer="") | Q(control__isnull=False) | ~Q(first=""),
                name="answered_second_looks_have_a_first",
            ),
        ]
        indexes = [
            models.Index(fields=["assessment", "answered_at"], name="looks_in_order"),
        ]

    def __str__(self) -> str:
        return f"second look at {self.building_id} by {self.user_id}"


class Adjudication(models.Model):
    """How a third person settled a disagreement. The Decision is in the building's history."""

    look = models.OneToOneField(SecondLook, on_delete=models.CASCADE, related_name="adjudication")
    answer = models.CharField(max_length=15, choices=Answer)
    decision = models.UUIDField(unique=True)  # of review.Decision; made by the client
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    made_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"adjudication of {self.look_id}: {self.answer}"
