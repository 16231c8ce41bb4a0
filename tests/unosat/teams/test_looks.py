"""Second looks: blind, by somebody else, the same choice each time, and settled by a third."""

import json
from datetime import timedelta
from itertools import count
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from detection.grades import Grade
from tests.at_once import at_once
from tests.unosat.makers import (
    make_actor,
    make_building,
    make_done_assessment,
    make_organisation,
)
from unosat.accounts.actors import Actor
from unosat.assessments.models import Assessment
from unosat.exports import services as exports
from unosat.review import services as review_services
from unosat.review.errors import ChangedMeanwhile
from unosat.review.models import Building, Decision
from unosat.review.services import DecisionRequest
from unosat.teams import choosing, controls, looks, overview
from unosat.teams.errors import (
    CannotSay,
    ControlTaken,
    LookAnswered,
    LookNotNeeded,
    LookTaken,
    NotForYou,
    Settled,
)
from unosat.teams.looks import Verdict
from unosat.teams.models import SecondLook, SecondLookPlan

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.filterwarnings("ignore::rio_tiler.errors.NoOverviewWarning"),  # as small as it is
]

CAN_FLAG = any(field.name == "flagged" for field in Building._meta.get_fields())


@pytest.fixture
def row() -> Assessment:
    return make_done_assessment(make_organisation(), houses=4)


@pytest.fixture
def ann(row: Assessment) -> Actor:
    return make_actor(row.organisation)


@pytest.fixture
def bea(row: Assessment) -> Actor:
    return make_actor(row.organisation)


@pytest.fixture
def cem(row: Assessment) -> Actor:
    return make_actor(row.organisation)


@pytest.fixture
def admin(row: Assessment) -> Actor:
    return make_actor(row.organisation, "admin")


def decide(actor: Actor, building: Building, kind: str = "accept", **facts: Any) -> None:
    building.refresh_from_db()
    wanted = DecisionRequest(
        id=uuid4(), kind=kind, building=building.uid, on_version=building.version, **facts
    )
    review_services.record_decision(actor, building.assessment_id, wanted)


def decide_all(actor: Actor, row: Assessment) -> None:
    for building in row.buildings.order_by("pk"):
        decide(actor, building)


def share(row: Assessment, percent: int, control: int = 0, salt: str = "salt") -> SecondLookPlan:
    plan = choosing.plan_of(row.pk)
    plan.share_percent, plan.control_percent, plan.salt = percent, control, salt
    plan.save()
    return plan


def one_look(actor: Actor, row: Assessment) -> SecondLook:
    given, _ = looks.serve(actor, row.pk, 1)
    return given[0]


def disagree(row: Assessment, ann: Actor, bea: Actor) -> SecondLook:
    """Ann accepts one building as destroyed, Bea sees no damage."""
    share(row, 100)
    decide(ann, row.buildings.order_by("pk")[0])
    return looks.answer(bea, one_look(bea, row).pk, "no_damage")


def test_the_choice_is_the_same_each_time_and_another_with_another_salt(
    row: Assessment, ann: Actor
) -> None:
    for number in range(4, 60):
        make_building(row, number % 12)
    decide_all(ann, row)

    once, again = (choosing.chosen(share(row, 10)) for _ in range(2))
    other = choosing.chosen(share(row, 10, salt="pepper"))

    assert once == again
    assert len(once) == len(other) == 6
    assert once != other


def test_every_grade_has_its_share_and_rare_ones_too(row: Assessment, ann: Actor) -> None:
    for number in range(4, 44):
        make_building(row, number % 12)
    buildings = list(row.buildings.order_by("pk"))
    for building in buildings[:41]:
        decide(ann, building)
    decide(ann, buildings[41], "regrade", grade=Grade.MINOR_DAMAGE)
    decide(ann, buildings[42], "reject")

    found = {one.building_id for one in choosing.chosen(share(row, 10))}

    answers = [choosing.stands_as(one) for one in row.buildings.filter(pk__in=found)]
    assert sorted(answers) == ["destroyed"] * 5 + ["minor_damage", "no_building"]


def test_what_nobody_decided_on_is_not_looked_at_twice(row: Assessment, bea: Actor) -> None:
    share(row, 100)
    assert looks.serve(bea, row.pk, 5) == ([], 0)


@pytest.mark.skipif(not CAN_FLAG, reason="buildings cannot be flagged yet")
def test_everything_flagged_is_looked_at_twice_and_kept_out_of_kappa(
    row: Assessment, ann: Actor, bea: Actor
) -> None:
    share(row, 0)
    building = row.buildings.order_by("pk")[0]
    decide(ann, building)
    decide(ann, building, "flag")

    look = looks.answer(bea, one_look(bea, row).pk, "no_damage")

    assert (look.because, look.first, look.first_user_id) == ("flagged", "destroyed", ann.user_id)
    assert overview.agreement_of(row.pk).overall.pairs == 0
    assert [one.pk for one in looks.disagreements(row.pk)] == [look.pk]


def test_nobody_is_given_what_they_ever_decided_on(
    row: Assessment, ann: Actor, bea: Actor, cem: Actor
) -> None:
    share(row, 100)
    first, second = row.buildings.order_by("pk")[:2]
    decide(ann, first)
    decide(bea, second)
    decide(ann, second, "undo")
    decide(cem, second)

    assert looks.serve(ann, row.pk, 5) == ([], 0)  # she touched both
    assert [one.building_id for one in looks.serve(bea, row.pk, 5)[0]] == [first.pk]


def test_a_second_look_changes_no_building(row: Assessment, ann: Actor, bea: Actor) -> None:
    look = disagree(row, ann, bea)

    building = look.building
    building.refresh_from_db()
    assert (building.version, building.review, building.grade) == (1, "accepted", "destroyed")
    assert (look.first, look.answer, look.on_version) == ("destroyed", "no_damage", 1)
    assert (look.first_user_id, look.user_id) == (ann.user_id, bea.user_id)


def test_an_answer_sent_again_is_one_and_another_one_is_refused(
    row: Assessment, ann: Actor, bea: Actor, cem: Actor
) -> None:
    look = disagree(row, ann, bea)

    assert looks.answer(bea, look.pk, "no_damage").answered_at == look.answered_at
    with pytest.raises(LookAnswered):
        looks.answer(bea, look.pk, "destroyed")
    with pytest.raises(LookTaken):
        looks.answer(cem, look.pk, "destroyed")


def test_what_is_no_answer_is_refused_and_the_look_stays_open(
    row: Assessment, ann: Actor, bea: Actor
) -> None:
    share(row, 100)
    decide(ann, row.buildings.order_by("pk")[0])
    look = one_look(bea, row)

    for said in ("", "rubble", "unclassified"):
        with pytest.raises(CannotSay):
            looks.answer(bea, look.pk, said)

    assert looks.answer(bea, look.pk, "unsure").answer == "unsure"


def test_what_lies_unanswered_goes_to_somebody_else_and_a_late_answer_is_refused(
    row: Assessment, ann: Actor, bea: Actor, cem: Actor
) -> None:
    share(row, 100)
    decide(ann, row.buildings.order_by("pk")[0])
    look = one_look(bea, row)
    assert one_look(bea, row).pk == look.pk  # after a reload
    assert looks.serve(cem, row.pk, 1) == ([], 1)

    then = timezone.now() - timedelta(minutes=11)
    SecondLook.objects.filter(pk=look.pk).update(lease_until=then)
    assert one_look(cem, row).building_id == look.building_id
    with pytest.raises(LookTaken):
        looks.answer(bea, look.pk, "destroyed")
    assert looks.answer(cem, look.pk, "destroyed").first == "destroyed"


def test_a_look_falls_away_when_the_decision_is_taken_back_or_becomes_ones_own(
    row: Assessment, ann: Actor, bea: Actor
) -> None:
    share(row, 100)
    first, second = row.buildings.order_by("pk")[:2]
    decide(ann, first)
    decide(ann, second)
    given = {one.building_id: one for one in looks.serve(bea, row.pk, 2)[0]}
    decide(ann, first, "undo")
    decide(bea, second)

    for building in (first, second):
        with pytest.raises(LookNotNeeded):
            looks.answer(bea, given[building.pk].pk, "destroyed")
    assert not SecondLook.objects.exists()
    assert looks.serve(bea, row.pk, 2) == ([], 0)


@pytest.mark.django_db(transaction=True)
def test_people_who_ask_at_once_are_given_different_buildings() -> None:
    row = make_done_assessment(make_organisation(), houses=6)
    share(row, 100)
    decide_all(make_actor(row.organisation), row)
    people = [make_actor(row.organisation) for _ in range(3)]

    given = at_once(lambda: looks.serve(people.pop(), row.pk, 2)[0], 3)

    assert sorted(len(one) for one in given) == [2, 2, 2]
    assert len({look.building_id for one in given for look in one}) == 6


def test_a_third_person_settles_it_by_an_ordinary_decision(
    row: Assessment, ann: Actor, bea: Actor, cem: Actor
) -> None:
    look = disagree(row, ann, bea)
    verdict = Verdict(uuid4(), "minor_damage", 1)

    assert looks.to_settle(ann, row.pk) == looks.to_settle(bea, row.pk) == []
    for one_of_the_two in (ann, bea):
        with pytest.raises(NotForYou):
            looks.settle(one_of_the_two, look.pk, verdict)
    assert [one.pk for one in looks.to_settle(cem, row.pk)] == [look.pk]
    looks.settle(cem, look.pk, verdict)
    looks.settle(cem, look.pk, verdict)  # sent again

    decision = Decision.objects.get(pk=verdict.id)
    assert (decision.kind, decision.grade, decision.number) == ("regrade", "minor_damage", 2)
    assert decision.user_id == cem.user_id
    assert decision.reason == "Adjudicated: first destroyed, second no damage."
    assert looks.to_settle(cem, row.pk) == []
    with pytest.raises(Settled):
        looks.settle(cem, look.pk, Verdict(uuid4(), "destroyed", 2))


def test_an_admin_who_is_one_of_the_two_settles_only_where_nobody_else_is_there() -> None:
    row = make_done_assessment(make_organisation(), houses=1)
    ann, admin = make_actor(row.organisation), make_actor(row.organisation, "admin")
    look = disagree(row, ann, admin)

    assert looks.to_settle(ann, row.pk) == []
    assert [one.pk for one in looks.to_settle(admin, row.pk)] == [look.pk]
    make_actor(row.organisation, "partner")  # does not review
    assert looks.to_settle(admin, row.pk) != []
    third = make_actor(row.organisation)
    assert looks.to_settle(admin, row.pk) == []
    looks.settle(third, look.pk, Verdict(uuid4(), "no_building", 1))
    assert Building.objects.get().review == "rejected"


def test_a_building_that_changed_is_not_settled_unseen(
    row: Assessment, ann: Actor, bea: Actor, cem: Actor
) -> None:
    look = disagree(row, ann, bea)
    decide(ann, look.building, "regrade", grade=Grade.MAJOR_DAMAGE)

    with pytest.raises(ChangedMeanwhile):
        looks.settle(cem, look.pk, Verdict(uuid4(), "no_damage", 1))
    assert not hasattr(SecondLook.objects.get(pk=look.pk), "adjudication")
    looks.settle(cem, look.pk, Verdict(uuid4(), "destroyed", 2))


def test_an_adjudication_ends_with_something_that_can_be_decided(
    row: Assessment, ann: Actor, bea: Actor, cem: Actor
) -> None:
    look = disagree(row, ann, bea)
    if looks.CAN_BE_UNSURE:
        looks.settle(cem, look.pk, Verdict(uuid4(), "unsure", 1))
    else:
        with pytest.raises(CannotSay):
            looks.settle(cem, look.pk, Verdict(uuid4(), "unsure", 1))


def test_the_file_of_an_assessment_tells_how_far_people_agree(
    row: Assessment, ann: Actor, bea: Actor
) -> None:
    def metadata() -> dict[str, Any]:
        with exports.write_geojson(ann, row.pk, exports.Choice()) as file:
            told: dict[str, Any] = json.load(file)["metadata"]
        return told

    assert "agreement" not in metadata()
    disagree(row, ann, bea)
    told = metadata()["agreement"]
    assert told["overall"]["pairs"] == 1
    assert told["overall"]["agree"] == 0
    assert told["disagreements_not_settled"] == 1
    assert set(told["per_answer"]) == {
        "no_damage", "minor_damage", "major_damage", "destroyed", "no_building",
    }  # fmt: skip


def test_controls_come_unmarked_and_count_apart(
    row: Assessment, ann: Actor, bea: Actor, admin: Actor
) -> None:
    person = bea.must_be_a_person()
    salt = next(s for s in map(str, count()) if looks._dice(s, person, 0) % 100 < 50)
    share(row, 100, control=50, salt=salt)
    decide_all(ann, row)
    known = [make_building(row, 5 + number) for number in range(5)]
    for building in known:
        controls.mark(admin, row.pk, building.uid, "no_damage")
    with pytest.raises(ControlTaken):
        controls.mark(admin, row.pk, known[0].uid, "destroyed")

    seen = _answer_all(bea, row, "no_damage")

    mixed = [one.building_id for one in seen if one.control_id is not None]
    assert set(mixed) <= {one.pk for one in known}
    assert mixed  # the first at least, with this salt
    assert len(seen) == 4 + len(mixed)
    assert overview.agreement_of(row.pk).overall.pairs == 4
    assert looks.disagreements(row.pk).count() == 4  # none of a control
    (hers,) = controls.accuracies(admin, row.pk)
    assert (hers.share.right, hers.share.among) == (len(mixed), len(mixed))
    told = controls.accuracies(bea, row.pk)
    assert len(told) == (1 if len(mixed) >= controls.TOLD_FROM else 0)
    assert controls.accuracies(ann, row.pk) == []
    assert looks.serve(admin, row.pk, 5)[0] == []  # who set them is given none


def test_what_was_settled_can_become_controls(
    row: Assessment, ann: Actor, bea: Actor, cem: Actor, admin: Actor
) -> None:
    look = disagree(row, ann, bea)
    looks.settle(cem, look.pk, Verdict(uuid4(), "minor_damage", 1))

    assert controls.from_adjudications(admin, row.pk) == 1
    assert controls.from_adjudications(admin, row.pk) == 0
    (control,) = controls.controls(admin, row.pk)
    assert (control.answer, control.source) == ("minor_damage", "adjudicated")
    controls.remove(admin, control.pk)
    assert SecondLook.objects.filter(pk=look.pk).exists()


def test_no_answer_of_the_api_tells_a_second_looker_what_anybody_said(
    row: Assessment, ann: Actor, bea: Actor, admin: Actor, client: Client
) -> None:
    share(row, 100, control=30)
    decide_all(ann, row)
    controls.mark(admin, row.pk, make_building(row, 6).uid, "no_damage")
    buildings = list(row.buildings.all())
    secrets = {str(one.uid) for one in buildings} | {
        User.objects.get(pk=actor.user_id or 0).get_username() for actor in (ann, admin)
    }
    secrets |= {"destroyed", "accepted", "control", "flagged", "share", "score", "version"}
    client.force_login(User.objects.get(pk=bea.user_id or 0))
    address = f"/api/v1/assessments/{row.pk}/second-looks"

    told = client.post(address, {"count": 5}, "application/json")
    page = client.get(f"/assessments/{row.pk}/second-looks/")
    (first, *_) = told.json()["looks"]
    picture = client.get(f"/api/v1/second-looks/{first['id']}/after.webp")
    answered = client.post(
        f"/api/v1/second-looks/{first['id']}/answer", {"answer": "minor_damage"}, "application/json"
    )

    assert set(first) == {"id", "outline", "side_m", "before"}
    assert len({frozenset(one) for one in told.json()["looks"]}) == 1  # controls look the same
    for response in (told, answered):
        assert [secret for secret in secrets if secret in response.content.decode()] == []
    assert page.status_code == 200
    assert picture.status_code == 200
    assert picture["Content-Type"] == "image/webp"
    assert (answered.status_code, answered.content) == (204, b"")


def test_pictures_are_for_those_who_judge_them(
    row: Assessment, ann: Actor, bea: Actor, cem: Actor, client: Client
) -> None:
    look = disagree(row, ann, bea)

    def status(actor: Actor, when: str = "after") -> int:
        client.force_login(User.objects.get(pk=actor.user_id or 0))
        return client.get(f"/api/v1/second-looks/{look.pk}/{when}.webp").status_code

    assert (status(bea), status(cem), status(ann)) == (200, 200, 404)
    assert status(bea, "before") == 404  # there is none
    assert status(bea, "later") == 404


def test_what_comes_again_is_one_and_nobody_sends_what_another_said(
    row: Assessment, ann: Actor, bea: Actor, cem: Actor, client: Client
) -> None:
    share(row, 100)
    decide(ann, row.buildings.order_by("pk")[0])
    look = one_look(bea, row)
    given = f"/api/v1/second-looks/{look.pk}/answer"
    settled = f"/api/v1/second-looks/{look.pk}/adjudication"
    verdict: dict[str, Any] = {"id": str(uuid4()), "answer": "minor_damage"}

    def send(sender: Actor, by: Actor, address: str, body: dict[str, Any]) -> int:
        client.force_login(User.objects.get(pk=sender.user_id or 0))
        headers = {"X-Made-By": str(by.user_id)}
        answer = client.post(address, body, content_type="application/json", headers=headers)
        if sender != by:
            assert answer.json()["code"] == "signed_in_as_another"
        return answer.status_code

    no_damage = {"answer": "no_damage"}
    assert send(cem, bea, given, no_damage) == 409
    assert send(cem, bea, f"/api/v1/assessments/{row.pk}/second-looks", {}) == 409
    assert [send(bea, bea, given, no_damage) for _ in range(2)] == [204, 204]
    building = row.buildings.order_by("pk")[0]
    verdict["on_version"] = building.version
    assert send(ann, cem, settled, verdict) == 409
    before = Decision.objects.count()
    assert [send(cem, cem, settled, verdict) for _ in range(2)] == [204, 204]

    assert Decision.objects.count() == before + 1
    assert SecondLook.objects.exclude(answer="").get().user_id == bea.user_id
    assert Decision.objects.get(pk=verdict["id"]).user_id == cem.user_id


def test_an_adjudicator_is_told_both_answers_and_no_names(
    row: Assessment, ann: Actor, bea: Actor, cem: Actor, client: Client
) -> None:
    look = disagree(row, ann, bea)
    client.force_login(User.objects.get(pk=cem.user_id or 0))

    (told,) = client.get(f"/api/v1/assessments/{row.pk}/disagreements").json()

    assert (told["first"], told["second"], told["version"]) == ("destroyed", "no_damage", 1)
    assert told["id"] == str(look.pk)
    assert "user" not in json.dumps(told)


def _answer_all(actor: Actor, row: Assessment, said: str) -> list[SecondLook]:
    seen = []
    while given := looks.serve(actor, row.pk, 1)[0]:
        seen.append(looks.answer(actor, given[0].pk, said))
    return seen
