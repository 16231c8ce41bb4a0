"""What may not be done with accounts and keys."""

from unosat.errors import Forbidden, RefusedError


class CsrfFailed(RefusedError):
    """A cookie came without the token that proves the page was ours."""

    code = "csrf_failed"
    user_message = "The page is out of date. Load it again and repeat what you did."
    status = 403


class NoOrganisation(Forbidden):
    """A user whom nobody has made a member yet, as ``createsuperuser`` leaves the first one."""

    code = "no_organisation"
    user_message = (
        "This account belongs to no organisation yet, so there is nothing that it may see. "
        "Somebody with access to the admin pages can add it to one there, under Memberships."
    )
    page = "no_organisation.html"


class SignedInAsAnother(RefusedError):
    """Somebody else has signed in on the same browser since the page was opened."""

    code = "signed_in_as_another"
    user_message = (
        "Somebody else is signed in on this browser now. Sign in again as yourself to go on; "
        "what you decided is kept here until then."
    )


class BadKeyRole(RefusedError):
    """Keys are for partners and analysts."""

    code = "bad_key_role"
    user_message = "A key can have the role partner or analyst."
    status = 400


class TooManyAttempts(RefusedError):
    """Somebody guesses passwords or keys, or has forgotten theirs."""

    code = "too_many_attempts"
    user_message = "Too many wrong attempts. Wait ten minutes, then try again."
    status = 429
    retry_after_seconds = 600
