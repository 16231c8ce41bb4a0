"""A server that takes connections and says nothing, as one that hangs or lies behind a bad line."""

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def silent_server() -> Iterator[int]:
    """The port of a server that never answers, on this machine."""
    with socket.create_server(("127.0.0.1", 0), backlog=50) as listener:
        yield int(listener.getsockname()[1])


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    """A process and all its children stand still: their connections stay, and nobody answers."""
    stopped = []
    try:
        for one in (pid, *_children(pid)):  # the parent first: it starts no more of them
            os.kill(one, signal.SIGSTOP)
            stopped.append(one)
        yield
    finally:
        for one in stopped:
            os.kill(one, signal.SIGCONT)


def _children(pid: int) -> Iterator[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    for child in map(int, text.split()):
        yield child
        yield from _children(child)
