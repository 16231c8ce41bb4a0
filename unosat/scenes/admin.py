"""Events and scenes in Django's admin. Outlines are left out: spatial input stays in the API."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from unosat.scenes import services
from unosat.scenes.models import Event, Scene


@admin.register(Event)
class EventAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Disasters."""

    list_display = ["name", "kind", "date", "code", "organisation"]
    list_filter = ["kind"]
    search_fields = ["name", "code"]
    exclude = ["area"]


@admin.register(Scene)
class SceneAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Images can be looked at; they come in by upload only."""

    list_display = ["name", "event", "phase", "state", "refusal_code", "created_at"]
    list_filter = ["state", "phase"]
    actions = ["check_again"]
    fields = readonly_fields = (
        "organisation",
        "event",
        "name",
        "phase",
        "state",
        "refusal_code",
        "sensor",
    )

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Scenes come in by upload."""
        return False

    @admin.action(description="Check again, where the file was kept")
    def check_again(self, request: HttpRequest, chosen: QuerySet[Scene]) -> None:
        """For scenes that a full disk or a fault of the machine stopped."""
        count = sum(services.check_again(scene.pk) for scene in chosen)
        self.message_user(request, f"Images queued: {count}")
