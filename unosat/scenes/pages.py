"""Pages of events and images: parse, ask, show."""

from typing import Any
from uuid import UUID

from django import forms
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from unosat.accounts.actors import actor_of
from unosat.errors import NotFound, RefusedError
from unosat.pages import show
from unosat.scenes import fetches, quota, selectors, services
from unosat.scenes.models import Event, Fetch, Scene

UNFINISHED = (Scene.State.UPLOADED, Scene.State.CHECKING)
SHOWN_FETCHES = (*fetches.UNDER_WAY, Fetch.State.FAILED)  # the others are images, or nothing


class EventForm(forms.Form):
    """A new event."""

    name = forms.CharField(max_length=120, label="Name")
    kind = forms.ChoiceField(choices=Event.Kind.choices, label="Kind")
    date = forms.DateField(
        label="Date", widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")
    )
    code = forms.CharField(max_length=40, required=False, label="Code, such as a GLIDE number")


@require_http_methods(["GET", "POST"])
def new_event(request: HttpRequest) -> HttpResponse:
    """Create an event, then go on to its page."""
    actor = actor_of(request)
    actor.must_be("analyst", "admin")
    form = EventForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            event = services.create_event(actor, **form.cleaned_data)
        except RefusedError as error:
            form.add_error(None, error.user_message)
        else:
            return redirect("event", event.pk)
    return show(request, actor, "new_event.html", {"form": form}, section="events")


@require_GET
def event(request: HttpRequest, event_id: UUID) -> HttpResponse:
    """An event with its images and the upload form."""
    return _event_page(request, selectors.event(actor_of(request), event_id), {})


@require_GET
def event_scenes(request: HttpRequest, event_id: UUID) -> HttpResponse:
    """The part of the event page that refreshes itself."""
    return _scenes_part(request, selectors.event(actor_of(request), event_id))


@require_GET
def scene_state(request: HttpRequest, scene_id: UUID) -> HttpResponse:
    """The part of the scene page that refreshes itself; the whole page once it is checked."""
    actor = actor_of(request)
    found = selectors.scene(actor, scene_id)
    response = show(request, actor, "parts/scene_state.html", {"scene": found})
    if found.state not in UNFINISHED:
        response["HX-Refresh"] = "true"
    return response


@require_POST
def fetch_link(request: HttpRequest, event_id: UUID) -> HttpResponse:
    """Begin an import from a link; the form again, empty or with the reason why not."""
    actor = actor_of(request)
    found = selectors.event(actor, event_id)
    fields = {name: request.POST.get(name, "") for name in ("phase", "url", "asset")}
    said = {"event": str(found.pk), "phase": fields["phase"]}
    typed: dict[str, Any] = {}
    try:
        fetches.begin(actor, url=fields["url"], asset=fields["asset"], metadata=said)
    except NotFound:
        raise
    except RefusedError as error:
        typed = {"link": fields, "link_refused": error.user_message}
    if not request.headers.get("HX-Request"):
        return _event_page(request, found, typed) if typed else redirect("event", found.pk)
    response = show(request, actor, "parts/fetch_form.html", {"event": found} | typed)
    response["HX-Trigger"] = "scenes-changed"
    return response


@require_POST
def fetch_again(request: HttpRequest, fetch_id: UUID) -> HttpResponse:
    """Go on with an import that failed."""
    actor = actor_of(request)
    fetch = fetches.again(actor, fetch_id, asset=request.POST.get("asset", ""))
    return _scenes_again(request, fetch)


@require_POST
def fetch_cancel(request: HttpRequest, fetch_id: UUID) -> HttpResponse:
    """Give an import up, or take one that failed off the list."""
    actor = actor_of(request)
    fetch = selectors.fetch(actor, fetch_id)
    fetches.cancel(actor, fetch_id)
    return _scenes_again(request, fetch)


def _scenes_again(request: HttpRequest, fetch: Fetch) -> HttpResponse:
    if not request.headers.get("HX-Request"):
        return redirect("event", fetch.event_id)
    return _scenes_part(request, selectors.event(actor_of(request), fetch.event_id))


def _event_page(request: HttpRequest, found: Event, typed: dict[str, Any]) -> HttpResponse:
    page = {"event": str(found.pk), "date": found.date.isoformat()}
    possible = {"page": page, "links_possible": bool(settings.UNOSAT_FETCH_PORTS)}
    context = _scenes_of(request, found) | possible | typed
    return show(request, actor_of(request), "event.html", context, section="events")


def _scenes_part(request: HttpRequest, found: Event) -> HttpResponse:
    return show(request, actor_of(request), "parts/scenes.html", _scenes_of(request, found))


def _scenes_of(request: HttpRequest, found: Event) -> dict[str, Any]:
    actor = actor_of(request)
    scenes = list(selectors.scenes(actor, event_id=found.pk))
    coming = list(selectors.fetches(actor, event_id=found.pk).filter(state__in=SHOWN_FETCHES))
    some_unfinished = any(scene.state in UNFINISHED for scene in scenes) or any(
        fetch.state in fetches.UNDER_WAY for fetch in coming
    )
    return {
        "event": found,
        "scenes": scenes,
        "fetches": coming,
        "some_unfinished": some_unfinished,
        "quota": quota.quota_of(found.organisation_id),
    }
