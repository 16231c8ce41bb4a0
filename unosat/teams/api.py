"""HTTP for teams: parse, call, answer."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from django.db import connection
from django.http import HttpRequest, HttpResponse
from ninja import Router, Schema, Status
from pydantic import Field

from unosat import promises
from unosat.accounts.actors import Actor, actor_of
from unosat.accounts.headers import MadeBy
from unosat.errors import NotFound
from unosat.review import outlines
from unosat.review.errors import ChangedMeanwhile
from unosat.teams import controls, looks, overview, pictures, selectors, services
from unosat.teams.looks import Verdict
from unosat.teams.models import SecondLook
from unosat.teams.selectors import AreaFacts, Counted

router = Router(tags=["teams"])

AreaState = Literal["free", "claimed", "finished"]
AnswerName = Literal[
    "no_damage", "minor_damage", "major_damage", "destroyed", "no_building", "unsure"
]
Percent = Annotated[int, Field(ge=0, le=100)]
Few = Annotated[int, Field(ge=0, le=services.MOST_AREAS)]


class SplitIn(Schema):
    """``columns`` and ``rows`` of a grid, or about so many ``buildings`` in each area."""

    columns: Few = 0
    rows: Few = 0
    buildings: Annotated[int, Field(ge=0, le=10_000_000)] = 0


class DrawnIn(Schema):
    """A GeoJSON Polygon, and what people call it."""

    outline: dict[str, Any]
    name: Annotated[str, Field(max_length=40)] = ""


class AssignIn(Schema):
    """Whom a free area is kept for: a member's number; null for nobody."""

    member: int | None


class CountedOut(Schema):
    """How many buildings, and how many of them somebody has decided on."""

    buildings: int
    reviewed: int


class TeamAreaOut(CountedOut):
    """A review area; ``expired``: its holder was silent for long, anybody may take it over."""

    id: UUID
    label: str
    outline: dict[str, Any]
    state: AreaState
    holder: str | None
    mine: bool
    kept_for: str | None
    kept_for_me: bool
    silent_seconds: float | None
    expired: bool


class PersonOut(CountedOut):
    """What one person does; the counts are of the areas that they hold or have finished."""

    name: str
    decided: int
    area: str
    finished: list[str]


class MemberOut(Schema):
    """Somebody whom an area can be kept for."""

    id: int
    name: str


class LooksOut(Schema):
    """What waits for a second look, and what is to be settled."""

    done: int
    waiting: int
    for_me: int
    to_settle: int
    to_settle_by_me: int


class TeamOut(Schema):
    """Areas, people and second looks of an assessment; ``members`` is empty for all but admins."""

    areas: list[TeamAreaOut]
    people: list[PersonOut]
    members: list[MemberOut]
    total: CountedOut
    outside: CountedOut
    looks: LooksOut


class LookOut(Schema):
    """A building to look at, and nothing that tells what anybody made of it.

    ``outline`` are rings of (x, y) from the picture's top-left corner, in fractions of its side,
    which is ``side_m`` on the ground; ``before`` says whether there is a picture from before.
    """

    id: UUID
    outline: list[list[tuple[float, float]]]
    side_m: float
    before: bool


class LooksServed(Schema):
    """Kept for the caller for ten minutes; ``left`` is how many wait for them, these included."""

    looks: list[LookOut]
    left: int


class ServeIn(Schema):
    """How many to be given, at most five."""

    count: Annotated[int, Field(ge=1, le=looks.AT_ONCE)] = 2


class AnswerIn(Schema):
    """What a person says of a building."""

    answer: AnswerName


class DisagreementOut(LookOut):
    """Two answers that differ. Who gave them is not told; the building may be opened on the map."""

    building: UUID
    version: int
    first: AnswerName
    second: AnswerName


class VerdictIn(Schema):
    """How it is settled; ``id`` is made by the client: sent again it is one decision."""

    id: UUID
    answer: AnswerName
    on_version: Annotated[int, Field(ge=0)]


class Changed(Schema):
    """Somebody decided on the building meanwhile; ``version`` is the one to settle on now."""

    code: str
    message: str
    version: int


class PlanIn(Schema):
    """The share that is looked at twice, and how many of the looks are controls; in per cent."""

    share_percent: Percent
    control_percent: Annotated[int, Field(ge=0, le=50)] = 0


class PlanOut(Schema):
    """As it stands."""

    share_percent: int
    control_percent: int


class ControlIn(Schema):
    """A building whose answer is known."""

    building: UUID
    answer: Literal["no_damage", "minor_damage", "major_damage", "destroyed", "no_building"]


class ControlOut(ControlIn):
    """A control building; ``answered`` is how often somebody judged it."""

    id: UUID
    source: Literal["marked", "adjudicated"]
    set_by: str
    made_at: datetime
    answered: int


class AgreementOut(Schema):
    """Cohen's kappa with its 95 % interval; null where not defined, and ``why_not`` says why."""

    pairs: int
    agree: int
    kappa: float | None
    low: float | None
    high: float | None
    why_not: str


class AgreementsOut(Schema):
    """Of all answers together, and of each against the others."""

    overall: AgreementOut
    per_answer: dict[str, AgreementOut]
    share_percent: int


class AccuracyOut(Schema):
    """How one person judged control buildings: ``right`` of ``among``, with a 95 % interval."""

    name: str
    right: int
    among: int
    low: float | None
    high: float | None
    unsure: int


@router.get("/assessments/{uuid:assessment_id}/team", response=TeamOut)
def get_team(request: HttpRequest, assessment_id: UUID) -> dict[str, Any]:
    """Who reviews which area of an assessment, how far it is, and what waits for a second look."""
    return _team(actor_of(request), assessment_id)


@router.post("/assessments/{uuid:assessment_id}/team-areas/split", response=TeamOut)
def split(request: HttpRequest, assessment_id: UUID, wanted: SplitIn) -> dict[str, Any]:
    """Cut an assessment into review areas; 409 if it has some already."""
    actor = actor_of(request)
    services.split(actor, assessment_id, services.Split(**wanted.dict()))
    return _team(actor, assessment_id)


@router.post("/assessments/{uuid:assessment_id}/team-areas", response=TeamOut)
def add_area(request: HttpRequest, assessment_id: UUID, drawn: DrawnIn) -> dict[str, Any]:
    """Add a drawn review area beside those there are."""
    actor = actor_of(request)
    services.add_area(actor, assessment_id, drawn.outline, drawn.name)
    return _team(actor, assessment_id)


@router.delete("/assessments/{uuid:assessment_id}/team-areas", response=TeamOut)
def remove_areas(request: HttpRequest, assessment_id: UUID) -> dict[str, Any]:
    """Remove all review areas, as an admin; decisions stay. 409 while somebody works in one."""
    actor = actor_of(request)
    services.remove_areas(actor, assessment_id)
    return _team(actor, assessment_id)


@router.delete("/team-areas/{uuid:team_area_id}", response=TeamOut)
def remove_area(request: HttpRequest, team_area_id: UUID) -> dict[str, Any]:
    """Remove one review area, as an admin; decisions stay."""
    actor = actor_of(request)
    assessment_id = selectors.area(actor, team_area_id).assessment_id
    services.remove_area(actor, team_area_id)
    return _team(actor, assessment_id)


@router.post("/team-areas/{uuid:team_area_id}/claim", response=TeamOut)
def claim(request: HttpRequest, team_area_id: UUID) -> dict[str, Any]:
    """Take a free area, or one whose holder was silent for 30 minutes; 409 says who has it."""
    actor = actor_of(request)
    return _team(actor, services.claim(actor, team_area_id).assessment_id)


@router.post("/team-areas/{uuid:team_area_id}/renew", response={204: None})
def renew(request: HttpRequest, team_area_id: UUID) -> Status[None]:
    """Say that its holder is at work; 409 if somebody has taken it over."""
    services.renew(actor_of(request), team_area_id)
    return Status(204, None)


@router.post("/team-areas/{uuid:team_area_id}/finish", response=TeamOut)
def finish(request: HttpRequest, team_area_id: UUID) -> dict[str, Any]:
    """Say that an area of one's own is done."""
    actor = actor_of(request)
    return _team(actor, services.finish(actor, team_area_id).assessment_id)


@router.post("/team-areas/{uuid:team_area_id}/release", response=TeamOut)
def release(request: HttpRequest, team_area_id: UUID) -> dict[str, Any]:
    """Give an area back, or open a finished one again; admins may for others."""
    actor = actor_of(request)
    return _team(actor, services.release(actor, team_area_id).assessment_id)


@router.post("/team-areas/{uuid:team_area_id}/assign", response=TeamOut)
def assign(request: HttpRequest, team_area_id: UUID, wanted: AssignIn) -> dict[str, Any]:
    """Keep a free area for one person, as an admin."""
    actor = actor_of(request)
    return _team(actor, services.assign(actor, team_area_id, wanted.member).assessment_id)


@router.put("/assessments/{uuid:assessment_id}/second-look-plan", response=PlanOut)
def set_plan(request: HttpRequest, assessment_id: UUID, plan: PlanIn) -> Any:  # noqa: ANN401
    """Set the share that is looked at twice and the rate of controls, as an admin."""
    return looks.set_plan(actor_of(request), assessment_id, **plan.dict())


@router.post("/assessments/{uuid:assessment_id}/second-looks", response=LooksServed)
def serve(
    request: HttpRequest, assessment_id: UUID, wanted: ServeIn, made_by: MadeBy = None
) -> dict[str, Any]:
    """Be given the next buildings to judge blind; asked again, unanswered ones come first.

    With ``X-Made-By``, the user whose page asks, another's session is given nothing.
    """
    actor = actor_of(request)
    actor.must_be_user(made_by)
    given, left = looks.serve(actor, assessment_id, wanted.count)
    return {"looks": [_look(one) for one in given], "left": left}


@router.get(
    "/second-looks/{uuid:look_id}/{when}.webp", openapi_extra=promises.file_of("image/webp")
)
def picture(request: HttpRequest, look_id: UUID, when: str, *, wide: bool = False) -> HttpResponse:
    """The building from above; ``when`` is after or before, ``wide`` shows three times as much."""
    look = looks.picture_of(actor_of(request), look_id)
    scene = {"after": look.assessment.scene, "before": look.assessment.before_scene}.get(when)
    if scene is None:
        raise NotFound(f"{when} of look {look_id}")
    frame = pictures.frame_of(look.building)
    if not connection.in_atomic_block:
        connection.close()  # reading pixels takes longer than asking for the look did
    content = pictures.render(scene, frame.wider() if wide else frame)
    headers = {"Cache-Control": "private, max-age=3600"}
    return HttpResponse(content, content_type="image/webp", headers=headers)


@router.post("/second-looks/{uuid:look_id}/answer", response={204: None})
def answer(
    request: HttpRequest, look_id: UUID, said: AnswerIn, made_by: MadeBy = None
) -> Status[None]:
    """Say what it is; the building stays as it is, and nothing is told of the first answer.

    Sent again it is one answer: a look has only one. With ``X-Made-By``, the user who answered,
    nobody else's session can send it.
    """
    actor = actor_of(request)
    actor.must_be_user(made_by)
    looks.answer(actor, look_id, said.answer)
    return Status(204, None)


@router.get("/assessments/{uuid:assessment_id}/disagreements", response=list[DisagreementOut])
def list_disagreements(
    request: HttpRequest, assessment_id: UUID, made_by: MadeBy = None
) -> list[dict[str, Any]]:
    """What the caller may settle, oldest first: both answers, without who gave them."""
    actor = actor_of(request)
    actor.must_be_user(made_by)
    found = looks.to_settle(actor, assessment_id)
    return [_disagreement(look) for look in found]


@router.post("/second-looks/{uuid:look_id}/adjudication", response={204: None, 409: Changed})
def settle(
    request: HttpRequest, look_id: UUID, verdict: VerdictIn, made_by: MadeBy = None
) -> Status[Any]:
    """Settle a disagreement; the building gets an ordinary decision that says so."""
    actor = actor_of(request)
    actor.must_be_user(made_by)
    try:
        looks.settle(actor, look_id, Verdict(**verdict.dict()))
    except ChangedMeanwhile as error:
        told = {"code": error.code, "message": error.user_message}
        return Status(409, told | {"version": error.building.version})
    return Status(204, None)


@router.get("/assessments/{uuid:assessment_id}/agreement", response=AgreementsOut)
def get_agreement(request: HttpRequest, assessment_id: UUID) -> Any:  # noqa: ANN401
    """Cohen's kappa of first and second answers, before adjudication."""
    actor = actor_of(request)
    overview.must_see(actor, assessment_id)
    return overview.agreement_of(assessment_id)


@router.get("/assessments/{uuid:assessment_id}/control-accuracy", response=list[AccuracyOut])
def get_accuracy(request: HttpRequest, assessment_id: UUID) -> list[dict[str, Any]]:
    """How people judged control buildings: everybody's for admins, else one's own."""
    found = controls.accuracies(actor_of(request), assessment_id)
    return [
        {
            "name": one.name,
            "right": one.share.right,
            "among": one.share.among,
            "low": one.share.low,
            "high": one.share.high,
            "unsure": one.unsure,
        }
        for one in found
    ]


@router.get("/assessments/{uuid:assessment_id}/controls", response=list[ControlOut])
def list_controls(request: HttpRequest, assessment_id: UUID) -> list[dict[str, Any]]:
    """The control buildings, for admins."""
    return [
        {
            "id": one.pk,
            "building": one.building.uid,
            "answer": one.answer,
            "source": one.source,
            "set_by": one.set_by.get_username(),
            "made_at": one.made_at,
            "answered": getattr(one, "answered", 0),
        }
        for one in controls.controls(actor_of(request), assessment_id)
    ]


@router.post("/assessments/{uuid:assessment_id}/controls", response={204: None})
def add_control(request: HttpRequest, assessment_id: UUID, wanted: ControlIn) -> Status[None]:
    """Make a building with a known answer a control, as an admin."""
    controls.mark(actor_of(request), assessment_id, wanted.building, wanted.answer)
    return Status(204, None)


@router.delete("/controls/{uuid:control_id}", response={204: None})
def remove_control(request: HttpRequest, control_id: UUID) -> Status[None]:
    """Let it be an ordinary building again, as an admin; answers to it go too."""
    controls.remove(actor_of(request), control_id)
    return Status(204, None)


def _team(actor: Actor, assessment_id: UUID) -> dict[str, Any]:
    found = selectors.team(actor, assessment_id)
    members = selectors.reviewers(actor) if actor.role == "admin" else []
    return {
        "areas": [_area(one) for one in found.areas],
        "people": [
            {
                "name": one.name,
                "decided": one.decided,
                "area": one.area,
                "finished": one.finished,
                **_counted(one.counted),
            }
            for one in found.people
        ],
        "members": [{"id": one.pk, "name": one.get_username()} for one in members],
        "total": _counted(found.total),
        "outside": _counted(found.outside),
        "looks": overview.looks_now(actor, assessment_id),
    }


def _area(one: AreaFacts) -> dict[str, Any]:
    told = ("id", "label", "state", "holder", "mine", "kept_for", "kept_for_me", "expired")
    return {name: getattr(one, name) for name in told} | {
        "silent_seconds": one.silent_seconds,
        "outline": outlines.geojson_of(one.outline),
        **_counted(one.counted),
    }


def _counted(counted: Counted) -> dict[str, int]:
    return {"buildings": counted.buildings, "reviewed": counted.reviewed}


def _look(look: SecondLook) -> dict[str, Any]:
    frame = pictures.frame_of(look.building)
    return {
        "id": look.pk,
        "outline": pictures.outline_in(frame, look.building),
        "side_m": pictures.side_m(frame),
        "before": look.assessment.before_scene_id is not None,
    }


def _disagreement(look: SecondLook) -> dict[str, Any]:
    return _look(look) | {
        "building": look.building.uid,
        "version": look.building.version,
        "first": look.first,
        "second": look.answer,
    }
