"""An image from before is chosen, and the page of the assessment says how it was laid."""

from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import SignIn
from tests.live import Stack
from tests.unosat.makers import make_model, make_organisation, make_pair, make_user, town

pytestmark = [pytest.mark.browser, pytest.mark.timeout(900)]

PLANNED_MS = 300_000  # until a worker has planned it, on a machine that does much else


def test_a_chosen_pair_says_on_its_page_how_it_was_laid(
    live_stack: Stack,  # noqa: ARG001 (its worker plans; none detects)
    sign_in: SignIn,
    photograph: Any,
) -> None:
    organisation = make_organisation()
    for kind in ("after", "before_after"):
        make_model(input_kind=kind)
    before, after = make_pair(organisation, town(right_px=10))  # 4.5 m
    page = sign_in(make_user(organisation))

    page.goto(f"/scenes/{after.pk}/")
    page.select_option("[name=before_scene]", str(before.pk))
    photograph(page, "pair-chosen")
    page.click("button:text-is('Analyse')")

    expect(page.locator(".bar")).to_contain_text("compared with before.tif")
    images = page.locator("[data-images=before_after]")
    expect(images).to_contain_text("it was moved 4.", timeout=PLANNED_MS)
    photograph(page, "pair")
    expect(images.locator(".warn")).to_have_count(0)
