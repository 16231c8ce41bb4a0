"""Training in a real worker process: live, cancelled, and killed with -9."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.live import Stack
from tests.unosat.training.world import World
from unosat.ops.models import Job
from unosat.training import selectors, services
from unosat.training.models import ModelVersion, TrainingRun

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(900)]
PATIENCE_SECONDS = 400.0


@pytest.fixture
def run(world: World) -> TrainingRun:
    """Queued, with decisions in two places."""
    for corner in (5, 290):
        area = world.area(corner, corner, corner + 72, corner + 72)
        world.decide(world.inside(area)[0], "destroyed")
    return services.start(world.admin)


def env(store: Path, steps: int) -> dict[str, str]:
    return {
        "UNOSAT_STORE": str(store),
        "UNOSAT_TRAINING_STEPS": str(steps),
        "UNOSAT_LEASE_SECONDS": "4",
        "UNOSAT_DEVICE": "cpu",
    }


def wait(run: TrainingRun, true: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while not true():
        run.refresh_from_db()
        assert time.monotonic() < end, (run.state, run.progress, run.failure_message)
        time.sleep(0.2)


def test_a_killed_worker_costs_time_but_neither_the_run_nor_a_second_version(
    backstage: Stack, world: World, run: TrainingRun, store: Path
) -> None:
    worker = backstage.start_worker("train", **env(store, 6))
    wait(run, lambda: run.progress.get("step", 0) >= 1)
    backstage.kill_worker(worker)
    dataset = run.dataset_id

    backstage.start_worker("train", **env(store, 6))
    wait(run, lambda: run.state == "done")

    assert Job.objects.get(subject_id=run.pk).attempt == 2
    assert run.dataset_id == dataset
    version = ModelVersion.objects.get(training_run=run)
    assert not version.active
    assert selectors.active_version() == world.version


def test_cancelling_stops_a_worker_within_a_step_and_frees_it_for_the_next_run(
    backstage: Stack, world: World, run: TrainingRun, store: Path
) -> None:
    backstage.start_worker("train", **env(store, 100_000))
    wait(run, lambda: run.progress.get("step", 0) >= 1)

    services.cancel(world.admin, run.pk)
    wait(run, lambda: run.state == "cancelled")

    another = services.start(world.admin)
    wait(another, lambda: another.progress.get("step", 0) >= 1)
    assert ModelVersion.objects.count() == 1
    services.cancel(world.admin, another.pk)
    wait(another, lambda: another.state == "cancelled")
