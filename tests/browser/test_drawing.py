"""An analyst draws: each act with its keys and buttons, and what the database then holds."""

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import SignIn
from tests.browser.map_page import (
    Place,
    await_map,
    await_saved,
    click_on,
    drag,
    pick,
    place,
    screen_position,
)
from tests.unosat.makers import (
    STEP,
    make_done_assessment,
    make_organisation,
    make_user,
)
from unosat.assessments.models import Assessment
from unosat.review import replay, services
from unosat.review.models import Building, Decision, ReviewedArea

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("application")]


@pytest.fixture
def row() -> Assessment:
    return make_done_assessment(make_organisation(), houses=4)


@pytest.fixture
def page(row: Assessment, sign_in: SignIn) -> Page:
    opened = sign_in(make_user(row.organisation))
    opened.goto(f"/assessments/{row.pk}/")
    await_map(opened)
    return opened


def houses(row: Assessment) -> list[Building]:
    """As the model found them, from west to east."""
    return list(row.buildings.filter(source="model").order_by("footprint_id"))


def click_corners(page: Page, corners: list[Place], *, close: bool = True) -> None:
    """Click places one after another; the last again closes a line, the first a ring."""
    await_map(page)
    points = [screen_position(page, corner) for corner in corners]
    for x, y in [*points, points[0] if close else points[-1]]:
        page.mouse.move(x, y)
        page.mouse.click(x, y)
        page.wait_for_timeout(350)  # faster ones would be a double click


def _press(page: Page, button: str) -> None:
    """Press one of the buttons that always show, or one that is behind "More"."""
    if not page.locator(f"button:has-text('{button}'):visible").count():
        page.click(".toolbar .more summary")
    page.click(f"button:has-text('{button}'):visible")


def begin(page: Page, button: str, name: str) -> None:
    _press(page, button)
    page.wait_for_selector(f"[data-drawing={name}]")
    page.wait_for_timeout(400)  # the map flies there
    await_map(page)


def save(page: Page) -> None:
    expect(page.locator(".drawing .primary")).to_be_enabled()
    page.keyboard.press("Enter")
    page.wait_for_selector("[data-drawing]", state="detached")
    await_saved(page)


def width(building: Building) -> float:
    """In pixels of the image."""
    return float(building.outline.extent[2] - building.outline.extent[0]) / STEP


def standing(row: Assessment) -> int:
    return row.buildings.exclude(review__in=Building.HIDDEN).count()


def test_outlines_are_cut_joined_squared_and_moved_and_all_of_it_can_be_taken_back(
    row: Assessment, page: Page, photograph: Any
) -> None:
    first, second, third, fourth = houses(row)
    annexe = _add(row, page, photograph)
    _merge_and_take_back(row, page, first, annexe, photograph)
    _split(row, page, second, photograph)
    _edit_by_keys(page, third, photograph)
    _lay_over_the_neighbour(page, fourth, photograph)
    _move_all_and_take_back(row, page, photograph)
    for building in row.buildings.select_related("footprint"):
        assert services.history_of(building)[-1:] == replay.now(building)


def _add(row: Assessment, page: Page, photograph: Any) -> Building:
    """Beside the first house, wall to wall."""
    begin(page, "Add a building", "add")
    click_corners(page, [place(62, 22), place(76, 22), place(76, 58), place(62, 58)])
    page.wait_for_selector(".drawing :text('enclosed')")
    page.click("[name=new-destroyed]")
    photograph(page, "drawing-add")
    save(page)
    page.wait_for_selector("[data-building][data-review=added]")
    assert standing(row) == 5
    return Building.objects.get(source="analyst")


def _merge_and_take_back(
    row: Assessment, page: Page, first: Building, annexe: Building, photograph: Any
) -> None:
    pick(page, str(first.uid))
    begin(page, "Merge", "merge")
    page.check(f"[name='part-{annexe.uid}']")
    page.wait_for_selector(".drawing :text('enclosed')")
    photograph(page, "drawing-merge")
    save(page)
    page.wait_for_selector(f"[data-building='{first.uid}'][data-review=redrawn]")
    annexe.refresh_from_db()
    assert (annexe.review, standing(row)) == ("replaced", 4)
    merged = Building.objects.get(pk=first.pk)
    assert width(merged) == pytest.approx(56, abs=2)
    page.keyboard.press("Control+z")
    page.wait_for_selector("text=Undone.")
    await_saved(page)
    annexe.refresh_from_db()
    assert (annexe.review, standing(row)) == ("added", 5)
    assert Building.objects.get(pk=first.pk).outline.equals_exact(first.outline)


def _split(row: Assessment, page: Page, second: Building, photograph: Any) -> None:
    pick(page, str(second.uid))
    begin(page, "Split", "split")
    click_corners(page, [place(120, 14), place(120, 66)], close=False)
    page.wait_for_selector(".drawing :text('becomes 2 buildings')")
    photograph(page, "drawing-split")
    page.context.set_offline(True)
    page.keyboard.press("Enter")
    page.wait_for_selector("[data-waiting='1']")
    click_on(page, place(110, 40))  # its pieces stand there, before the server knows of them
    page.wait_for_selector("text=It can be picked once it is saved.")
    photograph(page, "drawing-split-offline")
    page.context.set_offline(False)
    await_saved(page)
    page.wait_for_selector("[data-building][data-review=added]")
    second.refresh_from_db()
    pieces = Building.objects.filter(decisions__kind="split", source="analyst")
    assert (second.review, pieces.count(), standing(row)) == ("replaced", 2, 6)
    assert sum(p.outline.area for p in pieces) == pytest.approx(second.outline.area, rel=0.02)


def _edit_by_keys(page: Page, third: Building, photograph: Any) -> None:
    """Nudge it whole, then one corner, until it is crooked; then square it."""
    pick(page, str(third.uid))
    begin(page, "Edit", "redraw")
    page.keyboard.press("Shift+ArrowRight")
    page.click("[name=nudge-north]")
    page.keyboard.press(".")
    expect(page.locator(".drawing")).to_have_attribute("data-corner", "0")
    for _ in range(2):
        page.keyboard.press("Shift+ArrowDown")
    photograph(page, "drawing-corner")
    page.keyboard.press("Insert")
    expect(page.locator(".drawing legend").first).to_contain_text("of 5")
    page.keyboard.press("Delete")
    expect(page.locator(".drawing legend").first).to_contain_text("4 corners")
    page.keyboard.press("s")
    page.wait_for_selector("text=Corners are square.")
    photograph(page, "drawing-square")
    save(page)
    edited = Building.objects.get(pk=third.pk)
    assert (edited.review, len(edited.outline[0])) == ("redrawn", 5)
    assert width(edited) == pytest.approx(40, abs=2)
    assert edited.outline.centroid.x > third.outline.centroid.x


def _lay_over_the_neighbour(page: Page, fourth: Building, photograph: Any) -> None:
    """The page says so at once, and does not send it."""
    pick(page, str(fourth.uid))
    begin(page, "Edit", "redraw")
    for _ in range(60):  # some 60 pixels of the image
        page.keyboard.press("Shift+ArrowLeft")
    page.wait_for_selector(".drawing .trouble:has-text('lies over another building')")
    expect(page.locator(".drawing .primary")).to_be_disabled()
    photograph(page, "drawing-overlap")
    page.keyboard.press("Escape")
    page.wait_for_selector("[data-drawing]", state="detached")


def _move_all_and_take_back(row: Assessment, page: Page, photograph: Any) -> None:
    """By a drag and by keys."""
    page.keyboard.press("Escape")
    before = {b.uid: b.outline.centroid.x for b in row.buildings.exclude(review="replaced")}
    begin(page, "Shift outlines", "shift")
    click_corners(page, [place(5, 5), place(400, 5), place(400, 90), place(5, 90)])
    page.wait_for_selector(".drawing :text('6 outlines move')")
    drag(page, place(200, 150), place(206, 150))
    page.keyboard.press("Shift+ArrowRight")
    photograph(page, "drawing-shift")
    save(page)
    page.wait_for_selector("text=Saved: shifted.")
    shifts = Decision.objects.filter(kind="shift")
    assert (shifts.count(), shifts.values("batch").distinct().count()) == (6, 1)
    for building in row.buildings.filter(uid__in=before).exclude(review="replaced"):
        assert building.outline.centroid.x - before[building.uid] > 5 * STEP
    page.keyboard.press("Control+z")
    page.wait_for_selector("text=Undone.")
    await_saved(page)
    for building in row.buildings.filter(uid__in=before).exclude(review="replaced"):
        assert building.outline.centroid.x == pytest.approx(before[building.uid], abs=1e-9)


def test_marks_by_keys_alone_and_by_buttons(row: Assessment, page: Page, photograph: Any) -> None:
    first, second, *_ = houses(row)
    _press(page, "Mark ground that cannot be judged")
    page.wait_for_selector("[data-drawing=not_assessable]")
    for way in ("Right", "Down", "Left"):
        page.keyboard.press("c")
        page.wait_for_timeout(400)
        for _ in range(3):
            page.keyboard.press(f"Shift+Arrow{way}")
        await_map(page)
    page.keyboard.press("c")
    page.wait_for_timeout(400)
    page.keyboard.press("Enter")
    page.wait_for_selector(".drawing :text('enclosed')")
    page.click("[name=because-cloud]")
    save(page)
    page.wait_for_selector("[data-areas='1']")
    area = ReviewedArea.objects.get()
    assert (area.kind, area.because) == ("not_assessable", "cloud")
    await_map(page)
    photograph(page, "not-assessable")

    _doubt(page, first, second, photograph)


def _doubt(page: Page, first: Building, second: Building, photograph: Any) -> None:
    page.reload()
    await_map(page)
    pick(page, str(first.uid))
    page.keyboard.press("u")
    page.wait_for_selector("text=Why can it not be told?")
    photograph(page, "unsure")
    page.keyboard.press("2")
    await_saved(page)
    first.refresh_from_db()
    assert (first.review, first.grade, first.unsure_because) == ("unsure", "unclassified", "shadow")
    pick(page, str(second.uid))
    page.click("button:has-text('Flag'):not(:has-text('note'))")
    page.wait_for_selector("button[aria-pressed=true]:has-text('Flag')")
    await_saved(page)
    second.refresh_from_db()
    assert (second.flagged, second.review) == (True, "unreviewed")
