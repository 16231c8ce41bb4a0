"""Who is asking: a signed-in user or an API key, and with what right."""

from dataclasses import dataclass
from typing import Literal, cast
from uuid import UUID

from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.http import HttpRequest

from unosat import logs
from unosat.accounts import keys, throttle
from unosat.accounts.errors import CsrfFailed, NoOrganisation, SignedInAsAnother
from unosat.accounts.models import Membership
from unosat.errors import Forbidden, NotSignedIn

RoleName = Literal["analyst", "partner", "admin"]
_CACHED_AS = "_unosat_actor"


@dataclass(frozen=True, slots=True)
class Actor:
    """First argument of every service and selector.

    Attributes:
        organisation_id: whose objects may be seen; everybody else's do not exist.
        user_id: None for a program.
        api_key_id: None for a person.
        role: admins may all that analysts may; partners send scenes and fetch results.
    """

    organisation_id: UUID
    user_id: int | None
    api_key_id: UUID | None
    role: RoleName

    def must_be(self, *roles: RoleName) -> None:
        """Raise Forbidden unless the actor has one of the roles."""
        if self.role not in roles:
            raise Forbidden(f"{self.role} is not one of {roles}")

    def must_be_a_person(self) -> int:
        """The user's id; decisions and training are signed by people, never by programs.

        Raises:
            Forbidden: the actor is an API key.
        """
        if self.user_id is None:
            raise Forbidden("an API key cannot sign this")
        return self.user_id

    def must_be_user(self, user_id: int | None) -> None:
        """Refuse what somebody else made: a page outlives the session that it was opened in.

        Args:
            user_id: who made it, as the page says; None if it does not say.

        Raises:
            SignedInAsAnother: it was not this actor.
        """
        if user_id is not None and user_id != self.user_id:
            raise SignedInAsAnother(f"made by user {user_id}, sent by {self.user_id}")


def actor_of(request: HttpRequest) -> Actor:
    """Who sent a request, by its API key or else its session; asked of the database once.

    A request that changes something and rests on a cookie must carry the CSRF token (views under
    ``/api`` are exempt from Django's own check, since programs send no cookies).

    Raises:
        NotSignedIn: neither a valid key nor a session.
        TooManyAttempts: wrong keys came from this address again and again.
        CsrfFailed: a cookie without its token.
        NoOrganisation: the user belongs to no organisation.
    """
    known: Actor | None = getattr(request, _CACHED_AS, None)
    if known is None:
        header = request.headers.get("Authorization", "")
        known = _by_key(request, header) if header else _by_session(request)
        setattr(request, _CACHED_AS, known)
        logs.add(organisation=known.organisation_id, user=known.user_id, key=known.api_key_id)
    return known


aactor_of = sync_to_async(actor_of, thread_sensitive=True)


def actor_for_user(user: User) -> Actor:
    """The actor that a user is; for pages, commands and tests.

    Raises:
        NoOrganisation: the user belongs to no organisation.
    """
    try:
        membership = Membership.objects.get(user=user)
    except Membership.DoesNotExist as error:
        raise NoOrganisation(f"user {user.pk}") from error
    return Actor(
        organisation_id=membership.organisation_id,
        user_id=user.pk,
        api_key_id=None,
        role=cast("RoleName", membership.role),
    )


def _by_key(request: HttpRequest, header: str) -> Actor:
    scheme, _, text = header.partition(" ")
    key = keys.find(text.strip()) if scheme.lower() == "bearer" else None
    if key is None:  # a right key is never shut out: its neighbours' mistakes are not its own
        caller = throttle.address_of(request, "key")
        throttle.check(caller)
        throttle.note_failure(caller)
        raise NotSignedIn("unknown, expired or revoked key")
    return Actor(
        organisation_id=key.organisation_id,
        user_id=None,
        api_key_id=key.pk,
        role=cast("RoleName", key.role),
    )


def _by_session(request: HttpRequest) -> Actor:
    from ninja.utils import check_csrf

    if not request.user.is_authenticated:
        raise NotSignedIn("no session")
    if getattr(request, "csrf_processing_done", False) is False and check_csrf(request):
        raise CsrfFailed(request.path)
    return actor_for_user(request.user)
