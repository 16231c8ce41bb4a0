"""The Celery application. Workers start with ``celery -A unosat worker -Q <queue>``."""

import os

from celery import Celery
from celery.signals import worker_process_init, worker_shutting_down

from unosat.ops import stopping
from unosat.ops.processes import die_with_parent

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "unosat.settings")
app = Celery("unosat")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@worker_process_init.connect
def _end_with_the_worker(**_facts: object) -> None:
    """A pool child would otherwise go on with its task after a kill -9 of its worker."""
    die_with_parent()


@worker_shutting_down.connect
def _give_back(**_facts: object) -> None:
    """SIGTERM: the pool child puts its shard down after the tile that it is on."""
    stopping.request()
