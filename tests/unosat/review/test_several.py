"""Several decisions in one request: each has an outcome of its own, and none hides another's."""

from typing import Any
from uuid import UUID, uuid4

import pytest
from django.test import Client

from detection.grades import Grade
from tests.at_once import at_once
from tests.unosat.makers import (
    house_outline,
    make_actor,
    make_done_assessment,
    make_organisation,
    make_user,
)
from unosat.accounts.actors import Actor
from unosat.assessments.models import Assessment
from unosat.review import replay, services, several
from unosat.review.models import Building, Decision
from unosat.review.services import DecisionRequest, On
from unosat.review.several import Became

JSON = "application/json"
APPLIED, CONFLICT, REFUSED = Became.APPLIED, Became.CONFLICT, Became.REFUSED
FAILED, NOT_TRIED = Became.FAILED, Became.NOT_TRIED


@pytest.fixture
def row(db: None) -> Assessment:  # noqa: ARG001 (a database is needed)
    return make_done_assessment(make_organisation(), houses=5)


@pytest.fixture
def actor(row: Assessment) -> Actor:
    return make_actor(row.organisation)


def uids(row: Assessment) -> list[UUID]:
    return list(row.buildings.order_by("pk").values_list("uid", flat=True))


def on(uid: UUID, kind: str = "accept", version: int = 0, **facts: Any) -> DecisionRequest:
    return DecisionRequest(id=uuid4(), kind=kind, building=uid, on_version=version, **facts)


def became(actor: Actor, row: Assessment, sent: list[DecisionRequest]) -> list[Became]:
    outcomes = list(several.record_several(actor, row.pk, sent))
    assert [one.id for one in outcomes] == [one.id for one in sent]
    return [one.became for one in outcomes]


def stand(row: Assessment) -> list[tuple[str, int]]:
    return list(row.buildings.order_by("pk").values_list("review", "version"))


def mixed(row: Assessment) -> list[DecisionRequest]:
    """Two of a building in turn, one that somebody was quicker with, one that says too little."""
    first, second, third, fourth, fifth = uids(row)
    services.record_decision(make_actor(row.organisation), row.pk, on(third, "reject"))
    return [
        on(first, "regrade", grade=Grade.DESTROYED),
        on(second),
        on(third),
        on(fourth, "regrade"),
        on(first, "accept", 1),
        on(fifth, "reject"),
    ]


def test_a_conflict_and_a_refusal_in_the_middle_leave_the_others_as_they_are(
    row: Assessment, actor: Actor
) -> None:
    sent = mixed(row)

    answers = became(actor, row, sent)

    assert answers == [APPLIED, APPLIED, CONFLICT, REFUSED, APPLIED, APPLIED]
    assert stand(row) == [
        ("accepted", 2), ("accepted", 1), ("rejected", 1), ("unreviewed", 0), ("rejected", 1),
    ]  # fmt: skip
    kinds = Decision.objects.filter(building__uid=uids(row)[0]).order_by("number")
    assert [one.kind for one in kinds] == ["regrade", "accept"]


def test_all_of_it_sent_again_gets_the_same_outcomes_and_changes_nothing(
    row: Assessment, actor: Actor
) -> None:
    sent = mixed(row)
    answers = became(actor, row, sent)
    before = stand(row), set(Decision.objects.values_list("pk", flat=True))

    assert became(actor, row, sent) == answers

    assert (stand(row), set(Decision.objects.values_list("pk", flat=True))) == before


def test_what_stood_on_a_conflict_is_not_tried_even_where_its_version_fits_by_chance(
    row: Assessment, actor: Actor
) -> None:
    theirs, other, *_ = uids(row)
    services.record_decision(make_actor(row.organisation), row.pk, on(theirs, "reject"))

    answers = became(actor, row, [on(theirs), on(theirs, "flag", 1), on(other)])

    assert answers == [CONFLICT, NOT_TRIED, APPLIED]
    assert Building.objects.get(uid=theirs).version == 1


def test_after_a_refused_merge_nothing_of_its_parts_is_tried(row: Assessment, actor: Actor) -> None:
    first, second, third, *_ = uids(row)
    far = on(first, "merge", outline=house_outline(0), others=[On(second, 0)])

    answers = became(actor, row, [far, on(second), on(third, "reject")])

    assert answers == [REFUSED, NOT_TRIED, APPLIED]


def test_after_a_fault_of_ours_nothing_more_is_tried_and_what_was_done_stays(
    row: Assessment, actor: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, third, *_ = uids(row)
    sent = [on(first), on(second), on(third)]
    real = services.record_decision

    def breaks(actor: Actor, pk: UUID, wanted: DecisionRequest) -> Building:
        if wanted is sent[1]:
            raise RuntimeError("a bug")
        return real(actor, pk, wanted)

    monkeypatch.setattr(services, "record_decision", breaks)
    assert became(actor, row, sent) == [APPLIED, FAILED, NOT_TRIED]
    monkeypatch.undo()

    assert became(actor, row, sent) == [APPLIED, APPLIED, APPLIED]
    assert Decision.objects.count() == 3


@pytest.mark.django_db(transaction=True)
def test_twenty_analysts_at_once_overwrite_nobody(row: Assessment) -> None:
    """All decide on all buildings, as they were at first: of each building one is told so."""
    buildings = uids(row)

    def decide() -> list[Became]:
        actor = make_actor(row.organisation)
        return became(actor, row, [on(uid, "flag") for uid in buildings])

    answers = at_once(decide, 20)

    for at, uid in enumerate(buildings):
        told = [one[at] for one in answers]
        assert sorted(told) == [APPLIED, *[CONFLICT] * 19]
        building = Building.objects.get(uid=uid)
        assert (building.version, building.decisions.count()) == (1, 1)
        assert services.history_of(building)[-1] == replay.now(building)[-1]


@pytest.mark.django_db(transaction=True)
def test_the_same_request_twice_at_once_is_one(row: Assessment, actor: Actor) -> None:
    sent = [on(uid, "reject") for uid in uids(row)]

    answers = at_once(lambda: became(actor, row, sent), 2)

    assert answers == [[APPLIED] * 5] * 2
    assert stand(row) == [("rejected", 1)] * 5
    assert Decision.objects.count() == 5


@pytest.fixture
def client(row: Assessment) -> Client:
    client = Client()
    client.force_login(make_user(row.organisation))
    return client


def post(client: Client, row: Assessment, sent: object, **headers: str) -> Any:
    address = f"/api/v1/assessments/{row.pk}/decisions/several"
    return client.post(address, {"decisions": sent}, content_type=JSON, headers=headers)


def body(one: DecisionRequest) -> dict[str, Any]:
    return {
        "id": str(one.id),
        "kind": one.kind,
        "building": str(one.building),
        "on_version": one.on_version,
        "grade": one.grade,
    }


def test_the_answer_has_the_building_or_theirs_or_the_reason_of_each(
    row: Assessment, client: Client
) -> None:
    sent = [body(one) for one in mixed(row)]

    outcomes = post(client, row, sent).json()["outcomes"]

    assert [one["id"] for one in outcomes] == [one["id"] for one in sent]
    regraded, _, conflict, refused, *_ = outcomes
    assert (regraded["decided"]["version"], regraded["decided"]["grade"]) == (1, "destroyed")
    assert regraded["decided"]["also"] == []
    assert (conflict["code"], conflict["building"]["review"]) == ("changed_meanwhile", "rejected")
    assert conflict["building"]["history"][0]["kind"] == "reject"
    assert (refused["code"], refused["decided"], refused["building"]) == (
        "incomplete_decision", None, None,
    )  # fmt: skip
    assert "grade" in refused["message"]


def test_what_is_no_list_of_decisions_or_too_long_is_refused_whole_and_nothing_done(
    row: Assessment, client: Client
) -> None:
    good = [body(on(uid)) for uid in uids(row)]
    bad = good[0] | {"id": str(uuid4()), "kind": "explode"}

    for sent in ([], [*good, bad], [*good] * 11):
        answer = post(client, row, sent)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_fields")
    assert not Decision.objects.exists()


def test_nothing_is_done_in_the_name_of_another_nor_by_those_who_do_not_decide(
    row: Assessment, client: Client
) -> None:
    sent = [body(on(uid)) for uid in uids(row)]
    partner = Client()
    partner.force_login(make_user(row.organisation, "partner"))

    answer = post(client, row, sent, **{"X-Made-By": "0"})
    assert (answer.status_code, answer.json()["code"]) == (409, "signed_in_as_another")
    assert post(partner, row, sent).status_code == 403
    assert not Decision.objects.exists()
