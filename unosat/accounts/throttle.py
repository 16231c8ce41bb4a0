"""Slow down whoever guesses: wrong passwords and keys are counted, and too many shut the door.

Counted per user name and per address, whether or not that user exists, so that the answer tells
nothing. Counts lie in Redis, one per minute: if it is away nobody is counted, for an outage must
not keep analysts out.
"""

import hashlib
import logging
from typing import Any

import redis
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import User
from django.contrib.auth.signals import user_logged_in, user_login_failed
from django.core.cache import cache
from django.dispatch import receiver
from django.http import HttpRequest

from unosat.accounts.errors import TooManyAttempts
from unosat.ops.quickly import asking_redis

log = logging.getLogger(__name__)

LIMIT = 10  # wrong attempts...
WINDOW_MINUTES = 10  # ...within this time...
LOCKED_SECONDS = TooManyAttempts.retry_after_seconds  # ...shut the door for so long
MINUTE = 60  # seconds


def user_named(name: str) -> str:
    """The subject that a user name is, in whatever case it is typed."""
    return f"user:{name.casefold()}"


def address_of(request: HttpRequest | None, way_in: str) -> str:
    """The subject that the caller's address is; "" if it has none.

    Args:
        request: whose address.
        way_in: "sign-in" or "key": a program with an old key does not keep its users out.
    """
    address = request.META.get("REMOTE_ADDR", "") if request else ""
    return f"{way_in}:{address}" if address else ""


def check(*subjects: str) -> None:
    """Raise TooManyAttempts while any of the subjects is shut out."""
    try:
        shut = cache.get_many([_lock(subject) for subject in subjects if subject])
    except redis.RedisError as error:
        _uncounted(error)
        return
    if shut:
        raise TooManyAttempts(", ".join(shut))


def note_failure(*subjects: str) -> None:
    """Count a wrong attempt of each subject, and shut out those with too many."""
    try:
        for subject in filter(None, subjects):
            _count(subject)
    except redis.RedisError as error:
        _uncounted(error)


def forget(subject: str) -> None:
    """Begin to count anew, after a right attempt."""
    try:
        cache.delete_many(_counters(subject))
    except redis.RedisError as error:
        _uncounted(error)


class Doorkeeper(ModelBackend):
    """Django's own sign-in, the admin's pages included, closed to those who are shut out."""

    def authenticate(
        self,
        request: HttpRequest | None,
        username: str | None = None,
        password: str | None = None,
        **more: Any,  # noqa: ANN401 (Django's own signature)
    ) -> User | None:
        """The user with this password; raises TooManyAttempts, which the middleware answers."""
        check(user_named(username or ""), address_of(request, "sign-in"))
        return super().authenticate(request, username, password, **more)


@receiver(user_login_failed)
def _failed(credentials: dict[str, Any], request: HttpRequest | None = None, **_: object) -> None:
    note_failure(user_named(credentials.get("username") or ""), address_of(request, "sign-in"))


@receiver(user_logged_in)
def _succeeded(user: User, **_: object) -> None:
    forget(user_named(user.get_username()))


def _count(subject: str) -> None:
    now, *_ = counters = _counters(subject)
    cache.add(now, 0, WINDOW_MINUTES * MINUTE)
    cache.incr(now)
    if sum(cache.get_many(counters).values()) >= LIMIT:
        cache.set(_lock(subject), 1, LOCKED_SECONDS)
        cache.delete_many(counters)
        log.warning("shut out", extra={"subject": subject.partition(":")[0]})


def _counters(subject: str) -> list[str]:
    """Names of the counts of the last minutes, the present one first."""
    now = _minute()
    return [_name("wrong", subject, now - ago) for ago in range(WINDOW_MINUTES)]


def _minute() -> int:
    """By Redis's own clock: those of web machines differ, and each would count by itself."""
    with asking_redis() as client:
        return int(client.time()[0]) // MINUTE


def _lock(subject: str) -> str:
    return _name("shut", subject)


def _name(*parts: object) -> str:
    """A cache key: what people type may hold anything, so only its hash is part of it."""
    kind, subject, *minute = (str(part) for part in parts)
    return ":".join([kind, hashlib.sha256(subject.encode()).hexdigest(), *minute])


def _uncounted(error: redis.RedisError) -> None:
    log.warning("wrong attempts are not counted: Redis is away", extra={"why": str(error)})
