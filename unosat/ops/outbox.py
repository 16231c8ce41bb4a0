"""The only way onto the queue: a row in the same transaction as what it is about.

A message sent from inside a transaction may run before the commit, or though it was rolled back;
one sent after it is lost if the broker is down just then. A row is neither.
"""

import logging
from functools import partial

from django.db import DatabaseError, transaction
from django.db.models.functions import Now
from kombu.exceptions import OperationalError

from unosat.celery import app
from unosat.ops.models import Outbox

log = logging.getLogger(__name__)

AT_ONCE = 200  # messages per transaction of the relay


def post(task: str, *args: str, queue: str) -> None:
    """Queue a task once the transaction under way is committed.

    Args:
        task: its Celery name.
        args: text, such as ids.
        queue: its Celery queue.
    """
    post_all(task, [list(args)], queue=queue)


def post_all(task: str, calls: list[list[str]], *, queue: str) -> None:
    """Queue one task several times; ``calls`` holds the arguments of each."""
    Outbox.objects.bulk_create([Outbox(task=task, queue=queue, args=args) for args in calls])
    transaction.on_commit(partial(relay, limit=AT_ONCE), robust=True)


def relay(limit: int = AT_ONCE) -> int:
    """Send what waits, oldest first; returns how many were sent.

    Several relays may run at once: each takes rows the others have not locked. If the process
    dies between sending and commit, the message is sent again, which every task allows for. If
    the broker or the database is away, the rows stay.
    """
    try:
        with transaction.atomic():
            return _send(limit)
    except DatabaseError:
        log.warning("outbox relay failed", exc_info=True)
        return 0


def _send(limit: int) -> int:
    waiting = Outbox.objects.select_for_update(skip_locked=True).filter(sent_at__isnull=True)
    sent: list[int] = []
    for row in waiting.order_by("pk")[:limit]:
        try:
            app.send_task(row.task, args=row.args, queue=row.queue, retry=False, ignore_result=True)
        except (OperationalError, OSError) as error:
            log.warning("broker is away", extra={"task": row.task, "why": str(error)})
            break
        sent.append(row.pk)
    Outbox.objects.filter(pk__in=sent).update(sent_at=Now())
    return len(sent)
