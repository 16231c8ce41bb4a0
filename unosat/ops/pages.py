"""The health page; a sentence per part, and a status that a monitor can read."""

from dataclasses import asdict

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from unosat.ops import health

UNAVAILABLE = 503


@never_cache
@require_GET
def report(request: HttpRequest) -> HttpResponse:
    """Whether the database, the queue, the store and the workers answer."""
    found = health.report()
    status = 200 if found.ok else UNAVAILABLE
    if request.accepts("text/html"):
        return render(request, "health.html", {"health": found}, status=status)
    return JsonResponse(asdict(found), status=status)
