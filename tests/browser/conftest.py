"""A real Chromium before the real application. One file per journey of a user."""

import os
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import User
from django.db import connections
from django.test import Client
from playwright.sync_api import (
    Browser,
    BrowserContext,
    Page,
    Request,
    ViewportSize,
    expect,
    sync_playwright,
)

from tests.browser.axe import Check, violations
from tests.live import Stack

# Playwright's own event loop runs in this thread, and Django then takes every query for a mistake.
os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "true")

CHROMIUM = os.environ.get("UNOSAT_CHROMIUM", "/usr/bin/chromium")
SOFTWARE_WEBGL = ["--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader"]
SCREENSHOTS = Path(__file__).resolve().parents[2] / "var" / "screenshots"
WINDOW = ViewportSize(width=1440, height=900)
PASSWORD = "correct horse"  # noqa: S105 (of nobody outside a test)
PATIENCE_MS = 30_000
expect.set_options(timeout=PATIENCE_MS)

SignIn = Callable[..., Page]  # of a user; keywords: what else Playwright knows of a browser


@pytest.fixture(scope="session")
def chromium(django_db_setup: None) -> Iterator[Browser]:  # noqa: ARG001 (the database comes first)
    """One browser for all tests; each person has a context of their own in it."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=SOFTWARE_WEBGL)
        yield browser
        browser.close()
        # Inside Playwright's loop Django keeps connections of its own: nobody else closes them.
        for connection in connections.all(initialized_only=True):
            connection.close()
            connection.close_pool()  # type: ignore[attr-defined]


@pytest.fixture
def application(web: Stack) -> Stack:
    """The web process alone, for journeys that need no worker."""
    return web


@pytest.fixture
def sign_in(chromium: Browser, request: pytest.FixtureRequest) -> Iterator[SignIn]:
    """Return a function that opens a browser of its own for a user who is signed in there.

    With ``by_form`` the user types name and password; a session that is there already costs
    neither two slow hashes nor a page. All get ``PASSWORD``, for forms that come later.

    Such a test also asks for ``application`` or ``live_stack``, by name or by ``usefixtures``.
    It fails if any page asked another host for anything, missed a part of itself, or ran into an
    error of ours.
    """
    name = "live_stack" if "live_stack" in request.fixturenames else "application"
    stack: Stack = request.getfixturevalue(name)
    contexts: list[BrowserContext] = []
    wrong: list[str] = []

    def open_for(user: User, *, by_form: bool = False, **device: Any) -> Page:
        options: dict[str, Any] = {"viewport": WINDOW, "color_scheme": "dark"} | device
        context = chromium.new_context(
            base_url=stack.url, timezone_id="UTC", accept_downloads=True, **options
        )
        contexts.append(context)
        context.set_default_timeout(PATIENCE_MS)
        context.on("request", lambda sent: wrong.extend(_foreign(sent, stack.url)))
        context.on("requestfailed", lambda sent: wrong.extend(_missing(sent)))
        user.password = hashed_password()
        user.save()
        page = context.new_page()
        page.on("pageerror", lambda error: wrong.append(f"script error: {error}"))
        if by_form:
            _fill_in(page, user)
        else:
            _give_session(context, user, stack.url)
            page.goto("/")
        page.wait_for_url(stack.url)
        return page

    yield open_for
    for context in contexts:
        context.close()
    assert wrong == []


@cache
def hashed_password() -> str:
    """``PASSWORD`` as the web process's own settings hash it: once, for that is slow on purpose."""
    return make_password(PASSWORD, hasher="pbkdf2_sha256")


def _fill_in(page: Page, user: User) -> None:
    page.goto("/accounts/login/")
    page.fill("[name=username]", user.get_username())
    page.fill("[name=password]", PASSWORD)
    page.click("main button[type=submit]")


def _give_session(context: BrowserContext, user: User, url: str) -> None:
    """Put the cookie there that a sign-in would have left."""
    client = Client()
    client.force_login(user)
    name = settings.SESSION_COOKIE_NAME
    value = client.cookies[name].value
    context.add_cookies([{"name": name, "value": value, "url": url, "httpOnly": True}])


@pytest.fixture
def photograph() -> Callable[[Page, str], None]:
    """Return a function that keeps a picture of a page for people to look at."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)

    def keep(page: Page, name: str) -> None:
        page.screenshot(path=SCREENSHOTS / f"{name}.png")

    return keep


@pytest.fixture
def check() -> Iterator[Check]:
    """Return a function that has axe look at a page; the test fails if it ever found something."""
    found: list[str] = []

    def look(page: Page, state: str) -> None:
        found.extend(f"{state}: {one}" for one in violations(page))

    yield look
    assert found == [], "\n".join(found)


def _missing(sent: Request) -> list[str]:
    """Styles and scripts that did not come, but for those of a page that was left meanwhile."""
    left = "ERR_ABORTED" in (sent.failure or "")
    part = sent.resource_type in {"stylesheet", "script"}
    return [f"did not come: {sent.url} ({sent.failure})"] if part and not left else []


def _foreign(sent: Request, ours: str) -> list[str]:
    parts = urlsplit(sent.url)
    local = parts.scheme in {"data", "blob"} or sent.url.startswith(ours)
    return [] if local else [f"asked another host: {sent.url}"]
