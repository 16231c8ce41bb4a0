"""HTTP for review: parse, call, answer."""

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from django.http import FileResponse, HttpRequest, HttpResponse, HttpResponseNotModified
from ninja import Query, Router, Schema, Status
from pydantic import Field

from detection.grades import Grade
from unosat.accounts.actors import actor_of
from unosat.errors import BadRequest
from unosat.ops import store
from unosat.review import explanations, finding, outlines, selectors, services, tiles
from unosat.review.errors import ChangedMeanwhile
from unosat.review.models import ReviewedArea
from unosat.review.selectors import Page
from unosat.review.services import DecisionRequest

router = Router(tags=["review"])

DecisionKind = Literal["accept", "reject", "regrade", "redraw", "add", "undo"]
ReviewState = Literal["unreviewed", "accepted", "regraded", "redrawn", "added", "rejected"]
MVT = "application/vnd.mapbox-vector-tile"


class DecisionIn(Schema):
    """A decision; ``id`` is made by the client, so that sending it again changes nothing."""

    id: UUID
    kind: DecisionKind
    building: UUID | None = None
    on_version: Annotated[int, Field(ge=0)] = 0
    grade: Grade | None = None
    outline: dict[str, Any] | None = None
    reason: Annotated[str, Field(max_length=400)] = ""


class DecisionOut(Schema):
    """One decision; ``number`` is the building's version after it, ``grade`` what then stood."""

    id: UUID
    number: int
    kind: DecisionKind
    grade: Grade
    reason: str
    user: str
    made_at: datetime
    on_version: int


class BuildingOut(Schema):
    """A building as it stands; what only a model knows is null where an analyst added it."""

    uid: UUID
    grade: Grade
    score: float | None
    grade_score: float | None
    probabilities: dict[str, float] | None
    model_grade: Grade | None
    clipped: bool
    unclassified_because: Literal["near_tie", "edge", "nodata", "cloud"] | None
    area_m2: float
    review: ReviewState
    source: Literal["model", "analyst"]
    version: int
    outline: dict[str, Any]
    updated_by: str | None
    updated_at: datetime
    history: list[DecisionOut]


class Said(Schema):
    """What the model says of the chip that was looked at."""

    grade: Grade
    score: float
    probabilities: dict[str, float]
    model: str


class ExplanationOut(Schema):
    """Why a building got its grade; ``picture`` is the address of a PNG once it is ready."""

    state: Literal["waiting", "ready", "failed"]
    said: Said | None
    picture: str | None
    failure_code: str | None
    failure_message: str | None


class Conflict(Schema):
    """Somebody else was faster; ``building`` is how they left it."""

    code: str
    message: str
    building: BuildingOut


class AreaIn(Schema):
    """A GeoJSON Polygon inside which everything was looked at."""

    outline: dict[str, Any]


class AreaOut(Schema):
    """A reviewed area, as it was cut to the image."""

    id: UUID
    outline: dict[str, Any]
    user: str
    made_at: datetime
    kept_aside: bool | None


class Count(Schema):
    """How many buildings are alike; ``percent`` is the score in whole percent, rounded down."""

    grade: Grade
    review: ReviewState
    source: Literal["model", "analyst"]
    percent: int | None
    count: int


class FootprintsQuery(Schema):
    """``bbox`` is "west,south,east,north" in degrees; ``cursor`` comes from ``next``.

    ``near`` is "longitude,latitude": the ``limit`` nearest come, nearest first, and no ``next``.
    """

    bbox: str = ""
    review: ReviewState | None = None
    min_score: Annotated[float, Field(ge=0, le=1)] | None = None
    near: str = ""
    cursor: Annotated[int, Field(ge=0)] = 0
    limit: Annotated[int, Field(ge=1, le=2000)] = 500


class FootprintPage(Schema):
    """One page of a GeoJSON FeatureCollection; ``next`` is null on the last one."""

    type: Literal["FeatureCollection"] = "FeatureCollection"
    features: list[dict[str, Any]]
    next: str | None


@router.get("/assessments/{uuid:assessment_id}/footprints", response=FootprintPage)
def list_footprints(
    request: HttpRequest, assessment_id: UUID, query: Query[FootprintsQuery]
) -> dict[str, Any]:
    """The buildings as they stand, rejected ones included (``review`` says so)."""
    page = Page(
        bbox=_bbox(query.bbox),
        review=query.review,
        min_score=query.min_score,
        near=_place(query.near),
        after=query.cursor,
        limit=query.limit,
    )
    rows, after = selectors.buildings(actor_of(request), assessment_id, page)
    following = None
    if after is not None:
        parameters = request.GET.copy()
        parameters["cursor"] = str(after)
        following = f"{request.path}?{parameters.urlencode()}"
    features = [selectors.feature(row, str(row.assessment.model_version)) for row in rows]
    return {"features": features, "next": following}


@router.get("/assessments/{uuid:assessment_id}/counts", response=list[Count])
def count_buildings(request: HttpRequest, assessment_id: UUID) -> list[Mapping[str, Any]]:
    """How many buildings there are, for the legend and the score slider."""
    return selectors.count_buildings(actor_of(request), assessment_id)


@router.get("/assessments/{uuid:assessment_id}/buildings/{uuid:uid}", response=BuildingOut)
def get_building(request: HttpRequest, assessment_id: UUID, uid: UUID) -> dict[str, Any]:
    """One building with its history."""
    return selectors.detail(selectors.building(actor_of(request), assessment_id, uid))


class FoundOut(Schema):
    """Where a building is: its whole id, and west, south, east, north in degrees."""

    uid: UUID
    bounds: list[float]


@router.get("/assessments/{uuid:assessment_id}/find-building", response=FoundOut)
def find_building(request: HttpRequest, assessment_id: UUID, uid: str = "") -> dict[str, Any]:
    """The building whose id is ``uid`` or begins with it; the answer says why if there is none."""
    found = finding.find_building(actor_of(request), assessment_id, uid)
    return {"uid": found.uid, "bounds": list(found.outline.extent)}


@router.post(
    "/assessments/{uuid:assessment_id}/buildings/{uuid:uid}/explanation",
    response={200: ExplanationOut, 202: ExplanationOut},
)
def ask_for_explanation(
    request: HttpRequest, assessment_id: UUID, uid: UUID
) -> Status[dict[str, Any]]:
    """Have a detection worker draw why this building got its grade: 202 until it is ready.

    Asked again it is not made again, unless it failed. It takes its turn behind shards that wait.
    """
    row = explanations.ask(actor_of(request), assessment_id, uid)
    ready = row.state == row.State.READY
    return Status(200 if ready else 202, explanations.described(row, f"{request.path}.png"))


@router.get(
    "/assessments/{uuid:assessment_id}/buildings/{uuid:uid}/explanation", response=ExplanationOut
)
def get_explanation(request: HttpRequest, assessment_id: UUID, uid: UUID) -> dict[str, Any]:
    """What became of it; 404 ``no_explanation`` if nobody asked."""
    row = explanations.find(actor_of(request), assessment_id, uid)
    return explanations.described(row, f"{request.path}.png")


@router.get("/assessments/{uuid:assessment_id}/buildings/{uuid:uid}/explanation.png")
def get_explanation_picture(request: HttpRequest, assessment_id: UUID, uid: UUID) -> FileResponse:
    """The chip before and after, what the grade hangs on, and the probabilities, as PNG."""
    key = explanations.picture(actor_of(request), assessment_id, uid)
    headers = {"Cache-Control": "private, max-age=86400, immutable"}
    return FileResponse(store.opened(key), content_type="image/png", headers=headers)


@router.post(
    "/assessments/{uuid:assessment_id}/decisions", response={200: BuildingOut, 409: Conflict}
)
def decide(
    request: HttpRequest, assessment_id: UUID, decision: DecisionIn
) -> Status[dict[str, Any]]:
    """Accept, reject, regrade, redraw or add a building, or undo its last decision.

    409 ``changed_meanwhile`` with the building as it now stands, if it is not at ``on_version``.
    """
    actor = actor_of(request)
    wanted = DecisionRequest(**decision.dict())
    try:
        row = services.record_decision(actor, assessment_id, wanted)
    except ChangedMeanwhile as error:
        now = selectors.building(actor, assessment_id, error.building.uid)
        body = {"code": error.code, "message": error.user_message}
        return Status(409, body | {"building": selectors.detail(now)})
    return Status(200, selectors.detail(selectors.building(actor, assessment_id, row.uid)))


@router.post("/assessments/{uuid:assessment_id}/reviewed-areas", response={201: AreaOut})
def mark_reviewed(
    request: HttpRequest, assessment_id: UUID, area: AreaIn
) -> Status[dict[str, Any]]:
    """Say that everything inside an outline was looked at."""
    made = services.mark_reviewed(actor_of(request), assessment_id, area.outline)
    return Status(201, _area(made))


@router.get("/assessments/{uuid:assessment_id}/reviewed-areas", response=list[AreaOut])
def list_reviewed_areas(request: HttpRequest, assessment_id: UUID) -> list[dict[str, Any]]:
    """The reviewed areas, oldest first."""
    return [_area(a) for a in selectors.reviewed_areas(actor_of(request), assessment_id)]


@router.delete("/reviewed-areas/{uuid:area_id}", response={204: None})
def remove_reviewed_area(request: HttpRequest, area_id: UUID) -> Status[None]:
    """Take it back; 409 once a model was trained with it."""
    services.remove_reviewed_area(actor_of(request), area_id)
    return Status(204, None)


@router.get("/tiles/assessments/{uuid:assessment_id}/{int:z}/{int:x}/{int:y}.mvt")
def get_vector_tile(
    request: HttpRequest, assessment_id: UUID, z: int, x: int, y: int
) -> HttpResponse:
    """Buildings and reviewed areas of one tile (layers "buildings" and "reviewed_areas").

    Always asked for again, and answered 304 if unchanged: a decision shows at once.
    """
    tile = tiles.vector_tile(actor_of(request), assessment_id, z, x, y)
    etag = f'"{hashlib.sha256(tile).hexdigest()[:32]}"'
    unchanged = request.headers.get("If-None-Match") == etag
    response = HttpResponseNotModified() if unchanged else HttpResponse(tile, content_type=MVT)
    response["ETag"] = etag
    response["Cache-Control"] = "private, no-cache"
    return response


def _bbox(text: str) -> tuple[float, float, float, float] | None:
    if not text:
        return None
    try:
        west, south, east, north = (float(number) for number in text.split(","))
    except ValueError as error:
        raise BadRequest("bbox") from error
    if not (-180 <= west <= east <= 360 and -90 <= south <= north <= 90):
        raise BadRequest("bbox")
    return west, south, east, north


def _place(text: str) -> tuple[float, float] | None:
    if not text:
        return None
    try:
        longitude, latitude = (float(number) for number in text.split(","))
    except ValueError as error:
        raise BadRequest("near") from error
    if not (-180 <= longitude <= 360 and -90 <= latitude <= 90):
        raise BadRequest("near")
    return longitude, latitude


def _area(area: ReviewedArea) -> dict[str, Any]:
    return {
        "id": area.pk,
        "outline": outlines.geojson_of(area.outline),
        "user": area.user.get_username(),
        "made_at": area.made_at,
        "kept_aside": area.kept_aside,
    }
