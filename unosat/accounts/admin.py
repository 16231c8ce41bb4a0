"""Organisations, members and keys in Django's admin, for the installation's own staff.

Spatial columns are never searched or filtered here, and a key's digest is never shown.
"""

from django.contrib import admin
from django.http import HttpRequest

from unosat.accounts.models import ApiKey, Membership, Organisation


@admin.register(Organisation)
class OrganisationAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Who owns things."""

    list_display = ["name", "slug", "quota_bytes", "created_at"]
    prepopulated_fields = {"slug": ["name"]}


@admin.register(Membership)
class MembershipAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Who may do what."""

    list_display = ["user", "organisation", "role"]
    list_filter = ["role"]


@admin.register(ApiKey)
class ApiKeyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Keys can be looked at and revoked; they are made on the page that shows them once."""

    list_display = ["name", "prefix", "organisation", "role", "last_used_at", "revoked_at"]
    fields = ["organisation", "name", "role", "prefix", "expires_at", "revoked_at", "last_used_at"]
    readonly_fields = ["organisation", "name", "role", "prefix", "last_used_at"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        """A key made here could never be shown."""
        return False
