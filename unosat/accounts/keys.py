"""API keys as text: how they are made, hashed and recognised."""

import hashlib
import secrets
from datetime import timedelta

from django.db.models import Q
from django.utils import timezone

from unosat.accounts.models import ApiKey

PREFIX_LENGTH = 8
SECRET_BYTES = 32
NOTE_USE_EVERY = timedelta(minutes=1)  # a write per request would cost more than it tells


def new_text() -> tuple[str, str]:
    """A new key and its prefix: ``unosat_<prefix>_<secret>``."""
    prefix = secrets.token_hex(PREFIX_LENGTH // 2)
    return f"unosat_{prefix}_{secrets.token_urlsafe(SECRET_BYTES)}", prefix


def digest_of(text: str) -> str:
    """What is kept of a key. Its 256 random bits need no salt and no slow hash."""
    return hashlib.sha256(text.encode()).hexdigest()


def find(text: str) -> ApiKey | None:
    """The valid key with this text, noting that it was used; None if unknown or no longer valid."""
    now = timezone.now()
    key = (
        ApiKey.objects.filter(digest=digest_of(text), revoked_at=None)
        .filter(Q(expires_at=None) | Q(expires_at__gt=now))
        .first()
    )
    if key is not None and (key.last_used_at is None or key.last_used_at < now - NOTE_USE_EVERY):
        ApiKey.objects.filter(pk=key.pk).update(last_used_at=now)
    return key
