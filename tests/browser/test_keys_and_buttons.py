"""Every key and button of the review page does what it says; the list shows all that is there."""

import json
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.conftest import SignIn
from tests.browser.map_page import await_map, await_saved, draw, pick, picked, screen_position
from tests.unosat.makers import (
    NORTH,
    SIDE,
    STEP,
    WEST,
    make_building,
    make_done_assessment,
    make_organisation,
    make_scene,
    make_user,
    ring,
)
from unosat.assessments.keys import gaps_key
from unosat.assessments.models import Assessment
from unosat.ops import store
from unosat.review.models import Building, Decision, ReviewedArea

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("application")]

HOUSES = 12


@pytest.fixture
def row() -> Assessment:
    """Done, with houses in a row and an image from before."""
    made = make_done_assessment(make_organisation(), houses=HOUSES)
    grey = np.full((3, SIDE, SIDE), 90, np.uint8)
    made.before_scene = make_scene(made.organisation, grey, phase="before")
    made.save()
    return made


@pytest.fixture
def page(row: Assessment, sign_in: SignIn) -> Page:
    opened = sign_in(make_user(row.organisation))
    opened.goto(f"/assessments/{row.pk}/")
    await_map(opened)
    return opened


def test_ground_that_nothing_looked_at_is_hatched_and_named(
    row: Assessment, page: Page, photograph: Any
) -> None:
    middle = WEST + SIDE / 2 * STEP
    outline = ring(middle, NORTH - SIDE * STEP, WEST + SIDE * STEP, NORTH)
    feature = {"type": "Feature", "geometry": outline, "properties": {"reason": "nodata"}}
    with store.writing(gaps_key(row.pk)) as path:
        path.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))

    page.reload()
    await_map(page)

    expect(page.locator("[data-gaps=nodata]")).to_contain_text("Not analysed: no pixels")
    photograph(page, "not-analysed")


def test_an_answer_that_comes_late_does_not_undo_the_news(row: Assessment, page: Page) -> None:
    answered = []

    def late(route: Route) -> None:
        answer = route.fetch()
        page.wait_for_selector("[data-shown]")  # meanwhile the stream has said that it is done
        route.fulfill(response=answer, json=answer.json() | {"state": "planning"})
        answered.append(route)

    page.route(f"**/api/v1/assessments/{row.pk}", late)
    page.reload()
    page.wait_for_selector("[data-shown]")
    while not answered:
        page.wait_for_timeout(50)
    page.wait_for_timeout(300)

    expect(page.locator("[data-shown]")).to_be_visible()


def test_keys_decide_and_ctrl_z_takes_back(page: Page) -> None:
    page.click("aside button:has-text('Next building')")
    wanted = [("Enter", "accepted", "destroyed")]
    wanted += [("0", "regraded", "no_damage"), ("2", "regraded", "major_damage")]
    wanted += [("3", "regraded", "destroyed"), ("x", "rejected", "destroyed")]
    for key, review, grade in wanted:
        uid = await_picked(page)
        page.keyboard.press(key)
        page.wait_for_selector(f"[data-building]:not([data-building='{uid}'])[aria-busy=false]")
        await_saved(page)
        assert stands(uid) == (review, grade)

    for how in ("Control+z", None):  # the key, then the button
        page.keyboard.press(how) if how else page.click("button:has-text('Undo')")
        page.wait_for_selector("[data-review=unreviewed]:not([data-version='0'])")
        await_saved(page)
        page.wait_for_selector(":text('Undone.')")
        assert stands(picked(page)) == ("unreviewed", "destroyed")
        page.keyboard.press("Escape")
        expect(page.locator("[data-building]")).to_have_count(0)
    kinds = Decision.objects.order_by("made_at").values_list("kind", flat=True)
    assert list(kinds) == ["accept", "regrade", "regrade", "regrade", "reject", "undo", "undo"]


def test_drawing_can_be_left_or_taken_back_and_a_mark_removed(row: Assessment, page: Page) -> None:
    pick(page, str(row.buildings.order_by("pk")[0].uid))
    for opens, name in (("e", "redraw"), ("a", "add"), ("m", "area")):
        page.keyboard.press(opens)
        page.wait_for_selector(f"[data-drawing={name}]")
        page.keyboard.press("Escape")
        page.wait_for_selector("[data-drawing]", state="detached")
    page.click("button:has-text('Mark a reviewed area')")
    page.wait_for_selector("[data-drawing=area]")
    page.click(".drawing button:has-text('Cancel')")
    page.wait_for_selector("[data-drawing]", state="detached")
    assert not Decision.objects.exists()

    page.click("button:has-text('Add a building')")
    west, north = WEST + 500 * STEP, NORTH - 500 * STEP
    draw(page, [(west, north), (west + 90 * STEP, north), (west, north - 90 * STEP)])
    page.keyboard.press("2")
    page.click(".drawing .primary")
    page.wait_for_selector("[data-review=added]")
    added = str(Building.objects.get(source="analyst").uid)
    assert stands(added) == ("added", "major_damage")
    page.keyboard.press("Control+z")
    page.wait_for_selector(f"[data-building='{added}'][data-review=rejected]")
    await_saved(page)
    assert stands(added) == ("rejected", "major_damage")

    outline = row.buildings.order_by("pk")[0].outline
    user = make_user(row.organisation)
    ReviewedArea.objects.create(assessment=row, outline=outline, user=user)
    page.reload()
    await_map(page)
    _remove_mark(page)
    assert not ReviewedArea.objects.exists()


def _remove_mark(page: Page) -> None:
    """Go to the only reviewed area by the list, then remove its mark there."""
    page.click("[data-areas='1'] summary")
    view = page.get_attribute("#map", "data-view")
    page.click("[data-areas] button.link")
    expect(page.locator("#map")).not_to_have_attribute("data-view", view or "")
    page.click("text=Remove mark")
    page.wait_for_selector("[data-areas='0']")


def test_the_view_follows_its_switches(row: Assessment, page: Page) -> None:
    Building.objects.filter(pk=row.buildings.order_by("pk")[0].pk).update(score=0.6)
    page.reload()
    page.wait_for_selector(f"[data-shown='{HOUSES}']")
    page.locator("[name=score]").fill("80")
    page.wait_for_selector(f"[data-shown='{HOUSES - 1}']")
    house = row.buildings.order_by("pk")[1]
    before = looks(page, house)
    page.locator("[name=opacity]").fill("90")
    filled = await_other_look(page, house, before)
    page.keyboard.down("b")
    as_it_was = await_other_look(page, house, filled)
    page.keyboard.up("b")
    await_other_look(page, house, as_it_was)


def test_habits_decide_what_a_key_does(row: Assessment, page: Page) -> None:
    house = row.buildings.order_by("pk")[1]
    uid = str(house.uid)
    page.click("text=Keys and habits")
    page.uncheck("[name=advance]")
    pick(page, uid)
    page.click(".actions .reject")
    page.wait_for_selector(f"[data-building='{uid}'][data-review=rejected]")
    await_saved(page)
    page.uncheck("[name=keys]")
    page.keyboard.press("0")
    page.wait_for_timeout(500)  # nothing comes of it
    assert stands(uid) == ("rejected", "destroyed")
    hidden = looks(page, house)
    page.check("[name=rejected]")
    await_other_look(page, house, hidden)
    page.check("[name=keys]")
    page.keyboard.press("0")
    page.wait_for_selector(f"[data-building='{uid}'][data-review=regraded]")
    await_saved(page)
    assert stands(uid) == ("regraded", "no_damage")


def test_a_long_list_goes_on_and_the_last_building_is_found(row: Assessment, page: Page) -> None:
    for _ in range(230 - HOUSES):
        make_building(row, 3)
    last = make_building(row, 200)  # far outside of what is in view
    Building.objects.exclude(pk=last.pk).update(review="accepted", version=1)
    page.reload()
    await_map(page)

    page.click("[data-listed] summary:has-text('(200+)')")
    page.click("text=Show more")
    page.wait_for_selector("[data-listed='230'] summary:has-text('(230)')")
    page.keyboard.press("n")

    page.wait_for_selector(f"[data-building='{last.uid}']")


def await_picked(page: Page) -> str:
    page.wait_for_selector("[data-building][aria-busy=false]")
    return picked(page)


def stands(uid: str) -> tuple[str, str]:
    """A building's review state and grade in the database."""
    building = Building.objects.get(uid=uid)
    return building.review, building.grade


def looks(page: Page, house: Building) -> bytes:
    """A house on the map, its outline and mark included, as pixels."""
    await_map(page)
    x, y = screen_position(page, (house.outline.centroid.x, house.outline.centroid.y))
    return page.screenshot(clip={"x": x - 16, "y": y - 16, "width": 32, "height": 32})


def await_other_look(page: Page, house: Building, before: bytes) -> bytes:
    """Wait until the house looks otherwise; returns how."""
    for _ in range(50):
        if (now := looks(page, house)) != before:
            return now
        page.wait_for_timeout(100)
    raise AssertionError("it looks the same")
