"""The API, and the one place where refusals become HTTP."""

import logging
from typing import Any

from django.core.exceptions import SuspiciousOperation
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, RawPostDataException
from django.http.multipartparser import MultiPartParserError
from django.http.request import UnreadablePostError
from django.utils.datastructures import MultiValueDict
from ninja import NinjaAPI
from ninja.errors import HttpError, ValidationError
from ninja.openapi.schema import OpenAPISchema
from ninja.parser import Parser
from ninja.security import HttpBearer

from detection.errors import DetectionError
from unosat import incoming, promises
from unosat.accounts.actors import Actor, actor_of
from unosat.assessments.api import router as assessments
from unosat.errors import BadRequest, DatabaseAway, NotFound, RefusedError
from unosat.exports.api import router as exports
from unosat.quality.api import router as quality
from unosat.review.together import router as review
from unosat.scenes.api import router as scenes
from unosat.teams.api import router as teams
from unosat.training.api import router as training

log = logging.getLogger(__name__)

MOST_TOLD = 5  # fields of one refusal: the sixth helps nobody


class KeyOrSession(HttpBearer):
    """An API key, or the session of the page that calls."""

    def __call__(self, request: HttpRequest) -> Actor:
        """Who calls; refuses by raising, so that the answer has the one shape of all refusals."""
        return actor_of(request)

    def authenticate(self, request: HttpRequest, token: str) -> Actor:
        """Not used: ``actor_of`` reads the header itself."""
        raise NotImplementedError


class Strict(Parser):
    """Takes nothing from a body or an address that could be stored nowhere."""

    def parse_body(self, request: HttpRequest) -> Any:  # noqa: ANN401 (whatever JSON holds)
        """The body's JSON."""
        return incoming.read_json(request.body)

    def parse_querydict(
        self, data: MultiValueDict[str, Any], list_fields: list[str], request: HttpRequest
    ) -> dict[str, Any]:
        """Fields of an address or a form, or its files."""
        found: dict[str, Any] = super().parse_querydict(data, list_fields, request)
        incoming.check_value(found)
        return found


class PromisingAPI(NinjaAPI):
    """Its description says what refusals look like, too."""

    def get_openapi_schema(
        self, *, path_prefix: str | None = None, path_params: dict[str, Any] | None = None
    ) -> OpenAPISchema:
        """OpenAPI 3.1."""
        described = super().get_openapi_schema(path_prefix=path_prefix, path_params=path_params)
        promises.add_refusals(described)
        return described


api = PromisingAPI(
    title="UNOSAT damage detection",
    version="1",
    description="Send a satellite image, have its damaged buildings found, fetch the result.",
    auth=KeyOrSession(),  # deny by default
    urls_namespace="api-1",
    parser=Strict(),
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
    """Name the fields that are wrong, and what they should be; never echo what was sent."""
    wrong = sorted({_what_is_wrong(one) for one in error.errors})
    told = "; ".join(wrong[:MOST_TOLD]) + ("; and more" if len(wrong) > MOST_TOLD else "")
    return _answer(request, "invalid_fields", f"Put these fields right: {told}.", 422)


@api.exception_handler(Http404)
def missing(request: HttpRequest, error: Http404) -> HttpResponse:
    """The same answer as for another organisation's objects."""
    return _answer(request, NotFound.code, NotFound.user_message, 404)


@api.exception_handler(HttpError)
def http_error(request: HttpRequest, error: HttpError) -> HttpResponse:
    """What the framework itself refuses, such as a body that is no JSON."""
    if isinstance(error.__cause__, RefusedError):  # of Strict: ninja wraps whatever it raises
        return refused(request, error.__cause__)
    return _answer(request, BadRequest.code, BadRequest.user_message, error.status_code)


@api.exception_handler(MultiPartParserError)
@api.exception_handler(RawPostDataException)
@api.exception_handler(SuspiciousOperation)
@api.exception_handler(UnreadablePostError)
def unreadable(request: HttpRequest, error: Exception) -> HttpResponse:
    """What Django could not read: too large, too many fields, or cut short."""
    return refused(request, incoming.refusal_of(error))


@api.exception_handler(InterfaceError)
@api.exception_handler(OperationalError)
def database_away(request: HttpRequest, error: Exception) -> HttpResponse:
    """No bug of ours, and trying again can help."""
    return refused(request, DatabaseAway(str(error)))


@api.exception_handler(Exception)
def bug(request: HttpRequest, error: Exception) -> HttpResponse:
    """A bug: the traceback goes to the log, a sentence to the caller."""
    log.error("unexpected", exc_info=error, extra={"path": request.path})
    return _answer(request, "failed", "Something went wrong on our side; it was recorded.", 500)


def _what_is_wrong(error: dict[str, Any]) -> str:
    """Such as "name (String should have at most 120 characters)"."""
    where, *path = error["loc"]
    path = path[1:] if where == "body" else path  # a body's first name is that of our argument
    said = str(error["msg"])
    if error["type"] == "uuid_parsing":
        said = said.partition(",")[0]  # the rest quotes what was sent
    return f"{'.'.join(map(str, path)) or 'the body'} ({said})"


def _answer(request: HttpRequest, code: str, message: str, status: int) -> HttpResponse:
    return api.create_response(request, {"code": code, "message": message}, status=status)
