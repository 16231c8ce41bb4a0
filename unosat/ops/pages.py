"""Pages and figures about the installation itself; none belongs to an organisation."""

import hmac
from dataclasses import asdict

from django.conf import settings
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4

from unosat.accounts import throttle
from unosat.accounts.actors import actor_for_user
from unosat.accounts.errors import NoOrganisation
from unosat.errors import Forbidden, NotSignedIn
from unosat.ops import health, metrics
from unosat.ops import status as whole
from unosat.ops.health import Health
from unosat.pages import show

UNAVAILABLE = 503


@never_cache
@require_GET
def report(request: HttpRequest) -> HttpResponse:
    """Whether the database, the queue, the store and the workers answer."""
    found = health.report()
    if request.accepts("text/html"):
        return _show_health(request, found)
    return JsonResponse(asdict(found), status=_status_of(found))


@never_cache
@require_GET
def status(request: HttpRequest) -> HttpResponse:
    """Workers, models, queues, and what each is doing; for staff of the installation."""
    return _show_status(request, "status.html")


@never_cache
@require_GET
def status_now(request: HttpRequest) -> HttpResponse:
    """The part of the page that refreshes itself."""
    return _show_status(request, "parts/status.html")


@never_cache
@require_GET
def figures(request: HttpRequest) -> HttpResponse:
    """Figures for a monitor, in Prometheus's text format."""
    _may_read_figures(request)
    return HttpResponse(metrics.text(), content_type=CONTENT_TYPE_PLAIN_0_0_4)


def _show_health(request: HttpRequest, found: Health) -> HttpResponse:
    return render(request, "health.html", {"health": found}, status=_status_of(found))


def _status_of(found: Health) -> int:
    return 200 if found.ok else UNAVAILABLE


def _show_status(request: HttpRequest, template: str) -> HttpResponse:
    """Without the database nobody can be told apart: then what everybody may know is shown."""
    database = health.ask_database()
    if not database.ok:
        return _show_health(request, health.report(database))
    user = _must_be_staff(request)
    context = {"status": whole.status()}
    try:
        actor = actor_for_user(user)
    except NoOrganisation:  # staff need no organisation
        return render(request, template, context)
    return show(request, actor, template, context, section="status")


def _may_read_figures(request: HttpRequest) -> None:
    """By the monitor's token if one is set, else as staff.

    Raises:
        NotSignedIn, Forbidden: neither.
        TooManyAttempts: wrong tokens came from this address again and again.
    """
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        _must_be_staff(request)
        return
    wanted = settings.UNOSAT_METRICS_TOKEN
    if wanted and hmac.compare_digest(token.strip().encode(), wanted.encode()):
        return
    caller = throttle.address_of(request, "metrics")
    throttle.check(caller)
    throttle.note_failure(caller)
    raise NotSignedIn("wrong token for metrics")


def _must_be_staff(request: HttpRequest) -> User:
    if not request.user.is_authenticated:
        raise NotSignedIn("no session")
    if not request.user.is_staff:
        raise Forbidden(f"user {request.user.pk} is no staff of the installation")
    return request.user
