"""Every question asked of assessments. Reads only."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Count, Max, OuterRef, Q, QuerySet, Subquery, Sum
from django.db.models.functions import JSONObject
from django.utils import timezone

from unosat.accounts.actors import Actor
from unosat.assessments import known
from unosat.assessments.errors import GroundUnknown, NothingLeftOut
from unosat.assessments.keys import gaps_key
from unosat.assessments.models import Assessment, Shard
from unosat.errors import NotFound
from unosat.ops import store
from unosat.training.models import ModelVersion

UNFINISHED = ("waiting", "planning", "running", "merging")
SECONDS_PER_TILE = 2.0  # before anything was measured; 1024 px on 2 cores
RECENT_SHARDS = 50


@dataclass(frozen=True, slots=True)
class Progress:
    """An assessment as clients see it while it runs and afterwards.

    Attributes:
        urgent: it goes before all that are not.
        shards_failed: how many cannot be done; the others go on, and these can be retried.
        waiting_because: why a shard went back to wait, such as a model that a worker cannot load;
            "" where there is nothing to say.
        seconds_left: estimated; None while nothing is known and once it has ended.
        model: ``name@version``.
        input_kind: what the model looks at: "after", one image, or "before_after", a pair.
        before_scene: the image from before the disaster. A model of one image does not look at
            it: there (in assessments made before pairs were compared) it is on the map only.
        before_scene_name: for people; "" where there is none.
        before_shift_m: how far it was moved as a whole to lie under the image after; None before
            planning, where that could not be told (``warnings`` then says so), and without one.
        before_tiles_without: how many tiles were looked at of which it shows nothing; None until
            it is done, and without one.
        bounds: west, south, east, north of the image, in degrees.
        min_score: buildings below it were not reported, in [0, 1]; None before planning.
        outlines_given: how many known outlines came with it; None where there are none.
        outlines_judged: how many of them have a grade; None until it is done.
    """

    id: UUID
    name: str
    state: str
    tiles_total: int
    tiles_done: int
    tiles_empty: int
    tiles_not_analysed: int
    shards_total: int
    shards_done: int
    shards_failed: int
    waiting_because: str
    urgent: bool
    footprints_found: int
    seconds_left: float | None
    failure_code: str
    failure_message: str
    model: str
    input_kind: str
    operating_score: float | None
    min_score: float | None
    scene: UUID
    scene_name: str
    before_scene: UUID | None
    before_scene_name: str
    before_shift_m: float | None
    before_tiles_without: int | None
    event: UUID
    synthetic: bool
    bounds: tuple[float, float, float, float] | None
    warnings: list[str]
    outlines_given: int | None
    outlines_judged: int | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None

    def as_json(self) -> dict[str, Any]:
        """The same for an event stream: ids and times as text."""
        facts = {name: getattr(self, name) for name in self.__slots__}
        texts = {k: str(v) for k, v in facts.items() if isinstance(v, UUID)}
        times = {k: v.isoformat() for k, v in facts.items() if isinstance(v, datetime)}
        return facts | texts | times


def topic(assessment_id: UUID) -> str:
    """Where the news of an assessment is published."""
    return f"assessment:{assessment_id}"


def assessments(actor: Actor, *, scene_id: UUID | None = None) -> QuerySet[Assessment]:
    """The organisation's assessments, newest first, with what ``progress`` needs; for slicing."""
    rows = _with_progress().filter(organisation_id=actor.organisation_id)
    if scene_id is not None:
        rows = rows.filter(scene_id=scene_id)
    return rows.order_by("-created_at", "pk")


def assessment(actor: Actor, assessment_id: UUID) -> Assessment:
    """One assessment of the actor's organisation.

    Raises:
        NotFound: there is none, or it belongs to somebody else.
    """
    found = _with_progress().filter(organisation_id=actor.organisation_id, pk=assessment_id).first()
    if found is None:
        raise NotFound(f"assessment {assessment_id}")
    return found


def bare(actor: Actor, assessment_id: UUID) -> Assessment:
    """The same without its progress: one short query, for what is asked with every decision.

    Raises:
        NotFound: there is none, or it belongs to somebody else.
    """
    rows = Assessment.objects.only("organisation_id", "scene_id", "state")
    found = rows.filter(organisation_id=actor.organisation_id, pk=assessment_id).first()
    if found is None:
        raise NotFound(f"assessment {assessment_id}")
    return found


def shards(actor: Actor, assessment_id: UUID, state: str | None = None) -> QuerySet[Shard]:
    """The shards of an assessment in their order, without what they found; for slicing.

    Raises:
        NotFound: the assessment is not the organisation's.
    """
    must_exist(actor, assessment_id)
    rows = Shard.objects.filter(assessment_id=assessment_id).defer("result", "spec")
    return (rows.filter(state=state) if state else rows).order_by("index")


def shard_facts(actor: Actor, shard: Shard) -> dict[str, Any]:
    """A shard for the API. Names of machines and tracebacks are for admins."""
    told = (
        "index",
        "state",
        "attempt",
        "interruptions",
        "tiles_total",
        "tiles_done",
        "seconds",
        "heartbeat_at",
        "waiting_because",
        "failure_code",
        "failure_message",
    )
    of_admins = actor.role == "admin"
    return {name: getattr(shard, name) for name in told} | {
        "footprints_found": shard.found,
        "worker": shard.worker if of_admins else "",
        "log": shard.log if of_admins else "",
    }


def omissions(actor: Actor, assessment_id: UUID) -> str:
    """The key of the table of the given outlines that have no grade.

    Raises:
        NotFound: the assessment is not the organisation's.
        NothingLeftOut: it is not done, or no outlines were given to it.
    """
    row = assessment(actor, assessment_id)
    if row.state != Assessment.State.DONE or "outlines" not in row.options:
        raise NothingLeftOut(f"assessment {assessment_id} is {row.state}")
    return known.omissions_key(row.pk)


def gaps(actor: Actor, assessment_id: UUID) -> str:
    """The key of the ground that no tile looked at, a GeoJSON file.

    Raises:
        NotFound: the assessment is not the organisation's.
        GroundUnknown: it is not done, or was done by a release that kept no such file.
    """
    row = assessment(actor, assessment_id)
    key = gaps_key(row.pk)
    if row.state != Assessment.State.DONE or not store.exists(key):
        raise GroundUnknown(f"assessment {assessment_id} is {row.state}")
    return key


def pairs_possible() -> bool:
    """Whether an image can be compared with one from before: a model of pairs is active."""
    kind = ModelVersion.InputKind.BEFORE_AFTER
    return ModelVersion.objects.filter(active=True, input_kind=kind).exists()


def must_exist(actor: Actor, assessment_id: UUID) -> None:
    """Raise NotFound unless it is the organisation's; cheaper than fetching it."""
    rows = Assessment.objects.filter(organisation_id=actor.organisation_id, pk=assessment_id)
    if not rows.exists():
        raise NotFound(f"assessment {assessment_id}")


def progress(row: Assessment) -> Progress:
    """How far an assessment is; ``row`` comes from a selector of this module."""
    done = row.state == Assessment.State.DONE
    shards: dict[str, Any] = getattr(row, "shard_facts", None) or {}  # none before planning
    tiles_done = row.tiles_done if done else shards.get("tiles_done", 0)
    found = row.footprints_found if done else shards.get("found", 0)
    footprint = row.scene.footprint
    return Progress(
        id=row.pk,
        name=row.name,
        state=row.state,
        tiles_total=row.tiles_total,
        tiles_done=tiles_done,
        tiles_empty=row.tiles_empty,
        tiles_not_analysed=row.tiles_not_analysed,
        shards_total=shards.get("total", 0),
        shards_done=shards.get("done", 0),
        shards_failed=shards.get("failed", 0),
        waiting_because=shards.get("because") or "",
        urgent=row.urgent,
        footprints_found=found,
        seconds_left=_seconds_left(row, tiles_done),
        failure_code=row.failure_code,
        failure_message=row.failure_message,
        model=str(row.model_version),
        input_kind=row.model_version.input_kind,
        operating_score=row.options.get("operating_score"),
        min_score=row.options.get("min_score"),
        scene=row.scene_id,
        scene_name=row.scene.name,
        before_scene=row.before_scene_id,
        before_scene_name=row.before_scene.name if row.before_scene else "",
        before_shift_m=row.options.get("before", {}).get("shift_m"),
        before_tiles_without=row.options.get("before", {}).get("tiles_without"),
        event=row.scene.event_id,
        synthetic=row.scene.synthetic,
        bounds=footprint.extent if footprint else None,
        warnings=row.options.get("warnings", []),
        outlines_given=row.options.get("outlines", {}).get("given"),
        outlines_judged=row.options.get("outlines", {}).get("judged"),
        created_at=row.created_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
    )


def progress_of(assessment_id: UUID) -> dict[str, Any] | None:
    """The present progress for an event stream, whose reader was let in before; None if gone."""
    row = _with_progress().filter(pk=assessment_id).first()
    return progress(row).as_json() if row else None


def seconds_per_tile(model_version_id: UUID) -> float:
    """Measured on the newest shards of this model; a guess where there are none yet."""
    recent = (
        Shard.objects.filter(
            assessment__model_version_id=model_version_id, state="done", tiles_total__gt=0
        )
        .order_by("-created_at")
        .values_list("seconds", "tiles_total")[:RECENT_SHARDS]
    )
    seconds, tiles = (sum(column) for column in zip((0.0, 0), *recent, strict=True))
    return seconds / tiles if tiles else SECONDS_PER_TILE


def _with_progress() -> QuerySet[Assessment]:
    """The shards are counted in a subquery, so only for the rows that are shown."""
    told = Shard.objects.filter(assessment=OuterRef("pk")).order_by().values("assessment")
    return (
        Assessment.objects.select_related("scene", "before_scene", "model_version")
        .defer(
            "plan",
            "metadata",
            "scene__stretch",
            "before_scene__stretch",
            "before_scene__footprint",
            "model_version__card",
        )
        .annotate(shard_facts=Subquery(told.annotate(facts=_shard_facts()).values("facts")))
    )


def _shard_facts() -> JSONObject:
    failed = Q(state__in=[Shard.State.FAILED, Shard.State.FAILED_POISON])
    return JSONObject(
        total=Count("pk"),
        done=Count("pk", filter=Q(state=Shard.State.DONE)),
        failed=Count("pk", filter=failed),
        tiles_done=Sum("tiles_done"),
        found=Sum("found"),
        because=Max("waiting_because", filter=Q(state=Shard.State.WAITING)),
    )


def _seconds_left(row: Assessment, tiles_done: int) -> float | None:
    if row.state not in UNFINISHED or not row.started_at or not tiles_done:
        return None
    elapsed = (timezone.now() - row.started_at).total_seconds()
    return round(elapsed / tiles_done * (row.tiles_total - tiles_done), 1)
