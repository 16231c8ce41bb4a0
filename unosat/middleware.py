"""Headers that every answer carries, and refusals that no view answered itself."""

import logging
from collections.abc import Callable

from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, JsonResponse
from django.http.response import HttpResponseBase
from django.template import loader
from django.urls import reverse
from django.views.defaults import page_not_found, server_error
from django_htmx.http import HttpResponseClientRedirect

from unosat import incoming
from unosat.errors import DatabaseAway, MethodNotAllowed, NotFound, NotSignedIn, RefusedError

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
        """Pass on; a wrong method is answered with a sentence, not with nothing."""
        response = self.get_response(request)
        if not isinstance(response, HttpResponseNotAllowed):
            return response
        allowed = response.headers["Allow"]
        refused = _refused(request, MethodNotAllowed(request.method or "", allowed))
        refused.headers["Allow"] = allowed
        return refused

    def process_view(
        self,
        request: HttpRequest,
        view: Callable[..., HttpResponseBase],  # noqa: ARG002 - Django's own signature
        args: tuple[object, ...],  # noqa: ARG002
        kwargs: dict[str, object],  # noqa: ARG002
    ) -> HttpResponse | None:
        """Refuse what no page could keep; the API looks for itself."""
        if _is_api(request):
            return None
        try:
            incoming.check_form(request)
        except RefusedError as error:
            return _refused(request, error)
        return None

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        """JSON below ``/api/``, a page elsewhere; visitors are sent to the sign-in page."""
        if isinstance(error, OperationalError | InterfaceError):
            return _refused(request, DatabaseAway(str(error)), by_itself=True)
        return _refused(request, error) if isinstance(error, RefusedError) else None


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """What Django itself refuses, before or while it reads a request."""
    return _refused(request, incoming.refusal_of(exception), by_itself=True)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """No such address: the API's answer has the shape of all its refusals."""
    if _is_api(request):
        return JsonResponse({"code": NotFound.code, "message": NotFound.user_message}, status=404)
    return page_not_found(request, exception)


def broken(request: HttpRequest) -> HttpResponse:
    """A bug in a view: the traceback is in the log, never in the answer."""
    if _is_api(request):
        message = "Something went wrong on our side; it was recorded."
        return JsonResponse({"code": "failed", "message": message}, status=500)
    return server_error(request)


def _refused(request: HttpRequest, error: RefusedError, *, by_itself: bool = False) -> HttpResponse:
    """JSON or a page; one ``by_itself`` asks for nothing, where user or form cannot be read."""
    log.warning("refused", extra={"code": error.code, "why": str(error)})
    body = {"code": error.code, "message": error.user_message}
    if _is_api(request):
        return JsonResponse(body, status=error.status, headers=error.headers)
    if isinstance(error, NotSignedIn):
        return _to_sign_in(request)
    page = (
        loader.render_to_string("400.html", body)
        if by_itself
        else loader.render_to_string(error.page, body, request)
    )
    return HttpResponse(page, status=error.status, headers=error.headers)


def _to_sign_in(request: HttpRequest) -> HttpResponse:
    """The sign-in page, then back to what can be opened: no address that only takes forms.

    A part of a page that asks for itself must not show that page inside of it.
    """
    htmx = getattr(request, "htmx", None)
    if htmx:
        page = htmx.current_url_abs_path or reverse("dashboard")
        there: HttpResponse = HttpResponseClientRedirect(redirect_to_login(page).url)
        return there
    shown = request.method in {"GET", "HEAD"}
    return redirect_to_login(request.get_full_path() if shown else reverse("dashboard"))


def _is_api(request: HttpRequest) -> bool:
    return request.path.startswith("/api/")
