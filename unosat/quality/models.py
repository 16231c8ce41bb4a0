"""A random sample of an assessment, frozen when it is drawn, and what people judged of it.

A measurement: answers never change a Building.
"""

import uuid

from django.conf import settings
from django.contrib.gis.db import models
from django.contrib.postgres.fields import ArrayField
from django.db.models import Q

from unosat.assessments.models import Assessment
from unosat.review.models import GRADES, Building
from unosat.scenes.models import WGS84

NO_BUILDING = "no_building"
CANNOT_JUDGE = "cannot_judge"
JUDGED = "judged"
TRUE_GRADES = [grade for grade in GRADES if grade != "unclassified"]
SAID_OF_ITEMS = [*TRUE_GRADES, NO_BUILDING, CANNOT_JUDGE]
ITEM_ANSWERS = ["", *SAID_OF_ITEMS]
SQUARE_ANSWERS = ["", JUDGED, CANNOT_JUDGE]


class Sample(models.Model):
    """Which buildings and squares are judged. Nothing but its state changes once it is drawn."""

    class State(models.TextChoices):
        """OPEN -> DONE when everything is judged, or WITHDRAWN."""

        OPEN = "open"
        DONE = "done"
        WITHDRAWN = "withdrawn"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    assessment = models.ForeignKey(Assessment, on_delete=models.CASCADE, related_name="samples")
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    seed = models.BigIntegerField()
    # [{"stratum": ..., "size": buildings in it, "sampled": of them}], and the same of squares
    strata = models.JSONField()
    square_strata = models.JSONField()
    side_m = models.FloatField()  # of a square; 0 where there are none
    expected = models.JSONField()  # half widths that were stated before anybody judged
    last_building = models.BigIntegerField()  # those added later are not in it
    state = models.CharField(max_length=10, choices=State, default=State.OPEN)
    drawn_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["assessment"], condition=Q(state="open"), name="one_open_sample"
            ),
            models.CheckConstraint(
                condition=~Q(state="done") | Q(finished_at__isnull=False),
                name="done_samples_were_finished",
            ),
        ]

    def __str__(self) -> str:
        return f"sample {self.pk}: {self.state}"


class Judged(models.Model):
    """What buildings and squares of a sample have in common: who gets it, who judged it."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    place = models.PositiveIntegerField()  # in the random order of judging
    stratum = models.CharField(max_length=15)
    probability = models.FloatField()  # of being in the sample
    outline = models.PolygonField(srid=WGS84, spatial_index=False)
    answer = models.CharField(max_length=15, blank=True, default="")
    judged_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    judged_at = models.DateTimeField(null=True, blank=True)
    # of every answer that was applied, made by the browser: one that comes again is known by it
    answer_ids = ArrayField(models.UUIDField(), default=list, blank=True)
    offered_to = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    offered_until = models.DateTimeField(null=True, blank=True)

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return f"{self.pk}: {self.answer or 'not judged'}"


class Item(Judged):
    """One building of a sample, with its outline as it was when the sample was drawn."""

    sample = models.ForeignKey(Sample, on_delete=models.CASCADE, related_name="items")
    building = models.ForeignKey(Building, on_delete=models.CASCADE, related_name="+")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["sample", "place"], name="items_placed_once"),
            models.UniqueConstraint(fields=["sample", "building"], name="buildings_sampled_once"),
            models.CheckConstraint(condition=Q(answer__in=ITEM_ANSWERS), name="item_answer_known"),
            models.CheckConstraint(
                condition=Q(answer="") | Q(judged_by__isnull=False), name="items_judged_by_somebody"
            ),
            models.CheckConstraint(
                condition=Q(probability__gt=0, probability__lte=1), name="item_probability_possible"
            ),
        ]


class Square(Judged):
    """A square of the ground, in which somebody marks what was missed."""

    sample = models.ForeignKey(Sample, on_delete=models.CASCADE, related_name="squares")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["sample", "place"], name="squares_placed_once"),
            models.CheckConstraint(
                condition=Q(answer__in=SQUARE_ANSWERS), name="square_answer_known"
            ),
            models.CheckConstraint(
                condition=Q(answer="") | Q(judged_by__isnull=False),
                name="squares_judged_by_somebody",
            ),
            models.CheckConstraint(
                condition=Q(probability__gt=0, probability__lte=1),
                name="square_probability_possible",
            ),
        ]


class Missed(models.Model):
    """A building in a square that no outline shows."""

    square = models.ForeignKey(Square, on_delete=models.CASCADE, related_name="missed")
    point = models.PointField(srid=WGS84, spatial_index=False)
    grade = models.CharField(max_length=15)  # unclassified: a building whose damage cannot be told

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(grade__in=GRADES), name="missed_grade_known")
        ]

    def __str__(self) -> str:
        return f"missed building, {self.grade}"
