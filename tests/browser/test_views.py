"""Before and after are compared, imagery is adjusted, places are found; and all goes on mapless."""

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Page, Request, expect

from tests import long
from tests.browser.conftest import SignIn
from tests.browser.map_page import Place, await_map, await_saved, picked, screen_position
from tests.unosat.makers import (
    NORTH,
    SIDE,
    STEP,
    WEST,
    make_done_assessment,
    make_organisation,
    make_scene,
    make_user,
    scene_with_houses,
)
from unosat.assessments.models import Assessment
from unosat.review.models import Building

pytestmark = [long.journeys, pytest.mark.browser, pytest.mark.usefixtures("application")]

GREY = 90  # of the image before, everywhere
HOUSES = 5
MIDDLE = (WEST + SIDE / 2 * STEP, NORTH - SIDE / 2 * STEP)
LEFT, RIGHT = (MIDDLE[0] - 400 * STEP, MIDDLE[1]), (MIDDLE[0] + 400 * STEP, MIDDLE[1])


@pytest.fixture
def row() -> Assessment:
    """Done, with houses in a row, an image from before, and near infrared in the one after."""
    made = make_done_assessment(make_organisation(), houses=HOUSES)
    seen = scene_with_houses()
    colours = np.concatenate([seen, seen[:1] // 2])
    made.scene = make_scene(
        made.organisation, colours, band_order="red,green,blue,nir", pixel_size_m=0.5
    )
    grey = np.full((3, SIDE, SIDE), GREY, np.uint8)
    made.before_scene = make_scene(
        made.organisation, grey, phase="before", name="before.tif", pixel_size_m=0.5
    )
    made.save()
    return made


@pytest.fixture
def sent() -> list[str]:
    """Addresses of all that the page asks for, from its start."""
    return []


@pytest.fixture
def page(row: Assessment, sign_in: SignIn, sent: list[str]) -> Page:
    opened = sign_in(make_user(row.organisation))
    opened.on("request", lambda request: sent.append(request.url))
    opened.goto(f"/assessments/{row.pk}/")
    await_map(opened)
    return opened


def test_before_and_after_are_compared_and_the_habit_is_kept(
    row: Assessment, page: Page, sent: list[str], photograph: Any
) -> None:
    assert shows_after(page, LEFT)
    assert shows_after(page, RIGHT)
    before = f"/tiles/scenes/{row.before_scene_id}/"
    assert not any(before in address for address in sent)  # nobody has wanted it yet
    _keep_before(page)
    assert any(before in address for address in sent)
    _swipe_by_keys(page, row)
    _swipe_by_hand(page, row)
    photograph(page, "swipe")
    _move_two_maps(page)
    photograph(page, "side-by-side")
    _decide_beside(page, row)

    page.reload()
    await_map(page)
    await_both(page)
    page.click("button:text-is('After')")
    expect(page.locator(".twin")).to_have_count(0)

    _blink(page, lambda: page.keyboard.down("b"), lambda: page.keyboard.up("b"))
    _blink(page, lambda: hold(page), page.mouse.up)

    alone = make_done_assessment(row.organisation)
    page.goto(f"/assessments/{alone.pk}/")
    expect(page.locator(".views")).to_contain_text("no image from before")
    expect(page.locator(".views button:disabled")).to_have_count(5)


def _keep_before(page: Page) -> None:
    """The first of it that is wanted; another building is seen as it is after."""
    kept = page.locator(".views button:text-is('Before')")
    kept.click()
    page.wait_for_selector(".view-tag:text-is('Before')")
    expect(kept).to_have_attribute("aria-pressed", "true")
    assert not shows_after(page, LEFT)
    page.keyboard.press("n")
    expect(kept).to_have_attribute("aria-pressed", "false")
    page.wait_for_selector(".view-tag", state="detached")
    for _ in range(2):
        page.keyboard.press("Shift+b")
    expect(kept).to_have_attribute("aria-pressed", "false")
    page.keyboard.press("Escape")
    await_map(page)
    assert shows_after(page, LEFT)


def _decide_beside(page: Page, row: Assessment) -> None:
    """A decision shows on both maps: the grade's own orange, which nothing had before."""
    house = last_house(row)
    page.click(".legend > summary")  # it lies over the map of the image before
    page.mouse.click(*screen_position(page, house))
    uid = str(row.buildings.order_by("pk")[HOUSES - 1].uid)
    page.wait_for_selector(f"[data-building='{uid}'][aria-busy=false]")
    assert [_orange(page, house, on) for on in ("#map", ".twin")] == [False, False]
    page.keyboard.press("1")
    await_saved(page)
    await_both(page)
    assert [_orange(page, house, on) for on in ("#map", ".twin")] == [True, True]


def _orange(page: Page, place: Place, on: str) -> bool:
    away = np.abs(colours_at(page, place, on) - (240, 144, 47)).max(axis=2)
    return bool((away < 12).any())


def _swipe_by_keys(page: Page, row: Assessment) -> None:
    page.click("button:text-is('Swipe')")
    page.wait_for_selector(".twin[data-map-idle=true]")
    line = page.get_by_role("slider", name="Line between before and after")
    assert not shows_after(page, LEFT)
    assert shows_after(page, RIGHT)
    line.focus()
    line.press("End")
    expect(line).to_have_attribute("aria-valuenow", "100")
    assert not shows_after(page, RIGHT)
    house = colours_at(page, last_house(row))
    assert np.ptp(house, axis=2).max() > 60  # buildings are drawn on it too
    for key in ("Home", "ArrowRight", "PageUp"):
        line.press(key)
    expect(line).to_have_attribute("aria-valuetext", "12 % before")
    assert shows_after(page, LEFT)


def _swipe_by_hand(page: Page, row: Assessment) -> None:
    box = page.get_by_role("slider", name="Line between before and after").bounding_box()
    assert box is not None
    assert min(box["width"], box["height"]) >= 24
    page.mouse.move(box["x"] + 5, box["y"] + 5)
    page.mouse.down()
    page.mouse.move(*screen_position(page, MIDDLE))
    page.mouse.up()
    assert not shows_after(page, LEFT)
    # a click goes through the map that lies over the other
    page.mouse.click(*screen_position(page, last_house(row)))
    page.wait_for_selector("[data-building][aria-busy=false]")


def _move_two_maps(page: Page) -> None:
    page.click("button:text-is('Side by side')")
    await_both(page)
    view = page.get_attribute("#map", "data-view") or ""
    before, after = (page.locator(one).bounding_box() for one in (".twin", "#map"))
    assert before is not None
    assert after is not None
    assert before["width"] == pytest.approx(after["width"], abs=1)
    page.mouse.move(before["x"] + 300, before["y"] + 400)
    page.mouse.down()
    page.mouse.move(before["x"] + 200, before["y"] + 400, steps=4)
    page.mouse.up()
    expect(page.locator("#map")).not_to_have_attribute("data-view", view)
    await_both(page)
    assert page.get_attribute(".twin", "data-view") == page.get_attribute("#map", "data-view")


def _blink(page: Page, press: Callable[[], None], release: Callable[[], None]) -> None:
    await_map(page)
    assert shows_after(page, LEFT)
    press()
    page.wait_for_selector(".view-tag:text-is('Before')")
    page.wait_for_timeout(100)  # a few frames: nothing is asked of the server
    assert not shows_after(page, LEFT)
    release()
    page.wait_for_selector(".view-tag", state="detached")
    page.wait_for_timeout(100)
    assert shows_after(page, LEFT)


def test_the_picture_is_adjusted_by_the_tile_server_and_places_are_gone_to(
    row: Assessment, page: Page, photograph: Any
) -> None:
    asked: list[str] = []
    page.on("request", lambda sent: asked.extend(_looks(sent, row)))
    _adjust(page, asked)
    photograph(page, "imagery")
    _adjusted_again_after_a_reload(page, asked)
    _go_to_places(page)
    photograph(page, "place")
    _go_to_buildings(page, row)
    _move_by_the_overview(page)


def _adjust(page: Page, asked: list[str]) -> None:
    plain = np.median(colours_at(page, RIGHT))
    page.click("button:text-is('Imagery')")
    page.fill("[data-image=after] [name=contrast]", "60")
    await_look(page, asked, "?contrast=60")
    assert np.median(colours_at(page, RIGHT)) < 0.3 * plain  # ground, at a fifth of the range
    page.select_option("[name=bands]", "infrared")
    await_look(page, asked, "?bands=4,1,2&contrast=60")


def _adjusted_again_after_a_reload(page: Page, asked: list[str]) -> None:
    asked.clear()
    page.reload()
    await_look(page, asked, "?bands=4,1,2&contrast=60")
    page.click("button:text-is('Imagery')")
    page.fill("[data-image=after] [name=imagery-opacity]", "40")
    asked.clear()
    page.click("[data-image=after] [name=reset]")
    await_look(page, asked, "")
    assert 20 < np.median(colours_at(page, RIGHT)) < 60
    page.click("button:text-is('Imagery')")


def _go_to_places(page: Page) -> None:
    page.select_option("[name=coordinates]", "mgrs")
    centre = page.locator("[data-coordinate=centre] code")
    expect(centre).to_contain_text("36S W")
    zone, square, east, north = centre.inner_text().split()
    go_to(page, f"{zone} {square} {int(east) + 40:05} {north}")
    page.wait_for_selector(".marked-place")
    await_map(page)
    now = centre.inner_text().split()
    assert now[:2] == [zone, square]
    assert int(now[2]) == pytest.approx(int(east) + 40, abs=1)
    go_to(page, "36S WD 123")
    expect(page.locator("#goto-trouble")).to_contain_text("even number of digits")


def _go_to_buildings(page: Page, row: Assessment) -> None:
    building = row.buildings.order_by("pk")[2]
    go_to(page, str(building.uid)[:12])
    page.wait_for_selector(f"[data-building='{building.uid}']")
    go_to(page, "00000000")
    expect(page.locator("#goto-trouble")).to_contain_text("No building of this analysis")


def _move_by_the_overview(page: Page) -> None:
    overview = page.get_by_role("button", name="Overview of the image")
    for key in ("ArrowRight", "Enter"):
        await_map(page)
        view = page.get_attribute("#map", "data-view") or ""
        overview.press(key)
        expect(page.locator("#map")).not_to_have_attribute("data-view", view)
    await_map(page)
    assert shows_after(page, LEFT)


@pytest.mark.parametrize("lacking", ["code", "webgl"])
def test_without_a_map_buildings_are_listed_and_decided_on(
    row: Assessment, sign_in: SignIn, photograph: Any, lacking: str
) -> None:
    page = sign_in(make_user(row.organisation))
    if lacking == "code":
        page.route("**/workbench-*.js", lambda route: route.abort())
    else:
        page.add_init_script(
            "const get = HTMLCanvasElement.prototype.getContext;"
            "HTMLCanvasElement.prototype.getContext = function (kind, ...more) {"
            " return String(kind).startsWith('webgl') ? null : get.call(this, kind, ...more); };"
        )
    page.goto(f"/assessments/{row.pk}/")

    says = {"code": "could not be loaded", "webgl": "no WebGL"}[lacking]
    expect(page.locator(".no-map")).to_contain_text(says)
    page.click("[data-listed] summary")
    page.click("[data-listed] .row >> nth=0")
    page.wait_for_selector("[data-building][aria-busy=false]")
    uid = picked(page)
    photograph(page, f"no-map-{lacking}")
    page.keyboard.press("Enter")
    page.wait_for_selector(f"[data-building]:not([data-building='{uid}'])[aria-busy=false]")
    await_saved(page)
    assert Building.objects.get(uid=uid).review == "accepted"


def colours_at(page: Page, place: Place, on: str = "#map") -> NDArray[np.int64]:
    """The 40 x 40 pixels of the screen about a place, on one of two maps in step."""
    x, y = screen_position(page, place)
    if on != "#map":
        here, there = (page.locator(one).bounding_box() for one in ("#map", on))
        assert here is not None
        assert there is not None
        x, y = x + there["x"] - here["x"], y + there["y"] - here["y"]
    picture = page.screenshot(clip={"x": x - 20, "y": y - 20, "width": 40, "height": 40})
    return np.array(Image.open(io.BytesIO(picture)).convert("RGB")).astype(np.int64)


def shows_after(page: Page, place: Place) -> bool:
    """Whether a place shows the image after, which has texture, or the even grey of before."""
    return bool(np.abs(colours_at(page, place) - GREY).max() > 12)


def hold(page: Page) -> None:
    page.hover("[name=blink]")
    page.mouse.down()


def await_both(page: Page) -> None:
    page.wait_for_selector("#map[data-map-idle=true]")
    page.wait_for_selector(".twin[data-map-idle=true]")


def go_to(page: Page, text: str) -> None:
    page.fill(".goto input", text)
    page.keyboard.press("Enter")


def last_house(row: Assessment) -> Place:
    """Its middle, on the ground."""
    middle = row.buildings.order_by("pk")[HOUSES - 1].outline.centroid
    return middle.x, middle.y


def await_look(page: Page, asked: list[str], query: str) -> None:
    """Wait until tiles of this look have come, and the ones before are gone."""
    for _ in range(200):
        if query in asked:
            break
        page.wait_for_timeout(50)
    assert query in asked
    await_map(page)


def _looks(sent: Request, row: Assessment) -> list[str]:
    """The query of a tile of the image after; nothing of other requests."""
    address, mark, query = sent.url.partition("?")
    is_tile = f"/tiles/scenes/{row.scene_id}/" in address and address.endswith(".webp")
    return [mark + query] if is_tile and "overview" not in address else []
