"""A sample is random, frozen and judged blind; what it measures changes no building."""

import json
from typing import Any
from uuid import UUID, uuid4

import numpy as np
import pytest
from django.contrib.gis.geos import Point
from django.test import Client

from tests.unosat.makers import (
    NORTH,
    SIDE,
    STEP,
    WEST,
    make_actor,
    make_building,
    make_done_assessment,
    make_organisation,
    make_user,
)
from unosat.accounts.actors import Actor
from unosat.assessments.models import Assessment
from unosat.errors import Forbidden, NotFound
from unosat.quality import selectors, services
from unosat.quality.errors import (
    BadAnswer,
    JudgedByAnother,
    NoSuchAnswer,
    NothingToSample,
    SampleOpen,
    SampleOver,
    SampleSize,
)
from unosat.quality.models import Item, Missed, Sample, Square
from unosat.quality.services import Mark, SampleRequest
from unosat.review import services as review_services
from unosat.review.models import Building, Footprint
from unosat.review.services import DecisionRequest

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.filterwarnings("ignore::rio_tiler.errors.NoOverviewWarning"),  # tiny rasters
]

HOUSES = 130
WANTED = SampleRequest(buildings=60, squares=10, side_m=60, seed=7)


@pytest.fixture
def row() -> Assessment:
    """100 buildings that the model calls undamaged, 30 destroyed."""
    made = make_done_assessment(make_organisation(), houses=0)
    for number in range(HOUSES):
        building = make_building(made, number % 12)
        if number < 100:
            _call(building, "no_damage")
    return made


@pytest.fixture
def actor(row: Assessment) -> Actor:
    return make_actor(row.organisation)


def _call(building: Building, grade: str) -> None:
    Footprint.objects.filter(building=building).update(grade=grade)
    Building.objects.filter(pk=building.pk).update(grade=grade)


def judge_all(actor: Actor, sample: Sample, answer: str = "") -> None:
    """As the model said, or everything the same; nothing missed."""
    for item in sample.items.select_related("building"):
        services.answer_item(actor, item.pk, answer or item.building.grade)
    for square in sample.squares.all():
        services.answer_square(actor, square.pk, "judged", [])


def test_the_same_seed_draws_the_same_sample(row: Assessment, actor: Actor) -> None:
    drawn = []
    for seed in (7, 7, 8):
        sample = services.draw(actor, row.pk, SampleRequest(60, 10, 60, seed=seed))
        items = sample.items.order_by("place").values_list("building", "stratum")
        boxes = [square.outline.extent for square in sample.squares.order_by("place")]
        drawn.append((list(items), boxes))
        services.withdraw(actor, sample.pk)

    assert drawn[0] == drawn[1] != drawn[2]


def test_a_sample_keeps_how_it_was_drawn(row: Assessment, actor: Actor) -> None:
    sample = services.draw(actor, row.pk, WANTED)

    assert sample.seed == 7
    told = {one["stratum"]: (one["size"], one["sampled"]) for one in sample.strata}
    assert told == {"no_damage": (100, 30), "destroyed": (30, 30)}
    for name, (size, sampled) in told.items():
        mine = sample.items.filter(stratum=name)
        assert mine.count() == sampled
        assert {item.probability for item in mine} == {sampled / size}
    assert 0.1 < sample.expected["no_damage"] < 0.2
    assert sample.expected["destroyed"] == 0  # all of them are judged
    squares = sum(one["size"] for one in sample.square_strata)
    side = SIDE * STEP * 111_320  # metres, north to south
    assert squares == pytest.approx((side / 60) * (side * np.cos(np.radians(NORTH)) / 60), rel=0.2)
    assert sample.squares.count() == sum(one["sampled"] for one in sample.square_strata)


def test_every_building_is_drawn_as_often_as_its_probability_says(
    row: Assessment, actor: Actor
) -> None:
    times: dict[int, int] = {}
    rounds = 40
    for seed in range(rounds):
        sample = services.draw(actor, row.pk, SampleRequest(60, seed=seed))
        for key in sample.items.filter(stratum="no_damage").values_list("building", flat=True):
            times[key] = times.get(key, 0) + 1
        services.withdraw(actor, sample.pk)

    # 30 of 100 each time: 12 of 40, and 4 standard deviations of 2.9 to either side
    assert len(times) == 100
    assert all(1 <= count <= 24 for count in times.values())


def test_an_assessment_has_one_open_sample(row: Assessment, actor: Actor) -> None:
    services.draw(actor, row.pk, WANTED)

    with pytest.raises(SampleOpen):
        services.draw(actor, row.pk, WANTED)


@pytest.mark.parametrize(
    "wanted",
    [SampleRequest(49), SampleRequest(2001), SampleRequest(60, 9), SampleRequest(60, 20, 10)],
)
def test_a_sample_of_no_use_is_refused(
    row: Assessment, actor: Actor, wanted: SampleRequest
) -> None:
    with pytest.raises(SampleSize):
        services.draw(actor, row.pk, wanted)


def test_nothing_is_drawn_from_nothing(actor: Actor) -> None:
    empty = make_done_assessment(make_organisation(), houses=0)
    with pytest.raises(NothingToSample):
        services.draw(make_actor(empty.organisation), empty.pk, WANTED)
    with pytest.raises(NotFound):
        services.draw(actor, empty.pk, WANTED)


def test_partners_do_not_judge(row: Assessment) -> None:
    with pytest.raises(Forbidden):
        services.draw(make_actor(row.organisation, "partner"), row.pk, WANTED)


def test_what_is_offered_to_one_is_not_offered_to_another(row: Assessment, actor: Actor) -> None:
    sample = services.draw(actor, row.pk, WANTED)
    other = make_actor(row.organisation)

    mine = {one.pk for one in services.offer(actor, sample.pk, 5)}
    theirs = {one.pk for one in services.offer(other, sample.pk, 5)}

    assert len(mine) == len(theirs) == 5
    assert not mine & theirs
    assert {one.pk for one in services.offer(actor, sample.pk, 5)} == mine


def test_an_answer_can_be_put_right_by_whoever_gave_it(row: Assessment, actor: Actor) -> None:
    sample = services.draw(actor, row.pk, WANTED)
    (one,) = services.offer(actor, sample.pk, 1)
    services.answer_item(actor, one.pk, "destroyed")
    services.answer_item(actor, one.pk, "no_building")

    assert Item.objects.get(pk=one.pk).answer == "no_building"
    with pytest.raises(JudgedByAnother):
        services.answer_item(make_actor(row.organisation), one.pk, "destroyed")


@pytest.mark.parametrize("said", ["", "unclassified", "ruined", "judged"])
def test_what_is_no_answer_is_refused_in_a_sentence_and_the_answer_before_stands(
    row: Assessment, actor: Actor, said: str
) -> None:
    sample = services.draw(actor, row.pk, WANTED)
    item, square = sample.items.all()[0], sample.squares.all()[0]
    services.answer_item(actor, item.pk, "destroyed")
    services.answer_square(actor, square.pk, "judged", [Mark(0.5, 0.5, "unclassified")])

    with pytest.raises(NoSuchAnswer) as refusal:
        services.answer_item(actor, item.pk, said)
    for answer, grade in ((f"{said}?", "destroyed"), ("judged", f"{said}?")):
        with pytest.raises(BadAnswer):
            services.answer_square(actor, square.pk, answer, [Mark(0.5, 0.5, grade)])

    assert "Choose a damage grade" in refusal.value.user_message
    item.refresh_from_db()
    assert item.answer == "destroyed"
    assert Missed.objects.get().grade == "unclassified"


def test_an_answer_that_comes_again_is_one_whatever_came_after_it(
    row: Assessment, actor: Actor
) -> None:
    sample = services.draw(actor, row.pk, WANTED)
    item, square = sample.items.all()[0], sample.squares.all()[0]
    one, two, seen, none = (uuid4() for _ in range(4))
    services.answer_item(actor, item.pk, "destroyed", answer_id=one)
    services.answer_item(actor, item.pk, "no_building", answer_id=two)
    middle = [Mark(0.5, 0.5, "destroyed")]
    services.answer_square(actor, square.pk, "judged", middle, answer_id=seen)
    services.answer_square(actor, square.pk, "cannot_judge", [], answer_id=none)

    services.answer_item(actor, item.pk, "destroyed", answer_id=one)
    services.answer_square(actor, square.pk, "judged", middle, answer_id=seen)

    item.refresh_from_db()
    square.refresh_from_db()
    assert (item.answer, item.answer_ids) == ("no_building", [one, two])
    assert (square.answer, square.answer_ids) == ("cannot_judge", [seen, none])
    assert not Missed.objects.exists()


def test_the_answer_that_finishes_a_sample_may_come_again(row: Assessment, actor: Actor) -> None:
    sample = services.draw(actor, row.pk, SampleRequest(buildings=60, seed=7))
    last, *others = sample.items.all()
    for item in others:
        services.answer_item(actor, item.pk, "destroyed")
    sent = uuid4()

    for answer_id in (sent, sent, uuid4()):  # the same answer under another id is the same answer
        assert (
            services.answer_item(actor, last.pk, "destroyed", answer_id=answer_id).state == "done"
        )

    with pytest.raises(SampleOver):
        services.answer_item(actor, last.pk, "no_damage", answer_id=uuid4())
    with pytest.raises(SampleOver):  # the id is no way in for somebody else
        services.answer_item(make_actor(row.organisation), last.pk, "no_damage", answer_id=sent)
    last.refresh_from_db()
    assert (last.answer, last.answer_ids) == ("destroyed", [sent])


def test_nobody_sends_what_another_judged(row: Assessment, actor: Actor) -> None:
    sample = services.draw(actor, row.pk, WANTED)
    item, square = sample.items.all()[0], sample.squares.all()[0]
    colleague = Client()
    colleague.force_login(make_user(row.organisation))
    hers: dict[str, Any] = {
        "headers": {"X-Made-By": str(actor.user_id)},
        "content_type": "application/json",
    }

    answers = [
        colleague.put(f"/api/v1/quality-items/{item.pk}", {"answer": "destroyed"}, **hers),
        colleague.put(f"/api/v1/quality-squares/{square.pk}", {"answer": "judged"}, **hers),
        colleague.post(f"/api/v1/quality-samples/{sample.pk}/next", {}, **hers),
    ]

    assert {one.json()["code"] for one in answers} == {"signed_in_as_another"}
    assert not sample.items.exclude(answer="", offered_to=None).exists()
    assert not sample.squares.exclude(answer="").exists()


def test_marks_lie_inside_their_square(row: Assessment, actor: Actor) -> None:
    sample = services.draw(actor, row.pk, WANTED)
    square = sample.squares.all()[0]
    frame = selectors.frame_of_square(square)

    services.answer_square(actor, square.pk, "judged", [Mark(frame, frame, "destroyed")])
    services.answer_square(actor, square.pk, "judged", [Mark(0.5, 0.5, "minor_damage")])

    (missed,) = Missed.objects.all()
    west, south, east, north = square.outline.extent
    assert missed.point.coords == pytest.approx(((west + east) / 2, (south + north) / 2))
    for marks, answer in (([Mark(0.01, 0.5, "destroyed")], "judged"),
                          ([Mark(0.5, 0.5, "destroyed")], "cannot_judge")):  # fmt: skip
        with pytest.raises(BadAnswer):
            services.answer_square(actor, square.pk, answer, marks)


def test_the_last_answer_finishes_it_and_no_building_has_changed(
    row: Assessment, actor: Actor
) -> None:
    before = list(Building.objects.order_by("pk").values())
    sample = services.draw(actor, row.pk, WANTED)

    judge_all(actor, sample, "destroyed")

    sample.refresh_from_db()
    assert sample.state == "done"
    assert list(Building.objects.order_by("pk").values()) == before
    with pytest.raises(SampleOver):
        services.answer_item(actor, sample.items.all()[0].pk, "no_damage")
    with pytest.raises(SampleOver):
        services.withdraw(actor, sample.pk)


def test_half_judged_nothing_is_said(row: Assessment, actor: Actor) -> None:
    sample = services.draw(actor, row.pk, WANTED)
    for item in sample.items.all()[:40]:
        services.answer_item(actor, item.pk, "destroyed")

    assert selectors.measured(actor, row.pk) is None
    assert selectors.progress(sample).items_judged == 40


def test_a_map_that_is_right_in_all_measures_so(row: Assessment, actor: Actor) -> None:
    sample = services.draw(actor, row.pk, WANTED)
    judge_all(actor, sample)

    found = selectors.measured(actor, row.pk)

    assert found is not None
    destroyed = next(one for one in found.before.classes if one.name == "destroyed")
    assert destroyed.precision is not None
    assert destroyed.precision.low == destroyed.precision.high == 1  # all thirty were judged
    assert found.before.shown == 30
    assert found.before.number is not None
    assert found.before.number.estimate == 30
    assert found.before.number.high > 30  # of the undamaged, and of the ground, not all was seen
    assert found.before == found.after


def test_review_changes_what_the_map_says_and_not_the_answers(
    row: Assessment, actor: Actor
) -> None:
    sample = services.draw(actor, row.pk, WANTED)
    judge_all(actor, sample, "no_damage")  # the model's destroyed ones are not
    wrong = Building.objects.filter(grade="destroyed")
    for building in wrong:
        decide(actor, row.pk, building, "reject")

    found = selectors.measured(actor, row.pk)

    assert found is not None
    assert (found.before.shown, found.after.shown) == (30, 0)
    before, after = (
        next(one for one in of.classes if one.name == "destroyed")
        for of in (found.before, found.after)
    )
    assert before.precision is not None
    assert before.precision.high == 0
    assert after.precision is None  # the map calls nothing destroyed any more
    assert before.recall is None  # and nothing was


def test_a_missed_building_counts_until_somebody_adds_it(row: Assessment, actor: Actor) -> None:
    sample = services.draw(actor, row.pk, SampleRequest(60, 40, 60, seed=3))
    judge_all(actor, sample)
    Sample.objects.filter(pk=sample.pk).update(state="open", finished_at=None)
    square = next(
        one
        for one in sample.squares.all()
        if one.stratum == "empty" and one.outline.extent[3] < NORTH - 200 * STEP
        and one.outline.extent[1] > NORTH - SIDE * STEP
        and one.outline.extent[0] > WEST and one.outline.extent[2] < WEST + SIDE * STEP
    )  # fmt: skip
    services.answer_square(actor, square.pk, "judged", [Mark(0.5, 0.5, "destroyed")] * 1)
    weight = next(s["size"] / s["sampled"] for s in sample.square_strata if s["stratum"] == "empty")

    missing = selectors.measured(actor, row.pk)
    assert missing is not None
    assert missing.after.missed is not None
    assert missing.after.missed.estimate == pytest.approx(weight)

    x, y = square.outline.centroid.coords
    step = 20 * STEP
    corners = [[x - step, y - step], [x + step, y - step], [x + step, y + step],
               [x - step, y + step], [x - step, y - step]]  # fmt: skip
    outline = {"type": "Polygon", "coordinates": [corners]}
    wanted = DecisionRequest(id=uuid4(), kind="add", grade="destroyed", outline=outline)  # type: ignore[arg-type]
    review_services.record_decision(actor, row.pk, wanted)

    now = selectors.measured(actor, row.pk)
    assert now is not None
    assert now.after.missed is not None
    assert now.before.missed is not None
    assert now.after.missed.estimate == 0
    assert now.before.missed.estimate == pytest.approx(weight)
    assert now.later == 1
    assert now.after.shown == 31


def test_without_squares_recall_is_of_what_was_found(row: Assessment, actor: Actor) -> None:
    sample = services.draw(actor, row.pk, SampleRequest(60, seed=1))
    judge_all(actor, sample)

    found = selectors.measured(actor, row.pk)

    assert found is not None
    assert not found.after.with_missed
    assert found.after.missed is None


def test_what_cannot_be_judged_is_left_out_and_bounded(row: Assessment, actor: Actor) -> None:
    sample = services.draw(actor, row.pk, SampleRequest(60, seed=1))
    first = sample.items.filter(stratum="destroyed")[0]
    services.answer_item(actor, first.pk, "cannot_judge")
    for item in sample.items.filter(answer="").select_related("building"):
        services.answer_item(actor, item.pk, item.building.grade)

    found = selectors.measured(actor, row.pk)

    assert found is not None
    assert found.progress.items_unclear == 1
    assert found.after.bounds == pytest.approx((29, 30))
    assert found.after.number is not None
    assert found.after.number.estimate == pytest.approx(30)


def decide(actor: Actor, assessment: UUID, building: Building, kind: str) -> None:
    wanted = DecisionRequest(
        id=uuid4(), kind=kind, building=building.uid, on_version=building.version
    )
    review_services.record_decision(actor, assessment, wanted)


def test_the_api_shows_nothing_of_what_the_model_said(row: Assessment) -> None:
    client = Client()
    client.force_login(make_user(row.organisation))
    answer = client.post(
        f"/api/v1/assessments/{row.pk}/quality-samples",
        {"buildings": 60, "squares": 10, "side_m": 60},
        content_type="application/json",
    )
    assert answer.status_code == 201
    sample = answer.json()["id"]

    offer = client.post(f"/api/v1/quality-samples/{sample}/next?limit=3").json()

    assert offer["left"] == 60 + Square.objects.count()
    assert len(offer["things"]) == 3
    assert set(offer["things"][0]) == {"id", "kind", "rings", "wide", "frame", "has_before"}
    thing = offer["things"][0]
    (ring,) = thing["rings"]
    assert all(0 < part < 1 for corner in ring for part in corner)
    picture = client.get(f"/api/v1/quality-pictures/{thing['id']}.webp")
    assert (picture.status_code, picture["Content-Type"]) == (200, "image/webp")
    assert (
        client.get(f"/api/v1/quality-pictures/{thing['id']}.webp?phase=before").status_code == 404
    )
    put = client.put(
        f"/api/v1/quality-items/{thing['id']}",
        {"answer": "destroyed"},
        content_type="application/json",
    )
    assert put.status_code == 204
    wrong = client.put(
        f"/api/v1/quality-items/{thing['id']}", {"answer": "?"}, content_type="application/json"
    )
    assert wrong.status_code == 422
    told = client.get(f"/api/v1/assessments/{row.pk}/quality").json()
    assert told["measured"] is None
    assert told["open"]["items_judged"] == 1


def test_the_export_says_what_was_measured(row: Assessment, actor: Actor) -> None:
    client = Client()
    client.force_login(make_user(row.organisation))
    url = f"/api/v1/assessments/{row.pk}/download"
    assert json.loads(client.get(url).getvalue())["metadata"]["quality"] is None
    judge_all(actor, services.draw(actor, row.pk, WANTED))

    told = json.loads(client.get(url).getvalue())["metadata"]["quality"]

    assert told["items"] == 60
    assert told["as_it_stands"]["number"]["estimate"] == 30
    assert told["as_the_model_said"]["shown"] == 30


def test_a_mark_is_a_point_on_the_ground(row: Assessment, actor: Actor) -> None:
    sample = services.draw(actor, row.pk, WANTED)
    square = sample.squares.all()[0]
    services.answer_square(actor, square.pk, "judged", [Mark(0.5, 0.25, "destroyed")])

    point: Point = Missed.objects.get().point
    middle = square.outline.centroid
    assert point.x == pytest.approx(middle.x)
    assert point.y > middle.y  # a quarter from the top is north of the middle
