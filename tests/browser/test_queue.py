"""The queue leads from building to building without waiting; the table does so without a map."""

import io
import logging
from collections.abc import Callable

import numpy as np
import pytest
from django.contrib.gis.geos import Polygon
from PIL import Image
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import SignIn
from tests.browser.map_page import await_map, await_saved, picked, screen_position
from tests.unosat.makers import (
    NORTH,
    STEP,
    WEST,
    make_building,
    make_done_assessment,
    make_organisation,
    make_user,
)
from unosat.assessments.models import Assessment
from unosat.ops import jobs
from unosat.review import tasks
from unosat.review.models import Building, Decision
from unosat.scenes.models import WGS84

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("application")]

HOUSES = 36
log = logging.getLogger(__name__)
# Whether a select is too narrow for its first word: beside it one that is as wide as it needs to be
CUT = """one => {
  const alone = one.cloneNode();
  alone.append(new Option(one.options[0].text));
  alone.style.width = 'auto';
  one.after(alone);
  const needed = alone.offsetWidth;
  alone.remove();
  return needed > one.offsetWidth;
}"""
# From the key press until the panel shows another building and the browser has painted it
TIMED = """key => new Promise(done => {
  const before = document.querySelector('[data-building]')?.dataset.building;
  const began = performance.now();
  const look = () => {
    const now = document.querySelector('[data-building]')?.dataset.building;
    if (now === before) requestAnimationFrame(look);
    else requestAnimationFrame(() => done(performance.now() - began));
  };
  dispatchEvent(new KeyboardEvent('keydown', { key }));
  look();
})"""


@pytest.fixture
def row() -> Assessment:
    """Done and in order; houses in rows, the later ones less certain."""
    made = make_done_assessment(make_organisation(), houses=0)
    for number in range(HOUSES):
        building = make_building(made, number % 12)
        down = -80 * STEP * (number // 12)
        corners = [(x, y + down) for x, y in building.outline[0]]
        building.outline = Polygon(corners, srid=WGS84)
        building.grade = ["destroyed", "major_damage", "no_damage"][number % 3]
        assert building.footprint is not None
        footprint = building.footprint
        sure = 0.95 - number * 0.02
        footprint.outline, footprint.grade = building.outline, building.grade
        footprint.probabilities = {"destroyed": sure, "no_damage": 1 - sure}
        footprint.score = building.score = 0.5 + number * 0.013
        building.save()
        footprint.save()
    jobs.enqueue("order", made.pk, made.organisation_id)
    tasks.order(str(made.pk))
    return made


@pytest.fixture
def page(row: Assessment, sign_in: SignIn) -> Page:
    opened = sign_in(make_user(row.organisation))
    opened.goto(f"/assessments/{row.pk}/")
    await_map(opened)
    return opened


def test_the_queue_leads_on_while_there_is_no_connection(
    row: Assessment, page: Page, photograph: Callable[[Page, str], None]
) -> None:
    in_turn = [str(uid) for uid in row.buildings.order_by("turn").values_list("uid", flat=True)]
    expect(page.locator("[data-left]")).to_have_text(f"{HOUSES} of {HOUSES} to look at")
    photograph(page, "queue")
    page.context.set_offline(True)

    spent = []
    for turn, key in enumerate(("n", " ", "0", "3", "x", "n", " ", " ")):
        spent.append(page.evaluate(TIMED, key))
        assert picked(page) == in_turn[turn], key

    log.info("from key press to paint, ms: %s", sorted(round(one) for one in spent))
    expect(page.locator("[data-left]")).to_contain_text(f"{HOUSES - 6} of {HOUSES}")
    page.keyboard.press("p")
    assert picked(page) == in_turn[6]
    page.keyboard.press("n")
    assert picked(page) == in_turn[7]
    assert Decision.objects.count() == 0
    page.context.set_offline(False)
    await_saved(page)
    decided = Building.objects.filter(assessment=row, version=1).values_list("uid", flat=True)
    assert {str(uid) for uid in decided} == set(in_turn[:7]) - {in_turn[4]}  # passed by

    other = Building.objects.get(uid=in_turn[8])
    colleague(page, row, other)
    page.wait_for_selector(f"[data-coming='{other.uid}']", state="detached")
    page.keyboard.press("n")
    assert picked(page) == in_turn[9]  # decided meanwhile by somebody else
    for _ in range(HOUSES):  # refilled on the way
        page.keyboard.press("n")
        page.wait_for_selector("[data-building][aria-busy=false]")
    await_map(page)
    photograph(page, "queue-at-its-end")


def test_filters_narrow_the_queue(
    row: Assessment, page: Page, photograph: Callable[[Page, str], None]
) -> None:
    page.click(".filters summary")
    page.select_option("[name=grade-filter]", "destroyed")
    expect(page.locator("[data-left]")).to_contain_text(f"{HOUSES // 3} of {HOUSES // 3}")
    page.keyboard.press("Escape")
    page.click("button:has-text('Only inside an area')")
    side = 120 * STEP
    west, north = WEST + STEP, NORTH - STEP
    draw_area(page, [(west, north), (west, north - side), (west + side, north - side)])
    expect(page.locator("[data-left]")).to_have_text("2 to look at")
    expect(page.locator("[data-queue='2']")).to_be_visible()
    expect(page.locator("[data-filter-area]")).to_be_visible()
    assert violet(page)  # the outline of the filter, which nothing else has the colour of
    photograph(page, "queue-filter-on-the-map")

    page.select_option("[name=grade-filter]", "unclassified")

    expect(page.locator("[data-queue='0']")).to_contain_text("Nothing that these filters leave")
    photograph(page, "queue-filtered-to-nothing")
    page.click(".queue button:has-text('Clear the filters')")
    expect(page.locator("[data-left]")).to_have_text(f"{HOUSES} of {HOUSES} to look at")
    assert not violet(page)

    page.route("**/queue?*", lambda route: route.abort())
    page.select_option("[name=order]", "nearest")
    expect(page.locator(".queue [role=alert]")).to_contain_text("could not be fetched")
    photograph(page, "queue-unreachable")
    page.unroute("**/queue?*")
    page.click(".queue button:has-text('Try again')")
    expect(page.locator("[data-coming]").first).to_be_visible()
    page.keyboard.press("n")
    assert picked(page) in {str(one.uid) for one in row.buildings.all()}


def test_the_table_does_all_that_the_queue_does(
    row: Assessment, page: Page, photograph: Callable[[Page, str], None]
) -> None:
    page.keyboard.press("t")
    page.wait_for_selector("[data-table=ready]")
    rows = page.locator("[data-row]")
    expect(rows).to_have_count(HOUSES)
    for width in (1280, 820, 1440):
        page.set_viewport_size({"width": width, "height": 900})
        assert not rows.first.locator("select").evaluate(CUT), width
    by_score = _sort_by_score(page, row)
    accept = rows.nth(2).locator("button:has-text('Accept')")
    accept.focus()
    page.keyboard.press("Enter")
    expect(rows.nth(2)).to_have_attribute("data-review", "accepted")
    expect(accept).to_be_focused()
    expect(rows.nth(3)).to_have_attribute("data-picked", "true")
    rows.nth(4).locator("select").select_option("no_damage")
    expect(rows.nth(4)).to_have_attribute("data-review", "regraded")
    rows.nth(6).locator("th button").focus()
    page.keyboard.press("ArrowDown")
    expect(rows.nth(7).locator("th button")).to_be_focused()
    page.keyboard.press("x")
    expect(rows.nth(7)).to_have_attribute("data-review", "rejected")
    expect(rows.nth(8).locator("th button")).to_be_focused()
    _say_why_and_flag(page, rows)
    await_saved(page)
    photograph(page, "table")
    reviews = Building.objects.filter(version=1).values_list("uid", "review")
    assert {str(uid): review for uid, review in reviews} == {
        by_score[2]: "accepted",
        by_score[4]: "regraded",
        by_score[7]: "rejected",
        by_score[9]: "unsure",
        by_score[11]: "unreviewed",
    }
    said = Decision.objects.exclude(because="", reason="").values_list("because", "reason")
    assert set(said) == {("shadow", ""), ("", "Which roof?")}
    page.keyboard.press("Escape")
    expect(page.locator("[data-table]")).to_have_count(0)


def _sort_by_score(page: Page, row: Assessment) -> list[str]:
    score = page.locator("th:has-text('Score')")
    assert score.get_attribute("aria-sort") == "none"
    score.locator("button").click()
    expect(page.locator("th[aria-sort=ascending]")).to_contain_text("Score")
    by_score = [str(u) for u in row.buildings.order_by("score").values_list("uid", flat=True)]
    expect(page.locator("[data-row]").first).to_have_attribute("data-row", by_score[0])
    return by_score


def _say_why_and_flag(page: Page, rows: Locator) -> None:
    """Of the tenth row that it cannot be told, of the twelfth what a second look should answer."""
    rows.nth(9).locator("[name=unsure]").click()
    expect(page.locator("[name=cloud]")).to_be_focused()
    page.keyboard.press("2")
    expect(rows.nth(9)).to_have_attribute("data-review", "unsure")
    expect(rows.nth(10).locator("th button")).to_be_focused()
    rows.nth(11).locator("[name=flagNote]").click()
    expect(page.locator("[name=note]")).to_be_focused()
    page.keyboard.type("Which roof?")
    page.keyboard.press("Enter")
    expect(rows.nth(11).locator("[name=flag]")).to_have_attribute("aria-pressed", "true")
    expect(rows.nth(11).locator("th button")).to_be_focused()


def colleague(page: Page, row: Assessment, building: Building) -> None:
    """Somebody else accepts a building, through the same server."""
    page.evaluate(
        """async ([row, building, id]) => {
          const token = document.querySelector('meta[name=csrf-token]').content;
          const body = JSON.stringify({ id, kind: 'accept', building, on_version: 0 });
          await fetch(`/api/v1/assessments/${row}/decisions`, { method: 'POST', body,
            headers: { 'Content-Type': 'application/json', 'X-CSRFToken': token } });
        }""",
        [str(row.pk), str(building.uid), "00000000-0000-4000-8000-000000000001"],
    )


def violet(page: Page) -> bool:
    """Whether some of the map has the colour of the filter's outline."""
    page.wait_for_timeout(100)  # a few frames
    await_map(page)
    picture = Image.open(io.BytesIO(page.locator("#map canvas").first.screenshot()))
    away = np.array(picture.convert("RGB")).astype(int) - (216, 180, 254)
    return bool((np.abs(away).max(axis=2) < 12).any())


def draw_area(page: Page, corners: list[tuple[float, float]]) -> None:
    """Click the corners of an outline, and close it."""
    await_map(page)
    ring = [screen_position(page, corner) for corner in corners]
    for x, y in [*ring, ring[0]]:
        page.mouse.move(x, y)
        page.mouse.click(x, y)
        page.wait_for_timeout(350)  # faster ones would be a double click
