"""Pages of events and images: parse, ask, show."""

from typing import Any
from uuid import UUID

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_GET, require_http_methods

from unosat.accounts.actors import actor_of
from unosat.errors import RefusedError
from unosat.pages import show
from unosat.scenes import quota, selectors, services
from unosat.scenes.models import Event, Scene

UNFINISHED = (Scene.State.UPLOADED, Scene.State.CHECKING)


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
    actor = actor_of(request)
    found = selectors.event(actor, event_id)
    page = {"event": str(found.pk), "date": found.date.isoformat()}
    context = _scenes_of(request, found) | {"page": page}
    return show(request, actor, "event.html", context, section="events")


@require_GET
def event_scenes(request: HttpRequest, event_id: UUID) -> HttpResponse:
    """The part of the event page that refreshes itself."""
    actor = actor_of(request)
    found = selectors.event(actor, event_id)
    return show(request, actor, "parts/scenes.html", _scenes_of(request, found))


@require_GET
def scene_state(request: HttpRequest, scene_id: UUID) -> HttpResponse:
    """The part of the scene page that refreshes itself; the whole page once it is checked."""
    actor = actor_of(request)
    found = selectors.scene(actor, scene_id)
    response = show(request, actor, "parts/scene_state.html", {"scene": found})
    if found.state not in UNFINISHED:
        response["HX-Refresh"] = "true"
    return response


def _scenes_of(request: HttpRequest, found: Event) -> dict[str, Any]:
    scenes = list(selectors.scenes(actor_of(request), event_id=found.pk))
    some_unfinished = any(scene.state in UNFINISHED for scene in scenes)
    return {
        "event": found,
        "scenes": scenes,
        "some_unfinished": some_unfinished,
        "quota": quota.quota_of(found.organisation_id),
    }
