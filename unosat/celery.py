"""The Celery application. Workers start with ``celery -A unosat worker -Q <queue>``."""

import os
import secrets
import sys
from pathlib import Path
from typing import Any

from celery import Celery, Task
from celery.signals import task_postrun, task_prerun, worker_process_init, worker_shutting_down

from unosat import logs
from unosat.ops import stopping
from unosat.ops.presence import Presence
from unosat.ops.processes import die_with_parent

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "unosat.settings")
if "celery" in Path(sys.argv[0]).parts[-2:]:  # celery's own command: a worker, or the clock
    # They sign nothing and answer no request, so nobody need give them what the web process needs.
    os.environ.setdefault("UNOSAT_SECRET_KEY", secrets.token_urlsafe(50))
    os.environ.setdefault("UNOSAT_ALLOWED_HOSTS", "workers-answer-nobody.invalid")
app = Celery("unosat")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.steps["consumer"].add(Presence)
app.autodiscover_tasks()


@worker_process_init.connect
def _end_with_the_worker(**_facts: object) -> None:
    """A pool child would otherwise go on with its task after a kill -9 of its worker."""
    die_with_parent()


@task_prerun.connect
def _name_the_task(task_id: str, task: "Task[Any, Any]", **_facts: object) -> None:
    """Every line of a pool child says in which task it was written, Celery's own lines included."""
    logs.begin_task(task=task.name, task_id=task_id)


@task_postrun.connect
def _forget_the_task(**_facts: object) -> None:
    logs.end_task()


@worker_shutting_down.connect
def _give_back(**_facts: object) -> None:
    """SIGTERM: the pool child puts its shard down after the tile that it is on."""
    stopping.request()
