"""The Celery application. Workers start with ``celery -A unosat worker -Q <queue>``."""

import os
import secrets
import sys
from pathlib import Path

from celery import Celery
from celery.signals import worker_process_init

from unosat.ops.processes import die_with_parent

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "unosat.settings")
if "celery" in Path(sys.argv[0]).parts[-2:]:  # celery's own command: a worker, or the clock
    # They sign nothing and answer no request, so nobody need give them what the web process needs.
    os.environ.setdefault("UNOSAT_SECRET_KEY", secrets.token_urlsafe(50))
    os.environ.setdefault("UNOSAT_ALLOWED_HOSTS", "workers-answer-nobody.invalid")
app = Celery("unosat")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@worker_process_init.connect
def _end_with_the_worker(**_facts: object) -> None:
    """A pool child would otherwise go on with its task after a kill -9 of its worker."""
    die_with_parent()
