"""Every task twice in a row and in parallel, overtaken, cancelled, and with a bug in it."""

import gzip
import hashlib
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import morecantile
import numpy as np
import psycopg
import pytest
from django.contrib.auth.models import User
from django.db import InternalError, connection, connections
from django.db.models.functions import Now
from django.test import Client
from numpy.typing import NDArray

from detection.detector import Detector, ModelSpec, TileDetections
from detection.errors import ModelUnavailable, UnreadableRaster
from tests import private_servers
from tests.unosat.makers import (
    HOUSES,
    NORTH,
    STEP,
    WEST,
    bright,
    finish,
    make_actor,
    make_model,
    make_organisation,
    make_scene,
)
from unosat.accounts.actors import Actor
from unosat.assessments import detectors, selectors, services, shardlog, tasks, turns
from unosat.assessments.errors import NothingToRetry, PartsFailed
from unosat.assessments.models import Assessment, Shard
from unosat.assessments.services import AssessmentRequest
from unosat.ops import jobs, leases, postgres
from unosat.ops.models import Job, Outbox
from unosat.ops.store import store_path
from unosat.review import tiles
from unosat.review.models import LAST_TURN, Building, Footprint
from unosat.training.models import ModelVersion

pytestmark = pytest.mark.django_db(transaction=True)

MERCATOR = morecantile.tms.get("WebMercatorQuad")


@pytest.fixture
def actor() -> Actor:
    return make_actor(make_organisation())


@pytest.fixture
def row(actor: Actor, monkeypatch: pytest.MonkeyPatch) -> Assessment:
    """A waiting assessment, and workers whose model needs no torch."""
    make_model()
    monkeypatch.setattr(detectors, "detector_of", bright)
    monkeypatch.setattr(detectors, "_failed", {})
    return start(actor)


def start(actor: Actor) -> Assessment:
    from unosat.accounts.models import Organisation

    scene = make_scene(Organisation.objects.get(pk=actor.organisation_id))
    return services.create_assessment(actor, AssessmentRequest(scene=scene.pk))


def shards_of(row: Assessment) -> list[str]:
    return [str(pk) for pk in row.shards.order_by("index").values_list("pk", flat=True)]


def in_parallel(task: Callable[..., None], *arguments: str, times: int = 4) -> None:
    gate = threading.Barrier(times)
    errors: list[Exception] = []

    def run() -> None:
        gate.wait()
        try:
            task(*arguments)
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


def test_far_off_the_map_is_dots_at_once_before_the_queue_is_ordered(
    row: Assessment, actor: Actor
) -> None:
    finish(row)

    place = MERCATOR.tile(WEST + 100 * STEP, NORTH - 100 * STEP, 12)
    tile = tiles.vector_tile(actor, row.pk, place.z, place.x, place.y)
    turns_in_the_queue = set(row.buildings.values_list("turn", flat=True))
    assert turns_in_the_queue == {LAST_TURN}  # no worker has ordered it yet
    assert b"dots" in tile
    assert b"uid" not in tile  # which only outlines have
    assert len(tile) < 1000


def test_every_task_twice_in_a_row_changes_nothing(row: Assessment) -> None:
    for _ in range(2):
        tasks.plan(str(row.pk))
    shards = shards_of(row)
    for _ in shards + shards:
        tasks.detect()
    for _ in range(2):
        tasks.merge(str(row.pk))

    assert len(shards) == 6
    assert len(stored(row)) == HOUSES
    assert Job.objects.filter(state="done").count() == 2
    assert set(row.shards.values_list("attempt", flat=True)) == {1}


def test_every_task_in_parallel_gives_the_same(row: Assessment, actor: Actor) -> None:
    in_parallel(tasks.plan, str(row.pk))
    in_parallel(tasks.detect, times=2 * len(shards_of(row)))
    in_parallel(tasks.merge, str(row.pk))

    again = finish(services.create_assessment(actor, AssessmentRequest(scene=row.scene_id)))

    assert len(stored(row)) == HOUSES
    assert stored(row) == stored(again)


def test_the_last_two_shards_at_once_queue_one_merge(row: Assessment) -> None:
    tasks.plan(str(row.pk))
    shards = shards_of(row)
    gate = threading.Barrier(len(shards))

    def run() -> None:
        gate.wait()
        tasks.detect()
        connections.close_all()

    threads = [threading.Thread(target=run) for _ in shards]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    row.refresh_from_db()
    assert row.state == "merging"
    assert Outbox.objects.filter(task="assessments.merge").count() == 1


def test_an_attempt_that_was_overtaken_stores_nothing(row: Assessment) -> None:
    tasks.plan(str(row.pk))
    shard = Shard.objects.get(assessment=row, index=0)
    slow = leases.claim(Shard, shard.pk)
    assert slow is not None
    Shard.objects.filter(pk=shard.pk).update(lease_until=Now() - timedelta(seconds=1))
    services.sweep_shards()
    tasks.detect()

    services.store_shard(slow, shard, b"rubbish", found=9, seconds=1)

    shard.refresh_from_db()
    assert shard.attempt == 2
    assert bytes(shard.result or b"") != b"rubbish"


def test_results_do_not_depend_on_attempts_or_order(row: Assessment, actor: Actor) -> None:
    tasks.plan(str(row.pk))
    shards = shards_of(row)
    tasks.detect()
    Shard.objects.filter(pk=shards[1]).update(
        state="running", attempt=1, tiles_done=1, lease_until=Now() - timedelta(seconds=1)
    )  # its worker was killed
    for _ in shards[2:]:
        tasks.detect()
    services.sweep_shards()
    tasks.detect()
    tasks.merge(str(row.pk))

    undisturbed = finish(services.create_assessment(actor, AssessmentRequest(scene=row.scene_id)))

    assert stored(row) == stored(undisturbed)
    assert len(stored(row)) == HOUSES


def test_the_same_inputs_model_and_options_have_the_same_hashes(
    row: Assessment, actor: Actor
) -> None:
    def planned(**facts: Any) -> tuple[str, ...]:
        wanted = AssessmentRequest(scene=row.scene_id, **facts)
        made = services.create_assessment(actor, wanted)
        tasks.plan(str(made.pk))
        made.refresh_from_db()
        return made.input_sha256, made.model_sha256, made.options_sha256

    first, again, other = planned(), planned(), planned(min_score=0.7)

    assert first == again
    assert first[:2] == other[:2]
    assert first[2] != other[2]
    assert all(len(one) == 64 for one in first)


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

    for _ in shards_of(row):
        tasks.detect()
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
    for _ in shards_of(row):
        tasks.detect()

    services.cancel_assessment(actor, row.pk)
    tasks.merge(str(row.pk))

    assert not Building.objects.filter(assessment=row).exists()
    assert Job.objects.get(kind="merge").state == "done"


def interrupt(shard: str) -> None:
    """Its worker is killed, and the sweeper notices."""
    assert leases.claim(Shard, UUID(shard)) is not None
    Shard.objects.filter(pk=shard).update(lease_until=Now() - timedelta(seconds=1))
    services.sweep_shards()


def test_a_shard_that_kills_three_workers_is_poison_and_the_others_are_done_first(
    row: Assessment, actor: Actor
) -> None:
    tasks.plan(str(row.pk))
    bad = shards_of(row)[2]
    for _ in range(3):
        interrupt(bad)
    going_on = selectors.progress(selectors.assessment(actor, row.pk))
    for _ in range(6):
        tasks.detect()

    shard = Shard.objects.get(pk=bad)
    assert (going_on.state, going_on.shards_failed) == ("running", 1)
    assert (shard.state, shard.failure_code) == ("failed_poison", "interrupted_too_often")
    assert (shard.attempt, shard.interruptions) == (3, 3)
    assert row.shards.filter(state="done").count() == 5
    row.refresh_from_db()
    assert (row.state, row.failure_code) == ("failed", "interrupted_too_often")
    assert "1 of 6 shards" in row.failure_message


def test_the_log_of_a_killed_shard_says_when_where_and_how_far(row: Assessment) -> None:
    tasks.plan(str(row.pk))
    lease = turns.claim_next()
    assert lease is not None
    leases.renew(lease, tiles_done=2)
    Shard.objects.filter(pk=str(lease.pk)).update(lease_until=Now() - timedelta(seconds=1))

    services.sweep_shards()

    shard = Shard.objects.get(pk=str(lease.pk))
    began, interrupted = shard.log.splitlines()
    assert f"attempt 1 began on {leases.worker_name()}" in began
    assert "attempt 1 was interrupted" in interrupted
    assert f"after 2 of {shard.tiles_total} tiles" in interrupted


def test_a_failed_shard_is_done_anew_and_the_rest_is_kept(row: Assessment, actor: Actor) -> None:
    tasks.plan(str(row.pk))
    for _ in range(3):
        interrupt(shards_of(row)[2])
    for _ in range(5):
        tasks.detect()
    done = dict(row.shards.filter(state="done").values_list("index", "attempt"))

    told = selectors.progress(services.retry_shard(actor, row.pk, 2))
    tasks.detect()
    tasks.merge(str(row.pk))

    assert (told.state, told.shards_failed, told.failure_code) == ("running", 0, "")
    row.refresh_from_db()
    assert (row.state, len(stored(row))) == ("done", HOUSES)
    assert dict(row.shards.exclude(index=2).values_list("index", "attempt")) == done
    with pytest.raises(NothingToRetry):
        services.retry_shard(actor, row.pk, 2)


def test_of_a_merge_that_meets_damaged_results_only_those_shards_are_done_anew(
    row: Assessment, actor: Actor
) -> None:
    tasks.plan(str(row.pk))
    for _ in shards_of(row):
        tasks.detect()
    half = gzip.compress(b'{"shard": {}}')  # as another release might have stored it
    row.shards.filter(index=1).update(result=b"not what was written")
    row.shards.filter(index=3).update(result=half, result_sha256=hashlib.sha256(half).hexdigest())
    lose_the_stored_result_of(row.shards.get(index=5))

    tasks.merge(str(row.pk))
    told = selectors.progress(selectors.assessment(actor, row.pk))
    failed = dict(
        row.shards.filter(state="failed").order_by("index").values_list("index", "failure_message")
    )
    for index in (1, 3):
        services.retry_shard(actor, row.pk, index)
        tasks.detect()
    told_of_the_last = selectors.progress(selectors.assessment(actor, row.pk))
    services.retry_shard(actor, row.pk, 5)
    tasks.detect()
    tasks.merge(str(row.pk))

    assert (told.state, told.failure_code, told.shards_failed) == ("failed", "damaged_result", 3)
    assert told.failure_message.startswith("What shard 2 found was damaged")
    assert "3 of 6 shards. What the others found is kept" in told.failure_message
    assert [*failed] == [1, 3, 5]
    assert "shard 6" in failed[5]
    assert told_of_the_last.failure_message.startswith("What shard 6 found was damaged")
    row.refresh_from_db()
    assert (row.state, row.failure_code, len(stored(row))) == ("done", "", HOUSES)
    assert set(row.shards.filter(index__in=[0, 2, 4]).values_list("attempt", flat=True)) == {1}


def test_one_call_does_damaged_shards_anew_and_joins_them(row: Assessment, actor: Actor) -> None:
    damaged_after_its_shards(row, [1, 4])
    client = Client()
    client.force_login(User.objects.get(pk=actor.must_be_a_person()))
    retry = f"/api/v1/assessments/{row.pk}/merge/retry"
    Outbox.objects.all().delete()

    first, second = client.post(retry), client.post(retry)
    woken = Outbox.objects.filter(task=services.DETECT_TASK).count()
    for _ in range(2):
        tasks.detect()
    tasks.merge(str(row.pk))

    assert first.status_code == 200
    told = first.json()
    assert (told["state"], told["shards_failed"], told["failure_code"]) == ("running", 0, "")
    assert (second.status_code, second.json()["code"]) == (409, "nothing_to_retry")
    assert woken == 2
    row.refresh_from_db()
    assert (row.state, row.failure_code, len(stored(row))) == ("done", "", HOUSES)
    attempts = dict(row.shards.values_list("index", "attempt"))
    assert attempts == {0: 1, 1: 2, 2: 1, 3: 1, 4: 2, 5: 1}
    assert "asked for anew" in row.shards.get(index=4).log


def test_parts_that_failed_for_another_reason_are_named_and_nothing_is_begun(
    row: Assessment, actor: Actor
) -> None:
    damaged_after_its_shards(row, [1, 2, 4])
    row.shards.filter(index=2).update(state="failed_poison", failure_code="interrupted_too_often")
    row.shards.filter(index=4).update(failure_code="unexpected")

    with pytest.raises(PartsFailed) as refusal:
        services.retry_merge(actor, row.pk)

    assert refusal.value.code == "nothing_to_retry"
    assert refusal.value.user_message.startswith("Shards 3, 5 failed for another reason")
    row.refresh_from_db()
    assert row.state == "failed"
    assert row.shards.filter(state__startswith="failed").count() == 3


def damaged_after_its_shards(row: Assessment, indexes: list[int]) -> None:
    """Bring an assessment to where its merge has found the results of these shards damaged."""
    tasks.plan(str(row.pk))
    for _ in shards_of(row):
        tasks.detect()
    row.shards.filter(index__in=indexes).update(result=b"not what was written")
    tasks.merge(str(row.pk))
    assert row.shards.filter(state="failed").count() == len(indexes)


def lose_the_stored_result_of(shard: Shard) -> None:
    """Make PostgreSQL unable to read it, as a fault of the disk does."""
    Shard.objects.filter(pk=shard.pk).update(result=np.random.default_rng(1).bytes(20_000))
    with psycopg.connect(
        host=str(private_servers.FOLDERS.sockets),
        user=postgres.SUPERUSER,
        password=private_servers.CLUSTER.password,
        dbname=connection.settings_dict["NAME"],
        autocommit=True,
    ) as superuser:
        superuser.execute("CREATE EXTENSION IF NOT EXISTS pg_surgery")
        superuser.execute(
            """
            DO $$
            DECLARE kept_apart regclass; lost tid[];
            BEGIN
                SELECT reltoastrelid INTO kept_apart FROM pg_class
                WHERE oid = 'assessments_shard'::regclass;
                EXECUTE format('SELECT array_agg(ctid) FROM %s', kept_apart) INTO lost;
                PERFORM heap_force_kill(kept_apart, lost);
            END $$
            """
        )
    with pytest.raises(InternalError):
        shard.refresh_from_db(fields=["result"])


def test_a_cancelled_assessment_has_nothing_to_retry(row: Assessment, actor: Actor) -> None:
    tasks.plan(str(row.pk))
    for _ in range(3):
        interrupt(shards_of(row)[2])
    services.cancel_assessment(actor, row.pk)

    with pytest.raises(NothingToRetry):
        services.retry_shard(actor, row.pk, 2)


def test_a_plan_job_that_kills_its_worker_fails_the_assessment(row: Assessment) -> None:
    job = Job.objects.get()
    for _ in range(3):
        assert leases.claim(Job, job.pk) is not None
        Job.objects.update(lease_until=Now() - timedelta(seconds=1))
        jobs.sweep()

    row.refresh_from_db()
    assert (row.state, row.failure_code) == ("failed", "interrupted_too_often")


class CannotRead:
    """Refuses every tile with a deliberate error."""

    batch_size = 1

    def __init__(self, version: ModelVersion) -> None:
        self.spec = bright(version).spec

    def predict(self, images: NDArray[np.uint8], *, min_score: float) -> list[TileDetections]:
        raise UnreadableRaster(f"strip 7 of {images.shape} above {min_score}")


def test_a_deliberate_error_fails_the_assessment_with_its_sentence_once_all_have_ended(
    row: Assessment, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks.plan(str(row.pk))
    for _ in range(5):
        tasks.detect()
    monkeypatch.setattr(detectors, "detector_of", CannotRead)

    tasks.detect()

    row.refresh_from_db()
    shard = row.shards.get(state="failed")
    assert (row.state, row.failure_code) == ("failed", "unreadable_raster")
    assert row.failure_message.startswith(UnreadableRaster.user_message)
    assert "strip 7" in shard.log
    assert row.shards.filter(state="done").count() == 5


def test_a_worker_that_cannot_load_the_model_gives_the_shard_back_and_says_why(
    row: Assessment, actor: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = []

    def missing(version: ModelVersion) -> Detector:
        tried.append(version)
        raise ModelUnavailable(str(version))

    tasks.plan(str(row.pk))
    messages = Outbox.objects.filter(task="assessments.detect").count()
    with monkeypatch.context() as patch:
        patch.setattr(detectors, "detector_of", missing)
        tasks.detect()
        tasks.detect()

    told = selectors.progress(selectors.assessment(actor, row.pk))
    assert (told.state, told.shards_failed) == ("running", 0)
    assert ModelUnavailable.user_message in told.waiting_because
    assert set(row.shards.values_list("state", "interruptions")) == {("waiting", 0)}
    assert len(tried) == 1  # it does not try again at once, but leaves the work to others
    assert Outbox.objects.filter(task="assessments.detect").count() == messages + 1

    monkeypatch.setattr(detectors, "_failed", {})  # another worker, or this one later
    tasks.detect()

    assert row.shards.filter(state="done").count() == 1
    assert not selectors.progress(selectors.assessment(actor, row.pk)).waiting_because


def test_a_bug_fails_the_assessment_and_is_not_hidden(
    row: Assessment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(detectors, "detector_of", lambda version: None)  # noqa: ARG005
    tasks.plan(str(row.pk))

    for _ in shards_of(row):
        with pytest.raises(AttributeError):
            tasks.detect()

    row.refresh_from_db()
    assert (row.state, row.failure_code) == ("failed", "unexpected")
    shard = row.shards.first()
    assert shard is not None
    assert "Traceback" in shard.log
    assert len(shard.log) <= shardlog.MOST_CHARACTERS


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
