"""Silence about what a library does in an old way that still works."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_old_warnings() -> Iterator[None]:
    """Keep torch from saying, once a process, which of its old functions Detectron2 uses.

    Detectron2's last release predates the torch that we pin; its own sources still call
    ``torch.jit.script``, ``meshgrid`` without an order, and ``is_fx_tracing``.
    """
    tracing = logging.getLogger("torch.fx._symbolic_trace")
    before = tracing.level
    tracing.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".torch.jit.script. is deprecated", FutureWarning)
            warnings.filterwarnings("ignore", "torch.meshgrid", UserWarning)
            yield
    finally:
        tracing.setLevel(before)
