"""An address where somebody listens, to hear whether anything calls."""

import select
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Ear:
    """A TCP and a UDP socket on one port of this machine.

    Attributes:
        port: of 127.0.0.1.
    """

    port: int
    _sockets: tuple[socket.socket, ...]

    def heard(self) -> bool:
        """Whether anybody has connected or sent since it began to listen."""
        return bool(select.select(self._sockets, [], [], 0)[0])


@contextmanager
def listening() -> Iterator[Ear]:
    """Listen on every address of this machine, on a port that is free."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_STREAM) as stream,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams,
    ):
        stream.bind(("0.0.0.0", 0))  # noqa: S104 - to hear what goes to any address
        stream.listen()
        port = stream.getsockname()[1]
        datagrams.bind(("0.0.0.0", port))  # noqa: S104
        yield Ear(port, (stream, datagrams))
