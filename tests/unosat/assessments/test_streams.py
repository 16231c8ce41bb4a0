"""Live progress: the present state first, then news, and no database connection meanwhile."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
import redis
from asgiref.sync import async_to_sync, sync_to_async
from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection
from django.http import StreamingHttpResponse
from django.test import AsyncClient

from tests.unosat.makers import make_done_assessment, make_organisation, make_user
from unosat.assessments import selectors, services
from unosat.assessments.models import Assessment
from unosat.ops import events

pytestmark = pytest.mark.django_db(transaction=True)

PATIENCE_SECONDS = 10


@pytest.fixture
def row() -> Assessment:
    row = make_done_assessment(make_organisation())
    Assessment.objects.update(state="running", tiles_total=10)
    return row


@pytest.fixture
def client(row: Assessment) -> AsyncClient:
    return signed_in(make_user(row.organisation))


def signed_in(user: User) -> AsyncClient:
    client = AsyncClient()
    client.force_login(user)
    return client


async def opened(client: AsyncClient, row: Assessment) -> AsyncIterator[bytes]:
    answer = await client.get(f"/api/v1/assessments/{row.pk}/events")
    assert answer["Content-Type"] == "text/event-stream"
    return aiter(cast("StreamingHttpResponse", answer))


async def read(lines: AsyncIterator[bytes]) -> tuple[str, dict[str, Any]]:
    """The next event; comments that keep the stream alive are passed over."""
    while True:
        line = await asyncio.wait_for(anext(lines), PATIENCE_SECONDS)
        if not line.startswith(b":"):
            event, data = line.decode().strip().split("\n")
            return event.removeprefix("event: "), json.loads(data.removeprefix("data: "))


def test_a_stream_begins_with_the_present_state_and_tells_every_change(
    row: Assessment, client: AsyncClient
) -> None:
    async def follow() -> list[tuple[str, str]]:
        lines = await opened(client, row)
        seen = [await read(lines)]
        await asyncio.sleep(0.3)  # until Redis knows the subscription
        await sync_to_async(services.fail_assessment)(row.pk, "broken", "It broke.")
        seen.append(await read(lines))
        await sync_to_async(events.publish)(
            selectors.topic(row.pk), "decision", {"building": "x", "version": 1}
        )
        seen.append(await read(lines))
        return [(event, data.get("state", "")) for event, data in seen]

    assert async_to_sync(follow)() == [
        ("progress", "running"),
        ("progress", "failed"),
        ("decision", ""),
    ]


def test_news_that_were_lost_are_caught_up_with(
    row: Assessment, client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "RECHECK_SECONDS", 0.2)

    async def follow() -> str:
        lines = await opened(client, row)
        await read(lines)
        await Assessment.objects.filter(pk=row.pk).aupdate(state="cancelled")
        _, told = await read(lines)
        return str(told["state"])

    assert async_to_sync(follow)() == "cancelled"


def test_who_follows_is_told_that_news_was_lost_while_redis_hung_up(
    row: Assessment, client: AsyncClient
) -> None:
    async def follow() -> list[str]:
        lines = await opened(client, row)
        told = [(await read(lines))[0]]
        await asyncio.sleep(0.3)  # until Redis knows the subscription
        await sync_to_async(hang_up)()
        await sync_to_async(tell_a_decision)(row, "lost")
        told.append((await read(lines))[0])
        await sync_to_async(tell_a_decision)(row, "heard")
        event, data = await read(lines)
        return [*told, event, data["building"]]

    assert async_to_sync(follow)() == ["progress", "missed", "decision", "heard"]


def hang_up() -> None:
    """Redis cuts off everybody who listens; what is said until they are back, nobody hears."""
    with redis.Redis.from_url(settings.UNOSAT_REDIS_URL) as client:
        assert client.client_kill_filter(_type="pubsub") > 0


def tell_a_decision(row: Assessment, building: str) -> None:
    events.publish(selectors.topic(row.pk), "decision", {"building": building, "version": 1})


def test_thirty_open_streams_hold_one_subscription_and_no_database_connection(
    row: Assessment, client: AsyncClient
) -> None:
    async def follow() -> tuple[int, int, int]:
        streams = [await opened(client, row) for _ in range(30)]
        for lines in streams:
            await read(lines)
        await asyncio.sleep(0.3)
        busy = await sync_to_async(connections_busy)()
        subscribed = await sync_to_async(subscriptions)()
        await sync_to_async(services.fail_assessment)(row.pk, "broken", "It broke.")
        told = [await read(lines) for lines in streams]
        return busy, subscribed, len(told)

    busy, subscribed, told = async_to_sync(follow)()

    assert (subscribed, told) == (1, 30)
    assert busy <= 1  # the one that asks


def connections_busy() -> int:
    """Connections in a transaction or a query; what idles in the pool is not held."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity "
            "WHERE datname = current_database() AND state <> 'idle'"
        )
        (count,) = cursor.fetchone()
    return int(count)


def subscriptions() -> int:
    with redis.Redis.from_url(settings.UNOSAT_REDIS_URL) as client:
        return int(client.pubsub_numpat())


def test_strangers_and_passers_by_hear_nothing(row: Assessment) -> None:
    stranger = signed_in(make_user(make_organisation()))

    async def statuses() -> list[int]:
        address = f"/api/v1/assessments/{row.pk}/events"
        return [(await who.get(address)).status_code for who in (stranger, AsyncClient())]

    assert async_to_sync(statuses)() == [404, 401]
