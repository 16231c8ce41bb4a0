"""HTTP for measurements: parse, call, answer. Nothing here tells what the model said of one."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from ninja import Query, Router, Schema, Status
from pydantic import Field

from unosat import promises
from unosat.accounts.actors import actor_of
from unosat.accounts.headers import MadeBy
from unosat.errors import NotFound
from unosat.quality import crops, selectors, services
from unosat.quality.models import Item, Sample, Square
from unosat.quality.services import Mark, SampleRequest

router = Router(tags=["quality"])

TrueGrade = Literal["no_damage", "minor_damage", "major_damage", "destroyed"]
CACHE = "private, max-age=3600"  # pixels never change; the view of a thing does not either


class SampleIn(Schema):
    """How much to judge; no squares: what was missed is not estimated."""

    buildings: int
    squares: int = 0
    side_m: float = 100.0


class SampleOut(Schema):
    """A sample and how far it is judged."""

    id: UUID
    state: Literal["open", "done", "withdrawn"]
    seed: int
    strata: list[dict[str, Any]]
    square_strata: list[dict[str, Any]]
    side_m: float
    expected: dict[str, float]
    drawn_at: datetime
    finished_at: datetime | None
    items: int
    items_judged: int
    squares: int
    squares_judged: int


class ToJudge(Schema):
    """One building, or a square of the ground.

    Attributes:
        rings: outlines as parts of the picture, from its top left: of the building, or of all
            that are in the square.
        wide: the same of the wider picture; none for a square.
        frame: how far from the picture's edge the square begins; 0 for a building.
    """

    id: UUID
    kind: Literal["building", "square"]
    rings: list[list[tuple[float, float]]]
    wide: list[list[tuple[float, float]]]
    frame: float
    has_before: bool


class Offer(Schema):
    """The next ones to judge; ``left`` counts all that nobody has judged, others' included."""

    things: list[ToJudge]
    left: int


class ItemAnswer(Schema):
    """What a building truly is; ``id`` is made by the client: sent again it is one answer."""

    id: UUID | None = None
    answer: Literal[
        "no_damage", "minor_damage", "major_damage", "destroyed", "no_building", "cannot_judge"
    ]


class MarkIn(Schema):
    """A building that no outline shows, as a part of the square's picture from its top left."""

    x: Annotated[float, Field(ge=0, le=1)]
    y: Annotated[float, Field(ge=0, le=1)]
    grade: TrueGrade | Literal["unclassified"]


class SquareAnswer(Schema):
    """Everything that was missed in a square, or that it cannot be judged; ``id`` as of items."""

    id: UUID | None = None
    answer: Literal["judged", "cannot_judge"]
    marks: Annotated[list[MarkIn], Field(max_length=500)] = []


class PictureQuery(Schema):
    """``wide`` shows more of the ground around a building."""

    phase: Literal["after", "before"] = "after"
    wide: bool = False


class Measurement(Schema):
    """The newest finished sample as figures (null without one), and the one being judged."""

    measured: dict[str, Any] | None
    open: SampleOut | None


@router.post("/assessments/{uuid:assessment_id}/quality-samples", response={201: SampleOut})
def draw_sample(
    request: HttpRequest, assessment_id: UUID, wanted: SampleIn
) -> Status[dict[str, Any]]:
    """Draw a random sample of buildings and squares to judge, and freeze it."""
    actor = actor_of(request)
    made = services.draw(actor, assessment_id, SampleRequest(**wanted.dict()))
    return Status(201, _sample(selectors.sample(actor, made.pk)))


@router.get("/assessments/{uuid:assessment_id}/quality", response=Measurement)
def get_quality(request: HttpRequest, assessment_id: UUID) -> dict[str, Any]:
    """Precision and recall per grade and the number of damaged buildings, as measured."""
    actor = actor_of(request)
    told = selectors.for_export(actor, assessment_id)
    being_judged = selectors.open_sample(actor, assessment_id)
    return {"measured": told, "open": _sample(being_judged) if being_judged else None}


@router.post("/quality-samples/{uuid:sample_id}/next", response=Offer)
def get_next(
    request: HttpRequest, sample_id: UUID, limit: int = 5, made_by: MadeBy = None
) -> dict[str, Any]:
    """Take the next ones to judge; nobody else is offered them for ten minutes."""
    actor = actor_of(request)
    actor.must_be_user(made_by)
    things = services.offer(actor, sample_id, limit)
    sample = selectors.sample(actor, sample_id)
    now = selectors.progress(sample)
    left = now.items + now.squares - now.items_judged - now.squares_judged
    has_before = sample.assessment.before_scene_id is not None
    return {"things": [_thing(one, has_before=has_before) for one in things], "left": left}


@router.put("/quality-items/{uuid:thing_id}", response={204: None})
def judge_item(
    request: HttpRequest, thing_id: UUID, said: ItemAnswer, made_by: MadeBy = None
) -> Status[None]:
    """Judge a building; another answer of the same person puts it right.

    With ``X-Made-By``, the user who judged, nobody else's session can send it.
    """
    actor = actor_of(request)
    actor.must_be_user(made_by)
    services.answer_item(actor, thing_id, said.answer, answer_id=said.id)
    return Status(204, None)


@router.put("/quality-squares/{uuid:thing_id}", response={204: None})
def judge_square(
    request: HttpRequest, thing_id: UUID, said: SquareAnswer, made_by: MadeBy = None
) -> Status[None]:
    """Say what was missed in a square; another answer of the same person replaces the marks."""
    actor = actor_of(request)
    actor.must_be_user(made_by)
    marks = [Mark(mark.x, mark.y, mark.grade) for mark in said.marks]
    services.answer_square(actor, thing_id, said.answer, marks, answer_id=said.id)
    return Status(204, None)


@router.delete("/quality-samples/{uuid:sample_id}", response={204: None})
def withdraw_sample(request: HttpRequest, sample_id: UUID) -> Status[None]:
    """Give an unfinished sample up; its answers count for nothing."""
    services.withdraw(actor_of(request), sample_id)
    return Status(204, None)


@router.get("/quality-pictures/{uuid:thing_id}.webp", openapi_extra=promises.file_of("image/webp"))
def get_picture(request: HttpRequest, thing_id: UUID, query: Query[PictureQuery]) -> HttpResponse:
    """The ground around what is judged: ``after`` the event, or ``before`` it."""
    thing = selectors.judged_thing(actor_of(request), thing_id)
    row = thing.sample.assessment
    scene = row.scene if query.phase == "after" else row.before_scene
    if scene is None:
        raise NotFound(f"no image {query.phase}")
    written = crops.picture(scene, selectors.view_of(thing, wide=query.wide))
    return HttpResponse(written, content_type="image/webp", headers={"Cache-Control": CACHE})


def _sample(of: Sample) -> dict[str, Any]:
    now = selectors.progress(of)
    names = ("state", "seed", "strata", "square_strata", "side_m", "expected", "drawn_at")
    counts = ("items", "items_judged", "squares", "squares_judged")
    return (
        {"id": of.pk, "finished_at": of.finished_at}
        | {name: getattr(of, name) for name in names}
        | {name: getattr(now, name) for name in counts}
    )


def _thing(one: Item | Square, *, has_before: bool) -> dict[str, Any]:
    is_square = isinstance(one, Square)
    frame = selectors.frame_of_square(one) if isinstance(one, Square) else 0.0
    return {
        "id": one.pk,
        "kind": "square" if is_square else "building",
        "rings": selectors.rings_of(one),
        "wide": [] if is_square else selectors.rings_of(one, wide=True),
        "frame": frame,
        "has_before": has_before,
    }
