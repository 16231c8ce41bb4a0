"""An upload that is paused, or loses its connection, goes on where it stopped."""

from datetime import date
from hashlib import sha256

import numpy as np
import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.conftest import SignIn
from tests.conftest import MakeGeotiff
from tests.unosat.makers import make_organisation, make_user
from unosat.ops.store import store_path
from unosat.scenes.models import Event, Upload

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("application")]

CHUNK_BYTES = 16 * 1024**2


class Line:
    """Lets chunks through or holds them up, and keeps count."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.open = False
        self.sent: list[int] = []
        self._held: list[Route] = []
        page.context.route("**/api/v1/uploads/*", self._meet)

    def _meet(self, route: Route) -> None:
        if route.request.method != "PATCH":
            route.continue_()
        elif self.open or not self.sent:
            self.sent.append(int(route.request.headers["upload-offset"]))
            route.continue_()
        else:
            self._held.append(route)

    def await_held(self) -> int:
        """Wait until a chunk is on its way; returns where in the file it begins."""
        for _ in range(150):
            if self._held:
                return int(self._held[-1].request.headers["upload-offset"])
            self.page.wait_for_timeout(200)
        raise AssertionError("no chunk was sent")

    def cut(self) -> None:
        """Lose the connection, with a chunk on its way."""
        self.page.context.set_offline(True)
        self._held.pop().abort("internetdisconnected")

    def mend(self) -> None:
        self.open = True
        self.page.context.set_offline(False)

    def forget_held(self) -> None:
        self._held.clear()


def test_an_upload_is_paused_resumed_and_survives_a_lost_connection(
    sign_in: SignIn, make_geotiff: MakeGeotiff
) -> None:
    pixels = np.random.default_rng(1).integers(1, 255, (3, 3600, 3600), dtype=np.uint8)
    file = make_geotiff(pixels, name="wide.tif")  # of noise: three chunks
    user = make_user(make_organisation())
    event = Event.objects.create(
        organisation=user.membership.organisation,
        name="Flood",
        kind="flood",
        date=date(2025, 5, 4),
    )
    page = sign_in(user)
    line = Line(page)
    page.goto(f"/events/{event.pk}/")
    heading = page.locator(".sending h3")

    page.set_input_files("input[name=file]", file)
    page.click(".upload button[type=submit]")
    assert line.await_held() == CHUNK_BYTES
    page.click("button:text-is('Pause')")
    expect(heading).to_have_text("Paused")
    line.forget_held()
    page.wait_for_timeout(1500)  # a pause that lasts
    assert line.sent == [0]
    assert Upload.objects.get().offset == CHUNK_BYTES

    page.click("button:text-is('Resume')")
    expect(heading).to_have_text("Uploading")
    assert line.await_held() == CHUNK_BYTES
    line.cut()
    expect(heading).to_have_text("Interrupted")
    expect(page.locator(".notice:has-text('The connection was lost.')")).to_be_visible()
    line.mend()  # the page notices, and goes on by itself

    page.wait_for_selector("[data-stage=checking]")
    assert line.sent == [0, CHUNK_BYTES, 2 * CHUNK_BYTES]
    arrived = store_path(Upload.objects.get().path).read_bytes()
    assert sha256(arrived).digest() == sha256(file.read_bytes()).digest()
