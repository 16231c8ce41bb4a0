"""Live news for browsers: published to Redis after a commit, fanned out by one reader a process.

A stream holds neither a database connection nor a Redis connection of its own. News may be lost
(Redis restarts, a slow reader): so each stream asks for the present state now and then.
"""

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import lru_cache, partial
from typing import Any
from weakref import WeakKeyDictionary

import redis
import redis.asyncio
from django.conf import settings
from django.db import connections, transaction
from django.http import StreamingHttpResponse

log = logging.getLogger(__name__)

PREFIX = "unosat:news:"
RECHECK_SECONDS = 10.0  # also what keeps proxies from closing an idle stream
RECONNECT_SECONDS = 1.0
UNREAD_AT_MOST = 200  # a reader that is slower loses news, and catches up at the next recheck
PUBLISH_SECONDS = 2.0

News = tuple[str, dict[str, Any]]
MISSED: News = ("missed", {})


def publish(topic: str, event: str, data: dict[str, Any]) -> None:
    """Tell everybody who follows ``topic`` once the transaction under way is committed."""
    transaction.on_commit(partial(_send, topic, event, data), robust=True)


def publish_state(topic: str, state: Callable[[], dict[str, Any] | None]) -> None:
    """Publish a ``progress`` event whose data is asked for after the commit."""
    transaction.on_commit(partial(_send_state, topic, state), robust=True)


def stream(topic: str, state: Callable[[], dict[str, Any] | None]) -> StreamingHttpResponse:
    """Answer with server-sent events: the present state first, then whatever happens.

    Args:
        topic: such as ``assessment:<id>``.
        state: reads the present state from the database; runs in a thread; None ends the stream.
    """
    response = StreamingHttpResponse(
        _lines(topic, partial(_ask, state)), content_type="text/event-stream"
    )
    response["Cache-Control"] = "no-store"
    response["X-Accel-Buffering"] = "no"
    return response


async def _lines(
    topic: str, ask: Callable[[], Awaitable[dict[str, Any] | None]]
) -> AsyncIterator[bytes]:
    with _switchboard().following(topic) as news:  # first listen, then look: nothing falls between
        last: dict[str, Any] | None = None
        while True:
            state = await ask()
            if state is None:
                return
            yield _line("progress", state) if state != last else b": still here\n\n"
            last = state
            async for event, data in _until_recheck(news):
                last = data if event == "progress" else last
                yield _line(event, data)


async def _until_recheck(news: "asyncio.Queue[News]") -> AsyncIterator[News]:
    loop = asyncio.get_running_loop()
    end = loop.time() + RECHECK_SECONDS
    while (left := end - loop.time()) > 0:
        try:
            yield await asyncio.wait_for(news.get(), left)
        except TimeoutError:
            return


def _line(event: str, data: dict[str, Any]) -> bytes:
    return f"event: {event}\ndata: {json.dumps(data)}\n\n".encode()


async def _ask(state: Callable[[], dict[str, Any] | None]) -> dict[str, Any] | None:
    return await asyncio.to_thread(_with_a_borrowed_connection, state)


def _with_a_borrowed_connection(
    state: Callable[[], dict[str, Any] | None],
) -> dict[str, Any] | None:
    try:
        return state()
    finally:
        connections.close_all()


class _Switchboard:
    """One Redis subscription, and the queue of every stream that listens to a topic."""

    def __init__(self) -> None:
        self._queues: dict[str, set[asyncio.Queue[News]]] = {}
        self._reader: asyncio.Task[None] | None = None

    @contextlib.contextmanager
    def following(self, topic: str) -> "Iterator[asyncio.Queue[News]]":
        """Collect the news of a topic in a queue while the block runs."""
        queue: asyncio.Queue[News] = asyncio.Queue(UNREAD_AT_MOST)
        self._queues.setdefault(topic, set()).add(queue)
        if self._reader is None or self._reader.done():
            self._reader = asyncio.get_running_loop().create_task(self._read())
        try:
            yield queue
        finally:
            self._queues[topic].discard(queue)
            if not self._queues[topic]:
                del self._queues[topic]
            if not self._queues:
                self._reader.cancel()

    async def _read(self) -> None:
        again = False
        while True:
            try:
                await self._listen(again=again)
            except (redis.RedisError, OSError):
                log.warning("news reader lost Redis", exc_info=True)
                await asyncio.sleep(RECONNECT_SECONDS)
                again = True

    async def _listen(self, *, again: bool) -> None:
        client = redis.asyncio.from_url(settings.UNOSAT_REDIS_URL)
        async with client, client.pubsub() as subscription:
            await subscription.psubscribe(f"{PREFIX}*")
            if again:
                self._all_missed()  # what was published meanwhile is gone
            async for message in subscription.listen():
                self._deliver(message)

    def _deliver(self, message: dict[str, Any]) -> None:
        if message["type"] != "pmessage":
            return
        topic = message["channel"].decode().removeprefix(PREFIX)
        event, data = json.loads(message["data"])
        for queue in self._queues.get(topic, ()):
            _put(queue, (event, data))

    def _all_missed(self) -> None:
        for queues in self._queues.values():
            for queue in queues:
                _put(queue, MISSED)


def _put(queue: "asyncio.Queue[News]", news: News) -> None:
    """A reader that is too slow is told that it missed something, in place of what it missed."""
    if queue.qsize() < queue.maxsize - 1:
        queue.put_nowait(news)
    elif not queue.full():
        queue.put_nowait(MISSED)


_switchboards: "WeakKeyDictionary[asyncio.AbstractEventLoop, _Switchboard]" = WeakKeyDictionary()


def _switchboard() -> _Switchboard:
    return _switchboards.setdefault(asyncio.get_running_loop(), _Switchboard())


@lru_cache(maxsize=1)
def _client(url: str) -> "redis.Redis":
    return redis.Redis.from_url(
        url, socket_timeout=PUBLISH_SECONDS, socket_connect_timeout=PUBLISH_SECONDS
    )


def _send_state(topic: str, state: Callable[[], dict[str, Any] | None]) -> None:
    data = state()
    if data is not None:
        _send(topic, "progress", data)


def _send(topic: str, event: str, data: dict[str, Any]) -> None:
    try:
        _client(settings.UNOSAT_REDIS_URL).publish(PREFIX + topic, json.dumps([event, data]))
    except redis.RedisError as error:
        log.warning("news not sent", extra={"topic": topic, "why": str(error)})
