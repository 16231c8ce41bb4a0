"""HTTP for exports: parse, call, answer."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import IO
from uuid import UUID

from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, JsonResponse, StreamingHttpResponse
from ninja import Router

from unosat import promises
from unosat.accounts.actors import actor_of
from unosat.exports import services
from unosat.exports.services import Choice, Only, Rejected

router = Router(tags=["exports"])

PIECE_BYTES = 256 * 1024
GEOJSON = promises.file_of("application/geo+json")


@router.get("/assessments/{uuid:assessment_id}/download", openapi_extra=GEOJSON)
def download(
    request: HttpRequest, assessment_id: UUID, only: Only = "all", rejected: Rejected = "include"
) -> StreamingHttpResponse:
    """The buildings as they stand, as a GeoJSON file whose metadata says what it is.

    ``only=reviewed`` leaves out what nobody decided on; ``rejected=leave_out`` what was found
    to be no building. Otherwise rejected ones are in it, each with ``"review": "rejected"``. What
    was split or merged away is never in it; what took its place names it in ``made_from``.
    """
    actor, choice = actor_of(request), Choice(only=only, rejected=rejected)
    name = services.file_name(actor, assessment_id, choice)
    file = services.write_geojson(actor, assessment_id, choice)
    pieces = _pieces_later(file) if isinstance(request, ASGIRequest) else _pieces(file)
    response = StreamingHttpResponse(pieces, content_type="application/geo+json")
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    response["Cache-Control"] = "no-store"
    return response


@router.get("/assessments/{uuid:assessment_id}/not-assessable", openapi_extra=GEOJSON)
def not_assessable(request: HttpRequest, assessment_id: UUID) -> JsonResponse:
    """The ground that people said cannot be assessed, and why, as a GeoJSON layer of its own."""
    told = services.write_not_assessable(actor_of(request), assessment_id)
    return JsonResponse(told, content_type="application/geo+json")


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        while piece := file.read(PIECE_BYTES):
            yield piece


async def _pieces_later(file: IO[bytes]) -> AsyncIterator[bytes]:
    with file:
        while piece := await asyncio.to_thread(file.read, PIECE_BYTES):
            yield piece
