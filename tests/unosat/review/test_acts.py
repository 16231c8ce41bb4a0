"""Acts on several buildings: whole or not at all, once each, taken back whole, and replayed."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.contrib.auth.models import User
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from detection.grades import Grade
from tests.at_once import at_once
from tests.unosat.makers import (
    NORTH,
    STEP,
    WEST,
    house_outline,
    make_actor,
    make_building,
    make_done_assessment,
    make_organisation,
    ring,
)
from unosat.accounts.actors import Actor
from unosat.assessments.models import Assessment
from unosat.errors import RefusedError
from unosat.review import acts, outlines, replay, services
from unosat.review.errors import (
    BadOutline,
    BuildingReplaced,
    ChangedMeanwhile,
    IncompleteDecision,
    MergeMismatch,
    MergeNeedsGrade,
    NothingToShift,
    NothingToUndo,
    OthersChanged,
    OutlineOutside,
    OutlineOverlaps,
    ReturnOverlaps,
    ShiftsTooMany,
    ShiftTooFar,
    SplitMismatch,
    TooFarToMerge,
)
from unosat.review.models import Building, Decision
from unosat.review.services import DecisionRequest, On

AROUND_ALL = ring(WEST, NORTH - 100 * STEP, WEST + 1000 * STEP, NORTH)


@pytest.fixture
def row(db: None) -> Assessment:  # noqa: ARG001 (a database is needed)
    return make_done_assessment(make_organisation())


@pytest.fixture
def actor(row: Assessment) -> Actor:
    return make_actor(row.organisation)


@pytest.fixture
def record(row: Assessment, actor: Actor) -> Callable[..., Building]:
    return lambda wanted, by=actor: services.record_decision(by, row.pk, wanted)


def houses(row: Assessment) -> list[Building]:
    """As the model found them, from west to east."""
    return list(row.buildings.filter(source="model").order_by("footprint_id"))


def on(building: Building, kind: str, **facts: Any) -> DecisionRequest:
    wanted = DecisionRequest(
        id=uuid4(), kind=kind, building=building.uid, on_version=building.version
    )
    return replace(wanted, **facts)


def part(left: float, right: float, number: int = 0) -> dict[str, object]:
    """A part of a house of ``make_building``, between two columns of its 40 pixels."""
    west, north = WEST + (20 + number * 80) * STEP, NORTH - 20 * STEP
    return ring(west + left * STEP, north - 40 * STEP, west + right * STEP, north)


def halves(building: Building, **facts: Any) -> DecisionRequest:
    return on(building, "split", outlines=[part(0, 20), part(20, 40)], **facts)


def joined(row: Assessment, **facts: Any) -> DecisionRequest:
    """The first house with a neighbour that touches it."""
    first = houses(row)[0]
    annexe = next(b for b in row.buildings.all() if b.source == "analyst")
    wanted = on(first, "merge", others=[On(annexe.uid, annexe.version)], outline=part(0, 60))
    return replace(wanted, **facts)


def add_annexe(record: Callable[..., Building], grade: Grade = Grade.DESTROYED) -> Building:
    """Beside the first house, wall to wall."""
    wanted = DecisionRequest(id=uuid4(), kind="add", grade=grade, outline=part(40, 60))
    return record(wanted)


def shifted(east: float = 2.0, north: float = -1.0, **facts: Any) -> DecisionRequest:
    wanted = DecisionRequest(id=uuid4(), kind="shift", area=AROUND_ALL, shift_m=(east, north))
    return replace(wanted, **facts)


def must_equal_their_replay(row: Assessment) -> None:
    for building in row.buildings.select_related("footprint"):
        state = services.history_of(building)[-1]
        assert (state,) == replay.now(building)
        assert building.version == building.decisions.count()


def standing(row: Assessment) -> list[Building]:
    return list(row.buildings.exclude(review__in=Building.HIDDEN).order_by("pk"))


def test_what_cannot_be_judged_says_why_and_has_no_grade(
    row: Assessment, record: Callable[..., Building]
) -> None:
    building = record(on(houses(row)[0], "unsure", because="shadow", reason="behind the tower"))

    assert (building.review, building.grade) == ("unsure", "unclassified")
    assert (building.unsure_because, building.grade_score) == ("shadow", None)
    graded = record(on(building, "regrade", grade=Grade.MINOR_DAMAGE))
    assert (graded.review, graded.unsure_because) == ("regraded", "")
    back = record(on(graded, "undo"))
    assert (back.review, back.unsure_because) == ("unsure", "shadow")
    must_equal_their_replay(row)


def test_a_flag_asks_for_a_second_look_and_says_nothing_else(
    row: Assessment, record: Callable[..., Building]
) -> None:
    building = record(on(houses(row)[0], "flag", reason="which roof?"))

    assert (building.flagged, building.review, building.grade) == (True, "unreviewed", "destroyed")
    accepted = record(on(building, "accept"))
    assert (accepted.flagged, accepted.review) == (True, "accepted")
    cleared = record(on(accepted, "unflag"))
    assert (cleared.flagged, cleared.review) == (False, "accepted")
    must_equal_their_replay(row)


def test_pieces_take_the_place_of_a_building_with_its_grade_and_flag(
    row: Assessment, record: Callable[..., Building]
) -> None:
    house = record(on(houses(row)[0], "flag"))
    wanted = halves(house)

    first = record(wanted)

    also = services.also_touched(wanted.id, first)
    assert (first.review, first.source, first.grade) == ("added", "analyst", "destroyed")
    assert {(one.uid == house.uid, one.version) for one in also} == {(True, 2), (False, 1)}
    house.refresh_from_db()
    assert (house.review, house.version) == ("replaced", 2)
    assert all(piece.flagged for piece in row.buildings.filter(source="analyst"))
    assert sum(b.outline.area for b in row.buildings.filter(source="analyst")) == pytest.approx(
        house.outline.area
    )
    with pytest.raises(BuildingReplaced):
        record(on(house, "accept"))
    must_equal_their_replay(row)


def test_a_split_is_taken_back_whole_from_any_of_its_buildings(
    row: Assessment, record: Callable[..., Building]
) -> None:
    before = [(b.uid, b.outline.wkb) for b in standing(row)]
    for taken_back_on in (0, 1):
        house = houses(row)[0]
        piece = record(halves(house))
        house.refresh_from_db()
        record(on([house, piece][taken_back_on], "undo"))

        assert [(b.uid, b.outline.wkb) for b in standing(row)] == before
        must_equal_their_replay(row)
    piece.refresh_from_db()
    with pytest.raises(NothingToUndo):
        record(on(piece, "undo"))


def test_pieces_of_what_nobody_could_judge_are_unsure_too(
    row: Assessment, record: Callable[..., Building]
) -> None:
    house = record(on(houses(row)[0], "unsure", because="cloud"))

    piece = record(halves(house))

    assert (piece.review, piece.unsure_because, piece.grade) == ("unsure", "cloud", "unclassified")
    must_equal_their_replay(row)


def test_merged_buildings_are_one_with_a_grade_that_a_person_chose(
    row: Assessment, record: Callable[..., Building]
) -> None:
    annexe = record(on(add_annexe(record, Grade.NO_DAMAGE), "flag"))
    with pytest.raises(MergeNeedsGrade):
        record(joined(row))

    whole = record(joined(row, grade=Grade.NO_DAMAGE))

    assert (whole.uid, whole.grade, whole.review) == (houses(row)[0].uid, "no_damage", "redrawn")
    assert (whole.flagged, whole.grade_score) == (True, None)
    annexe.refresh_from_db()
    assert annexe.review == "replaced"
    must_equal_their_replay(row)
    record(on(annexe, "undo"))
    annexe.refresh_from_db()
    whole.refresh_from_db()
    assert (annexe.review, annexe.flagged) == ("added", True)
    assert (whole.review, whole.grade, whole.grade_score) == ("unreviewed", "destroyed", 0.7)
    must_equal_their_replay(row)


def test_a_shift_moves_all_of_an_area_by_metres_and_reviews_nothing(
    row: Assessment, record: Callable[..., Building]
) -> None:
    rejected = record(on(houses(row)[2], "reject"))
    before = houses(row)
    wanted = shifted(east=3.0, north=-2.0, area=AROUND_ALL)

    answered = record(wanted)

    also = services.also_touched(wanted.id, answered)
    assert {one.uid for one in [answered, *also]} == {before[0].uid, before[1].uid}
    for was, now in zip(before[:2], houses(row), strict=False):
        assert (now.review, now.grade, now.version) == ("unreviewed", "destroyed", 1)
        way = now.outline.centroid.x - was.outline.centroid.x
        up = now.outline.centroid.y - was.outline.centroid.y
        assert (way * 91_100, up * 110_950) == pytest.approx((3.0, -2.0), abs=0.05)
    rejected.refresh_from_db()
    assert rejected.version == 1
    assert set(Decision.objects.filter(kind="shift").values_list("batch", flat=True)) == {wanted.id}
    must_equal_their_replay(row)
    record(on(houses(row)[1], "undo"))
    assert [b.outline.wkb for b in houses(row)] == [b.outline.wkb for b in before]
    must_equal_their_replay(row)


def test_an_act_is_not_taken_back_over_what_somebody_decided_since(
    row: Assessment, record: Callable[..., Building]
) -> None:
    record(shifted())
    ana = make_actor(row.organisation)
    record(on(houses(row)[1], "accept"), ana)
    versions = [b.version for b in houses(row)]

    with pytest.raises(OthersChanged) as caught:
        record(on(houses(row)[0], "undo"))

    assert User.objects.get(pk=ana.must_be_a_person()).username in caught.value.user_message
    assert "accept" in caught.value.user_message
    assert [b.version for b in houses(row)] == versions


def test_an_act_on_an_outdated_version_of_any_building_changes_none(
    row: Assessment, record: Callable[..., Building]
) -> None:
    annexe = add_annexe(record)
    stale = [halves(houses(row)[0]), joined(row)]
    record(on(annexe, "flag"))
    record(on(houses(row)[0], "accept"))
    kept = list(row.buildings.order_by("pk").values_list("uid", "version", "review"))

    for wanted in stale:
        with pytest.raises(ChangedMeanwhile):
            record(wanted)

    assert list(row.buildings.order_by("pk").values_list("uid", "version", "review")) == kept


REFUSED: list[tuple[str, dict[str, Any], type[RefusedError]]] = [
    ("split", {"outlines": [part(0, 20), part(30, 40)]}, SplitMismatch),
    ("split", {"outlines": [part(0, 30), part(20, 40)]}, SplitMismatch),
    ("split", {"outlines": [part(0, 20), part(20, 70)]}, SplitMismatch),
    ("split", {"outlines": [part(0, 20)]}, IncompleteDecision),
    ("split", {"outlines": [part(0, 39), part(39, 40)]}, BadOutline),
    ("split", {}, IncompleteDecision),
    ("merge", {"outline": part(0, 40)}, IncompleteDecision),
    ("redraw", {"outline": part(0, 90)}, OutlineOverlaps),
    ("redraw", {"outline": part(0, 1)}, BadOutline),
    ("unsure", {}, IncompleteDecision),
    ("unsure", {"because": "lazy"}, IncompleteDecision),
    ("accept", {"because": "cloud"}, IncompleteDecision),
    ("shift", {"area": AROUND_ALL, "shift_m": (1.0, 1.0)}, IncompleteDecision),
]


@pytest.mark.parametrize(("kind", "facts", "error"), REFUSED)
def test_what_cannot_be_is_refused_with_advice_and_changes_nothing(
    row: Assessment,
    record: Callable[..., Building],
    kind: str,
    facts: dict[str, Any],
    error: type[RefusedError],
) -> None:
    with pytest.raises(error) as caught:
        record(on(houses(row)[0], kind, **facts))

    assert caught.value.user_message.endswith(".")
    assert not Decision.objects.exists()


def test_merging_refuses_what_is_far_apart_and_an_outline_of_something_else(
    row: Assessment, record: Callable[..., Building]
) -> None:
    add_annexe(record)
    far = houses(row)[1]
    with pytest.raises(TooFarToMerge) as caught:
        record(joined(row, others=[On(far.uid, far.version)], outline=part(0, 120)))
    assert "18" in caught.value.user_message  # 40 pixels of 0.46 m
    for outline in (part(0, 50), part(0, 75)):
        with pytest.raises(MergeMismatch):
            record(joined(row, outline=outline))


def test_a_shift_has_its_limits(
    row: Assessment, record: Callable[..., Building], monkeypatch: pytest.MonkeyPatch
) -> None:
    empty = ring(WEST, NORTH - 400 * STEP, WEST + 100 * STEP, NORTH - 300 * STEP)
    first = ring(WEST, NORTH - 100 * STEP, WEST + 80 * STEP, NORTH)
    limits: list[tuple[DecisionRequest, type[RefusedError]]] = [
        (shifted(east=300.0), ShiftTooFar),
        (shifted(east=float("nan")), IncompleteDecision),
        (shifted(east=0.0, north=0.0), NothingToShift),
        (shifted(area=empty), NothingToShift),
        (shifted(east=25.0, area=first), OutlineOverlaps),
    ]
    for wanted, error in limits:
        with pytest.raises(error):
            record(wanted)
    monkeypatch.setattr(acts, "MOST_SHIFTED", 2)
    with pytest.raises(ShiftsTooMany):
        record(shifted())
    monkeypatch.setattr(outlines, "BESIDE_SCENE_DEGREES", 0.0)
    row.scene.footprint = row.buildings.order_by("pk")[0].outline
    row.scene.save()
    with pytest.raises(OutlineOutside):
        record(shifted(area=first))
    assert not Decision.objects.exists()


def test_neighbours_may_touch_and_an_overlap_that_was_there_may_stay(
    row: Assessment, record: Callable[..., Building]
) -> None:
    add_annexe(record)
    overlapping = make_building(row, 2)  # the model found this one twice
    moved = record(on(overlapping, "redraw", outline=house_outline(2, shift_px=1)))

    assert moved.review == "redrawn"
    with pytest.raises(OutlineOverlaps) as caught:
        record(DecisionRequest(id=uuid4(), kind="add", grade=Grade.DESTROYED, outline=part(5, 35)))
    assert "another building" in caught.value.user_message


def ana_draws(row: Assessment, record: Callable[..., Building], where: dict[str, Any]) -> Actor:
    ana = make_actor(row.organisation)
    drawn = DecisionRequest(id=uuid4(), kind="add", grade=Grade.DESTROYED)
    record(replace(drawn, outline=where), ana)
    return ana


@pytest.mark.parametrize("back", ["undo", "accept", "unsure", "redraw"])
def test_a_rejected_building_does_not_come_back_over_one_that_was_drawn_meanwhile(
    row: Assessment, record: Callable[..., Building], back: str
) -> None:
    gone = record(on(houses(row)[0], "reject"))
    ana = ana_draws(row, record, part(5, 35))
    before = [(b.uid, b.version) for b in standing(row)]
    said: dict[str, dict[str, Any]] = {
        "unsure": {"because": "cloud"},
        "redraw": {"outline": part(0, 40)},
    }
    facts = said.get(back, {})

    with pytest.raises((ReturnOverlaps, OutlineOverlaps)) as caught:
        record(on(gone, back, **facts))

    assert [(b.uid, b.version) for b in standing(row)] == before
    if back != "redraw":
        name = User.objects.get(pk=ana.must_be_a_person()).username
        assert "another building" in caught.value.user_message
        assert f"last changed by {name}" in caught.value.user_message
        assert "reject or redraw that one first" in caught.value.user_message
    record(on(next(b for b in row.buildings.all() if b.source == "analyst"), "reject"))
    record(on(gone, back, **facts))
    must_equal_their_replay(row)


@pytest.mark.parametrize("act", ["redraw", "shift", "split"])
def test_an_outline_does_not_return_to_where_somebody_has_drawn_since(
    row: Assessment, record: Callable[..., Building], act: str
) -> None:
    house = houses(row)[0]
    if act == "redraw":
        moved = record(on(house, "redraw", outline=part(0, 20)))
    elif act == "shift":
        record(shifted(east=16.0))  # its 40 pixels are some 18 metres wide
        moved = houses(row)[0]
    else:
        record(halves(house))
        piece = row.buildings.filter(source="analyst").order_by("pk")[1]
        record(on(piece, "reject"))
        record(on(piece, "undo", on_version=2))
        moved = row.buildings.get(pk=piece.pk)
        record(on(moved, "redraw", outline=part(20, 26)))
        moved.refresh_from_db()
    ana_draws(row, record, part(30, 50) if act == "redraw" else part(27, 33))
    before = [(b.uid, b.version, b.outline.wkb) for b in standing(row)]

    with pytest.raises(ReturnOverlaps):
        record(on(moved, "undo"))

    assert [(b.uid, b.version, b.outline.wkb) for b in standing(row)] == before
    must_equal_their_replay(row)


def test_what_the_model_found_twice_is_rejected_and_brought_back_as_often_as_one_likes(
    row: Assessment, record: Callable[..., Building]
) -> None:
    twin = make_building(row, 0)
    for back in ("undo", "accept", "undo"):
        twin = record(on(twin, "reject"))
        twin = record(on(twin, back))
    other = houses(row)[0]
    record(on(other, "regrade", grade=Grade.NO_DAMAGE))

    twin = record(on(twin, "reject"))
    record(on(record(on(other, "flag", on_version=1)), "unflag"))  # changed since, but not moved
    twin = record(on(twin, "undo"))

    assert (twin.review, twin.version) == ("accepted", 8)
    must_equal_their_replay(row)


def test_an_undo_is_refused_where_a_neighbour_was_moved_into_the_place(
    row: Assessment, record: Callable[..., Building]
) -> None:
    gone = record(on(houses(row)[0], "reject"))
    record(on(houses(row)[1], "redraw", outline=part(10, 60)))

    with pytest.raises(ReturnOverlaps):
        record(on(gone, "undo"))


def test_what_a_person_draws_or_moves_has_the_cell_of_where_it_lies(
    row: Assessment, record: Callable[..., Building]
) -> None:
    annexe = add_annexe(record)
    for act in (shifted(east=39.0), on(annexe, "undo", on_version=2)):
        record(act)
        now = standing(row)
        assert [b.cell for b in now] == outlines.cells([b.outline for b in now])


@pytest.mark.parametrize("kind", ["split", "merge", "shift", "unsure"])
def test_an_act_sent_twice_is_one_act_with_one_answer(
    row: Assessment, record: Callable[..., Building], kind: str
) -> None:
    add_annexe(record)
    house = houses(row)[0]
    wanted = {
        "split": halves(house),
        "merge": joined(row),
        "shift": shifted(),
        "unsure": on(house, "unsure", because="other"),
    }[kind]

    first, again = record(wanted), record(wanted)

    assert first == again
    assert services.also_touched(wanted.id, first) == services.also_touched(wanted.id, again)
    assert Decision.objects.filter(building=house).count() == 1
    must_equal_their_replay(row)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("kind", ["split", "merge", "shift"])
def test_an_act_sent_three_times_at_once_is_one_act(
    row: Assessment, record: Callable[..., Building], kind: str
) -> None:
    add_annexe(record)
    acts_of = {"split": halves(houses(row)[0]), "merge": joined(row), "shift": shifted()}
    sent = acts_of[kind]

    answers = {answer.uid for answer in at_once(lambda: record(sent), 3)}

    assert len(answers) == 1
    must_equal_their_replay(row)
    assert max(row.buildings.values_list("version", flat=True)) <= 2


@pytest.mark.django_db(transaction=True)
def test_people_who_act_on_the_same_buildings_at_once_never_wait_for_one_another(
    row: Assessment, record: Callable[..., Building]
) -> None:
    annexe = add_annexe(record)
    house = houses(row)[0]
    pair = {"outline": part(0, 60)}
    wanted = [
        joined(row),
        on(annexe, "merge", others=[On(house.uid, 0)], **pair),
        shifted(),
        on(house, "accept"),
        halves(house),
        on(annexe, "undo"),
    ]

    outcomes = at_once(lambda: told(record, wanted.pop()), len(wanted))

    assert "done" in outcomes
    assert set(outcomes) <= {
        "done", "changed_meanwhile", "building_replaced", "merge_mismatch", "split_mismatch",
    }  # fmt: skip
    must_equal_their_replay(row)


@pytest.mark.django_db(transaction=True)
def test_of_two_who_add_one_building_at_once_the_second_is_told(
    row: Assessment, record: Callable[..., Building]
) -> None:
    outcomes = at_once(lambda: told(record, replace(ADDITION, id=uuid4())), 2)

    assert sorted(outcomes) == ["done", "outline_overlaps"]
    assert row.buildings.count() == 4


ADDITION = DecisionRequest(id=UUID(int=0), kind="add", grade=Grade.DESTROYED, outline=part(40, 60))


def told(record: Callable[..., Building], wanted: DecisionRequest) -> str:
    try:
        record(wanted)
    except RefusedError as error:
        return error.code
    return "done"


STEPS = st.tuples(
    st.sampled_from(
        [*Decision.Kind.values, "undo"]  # undo twice, so that it is tried often
    ),
    st.integers(0, 20),
    st.sampled_from(list(Grade)),
)


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(STEPS, min_size=4, max_size=14))
def test_replaying_any_sequence_of_acts_gives_the_buildings_again(
    row: Assessment, record: Callable[..., Building], script: list[tuple[str, int, Grade]]
) -> None:
    Decision.objects.all().delete()
    row.buildings.all().delete()
    row.footprints.all().delete()
    for number in range(2):
        make_building(row, number)
    for kind, choice, grade in script:
        try:
            record(any_act(row, kind, choice, grade))
        except RefusedError:
            continue

    must_equal_their_replay(row)
    for decision in Decision.objects.exclude(batch=None):
        assert Decision.objects.filter(pk=decision.batch or uuid4()).count() == 1


def any_act(row: Assessment, kind: str, choice: int, grade: Grade) -> DecisionRequest:
    """One that may well be refused."""
    rows = list(row.buildings.order_by("pk"))
    building = rows[choice % len(rows)]
    west, south, east, north = building.outline.extent
    middle = (west + east) / 2
    needs: dict[str, dict[str, Any]] = {
        "regrade": {"grade": grade},
        "redraw": {"outline": ring(west, south, east, north - STEP)},
        "unsure": {"because": "hidden"},
        "split": {"outlines": [ring(west, south, middle, north), ring(middle, south, east, north)]},
    }
    facts = needs.get(kind, {})
    if kind == "shift":
        return shifted(east=choice / 10, north=0.5)
    if kind == "add":
        outline = part(40, 60, number=choice % 2)
        return DecisionRequest(id=uuid4(), kind="add", grade=grade, outline=outline)
    if kind == "merge":
        other = rows[(choice + 1) % len(rows)]
        box = building.outline.union(other.outline).extent
        facts = {"outline": ring(*box), "others": [On(other.uid, other.version)], "grade": grade}
    return on(building, kind, **facts)
