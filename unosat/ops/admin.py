"""Background work in Django's admin, to look at."""

from django.contrib import admin
from django.http import HttpRequest

from unosat.ops.models import Job


@admin.register(Job)
class JobAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """What is waiting, running or failed."""

    list_display = ["kind", "subject_id", "state", "interruptions", "worker", "failure_code"]
    list_filter = ["kind", "state"]
    fields = readonly_fields = (
        "kind",
        "subject_id",
        "state",
        "attempt",
        "interruptions",
        "worker",
        "failure_code",
        "failure_message",
    )

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Jobs come from services."""
        return False
