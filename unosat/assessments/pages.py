"""Pages around assessments: parse, ask, show. The review page's own work is in the front end."""

from typing import Any
from uuid import UUID

from django.core.files.uploadedfile import UploadedFile
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST
from django.views.decorators.vary import vary_on_headers

from unosat.accounts.actors import Actor, actor_of
from unosat.assessments import known, selectors, services
from unosat.assessments.services import AssessmentRequest
from unosat.errors import BadRequest
from unosat.pages import show
from unosat.scenes import selectors as scene_selectors
from unosat.scenes.models import Scene

LATEST = 10
PER_PAGE = 50
NONE_YET = "None yet. Open an image that is ready, and press Analyse."
NONE_OF_SCENE = "None yet."


@require_GET
def dashboard(request: HttpRequest) -> HttpResponse:
    """Events, and what is going on."""
    actor = actor_of(request)
    events = scene_selectors.events(actor)
    context = {"events": events} | _latest(actor)
    return show(request, actor, "dashboard.html", context, section="events")


@require_GET
def latest(request: HttpRequest) -> HttpResponse:
    """The part of the dashboard that refreshes itself."""
    actor = actor_of(request)
    return show(request, actor, "parts/assessments.html", _latest(actor))


@require_GET
@vary_on_headers("HX-Request")
def all_assessments(request: HttpRequest) -> HttpResponse:
    """Every assessment, or every one of an image, page by page; htmx refreshes the rows alone."""
    actor = actor_of(request)
    scene_id = _uuid(request.GET.get("scene", ""))
    found = scene_selectors.scene(actor, scene_id) if scene_id else None
    pages = Paginator(selectors.assessments(actor, scene_id=scene_id), PER_PAGE)
    page = pages.get_page(request.GET.get("page"))
    rows = [selectors.progress(row) for row in page]
    listed = _listed(rows, request.get_full_path(), NONE_YET)
    context = {"page": page, "scene": found} | listed
    template = "parts/assessments.html" if request.headers.get("HX-Request") else "assessments.html"
    return show(request, actor, template, context, section="events")


@require_GET
def scene(request: HttpRequest, scene_id: UUID) -> HttpResponse:
    """An image: where it lies, what it is, and its assessments."""
    actor = actor_of(request)
    found = scene_selectors.scene(actor, scene_id)
    bounds = found.footprint.extent if found.footprint else None
    context = {
        "scene": found,
        "event": found.event,
        "before_scenes": _before(actor, found),
        "pairs_possible": selectors.pairs_possible(),
        "page": {"scene": str(found.pk), "bounds": bounds},
    }
    return show(request, actor, "scene.html", context | _of_scene(actor, found), section="events")


@require_GET
def of_scene(request: HttpRequest, scene_id: UUID) -> HttpResponse:
    """The part of the scene page that refreshes itself."""
    actor = actor_of(request)
    found = scene_selectors.scene(actor, scene_id)
    return show(request, actor, "parts/assessments.html", _of_scene(actor, found))


@require_POST
def analyse(request: HttpRequest, scene_id: UUID) -> HttpResponse:
    """Start an assessment and go to its page."""
    actor = actor_of(request)
    before = _uuid(request.POST.get("before_scene", ""))
    sent = request.FILES.get("outlines")
    wanted = AssessmentRequest(
        scene=scene_id,
        before_scene=before,
        outlines=sent.read(known.MOST_BYTES + 1) if isinstance(sent, UploadedFile) else None,
        also_detect="also_detect" in request.POST,
    )
    return redirect("assessment", services.create_assessment(actor, wanted).pk)


@require_GET
def assessment(request: HttpRequest, assessment_id: UUID) -> HttpResponse:
    """The map: progress, then review."""
    actor = actor_of(request)
    row = selectors.assessment(actor, assessment_id)
    found = scene_selectors.scene(actor, row.scene_id)
    progress = selectors.progress(row)
    page = {
        "id": str(row.pk),
        "scene": str(row.scene_id),
        "before_scene": str(row.before_scene_id) if row.before_scene_id else None,
        "bounds": progress.bounds,
        "min_score": progress.min_score or 0.0,
        "can_review": actor.role != "partner",
        "is_admin": actor.role == "admin",
        "user": request.user.get_username(),
        "user_id": actor.user_id,
    }
    context = {
        "assessment": progress,
        "event": found.event,
        "page": page,
        "download_url": f"/api/v1/assessments/{row.pk}/download",
        "omissions_url": f"/api/v1/assessments/{row.pk}/not-analysed",
    }
    return show(request, actor, "assessment.html", context, section="events")


def _latest(actor: Actor) -> dict[str, Any]:
    return _first(actor, None, LATEST, reverse("latest_assessments"), NONE_YET)


def _of_scene(actor: Actor, found: Scene) -> dict[str, Any]:
    url = reverse("scene_assessments", args=[found.pk])
    return _first(actor, found.pk, PER_PAGE, url, NONE_OF_SCENE)


def _first(
    actor: Actor, scene_id: UUID | None, count: int, refresh_url: str, none_yet: str
) -> dict[str, Any]:
    """The newest, and where the others are if there are more."""
    rows = list(selectors.assessments(actor, scene_id=scene_id)[: count + 1])
    listed = _listed([selectors.progress(row) for row in rows[:count]], refresh_url, none_yet)
    others = reverse("assessments") + (f"?scene={scene_id}" if scene_id else "")
    return listed | {"all_url": others if len(rows) > count else ""}


def _listed(found: list[selectors.Progress], refresh_url: str, none_yet: str) -> dict[str, Any]:
    return {
        "assessments": found,
        "some_unfinished": any(one.state in selectors.UNFINISHED for one in found),
        "refresh_url": refresh_url,
        "none_yet": none_yet,
    }


def _before(actor: Actor, found: Scene) -> list[Scene]:
    """Images of the same event that this one can be compared with."""
    ready = scene_selectors.scenes(actor, event_id=found.event_id)
    return [one for one in ready if one.phase == "before" and one.state == "ready"]


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text) if text else None
    except ValueError as error:
        raise BadRequest(
            "not an id", "That is not the id of an image. Choose one from its list."
        ) from error
