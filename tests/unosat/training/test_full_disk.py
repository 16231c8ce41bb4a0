"""A retraining that meets a full disk waits for room, and adopts nothing that is half-written."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_django import Settings

from tests.full_disk import ended, fill, small_disk, until_it_waits_for_room
from tests.unosat.training.world import World
from unosat.ops.models import Job
from unosat.ops.store import store_path
from unosat.training import registry, services, tasks
from unosat.training.models import ModelVersion, TrainingRun
from unosat.training.recipe import Recipe

pytestmark = pytest.mark.django_db(transaction=True)

DISK_BYTES = 256 * 1024**2
QUICK = Recipe(steps=3, batch=2, crop_px=96, replay_scenes=2, benchmark_scenes=1, benchmark_px=128)


@pytest.fixture
def store(tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The store lies on a small disk; three small steps are a training."""
    settings.UNOSAT_DEVICE = "cpu"
    settings.UNOSAT_TRAINING_STEPS = QUICK.steps
    monkeypatch.setattr(tasks, "recipe", lambda: QUICK)
    with small_disk(tmp_path / "disk", DISK_BYTES) as folder:
        settings.UNOSAT_STORE = folder
        yield folder


@pytest.fixture
def run(world: World) -> TrainingRun:
    """Waiting, with decisions in two places."""
    for corner in (5, 290):
        area = world.area(corner, corner, corner + 72, corner + 72)
        world.decide(world.inside(area)[0], "destroyed")
    return services.start(world.admin)


@pytest.mark.parametrize("full_at_step", [None, 2], ids=["the dataset", "the weights"])
def test_what_has_no_room_is_written_once_there_is_some(
    store: Path,
    run: TrainingRun,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    full_at_step: int | None,
) -> None:
    taken: list[Path] = []

    def and_fill_the_disk(watch: tasks.Watch, step: int, steps: int, loss: float) -> None:
        if step == full_at_step and not taken:
            taken.append(fill(store, leaving_bytes=4096))
        on_step(watch, step, steps, loss)

    on_step = tasks.Watch.on_step
    monkeypatch.setattr(tasks.Watch, "on_step", and_fill_the_disk)
    models = set(store_path("models").iterdir())
    if full_at_step is None:
        taken.append(fill(store, leaving_bytes=0))

    training = until_it_waits_for_room(lambda: tasks.run(str(run.pk)), caplog)
    halfway = set(store_path("models").iterdir())
    versions = ModelVersion.objects.count()
    taken[0].unlink()
    assert ended(training)

    run.refresh_from_db()
    assert (halfway, versions) == (models, 1)
    assert run.state == "done", run.failure_message
    assert run.new_version is not None
    registry.check_files(run.new_version)
    assert ModelVersion.objects.count() == 2
    assert Job.objects.get(subject_id=run.pk).interruptions == 0
    assert not list(store_path("scratch").iterdir())
