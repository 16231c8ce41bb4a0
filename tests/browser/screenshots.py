"""Pictures of the screens, in their states and at three widths: ``make screenshots``.

They are for people to look at, in ``var/screenshots``. Named so that `make test` does not make
them; two of them are the README's, which are made anew from the demonstration's town.
"""

import re
from collections.abc import Callable

import pytest
from PIL import Image
from playwright.sync_api import Page, Route

from tests.browser.conftest import SCREENSHOTS, SignIn
from tests.browser.map_page import await_map, pick
from tests.live import PROJECT, Stack
from tests.unosat.makers import (
    make_actor,
    make_building,
    make_done_assessment,
    make_organisation,
    make_user,
)
from unosat.accounts.models import Organisation
from unosat.assessments.models import Assessment
from unosat.ops.management.commands.seed_demo import Command
from unosat.training import registry

pytestmark = [pytest.mark.browser, pytest.mark.timeout(1800)]

WIDTHS = {1280: 800, 1920: 1080, 820: 1180}  # px, and how high
PICTURES = PROJECT / "frontend" / "pictures"
README_SIZE = (1440, 900)  # px
DETECTION_MS = 900_000

Shoot = Callable[[Page, str], None]


@pytest.fixture
def shoot() -> Shoot:
    """Return a function that keeps a page as it is, at each of the widths."""

    def keep(page: Page, name: str) -> None:
        folder = SCREENSHOTS / "workbench"
        folder.mkdir(parents=True, exist_ok=True)
        for width, height in WIDTHS.items():
            page.set_viewport_size({"width": width, "height": height})
            page.wait_for_timeout(1500)  # the map follows the window, and draws
            page.screenshot(path=folder / f"{name}-{width}.png")

    return keep


@pytest.fixture
def organisation() -> Organisation:
    return make_organisation()


@pytest.mark.usefixtures("application")
def test_states_of_the_review_page(
    organisation: Organisation, sign_in: SignIn, shoot: Shoot
) -> None:
    page = sign_in(make_user(organisation))

    empty = make_done_assessment(organisation, houses=0)
    page.goto(f"/assessments/{empty.pk}/")
    await_map(page)
    shoot(page, "empty")

    row = make_done_assessment(organisation, houses=9)
    waiting: list[Route] = []
    page.route("**/api/v1/assessments/**", waiting.append)
    page.goto(f"/assessments/{row.pk}/")
    shoot(page, "loading")
    page.unroute("**/api/v1/assessments/**")

    failed = make_done_assessment(organisation, houses=0)
    Assessment.objects.filter(pk=failed.pk).update(
        state="failed", failure_code="storage_full", failure_message="The disk is full."
    )
    page.goto(f"/assessments/{failed.pk}/")
    shoot(page, "failed")


@pytest.mark.usefixtures("application")
def test_no_connection_and_somebody_quicker(
    organisation: Organisation, sign_in: SignIn, shoot: Shoot
) -> None:
    row = make_done_assessment(organisation, houses=9)
    page = sign_in(make_user(organisation))
    other = sign_in(make_user(organisation))
    page.goto(f"/assessments/{row.pk}/")
    await_map(page)
    first, second = row.buildings.order_by("pk")[:2]
    pick(page, str(first.uid))
    page.context.set_offline(True)
    page.keyboard.press("2")
    page.wait_for_timeout(3000)
    shoot(page, "offline")
    page.context.set_offline(False)
    page.keyboard.press("Escape")

    page.route("**/events", lambda route: route.abort())
    page.route("**/presence", lambda route: route.abort())
    page.goto(f"/assessments/{row.pk}/")
    await_map(page)
    pick(page, str(second.uid))
    other.goto(f"/assessments/{row.pk}/")
    await_map(other)
    pick(other, str(second.uid))
    other.keyboard.press("0")
    other.wait_for_timeout(3000)
    page.keyboard.press("1")
    page.wait_for_selector("dialog[open]")
    shoot(page, "conflict")


@pytest.mark.usefixtures("application")
def test_many_buildings_and_what_opens_over_them(
    organisation: Organisation, sign_in: SignIn, shoot: Shoot
) -> None:
    row = make_done_assessment(organisation, houses=12)
    for _ in range(400):
        make_building(row, 3)
    page = sign_in(make_user(organisation))
    page.goto(f"/assessments/{row.pk}/")
    await_map(page)
    page.keyboard.press("n")
    page.wait_for_selector("[data-building]")
    shoot(page, "many")
    for key, name in (
        ("?", "help"),
        ("t", "table"),
        ("u", "unsure"),
        ("e", "edit"),
        ("v", "split"),
    ):
        page.keyboard.press(key)
        shoot(page, name)
        page.keyboard.press("Escape")


def test_the_demonstration_for_the_readme(
    organisation: Organisation, live_stack: Stack, sign_in: SignIn, shoot: Shoot
) -> None:
    registry.sync_shipped_models()
    live_stack.start_worker("detect")
    Command().show_scene(make_actor(organisation, "admin"))
    row = Assessment.objects.get()
    page = sign_in(make_user(organisation))
    page.set_viewport_size({"width": README_SIZE[0], "height": README_SIZE[1]})
    page.goto(f"/assessments/{row.pk}/")
    page.wait_for_selector("#downloads:not([hidden])", timeout=DETECTION_MS)
    page.reload()
    await_map(page)
    page.keyboard.press("n")
    page.wait_for_selector("[data-building]")
    for _ in range(2):
        page.click(".maplibregl-ctrl-zoom-in")
        await_map(page)
    _for_readme(page, "review")
    shoot(page, "town")
    for name in ("quality", "team"):
        page.goto(f"/assessments/{row.pk}/{name}/")
        shoot(page, name)
    page.goto(re.sub(r"/assessments/.*", f"/events/{row.scene.event_id}/", page.url))
    shoot(page, "event")
    page.goto("/")
    shoot(page, "events")


def _for_readme(page: Page, name: str) -> None:
    taken = SCREENSHOTS / f"{name}.png"
    page.screenshot(path=taken)
    with Image.open(taken) as picture:
        picture.convert("RGB").resize((1200, 750)).save(
            PICTURES / f"{name}.webp", quality=80, method=6
        )
