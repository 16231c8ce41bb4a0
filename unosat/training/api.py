"""HTTP for training: parse, call, answer."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from django.http import HttpRequest
from ninja import Router, Schema, Status

from unosat.accounts.actors import actor_of
from unosat.training import selectors, services
from unosat.training.models import ModelVersion
from unosat.training.selectors import Preview, RunFacts

router = Router(tags=["training"])
InputKind = Literal["after", "before_after"]
RunState = Literal["waiting", "running", "evaluating", "done", "failed", "cancelled"]


class PreviewOut(Schema):
    """What pressing Retrain would use; ``reason`` says why it cannot be pressed."""

    possible: bool
    reason: str
    base: str
    areas: int
    clusters: int
    clusters_kept_aside: int
    decisions: int
    decisions_kept_aside: int
    chips_train: int
    chips_test: int
    steps: int
    minutes: float
    under_way: UUID | None


class TrainingRunOut(Schema):
    """A training run.

    ``scores`` is empty until it is done; then ``old`` and ``new`` each hold ``kept_aside`` (null
    while all reviewed areas lie together) and ``synthetic``, with numbers by name.
    """

    id: UUID
    state: RunState
    input_kind: InputKind
    step: int
    steps: int
    loss: float | None
    seconds_left: float | None
    cancel_requested: bool
    failure_code: str
    failure_message: str
    base: str
    base_id: UUID
    new: str
    new_id: UUID | None
    new_is_active: bool
    dataset: str
    decisions: int
    chips_train: int
    chips_test: int
    scores: dict[str, Any]
    started_by: str
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class ActivationOut(Schema):
    """Who made a version active, and when; ``by`` is empty for a new installation's first."""

    by: str
    made_at: datetime


class ModelVersionOut(Schema):
    """A version of the model with its card."""

    id: UUID
    name: str
    version: str
    label: str
    sha256: str
    input_kind: InputKind
    active: bool
    shipped: bool
    parent_id: UUID | None
    training_run_id: UUID | None
    card: dict[str, Any]
    activations: list[ActivationOut]
    created_at: datetime


class ActivateIn(Schema):
    """``replaces``: the version that was shown as active; left out: whichever is."""

    replaces: UUID | None = None


@router.get("/training-runs/preview", response=PreviewOut)
def preview_training(request: HttpRequest) -> Preview:
    """What pressing Retrain would use now."""
    return selectors.retraining_preview(actor_of(request))


@router.post("/training-runs", response={202: TrainingRunOut})
def start_training(request: HttpRequest) -> Status[RunFacts]:
    """Retrain the active model of one image on what was reviewed; 409 if there is nothing to learn.

    Of pairs it learns from the image after. The model of pairs is not retrained.
    """
    actor = actor_of(request)
    run = services.start(actor)
    return Status(202, selectors.facts_of(selectors.training_run(actor, run.pk)))


@router.get("/training-runs", response=list[TrainingRunOut])
def list_training_runs(request: HttpRequest) -> list[RunFacts]:
    """The organisation's runs, newest first."""
    return [selectors.facts_of(run) for run in selectors.training_runs(actor_of(request))[:100]]


@router.get("/training-runs/{run_id}", response=TrainingRunOut)
def get_training_run(request: HttpRequest, run_id: UUID) -> RunFacts:
    """One run; its progress is at ``/training-runs/{id}/events`` as server-sent events."""
    return selectors.facts_of(selectors.training_run(actor_of(request), run_id))


@router.post("/training-runs/{run_id}/cancel", response=TrainingRunOut)
def cancel_training(request: HttpRequest, run_id: UUID) -> RunFacts:
    """Stop a run; 409 if it has ended."""
    return selectors.facts_of(services.cancel(actor_of(request), run_id))


@router.get("/model-versions", response=list[ModelVersionOut])
def list_model_versions(request: HttpRequest) -> list[dict[str, Any]]:
    """Versions of the model, the active one first."""
    return [_version_out(version) for version in selectors.model_versions(actor_of(request))]


@router.get("/model-versions/{version_id}", response=ModelVersionOut)
def get_model_version(request: HttpRequest, version_id: UUID) -> dict[str, Any]:
    """One version of the model."""
    return _version_out(selectors.model_version(actor_of(request), version_id))


@router.post("/model-versions/{version_id}/activate", response=ModelVersionOut)
def activate_model_version(
    request: HttpRequest, version_id: UUID, body: ActivateIn | None = None
) -> dict[str, Any]:
    """Let new Assessments use a version; 409 if another became active since it was shown."""
    actor = actor_of(request)
    services.activate(actor, version_id, replaces=body.replaces if body else None)
    return _version_out(selectors.model_version(actor, version_id))


def _version_out(version: ModelVersion) -> dict[str, Any]:
    return {
        "id": version.pk,
        "name": version.name,
        "version": version.version,
        "label": str(version),
        "sha256": version.sha256,
        "input_kind": version.input_kind,
        "active": version.active,
        "shipped": version.organisation_id is None,
        "parent_id": version.parent_id,
        "training_run_id": version.training_run_id,
        "card": version.card,
        "activations": [
            {"by": one.user.get_username() if one.user else "", "made_at": one.made_at}
            for one in version.activations.all()
        ],
        "created_at": version.created_at,
    }
