"""Model versions in Django's admin, to look at; the page of models makes one active."""

from django.contrib import admin
from django.http import HttpRequest

from unosat.training.models import ModelVersion


@admin.register(ModelVersion)
class ModelVersionAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Which weights there are."""

    list_display = ["name", "version", "input_kind", "active", "organisation", "created_at"]
    fields = readonly_fields = ("name", "version", "input_kind", "sha256", "active", "card")

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Versions come from training."""
        return False
