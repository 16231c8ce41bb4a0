"""Messages that are late, lost or delivered again: every job is done, and done once."""

import time
from collections.abc import Callable
from uuid import uuid4

import pytest
from django.db import connection, transaction

from tests.faults.waiting import wait
from tests.live import Stack
from tests.private_servers import Servers
from tests.unosat.makers import HOUSES, make_actor, make_model, make_organisation, make_scene
from unosat.assessments import services
from unosat.assessments.models import Assessment
from unosat.assessments.services import AssessmentRequest
from unosat.ops import jobs, processes
from unosat.ops.models import Job, Outbox
from unosat.review.models import Footprint

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(1800)]


def state_of(row: Assessment) -> str:
    row.refresh_from_db(fields=["state"])
    return row.state


@pytest.mark.usefixtures("backstage")
def test_jobs_asked_for_while_the_broker_is_away_start_once_each(
    servers: Servers,
    long: bool,  # noqa: FBT001
    record_property: Callable[[str, object], None],
) -> None:
    """Jobs whose work is over at once: merges of assessments that are not there."""
    count, away_seconds = (1000, 600) if long else (100, 5)
    processes.kill_session(servers.queue)
    begun = time.monotonic()
    for _ in range(count):
        with transaction.atomic():
            jobs.enqueue("merge", uuid4())
    committed = time.monotonic() - begun
    assert Outbox.objects.filter(sent_at=None).count() == count
    time.sleep(max(0.0, away_seconds - committed))

    servers.restart_queue()
    wait(lambda: not Job.objects.exclude(state="done").exists())

    assert list(Job.objects.values_list("attempt").distinct()) == [(1,)]
    assert Job.objects.filter(attempt=1, state="done").count() == count
    record_property("measured", f"{count} jobs, committed in {committed:.1f} s, each started once")


@pytest.mark.usefixtures("only_long")
def test_messages_delivered_again_in_the_middle_of_a_shard_make_no_building_twice(
    backstage: Stack,
    long: bool,  # noqa: FBT001
    record_property: Callable[[str, object], None],
) -> None:
    """Redis gives up on a worker after 5 seconds; a shard takes far longer."""
    make_model()
    organisation = make_organisation()
    wanted = AssessmentRequest(scene=make_scene(organisation).pk)
    row = services.create_assessment(make_actor(organisation), wanted)
    shard_seconds = 60 if long else 8
    wait(lambda: state_of(row) == "running")
    tiles = max(row.shards.values_list("tiles_total", flat=True))
    for _ in range(2):
        backstage.start_standin(
            "detect",
            STANDIN_TILE_SECONDS=str(shard_seconds / tiles),
            UNOSAT_VISIBILITY_SECONDS="5",
        )
    connection.close()

    wait(lambda: state_of(row) == "done")

    found = Footprint.objects.filter(assessment=row)
    assert found.count() == found.values("uid").distinct().count() == HOUSES
    assert set(row.shards.values_list("attempt", "interruptions")) == {(1, 0)}
    again = redelivered(backstage)
    record_property("measured", f"shards of {shard_seconds} s, {again} messages delivered again")
    assert again > 0


def redelivered(stack: Stack) -> int:
    """How many more tasks the workers took up than there were messages."""
    received = sum(
        log.read_text().count("Task assessments.detect[") for log in stack.logs.glob("detect-*.log")
    )
    ended = sum(log.read_text().count("succeeded in") for log in stack.logs.glob("detect-*.log"))
    sent = Outbox.objects.filter(task="assessments.detect").count()
    return (received - ended) - sent
