"""``manage.py sync_models``: make the models that came with the project known."""

from typing import Any

from django.core.management.base import BaseCommand

from unosat.training.registry import sync_shipped_models


class Command(BaseCommand):
    """Safe at every start; says something only when there is no model at all."""

    help = "Install the shipped models; each becomes active if none of its kind is."

    def handle(self, *args: Any, **options: Any) -> None:
        if not sync_shipped_models():
            self.stderr.write("No model came with this copy of the project: nothing can be found.")
