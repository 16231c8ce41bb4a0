"""WCAG 2.2 AA where people work together, measure and compare: axe, the Tab key, what is said."""

from typing import Any
from uuid import uuid4

import numpy as np
import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Locator, Page, ViewportSize, expect

from tests import long
from tests.browser.axe import Check, walk_by_tab
from tests.browser.conftest import SignIn
from tests.browser.map_page import await_map, pick
from tests.browser.tabs import resize
from tests.browser.test_two_people import without_news
from tests.unosat.makers import (
    SIDE,
    make_building,
    make_done_assessment,
    make_organisation,
    make_scene,
    make_user,
)
from unosat.accounts.actors import Actor, actor_for_user
from unosat.accounts.models import Organisation
from unosat.assessments.models import Assessment
from unosat.quality import services as quality
from unosat.quality.models import Sample
from unosat.quality.services import Mark
from unosat.review import services as review
from unosat.review.models import Building, Footprint
from unosat.review.services import DecisionRequest
from unosat.scenes.models import Scene
from unosat.teams import controls, looks, services
from unosat.teams.models import Answer

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("application")]

NARROW = ViewportSize(width=320, height=640)  # 1280 px at 400 %
TOO_WIDE = """() => [...document.body.querySelectorAll(":not(.scroll *)")]
  .filter(one => document.documentElement.scrollWidth > innerWidth
    && one.getBoundingClientRect().right > innerWidth)
  .map(one => one.outerHTML.slice(0, 120))"""
WIDE = ViewportSize(width=1440, height=900)


@pytest.fixture
def organisation() -> Organisation:
    return make_organisation()


@pytest.fixture
def row(organisation: Organisation) -> Assessment:
    """Fifty buildings, as few as a sample takes; a third of them undamaged."""
    return _seen_before_too(organisation, 50)


@pytest.fixture
def people(organisation: Organisation) -> list[User]:
    """An admin and three analysts."""
    return [make_user(organisation, "admin"), *(make_user(organisation) for _ in range(3))]


def _seen_before_too(organisation: Organisation, houses: int) -> Assessment:
    """Done, with an image from before."""
    made = make_done_assessment(organisation, houses=0)
    grey = np.full((3, SIDE, SIDE), 90, np.uint8)
    made.before_scene = make_scene(
        organisation, grey, phase="before", name="before.tif", pixel_size_m=0.5
    )
    made.save()
    Scene.objects.filter(pk=made.scene_id).update(pixel_size_m=0.5)
    for number in range(houses):
        make_building(made, number % 12)
    sound = list(made.buildings.order_by("pk").values_list("pk", flat=True)[: houses // 3])
    Footprint.objects.filter(building__in=sound).update(grade="no_damage")
    Building.objects.filter(pk__in=sound).update(grade="no_damage")
    return made


def test_pages_of_a_team(
    row: Assessment, people: list[User], sign_in: SignIn, check: Check, photograph: Any
) -> None:
    page = sign_in(people[0], color_scheme="light")
    page.goto(f"/assessments/{row.pk}/team/")
    check(page, "team, nothing yet")
    _work_together(row, people)
    page.reload()
    photograph(page, "team-light")
    check(page, "team")
    _reach_all(page)
    page.fill("[name=building]", str(uuid4()))
    page.click("text=Add a control")
    check(page, "no such building")
    _check_narrow(page, check, "team")
    _check_answering(page, row, check, photograph)


def _check_answering(page: Page, row: Assessment, check: Check, photograph: Any) -> None:
    """Disagreements and second looks; then no picture comes."""
    page.goto(f"/assessments/{row.pk}/disagreements/")
    page.wait_for_selector("[data-picture=there]")
    photograph(page, "disagreements-light")
    check(page, "a disagreement")
    _reach_all(page)
    _check_narrow(page, check, "a disagreement")

    page.goto(f"/assessments/{row.pk}/second-looks/")
    page.wait_for_selector("[data-picture=there]")
    photograph(page, "second-looks-light")
    check(page, "a second look")
    _reach_all(page)
    _answer_by_button(page)
    check(page, "a second look answered")
    page.route("**/after.webp*", lambda route: route.abort())
    page.reload()
    page.wait_for_selector("[data-picture=failed]")
    _reach_all(page)
    check(page, "no picture")
    page.unroute("**/after.webp*")


def _work_together(row: Assessment, people: list[User]) -> None:
    """Areas in each state; second looks of which one disagrees; controls, answered too."""
    admin, ann, bea, cem = (actor_for_user(one) for one in people)
    areas = services.split(admin, row.pk, services.Split(columns=2, rows=2))
    services.claim(ann, areas[0].pk)
    services.finish(ann, areas[0].pk)
    services.claim(bea, areas[1].pk)
    services.assign(admin, areas[-1].pk, cem.user_id)
    looks.set_plan(admin, row.pk, share_percent=100, control_percent=50)
    known = row.buildings.order_by("pk")[40]
    controls.mark(admin, row.pk, known.uid, Answer.DESTROYED)
    for house in row.buildings.order_by("pk")[10:30]:
        _decide(ann, house, "accept")
    given, _ = looks.serve(bea, row.pk, 10)
    pairs = [look for look in given if look.control_id is None]
    for look in given:
        looks.answer(bea, look.pk, Answer.UNSURE if look == pairs[0] else look.building.grade)


def _decide(actor: Actor, building: Building, kind: str, **facts: Any) -> None:
    wanted = DecisionRequest(
        id=uuid4(), kind=kind, building=building.uid, on_version=building.version, **facts
    )
    review.record_decision(actor, building.assessment_id, wanted)


def _answer_by_button(page: Page) -> None:
    """The focus stays where it was, and the status says what was answered and what is left."""
    left = page.get_attribute("[data-left]", "data-left") or ""
    button = page.locator("[name=no_damage]")
    button.focus()
    page.keyboard.press("Enter")
    status = page.locator(".judging [role=status]")
    expect(status).to_have_text(f"No damage. {int(left) - 1} left for you.")
    expect(button).to_be_focused()


def _reach_all(page: Page) -> None:
    """The Tab key comes to everything that can be used, and one sees where it is."""
    wrong = walk_by_tab(page)
    assert not wrong, "\n".join(wrong)


def _check_narrow(page: Page, check: Check, state: str) -> None:
    """At 400 %: nothing is wrong, and nothing is scrolled to the side but tables."""
    resize(page, NARROW)
    check(page, f"{state} at 400 %")
    assert page.evaluate(TOO_WIDE) == [], state
    resize(page, WIDE)


@long.journeys
def test_pages_of_a_measurement(
    row: Assessment, people: list[User], sign_in: SignIn, check: Check, photograph: Any
) -> None:
    judge = actor_for_user(people[0])
    page = sign_in(people[0], color_scheme="light")
    _draw(page, row, check)
    sample = Sample.objects.get()
    _judge(page, sample, judge, check, photograph)
    page.goto(f"/assessments/{row.pk}/quality/")
    check(page, "being judged")
    for square in sample.squares.all():
        quality.answer_square(judge, square.pk, "judged", [Mark(0.5, 0.5, "destroyed")])
    page.reload()
    page.wait_for_selector("#measured")
    photograph(page, "quality-light")
    check(page, "measured")
    _reach_all(page)
    _check_narrow(page, check, "measured")

    page.goto(f"/events/{row.scene.event_id}/")
    page.wait_for_selector("#overview .chart svg")
    check(page, "overview of an event")
    _reach_all(page)
    _check_narrow(page, check, "overview of an event")
    _check_refusals(row, sign_in, check)


def _draw(page: Page, row: Assessment, check: Check) -> None:
    """What a size tells is said aloud, in the one region that stays."""
    page.goto(f"/assessments/{row.pk}/quality/")
    check(page, "nothing measured")
    _reach_all(page)
    page.fill("[name=buildings]", "40")
    expect(page.locator("#announcer")).to_contain_text("50 to 2,000")
    check(page, "no such size")
    page.fill("[name=buildings]", "50")
    page.fill("[name=squares]", "10")
    expect(page.locator("#announcer")).to_contain_text("50 buildings and 10 squares")
    page.click("text=Draw and begin")


def _judge(page: Page, sample: Sample, judge: Actor, check: Check, photograph: Any) -> None:
    """A building, then a square with a mark in it."""
    page.wait_for_selector("[data-kind=building] img")
    check(page, "judging a building")
    _reach_all(page)
    _check_narrow(page, check, "judging a building")
    for item in sample.items.all():
        quality.answer_item(judge, item.pk, item.building.grade)
    page.reload()
    page.wait_for_selector("[data-kind=square] img")
    for _ in range(2):  # off the outlines, which lie along the top
        page.keyboard.press("Shift+ArrowDown")
    page.click("[data-mark=major_damage]")
    expect(page.locator(".marks li")).to_have_count(1)
    photograph(page, "judging-square-light")
    check(page, "judging a square")
    _reach_all(page)


def _check_refusals(row: Assessment, sign_in: SignIn, check: Check) -> None:
    """A partner looks on; what is not allowed says so on a page like the others."""
    page = sign_in(make_user(row.organisation, "partner"), color_scheme="light")
    running = Assessment.objects.create(
        organisation=row.organisation,
        scene=row.scene,
        model_version=row.model_version,
        name="under way",
        state="running",
    )
    elsewhere = make_done_assessment(make_organisation(), houses=0)
    for status, address in (
        (200, f"/assessments/{row.pk}/quality/"),
        (200, f"/assessments/{running.pk}/quality/"),
        (403, f"/assessments/{row.pk}/quality/judge/"),
        (403, f"/assessments/{row.pk}/second-looks/"),
        (403, "/status/"),
        (404, f"/assessments/{elsewhere.pk}/quality/"),
    ):
        answer = page.goto(address)
        assert answer is not None
        assert answer.status == status, address
        check(page, f"partner, {status} of {address}")
    _reach_all(page)


@long.journeys
def test_the_review_page_with_everything_open(
    organisation: Organisation,
    people: list[User],
    sign_in: SignIn,
    check: Check,
    photograph: Any,
) -> None:
    row = _seen_before_too(organisation, 6)
    admin, ann = (actor_for_user(one) for one in people[:2])
    services.split(admin, row.pk, services.Split(columns=2, rows=2))
    first, second = row.buildings.order_by("pk")[:2]
    _decide(ann, first, "regrade", grade="minor_damage")
    page = sign_in(people[0], color_scheme="light")
    page.goto(f"/assessments/{row.pk}/")
    await_map(page)
    for fold in page.locator("#side summary, #tools summary, #legend .marks summary").all():
        fold.click()
    page.wait_for_selector("[data-area]")
    pick(page, str(first.uid))
    page.wait_for_selector(".history [data-decision]")
    check(page, "history, filters and team")
    page.click("[name=imagery]")
    page.select_option("[name=bands]", "three")
    photograph(page, "all-open-light")
    check(page, "imagery")
    _reach_all(page)
    page.keyboard.press("Escape")

    _check_views(page, check)
    _check_table(page, check, photograph)
    _check_conflict(page, row, second, ann, check)


def _check_views(page: Page, check: Check) -> None:
    for view in ("Swipe", "Side by side"):
        page.click(f"button:text-is('{view}')")
        page.wait_for_selector(".twin[data-map-idle=true]")
        check(page, view)
    _reach_all(page)
    page.click("button:text-is('After')")


def _check_table(page: Page, check: Check, photograph: Any) -> None:
    page.keyboard.press("t")
    page.wait_for_selector("[data-table=ready]")
    photograph(page, "table-light")
    check(page, "table")
    _reach_all(page)
    _check_narrow(page, check, "table")
    page.keyboard.press("Escape")


def _check_conflict(
    page: Page, row: Assessment, building: Building, other: Actor, check: Check
) -> None:
    """Somebody was quicker, and drew the outline anew as well."""
    page.route("**/*", lambda route: route.fallback())
    for deaf in ("**/events", "**/presence", "**/decisions?*", "**/decisions"):
        page.route(deaf, without_news)
    page.goto(f"/assessments/{row.pk}/")
    await_map(page)
    pick(page, str(building.uid))
    _decide(other, building, "regrade", grade="minor_damage")
    page.keyboard.press("x")
    dialog = page.locator("dialog.conflict[open]")
    expect(dialog).to_be_visible()
    check(page, "conflict")
    _reach_all(page)
    assert _inside(dialog)
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog.conflict", state="detached")
    check(page, "conflict put off")


def _inside(dialog: Locator) -> bool:
    """Whether the focus has not left it."""
    return bool(dialog.evaluate("one => one.contains(document.activeElement)"))
