"""HTTP for review: parse, call, answer."""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from django.http import FileResponse, HttpRequest, HttpResponse, HttpResponseNotModified
from ninja import Query, Router, Schema, Status
from pydantic import Field

from detection.grades import Grade
from unosat import promises
from unosat.accounts.actors import Actor, actor_of
from unosat.accounts.headers import MadeBy
from unosat.errors import BadRequest
from unosat.ops import store
from unosat.review import (
    explanations,
    finding,
    outlines,
    queue,
    selectors,
    services,
    several,
    tiles,
)
from unosat.review.errors import ChangedMeanwhile, IncompleteArea
from unosat.review.models import Building, ReviewedArea
from unosat.review.queue import Wanted
from unosat.review.selectors import Page
from unosat.review.services import DecisionRequest, On
from unosat.review.several import MOST_AT_ONCE, Outcome

router = Router(tags=["review"])

DecisionKind = Literal[
    "accept",
    "reject",
    "regrade",
    "redraw",
    "add",
    "unsure",
    "flag",
    "unflag",
    "split",
    "merge",
    "shift",
    "undo",
]
ReviewState = Literal[
    "unreviewed", "accepted", "regraded", "redrawn", "added", "rejected", "unsure", "replaced"
]
UnsureBecause = Literal["cloud", "shadow", "hidden", "bad_image", "no_before", "other"]
AreaKind = Literal["reviewed", "not_assessable"]
AreaBecause = Literal["cloud", "shadow", "bad_image", "no_image"]
BBOX = "Give bbox as west,south,east,north in degrees, west before east and south before north."
NEAR = "Give near as longitude,latitude in degrees."
MVT = "application/vnd.mapbox-vector-tile"


class OnIn(Schema):
    """A building that is merged into another, and the version of it that was looked at."""

    building: UUID
    on_version: Annotated[int, Field(ge=0)]


class DecisionIn(Schema):
    """A decision; ``id`` is made by the client, so that sending it again changes nothing.

    What a kind needs: regrade a ``grade``; redraw an ``outline``, add both; unsure ``because``;
    split ``outlines``, which together are the building; merge ``others`` and the ``outline`` of
    all, with a ``grade`` where theirs differ; shift no building, but an ``area`` and ``shift_m``,
    metres to the east and north.
    """

    id: UUID
    kind: DecisionKind
    building: UUID | None = None
    on_version: Annotated[int, Field(ge=0)] = 0
    grade: Grade | None = None
    outline: dict[str, Any] | None = None
    outlines: Annotated[list[dict[str, Any]], Field(max_length=services.MOST_PIECES)] = []
    others: Annotated[list[OnIn], Field(max_length=services.MOST_PIECES)] = []
    area: dict[str, Any] | None = None
    shift_m: tuple[float, float] | None = None
    because: UnsureBecause | None = None
    reason: Annotated[str, Field(max_length=400)] = ""


class DecisionOut(Schema):
    """One decision; ``number`` is the building's version after it, ``grade`` what then stood.

    An act on several buildings is one decision of each, with the same ``batch``; ``others`` are
    those that this one was made of, or that took its place.
    """

    id: UUID
    number: int
    kind: DecisionKind
    grade: Grade
    reason: str
    because: UnsureBecause | None
    shift_m: tuple[float, float] | None
    others: list[UUID]
    batch: UUID | None
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
    unsure_because: UnsureBecause | None
    flagged: bool
    area_m2: float
    review: ReviewState
    source: Literal["model", "analyst"]
    version: int
    outline: dict[str, Any]
    updated_by: str | None
    updated_at: datetime
    history: list[DecisionOut]


class TouchedOut(Schema):
    """Another building that an act changed or made."""

    uid: UUID
    version: int


class DecidedOut(BuildingOut):
    """The building that stands after a decision, and all others that it changed or made."""

    also: list[TouchedOut]


class DecisionsIn(Schema):
    """Decisions in the order in which they were made, each as if it were sent alone."""

    decisions: Annotated[list[DecisionIn], Field(min_length=1, max_length=MOST_AT_ONCE)]


class OutcomeOut(Schema):
    """What became of one decision.

    ``applied``: ``decided`` is what it made. ``conflict``: ``building`` is how somebody else left
    it. Both, and ``refused``, are final. ``failed`` (a fault of ours) and ``not_tried`` (something
    before it on the same building was not applied, or failed) may be sent again.
    """

    id: UUID
    became: Literal["applied", "conflict", "refused", "failed", "not_tried"]
    decided: DecidedOut | None
    building: BuildingOut | None
    code: str | None
    message: str | None


class OutcomesOut(Schema):
    """One outcome for each decision, in the same order."""

    outcomes: list[OutcomeOut]


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
    """A GeoJSON Polygon inside which everything was looked at, or which cannot be assessed.

    ``because`` says why it cannot, and only then. With an ``id`` of the client's it can be sent
    again after a lost answer, and is there once.
    """

    id: UUID | None = None
    outline: dict[str, Any]
    kind: AreaKind = "reviewed"
    because: AreaBecause | None = None


class AreaOut(Schema):
    """A reviewed or not assessable area, as it was cut to the image."""

    id: UUID
    outline: dict[str, Any]
    kind: AreaKind
    because: AreaBecause | None
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


class QueueFilters(Schema):
    """``state`` "any" is all but "replaced"; ``who`` is the user name of whoever decided last.

    ``area`` is the ring of an outline, "longitude,latitude;longitude,latitude;..." in degrees;
    whatever touches it belongs.
    """

    grade: Grade | None = None
    min_score: Annotated[float, Field(ge=0, le=1)] = 0.0
    max_score: Annotated[float, Field(ge=0, le=1)] = 1.0
    state: ReviewState | Literal["any"] = "unreviewed"
    who: Annotated[str, Field(max_length=150)] = ""
    flagged: bool = False
    area: Annotated[str, Field(max_length=20_000)] = ""


class QueueQuery(QueueFilters):
    """Order "value": most worth a look first. "nearest" needs ``near`` and has one page.

    "oldest" and "newest" are of the last decision, and leave out what nobody decided on.
    ``cursor`` is the ``next`` of the page before.
    """

    order: Literal["value", "nearest", "oldest", "newest", "score", "surest"] = "value"
    near: str = ""
    cursor: Annotated[str, Field(max_length=80)] = ""
    limit: Annotated[int, Field(ge=1, le=200)] = 20


class QueueOut(Schema):
    """``ordered`` is false while the order by value is being worked out."""

    buildings: list[BuildingOut]
    next: str | None
    ordered: bool


class QueueCount(Schema):
    """How many buildings the filters leave."""

    count: int


class QueuePeople(Schema):
    """User names, each once, in the order of the alphabet."""

    people: list[str]


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


@router.get("/assessments/{uuid:assessment_id}/queue", response=QueueOut)
def list_queue(
    request: HttpRequest, assessment_id: UUID, query: Query[QueueQuery]
) -> dict[str, Any]:
    """Buildings in the order in which they are worth a look, whole, each with its history."""
    wanted = replace(
        _wanted(query),
        order=query.order,
        near=_place(query.near),
        after=query.cursor,
        limit=query.limit,
    )
    page = queue.page(actor_of(request), assessment_id, wanted)
    found = [selectors.detail(row) for row in page.buildings]
    return {"buildings": found, "next": page.next, "ordered": page.ordered}


@router.get("/assessments/{uuid:assessment_id}/queue/count", response=QueueCount)
def count_queue(
    request: HttpRequest, assessment_id: UUID, query: Query[QueueFilters]
) -> dict[str, int]:
    """How many buildings the same filters leave in all."""
    return {"count": queue.count(actor_of(request), assessment_id, _wanted(query))}


@router.get("/assessments/{uuid:assessment_id}/queue/people", response=QueuePeople)
def list_people(request: HttpRequest, assessment_id: UUID) -> dict[str, list[str]]:
    """Everybody who decided on a building of it: what ``who`` can be."""
    return {"people": queue.people(actor_of(request), assessment_id)}


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


@router.get(
    "/assessments/{uuid:assessment_id}/buildings/{uuid:uid}/explanation.png",
    openapi_extra=promises.file_of("image/png"),
)
def get_explanation_picture(request: HttpRequest, assessment_id: UUID, uid: UUID) -> FileResponse:
    """The chip before and after, what the grade hangs on, and the probabilities, as PNG."""
    key = explanations.picture(actor_of(request), assessment_id, uid)
    headers = {"Cache-Control": "private, max-age=86400, immutable"}
    return FileResponse(store.opened(key), content_type="image/png", headers=headers)


@router.post(
    "/assessments/{uuid:assessment_id}/decisions", response={200: DecidedOut, 409: Conflict}
)
def decide(
    request: HttpRequest,
    assessment_id: UUID,
    decision: DecisionIn,
    made_by: MadeBy = None,
) -> Status[dict[str, Any]]:
    """Decide on a building, on several at once, or undo the last decision on one.

    It is done whole or not at all. 409 ``changed_meanwhile`` with the building as it now stands,
    if one is not at ``on_version``. An undo takes back all that the decision touched. With
    ``X-Made-By``, the user who decided, nobody else's session can send it: 409
    ``signed_in_as_another``.
    """
    actor = actor_of(request)
    actor.must_be_user(made_by)
    wanted = _request(decision)
    try:
        row = services.record_decision(actor, assessment_id, wanted)
    except ChangedMeanwhile as error:
        now = selectors.building(actor, assessment_id, error.building.uid)
        body = {"code": error.code, "message": error.user_message}
        return Status(409, body | {"building": selectors.detail(now)})
    return Status(200, _decided(actor, assessment_id, wanted.id, row))


@router.post("/assessments/{uuid:assessment_id}/decisions/several", response=OutcomesOut)
def decide_several(
    request: HttpRequest, assessment_id: UUID, sent: DecisionsIn, made_by: MadeBy = None
) -> dict[str, Any]:
    """Decide on up to 50 buildings, in the order given; ``X-Made-By`` as for one.

    Each is done whole or not at all, and has an outcome of its own: what one meets says nothing
    of the others, but that nothing more is tried of a building after something of it was not
    applied. If the answer is lost, send all of it again: what was applied stays as it is. A body
    that is no list of decisions is refused as a whole, and nothing of it is done.
    """
    actor = actor_of(request)
    actor.must_be_user(made_by)
    wanted = [_request(one) for one in sent.decisions]
    outcomes = several.record_several(actor, assessment_id, wanted)
    return {"outcomes": [_outcome(actor, assessment_id, one) for one in outcomes]}


@router.post("/assessments/{uuid:assessment_id}/reviewed-areas", response={201: AreaOut})
def mark_reviewed(
    request: HttpRequest, assessment_id: UUID, area: AreaIn
) -> Status[dict[str, Any]]:
    """Say that everything inside an outline was looked at, or that it cannot be assessed."""
    if (area.kind == "not_assessable") != (area.because is not None):
        raise IncompleteArea(f"{area.kind}, {area.because}")
    made = services.mark_reviewed(
        actor_of(request),
        assessment_id,
        area.outline,
        not_assessable=area.because or "",
        area_id=area.id,
    )
    return Status(201, _area(made))


@router.get("/assessments/{uuid:assessment_id}/reviewed-areas", response=list[AreaOut])
def list_reviewed_areas(request: HttpRequest, assessment_id: UUID) -> list[dict[str, Any]]:
    """The reviewed and the not assessable areas, oldest first."""
    return [_area(a) for a in selectors.reviewed_areas(actor_of(request), assessment_id)]


@router.delete("/reviewed-areas/{uuid:area_id}", response={204: None})
def remove_reviewed_area(request: HttpRequest, area_id: UUID) -> Status[None]:
    """Take it back; 409 once a model was trained with it."""
    services.remove_reviewed_area(actor_of(request), area_id)
    return Status(204, None)


@router.get(
    "/tiles/assessments/{uuid:assessment_id}/{int:z}/{int:x}/{int:y}.mvt",
    openapi_extra=promises.file_of(MVT, unchanged=True),
)
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


def _decided(actor: Actor, assessment_id: UUID, decision: UUID, row: Building) -> dict[str, Any]:
    also = [{"uid": o.uid, "version": o.version} for o in services.also_touched(decision, row)]
    now = selectors.building(actor, assessment_id, row.uid)
    return selectors.detail(now) | {"also": also}


def _outcome(actor: Actor, assessment_id: UUID, one: Outcome) -> dict[str, Any]:
    decided = building = None
    if one.building and one.error:
        building = selectors.detail(selectors.building(actor, assessment_id, one.building.uid))
    elif one.building:
        decided = _decided(actor, assessment_id, one.id, one.building)
    return {
        "id": one.id,
        "became": one.became,
        "decided": decided,
        "building": building,
        "code": one.error and one.error.code,
        "message": one.error and one.error.user_message,
    }


def _request(sent: DecisionIn) -> DecisionRequest:
    facts = sent.dict(exclude={"others", "because"})
    others = [On(**one.dict()) for one in sent.others]
    return DecisionRequest(**facts, others=others, because=sent.because or "")


def _bbox(text: str) -> tuple[float, float, float, float] | None:
    if not text:
        return None
    try:
        west, south, east, north = (float(number) for number in text.split(","))
    except ValueError as error:
        raise BadRequest("bbox", BBOX) from error
    if not (-180 <= west <= east <= 360 and -90 <= south <= north <= 90):
        raise BadRequest("bbox", BBOX)
    return west, south, east, north


def _wanted(query: QueueFilters) -> Wanted:
    return Wanted(
        review=query.state,
        grade=query.grade,
        min_score=query.min_score,
        max_score=query.max_score,
        who=query.who or None,
        flagged=query.flagged,
        area=outlines.area_to_search(_ring(query.area)) if query.area else None,
    )


def _ring(text: str) -> dict[str, Any]:
    try:
        ring = [[float(number) for number in corner.split(",")] for corner in text.split(";")]
    except ValueError as error:
        raise BadRequest(
            "area", "Give area as longitude,latitude;longitude,latitude;... in degrees."
        ) from error
    return {"type": "Polygon", "coordinates": [ring]}


def _place(text: str) -> tuple[float, float] | None:
    if not text:
        return None
    try:
        longitude, latitude = (float(number) for number in text.split(","))
    except ValueError as error:
        raise BadRequest("near", NEAR) from error
    if not (-180 <= longitude <= 360 and -90 <= latitude <= 90):
        raise BadRequest("near", NEAR)
    return longitude, latitude


def _area(area: ReviewedArea) -> dict[str, Any]:
    return {
        "id": area.pk,
        "outline": outlines.geojson_of(area.outline),
        "kind": area.kind,
        "because": area.because or None,
        "user": area.user.get_username(),
        "made_at": area.made_at,
        "kept_aside": area.kept_aside,
    }
