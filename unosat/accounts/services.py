"""Every change to organisations, members and keys."""

import logging
from datetime import datetime
from typing import Literal
from uuid import UUID

from django.utils import timezone

from unosat.accounts import keys
from unosat.accounts.actors import Actor
from unosat.accounts.errors import BadKeyRole
from unosat.accounts.models import ApiKey, Role
from unosat.errors import NotFound

log = logging.getLogger(__name__)


def create_key(
    actor: Actor,
    *,
    name: str,
    role: Literal["partner", "analyst"] = "partner",
    expires_at: datetime | None = None,
) -> tuple[ApiKey, str]:
    """Make a key for the actor's organisation.

    Returns:
        The row, and the key itself, which is nowhere else and must be shown now or never.

    Raises:
        Forbidden: the actor is no admin.
        BadKeyRole: the role is neither partner nor analyst.
    """
    actor.must_be("admin")
    if role not in {Role.PARTNER, Role.ANALYST}:
        raise BadKeyRole(role)
    text, prefix = keys.new_text()
    key = ApiKey.objects.create(
        organisation_id=actor.organisation_id,
        name=name,
        role=role,
        prefix=prefix,
        digest=keys.digest_of(text),
        created_by_id=actor.user_id,
        expires_at=expires_at,
    )
    log.info("key created", extra={"key": str(key.pk), "by": actor.user_id})
    return key, text


def revoke_key(actor: Actor, key_id: UUID) -> None:
    """End a key's validity at once; doing it twice is no error.

    Raises:
        Forbidden: the actor is no admin.
        NotFound: no such key in the actor's organisation.
    """
    actor.must_be("admin")
    key = ApiKey.objects.filter(pk=key_id, organisation_id=actor.organisation_id).first()
    if key is None:
        raise NotFound(f"key {key_id}")
    ApiKey.objects.filter(pk=key.pk, revoked_at=None).update(revoked_at=timezone.now())
    log.info("key revoked", extra={"key": str(key_id), "by": actor.user_id})
