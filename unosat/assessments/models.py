"""One detection of one scene, and the shards it is done in."""

import uuid
from functools import partial

from django.conf import settings
from django.db import models, transaction
from django.db.models import F, Q
from django.db.models.signals import post_delete
from django.dispatch import receiver

from unosat.accounts.models import ApiKey, Organisation
from unosat.assessments.keys import gaps_key, outlines_key
from unosat.ops import store
from unosat.scenes.models import Scene
from unosat.training.models import ModelVersion


class Assessment(models.Model):
    """One detection of one after-Scene by one ModelVersion. Never changes once done."""

    class State(models.TextChoices):
        """WAITING -> PLANNING -> RUNNING -> MERGING -> DONE, or FAILED, or CANCELLED."""

        WAITING = "waiting"
        PLANNING = "planning"
        RUNNING = "running"
        MERGING = "merging"
        DONE = "done"
        FAILED = "failed"
        CANCELLED = "cancelled"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    organisation = models.ForeignKey(
        Organisation, on_delete=models.CASCADE, related_name="assessments"
    )
    scene = models.ForeignKey(Scene, on_delete=models.PROTECT, related_name="assessments")
    before_scene = models.ForeignKey(
        Scene, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    model_version = models.ForeignKey(
        ModelVersion, on_delete=models.PROTECT, related_name="assessments"
    )
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    api_key = models.ForeignKey(ApiKey, null=True, on_delete=models.SET_NULL, related_name="+")
    name = models.CharField(max_length=255, blank=True)
    state = models.CharField(max_length=10, choices=State, default=State.WAITING)
    failure_code = models.CharField(max_length=40, blank=True)
    failure_message = models.CharField(max_length=400, blank=True)
    options = models.JSONField(default=dict)
    plan = models.JSONField(null=True, blank=True)  # the engine's text, as one JSON string
    metadata = models.JSONField(default=dict)  # what the engine said of itself and the scene
    # of what it is made: images and outlines, weights, options; "" before planning
    input_sha256 = models.CharField(max_length=64, blank=True, db_default="")
    model_sha256 = models.CharField(max_length=64, blank=True, db_default="")
    options_sha256 = models.CharField(max_length=64, blank=True, db_default="")
    tiles_total = models.PositiveIntegerField(default=0)
    tiles_done = models.PositiveIntegerField(default=0)
    tiles_empty = models.PositiveIntegerField(default=0)
    tiles_not_analysed = models.PositiveIntegerField(default=0)
    footprints_found = models.PositiveIntegerField(default=0)
    cancel_requested = models.BooleanField(default=False)
    urgent = models.BooleanField(default=False, db_default=False)  # before all that is not
    idempotency_key = models.CharField(max_length=120, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(tiles_done__lte=F("tiles_total")), name="tiles_done_within_total"
            ),
            models.CheckConstraint(
                condition=Q(failure_code="") | Q(state="failed"),
                name="only_failed_assessments_have_a_failure_code",
            ),
            models.UniqueConstraint(
                fields=["organisation", "idempotency_key"],
                condition=~Q(idempotency_key=""),
                name="one_assessment_per_idempotency_key",
            ),
        ]
        indexes = [
            models.Index(fields=["organisation", "-created_at"], name="assessments_newest_first"),
            models.Index(
                fields=["created_at"], condition=Q(state="running"), name="assessments_running"
            ),
        ]

    def __str__(self) -> str:
        return f"assessment {self.pk}: {self.state}"


class Shard(models.Model):
    """A rectangle of an Assessment: what one worker does in 1 to 3 minutes."""

    class State(models.TextChoices):
        """WAITING -> RUNNING -> DONE; FAILED, or FAILED_POISON after too many interruptions."""

        WAITING = "waiting"
        RUNNING = "running"
        DONE = "done"
        FAILED = "failed"
        FAILED_POISON = "failed_poison"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    assessment = models.ForeignKey(Assessment, on_delete=models.CASCADE, related_name="shards")
    index = models.PositiveIntegerField()
    spec = models.JSONField(default=dict)
    state = models.CharField(max_length=15, choices=State, default=State.WAITING)
    attempt = models.PositiveSmallIntegerField(default=0)
    interruptions = models.PositiveSmallIntegerField(default=0, db_default=0)
    lease_until = models.DateTimeField(null=True, blank=True)
    heartbeat_at = models.DateTimeField(null=True, blank=True)
    worker = models.CharField(max_length=120, blank=True)
    waiting_because = models.CharField(max_length=400, blank=True, db_default="")
    failure_code = models.CharField(max_length=40, blank=True, db_default="")
    failure_message = models.CharField(max_length=400, blank=True, db_default="")
    log = models.TextField(blank=True, db_default="")  # the end of what its workers said of it
    tiles_total = models.PositiveIntegerField(default=0)
    tiles_done = models.PositiveIntegerField(default=0)
    found = models.PositiveIntegerField(default=0)
    result = models.BinaryField(null=True, blank=True)
    result_sha256 = models.CharField(max_length=64, blank=True)
    seconds = models.FloatField(default=0.0)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["assessment", "index"], name="shards_numbered_once"),
            models.CheckConstraint(
                condition=~Q(state="running") | Q(lease_until__isnull=False),
                name="running_shards_have_a_lease",
            ),
            models.CheckConstraint(
                condition=~Q(state="done") | (Q(result__isnull=False) & ~Q(result_sha256="")),
                name="done_shards_have_a_result",
            ),
        ]
        indexes = [
            models.Index(fields=["state", "lease_until"], name="shards_by_lease"),
            models.Index(
                fields=["assessment", "index"], condition=Q(state="waiting"), name="shards_waiting"
            ),
        ]

    def __str__(self) -> str:
        return f"shard {self.index} of {self.assessment_id}: {self.state}"


@receiver(post_delete, sender=Assessment)
def _remove_files(instance: Assessment, **_: object) -> None:
    """However an assessment was deleted, its files go with it, once that is committed."""
    for key in (gaps_key(instance.pk), outlines_key(instance.pk)):
        transaction.on_commit(partial(store.remove, key), robust=True)
