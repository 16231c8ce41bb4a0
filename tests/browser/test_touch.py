"""A tablet held upright, and nothing but fingers: outlines are added, edited, split and merged."""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from playwright.sync_api import CDPSession, Page, expect

from detection.grades import Grade
from tests import long
from tests.browser.conftest import SignIn
from tests.browser.map_page import Place, await_map, await_saved, place, screen_position
from tests.unosat.makers import (
    STEP,
    make_done_assessment,
    make_organisation,
    make_user,
)
from unosat.accounts.actors import actor_for_user
from unosat.assessments.models import Assessment
from unosat.review import services
from unosat.review.models import Building
from unosat.review.services import DecisionRequest

pytestmark = [long.journeys, pytest.mark.browser, pytest.mark.usefixtures("application")]

FINGER_PX = 44  # of the screen
STEPS = 8  # of a finger's way
TOO_SMALL = """(least) => [...document.querySelectorAll("button, summary, select, label.check")]
    .filter((one) => one.checkVisibility({ visibilityProperty: true }) && !one.closest("[inert]"))
    .map((one) => [one.innerText.trim() || one.ariaLabel || one.name, one.getBoundingClientRect()])
    .filter(([, { width, height }]) => width && (width < least || height < least))
    .map(([name, { width, height }]) => `${name}: ${Math.round(width)} x ${Math.round(height)}`)"""


@pytest.fixture
def row() -> Assessment:
    return make_done_assessment(make_organisation(), houses=4)


@pytest.fixture
def page(row: Assessment, sign_in: SignIn) -> Page:
    tablet = {"viewport": {"width": 820, "height": 1180}, "has_touch": True}
    opened = sign_in(make_user(row.organisation), **tablet)
    opened.goto(f"/assessments/{row.pk}/")
    await_map(opened)
    return opened


@pytest.fixture
def finger(page: Page) -> Iterator[CDPSession]:
    """What a finger does is sent to the browser itself: Playwright's own only taps."""
    session = page.context.new_cdp_session(page)
    yield session
    session.detach()


def test_outlines_are_drawn_with_a_finger(
    row: Assessment, page: Page, finger: CDPSession, photograph: Any
) -> None:
    first, second, *_ = row.buildings.order_by("footprint_id")
    assert page.evaluate(TOO_SMALL, FINGER_PX) == []
    annexe = _add(page, finger, photograph)
    _drag_a_corner(page, finger, annexe, photograph)
    _split(row, page, second, photograph)
    _merge_and_take_back_offline(page, first, annexe, photograph)
    _have_a_merge_refused(row, page, first, annexe, photograph)


def _add(page: Page, finger: CDPSession, photograph: Any) -> Building:
    """Beside the first house, wall to wall; closed by the button, for a finger hides the corner."""
    _spread(page, finger, place(69, 20))
    page.tap("[data-action=add]")
    page.wait_for_selector("[data-drawing=add]")
    assert page.evaluate(TOO_SMALL, FINGER_PX) == []
    _tap(page, place(62, 22), place(76, 22))
    page.tap("button:has-text('Close the outline')")
    page.wait_for_selector("text=An outline needs three corners or more.")
    _tap(page, place(76, 58))
    photograph(page, "touch-sketch")
    _tap(page, place(62, 58))
    page.tap("button:has-text('Close the outline')")
    page.wait_for_selector(".drawing :text('enclosed')")
    page.tap("[name=new-destroyed]")
    assert page.evaluate(TOO_SMALL, FINGER_PX) == []
    photograph(page, "touch-add")
    _save(page)
    page.wait_for_selector("[data-building][data-review=added]")
    added = Building.objects.get(source="analyst")
    assert len(added.outline[0]) == 5
    return added


def _drag_a_corner(page: Page, finger: CDPSession, annexe: Building, photograph: Any) -> None:
    """Out to the east; the map stays where it is."""
    page.tap("#side [data-action=edit]")
    page.wait_for_selector("[data-drawing=redraw]")
    page.wait_for_timeout(400)  # the map flies there
    await_map(page)
    view = page.get_attribute("#map", "data-view")
    east = annexe.outline.extent[2]
    _drag(page, finger, place(76, 22), place(82, 22))
    photograph(page, "touch-edit")
    assert page.get_attribute("#map", "data-view") == view
    _save(page)
    annexe.refresh_from_db()
    assert annexe.outline.extent[2] - east == pytest.approx(6 * STEP, abs=STEP)


def _split(row: Assessment, page: Page, second: Building, photograph: Any) -> None:
    middle = second.outline.centroid
    _tap(page, (middle.x, middle.y))
    page.wait_for_selector(f"[data-building='{second.uid}'][aria-busy=false]")
    page.tap("#side [data-action=split]")
    page.wait_for_selector("[data-drawing=split]")
    page.wait_for_timeout(400)
    await_map(page)
    _tap(page, place(120, 14), place(120, 66))
    page.tap("button:has-text('End the line')")
    page.wait_for_selector(".drawing :text('becomes 2 buildings')")
    photograph(page, "touch-split")
    _save(page)
    second.refresh_from_db()
    assert second.review == "replaced"
    assert row.buildings.filter(source="analyst").exclude(review="replaced").count() == 3


def _merge_and_take_back_offline(
    page: Page, first: Building, annexe: Building, photograph: Any
) -> None:
    """What is merged into another is off the map before the server knows, and comes back."""
    spot = annexe.outline.centroid
    listed = page.locator(f"[data-listed] [data-uid='{annexe.uid}']")
    _join(page, first, annexe)
    photograph(page, "touch-merge")
    page.context.set_offline(True)
    page.tap(".drawing .primary")
    page.wait_for_selector("[data-waiting='1']")
    expect(listed).to_have_count(0)
    _tap(page, (spot.x, spot.y))
    page.wait_for_timeout(500)
    expect(page.locator(f"[data-building='{first.uid}']")).to_be_visible()  # the whole is hit
    photograph(page, "touch-merge-offline")
    page.tap("[data-action=undo]")
    page.wait_for_selector("[data-waiting='2']")
    expect(listed).to_have_count(1)
    _tap(page, (spot.x, spot.y))
    page.wait_for_selector(f"[data-building='{annexe.uid}']")
    photograph(page, "touch-merge-undone-offline")
    page.context.set_offline(False)
    await_saved(page)
    annexe.refresh_from_db()
    first.refresh_from_db()
    assert (annexe.review, annexe.version, first.review) == ("added", 4, "unreviewed")


def _have_a_merge_refused(
    row: Assessment, page: Page, first: Building, annexe: Building, photograph: Any
) -> None:
    """Somebody else has regraded a part meanwhile: it stands again as they left it.

    Then the merge is done on top of theirs, and the whole has the grade that was meant.
    """
    listed = page.locator(f"[data-listed] [data-uid='{annexe.uid}']")
    _join(page, first, annexe)
    page.context.set_offline(True)
    page.tap(".drawing .primary")
    page.wait_for_selector("[data-waiting='1']")
    expect(listed).to_have_count(0)
    other = actor_for_user(make_user(row.organisation))
    grade = Grade.MINOR_DAMAGE
    wanted = DecisionRequest(uuid4(), "regrade", building=annexe.uid, on_version=4, grade=grade)
    services.record_decision(other, row.pk, wanted)
    page.context.set_offline(False)
    page.wait_for_selector("dialog.conflict :text('a part of what you merged')")
    expect(listed).to_have_count(1)
    cells = page.locator("dialog.conflict tbody tr").nth(1).locator("td")
    expect(cells.nth(1)).to_contain_text("Merged into a building of grade “Destroyed”")
    photograph(page, "touch-merge-refused")
    page.tap("[data-keep=mine]")
    page.wait_for_selector("dialog.conflict", state="detached")
    await_saved(page)
    annexe.refresh_from_db()
    first.refresh_from_db()
    assert (annexe.review, annexe.version, annexe.grade) == ("replaced", 6, "minor_damage")
    assert (first.review, first.grade) == ("redrawn", "destroyed")


def _join(page: Page, first: Building, annexe: Building) -> None:
    """Open the first, and take the other into a merge by a tap on the map."""
    middle, spot = first.outline.centroid, annexe.outline.centroid
    _tap(page, (middle.x, middle.y))
    page.wait_for_selector(f"[data-building='{first.uid}'][aria-busy=false]")
    expect(page.locator(f"[data-listed] [data-uid='{annexe.uid}']")).to_have_count(1)
    page.tap("#side [data-action=merge]")
    page.wait_for_selector("[data-drawing=merge]")
    page.wait_for_timeout(400)
    await_map(page)
    _tap(page, (spot.x, spot.y))
    page.wait_for_selector(".drawing :text('enclosed')")
    assert page.evaluate(TOO_SMALL, FINGER_PX) == []


def _tap(page: Page, *places: Place) -> None:
    await_map(page)
    for x, y in [screen_position(page, one) for one in places]:
        page.touchscreen.tap(x, y)
        page.wait_for_timeout(350)  # faster ones would be a double tap


def _drag(page: Page, finger: CDPSession, start: Place, end: Place) -> None:
    _move(page, finger, [(screen_position(page, start), screen_position(page, end))])


def _spread(page: Page, finger: CDPSession, at: Place) -> None:
    """Two fingers, from 30 px apart to 240: three levels of zoom."""
    await_map(page)
    x, y = screen_position(page, at)
    _move(page, finger, [((x + way * 15, y), (x + way * 120, y)) for way in (-1, 1)])
    page.wait_for_timeout(500)  # it glides on
    await_map(page)


def _move(page: Page, finger: CDPSession, ways: list[tuple[Place, Place]]) -> None:
    """Move a finger along each way, all at once."""
    for part in [step / STEPS for step in range(STEPS + 1)]:
        points = [
            {"x": x + (to_x - x) * part, "y": y + (to_y - y) * part, "id": number}
            for number, ((x, y), (to_x, to_y)) in enumerate(ways)
        ]
        kind = "touchMove" if part else "touchStart"
        finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
        page.wait_for_timeout(30)
    finger.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


def _save(page: Page) -> None:
    expect(page.locator(".drawing .primary")).to_be_enabled()
    page.tap(".drawing .primary")
    page.wait_for_selector("[data-drawing]", state="detached")
    await_saved(page)
