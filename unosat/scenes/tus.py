"""HTTP for resumable uploads: tus 1.0 with creation, checksum, expiration and termination.

Plain views: the protocol is headers and bytes, not JSON. Cookies are checked by ``actor_of``.
"""

import base64
import binascii
import logging
from collections.abc import Callable
from functools import wraps
from uuid import UUID

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import reverse
from django.utils.http import http_date
from django.views.decorators.csrf import csrf_exempt

from unosat.accounts.actors import actor_of
from unosat.errors import MethodNotAllowed, RefusedError
from unosat.scenes import selectors, services, uploads
from unosat.scenes.errors import BadUpload
from unosat.scenes.models import Upload
from unosat.scenes.uploads import CHECKSUMS, Checksum

log = logging.getLogger(__name__)

VERSION = "1.0.0"
EXTENSIONS = "creation,checksum,expiration,termination"
BYTES = "application/offset+octet-stream"
MAX_METADATA = 8 * 1024

View = Callable[..., HttpResponse]


class UnsupportedVersion(RefusedError):
    """The client speaks another version of tus, or none."""

    code = "unsupported_tus_version"
    user_message = "This server speaks version 1.0.0 of the tus protocol."
    status = 412


class UnsupportedChecksum(RefusedError):
    """A checksum algorithm that is not offered."""

    code = "unsupported_checksum"
    user_message = "Use sha1 or sha256 as checksum."
    status = 400


def _speaking_tus(view: View) -> View:
    """Answer in tus, refusals included; take the real method from its override header."""

    @csrf_exempt
    @wraps(view)
    def answer(request: HttpRequest, **address: UUID) -> HttpResponse:
        try:
            response = view(request, **address)
        except RefusedError as error:
            log.warning("refused", extra={"code": error.code, "why": str(error)})
            body = {"code": error.code, "message": error.user_message}
            response = JsonResponse(body, status=error.status, headers=error.headers)
        response["Tus-Resumable"] = VERSION
        if response.status_code == UnsupportedVersion.status or _method(request) == "OPTIONS":
            response["Tus-Version"] = VERSION
        response["Cache-Control"] = "no-store"
        return response

    return answer


@_speaking_tus
def create_upload(request: HttpRequest) -> HttpResponse:
    """Announce a file (POST), or say what this server can (OPTIONS)."""
    method = _method(request)
    if method == "OPTIONS":
        return _capabilities()
    if method != "POST":
        raise MethodNotAllowed(method)
    _must_speak_version(request)
    actor = actor_of(request)
    said = request.headers.get("Upload-Metadata", "")
    metadata = _metadata(said)
    upload = uploads.begin(
        actor,
        length=_number(request, "Upload-Length"),
        filename=metadata.get("filename", ""),
        metadata=metadata,
        said=said,
    )
    response = HttpResponse(status=201)
    response["Location"] = reverse("upload", args=[upload.pk])
    return _dated(response, upload)


@_speaking_tus
def one_upload(request: HttpRequest, upload_id: UUID) -> HttpResponse:
    """Ask where an upload stands (HEAD), go on with it (PATCH), or end it (DELETE)."""
    method = _method(request)
    if method == "OPTIONS":
        return _capabilities()
    answers: dict[str, View] = {"HEAD": _where, "PATCH": _go_on, "DELETE": _end}
    if method not in answers:
        raise MethodNotAllowed(method)
    _must_speak_version(request)
    return answers[method](request, upload_id)


@csrf_exempt
def upload_state(request: HttpRequest, upload_id: UUID) -> HttpResponse:
    """The same as JSON, for programs that are no tus clients: what became of an upload."""
    upload = selectors.upload(actor_of(request), upload_id)
    scene_id = selectors.scene_id_of(upload.pk)
    body = {
        "id": str(upload.pk),
        "state": upload.state,
        "offset": upload.offset,
        "length": upload.length,
        "scene_id": str(scene_id) if scene_id else None,
    }
    return JsonResponse(body, headers={"Cache-Control": "no-store"})


def _where(request: HttpRequest, upload_id: UUID) -> HttpResponse:
    upload = uploads.settled(actor_of(request), upload_id)
    response = HttpResponse(status=200)
    response["Upload-Length"] = str(upload.length)
    if upload.said:
        response["Upload-Metadata"] = upload.said
    return _described(response, upload)


def _go_on(request: HttpRequest, upload_id: UUID) -> HttpResponse:
    if request.content_type != BYTES:
        response = HttpResponse(status=415)
        response["Accept"] = BYTES
        return response
    upload = uploads.append(
        actor_of(request),
        upload_id,
        offset=_number(request, "Upload-Offset"),
        read=request.read,
        checksum=_checksum(request.headers.get("Upload-Checksum", "")),
    )
    return _described(HttpResponse(status=204), upload)


def _end(request: HttpRequest, upload_id: UUID) -> HttpResponse:
    uploads.end(actor_of(request), upload_id)
    return HttpResponse(status=204)


def _described(response: HttpResponse, upload: Upload) -> HttpResponse:
    response["Upload-Offset"] = str(upload.offset)
    if upload.offset == upload.length:  # complete: it expires no more
        response["X-Scene-Id"] = str(services.become_scene(upload.pk).pk)
        return response
    return _dated(response, upload)


def _dated(response: HttpResponse, upload: Upload) -> HttpResponse:
    response["Upload-Expires"] = http_date(upload.expires_at.timestamp())
    return response


def _capabilities() -> HttpResponse:
    response = HttpResponse(status=204)
    response["Tus-Extension"] = EXTENSIONS
    response["Tus-Max-Size"] = str(settings.UNOSAT_MAX_UPLOAD_BYTES)
    response["Tus-Checksum-Algorithm"] = ",".join(CHECKSUMS)
    return response


def _method(request: HttpRequest) -> str:
    """The method that a client means: some environments know only GET and POST."""
    return request.headers.get("X-HTTP-Method-Override", request.method or "").upper()


def _must_speak_version(request: HttpRequest) -> None:
    if request.headers.get("Tus-Resumable") != VERSION:
        raise UnsupportedVersion(request.headers.get("Tus-Resumable", "none"))


def _number(request: HttpRequest, name: str) -> int:
    text = request.headers.get(name, "")
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise BadUpload(f"{name}: {text[:40]!r}")
    return int(text)


def _metadata(header: str) -> dict[str, str]:
    """Pairs of a name and base64 text, separated by commas; a name appears once."""
    if len(header) > MAX_METADATA or not (header.isascii() and header.isprintable()):
        raise BadUpload("metadata too long, or not plain ASCII")
    found: dict[str, str] = {}
    for pair in filter(None, (part.strip() for part in header.split(","))):
        name, _, value = pair.partition(" ")
        if name in found:
            raise BadUpload(f"metadata {name[:40]!r} twice")
        try:
            found[name] = base64.b64decode(value.strip(), validate=True).decode()
        except (binascii.Error, UnicodeDecodeError) as error:
            raise BadUpload(f"metadata {name[:40]!r}") from error
    return found


def _checksum(header: str) -> Checksum | None:
    if not header:
        return None
    algorithm, _, text = header.partition(" ")
    if algorithm not in CHECKSUMS:
        raise UnsupportedChecksum(algorithm[:40])
    try:
        return Checksum(algorithm, base64.b64decode(text.strip(), validate=True))
    except binascii.Error as error:
        raise BadUpload("checksum") from error
