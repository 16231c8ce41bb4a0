"""The live progress of one training run, as server-sent events; see ``assessments.streams``."""

from functools import partial
from uuid import UUID

from asgiref.sync import sync_to_async
from django.db import connection
from django.http import HttpRequest, HttpResponseBase, JsonResponse
from django.views.decorators.http import require_GET

from unosat.accounts.actors import actor_of
from unosat.errors import RefusedError
from unosat.ops import events
from unosat.training import selectors, services


@require_GET
async def training_run_events(request: HttpRequest, run_id: UUID) -> HttpResponseBase:
    """``progress`` whenever it changes."""
    try:
        await sync_to_async(_let_in)(request, run_id)
    except RefusedError as error:
        body = {"code": error.code, "message": error.user_message}
        return JsonResponse(body, status=error.status)
    return events.stream(services.topic(run_id), partial(selectors.run_facts, run_id))


def _let_in(request: HttpRequest, run_id: UUID) -> None:
    try:
        selectors.training_run(actor_of(request), run_id)
    finally:
        if not connection.in_atomic_block:  # the stream begins; nothing waits for its end
            connection.close()
