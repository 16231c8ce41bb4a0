"""Uploads go on where they stopped, and a refusal says why."""

from datetime import date
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Page, Route, expect

from tests.browser.conftest import SignIn
from tests.conftest import MakeGeotiff
from tests.unosat.makers import make_organisation, make_user
from unosat.scenes.models import Event, Scene, Upload

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("live_stack")]

CHUNK_BYTES = 16 * 1024**2


@pytest.fixture
def user() -> User:
    return make_user(make_organisation())


@pytest.fixture
def event(user: User) -> Event:
    return Event.objects.create(
        organisation=user.membership.organisation,
        name="Flood",
        kind="flood",
        date=date(2025, 5, 4),
    )


def test_an_upload_goes_on_after_a_reload_and_sends_no_chunk_twice(
    sign_in: SignIn, user: User, event: Event, make_geotiff: MakeGeotiff
) -> None:
    # of noise, so that it cannot shrink: three chunks
    pixels = np.random.default_rng(1).integers(1, 255, (3, 3600, 3600), dtype=np.uint8)
    file = make_geotiff(pixels, name="wide.tif")
    page = sign_in(user)
    page.goto(f"/events/{event.pk}/")
    sent: list[int] = []

    def break_after_one(route: Route) -> None:
        if route.request.method != "PATCH":
            return route.continue_()
        if sent:
            return route.abort()
        sent.append(int(route.request.headers["upload-offset"]))
        return route.continue_()

    page.context.route("**/api/v1/uploads/*", break_after_one)
    _choose(page, file)
    page.click(".upload button[type=submit]")
    _await_offset(page, CHUNK_BYTES)

    page.reload()
    page.context.unroute("**/api/v1/uploads/*")
    expect(page.get_by_text("Not finished: wide.tif")).to_be_visible()
    offsets: list[int] = []
    page.on("request", lambda request: offsets.extend(_offset_of(request)))
    _choose(page, file)
    page.click("button:has-text('Go on with the upload')")
    page.wait_for_selector("[data-stage=ready], [data-stage=refused]", timeout=120_000)

    assert offsets[0] == CHUNK_BYTES
    assert Upload.objects.count() == 1
    assert page.get_attribute(".upload", "data-stage") == "ready"
    assert Scene.objects.get().sha256 == sha256(file.read_bytes()).hexdigest()


def test_what_is_no_geotiff_is_refused_with_a_reason_and_a_way_on(
    sign_in: SignIn,
    user: User,
    event: Event,
    tmp_path: Path,
    photograph: Any,
) -> None:
    file = tmp_path / "holiday.tif"
    file.write_bytes(b"\xff\xd8\xff\xe0 a photograph, renamed" * 100)
    page = sign_in(user)
    page.goto(f"/events/{event.pk}/")

    _choose(page, file)
    page.click(".upload button[type=submit]")
    page.wait_for_selector("[data-stage=refused]", timeout=60_000)
    photograph(page, "refused")

    reason = page.inner_text("[data-stage=refused] [role=alert] p")
    scene = Scene.objects.get()
    assert (scene.state, scene.refusal_message) == ("refused", reason)
    page.click("text=Choose another file")
    expect(page.locator("input[name=file]")).to_be_visible()


def _choose(page: Page, file: Path) -> None:
    page.set_input_files("input[name=file]", file)


def _await_offset(page: Page, offset: int) -> None:
    for _ in range(100):
        upload = Upload.objects.first()
        if upload and upload.offset == offset:
            return
        page.wait_for_timeout(200)
    raise AssertionError("the first chunk did not arrive")


def _offset_of(request: Any) -> list[int]:
    if request.method != "PATCH":
        return []
    assert UUID(request.url.rpartition("/")[2])
    return [int(request.headers["upload-offset"])]
