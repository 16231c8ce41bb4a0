"""The training task on real pixels and a real (if ignorant) network."""

import json

import pytest
from pytest_django import Settings

from detection import weights
from tests.unosat.training.world import World
from unosat.ops import stopping
from unosat.ops.models import Job
from unosat.ops.store import store_path
from unosat.training import datasets, learning, registry, selectors, services, tasks
from unosat.training.models import Dataset, ModelVersion, TrainingRun
from unosat.training.recipe import Recipe

QUICK = Recipe(steps=3, batch=2, crop_px=96, replay_scenes=2, benchmark_scenes=1, benchmark_px=128)


@pytest.fixture(autouse=True)
def quick(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three small steps and no pause between reports."""
    settings.UNOSAT_TRAINING_STEPS = QUICK.steps
    monkeypatch.setattr(tasks, "recipe", lambda: QUICK)
    monkeypatch.setattr(tasks, "REPORT_SECONDS", 0.0)


@pytest.fixture
def run(world: World) -> TrainingRun:
    """Waiting, with decisions in two places."""
    for corner in (5, 290):
        area = world.area(corner, corner, corner + 72, corner + 72)
        world.decide(world.inside(area)[0], "destroyed")
    return services.start(world.admin)


def test_a_run_becomes_a_version_with_scores_that_is_not_active(
    world: World, run: TrainingRun
) -> None:
    tasks.run(str(run.pk))

    run = selectors.training_run(world.admin, run.pk)
    version = run.new_version
    assert (run.state, run.progress["step"]) == ("done", 3)
    assert version is not None
    assert not version.active
    assert version.parent == world.version
    for age in ("old", "new"):
        assert run.scores[age]["kept_aside"]["chips"] == 1
        assert 0 <= run.scores[age]["synthetic"]["building_ap50"] <= 1
    spec = registry.check_files(version)
    assert spec.operating_score == registry.check_files(world.version).operating_score
    card = weights.read_card(store_path(version.folder))
    assert run.dataset is not None
    assert card["dataset"] == run.dataset.content_hash
    assert card["dataset_licences"] == ["CC0-1.0"]
    assert json.dumps(selectors.facts_of(run).as_json())
    assert not list(store_path("models").glob(".*"))


def test_delivered_twice_it_is_done_once(run: TrainingRun) -> None:
    tasks.run(str(run.pk))
    tasks.run(str(run.pk))

    assert ModelVersion.objects.count() == 2
    assert Job.objects.get(subject_id=run.pk).attempt == 1


def test_cancelled_in_the_middle_it_leaves_nothing_behind(
    world: World, run: TrainingRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[int] = []

    def cancel_at_step_two(watch: tasks.Watch, step: int, steps: int, loss: float) -> None:
        heard.append(step)
        if step == 2:
            services.cancel(world.admin, run.pk)
        original(watch, step, steps, loss)

    original = tasks.Watch.on_step
    monkeypatch.setattr(tasks.Watch, "on_step", cancel_at_step_two)

    tasks.run(str(run.pk))

    run.refresh_from_db()
    assert run.state == "cancelled"
    assert heard == [1, 2]
    assert ModelVersion.objects.count() == 1
    assert [path.name for path in store_path("models").iterdir()] == [world.version.sha256]


def test_killed_in_the_middle_it_starts_again_on_the_same_dataset(
    world: World, run: TrainingRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        """Nothing of ours runs after a kill -9."""

    def die(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(learning, "teach", die)
        with pytest.raises(Killed):
            tasks.run(str(run.pk))
    area = world.area(5, 290, 75, 362)  # what is decided now is for the next run
    world.decide(world.inside(area)[0], "destroyed")
    Job.objects.update(lease_until="2020-01-01T00:00Z")

    tasks.run(str(run.pk))

    run.refresh_from_db()
    assert run.state == "done"
    assert Dataset.objects.count() == 1
    assert Job.objects.get(subject_id=run.pk).attempt == 2


def test_a_worker_told_to_stop_puts_the_run_down_and_another_does_it(
    world: World, run: TrainingRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(stopping, "requested", lambda: True)
        tasks.run(str(run.pk))
    job = Job.objects.get(subject_id=run.pk)
    assert (job.state, job.interruptions) == ("waiting", 0)

    tasks.run(str(run.pk))

    assert selectors.training_run(world.admin, run.pk).state == "done"


def test_a_missing_image_fails_the_run_with_a_sentence(world: World, run: TrainingRun) -> None:
    store_path(world.assessment.scene.cog_key).unlink()

    tasks.run(str(run.pk))

    run.refresh_from_db()
    assert (run.state, run.failure_code) == ("failed", "unreadable_raster")
    assert run.failure_message.endswith(".")


def test_a_damaged_base_model_fails_the_run_before_anything_is_learned(
    world: World, run: TrainingRun
) -> None:
    (store_path(world.version.folder) / weights.WEIGHTS).write_bytes(b"not weights")

    tasks.run(str(run.pk))

    run.refresh_from_db()
    assert (run.state, run.failure_code) == ("failed", "model_version_damaged")


def test_training_twice_from_the_same_dataset_gives_the_same_weights(
    world: World, run: TrainingRun
) -> None:
    dataset = datasets.freeze(run.organisation_id, registry.check_files(world.version))
    chips = datasets.chips_of(dataset, store_path(dataset.folder)).train
    digests = []
    for attempt in ("a", "b"):
        lesson = learning.Lesson(
            start=store_path(world.version.folder),
            out=store_path(f"models/{attempt}"),
            label="random@2",
            seed=4,
            device="cpu",
            facts={},
        )
        learning.teach(lesson, QUICK, chips, lambda *_: None)
        digests.append(weights.verify(lesson.out).sha256)

    assert digests[0] == digests[1]
