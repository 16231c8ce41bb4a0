"""Pages of measurements, and the dashboard of an event: parse, ask, show."""

import math
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_GET, require_POST

from unosat.accounts.actors import Actor, actor_of
from unosat.assessments import selectors as assessment_selectors
from unosat.assessments.models import Assessment
from unosat.errors import RefusedError
from unosat.pages import show
from unosat.quality import charts, overview, plan, selectors, services, words
from unosat.quality.errors import SampleSize
from unosat.quality.models import Sample
from unosat.quality.services import SampleRequest

USUAL = {"buildings": 300, "squares": 60, "side_m": 100}


@require_GET
def quality(request: HttpRequest, assessment_id: UUID) -> HttpResponse:
    """What was measured, what is being judged, and how to begin."""
    actor = actor_of(request)
    row = assessment_selectors.assessment(actor, assessment_id)
    being_judged = selectors.open_sample(actor, row.pk)
    context = {
        "assessment": row,
        "event": row.scene.event,
        "done": row.state == Assessment.State.DONE,
        "may_judge": actor.role != "partner",
        "open": being_judged,
        "progress": selectors.progress(being_judged) if being_judged else None,
        "usual": USUAL,
        **_measured(actor, row.pk),
    }
    if not being_judged:
        context |= _expected(actor, row.pk, SampleRequest(**USUAL))
    return show(request, actor, "quality.html", context, section="events")


@require_GET
def expected(request: HttpRequest, assessment_id: UUID) -> HttpResponse:
    """The part of the page that says what a sample of some size can be expected to tell."""
    actor = actor_of(request)
    assessment_selectors.must_exist(actor, assessment_id)
    try:
        context = _expected(actor, assessment_id, _wanted(request.GET.dict()))
    except SampleSize as error:
        context = {"strata": [], "refused": error.user_message}
    return show(request, actor, "parts/quality_expected.html", context)


@require_GET
def progress(request: HttpRequest, assessment_id: UUID) -> HttpResponse:
    """The part of the page that tells how far the judging is; the whole page once it is done."""
    actor = actor_of(request)
    row = assessment_selectors.assessment(actor, assessment_id)
    being_judged = selectors.open_sample(actor, row.pk)
    context = {
        "assessment": row,
        "open": being_judged,
        "progress": selectors.progress(being_judged) if being_judged else None,
        "may_judge": actor.role != "partner",
    }
    response = show(request, actor, "parts/quality_progress.html", context)
    if being_judged is None:
        response["HX-Refresh"] = "true"
    return response


@require_POST
def draw(request: HttpRequest, assessment_id: UUID) -> HttpResponse:
    """Draw a sample and go on to judging it."""
    actor = actor_of(request)
    assessment_selectors.must_exist(actor, assessment_id)
    try:
        services.draw(actor, assessment_id, _wanted(request.POST.dict()))
    except RefusedError as error:
        if error.status not in {409, 422}:
            raise
        messages.error(request, error.user_message, extra_tags="bad")
        return redirect("quality", assessment_id)
    return redirect("judge", assessment_id)


@require_POST
def withdraw(request: HttpRequest, assessment_id: UUID) -> HttpResponse:
    """Give the sample that is being judged up."""
    actor = actor_of(request)
    assessment_selectors.must_exist(actor, assessment_id)
    being_judged = selectors.open_sample(actor, assessment_id)
    if being_judged is not None:
        services.withdraw(actor, being_judged.pk)
    return redirect("quality", assessment_id)


@require_GET
def judge(request: HttpRequest, assessment_id: UUID) -> HttpResponse:
    """One building at a time; the front end does the rest."""
    actor = actor_of(request)
    actor.must_be("analyst", "admin")
    row = assessment_selectors.assessment(actor, assessment_id)
    being_judged = selectors.open_sample(actor, row.pk)
    if being_judged is None:
        return redirect("quality", row.pk)
    context = {
        "assessment": row,
        "event": row.scene.event,
        "page": _judging(being_judged, actor) | {"user": request.user.get_username()},
    }
    return show(request, actor, "judge.html", context, section="events")


@require_GET
def event_overview(request: HttpRequest, event_id: UUID) -> HttpResponse:
    """The dashboard of an event, which refreshes itself."""
    actor = actor_of(request)
    found = overview.overview(actor, event_id)
    total = found.total
    shown = found.newest[: overview.LISTED]
    sampled = selectors.sampled(run.assessment.pk for run in shown)
    context = {
        "event": found.event,
        "overview": found,
        "chart": charts.grades(total.model, total.now),
        "reviewed": charts.share(total.reviewed, total.all),
        "runs": [
            (
                run,
                charts.share(run.counts.reviewed, run.counts.all),
                sampled.get(run.assessment.pk, ""),
            )
            for run in shown
        ],
        "runs_left_out": len(found.newest) - len(shown),
        "runs_told": ", ".join(f"{count:,} {state}" for state, count in sorted(found.runs.items())),
    }
    return show(request, actor, "parts/event_overview.html", context)


def _judging(sample: Sample, actor: Actor) -> dict[str, Any]:
    return {
        "user_id": actor.user_id,
        "sample": str(sample.pk),
        "back": f"/assessments/{sample.assessment_id}/quality/",
        "has_before": sample.assessment.before_scene_id is not None,
        "side_m": sample.side_m,
    }


def _measured(actor: Actor, assessment_id: UUID) -> dict[str, Any]:
    found = selectors.measured(actor, assessment_id)
    if found is None:
        return {"measured": None}
    now = found.progress
    return {
        "measured": found,
        "verdict": words.verdict(
            found.after,
            judged=now.items - now.items_unclear,
            squares=now.squares - now.squares_unclear,
            judges=now.judges,
        ),
        "rows": words.rows(found.before, found.after),
        "numbers": [
            ("Damaged buildings on the map", f"{found.before.shown:,}", f"{found.after.shown:,}"),
            (
                "Damaged buildings there are, estimated",
                words.number(found.before),
                words.number(found.after),
            ),
            (
                "Of these without an outline, estimated",
                words.missed(found.before),
                words.missed(found.after),
            ),
        ],
    }


def _expected(actor: Actor, assessment_id: UUID, wanted: SampleRequest) -> dict[str, Any]:
    """What a sample can be expected to tell; raises SampleSize if it is not within reason."""
    wanted.check()
    sizes = selectors.stratum_sizes(actor, assessment_id)
    strata = plan.strata_of(sizes, wanted.buildings)
    if not strata:
        return {"strata": [], "refused": ""}
    told = plan.expected(strata)
    return {
        "strata": [
            {
                "name": words.NAMES[s.name],
                "grade": s.name if s.name in words.GLYPHS else "",
                "size": s.size,
                "sampled": s.sampled,
                "half": math.ceil(100 * told[s.name]),
            }
            for s in strata
        ],
        "number": round(told["number"]),
        "judged": sum(s.sampled for s in strata),
        "squares": wanted.squares,
    }


def _wanted(sent: dict[str, Any]) -> SampleRequest:
    """What a form asks for; an empty field is none of it.

    Raises:
        SampleSize: it holds something else than numbers.
    """
    try:
        return SampleRequest(
            buildings=int(sent.get("buildings") or 0),
            squares=int(sent.get("squares") or 0),
            side_m=float(sent.get("side_m") or 0),
        )
    except ValueError as error:
        raise SampleSize("not a number") from error
