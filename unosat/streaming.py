"""Uploads reach their view as they arrive. Django itself would first collect the whole body."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import IO, Any, cast

from django.core.handlers.asgi import ASGIHandler

SILENCE_SECONDS = 30.0  # a client that sends nothing for so long is taken to be gone
STREAMED_TYPE = b"application/offset+octet-stream"

Message = Mapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class ArrivingBody:
    """A request's body as a file: ``read`` blocks its thread until bytes arrive.

    It also stands in for ASGI's ``receive`` while Django listens for a disconnect: there is none
    to hear, for a cut upload must still be written down.
    """

    def __init__(self, receive: Receive, loop: asyncio.AbstractEventLoop) -> None:
        self._receive = receive
        self._loop = loop
        self._pending = b""
        self._ended = False

    async def __call__(self) -> Message:
        """Never returns."""
        await asyncio.Event().wait()
        raise AssertionError("unreachable")

    def read(self, size: int = -1) -> bytes:
        """At most ``size`` bytes; none at the end, or once the client is gone."""
        while not self._pending and not self._ended:
            future = asyncio.run_coroutine_threadsafe(self._next(), self._loop)
            self._pending = future.result()
        wanted = len(self._pending) if size < 0 else size
        taken, self._pending = self._pending[:wanted], self._pending[wanted:]
        return taken

    def close(self) -> None:
        """Take no more."""
        self._ended = True

    async def _next(self) -> bytes:
        try:
            message = await asyncio.wait_for(self._receive(), SILENCE_SECONDS)
        except TimeoutError:
            message = {"type": "http.disconnect"}
        if message["type"] == "http.disconnect":
            self._ended = True
            return b""
        self._ended = not message.get("more_body", False)
        body: bytes = message.get("body", b"")
        return body


class Handler(ASGIHandler):
    """Django's handler, except that tus bodies are not collected first."""

    async def handle(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request."""
        headers = dict(scope["headers"])
        if headers.get(b"content-type", b"") == STREAMED_TYPE:
            receive = ArrivingBody(receive, asyncio.get_running_loop())
        await super().handle(scope, receive, send)

    async def read_body(self, receive: Receive) -> IO[bytes]:
        """The body as a file."""
        if isinstance(receive, ArrivingBody):
            return cast("IO[bytes]", receive)
        return await super().read_body(receive)
