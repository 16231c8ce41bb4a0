"""Every task twice in a row and in parallel, overtaken, cancelled, and with a bug in it."""

import threading
from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

import numpy as np
import pytest
from django.db import connection, connections
from django.db.models.functions import Now
from numpy.typing import NDArray

from detection.detector import Detector, ModelSpec, TileDetections
from detection.errors import ModelUnavailable
from tests.unosat.makers import (
    HOUSES,
    bright,
    finish,
    make_actor,
    make_model,
    make_organisation,
    make_scene,
)
from unosat.accounts.actors import Actor
from unosat.assessments import detectors, selectors, services, tasks
from unosat.assessments.models import Assessment, Shard
from unosat.assessments.services import AssessmentRequest
from unosat.ops import jobs, leases
from unosat.ops.models import Job, Outbox
from unosat.ops.store import store_path
from unosat.review.models import Building, Footprint
from unosat.training.models import ModelVersion

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def actor() -> Actor:
    return make_actor(make_organisation())


@pytest.fixture
def row(actor: Actor, monkeypatch: pytest.MonkeyPatch) -> Assessment:
    """A waiting assessment, and workers whose model needs no torch."""
    make_model()
    monkeypatch.setattr(detectors, "detector_of", bright)
    return start(actor)


def start(actor: Actor) -> Assessment:
    from unosat.accounts.models import Organisation

    scene = make_scene(Organisation.objects.get(pk=actor.organisation_id))
    return services.create_assessment(actor, AssessmentRequest(scene=scene.pk))


def shards_of(row: Assessment) -> list[str]:
    return [str(pk) for pk in row.shards.order_by("index").values_list("pk", flat=True)]


def in_parallel(task: Callable[[str], None], argument: str, times: int = 4) -> None:
    gate = threading.Barrier(times)
    errors: list[Exception] = []

    def run() -> None:
        gate.wait()
        try:
            task(argument)
        except Exception as error:
            errors.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run) for _ in range(times)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []


def stored(row: Assessment) -> list[tuple[UUID, bytes, str, float]]:
    found = Footprint.objects.filter(assessment=row).order_by("pk")
    return [(f.uid, bytes(f.outline.wkb), f.grade, f.score) for f in found]


def test_a_scene_becomes_footprints_and_unreviewed_buildings(row: Assessment, actor: Actor) -> None:
    finish(row)

    told = selectors.progress(selectors.assessment(actor, row.pk))
    assert (told.state, told.footprints_found) == ("done", HOUSES)
    assert told.tiles_done == told.tiles_total > 0
    assert told.shards_done == told.shards_total == 6
    buildings = Building.objects.filter(assessment=row)
    assert {(b.grade, b.review, b.version) for b in buildings} == {("destroyed", "unreviewed", 0)}
    assert buildings.count() == HOUSES
    assert row.metadata["model"]["name"] == "bright"


def test_every_task_twice_in_a_row_changes_nothing(row: Assessment) -> None:
    for _ in range(2):
        tasks.plan(str(row.pk))
    shards = shards_of(row)
    for shard in shards + shards:
        tasks.detect_shard(shard)
    for _ in range(2):
        tasks.merge(str(row.pk))

    assert len(shards) == 6
    assert len(stored(row)) == HOUSES
    assert Job.objects.filter(state="done").count() == 2
    assert set(row.shards.values_list("attempt", flat=True)) == {1}


def test_every_task_in_parallel_gives_the_same(row: Assessment, actor: Actor) -> None:
    in_parallel(tasks.plan, str(row.pk))
    for shard in shards_of(row):
        in_parallel(tasks.detect_shard, shard, times=2)
    in_parallel(tasks.merge, str(row.pk))

    again = finish(services.create_assessment(actor, AssessmentRequest(scene=row.scene_id)))

    assert len(stored(row)) == HOUSES
    assert stored(row) == stored(again)


def test_the_last_two_shards_at_once_queue_one_merge(row: Assessment) -> None:
    tasks.plan(str(row.pk))
    shards = shards_of(row)
    gate = threading.Barrier(len(shards))

    def run(shard: str) -> None:
        gate.wait()
        tasks.detect_shard(shard)
        connections.close_all()

    threads = [threading.Thread(target=run, args=(shard,)) for shard in shards]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    row.refresh_from_db()
    assert row.state == "merging"
    assert Outbox.objects.filter(task="assessments.merge").count() == 1


def test_an_attempt_that_was_overtaken_stores_nothing(row: Assessment) -> None:
    tasks.plan(str(row.pk))
    shard = Shard.objects.filter(assessment=row).first()
    assert shard is not None
    slow = leases.claim(Shard, shard.pk)
    assert slow is not None
    Shard.objects.filter(pk=shard.pk).update(lease_until=Now() - timedelta(seconds=1))
    tasks.detect_shard(str(shard.pk))

    services.store_shard(slow, shard, b"rubbish", found=9, seconds=1)

    shard.refresh_from_db()
    assert shard.attempt == 2
    assert bytes(shard.result or b"") != b"rubbish"


def test_results_do_not_depend_on_attempts_or_order(row: Assessment, actor: Actor) -> None:
    tasks.plan(str(row.pk))
    shards = shards_of(row)
    tasks.detect_shard(shards[0])
    Shard.objects.filter(pk=shards[1]).update(
        state="running", attempt=1, tiles_done=1, lease_until=Now() - timedelta(seconds=1)
    )  # its worker was killed
    services.sweep_shards()
    for shard in reversed(shards):
        tasks.detect_shard(shard)
    tasks.merge(str(row.pk))

    undisturbed = finish(services.create_assessment(actor, AssessmentRequest(scene=row.scene_id)))

    assert stored(row) == stored(undisturbed)
    assert len(stored(row)) == HOUSES


class CancelsAtTheThirdTile:
    """Presses cancel while a shard is being worked on."""

    batch_size = 1

    def __init__(self, version: ModelVersion, actor: Actor, assessment_id: UUID) -> None:
        self._real = bright(version)
        self._actor, self._assessment_id = actor, assessment_id
        self.seen = 0

    @property
    def spec(self) -> ModelSpec:
        return self._real.spec

    def predict(self, images: NDArray[np.uint8], *, min_score: float) -> list[TileDetections]:
        self.seen += 1
        if self.seen == 3:
            services.cancel_assessment(self._actor, self._assessment_id)
        return self._real.predict(images, min_score=min_score)


def test_a_cancel_in_the_middle_leaves_nothing_on_the_map(
    row: Assessment, actor: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    detector = CancelsAtTheThirdTile(row.model_version, actor, row.pk)
    monkeypatch.setattr(tasks, "CANCEL_SECONDS", 0.0)
    monkeypatch.setattr(detectors, "detector_of", lambda version: detector)  # noqa: ARG005
    tasks.plan(str(row.pk))

    for shard in shards_of(row):
        tasks.detect_shard(shard)
    tasks.merge(str(row.pk))

    row.refresh_from_db()
    assert row.state == "cancelled"
    assert stored(row) == []
    assert detector.seen <= 3 + 5  # tiles already handed over when cancel was pressed


class LosesTheDatabaseAtTheThirdTile:
    """Ends every connection of this database, as a restart of the server does."""

    batch_size = 1

    def __init__(self, version: ModelVersion) -> None:
        self._real = bright(version)
        self.spec = self._real.spec
        self._seen = 0

    def predict(self, images: NDArray[np.uint8], *, min_score: float) -> list[TileDetections]:
        self._seen += 1
        if self._seen == 3:
            end_all_connections()
        return self._real.predict(images, min_score=min_score)


def end_all_connections() -> None:
    thread = threading.Thread(target=_end_all_others)
    thread.start()
    thread.join()


def _end_all_others() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    connections.close_all()


def test_a_database_that_restarts_in_the_middle_costs_nothing(
    row: Assessment, monkeypatch: pytest.MonkeyPatch
) -> None:
    detector = LosesTheDatabaseAtTheThirdTile(row.model_version)
    monkeypatch.setattr(tasks, "CANCEL_SECONDS", 0.0)
    monkeypatch.setattr(detectors, "detector_of", lambda version: detector)  # noqa: ARG005

    finish(row)

    assert row.state == "done"
    assert len(stored(row)) == HOUSES


def test_a_cancel_while_merging_leaves_nothing_on_the_map(row: Assessment, actor: Actor) -> None:
    tasks.plan(str(row.pk))
    for shard in shards_of(row):
        tasks.detect_shard(shard)

    services.cancel_assessment(actor, row.pk)
    tasks.merge(str(row.pk))

    assert not Building.objects.filter(assessment=row).exists()
    assert Job.objects.get(kind="merge").state == "done"


def test_work_that_kills_its_worker_four_times_is_given_up(row: Assessment) -> None:
    tasks.plan(str(row.pk))
    shard = shards_of(row)[2]
    for _ in range(4):
        assert leases.claim(Shard, UUID(shard)) is not None
        Shard.objects.filter(pk=shard).update(lease_until=Now() - timedelta(seconds=1))
        services.sweep_shards()

    row.refresh_from_db()
    assert row.state == "failed"
    assert row.failure_code == "interrupted_too_often"
    assert Shard.objects.get(pk=shard).state == "failed_poison"


def test_a_plan_job_that_kills_its_worker_fails_the_assessment(row: Assessment) -> None:
    job = Job.objects.get()
    for _ in range(4):
        assert leases.claim(Job, job.pk) is not None
        Job.objects.update(lease_until=Now() - timedelta(seconds=1))
        jobs.sweep()

    row.refresh_from_db()
    assert (row.state, row.failure_code) == ("failed", "interrupted_too_often")


def test_a_deliberate_error_fails_the_assessment_with_its_sentence(
    row: Assessment, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(version: ModelVersion) -> Detector:
        raise ModelUnavailable(str(version))

    monkeypatch.setattr(detectors, "detector_of", missing)
    tasks.plan(str(row.pk))

    tasks.detect_shard(shards_of(row)[0])

    row.refresh_from_db()
    assert (row.state, row.failure_code) == ("failed", "model_unavailable")
    assert row.failure_message == ModelUnavailable.user_message


def test_a_bug_fails_the_assessment_and_is_not_hidden(
    row: Assessment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(detectors, "detector_of", lambda version: None)  # noqa: ARG005
    tasks.plan(str(row.pk))

    with pytest.raises(AttributeError):
        tasks.detect_shard(shards_of(row)[0])

    row.refresh_from_db()
    assert (row.state, row.failure_code) == ("failed", "unexpected")


def test_a_scene_whose_file_is_gone_fails_at_planning(row: Assessment) -> None:
    store_path(row.scene.cog_key).unlink()

    tasks.plan(str(row.pk))

    row.refresh_from_db()
    assert (row.state, row.failure_code) == ("failed", "unreadable_raster")


@pytest.mark.parametrize(
    ("tiles", "seconds", "count"), [(1, 2.0, 1), (12, 2.0, 3), (35, 2.0, 6), (900, 2.0, 30)]
)
def test_shards_last_a_minute_but_there_are_enough_to_share(
    tiles: int, seconds: float, count: int
) -> None:
    assert tasks.shard_count(tiles, seconds) == count
