"""What nobody else will do: queue again what lost its worker or its message, and clear away."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import redis
from django.conf import settings
from django.db.models.functions import Now
from django.utils.module_loading import import_string

from unosat.ops.models import Outbox

log = logging.getLogger(__name__)

# Each app with leased rows sweeps its own; as paths, because the apps import ops.
SWEEPS = (
    "unosat.ops.jobs.sweep",
    "unosat.assessments.services.sweep_shards",
    "unosat.scenes.uploads.sweep",
)

KEEP_SENT = timedelta(days=1)  # for whoever wants to know what was sent when
MESSAGE_OVERDUE = timedelta(seconds=30)


def sweep() -> None:
    """Look after every leased row once. Several sweeps may run at once."""
    for path in SWEEPS:
        with apart(path):
            import_string(path)()
    Outbox.objects.filter(sent_at__lt=Now() - KEEP_SENT).delete()


@contextmanager
def apart(what: str, *, but: tuple[type[Exception], ...] = ()) -> Iterator[None]:
    """What goes wrong with one row keeps nobody from looking after the others.

    Args:
        what: the row, for the log.
        but: what is raised all the same: it would go wrong with the others too.
    """
    try:
        yield
    except but:
        raise
    except Exception:
        log.exception("not looked after", extra={"what": what})


def messages_lost(queue: str) -> bool:
    """Whether rows that wait for ``queue`` wait in vain: nothing is on it or on its way to it.

    That is so after Redis lost its memory. While anything is on the queue, rows may just be
    waiting for their turn.
    """
    if Outbox.objects.filter(queue=queue, sent_at__isnull=True).exists():
        return False
    with redis.Redis.from_url(settings.UNOSAT_REDIS_URL, socket_timeout=2) as client:
        try:
            return bool(client.llen(queue) == 0)
        except redis.RedisError:
            return False
