"""Redis or PostgreSQL go away under a running application: work is late, none is lost."""

import threading
import time
from datetime import timedelta

import pytest
import redis
from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.utils import timezone

from tests.faults.waiting import wait
from tests.private_servers import CLUSTER, Servers
from tests.unosat.makers import make_actor, make_model, make_organisation, make_scene
from unosat.accounts.actors import Actor
from unosat.assessments import services
from unosat.assessments.models import Assessment, Shard
from unosat.assessments.services import AssessmentRequest
from unosat.ops import postgres, processes
from unosat.ops.models import Outbox
from unosat.scenes.models import Scene

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(400)]

BURST = 8  # of at most 10 connections


@pytest.fixture
def scene(transactional_db: None) -> Scene:  # noqa: ARG001 (a database is needed)
    make_model()  # its card is enough to plan with
    return make_scene(make_organisation())


@pytest.fixture
def actor(scene: Scene) -> Actor:
    return make_actor(scene.organisation)


def start(actor: Actor, scene: Scene) -> Assessment:
    return services.create_assessment(actor, AssessmentRequest(scene=scene.pk))


def all_planned() -> bool:
    return set(Assessment.objects.values_list("state", flat=True)) == {"running"}


def queued(queue: str) -> int:
    with redis.Redis.from_url(settings.UNOSAT_REDIS_URL) as client:
        return int(client.llen(queue))


@pytest.mark.usefixtures("backstage")
def test_what_is_asked_for_while_redis_is_away_starts_once_it_is_back(
    servers: Servers, actor: Actor, scene: Scene
) -> None:
    processes.kill_session(servers.queue)
    for _ in range(10):
        start(actor, scene)
    assert Outbox.objects.filter(sent_at=None).count() == 10

    servers.restart_queue()

    wait(all_planned)
    assert Shard.objects.count() == 10 * 6


@pytest.mark.usefixtures("backstage")
def test_messages_that_redis_forgot_are_sent_again(
    servers: Servers, actor: Actor, scene: Scene
) -> None:
    start(actor, scene)
    wait(all_planned)
    wait(lambda: queued("detect") == 6)

    servers.restart_queue()
    Shard.objects.update(created_at=timezone.now() - timedelta(minutes=1))

    wait(lambda: queued("detect") == 6)
    time.sleep(12)  # the next sweep must not send them once more
    assert queued("detect") == 6


@pytest.mark.usefixtures("backstage")
def test_a_database_that_restarts_under_running_workers_loses_nothing(
    servers: Servers, actor: Actor, scene: Scene
) -> None:
    start(actor, scene)
    connection.close()
    servers.restart_database()

    start(actor, scene)

    wait(all_planned)


def test_while_the_database_is_away_everybody_is_told_so_and_when_to_ask_again(
    servers: Servers, actor: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = Client()
    client.force_login(User.objects.get(pk=actor.must_be_a_person()))
    connection.close()
    postgres.stop(servers.database)
    try:
        with monkeypatch.context() as hasty:
            hasty.setattr(connection.pool, "timeout", 0.5)  # type: ignore[attr-defined]
            page, answer = client.get("/"), client.get("/api/v1/events")
    finally:
        servers.database = postgres.start(CLUSTER)

    assert (page.status_code, answer.status_code) == (503, 503)
    assert page["Retry-After"] == answer["Retry-After"] == "5"
    assert answer.json()["code"] == "database_away"
    assert answer.json()["message"] in page.content.decode()
    assert client.get("/").status_code == 200


def test_the_first_request_after_a_restart_is_answered_however_many_connections_were_idle(
    servers: Servers,
) -> None:
    together = threading.Barrier(BURST)

    def ask() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        together.wait(timeout=10)
        connection.close()  # back to the pool

    burst = [threading.Thread(target=ask) for _ in range(BURST)]
    for thread in burst:
        thread.start()
    for thread in burst:
        thread.join()
    connection.close()
    servers.restart_database()
    begun = time.monotonic()

    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")

        assert cursor.fetchone() == (1,)
    assert time.monotonic() - begun < 5  # psycopg's own pool gave up after 10 seconds
