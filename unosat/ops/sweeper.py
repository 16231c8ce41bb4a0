"""What nobody else will do: queue again what lost its worker or its message, and clear away."""

from datetime import timedelta

import redis
from django.conf import settings
from django.db.models.functions import Now
from django.utils.module_loading import import_string

from unosat.ops.models import Outbox

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
        import_string(path)()
    Outbox.objects.filter(sent_at__lt=Now() - KEEP_SENT).delete()


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
