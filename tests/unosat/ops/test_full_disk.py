"""Work that meets a full disk waits, keeps nothing half-written, and ends with the same bytes."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.test import Client
from pytest_django import Settings

from tests.faults.test_random_kills import features
from tests.full_disk import ended, fill, small_disk, until_it_waits_for_room
from tests.unosat.makers import (
    bright,
    finish,
    make_actor,
    make_model,
    make_organisation,
    make_scene,
)
from unosat.accounts.actors import Actor
from unosat.accounts.models import Organisation
from unosat.assessments import detectors, services, tasks
from unosat.assessments.keys import gaps_key
from unosat.assessments.models import Assessment
from unosat.assessments.services import AssessmentRequest
from unosat.ops import store
from unosat.ops.models import Job
from unosat.ops.store import store_path
from unosat.review.models import Building, Footprint
from unosat.scenes.models import Scene

pytestmark = pytest.mark.django_db(transaction=True)

MIB = 1024**2
DISK_BYTES = 64 * MIB


@pytest.fixture
def disk(tmp_path: Path, settings: Settings) -> Iterator[Path]:
    """The store lies on a small disk of its own."""
    with small_disk(tmp_path / "disk", DISK_BYTES) as folder:
        settings.UNOSAT_STORE = folder
        settings.UNOSAT_KEEP_FREE_BYTES = 0
        yield folder


@pytest.fixture
def actor(monkeypatch: pytest.MonkeyPatch) -> Actor:
    monkeypatch.setattr(detectors, "detector_of", bright)
    monkeypatch.setattr(detectors, "_failed", {})
    return make_actor(make_organisation())


@pytest.fixture
def scene(disk: Path, actor: Actor) -> Scene:  # noqa: ARG001 (it lies there)
    make_model()
    return make_scene(Organisation.objects.get(pk=actor.organisation_id))


def begin(actor: Actor, scene: Scene) -> Assessment:
    return services.create_assessment(actor, AssessmentRequest(scene=scene.pk))


def test_a_merge_that_meets_a_full_disk_goes_on_once_there_is_room(
    disk: Path, actor: Actor, scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    undisturbed = finish(begin(actor, scene))
    row = begin(actor, scene)
    tasks.plan(str(row.pk))
    for _ in range(row.shards.count()):
        tasks.detect()
    other = fill(disk, leaving_bytes=0)

    merging = until_it_waits_for_room(lambda: tasks.merge(str(row.pk)), caplog)
    row.refresh_from_db()
    halfway = (row.state, Footprint.objects.filter(assessment=row).count())
    made = list(store_path(gaps_key(row.pk)).parent.glob(f"*{row.pk}*"))
    other.unlink()
    assert ended(merging)

    row.refresh_from_db()
    assert halfway == ("merging", 0)
    assert made == []
    assert row.state == "done"
    assert features(actor, row) == features(actor, undisturbed)
    assert store_path(gaps_key(row.pk)).stat().st_size > 0
    assert Building.objects.filter(assessment=row).count() == undisturbed.buildings.count()
    assert Job.objects.get(subject_id=row.pk, kind="merge").interruptions == 0


def test_a_merge_that_failed_for_want_of_room_is_done_anew_by_itself(
    disk: Path, actor: Actor, scene: Scene, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    undisturbed = finish(begin(actor, scene))
    row = begin(actor, scene)
    tasks.plan(str(row.pk))
    for _ in range(row.shards.count()):
        tasks.detect()
    done = list(row.shards.values_list("index", "attempt", "result_sha256").order_by("index"))
    other = fill(disk, leaving_bytes=0)
    monkeypatch.setattr(store, "FULL_SECONDS", 0.5)
    tasks.merge(str(row.pk))
    client.force_login(User.objects.get(pk=actor.must_be_a_person()))
    failed = client.get(f"/api/v1/assessments/{row.pk}").json()
    other.unlink()

    retry = f"/api/v1/assessments/{row.pk}/merge/retry"
    first, second = client.post(retry), client.post(retry)
    tasks.merge(str(row.pk))

    assert (failed["state"], failed["failure_code"]) == ("failed", "storage_full")
    assert failed["shards_done"] == failed["shards_total"]
    assert (first.status_code, first.json()["state"]) == (200, "merging")
    assert (first.json()["failure_code"], first.json()["finished_at"]) == ("", None)
    assert (second.status_code, second.json()["code"]) == (409, "nothing_to_retry")
    row.refresh_from_db()
    assert row.state == "done"
    assert features(actor, row) == features(actor, undisturbed)
    assert list(row.shards.values_list("index", "attempt", "result_sha256")) == done
    assert client.post(retry).status_code == 409


def test_where_nobody_makes_room_the_run_ends_and_says_why(
    disk: Path, actor: Actor, scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    undisturbed = finish(begin(actor, scene))
    row = begin(actor, scene)
    other = fill(disk, leaving_bytes=0)
    monkeypatch.setattr(store, "FULL_SECONDS", 0.5)

    finish(row)
    other.unlink()

    assert (row.state, row.failure_code) == ("failed", "storage_full")
    assert row.failure_message.startswith("The server's disk is full. Nothing that was there")
    assert not Footprint.objects.filter(assessment=row).exists()
    assert features(actor, finish(begin(actor, scene))) == features(actor, undisturbed)


def test_a_download_that_there_is_no_room_for_is_refused_whole(
    tmp_path: Path, actor: Actor, scene: Scene, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = finish(begin(actor, scene))
    expected = features(actor, row)
    client.force_login(User.objects.get(pk=actor.user_id or 0))
    address = f"/api/v1/assessments/{row.pk}/download"

    with small_disk(tmp_path / "temporary", MIB) as temporary:
        monkeypatch.setattr(tempfile, "tempdir", str(temporary))
        for leaving_bytes in (0, 4096, len(expected) - 4096):
            other = fill(temporary, leaving_bytes=leaving_bytes)
            refused = client.get(address)
            assert refused.status_code == 507
            assert refused.json()["code"] == "storage_full"
            other.unlink()
        whole = client.get(address).getvalue()

    assert whole[whole.index(b'"features": [') :] == expected
