"""The live progress of one assessment, as server-sent events.

A plain asynchronous view, because the stream lasts for minutes and must hold neither a thread nor
a database connection meanwhile.
"""

from functools import partial
from uuid import UUID

from asgiref.sync import sync_to_async
from django.db import connection
from django.http import HttpRequest, HttpResponseBase, JsonResponse
from django.views.decorators.http import require_GET

from unosat.accounts.actors import actor_of
from unosat.assessments import selectors
from unosat.errors import RefusedError
from unosat.ops import events


@require_GET
async def assessment_events(request: HttpRequest, assessment_id: UUID) -> HttpResponseBase:
    """``progress`` whenever it changes, ``decision`` and ``reviewed_area`` after each.

    ``presence`` says where somebody looks now; ``missed``, that news may have been lost.
    """
    try:
        await sync_to_async(_let_in)(request, assessment_id)
    except RefusedError as error:
        body = {"code": error.code, "message": error.user_message}
        return JsonResponse(body, status=error.status)
    topic = selectors.topic(assessment_id)
    return events.stream(topic, partial(selectors.progress_of, assessment_id))


def _let_in(request: HttpRequest, assessment_id: UUID) -> None:
    try:
        selectors.assessment(actor_of(request), assessment_id)
    finally:
        if not connection.in_atomic_block:  # the stream begins; nothing waits for its end
            connection.close()
