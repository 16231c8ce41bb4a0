"""What the model said, what people said of it, and what stands now."""

import uuid
from functools import partial

from django.conf import settings
from django.contrib.gis.db import models
from django.db import transaction
from django.db.models import Q
from django.db.models.signals import post_delete
from django.dispatch import receiver

from detection.grades import Grade
from unosat.accounts.models import Organisation
from unosat.assessments.models import Assessment
from unosat.ops import store
from unosat.scenes.models import WGS84

GRADE_CHOICES = [(grade.value, grade.value.replace("_", " ")) for grade in Grade]
GRADES = [grade.value for grade in Grade]
LAST_TURN = 2**31 - 1  # in the queue: of what has no place yet, and of what analysts added


class NoGradeBecause(models.TextChoices):
    """Why a person could not judge a building."""

    CLOUD = "cloud"
    SHADOW = "shadow"
    HIDDEN = "hidden"
    BAD_IMAGE = "bad_image"
    NO_BEFORE = "no_before"
    OTHER = "other"


class Footprint(models.Model):
    """What the model said of one building. Never changes."""

    assessment = models.ForeignKey(Assessment, on_delete=models.CASCADE, related_name="footprints")
    uid = models.UUIDField()  # the engine's own, stable over repeated runs
    outline = models.PolygonField(srid=WGS84, spatial_index=False)
    grade = models.CharField(max_length=15, choices=GRADE_CHOICES)
    score = models.FloatField()
    grade_score = models.FloatField()
    probabilities = models.JSONField()
    area_m2 = models.FloatField()
    clipped = models.BooleanField(default=False)
    # why the model gave no grade (detection.grades.Doubt); "" where it gave one
    unclassified_because = models.CharField(max_length=15, blank=True)
    outline_id = models.TextField(blank=True)  # of the known outline; "" where it was detected
    attributes = models.JSONField(null=True, blank=True)  # what its file says of it
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["assessment", "uid"], name="footprints_stored_once"),
            models.CheckConstraint(
                condition=Q(score__gte=0, score__lte=1, grade_score__gte=0, grade_score__lte=1),
                name="footprint_scores_are_fractions",
            ),
            models.CheckConstraint(condition=Q(grade__in=GRADES), name="footprint_grade_known"),
        ]

    def __str__(self) -> str:
        return f"footprint {self.uid}: {self.grade}"


class Building(models.Model):
    """The current state of one building, rewritten in the transaction of each Decision."""

    class Review(models.TextChoices):
        """What people made of it."""

        UNREVIEWED = "unreviewed"
        ACCEPTED = "accepted"
        REGRADED = "regraded"
        REDRAWN = "redrawn"
        ADDED = "added"
        REJECTED = "rejected"
        UNSURE = "unsure"  # looked at, and it cannot be judged; ``unsure_because`` says why
        REPLACED = "replaced"  # by the buildings it was split into or merged with; out of sight

    HIDDEN = (Review.REJECTED.value, Review.REPLACED.value)  # all others stand

    class Source(models.TextChoices):
        """Who found it."""

        MODEL = "model"
        ANALYST = "analyst"

    assessment = models.ForeignKey(Assessment, on_delete=models.CASCADE, related_name="buildings")
    organisation = models.ForeignKey(Organisation, on_delete=models.CASCADE, related_name="+")
    uid = models.UUIDField()
    footprint = models.OneToOneField(
        Footprint, null=True, on_delete=models.PROTECT, related_name="building"
    )
    outline = models.PolygonField(srid=WGS84)
    grade = models.CharField(max_length=15, choices=GRADE_CHOICES)
    score = models.FloatField(null=True)
    grade_score = models.FloatField(null=True)
    version = models.PositiveIntegerField(default=0)  # 0: as the model said
    review = models.CharField(max_length=10, choices=Review, default=Review.UNREVIEWED)
    source = models.CharField(max_length=7, choices=Source, default=Source.MODEL)
    # "" unless a person could not judge it, and nobody has graded it since
    unsure_because = models.CharField(max_length=10, choices=NoGradeBecause, blank=True)
    flagged = models.BooleanField(default=False)  # somebody asks for a second look
    updated_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    updated_at = models.DateTimeField(auto_now=True)
    created_at = models.DateTimeField(auto_now_add=True)
    # Place in the queue: by review.queue, from what the model said
    turn = models.IntegerField(default=LAST_TURN, db_default=LAST_TURN)
    # Of the web map: where the outline lies now. Old rows have none until review.queue has run
    cell = models.BigIntegerField(null=True)

    class Meta:
        # The columns behind the first three are there to be filtered by without reading the row
        indexes = [
            models.Index(
                fields=["assessment", "turn", "id", "review", "grade", "score", "updated_by"],
                name="buildings_by_turn",
            ),
            models.Index(
                fields=["assessment", "updated_at", "id", "review", "grade", "score", "updated_by"],
                condition=Q(version__gt=0),
                name="buildings_by_decision",
            ),
            models.Index(
                fields=["assessment", "cell", "grade", "review", "score"], name="buildings_by_cell"
            ),
        ]
        constraints = [
            models.UniqueConstraint(fields=["assessment", "uid"], name="buildings_stored_once"),
            models.CheckConstraint(condition=Q(grade__in=GRADES), name="building_grade_known"),
            models.CheckConstraint(
                condition=(Q(source="model") & Q(footprint__isnull=False))
                | (Q(source="analyst") & Q(footprint__isnull=True)),
                name="model_buildings_have_a_footprint",
            ),
            models.CheckConstraint(
                condition=Q(version__gt=0) | Q(review="unreviewed"),
                name="reviewed_buildings_have_a_decision",
            ),
            models.CheckConstraint(
                condition=(Q(unsure_because="") & ~Q(review="unsure"))
                | (~Q(unsure_because="") & Q(grade="unclassified")),
                name="unsure_buildings_have_a_reason_and_no_grade",
            ),
        ]

    def __str__(self) -> str:
        return f"building {self.uid} v{self.version}: {self.grade}, {self.review}"


class Decision(models.Model):
    """What a person said of a Building, on which version. Append-only; number 1 upwards.

    An act on several buildings (split, merge, shift, and the undo of one) is one Decision for each
    of them, all with the same ``batch``: the id that the client gave the act.
    """

    class Kind(models.TextChoices):
        """What was decided."""

        ACCEPT = "accept"
        REJECT = "reject"
        REGRADE = "regrade"
        REDRAW = "redraw"
        ADD = "add"
        UNSURE = "unsure"
        FLAG = "flag"
        UNFLAG = "unflag"
        SPLIT = "split"
        MERGE = "merge"
        SHIFT = "shift"
        UNDO = "undo"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)  # the client's
    assessment = models.ForeignKey(Assessment, on_delete=models.CASCADE, related_name="decisions")
    building = models.ForeignKey(Building, on_delete=models.CASCADE, related_name="decisions")
    number = models.PositiveIntegerField()  # the building's version afterwards
    on_version = models.PositiveIntegerField()
    kind = models.CharField(max_length=10, choices=Kind)
    grade = models.CharField(max_length=15, choices=GRADE_CHOICES)  # as it stands afterwards
    outline = models.PolygonField(srid=WGS84, null=True, spatial_index=False)  # null: unchanged
    reason = models.CharField(max_length=400, blank=True)
    because = models.CharField(max_length=10, choices=NoGradeBecause, blank=True)  # of unsure
    flagged = models.BooleanField(default=False)  # as it stands afterwards
    batch = models.UUIDField(null=True)  # null: it was about this building alone
    # uids that it was made of or that took its place (split, merge)
    others = models.JSONField(default=list, blank=True)
    shift_m = models.JSONField(null=True, blank=True)  # metres east, north (shift)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="decisions"
    )
    made_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["building", "number"], name="decisions_numbered_once"),
            models.CheckConstraint(
                condition=Q(number=models.F("on_version") + 1), name="decisions_follow_a_version"
            ),
            models.CheckConstraint(condition=Q(grade__in=GRADES), name="decision_grade_known"),
            models.CheckConstraint(
                condition=~Q(kind__in=["add", "redraw", "shift"]) | Q(outline__isnull=False),
                name="drawn_decisions_have_an_outline",
            ),
            models.UniqueConstraint(
                fields=["batch", "building"], name="acts_touch_a_building_once"
            ),
        ]
        indexes = [
            models.Index(fields=["assessment", "made_at"], name="decisions_in_order"),
            models.Index(fields=["assessment", "user"], name="decisions_by_user"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.number} of {self.building_id}"


class Explanation(models.Model):
    """Why the model gave one building its grade: made by a worker, once, when somebody asks."""

    class State(models.TextChoices):
        """WAITING -> READY or FAILED; asked for again, a failed one waits once more."""

        WAITING = "waiting"
        READY = "ready"
        FAILED = "failed"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    footprint = models.OneToOneField(
        Footprint, on_delete=models.CASCADE, related_name="explanation"
    )
    state = models.CharField(max_length=10, choices=State, default=State.WAITING)
    said = models.JSONField(default=dict)  # grade, score and probabilities in the chip looked at
    failure_code = models.CharField(max_length=40, blank=True)
    failure_message = models.CharField(max_length=400, blank=True)
    asked_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"explanation of {self.footprint_id}: {self.state}"

    @property
    def picture_key(self) -> str:
        """Where in the store its picture lies, once it is ready."""
        return f"explanations/{self.pk}.png"


@receiver(post_delete, sender=Explanation)
def _remove_picture(instance: Explanation, **_: object) -> None:
    """However an explanation was deleted, its picture goes with it, once that is committed."""
    transaction.on_commit(partial(store.remove, instance.picture_key), robust=True)


class ReviewedArea(models.Model):
    """A polygon inside which somebody has looked at everything, or where nobody can.

    Only ground of kind "reviewed" teaches: what is no building there is background. Ground that
    is not assessable says so in every output; the grades inside stay as they are.
    """

    class Kind(models.TextChoices):
        """What the polygon says."""

        REVIEWED = "reviewed"
        NOT_ASSESSABLE = "not_assessable"

    class Because(models.TextChoices):
        """Why ground cannot be assessed."""

        CLOUD = "cloud"
        SHADOW = "shadow"
        BAD_IMAGE = "bad_image"
        NO_IMAGE = "no_image"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    assessment = models.ForeignKey(
        Assessment, on_delete=models.CASCADE, related_name="reviewed_areas"
    )
    outline = models.PolygonField(srid=WGS84)
    kind = models.CharField(max_length=14, choices=Kind, default=Kind.REVIEWED)
    because = models.CharField(max_length=10, choices=Because, blank=True)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    kept_aside = models.BooleanField(null=True)  # null: no Dataset has seen it yet
    made_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(kind="reviewed", because="")
                | (Q(kind="not_assessable", kept_aside__isnull=True) & ~Q(because="")),
                name="only_reviewed_areas_teach",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind.replace('_', ' ')} area {self.pk}"
