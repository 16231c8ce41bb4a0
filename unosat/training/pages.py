"""Pages of training and models: parse, ask, show."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_GET, require_POST

from unosat.accounts.actors import Actor, actor_of
from unosat.errors import BadRequest, RefusedError
from unosat.pages import show
from unosat.training import selectors, services
from unosat.training.cards import NONE, SCORE_NAMES, card_of, number
from unosat.training.selectors import RunFacts

TABLES = (
    (
        "kept_aside",
        "Areas kept aside",
        "All reviewed areas lie in one place, so none could be kept aside. Mark areas elsewhere.",
    ),
    ("synthetic", "Synthetic benchmark", "It was not run."),
)
KINDS = (
    (
        "after",
        "One image",
        "Looks at the image after the disaster by itself, where there is none from before.",
    ),
    (
        "before_after",
        "Pairs of images",
        "Compares the image after the disaster with the one from before that an assessment has.",
    ),
)
NOTICEABLE = 0.005  # smaller changes of a score are printed without a verdict


@require_GET
def training(request: HttpRequest) -> HttpResponse:
    """Runs so far, and what another would use."""
    actor = actor_of(request)
    runs = [selectors.facts_of(run) for run in selectors.training_runs(actor)]
    context = {"runs": runs} | _preview(actor)
    return show(request, actor, "training.html", context, section="training")


@require_POST
def retrain(request: HttpRequest) -> HttpResponse:
    """Start a run and go to its page."""
    return redirect("training_run", services.start(actor_of(request)).pk)


@require_GET
def training_run(request: HttpRequest, run_id: UUID) -> HttpResponse:
    """How far a run is, then the scores of both models."""
    return _show_run(request, run_id, "training_run.html")


@require_GET
def training_run_state(request: HttpRequest, run_id: UUID) -> HttpResponse:
    """The part of the run's page that refreshes itself."""
    return _show_run(request, run_id, "parts/training_run.html")


@require_POST
def cancel(request: HttpRequest, run_id: UUID) -> HttpResponse:
    """Stop a run."""
    services.cancel(actor_of(request), run_id)
    return redirect("training_run", run_id)


@require_GET
def models(request: HttpRequest) -> HttpResponse:
    """Versions of the model with their cards."""
    actor = actor_of(request)
    cards = [card_of(version) for version in selectors.model_versions(actor)]
    active = selectors.active_ids()
    kinds = [
        {
            "title": title,
            "about": about,
            "active_id": active.get(kind),
            "cards": [card for card in cards if card.version.input_kind == kind],
        }
        for kind, title, about in KINDS
    ]
    context = {"kinds": kinds, "some": bool(cards)}
    return show(request, actor, "models.html", context, section="models")


@require_POST
def activate(request: HttpRequest, version_id: UUID) -> HttpResponse:
    """Make a version the active one, unless another became active since the page was shown."""
    replaces = request.POST.get("replaces", "")
    try:
        shown = UUID(replaces) if replaces else None
    except ValueError as error:
        raise BadRequest("replaces", "Reload the page of models, then press it again.") from error
    try:
        services.activate(actor_of(request), version_id, replaces=shown)
    except RefusedError as error:
        if error.status != 409:
            raise
        messages.error(request, error.user_message, extra_tags="bad")
    else:
        said = "It is active: the next assessment of such images uses it."
        messages.success(request, said, extra_tags="good")
    return redirect("models")


def _preview(actor: Actor) -> dict[str, Any]:
    if actor.role != "admin":
        return {}
    try:
        return {"preview": selectors.retraining_preview(actor)}
    except RefusedError as error:  # such as a model whose files are gone
        return {"not_possible": error.user_message}


def _show_run(request: HttpRequest, run_id: UUID, template: str) -> HttpResponse:
    actor = actor_of(request)
    run = selectors.facts_of(selectors.training_run(actor, run_id))
    context = {
        "run": run,
        "unfinished": run.state in selectors.UNFINISHED,
        "score_tables": _score_tables(run),
        "active_id": selectors.active_ids().get(run.input_kind),
    }
    return show(request, actor, template, context, section="training")


def _score_tables(run: RunFacts) -> list[dict[str, Any]]:
    old, new = run.scores.get("old", {}), run.scores.get("new", {})
    return [
        {
            "name": name,
            "title": title,
            "missing": missing,
            "rows": _compared(old.get(name) or {}, new.get(name) or {}),
        }
        for name, title, missing in TABLES
    ]


def _compared(old: dict[str, float | None], new: dict[str, float | None]) -> list[dict[str, str]]:
    rows = []
    for code, name in SCORE_NAMES.items():
        before, after = old.get(code), new.get(code)
        if before is None and after is None:
            continue
        change = None if before is None or after is None else after - before
        rows.append(
            {
                "name": name,
                "old": number(before),
                "new": number(after),
                "change": NONE if change is None else f"{change:+.3f}",
                "verdict": _verdict(change),
            }
        )
    return rows


def _verdict(change: float | None) -> str:
    if change is None or abs(change) < NOTICEABLE:
        return ""
    return "better" if change > 0 else "worse"
