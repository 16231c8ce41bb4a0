"""Decisions: once each, on the version that was seen, and replayed to the same buildings."""

import threading
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from django.db import connections
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from detection.grades import Grade
from tests.unosat.makers import (
    NORTH,
    STEP,
    WEST,
    house_outline,
    make_actor,
    make_done_assessment,
    make_organisation,
    ring,
)
from unosat.accounts.actors import Actor
from unosat.assessments.models import Assessment
from unosat.errors import Forbidden, NotFound, RefusedError
from unosat.review import replay, selectors, services
from unosat.review.errors import (
    ChangedMeanwhile,
    DecisionIdUsed,
    IncompleteDecision,
    NotDone,
    NothingToUndo,
    UsedForTraining,
)
from unosat.review.models import Building, Decision, ReviewedArea
from unosat.review.replay import Step
from unosat.review.services import DecisionRequest

AREA = ring(WEST, NORTH - 500 * STEP, WEST + 500 * STEP, NORTH)


@pytest.fixture
def row(db: None) -> Assessment:  # noqa: ARG001 (a database is needed)
    return make_done_assessment(make_organisation())


@pytest.fixture
def actor(row: Assessment) -> Actor:
    return make_actor(row.organisation)


def a_building(row: Assessment) -> Building:
    building = row.buildings.order_by("pk").first()
    assert building is not None
    return building


def decision(row: Assessment, kind: str, **facts: Any) -> DecisionRequest:
    building = a_building(row)
    return replace(
        DecisionRequest(id=uuid4(), kind=kind, building=building.uid, on_version=building.version),
        **facts,
    )


def addition(**facts: Any) -> DecisionRequest:
    wanted = DecisionRequest(
        id=uuid4(), kind="add", grade=Grade.MAJOR_DAMAGE, outline=house_outline(8)
    )
    return replace(wanted, **facts)


def test_accepting_makes_version_one_with_who_and_when(row: Assessment, actor: Actor) -> None:
    building = services.record_decision(actor, row.pk, decision(row, "accept"))

    assert (building.version, building.review, building.grade) == (1, "accepted", "destroyed")
    (made,) = Decision.objects.all()
    assert (made.user_id, made.number, made.on_version) == (actor.user_id, 1, 0)


def test_a_grade_said_by_a_person_has_no_score_of_a_model(row: Assessment, actor: Actor) -> None:
    wanted = decision(row, "regrade", grade=Grade.MINOR_DAMAGE, reason="blue roof")

    building = services.record_decision(actor, row.pk, wanted)

    assert (building.grade, building.grade_score) == ("minor_damage", None)
    assert building.score == 0.9


def test_redrawing_changes_the_outline_and_its_area(row: Assessment, actor: Actor) -> None:
    wanted = decision(row, "redraw", outline=house_outline(shift_px=10))

    building = services.record_decision(actor, row.pk, wanted)

    told = selectors.detail(selectors.building(actor, row.pk, building.uid))
    assert (told["review"], told["grade_score"]) == ("redrawn", 0.7)
    assert told["outline"]["coordinates"][0][0][0] != a_building(row).footprint.outline[0][0][0]  # type: ignore[union-attr]
    assert 300 < told["area_m2"] < 500


def test_a_missed_building_can_be_added_and_taken_back(row: Assessment, actor: Actor) -> None:
    building = services.record_decision(actor, row.pk, addition())
    assert (building.review, building.source, building.version) == ("added", "analyst", 1)

    undo = DecisionRequest(id=uuid4(), kind="undo", building=building.uid, on_version=1)
    building = services.record_decision(actor, row.pk, undo)

    assert (building.review, building.version) == ("rejected", 2)
    with pytest.raises(NothingToUndo):
        services.record_decision(actor, row.pk, replace(undo, id=uuid4(), on_version=2))


def test_undo_takes_back_one_decision_after_another(row: Assessment, actor: Actor) -> None:
    before = a_building(row)
    for wanted in ("accept", "reject"):
        services.record_decision(actor, row.pk, decision(row, wanted))

    states = []
    for _ in range(2):
        building = services.record_decision(actor, row.pk, decision(row, "undo"))
        states.append(building.review)

    assert states == ["accepted", "unreviewed"]
    assert (building.version, building.grade_score) == (4, before.grade_score)
    with pytest.raises(NothingToUndo):
        services.record_decision(actor, row.pk, decision(row, "undo"))


@pytest.mark.parametrize("wanted", ["accept", "add"])
def test_a_decision_sent_twice_is_one_decision(row: Assessment, actor: Actor, wanted: str) -> None:
    request = addition() if wanted == "add" else decision(row, wanted)

    first = services.record_decision(actor, row.pk, request)
    again = services.record_decision(actor, row.pk, request)

    assert first == again
    assert Decision.objects.count() == 1


def test_an_id_cannot_stand_for_two_decisions(row: Assessment, actor: Actor) -> None:
    wanted = decision(row, "accept")
    services.record_decision(actor, row.pk, wanted)

    with pytest.raises(DecisionIdUsed):
        services.record_decision(actor, row.pk, replace(wanted, kind="reject", on_version=1))


def test_a_decision_on_an_outdated_version_is_refused_and_shows_the_newest(
    row: Assessment, actor: Actor
) -> None:
    stale = decision(row, "reject")
    services.record_decision(actor, row.pk, decision(row, "accept"))

    with pytest.raises(ChangedMeanwhile) as caught:
        services.record_decision(make_actor(row.organisation), row.pk, stale)

    assert caught.value.building.review == "accepted"


@pytest.mark.parametrize(
    ("kind", "facts"),
    [
        ("regrade", {}),
        ("redraw", {}),
        ("accept", {"grade": Grade.DESTROYED}),
        ("accept", {"outline": house_outline()}),
        ("add", {"grade": Grade.DESTROYED, "outline": house_outline()}),
        ("explode", {}),
    ],
)
def test_incomplete_decisions_are_refused(
    row: Assessment, actor: Actor, kind: str, facts: dict[str, Any]
) -> None:
    with pytest.raises(IncompleteDecision):
        services.record_decision(actor, row.pk, decision(row, kind, **facts))


def test_partners_and_programs_do_not_decide(row: Assessment) -> None:
    partner = make_actor(row.organisation, "partner")
    program = replace(make_actor(row.organisation), user_id=None)

    for nobody in (partner, program):
        with pytest.raises(Forbidden):
            services.record_decision(nobody, row.pk, decision(row, "accept"))
        with pytest.raises(Forbidden):
            services.mark_reviewed(nobody, row.pk, AREA)


def test_another_organisations_buildings_do_not_exist(row: Assessment) -> None:
    stranger = make_actor(make_organisation())

    with pytest.raises(NotFound):
        services.record_decision(stranger, row.pk, decision(row, "accept"))
    with pytest.raises(NotFound):
        services.mark_reviewed(stranger, row.pk, AREA)
    with pytest.raises(NotFound):
        selectors.count_buildings(stranger, row.pk)


def test_there_is_nothing_to_decide_before_the_end(row: Assessment, actor: Actor) -> None:
    Assessment.objects.update(state="running")

    with pytest.raises(NotDone):
        services.record_decision(actor, row.pk, decision(row, "accept"))


def test_a_reviewed_area_can_be_taken_back_until_it_taught(row: Assessment, actor: Actor) -> None:
    first, second = (services.mark_reviewed(actor, row.pk, AREA) for _ in range(2))
    ReviewedArea.objects.filter(pk=second.pk).update(kept_aside=False)

    services.remove_reviewed_area(actor, first.pk)

    assert [area.pk for area in selectors.reviewed_areas(actor, row.pk)] == [second.pk]
    with pytest.raises(UsedForTraining):
        services.remove_reviewed_area(actor, second.pk)
    with pytest.raises(NotFound):
        services.remove_reviewed_area(make_actor(make_organisation()), second.pk)


def test_an_area_that_is_sent_again_is_there_once(row: Assessment, actor: Actor) -> None:
    sent = uuid4()
    smaller = ring(WEST, NORTH - 100 * STEP, WEST + 100 * STEP, NORTH)

    first, again = (services.mark_reviewed(actor, row.pk, AREA, area_id=sent) for _ in range(2))

    assert first.pk == again.pk == sent
    assert [area.pk for area in selectors.reviewed_areas(actor, row.pk)] == [sent]
    with pytest.raises(DecisionIdUsed):
        services.mark_reviewed(actor, row.pk, smaller, area_id=sent)
    with pytest.raises(DecisionIdUsed):
        services.mark_reviewed(actor, row.pk, AREA, not_assessable="cloud", area_id=sent)
    with pytest.raises(DecisionIdUsed):
        services.mark_reviewed(make_actor(row.organisation), row.pk, AREA, area_id=sent)


KINDS = st.sampled_from(["accept", "reject", "regrade", "redraw", "undo"])


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.tuples(KINDS, st.sampled_from(list(Grade)), st.integers(0, 9)), max_size=8))
def test_replaying_all_decisions_gives_the_buildings_again(
    row: Assessment, actor: Actor, script: list[tuple[str, Grade, int]]
) -> None:
    Decision.objects.all().delete()
    Building.objects.all().delete()
    row.footprints.all().delete()
    from tests.unosat.makers import make_building

    make_building(row)
    for kind, grade, shift in script:
        facts: dict[str, Any] = {"grade": grade} if kind == "regrade" else {}
        if kind == "redraw":
            facts["outline"] = house_outline(shift_px=shift)
        try:
            services.record_decision(actor, row.pk, decision(row, kind, **facts))
        except NothingToUndo:
            continue

    building = Building.objects.select_related("footprint").get()
    state = services.history_of(building)[-1]
    assert state == replay.State(
        bytes(building.outline.wkb), building.grade, building.grade_score, building.review
    )
    assert building.version == building.decisions.count()


def test_an_added_building_stays_added_whatever_is_changed() -> None:
    history = replay.replay((), [Step("add", "destroyed", b"a"), Step("redraw", "destroyed", b"b")])
    history = replay.apply(history, Step("regrade", "no_damage"))

    assert history[-1] == replay.State(b"b", "no_damage", None, "added")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("same_id", [True, False])
def test_of_two_people_on_one_building_at_once_one_is_told(
    row: Assessment,
    actor: Actor,
    same_id: bool,  # noqa: FBT001
) -> None:
    gate = threading.Barrier(2)
    first, second = decision(row, "accept"), decision(row, "reject")
    requests = [first, first if same_id else second]
    outcomes: list[str] = []

    def decide(wanted: DecisionRequest) -> None:
        gate.wait()
        try:
            outcomes.append(services.record_decision(actor, row.pk, wanted).review)
        except RefusedError as error:
            outcomes.append(error.code)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=decide, args=(wanted,)) for wanted in requests]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert Decision.objects.count() == 1
    assert a_building(row).version == 1
    if same_id:
        assert outcomes == ["accepted", "accepted"]
    else:
        assert "changed_meanwhile" in outcomes


@pytest.mark.django_db(transaction=True)
def test_an_addition_that_arrives_twice_at_once_is_one_building(
    row: Assessment, actor: Actor
) -> None:
    gate = threading.Barrier(3)
    wanted = addition()
    found: list[object] = []

    def add() -> None:
        gate.wait()
        found.append(services.record_decision(actor, row.pk, wanted).uid)
        connections.close_all()

    threads = [threading.Thread(target=add) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(found) == 3
    assert len(set(found)) == 1
    assert row.buildings.count() == 4
