"""Whether this worker was told to stop: asked for in its main process, known in its pool child.

Celery lets a task that has begun run to its end, however long that takes, and whoever stops the
worker does not wait for it. So long work asks here now and then, and gives back what it holds.
"""

import mmap

_requested = mmap.mmap(-1, 1)  # anonymous memory, which children that are forked later share


def request() -> None:
    """Say so; called from a signal's handler, so it takes no lock."""
    _requested[0] = 1


def requested() -> bool:
    """Whether to put down what is being worked on."""
    return _requested[0] == 1
