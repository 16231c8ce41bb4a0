"""HTTP for assessments: parse, call, answer. Their event stream is in streams.py."""

import json
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from django.http import FileResponse, HttpRequest
from ninja import Header, Query, Router, Schema, Status
from pydantic import Field

from unosat import promises
from unosat.accounts.actors import actor_of
from unosat.assessments import selectors, services
from unosat.assessments.selectors import Progress
from unosat.assessments.services import AssessmentRequest
from unosat.ops import store

router = Router(tags=["assessments"])

MOST_ROWS = 10**9  # far more than there are; PostgreSQL takes no larger offset than 2**63
ShardState = Literal["waiting", "running", "done", "failed", "failed_poison"]
Fraction = Annotated[float, Field(ge=0, le=1)]


class AssessmentIn(Schema):
    """Which scene to analyse; ``min_score`` left out is the model's own.

    With ``before_scene``, a scene of the same event from before the disaster, the two are compared
    by the active model of pairs; without it, the active model of one image looks at ``scene``.

    ``outlines`` is a GeoJSON FeatureCollection of building polygons, longitude first: each gets a
    grade, and only those, unless ``also_detect`` is true. At most 100,000 and 16 MB.
    """

    scene: UUID
    before_scene: UUID | None = None
    min_score: Fraction | None = None
    name: Annotated[str, Field(max_length=255)] = ""
    outlines: dict[str, Any] | None = None
    also_detect: bool = False


class AssessmentOut(Schema):
    """An assessment as clients see it; ``failure_code`` is "" unless ``state`` is "failed".

    A shard that fails stops no other: the assessment fails once all have ended, and
    ``POST .../shards/INDEX/retry`` has one done anew. If joining them failed,
    ``POST .../merge/retry`` does that anew, and before it the shards whose results were found
    damaged (``failure_code`` "damaged_result"). ``waiting_because`` says why a shard went back to
    wait, such as a model that a worker cannot load.

    ``input_kind`` says what the model looks at: one image, or a pair. Of a pair, ``before_shift_m``
    is how far the image from before was moved, as a whole, to lie under the one from after: null
    before planning, and where that could not be told (``warnings`` then says so).
    ``before_tiles_without`` counts tiles of which it shows nothing; null until ``state`` is "done".
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
    input_kind: Literal["after", "before_after"]
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


class ShardOut(Schema):
    """A part of an assessment; ``worker`` and ``log`` are for admins, and "" for others.

    ``interruptions`` counts attempts whose worker fell silent: after three it is "failed_poison".
    ``log`` is the end of what is known of its attempts.
    """

    index: int
    state: ShardState
    attempt: int
    interruptions: int
    tiles_total: int
    tiles_done: int
    footprints_found: int
    seconds: float
    heartbeat_at: datetime | None
    waiting_because: str
    failure_code: str
    failure_message: str
    worker: str
    log: str


class Urgency(Schema):
    """Whether an assessment goes before all that are not urgent."""

    urgent: bool


@router.post("/assessments", response={202: AssessmentOut})
def start_assessment(
    request: HttpRequest,
    wanted: AssessmentIn,
    idempotency_key: Annotated[str, Header(alias="Idempotency-Key", max_length=120)] = "",
) -> Status[Progress]:
    """Start analysing a scene. The same ``Idempotency-Key`` twice is one assessment."""
    asked = AssessmentRequest(
        scene=wanted.scene,
        before_scene=wanted.before_scene,
        min_score=wanted.min_score,
        name=wanted.name,
        idempotency_key=idempotency_key,
        outlines=json.dumps(wanted.outlines).encode() if wanted.outlines is not None else None,
        also_detect=wanted.also_detect,
    )
    row = services.create_assessment(actor_of(request), asked)
    return Status(202, selectors.progress(row))


@router.get("/assessments", response=list[AssessmentOut])
def list_assessments(
    request: HttpRequest,
    scene: UUID | None = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    offset: Annotated[int, Query(ge=0, le=MOST_ROWS)] = 0,
) -> list[Progress]:
    """The organisation's assessments, newest first, ``limit`` of them after the first ``offset``.

    The last page is shorter than ``limit``.
    """
    rows = selectors.assessments(actor_of(request), scene_id=scene)
    return [selectors.progress(row) for row in rows[offset : offset + limit]]


@router.get("/assessments/{uuid:assessment_id}", response=AssessmentOut)
def get_assessment(request: HttpRequest, assessment_id: UUID) -> Progress:
    """One assessment, and how far it is."""
    return selectors.progress(selectors.assessment(actor_of(request), assessment_id))


@router.post("/assessments/{uuid:assessment_id}/cancel", response=AssessmentOut)
def cancel_assessment(request: HttpRequest, assessment_id: UUID) -> Progress:
    """Stop it; nothing of it is stored. 409 if it has ended already."""
    return selectors.progress(services.cancel_assessment(actor_of(request), assessment_id))


@router.post("/assessments/{uuid:assessment_id}/urgent", response=AssessmentOut)
def set_urgent(request: HttpRequest, assessment_id: UUID, wanted: Urgency) -> Progress:
    """Let it go before all that are not urgent, or no longer; for admins. 409 if it has ended."""
    row = services.set_urgent(actor_of(request), assessment_id, urgent=wanted.urgent)
    return selectors.progress(row)


@router.get("/assessments/{uuid:assessment_id}/shards", response=list[ShardOut])
def list_shards(
    request: HttpRequest,
    assessment_id: UUID,
    state: ShardState | None = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    offset: Annotated[int, Query(ge=0, le=MOST_ROWS)] = 0,
) -> list[dict[str, Any]]:
    """Its parts in their order, ``limit`` of them after the first ``offset``."""
    actor = actor_of(request)
    rows = selectors.shards(actor, assessment_id, state)[offset : offset + limit]
    return [selectors.shard_facts(actor, shard) for shard in rows]


@router.post("/assessments/{uuid:assessment_id}/shards/{int:index}/retry", response=AssessmentOut)
def retry_shard(request: HttpRequest, assessment_id: UUID, index: int) -> Progress:
    """Have a failed part done anew; the others are kept. 409 if it has not failed."""
    return selectors.progress(services.retry_shard(actor_of(request), assessment_id, index))


@router.post("/assessments/{uuid:assessment_id}/merge/retry", response=AssessmentOut)
def retry_merge(request: HttpRequest, assessment_id: UUID) -> Progress:
    """Join the parts anew, after all were done and joining them failed.

    Parts whose results were found damaged are done anew first (``state`` is then "running"), and
    joining follows. 409 if joining did not fail, or another part failed for a reason of its own:
    retry that part, and joining follows as well.
    """
    return selectors.progress(services.retry_merge(actor_of(request), assessment_id))


@router.get(
    "/assessments/{uuid:assessment_id}/not-analysed", openapi_extra=promises.file_of("text/csv")
)
def not_analysed(request: HttpRequest, assessment_id: UUID) -> FileResponse:
    """The given outlines that have no grade, as CSV: place in the file, id, reason.

    404 until the assessment is done, and where no outlines were given to it.
    """
    key = selectors.omissions(actor_of(request), assessment_id)
    return FileResponse(store.opened(key), content_type="text/csv", filename="not_analysed.csv")


@router.get(
    "/assessments/{uuid:assessment_id}/ground-not-analysed",
    openapi_extra=promises.file_of("application/geo+json"),
)
def ground_not_analysed(request: HttpRequest, assessment_id: UUID) -> FileResponse:
    """Ground in the image that no tile looked at, as GeoJSON; ``reason`` is nodata or damaged.

    404 until the assessment is done.
    """
    key = selectors.gaps(actor_of(request), assessment_id)
    return FileResponse(
        store.opened(key), content_type="application/geo+json", filename="not_analysed.geojson"
    )
