"""What is done with every request before anything else: its name in the log, and the probes.

Probes come from load balancers and container engines, which ask by address and know no host name:
they are answered before the host is checked, and say nothing that a stranger could use.
"""

import logging
import re
import time
from collections.abc import Callable
from uuid import uuid4

from django.http import HttpRequest, JsonResponse
from django.http.response import HttpResponseBase

from unosat import logs
from unosat.ops import health

log = logging.getLogger(__name__)

GetResponse = Callable[[HttpRequest], HttpResponseBase]

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")  # nothing else of a stranger's gets into a log
SLOW_SECONDS = 1.0  # quick reads are not worth a line: one map is hundreds of tiles
READS = frozenset({"GET", "HEAD", "OPTIONS"})
UNAVAILABLE = 503


class NamedRequests:
    """Gives each request a name, on all of its log lines and in the answer's ``X-Request-ID``."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Pass on, and note what it came to."""
        sent = request.headers.get("X-Request-ID", "")
        name = sent if REQUEST_ID.fullmatch(sent) else uuid4().hex
        with logs.scope(request_id=name):
            began = time.monotonic()
            response = self.get_response(request)
            _tell(request, response, time.monotonic() - began)
        response.headers["X-Request-ID"] = name
        return response

    def process_view(
        self,
        request: HttpRequest,  # noqa: ARG002 - Django's own signature
        view: Callable[..., HttpResponseBase],  # noqa: ARG002
        args: tuple[object, ...],  # noqa: ARG002
        kwargs: dict[str, object],
    ) -> None:
        """Whatever id is in the address is what the request is about."""
        ids = {name.removesuffix("_id"): value for name, value in kwargs.items() if _is_id(name)}
        logs.add(**ids)


def answer_probes(get_response: GetResponse) -> GetResponse:
    """``/healthz``: this process lives. ``/readyz``: it can do its work."""

    def answer(request: HttpRequest) -> HttpResponseBase:
        probe = PROBES.get(request.path_info) if request.method in {"GET", "HEAD"} else None
        return probe() if probe else get_response(request)

    return answer


def _alive() -> HttpResponseBase:
    return _uncached(JsonResponse({"ok": True}))


def _ready() -> HttpResponseBase:
    missing = health.missing()
    status = UNAVAILABLE if missing else 200
    return _uncached(JsonResponse({"ok": not missing, "missing": missing}, status=status))


PROBES: dict[str, Callable[[], HttpResponseBase]] = {"/healthz": _alive, "/readyz": _ready}


def _uncached(response: HttpResponseBase) -> HttpResponseBase:
    response.headers["Cache-Control"] = "no-store"
    return response


def _tell(request: HttpRequest, response: HttpResponseBase, seconds: float) -> None:
    """One line for what changes something, is slow or fails. The query may hold anything."""
    if request.method in READS and seconds < SLOW_SECONDS and response.status_code < 500:
        return
    said = {"method": request.method, "status": response.status_code, "path": request.path}
    log.info("answered", extra=said | {"seconds": round(seconds, 3)})


def _is_id(name: str) -> bool:
    return name.endswith("_id")
