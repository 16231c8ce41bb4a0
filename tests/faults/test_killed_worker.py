"""Real workers, real weights, kill -9: the result is that of an undisturbed run, byte for byte."""

import json
import subprocess
import time

import pytest
from django.utils import timezone

from tests.faults.waiting import wait
from tests.live import Stack
from tests.unosat.makers import make_actor
from unosat.accounts.actors import Actor
from unosat.assessments import selectors, services
from unosat.assessments.models import Assessment
from unosat.assessments.services import AssessmentRequest
from unosat.exports.services import Choice, write_geojson
from unosat.review.models import Building, Footprint
from unosat.scenes.models import Scene

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("shipped_model"),
    pytest.mark.timeout(900),
]

FAST = {"UNOSAT_LEASE_SECONDS": "4", "OMP_NUM_THREADS": "1"}


def start(actor: Actor, scene: Scene) -> Assessment:
    return services.create_assessment(actor, AssessmentRequest(scene=scene.pk))


def shards_done(row: Assessment) -> int:
    return row.shards.filter(state="done").count()


def is_done(actor: Actor, row: Assessment) -> bool:
    state = selectors.assessment(actor, row.pk)
    assert state.state not in {"failed", "cancelled"}, state.failure_message
    return state.state == "done"


def features(actor: Actor, row: Assessment) -> bytes:
    """The features of the download as they are in the file; its metadata holds times."""
    with write_geojson(actor, row.pk, Choice()) as file:
        whole = file.read()
    assert json.loads(whole)["metadata"]["features"] == row.buildings.count()
    return whole[whole.index(b'"features": [') :]


def test_killing_a_worker_changes_no_byte_of_the_result(backstage: Stack, mosaic: Scene) -> None:
    actor = make_actor(mosaic.organisation)
    workers = [backstage.start_worker("detect", **FAST) for _ in range(2)]
    undisturbed = start(actor, mosaic)
    wait(lambda: is_done(actor, undisturbed))
    assert undisturbed.shards.count() >= 6

    disturbed = start(actor, mosaic)
    wait(lambda: shards_done(disturbed) >= 2)
    wait(lambda: row_of(workers[0].pid, disturbed))
    backstage.kill_worker(workers[0])
    backstage.start_worker("detect", **FAST)
    wait(lambda: is_done(actor, disturbed))

    assert disturbed.shards.filter(attempt__gt=1).exists()
    assert Footprint.objects.filter(assessment=disturbed).count() > 0
    assert features(actor, disturbed) == features(actor, undisturbed)
    assert results(disturbed) == results(undisturbed)


def test_a_cancel_in_the_middle_stops_within_a_tile_and_leaves_nothing(
    backstage: Stack, mosaic: Scene
) -> None:
    actor = make_actor(mosaic.organisation)
    backstage.start_worker("detect", **FAST)
    row = start(actor, mosaic)
    wait(lambda: row.shards.filter(state="running", tiles_done__gt=0).exists())

    pressed = timezone.now()
    services.cancel_assessment(actor, row.pk)
    wait(lambda: not row.shards.filter(state="running").exists())

    assert (timezone.now() - pressed).total_seconds() < 20
    time.sleep(3)  # whatever might still be stored would be by now
    assert not row.shards.filter(state="running").exists()
    assert not Building.objects.filter(assessment=row).exists()
    assert selectors.assessment(actor, row.pk).state == "cancelled"


def results(row: Assessment) -> list[str]:
    return list(row.shards.order_by("index").values_list("result_sha256", flat=True))


def row_of(pid: int, row: Assessment) -> bool:
    """Whether a child of this worker is at work on a shard."""
    children = child_pids(pid)
    workers = row.shards.filter(state="running", tiles_done__gt=0).values_list("worker", flat=True)
    return any(int(worker.rpartition(":")[2]) in children for worker in workers)


def child_pids(pid: int) -> set[int]:
    listed = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False
    )
    return {int(number) for number in listed.stdout.split()}
