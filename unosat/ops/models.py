"""Work that must survive: jobs with leases, and the outbox that wakes workers."""

import uuid

from django.db import models
from django.db.models import Q

from unosat.accounts.models import Organisation


class Job(models.Model):
    """One piece of work on one subject. (attempt) is the fence: each claim raises it."""

    class Kind(models.TextChoices):
        """What is done to the subject."""

        INGEST = "ingest"  # of a Scene
        PLAN = "plan"  # of an Assessment
        MERGE = "merge"  # of an Assessment
        ORDER = "order"  # the queue of an Assessment
        TRAIN = "train"  # a TrainingRun
        EXPLAIN = "explain"  # an Explanation
        FETCH = "fetch"  # a Fetch: an image from a link

    class State(models.TextChoices):
        """WAITING -> RUNNING -> DONE or FAILED; back to WAITING when a lease expires."""

        WAITING = "waiting"
        RUNNING = "running"
        DONE = "done"
        FAILED = "failed"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(max_length=10, choices=Kind)
    subject_id = models.UUIDField()
    organisation = models.ForeignKey(
        Organisation, null=True, on_delete=models.CASCADE, related_name="+"
    )
    state = models.CharField(max_length=10, choices=State, default=State.WAITING)
    attempt = models.PositiveSmallIntegerField(default=0)
    interruptions = models.PositiveSmallIntegerField(default=0, db_default=0)
    lease_until = models.DateTimeField(null=True, blank=True)
    heartbeat_at = models.DateTimeField(null=True, blank=True)
    worker = models.CharField(max_length=120, blank=True)
    failure_code = models.CharField(max_length=40, blank=True)
    failure_message = models.CharField(max_length=400, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["kind", "subject_id"], name="one_job_per_subject"),
            models.CheckConstraint(
                condition=~Q(state="running") | Q(lease_until__isnull=False),
                name="running_jobs_have_a_lease",
            ),
        ]
        indexes = [models.Index(fields=["state", "lease_until"], name="jobs_by_lease")]

    def __str__(self) -> str:
        return f"{self.kind} of {self.subject_id}: {self.state}"


class Outbox(models.Model):
    """A message that must be sent, written in the transaction that makes it true."""

    task = models.CharField(max_length=80)
    queue = models.CharField(max_length=20)
    args = models.JSONField(default=list)
    created_at = models.DateTimeField(auto_now_add=True)
    sent_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name_plural = "outbox"
        indexes = [
            models.Index(fields=["id"], condition=Q(sent_at__isnull=True), name="outbox_unsent")
        ]

    def __str__(self) -> str:
        return f"{self.task}{self.args} on {self.queue}"
