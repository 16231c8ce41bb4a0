"""Every question asked of training. Reads only."""

from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Prefetch, Q, QuerySet

from unosat.accounts.actors import Actor
from unosat.errors import NotFound
from unosat.ops.leases import RUNNING
from unosat.ops.models import Job
from unosat.review.models import ReviewedArea
from unosat.training import plots, recipe, registry
from unosat.training.clusters import Cluster
from unosat.training.errors import NoActiveModel
from unosat.training.models import Activation, ModelVersion, TrainingRun

UNFINISHED = ("waiting", "running", "evaluating")


@dataclass(frozen=True, slots=True)
class Preview:
    """What pressing Retrain would use.

    Attributes:
        possible: whether it would start.
        reason: if not, why, in a sentence; else "".
        base: the version it would start from, as ``name@version``.
        areas: reviewed areas.
        clusters: groups of areas that lie within 200 m of each other.
        clusters_kept_aside: those that examine and never teach.
        decisions: buildings that people decided on, inside areas that teach.
        decisions_kept_aside: the same inside areas that examine.
        chips_train: images to learn from.
        chips_test: images to be examined on.
        steps: of training.
        minutes: estimated, from the seconds that a step took last time.
        under_way: the unfinished run, if there is one.
    """

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


@dataclass(frozen=True, slots=True)
class RunFacts:
    """A training run as clients see it.

    Attributes:
        input_kind: what the model looks at: "after", one image, or "before_after", a pair.
        step: training steps done.
        loss: of the last step; None before the first.
        seconds_left: estimated; None while nothing is known and once it has ended.
        scores: ``{"old": {"kept_aside": {...} | None, "synthetic": {...}}, "new": {...}}``; empty
            until it is done.
    """

    id: UUID
    state: str
    input_kind: str
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

    def as_json(self) -> dict[str, Any]:
        """The same for an event stream: ids and times as text."""
        facts = {field.name: getattr(self, field.name) for field in fields(self)}
        texts = {k: str(v) for k, v in facts.items() if isinstance(v, UUID)}
        times = {k: v.isoformat() for k, v in facts.items() if isinstance(v, datetime)}
        return facts | texts | times


def active_version(input_kind: str = "after") -> ModelVersion:
    """The version that new Assessments use.

    Raises:
        NoActiveModel: there is none.
    """
    found = ModelVersion.objects.filter(input_kind=input_kind, active=True).first()
    if found is None:
        raise NoActiveModel(input_kind)
    return found


def active_ids() -> dict[str, UUID]:
    """The active version of each input kind that has one."""
    active = ModelVersion.objects.filter(active=True)
    return dict(active.values_list("input_kind", "pk"))


def model_versions(actor: Actor) -> QuerySet[ModelVersion]:
    """Shipped versions, the organisation's own, and the active one; newest first.

    Each comes with its ``activations``, newest first, with their users.
    """
    actor.must_be("admin", "analyst")
    history = Activation.objects.select_related("user").order_by("-made_at")
    return (
        ModelVersion.objects.filter(_visible(actor))
        .select_related("parent", "training_run")
        .prefetch_related(Prefetch("activations", history))
        .order_by("-active", "-created_at")
    )


def model_version(actor: Actor, version_id: UUID) -> ModelVersion:
    """One of them.

    Raises:
        NotFound: it is none of them.
    """
    found = model_versions(actor).filter(pk=version_id).first()
    if found is None:
        raise NotFound(f"model version {version_id}")
    return found


def training_runs(actor: Actor) -> QuerySet[TrainingRun]:
    """The organisation's runs, newest first."""
    actor.must_be("admin", "analyst")
    return _with_names().filter(organisation_id=actor.organisation_id).order_by("-created_at")


def training_run(actor: Actor, run_id: UUID) -> TrainingRun:
    """One of them.

    Raises:
        NotFound: it is none of them.
    """
    found = training_runs(actor).filter(pk=run_id).first()
    if found is None:
        raise NotFound(f"training run {run_id}")
    return found


def facts_of(run: TrainingRun) -> RunFacts:
    """A run as clients see it; ``run`` comes from a selector of this module."""
    said, dataset, new = run.progress, run.dataset, run.new_version
    going = run.state in UNFINISHED
    return RunFacts(
        id=run.pk,
        state=run.state,
        input_kind=run.base_version.input_kind,
        step=said.get("step", 0),
        steps=said.get("steps", 0),
        loss=said.get("loss"),
        seconds_left=said.get("seconds_left") if going else None,
        cancel_requested=run.cancel_requested,
        failure_code=run.failure_code,
        failure_message=run.failure_message,
        base=str(run.base_version),
        base_id=run.base_version_id,
        new=str(new) if new else "",
        new_id=run.new_version_id,
        new_is_active=bool(new and new.active),
        dataset=dataset.content_hash if dataset else "",
        decisions=dataset.manifest["decisions"] if dataset else 0,
        chips_train=dataset.chips_train if dataset else 0,
        chips_test=dataset.chips_test if dataset else 0,
        scores=run.scores,
        started_by=run.started_by.get_username() if run.started_by else "",
        created_at=run.created_at,
        started_at=run.started_at,
        finished_at=run.finished_at,
    )


def run_facts(run_id: UUID) -> dict[str, Any] | None:
    """A run for an event stream, whose reader was let in before; None if it is gone."""
    run = _with_names().filter(pk=run_id).first()
    return facts_of(run).as_json() if run else None


def is_worked_on(run_id: UUID) -> bool:
    """Whether a worker holds the run."""
    return Job.objects.filter(kind="train", subject_id=run_id, state=RUNNING).exists()


def retraining_preview(actor: Actor) -> Preview:
    """What pressing Retrain would use now, and how long it would take.

    Raises:
        Forbidden: the actor is no admin.
        NoActiveModel: there is nothing to start from.
    """
    actor.must_be("admin")
    base = active_version()
    areas = list(plots.reviewed_areas(actor.organisation_id))
    clusters = plots.clusters_of(actor.organisation_id, areas)
    aside = {p.id for c in clusters if c.kept_aside for p in c.places}
    present = {area.pk for area in areas}
    taught = plots.decided_in(actor.organisation_id, present - aside).count()
    chips = _count_chips(base, areas, clusters)
    under_way = training_runs(actor).filter(state__in=UNFINISHED).first()
    here = [c for c in clusters if any(p.id in present for p in c.places)]
    return Preview(
        possible=bool(taught and under_way is None),
        reason=_why_not(taught, under_way),
        base=str(base),
        areas=len(areas),
        clusters=len(here),
        clusters_kept_aside=sum(cluster.kept_aside for cluster in here),
        decisions=taught,
        decisions_kept_aside=plots.decided_in(actor.organisation_id, present & aside).count(),
        chips_train=chips[0],
        chips_test=chips[1],
        steps=recipe.steps(),
        minutes=round(recipe.steps() * seconds_per_step() / 60 + recipe.EVALUATION_MINUTES, 1),
        under_way=under_way.pk if under_way else None,
    )


def seconds_per_step() -> float:
    """Measured in the last run that was done; a guess before the first."""
    last = TrainingRun.objects.filter(state="done").order_by("-finished_at").first()
    measured = last.progress.get("seconds_per_step") if last else None
    return float(measured or recipe.SECONDS_PER_STEP)


def _count_chips(
    base: ModelVersion, areas: list[ReviewedArea], clusters: list[Cluster]
) -> tuple[int, int]:
    spec = registry.check_card(base)
    train = test = 0
    for plot in plots.plots_of(areas, clusters):
        count = len(plots.windows_of(plot, plots.plan_of(plot.assessment, spec)))
        train += 0 if plot.cluster.kept_aside else count
        test += count if plot.cluster.kept_aside else 0
    return train, test


def _why_not(decisions: int, under_way: TrainingRun | None) -> str:
    from unosat.training.errors import NothingToLearn, TrainingUnderWay

    if under_way is not None:
        return TrainingUnderWay.user_message
    return "" if decisions else NothingToLearn.user_message


def _visible(actor: Actor) -> Q:
    mine = Q(organisation_id=actor.organisation_id)
    return mine | Q(organisation=None) | Q(active=True)


def _with_names() -> QuerySet[TrainingRun]:
    return TrainingRun.objects.select_related(
        "base_version", "new_version", "dataset", "started_by"
    )
