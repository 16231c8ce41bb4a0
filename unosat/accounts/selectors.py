"""Every question asked of organisations, members and keys. Reads only."""

from django.db.models import QuerySet

from unosat.accounts.actors import Actor
from unosat.accounts.models import ApiKey, Organisation


def organisation_of(actor: Actor) -> Organisation:
    """The actor's own organisation."""
    return Organisation.objects.get(pk=actor.organisation_id)


def keys_of(actor: Actor) -> QuerySet[ApiKey]:
    """The organisation's keys, newest first; for admins.

    Raises:
        Forbidden: the actor is no admin.
    """
    actor.must_be("admin")
    return ApiKey.objects.filter(organisation_id=actor.organisation_id).order_by("-created_at")
