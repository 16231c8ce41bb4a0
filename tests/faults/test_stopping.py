"""A worker that is told to stop puts its shard down; a shard that kills workers stops nobody."""

import pytest

from tests.faults.waiting import wait
from tests.live import Stack
from tests.unosat.makers import HOUSES, make_actor, make_model, make_organisation, make_scene
from unosat.assessments import services
from unosat.assessments.models import Assessment, Shard
from unosat.assessments.services import AssessmentRequest
from unosat.ops.models import Job
from unosat.review.models import Footprint

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(400)]

TILE_SECONDS = 3.0  # four or five tiles make a shard


def start() -> Assessment:
    organisation = make_organisation()
    wanted = AssessmentRequest(scene=make_scene(organisation).pk)
    return services.create_assessment(make_actor(organisation), wanted)


def state_of(row: Assessment) -> str:
    row.refresh_from_db(fields=["state", "failure_message"])
    return row.state


def test_a_worker_told_to_stop_gives_its_shard_back_after_a_tile_and_another_does_it(
    backstage: Stack,
) -> None:
    make_model()
    row = start()
    standin = {"STANDIN_TILE_SECONDS": str(TILE_SECONDS), "UNOSAT_LEASE_SECONDS": "30"}
    first = backstage.start_standin("detect", **standin)
    wait(lambda: row.shards.filter(state="running", tiles_done__gt=0).exists())
    seen = row.shards.get(state="running").tiles_done

    first.terminate()
    first.wait(120)

    put_down = row.shards.get(attempt=1, log__contains="put down")
    assert first.returncode == 0
    assert put_down.tiles_done <= seen + 2  # the one under way, and one not yet noted in the row
    assert (put_down.state, put_down.interruptions) == ("waiting", 0)

    backstage.start_standin("detect", **standin | {"STANDIN_TILE_SECONDS": "0"})
    wait(lambda: state_of(row) == "done")

    assert Footprint.objects.filter(assessment=row).count() == HOUSES
    assert set(row.shards.values_list("interruptions", flat=True)) == {0}


@pytest.mark.usefixtures("only_long")
def test_a_shard_that_kills_its_workers_is_given_up_and_other_runs_are_done(
    backstage: Stack,
) -> None:
    poison = make_model()
    bad = start()
    poison.active = False
    poison.save()
    make_model()
    wait(lambda: state_of(bad) == "running")
    Shard.objects.filter(assessment=bad, index__gt=0).delete()
    good = start()

    backstage.start_standin("detect", STANDIN_POISON=str(poison.pk), UNOSAT_LEASE_SECONDS="3")
    wait(lambda: state_of(good) == "done")
    wait(lambda: state_of(bad) == "failed")

    (shard,) = bad.shards.all()
    assert (shard.state, shard.interruptions) == ("failed_poison", 3)
    assert [shard.log.count(f"attempt {n} began on ") for n in (1, 2, 3)] == [1, 1, 1]
    assert shard.log.count("was interrupted") == 3
    assert Footprint.objects.filter(assessment=good).count() == HOUSES
    assert not Job.objects.exclude(state="done").exists()
