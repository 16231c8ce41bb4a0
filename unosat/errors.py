"""What a caller may not do, and what to tell them."""

from typing import ClassVar


class RefusedError(Exception):
    """Base: the request is understood and refused. ``str(error)`` is the detail, for logs only.

    Args:
        detail: for logs.
        advice: what to say instead of the class's ``user_message``, where it is known better.

    Attributes:
        code: stable identifier for clients and tests; never reworded.
        user_message: one plain sentence saying what to do; no paths, no internals. A class may
            have each instance say its own, with numbers.
        status: the HTTP status to answer.
        retry_after_seconds: when trying again can help; 0 if waiting does not.
        page: the template that shows it in a browser.
    """

    code: ClassVar[str] = "refused"
    user_message: str = "That cannot be done."
    status: ClassVar[int] = 409
    retry_after_seconds: ClassVar[int] = 0
    page: ClassVar[str] = "refused.html"

    def __init__(self, detail: object = "", advice: str = "") -> None:
        super().__init__(detail)
        if advice:
            self.user_message = advice

    @property
    def headers(self) -> dict[str, str]:
        """What the answer says to programs."""
        return {"Retry-After": str(self.retry_after_seconds)} if self.retry_after_seconds else {}


class NotFound(RefusedError):
    """It does not exist, or belongs to another organisation: the two must look the same."""

    code = "not_found"
    user_message = "There is nothing at this address, or it is not yours to see."
    status = 404


class Forbidden(RefusedError):
    """The actor belongs to the right organisation and lacks the role."""

    code = "forbidden"
    user_message = "Your role does not allow that. Ask an admin of your organisation."
    status = 403


class NotSignedIn(RefusedError):
    """Neither a session nor a valid key."""

    code = "not_signed_in"
    user_message = "Sign in, or send a valid API key."
    status = 401


class DatabaseAway(RefusedError):
    """PostgreSQL cannot be reached, or gave up on what it was asked."""

    code = "database_away"
    user_message = (
        "The database does not answer just now. Nothing that was saved is lost; try again in a "
        "few seconds."
    )
    status = 503
    retry_after_seconds = 5


class BadRequest(RefusedError):
    """What was sent cannot be understood; ``advice`` says what would be."""

    code = "bad_request"
    user_message = "The request is not complete or not in the right form."
    status = 400


class MethodNotAllowed(RefusedError):
    """Not a method of this address."""

    code = "method_not_allowed"
    user_message = "That cannot be done at this address."
    status = 405

    def __init__(self, method: str, allowed: str = "") -> None:
        takes = f"{self.user_message} It takes {allowed}." if allowed else ""
        super().__init__(method, takes)
