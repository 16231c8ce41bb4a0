"""Nothing is lost: no line, a killed tab, a crashed browser, two tabs, a server that restarts.

One journey after the other, in a browser of its own whose profile outlives it.
"""

import os
import re
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect

from tests.browser.conftest import (
    CHROMIUM,
    PASSWORD,
    PATIENCE_MS,
    SOFTWARE_WEBGL,
    WINDOW,
    SignIn,
    hashed_password,
)
from tests.browser.map_page import await_map, await_saved, pick
from tests.browser.tabs import killed
from tests.live import Stack, free_port, gone, processes_of
from tests.unosat.makers import make_done_assessment, make_organisation, make_user
from unosat.assessments.models import Assessment
from unosat.ops import processes
from unosat.review.models import Building, Decision

pytestmark = pytest.mark.browser

HOUSES = 6
EACH = 10  # decisions on each house without a line
ALL = HOUSES * EACH
SENT = re.compile(r"/decisions(/several)?$")
FULL = """IDBObjectStore.prototype.add = () => {
  throw new DOMException("no room", "QuotaExceededError");
};"""


@pytest.fixture
def row(transactional_db: None) -> Assessment:  # noqa: ARG001 (the web process sees it)
    return make_done_assessment(make_organisation(), houses=HOUSES)


@pytest.fixture
def analyst(row: Assessment) -> User:
    user = make_user(row.organisation)
    user.password = hashed_password()
    user.save()
    return user


class Crashing:
    """A browser with a profile folder; it can be killed and started again."""

    def __init__(self, chromium: Browser, profile: Path, url: str) -> None:
        self.chromium = chromium
        self.profile = profile
        self.url = url
        self.context = self.start()

    def start(self) -> BrowserContext:
        self.context = self.chromium.browser_type.launch_persistent_context(
            self.profile,
            executable_path=CHROMIUM,
            args=SOFTWARE_WEBGL,
            viewport=WINDOW,
            base_url=self.url,
        )
        self.context.set_default_timeout(PATIENCE_MS)
        return self.context

    def crash(self) -> None:
        """Kill -9 of the browser itself."""
        pid = self._process()
        os.kill(pid, signal.SIGKILL)
        assert gone(pid)

    def _process(self) -> int:
        """Of the browser with this profile, and of none of its children."""
        found = []
        for folder in Path("/proc").iterdir():
            if not folder.name.isdigit():
                continue
            with suppress(FileNotFoundError, ProcessLookupError):
                line = (folder / "cmdline").read_bytes().decode(errors="replace")
                if str(self.profile) in line and "--type=" not in line:
                    found.append(int(folder.name))
        (pid,) = [pid for pid in found if "chrom" in _name(pid)]
        return pid


@pytest.fixture
def application(
    transactional_db: None,  # noqa: ARG001 (what the web process sees must be committed)
    redis_url: str,
    tmp_path: Path,
) -> Iterator[Stack]:
    """A web process that no other test uses: it is killed here."""
    with processes_of(redis_url, tmp_path / "log") as stack:
        stack.start_web(free_port())
        yield stack


@pytest.fixture
def browser(chromium: Browser, application: Stack, tmp_path: Path) -> Iterator[Crashing]:
    crashing = Crashing(chromium, tmp_path / "profile", application.url)
    yield crashing
    crashing.context.close()


def sign_in_as(page: Page, user: User) -> None:
    page.goto("/accounts/login/")
    if page.locator("[name=username]").count():
        page.fill("[name=username]", user.get_username())
        page.fill("[name=password]", PASSWORD)
        page.click("main button[type=submit]")
    page.wait_for_selector(f".who:has-text('{user.get_username()}')")


def open_map(page: Page, row: Assessment) -> None:
    page.goto(f"/assessments/{row.pk}/")
    await_map(page)


def stay(page: Page) -> None:
    """Remain at a building after a decision."""
    page.click("summary:has-text('Keys and habits')")
    page.uncheck("[name=advance]")


def unsaved(page: Page, count: int) -> None:
    page.wait_for_selector(f"[data-waiting='{count}']")


def not_sending(route: Route) -> None:
    if route.request.method == "POST":
        route.abort()
    else:
        route.continue_()


def test_no_decision_is_lost_and_none_is_made_twice(  # noqa: PLR0915 (one journey)
    row: Assessment, analyst: User, browser: Crashing, application: Stack, photograph: Any
) -> None:
    page = browser.context.new_page()
    sign_in_as(page, analyst)
    open_map(page, row)
    expect(page.get_by_text("All saved")).to_be_visible()
    stay(page)
    houses = [str(uid) for uid in row.buildings.order_by("pk").values_list("uid", flat=True)]
    for uid in houses:
        pick(page, uid)
        page.wait_for_selector(f"[data-building='{uid}'][aria-busy=false]")

    # No line for long: work goes on, and the page says what is not saved.
    browser.context.set_offline(True)
    for uid in houses:
        pick(page, uid)
        page.wait_for_selector(f"[data-building='{uid}'][aria-busy=false]")
        for number in range(EACH):
            page.keyboard.press(str(number % 4))
    unsaved(page, ALL)
    page.wait_for_selector(
        f"[data-waiting]:has-text('{ALL} not saved yet'):has-text('no connection')"
    )
    photograph(page, "offline")
    assert not Decision.objects.exists()

    # The tab is killed, then the whole browser: all is there again, and as it was decided.
    browser.context.route(SENT, not_sending)
    browser.context.set_offline(False)
    page = killed(page)
    open_map(page, row)
    unsaved(page, ALL)
    browser.crash()
    page = browser.start().new_page()
    browser.context.route(SENT, not_sending)
    sign_in_as(page, analyst)
    open_map(page, row)
    unsaved(page, ALL)
    pick(page, houses[0])
    page.wait_for_selector(f"[data-building='{houses[0]}'][data-version='{EACH}']")

    # Two tabs, and a server that ends in the middle of it.
    other = browser.context.new_page()
    open_map(other, row)
    unsaved(other, ALL)
    stay(other)
    pick(other, houses[1])
    other.wait_for_selector(f"[data-building='{houses[1]}'][aria-busy=false]")
    other.keyboard.press("x")
    unsaved(page, ALL + 1)
    browser.context.unroute(SENT)
    other.keyboard.press("3")
    while Decision.objects.count() < ALL // 6:
        other.wait_for_timeout(20)
    stop_web(application)
    other.keyboard.press("2")
    other.wait_for_selector("[data-waiting]:has-text('no connection')")
    application.start_web(int(application.url.rpartition(":")[2].rstrip("/")))
    for tab in (page, other):
        await_saved(tab)
        expect(tab.get_by_text("All saved")).to_be_visible()

    assert Decision.objects.count() == ALL + 3
    assert set(Decision.objects.values_list("user_id", flat=True)) == {analyst.pk}
    for uid in houses:
        numbers = Decision.objects.filter(building__uid=uid).order_by("made_at")
        expected = EACH + (3 if uid == houses[1] else 0)
        assert list(numbers.values_list("number", flat=True)) == list(range(1, expected + 1))

    # What was decided before the crash can be taken back, and done again after a reload.
    page.bring_to_front()
    for _ in range(3):
        page.keyboard.press("Control+z")  # without a wait: they queue
    await_saved(page)
    house = Building.objects.get(uid=houses[1])
    assert (house.version, house.review) == (EACH + 6, "regraded")
    page.reload()
    await_map(page)
    page.keyboard.press("Control+Shift+z")
    page.wait_for_selector(":text('Done again: rejected.')")
    await_saved(page)
    house.refresh_from_db()
    assert (house.version, house.review) == (EACH + 7, "rejected")


def test_nothing_is_sent_as_somebody_else_nor_decided_without_being_kept(  # noqa: PLR0915
    row: Assessment, sign_in: SignIn, photograph: Any
) -> None:
    analyst, colleague = make_user(row.organisation), make_user(row.organisation)
    page = sign_in(analyst)
    colleague.password = hashed_password()
    colleague.save()
    open_map(page, row)
    house = row.buildings.order_by("pk")[0]
    stay(page)
    pick(page, str(house.uid))
    page.wait_for_selector("[data-building][aria-busy=false]")

    Session.objects.all().delete()  # it expired
    page.keyboard.press("1")
    page.wait_for_selector(
        "[data-waiting='1']:has-text('you are signed out') a:has-text('Sign in')"
    )

    other = page.context.new_page()
    sign_in_as(other, colleague)
    open_map(other, row)
    expect(other.get_by_text("All saved")).to_be_visible()  # his own: he has none
    page.click("text=Try now")
    page.keyboard.press("2")
    unsaved(page, 2)
    photograph(page, "signed-out")
    other.click("text=Sign out")
    sign_in_as(other, analyst)
    page.bring_to_front()
    page.click("text=Try now")
    await_saved(page)
    made = list(Decision.objects.order_by("made_at").values_list("user_id", "grade"))
    assert made == [(analyst.pk, "minor_damage"), (analyst.pk, "major_damage")]

    other.add_init_script(FULL)
    open_map(other, row)
    stay(other)
    pick(other, str(house.uid))
    other.wait_for_selector("[data-building][aria-busy=false]")
    other.keyboard.press("x")
    expect(other.get_by_text("Your last decision was not made.")).to_be_visible()
    other.wait_for_selector("[data-building][data-review=regraded]")
    other.keyboard.press("x")
    expect(other.get_by_text("Nothing can be kept in this browser")).to_be_visible()
    photograph(other, "cannot-keep")
    assert Decision.objects.count() == len(made)


def stop_web(stack: Stack) -> None:
    """Kill -9, as a power cut would."""
    web = next(one for one in stack._processes if one.poll() is None)
    processes.kill_session(web)


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
