"""Who owns things, who acts, and with what right."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q


class Role(models.TextChoices):
    """Analysts do the work; partners send and fetch by API key; admins also retrain."""

    ANALYST = "analyst"
    PARTNER = "partner"
    ADMIN = "admin"


class Organisation(models.Model):
    """Owner of events, scenes, keys and all below them."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=120, unique=True)
    slug = models.SlugField(max_length=60, unique=True)
    quota_bytes = models.PositiveBigIntegerField(
        "storage limit in bytes",
        null=True,
        blank=True,
        help_text="What its images may take, uncompressed; 1000000000 is 1 GB. "
        "Left empty: as the server's own setting says.",
    )
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.name


class Membership(models.Model):
    """The one organisation a user acts for, and the role there."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="membership"
    )
    organisation = models.ForeignKey(
        Organisation, on_delete=models.CASCADE, related_name="memberships"
    )
    role = models.CharField(max_length=10, choices=Role)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(role__in=Role.values), name="membership_role_known")
        ]

    def __str__(self) -> str:
        return f"{self.user_id} as {self.role} of {self.organisation_id}"


class ApiKey(models.Model):
    """A key for programs. Only its digest is kept; the key itself is shown once."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    organisation = models.ForeignKey(
        Organisation, on_delete=models.CASCADE, related_name="api_keys"
    )
    name = models.CharField(max_length=80)
    role = models.CharField(max_length=10, choices=Role)
    prefix = models.CharField(max_length=8)
    digest = models.CharField(max_length=64, unique=True)  # sha256 of the whole key, hex
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    last_used_at = models.DateTimeField(null=True, blank=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(role__in=[Role.PARTNER, Role.ANALYST]), name="no_key_is_an_admin"
            )
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}...)"
