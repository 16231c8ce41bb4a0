"""Pages of a team: progress, second looks, disagreements. Parse, ask, show."""

from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from unosat.accounts.actors import Actor, actor_of
from unosat.assessments import selectors as assessment_selectors
from unosat.errors import RefusedError
from unosat.pages import show
from unosat.teams import controls, overview, selectors
from unosat.teams import looks as look_services
from unosat.teams.models import KNOWN_ANSWERS, Answer

KNOWN = [(value, Answer(value).label) for value in KNOWN_ANSWERS]


class PlanForm(forms.Form):
    """How much is looked at twice."""

    share_percent = forms.IntegerField(
        min_value=0, max_value=100, label="Looked at twice, % of what is decided"
    )
    control_percent = forms.IntegerField(
        min_value=0, max_value=50, label="Control buildings, % of second looks"
    )


class ControlForm(forms.Form):
    """A building whose answer is known."""

    building = forms.UUIDField(label="Id of the building")
    answer = forms.ChoiceField(choices=KNOWN, label="What it is in truth")


@require_GET
@never_cache
def team(request: HttpRequest, assessment_id: UUID) -> HttpResponse:
    """Who does what, how far it is, and how far people agree."""
    actor = actor_of(request)
    context = _now(actor, assessment_id) | _for_admins(actor, assessment_id)
    return show(request, actor, "team.html", context, section="events")


@require_GET
@never_cache
def team_now(request: HttpRequest, assessment_id: UUID) -> HttpResponse:
    """The part of the page that refreshes itself."""
    actor = actor_of(request)
    return show(request, actor, "parts/team.html", _now(actor, assessment_id))


@require_POST
def set_plan(request: HttpRequest, assessment_id: UUID) -> HttpResponse:
    """Set the shares."""
    actor = actor_of(request)
    actor.must_be("admin")
    assessment_selectors.must_exist(actor, assessment_id)
    form = PlanForm(request.POST)
    if form.is_valid():
        look_services.set_plan(actor, assessment_id, **form.cleaned_data)
        messages.success(request, "Set. It holds for what is given out from now on.", "good")
    else:
        messages.error(request, "Give whole numbers: up to 100 % and up to 50 %.", "bad")
    return redirect("team", assessment_id)


@require_POST
def add_control(request: HttpRequest, assessment_id: UUID) -> HttpResponse:
    """Make one building a control, or all that were settled."""
    actor = actor_of(request)
    actor.must_be("admin")
    assessment_selectors.must_exist(actor, assessment_id)
    try:
        said = _added(actor, assessment_id, request)
    except RefusedError as error:
        messages.error(request, error.user_message, "bad")
    else:
        messages.success(request, said, "good")
    return redirect("team", assessment_id)


@require_POST
def remove_control(request: HttpRequest, control_id: UUID) -> HttpResponse:
    """Let a control be an ordinary building again."""
    assessment_id = controls.remove(actor_of(request), control_id)
    messages.success(request, "It is an ordinary building again.", "good")
    return redirect("team", assessment_id)


@require_GET
@never_cache
def looks(request: HttpRequest, assessment_id: UUID) -> HttpResponse:
    """Judge buildings blind, one after another."""
    return _judging(request, assessment_id, "look")


@require_GET
@never_cache
def settling(request: HttpRequest, assessment_id: UUID) -> HttpResponse:
    """Settle disagreements, one after another."""
    return _judging(request, assessment_id, "settle")


def _judging(request: HttpRequest, assessment_id: UUID, what: str) -> HttpResponse:
    actor = actor_of(request)
    overview.must_see(actor, assessment_id)
    row = assessment_selectors.assessment(actor, assessment_id)
    page = {
        "id": str(row.pk),
        "user": request.user.get_username(),
        "user_id": actor.user_id,
        "what": what,
        "verdicts": look_services.VERDICTS,
    }
    context = {"assessment": row, "page": page, "what": what}
    return show(request, actor, "judging.html", context, section="events")


def _now(actor: Actor, assessment_id: UUID) -> dict[str, Any]:
    facts = selectors.team(actor, assessment_id)
    agreements = overview.agreement_of(assessment_id)
    return {
        "assessment": assessment_selectors.assessment(actor, assessment_id),
        "team": facts,
        "looks": overview.looks_now(actor, assessment_id),
        "agreement": agreements.overall,
        "agreements": [(Answer(name).label, one) for name, one in agreements.per_answer.items()],
        "accuracies": controls.accuracies(actor, assessment_id),
    }


def _for_admins(actor: Actor, assessment_id: UUID) -> dict[str, Any]:
    if actor.role != "admin":
        return {}
    now = overview.looks_now(actor, assessment_id)
    shares = {"share_percent": now.share_percent, "control_percent": now.control_percent}
    return {
        "plan_form": PlanForm(initial=shares),
        "control_form": ControlForm(),
        "controls": controls.controls(actor, assessment_id),
    }


def _added(actor: Actor, assessment_id: UUID, request: HttpRequest) -> str:
    if "settled" in request.POST:
        count = controls.from_adjudications(actor, assessment_id)
        return f"{count} of what was settled are new controls."
    form = ControlForm(request.POST)
    if not form.is_valid():
        raise _NoBuilding(str(form.errors))
    building, answer = form.cleaned_data["building"], form.cleaned_data["answer"]
    try:
        controls.mark(actor, assessment_id, building, answer)
    except RefusedError as error:
        if error.status == 404:
            raise _NoBuilding(str(error)) from error
        raise
    return "It is a control building now."


class _NoBuilding(RefusedError):
    """The form names no building of this assessment."""

    code = "no_such_building"
    user_message = "There is no such building here. Copy its id from the review page."
    status = 422
