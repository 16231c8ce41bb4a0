"""Runs and versions: who may, who was faster, and what arrives twice."""

import shutil
from pathlib import Path
from uuid import uuid4

import pytest
from django.db import IntegrityError

from tests.unosat.training.world import World
from unosat.accounts.actors import Actor
from unosat.errors import Forbidden, NotFound
from unosat.ops import leases
from unosat.ops.leases import Lease
from unosat.ops.models import Job, Outbox
from unosat.training import registry, selectors, services
from unosat.training.errors import (
    AnotherVersionBecameActive,
    NothingToLearn,
    TrainingOver,
    TrainingUnderWay,
    VersionDamaged,
)
from unosat.training.models import Activation, ModelVersion, TrainingRun


def taught(world: World) -> World:
    """A world with one decision to learn from."""
    area = world.area(50, 60, 150, 140)
    world.decide(world.inside(area)[0], "destroyed")
    return world


def claimed(run: TrainingRun) -> Lease:
    lease = leases.claim(Job, Job.objects.get(subject_id=run.pk).pk)
    assert lease is not None
    return lease


def a_version(world: World) -> ModelVersion:
    """Not saved; as training makes it."""
    return ModelVersion(
        organisation_id=world.admin.organisation_id,
        name="random",
        version="2",
        sha256="f" * 64,
        input_kind="after",
        folder="models/none",
        parent=world.version,
    )


def test_without_decisions_training_refuses_with_a_sentence(world: World) -> None:
    world.area(50, 60, 150, 140)

    with pytest.raises(NothingToLearn) as caught:
        services.start(world.admin)

    assert caught.value.user_message.endswith(".")
    assert not TrainingRun.objects.exists()


def test_only_admins_train_cancel_and_activate(world: World) -> None:
    run = services.start(taught(world).admin)

    for forbidden in (
        lambda: services.start(world.analyst),
        lambda: services.cancel(world.analyst, run.pk),
        lambda: services.activate(world.analyst, world.version.pk),
        lambda: selectors.retraining_preview(world.analyst),
    ):
        with pytest.raises(Forbidden):
            forbidden()


def test_another_organisations_runs_and_versions_do_not_exist(
    world: World, another_admin: Actor
) -> None:
    run = services.start(taught(world).admin)
    version = a_version(world)
    version.save()

    for missing in (
        lambda: selectors.training_run(another_admin, run.pk),
        lambda: services.cancel(another_admin, run.pk),
        lambda: services.activate(another_admin, version.pk),
        lambda: selectors.training_run(world.admin, uuid4()),
    ):
        with pytest.raises(NotFound):
            missing()


def test_a_started_run_is_queued_in_the_same_transaction(world: World) -> None:
    run = services.start(taught(world).admin)

    message = Outbox.objects.get(task="training.run")
    assert (message.queue, message.args) == ("train", [str(run.pk)])
    assert Job.objects.get(subject_id=run.pk).kind == "train"


def test_a_second_run_waits_until_the_first_has_ended(world: World) -> None:
    services.start(taught(world).admin)

    with pytest.raises(TrainingUnderWay):
        services.start(world.admin)
    with pytest.raises(IntegrityError):
        TrainingRun.objects.create(
            organisation_id=world.admin.organisation_id, base_version=world.version
        )


def test_a_run_that_waits_is_cancelled_at_once_and_does_nothing_later(world: World) -> None:
    run = services.start(taught(world).admin)

    assert services.cancel(world.admin, run.pk).state == "cancelled"

    assert services.begin(claimed(run), run.pk) is None
    with pytest.raises(TrainingOver):
        services.cancel(world.admin, run.pk)


def test_a_running_run_hears_of_its_cancellation_and_keeps_no_version(world: World) -> None:
    run = services.start(taught(world).admin)
    lease = claimed(run)
    assert services.begin(lease, run.pk)
    assert services.record_progress(lease, run.pk, {"step": 1, "steps": 9})

    assert services.cancel(world.admin, run.pk).state == "running"

    assert not services.record_progress(lease, run.pk, {"step": 2, "steps": 9})
    assert services.finish(lease, run, a_version(world), {}) is None
    run.refresh_from_db()
    assert run.state == "cancelled"
    assert run.progress["step"] == 1
    assert ModelVersion.objects.count() == 1


def test_an_attempt_that_was_overtaken_neither_reports_nor_finishes(world: World) -> None:
    run = services.start(taught(world).admin)
    slow = claimed(run)
    services.begin(slow, run.pk)
    Job.objects.update(lease_until="2020-01-01T00:00Z")
    fast = claimed(run)

    assert not services.record_progress(slow, run.pk, {"step": 5})
    assert services.finish(slow, run, a_version(world), {"old": {}}) is None
    services.finish_cancelled(slow, run.pk)
    assert services.finish(fast, run, a_version(world), {"old": {}, "new": {}}) is not None

    run.refresh_from_db()
    assert (run.state, run.scores) == ("done", {"old": {}, "new": {}})
    assert ModelVersion.objects.filter(version="2", active=False).count() == 1


def test_a_failed_job_says_so_on_its_run(world: World) -> None:
    run = services.start(taught(world).admin)

    services.job_failed(run.pk, "unreadable_raster", "The image cannot be read.")

    run = selectors.training_run(world.admin, run.pk)
    assert (run.state, run.failure_code) == ("failed", "unreadable_raster")
    assert services.start(world.admin).pk != run.pk


def trained_version(world: World) -> ModelVersion:
    """The same weights under another name, as if they had been trained."""
    version = a_version(world)
    version.folder, version.sha256 = world.version.folder, world.version.sha256
    ModelVersion.objects.filter(pk=world.version.pk).update(sha256="e" * 64)
    version.save()
    return version


def test_activation_swaps_the_versions_and_says_who_did_it(world: World) -> None:
    version = trained_version(world)

    services.activate(world.admin, version.pk, replaces=world.version.pk)

    assert selectors.active_version().pk == version.pk
    audit = Activation.objects.get()
    assert (audit.replaced_id, audit.user_id) == (world.version.pk, world.admin.user_id)
    world.assessment.refresh_from_db()
    assert world.assessment.model_version_id == world.version.pk


def test_of_two_admins_the_one_who_saw_an_older_page_is_told(world: World) -> None:
    version = trained_version(world)
    services.activate(world.admin, version.pk, replaces=world.version.pk)

    with pytest.raises(AnotherVersionBecameActive):
        services.activate(world.admin, version.pk, replaces=world.version.pk)


def test_activating_one_kind_leaves_the_other_alone(world: World, random_pair_model: Path) -> None:
    spec, key = registry.adopt(random_pair_model)
    pairs = registry.describe(random_pair_model, key, spec)
    pairs.save()
    assert services.activate(world.admin, pairs.pk).active
    newer = trained_version(world)

    services.activate(world.admin, newer.pk, replaces=world.version.pk)

    assert selectors.active_ids() == {"after": newer.pk, "before_after": pairs.pk}
    with pytest.raises(IntegrityError):
        ModelVersion.objects.filter(pk=world.version.pk).update(active=True)


def test_a_version_whose_files_are_damaged_is_not_activated(world: World) -> None:
    version = a_version(world)
    version.save()

    with pytest.raises(VersionDamaged):
        services.activate(world.admin, version.pk)

    assert selectors.active_version().pk == world.version.pk


def test_the_preview_counts_what_pressing_would_use(world: World) -> None:
    near, far = world.area(5, 5, 75, 75), world.area(290, 290, 362, 362)
    for area in (near, far):
        world.decide(world.inside(area)[0], "destroyed")
    world.decide(world.inside(near)[1], "no_damage")

    preview = selectors.retraining_preview(world.admin)

    assert (preview.areas, preview.clusters, preview.clusters_kept_aside) == (2, 2, 1)
    assert preview.decisions + preview.decisions_kept_aside == 3
    assert (preview.chips_train, preview.chips_test) == (1, 1)
    assert preview.possible
    assert preview.minutes > 0
    services.start(world.admin)
    assert not selectors.retraining_preview(world.admin).possible


def test_shipped_models_are_installed_once_and_the_first_becomes_active(
    world: World, monkeypatch: pytest.MonkeyPatch, random_model: Path
) -> None:
    monkeypatch.setattr("detection.weights.SHIPPED", random_model.parent)
    ModelVersion.objects.filter(pk=world.version.pk).update(active=False, sha256="d" * 64)

    first, again = registry.sync_shipped_models(), registry.sync_shipped_models()

    assert [v.pk for v in first] == [v.pk for v in again]
    assert selectors.active_version().pk == first[0].pk
    assert registry.check_files(first[0]).name == "random"
    assert first[0].version.startswith("1+")  # the name was taken by other weights


def test_of_two_shipped_kinds_each_becomes_active_where_none_of_its_kind_is(
    world: World,
    monkeypatch: pytest.MonkeyPatch,
    random_model: Path,
    random_pair_model: Path,
    tmp_path: Path,
) -> None:
    for folder in (random_model, random_pair_model):
        shutil.copytree(folder, tmp_path / "shipped" / folder.name)
    monkeypatch.setattr("detection.weights.SHIPPED", tmp_path / "shipped")
    ModelVersion.objects.filter(pk=world.version.pk).update(sha256="d" * 64, version="0")

    registry.sync_shipped_models()

    pairs = ModelVersion.objects.get(input_kind="before_after")
    assert selectors.active_ids() == {"after": world.version.pk, "before_after": pairs.pk}
    assert ModelVersion.objects.filter(input_kind="after").count() == 2


def test_training_starts_from_the_model_of_one_image_whatever_else_is_active(
    world: World, random_pair_model: Path
) -> None:
    spec, key = registry.adopt(random_pair_model)
    pairs = registry.describe(random_pair_model, key, spec)
    pairs.active = True
    pairs.save()

    run = services.start(taught(world).admin)

    assert run.base_version == world.version
    assert selectors.facts_of(run).input_kind == "after"
