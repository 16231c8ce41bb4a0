"""``manage.py prepare``: everything an installation needs before it serves, in one process.

Starting Django costs seconds: `make run` does it once for the migrations, the models and the
demonstration, beside the web process that starts meanwhile.
"""

from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand

from unosat.ops.management.commands.seed_demo import only_this_machine


class Command(BaseCommand):
    """Safe at every start, and after one that was broken off."""

    help = "Migrate, install the shipped models and, on this machine only, the demonstration."

    def handle(self, *args: Any, **options: Any) -> None:
        out = {"stdout": self.stdout, "stderr": self.stderr}
        call_command("migrate", interactive=False, verbosity=0, **out)
        call_command("seed_demo" if only_this_machine() else "sync_models", **out)
