"""What corrections become: data sets, runs, and versions of the model."""

import uuid
from functools import partial

from django.conf import settings
from django.db import models, transaction
from django.db.models import Q
from django.db.models.signals import post_delete
from django.dispatch import receiver

from unosat.accounts.models import Organisation
from unosat.ops import store


class ModelVersion(models.Model):
    """One set of weights with its card. At most one per kind of input is active."""

    class InputKind(models.TextChoices):
        """Which images the model takes."""

        AFTER = "after"
        BEFORE_AFTER = "before_after"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    organisation = models.ForeignKey(  # null: shipped with the project
        Organisation, null=True, blank=True, on_delete=models.CASCADE, related_name="models"
    )
    name = models.CharField(max_length=80)
    version = models.CharField(max_length=40)
    sha256 = models.CharField(max_length=64, unique=True)
    input_kind = models.CharField(max_length=12, choices=InputKind)
    folder = models.CharField(max_length=200)  # key in the store
    card = models.JSONField(default=dict)
    active = models.BooleanField(default=False)
    parent = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.PROTECT, related_name="children"
    )
    training_run = models.ForeignKey(
        "TrainingRun", null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["name", "version"], name="model_versions_named_once"),
            models.UniqueConstraint(
                fields=["input_kind"],
                condition=Q(active=True),
                name="one_active_model_per_input_kind",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name}@{self.version}"


@receiver(post_delete, sender=ModelVersion)
def _remove_files(instance: ModelVersion, **_: object) -> None:
    """However a version was deleted, its files go with it, once that is committed."""
    if instance.folder:
        transaction.on_commit(partial(_remove_unless_named, instance.folder), robust=True)


def _remove_unless_named(folder: str) -> None:
    """The folder is named by its content: the same weights may have come back as another row."""
    if not ModelVersion.objects.filter(folder=folder).exists():
        store.remove(folder)


class Dataset(models.Model):
    """An immutable list of chips and labels; equal content has an equal hash."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    organisation = models.ForeignKey(
        Organisation, on_delete=models.CASCADE, related_name="datasets"
    )
    content_hash = models.CharField(max_length=64)
    manifest = models.JSONField(default=dict)
    folder = models.CharField(max_length=200)  # key in the store
    chips_train = models.PositiveIntegerField(default=0)
    chips_test = models.PositiveIntegerField(default=0)
    frozen_at = models.DateTimeField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organisation", "content_hash"], name="datasets_stored_once"
            )
        ]

    def __str__(self) -> str:
        return f"dataset {self.content_hash[:12]}"


class TrainingRun(models.Model):
    """One attempt to make a better model from corrections."""

    class State(models.TextChoices):
        """WAITING -> RUNNING -> EVALUATING -> DONE, or FAILED, or CANCELLED."""

        WAITING = "waiting"
        RUNNING = "running"
        EVALUATING = "evaluating"
        DONE = "done"
        FAILED = "failed"
        CANCELLED = "cancelled"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    organisation = models.ForeignKey(
        Organisation, on_delete=models.CASCADE, related_name="training_runs"
    )
    dataset = models.ForeignKey(Dataset, null=True, on_delete=models.PROTECT, related_name="runs")
    base_version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="runs")
    new_version = models.ForeignKey(
        ModelVersion, null=True, on_delete=models.PROTECT, related_name="+"
    )
    state = models.CharField(max_length=10, choices=State, default=State.WAITING)
    progress = models.JSONField(default=dict)  # {step, steps, loss, seconds_left}
    scores = models.JSONField(default=dict)  # {"old": {...}, "new": {...}}
    cancel_requested = models.BooleanField(default=False)
    failure_code = models.CharField(max_length=40, blank=True)
    failure_message = models.CharField(max_length=400, blank=True)
    started_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(failure_code="") | Q(state="failed"),
                name="only_failed_training_runs_have_a_failure_code",
            ),
            models.UniqueConstraint(
                fields=["organisation"],
                condition=Q(state__in=["waiting", "running", "evaluating"]),
                name="one_unfinished_training_run_per_organisation",
            ),
        ]

    def __str__(self) -> str:
        return f"training run {self.pk}: {self.state}"


class Activation(models.Model):
    """Who made which version active, and when. Append-only."""

    organisation = models.ForeignKey(
        Organisation, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    version = models.ForeignKey(ModelVersion, on_delete=models.CASCADE, related_name="activations")
    replaced = models.ForeignKey(
        ModelVersion, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    user = models.ForeignKey(  # null: the first model of a new installation
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    made_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"{self.version_id} by {self.user_id} at {self.made_at}"
