"""Review areas: one person each, nobody counted twice, and no work lost by a change of hands."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from tests.at_once import at_once
from tests.unosat.makers import (
    NORTH,
    SIDE,
    STEP,
    WEST,
    make_actor,
    make_building,
    make_done_assessment,
    make_organisation,
    ring,
)
from unosat.accounts.actors import Actor
from unosat.assessments.models import Assessment
from unosat.errors import Forbidden
from unosat.review import services as review_services
from unosat.review.errors import OutlineOutside
from unosat.review.models import Building
from unosat.review.services import DecisionRequest
from unosat.teams import selectors, services
from unosat.teams.errors import (
    AreaFinished,
    AreaKept,
    AreasInTheWay,
    AreasInUse,
    AreasOverlap,
    AreaTaken,
    CannotSplit,
    HoldsAnother,
    NotAMember,
)
from unosat.teams.models import TeamArea
from unosat.teams.services import Split

pytestmark = pytest.mark.django_db


@pytest.fixture
def row() -> Assessment:
    return make_done_assessment(make_organisation(), houses=9)


@pytest.fixture
def ann(row: Assessment) -> Actor:
    return make_actor(row.organisation)


@pytest.fixture
def bea(row: Assessment) -> Actor:
    return make_actor(row.organisation)


@pytest.fixture
def admin(row: Assessment) -> Actor:
    return make_actor(row.organisation, "admin")


def name_of(actor: Actor) -> str:
    return User.objects.get(pk=actor.user_id or 0).get_username()


def accept(actor: Actor, building: Building) -> None:
    wanted = DecisionRequest(id=uuid4(), kind="accept", building=building.uid, on_version=0)
    review_services.record_decision(actor, building.assessment_id, wanted)


def silence(area: TeamArea) -> None:
    """As if its holder had not been heard of for an hour."""
    then = timezone.now() - timedelta(hours=1)
    TeamArea.objects.filter(pk=area.pk).update(heard_at=then, lease_until=then)


def put(building: Building, west_px: float, east_px: float) -> None:
    """Move a building's outline to lie between two columns of the image."""
    box = (WEST + west_px * STEP, NORTH - 300 * STEP, WEST + east_px * STEP, NORTH - 280 * STEP)
    building.outline = type(building.outline).from_bbox(box)
    building.outline.srid = 4326
    building.save()


def test_each_building_of_a_grid_is_counted_once_even_on_its_borders(
    row: Assessment, ann: Actor
) -> None:
    middle = SIDE / 2
    first, second, third = row.buildings.order_by("pk")[:3]
    put(first, middle - 20, middle + 20)  # its middle is on the border, exactly
    put(second, middle - 30, middle + 10)  # hangs over it
    put(third, -10, 20)  # leans over the edge of the image

    services.split(ann, row.pk, Split(columns=2, rows=2))
    team = selectors.team(ann, row.pk)

    assert [one.label for one in team.areas] == ["A1", "B1", "A2", "B2"]
    assert sum(one.counted.buildings for one in team.areas) == 9
    assert team.outside.buildings == 0


def test_splitting_by_buildings_gives_areas_of_about_that_many(row: Assessment, ann: Actor) -> None:
    for number in range(9, 40):
        make_building(row, number % 12)

    services.split(ann, row.pk, Split(buildings=12))
    counts = [one.counted.buildings for one in selectors.team(ann, row.pk).areas]

    assert sum(counts) == 40
    assert max(counts) <= 14  # several of these share one place


def test_parts_with_neither_image_nor_buildings_get_no_area(row: Assessment, ann: Actor) -> None:
    scene = row.scene
    west, south, east, north = scene.footprint.extent  # type: ignore[union-attr]
    scene.footprint = type(scene.footprint)(  # type: ignore[misc]
        ((west, north), (east, north), (west, south), (west, north)), srid=4326
    )
    scene.save()

    made = services.split(ann, row.pk, Split(columns=4, rows=4))

    assert len(made) == 10  # the diagonal and what lies above it
    assert "D4" not in {one.label for one in made}


def test_a_drawn_area_may_touch_another_but_not_overlap_it(row: Assessment, ann: Actor) -> None:
    south, north = NORTH - 200 * STEP, NORTH
    left = ring(WEST, south, WEST + 200 * STEP, north)
    beside = ring(WEST + 200 * STEP, south, WEST + 400 * STEP, north)
    across = ring(WEST + 100 * STEP, south, WEST + 300 * STEP, north)

    services.add_area(ann, row.pk, left, "Harbour")
    services.add_area(ann, row.pk, beside)
    with pytest.raises(AreasOverlap, match="Harbour"):
        services.add_area(ann, row.pk, across)
    with pytest.raises(OutlineOutside):
        services.add_area(ann, row.pk, ring(0, 0, 1, 1))

    team = selectors.team(ann, row.pk)
    assert [one.label for one in team.areas] == ["Harbour", "Drawn 2"]
    inside = sum(one.counted.buildings for one in team.areas)
    assert (inside, team.outside.buildings) == (5, 4)


@pytest.mark.django_db(transaction=True)
def test_of_two_who_claim_an_area_at_once_one_gets_it_and_the_other_is_told_who() -> None:
    row = make_done_assessment(make_organisation())
    actors = [make_actor(row.organisation) for _ in range(4)]
    area = services.split(actors[0], row.pk, Split(columns=1, rows=1))[0]
    waiting = list(actors)

    def claim() -> str:
        actor = waiting.pop()
        try:
            services.claim(actor, area.pk)
        except AreaTaken as error:
            return error.user_message
        return name_of(actor)

    said = at_once(claim, 4)

    area.refresh_from_db()
    winner = User.objects.get(pk=area.held_by_id or 0).get_username()
    assert said.count(winner) == 1
    assert sum(text.startswith(f"{winner} works on area A1") for text in said) == 3


@pytest.mark.django_db(transaction=True)
def test_one_person_in_two_tabs_holds_one_area() -> None:
    row = make_done_assessment(make_organisation())
    actor = make_actor(row.organisation)
    areas = services.split(actor, row.pk, Split(columns=2, rows=1))

    def claim() -> bool:
        try:
            services.claim(actor, areas.pop().pk)
        except HoldsAnother:
            return False
        return True

    assert sorted(at_once(claim, 2)) == [False, True]


def test_a_claim_expires_in_sight_and_what_was_decided_stays(
    row: Assessment, ann: Actor, bea: Actor
) -> None:
    (area,) = services.split(ann, row.pk, Split(columns=1, rows=1))
    services.claim(ann, area.pk)
    accept(ann, row.buildings.order_by("pk")[0])
    with pytest.raises(AreaTaken, match=name_of(ann)):
        services.claim(bea, area.pk)

    silence(area)
    (shown,) = selectors.team(bea, row.pk).areas
    assert (shown.state, shown.holder, shown.expired) == ("claimed", name_of(ann), True)
    assert 3500 < (shown.silent_seconds or 0) < 3700

    services.renew(ann, area.pk)  # she comes back before anybody takes over
    assert not selectors.team(bea, row.pk).areas[0].expired

    silence(area)
    services.claim(bea, area.pk)
    with pytest.raises(AreaTaken, match=name_of(bea)):
        services.renew(ann, area.pk)
    with pytest.raises(AreaTaken):
        services.finish(ann, area.pk)
    team = selectors.team(bea, row.pk)
    assert (team.areas[0].counted.reviewed, team.areas[0].counted.buildings) == (1, 9)
    assert {(one.name, one.decided, one.area) for one in team.people} == {
        (name_of(ann), 1, ""),
        (name_of(bea), 0, "A1"),
    }


def test_an_area_goes_from_free_to_finished_and_back(
    row: Assessment, ann: Actor, bea: Actor, admin: Actor
) -> None:
    first, second = services.split(ann, row.pk, Split(columns=1, rows=2))
    services.claim(ann, first.pk)
    services.claim(ann, first.pk)  # again is no mistake
    with pytest.raises(HoldsAnother, match="A1"):
        services.claim(ann, second.pk)
    with pytest.raises(AreaTaken):
        services.release(bea, first.pk)

    services.finish(ann, first.pk)
    services.claim(ann, second.pk)
    with pytest.raises(AreaFinished, match=name_of(ann)):
        services.claim(bea, first.pk)
    services.release(admin, first.pk)  # opened again by an admin
    assert services.claim(bea, first.pk).held_by_id == bea.user_id


def test_an_admin_keeps_a_free_area_for_a_member(
    row: Assessment, ann: Actor, bea: Actor, admin: Actor
) -> None:
    (area,) = services.split(ann, row.pk, Split(columns=1, rows=1))
    stranger = make_actor(make_organisation())
    partner = make_actor(row.organisation, "partner")

    with pytest.raises(Forbidden):
        services.assign(ann, area.pk, bea.user_id)
    for nobody in (stranger, partner):
        with pytest.raises(NotAMember):
            services.assign(admin, area.pk, nobody.user_id)
    services.assign(admin, area.pk, bea.user_id)

    with pytest.raises(AreaKept, match=name_of(bea)):
        services.claim(ann, area.pk)
    services.claim(bea, area.pk)
    with pytest.raises(AreaTaken):
        services.assign(admin, area.pk, ann.user_id)


def test_areas_are_removed_by_admins_only_and_never_under_somebodys_hands(
    row: Assessment, ann: Actor, admin: Actor
) -> None:
    area = services.split(ann, row.pk, Split(columns=2, rows=1))[0]
    with pytest.raises(AreasInTheWay):
        services.split(ann, row.pk, Split(columns=3, rows=1))
    with pytest.raises(Forbidden):
        services.remove_areas(ann, row.pk)

    services.claim(ann, area.pk)
    with pytest.raises(AreasInUse, match=name_of(ann)):
        services.remove_areas(admin, row.pk)
    silence(area)
    services.remove_areas(admin, row.pk)
    assert not TeamArea.objects.exists()


@pytest.mark.parametrize(
    "wanted", [Split(), Split(columns=3), Split(columns=21, rows=20), Split(columns=-1, rows=-1)]
)
def test_numbers_that_make_no_areas_or_too_many_are_refused(
    row: Assessment, ann: Actor, wanted: Split
) -> None:
    with pytest.raises(CannotSplit):
        services.split(ann, row.pk, wanted)


def test_partners_do_not_see_a_team(row: Assessment) -> None:
    with pytest.raises(Forbidden):
        selectors.team(make_actor(row.organisation, "partner"), row.pk)
