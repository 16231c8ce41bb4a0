"""Judging a sample by keyboard, blind to the model; then what is known, and the dashboard."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, Route, expect

from tests import long
from tests.browser.conftest import SignIn
from tests.unosat.makers import make_building, make_done_assessment, make_organisation, make_user
from unosat.assessments.models import Assessment
from unosat.quality.models import Item, Missed, Sample
from unosat.review.models import Building, Decision, Footprint

pytestmark = [long.journeys, pytest.mark.browser, pytest.mark.usefixtures("application")]

Photograph = Callable[[Page, str], None]


@pytest.fixture
def row() -> Assessment:
    """Fifty buildings, some of each grade."""
    made = make_done_assessment(make_organisation(), houses=0)
    for number, grade in enumerate(["no_damage"] * 30 + ["major_damage"] * 8 + ["destroyed"] * 12):
        building = make_building(made, number % 12)
        Footprint.objects.filter(building=building).update(grade=grade)
        Building.objects.filter(pk=building.pk).update(grade=grade)
    return made


def test_a_sample_is_judged_by_keyboard_and_tells_what_is_known(
    row: Assessment, sign_in: SignIn, photograph: Photograph
) -> None:
    page = sign_in(make_user(row.organisation))
    before = list(Building.objects.order_by("pk").values())
    page.goto(f"/assessments/{row.pk}/quality/")
    choose_a_size(page, photograph)
    lose_the_first_answer(page)
    judge_buildings(page, photograph)
    page.goto(f"/assessments/{row.pk}/quality/")
    expect(page.locator("#quality-progress")).to_contain_text("50 of 50 judged")
    expect(page.locator("#measured")).to_have_count(0)
    photograph(page, "quality-half")
    page.click("text=Go on judging")
    judge_squares(page, photograph)

    answers = list(Item.objects.values_list("answer", flat=True))
    assert (answers.count("destroyed"), answers.count("no_building")) == (48, 1)
    assert answers.count("no_damage") == 1
    marked = sorted(Missed.objects.values_list("grade", flat=True))
    assert marked == ["major_damage", "unclassified"]
    assert list(Building.objects.order_by("pk").values()) == before
    assert not Decision.objects.exists()
    page.click("text=See what is known")
    expect(page.locator(".verdict")).to_contain_text("damaged buildings")
    photograph(page, "quality-measured")

    page.goto(f"/events/{row.scene.event_id}/")
    expect(page.locator("#overview .chart svg")).to_be_visible()
    photograph(page, "event-overview")


def choose_a_size(page: Page, photograph: Photograph) -> None:
    """What each size can be expected to tell is said before anybody begins."""
    expect(page.locator("text=Nothing has been measured")).to_be_visible()
    page.fill("[name=buildings]", "40")
    expect(page.locator("#expected .notice.bad")).to_contain_text("50 to 2,000")
    page.fill("[name=buildings]", "50")
    page.fill("[name=squares]", "10")
    expect(page.locator("#expected caption")).to_contain_text("50 buildings")
    photograph(page, "quality-none")
    page.click("text=Draw and begin")


def judge_buildings(page: Page, photograph: Photograph) -> None:
    """Fifty: one is no building, one was a slip and is put right, the others are destroyed."""
    page.wait_for_selector("[data-kind=building] img")
    photograph(page, "judging-building")
    _switch_keys_off_and_on(page)
    for number in range(50):
        uid = press(page, "x" if number == 1 else "3")
        if number == 4:
            page.keyboard.press("Backspace")
            page.wait_for_selector(f"[data-thing='{uid}']")
            press(page, "0")
    page.wait_for_selector("[data-kind=square]")
    page.wait_for_selector("[data-unsaved='0']")


def _switch_keys_off_and_on(page: Page) -> None:
    """Off stays off after a reload: whoever speaks to the computer must not answer by a word."""
    page.uncheck("[name=keys]")
    page.reload()
    page.wait_for_selector("[data-kind=building] img")
    expect(page.locator("[name=keys]")).not_to_be_checked()
    thing = page.get_attribute("[data-thing]", "data-thing")
    page.keyboard.press("3")
    page.wait_for_timeout(300)  # nothing comes of it
    expect(page.locator("[data-thing]")).to_have_attribute("data-thing", thing or "")
    page.check("[name=keys]")


def judge_squares(page: Page, photograph: Photograph) -> None:
    """Two marks in the first, one by keyboard and one by mouse; nothing in the others."""
    page.wait_for_selector("[data-kind=square] img")
    for key in ("Shift+ArrowDown", "Shift+ArrowDown", "ArrowDown", "ArrowDown", "2"):
        page.keyboard.press(key)
    sight = page.locator(".sight").bounding_box()
    assert sight is not None
    page.locator(".sight").click(position={"x": sight["width"] * 0.3, "y": sight["height"] * 0.8})
    page.click("[data-mark=unclassified]")
    expect(page.locator(".marks li")).to_have_count(2)
    photograph(page, "judging-square")
    page.locator("main").focus()
    for _ in range(Sample.objects.get().squares.count()):
        press(page, "Enter")
    page.wait_for_selector("[data-finished]")


def press(page: Page, key: str) -> str:
    """Answer what is shown; returns which it was, once another is."""
    thing = page.wait_for_selector("[data-thing]")
    assert thing is not None
    uid = thing.get_attribute("data-thing")
    assert uid is not None
    page.keyboard.press(key)
    page.wait_for_selector(f"[data-thing='{uid}']", state="detached")
    return uid


def lose_the_first_answer(page: Page) -> None:
    """The line is cut once; the answer is sent again."""
    cut: list[bool] = []

    def drop(route: Route) -> None:
        if cut:
            route.continue_()
        else:
            cut.append(True)
            route.abort()

    page.route("**/quality-items/**", drop)
