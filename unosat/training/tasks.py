"""The training task: fetch, learn, examine, store. It may be delivered twice, and may be killed."""

import logging
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

from celery import shared_task
from django.conf import settings
from django.db import DatabaseError, connection

from detection.errors import Cancelled, DetectionError
from unosat.errors import RefusedError
from unosat.ops import jobs, stopping, store
from unosat.ops.leases import Lease
from unosat.training import datasets, examining, learning, registry, services
from unosat.training.learning import Lesson
from unosat.training.models import Dataset, ModelVersion, TrainingRun
from unosat.training.recipe import REPORT_SECONDS, recipe

log = logging.getLogger(__name__)


@shared_task(name="training.run")
def run(training_run_id: str) -> None:
    """Do one training run, unless it is done, in other hands, or was cancelled."""
    subject = UUID(training_run_id)
    jobs.run("train", subject, partial(_run, subject), refusals=(RefusedError, DetectionError))


def _run(run_id: UUID, lease: Lease) -> None:
    row = services.begin(lease, run_id)
    if row is None:
        return
    watch = Watch(lease, run_id, recipe().steps)
    try:
        watch.ask()
        dataset = row.dataset or _freeze(lease, row, watch)
        _learn(lease, row, dataset, watch)
    except Cancelled:
        services.finish_cancelled(lease, run_id)


def _freeze(lease: Lease, row: TrainingRun, watch: "Watch") -> Dataset:
    spec = registry.check_files(row.base_version)
    dataset = datasets.freeze(row.organisation_id, spec, watch.ask)
    services.record_dataset(lease, row, dataset)
    return dataset


def _learn(lease: Lease, row: TrainingRun, dataset: Dataset, watch: "Watch") -> None:
    how = recipe()
    registry.check_files(row.base_version)
    with (
        registry.files_of(row.base_version) as base,
        store.local_folder(dataset.folder) as chips,
        store.scratch() as work,
    ):
        sides = datasets.chips_of(dataset, chips)
        lesson = _lesson(row, dataset, base, work / "model")
        learning.teach(lesson, how, sides.train, watch.on_step)
        watch.examining()
        scores = {
            age: examining.examine(folder, sides.test, how, settings.UNOSAT_DEVICE, watch.ask)
            for age, folder in (("old", base), ("new", lesson.out))
        }
        learning.note_scores(lesson.out, scores)
        version = _version(row, lesson.out)
    if services.finish(lease, row, version, scores) is None:
        services.finish_cancelled(lease, row.pk)


def _lesson(row: TrainingRun, dataset: Dataset, base: Path, out: Path) -> Lesson:
    """Everything about a run that must be the same when it starts again."""
    return Lesson(
        start=base,
        out=out,
        label=f"{row.base_version.name}@{row.created_at:%Y.%m.%d}-{row.pk.hex[:6]}",
        seed=row.pk.int % 2**31,
        device=settings.UNOSAT_DEVICE,
        facts={
            "dataset": dataset.content_hash,
            "dataset_licences": dataset.manifest["licences"],
            "decisions": dataset.manifest["decisions"],
            "training_run": str(row.pk),
        },
    )


def _version(row: TrainingRun, folder: Path) -> ModelVersion:
    spec, key = registry.adopt(folder)
    version = registry.describe(folder, key, spec)
    version.organisation = row.organisation
    version.parent = row.base_version
    version.training_run = row
    return version


@dataclass
class Watch:
    """Reports how far a run is, now and then, and stops it once it is no longer wanted."""

    lease: Lease
    run_id: UUID
    steps: int
    begun: float = field(default_factory=time.monotonic)
    said: dict[str, Any] = field(default_factory=dict)
    asked: float = 0.0
    state: TrainingRun.State = TrainingRun.State.RUNNING

    def __post_init__(self) -> None:
        self.said = {"step": 0, "steps": self.steps}

    def ask(self) -> None:
        """Between two pieces of work.

        Raises:
            Cancelled: the run was cancelled, or another attempt has taken over.
            PutDownError: this worker was told to stop.
        """
        if stopping.requested():
            raise jobs.PutDownError(f"training run {self.run_id}")
        if time.monotonic() - self.asked >= REPORT_SECONDS:
            self._report()

    def on_step(self, step: int, steps: int, loss: float) -> None:
        """After each training step; raises as ``ask`` does."""
        if step == 1:
            self.begun = time.monotonic()  # the first step also loads and compiles
        per_step = (time.monotonic() - self.begun) / max(1, step - 1)
        self.said = {
            "step": step,
            "steps": steps,
            "loss": round(loss, 4) if loss == loss else None,  # noqa: PLR0124 - NaN
            "seconds_left": round(per_step * (steps - step), 1) if step > 1 else None,
            "seconds_per_step": round(per_step, 3),
        }
        self.ask()

    def examining(self) -> None:
        """The last step is done; what is left is short."""
        self.said |= {"seconds_left": None}
        self.state = TrainingRun.State.EVALUATING
        self._report()

    def _report(self) -> None:
        self.asked = time.monotonic()
        try:
            wanted = services.record_progress(self.lease, self.run_id, self.said, self.state)
        except DatabaseError:
            log.warning("progress not noted", exc_info=True)
            connection.close()  # a restarted server costs no training
            return
        if not wanted:
            raise Cancelled(f"training run {self.run_id}")
