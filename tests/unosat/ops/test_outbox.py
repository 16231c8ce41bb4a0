"""Nothing is queued that was rolled back, and nothing committed is lost."""

import threading
import time
from collections.abc import Iterator

import pytest
import redis
from celery import Celery
from django.db import connections, transaction

from tests.silent import silent_server
from unosat.celery import app
from unosat.ops import outbox, sweeper
from unosat.ops.models import Outbox

QUEUE = "test-queue"
NOWHERE = "redis+socket:///nowhere/at/all.sock"


@pytest.fixture
def queue(redis_url: str) -> Iterator["redis.Redis"]:
    with redis.Redis.from_url(redis_url) as client:
        client.delete(QUEUE)
        yield client
        client.delete(QUEUE)


@pytest.mark.django_db(transaction=True)
def test_a_message_leaves_once_the_transaction_is_committed(queue: "redis.Redis") -> None:
    with transaction.atomic():
        outbox.post("some.task", "1", queue=QUEUE)
        assert queue.llen(QUEUE) == 0

    assert queue.llen(QUEUE) == 1
    assert Outbox.objects.get().sent_at is not None


@pytest.mark.django_db(transaction=True)
def test_what_is_rolled_back_is_never_sent(queue: "redis.Redis") -> None:
    with transaction.atomic():
        outbox.post("some.task", "1", queue=QUEUE)
        transaction.set_rollback(True)

    outbox.relay()

    assert queue.llen(QUEUE) == 0


@pytest.mark.django_db(transaction=True)
def test_several_relays_at_once_send_each_message_once(queue: "redis.Redis") -> None:
    Outbox.objects.bulk_create(
        Outbox(task="some.task", queue=QUEUE, args=[str(n)]) for n in range(60)
    )
    start = threading.Barrier(4)

    def relay() -> None:
        start.wait()
        while outbox.relay(limit=5):
            pass
        connections.close_all()

    threads = [threading.Thread(target=relay) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert queue.llen(QUEUE) == 60


@pytest.mark.django_db(transaction=True)
def test_a_broker_that_is_away_costs_no_request_and_loses_nothing(
    queue: "redis.Redis", monkeypatch: pytest.MonkeyPatch
) -> None:
    away = Celery("away", broker=NOWHERE)
    away.conf.broker_transport_options = app.conf.broker_transport_options
    monkeypatch.setattr(outbox, "app", away)
    begun = time.monotonic()

    for number in range(20):
        with transaction.atomic():
            outbox.post("some.task", str(number), queue=QUEUE)

    assert time.monotonic() - begun < 5
    assert Outbox.objects.filter(sent_at=None).count() == 20

    monkeypatch.setattr(outbox, "app", app)
    outbox.relay()

    assert queue.llen(QUEUE) == 20


@pytest.mark.django_db(transaction=True)
def test_messages_are_missed_only_once_nothing_is_on_its_way(queue: "redis.Redis") -> None:
    assert sweeper.messages_lost(QUEUE)
    row = Outbox.objects.create(task="some.task", queue=QUEUE, args=[])
    assert not sweeper.messages_lost(QUEUE)

    outbox.relay()
    row.refresh_from_db()
    assert not sweeper.messages_lost(QUEUE)

    queue.delete(QUEUE)  # as when Redis starts anew
    assert sweeper.messages_lost(QUEUE)


@pytest.mark.django_db(transaction=True)
@pytest.mark.timeout(60)
def test_nobody_waits_for_ever_for_a_broker_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Messages are sent within the requests that need them, while rows of the outbox are locked."""
    with silent_server() as port:
        hanging = Celery("hanging", broker=f"redis://127.0.0.1:{port}/0")
        hanging.conf.broker_transport_options = app.conf.broker_transport_options
        monkeypatch.setattr(outbox, "app", hanging)

        outbox.post("some.task", "1", queue=QUEUE)

    assert Outbox.objects.filter(sent_at=None).count() == 1
