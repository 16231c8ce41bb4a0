"""Headers that every answer carries, and refusals that no view answered itself."""

import logging
from collections.abc import Callable

from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.views.defaults import page_not_found, server_error

from unosat.errors import NotFound, NotSignedIn, RefusedError

log = logging.getLogger(__name__)

GetResponse = Callable[[HttpRequest], HttpResponseBase]


def content_security_policy(get_response: GetResponse) -> GetResponse:
    """Let pages load nothing from elsewhere and run no inline script."""

    def answer(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        response.headers.setdefault("Content-Security-Policy", settings.CONTENT_SECURITY_POLICY)
        return response

    return answer


class Refusals:
    """Turns refusals of plain views and pages into answers; the API has its own handler."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Pass on."""
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        """JSON below ``/api/``, a page elsewhere; visitors are sent to the sign-in page."""
        if not isinstance(error, RefusedError):
            return None
        log.warning("refused", extra={"code": error.code, "why": str(error)})
        body = {"code": error.code, "message": error.user_message}
        if request.path.startswith("/api/"):
            return JsonResponse(body, status=error.status, headers=error.headers)
        if isinstance(error, NotSignedIn):
            return redirect_to_login(request.get_full_path())
        page = render(request, error.page, body, status=error.status)
        for name, value in error.headers.items():
            page[name] = value
        return page


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """No such address: the API's answer has the shape of all its refusals."""
    if request.path.startswith("/api/"):
        return JsonResponse({"code": NotFound.code, "message": NotFound.user_message}, status=404)
    return page_not_found(request, exception)


def broken(request: HttpRequest) -> HttpResponse:
    """A bug in a view: the traceback is in the log, never in the answer."""
    if request.path.startswith("/api/"):
        message = "Something went wrong on our side; it was recorded."
        return JsonResponse({"code": "failed", "message": message}, status=500)
    return server_error(request)
