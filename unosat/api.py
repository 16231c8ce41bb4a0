"""The API, and the one place where refusals become HTTP."""

import logging

from django.http import Http404, HttpRequest, HttpResponse
from ninja import NinjaAPI
from ninja.errors import HttpError, ValidationError
from ninja.security import HttpBearer

from detection.errors import DetectionError
from unosat.accounts.actors import Actor, actor_of
from unosat.assessments.api import router as assessments
from unosat.errors import BadRequest, NotFound, RefusedError
from unosat.exports.api import router as exports
from unosat.quality.api import router as quality
from unosat.review.together import router as review
from unosat.scenes.api import router as scenes
from unosat.teams.api import router as teams
from unosat.training.api import router as training

log = logging.getLogger(__name__)


class KeyOrSession(HttpBearer):
    """An API key, or the session of the page that calls."""

    def __call__(self, request: HttpRequest) -> Actor:
        """Who calls; refuses by raising, so that the answer has the one shape of all refusals."""
        return actor_of(request)

    def authenticate(self, request: HttpRequest, token: str) -> Actor:
        """Not used: ``actor_of`` reads the header itself."""
        raise NotImplementedError


api = NinjaAPI(
    title="UNOSAT damage detection",
    version="1",
    description="Send a satellite image, have its damaged buildings found, fetch the result.",
    auth=KeyOrSession(),  # deny by default
    urls_namespace="api-1",
)
for router in (scenes, assessments, review, exports, training, teams, quality):
    api.add_router("", router)


@api.exception_handler(RefusedError)
def refused(request: HttpRequest, error: RefusedError) -> HttpResponse:
    """Answer every refusal in one shape: ``{"code": ..., "message": ...}``."""
    log.warning("refused", extra={"code": error.code, "why": str(error)})
    answer = _answer(request, error.code, error.user_message, error.status)
    for name, value in error.headers.items():
        answer[name] = value
    return answer


@api.exception_handler(DetectionError)
def engine_refused(request: HttpRequest, error: DetectionError) -> HttpResponse:
    """The engine's refusals have the same shape."""
    log.warning("refused", extra={"code": error.code, "why": str(error)})
    return _answer(request, error.code, error.user_message, 422)


@api.exception_handler(ValidationError)
def invalid(request: HttpRequest, error: ValidationError) -> HttpResponse:
    """Name the fields that are wrong; never echo what was sent."""
    fields = sorted({".".join(str(part) for part in e["loc"][1:]) for e in error.errors})
    message = f"These fields are missing or wrong: {', '.join(f or 'the body' for f in fields)}."
    return _answer(request, "invalid_fields", message, 422)


@api.exception_handler(Http404)
def missing(request: HttpRequest, error: Http404) -> HttpResponse:
    """The same answer as for another organisation's objects."""
    return _answer(request, NotFound.code, NotFound.user_message, 404)


@api.exception_handler(HttpError)
def http_error(request: HttpRequest, error: HttpError) -> HttpResponse:
    """What the framework itself refuses, such as a body that is no JSON."""
    return _answer(request, BadRequest.code, BadRequest.user_message, error.status_code)


@api.exception_handler(Exception)
def bug(request: HttpRequest, error: Exception) -> HttpResponse:
    """A bug: the traceback goes to the log, a sentence to the caller."""
    log.error("unexpected", exc_info=error, extra={"path": request.path})
    return _answer(request, "failed", "Something went wrong on our side; it was recorded.", 500)


def _answer(request: HttpRequest, code: str, message: str, status: int) -> HttpResponse:
    return api.create_response(request, {"code": code, "message": message}, status=status)
