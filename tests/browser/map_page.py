"""The review page as tests use it: where things are on the screen, and what it says."""

import math
from collections.abc import Iterable

from playwright.sync_api import Page

from tests.unosat.makers import NORTH, STEP, WEST

TILE_PX = 512  # of MapLibre's world at zoom 0

Place = tuple[float, float]  # longitude, latitude, in degrees


def place(column: float, line: float) -> Place:
    """Of a pixel of the made image."""
    return WEST + column * STEP, NORTH - line * STEP


def await_map(page: Page) -> None:
    """Wait until everything on the map is drawn."""
    page.wait_for_selector("#map[data-map-idle=true]")


def screen_position(page: Page, place: Place) -> Place:
    """Where a place on the ground is on the screen, in pixels."""
    view = page.get_attribute("#map", "data-view") or ""
    longitude, latitude, zoom = (float(part) for part in view.split(","))
    box = page.locator("#map").bounding_box()
    assert box is not None
    scale = TILE_PX * 2**zoom
    x, y = _mercator(place)
    middle_x, middle_y = _mercator((longitude, latitude))
    return (
        box["x"] + box["width"] / 2 + (x - middle_x) * scale,
        box["y"] + box["height"] / 2 + (y - middle_y) * scale,
    )


def click_on(page: Page, place: Place) -> None:
    """Click on a place on the ground."""
    await_map(page)
    page.mouse.click(*screen_position(page, place))


def draw(page: Page, corners: Iterable[Place]) -> None:
    """Click the corners of an outline, and close it."""
    await_map(page)
    ring = [screen_position(page, corner) for corner in corners]
    for x, y in [*ring, ring[0]]:
        page.mouse.move(x, y)
        page.mouse.click(x, y)
        page.wait_for_timeout(350)  # faster ones would be a double click
    page.wait_for_selector(".drawing :text('enclosed')")


def drag(page: Page, start: Place, end: Place) -> None:
    """Drag what lies at one place to another."""
    await_map(page)
    page.mouse.move(*screen_position(page, start))
    page.mouse.down()
    page.mouse.move(*screen_position(page, end), steps=5)
    page.mouse.up()


def pick(page: Page, uid: str) -> None:
    """Open a building by the list, which is also how a screen reader does it."""
    row = page.locator(f"[data-listed] [data-uid='{uid}']")
    for _ in range(100):  # the list is drawn anew, closed, after something was drawn
        if row.is_visible():
            break
        if not page.locator("[data-listed][open]").count():
            page.click("[data-listed] summary")
        page.wait_for_timeout(100)
    row.click()
    page.wait_for_selector(f"[data-building='{uid}']")


def picked(page: Page) -> str:
    """The building whose details are shown."""
    found = page.get_attribute("[data-building]", "data-building")
    assert found is not None
    return found


def await_saved(page: Page) -> None:
    """Wait until no decision waits to be sent."""
    page.wait_for_selector("[data-waiting]", state="detached")


def _mercator(place: Place) -> Place:
    longitude, latitude = place
    sine = math.sin(math.radians(latitude))
    return (
        longitude / 360 + 0.5,
        0.5 - math.log((1 + sine) / (1 - sine)) / (4 * math.pi),
    )
