"""Areas are shared out, a building is judged again blind, and a third person settles it."""

from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Page, expect

from tests import long
from tests.browser.conftest import PATIENCE_MS, SignIn
from tests.browser.map_page import await_map, draw
from tests.unosat.makers import (
    NORTH,
    STEP,
    WEST,
    make_done_assessment,
    make_organisation,
    make_user,
)
from unosat.accounts.actors import actor_for_user
from unosat.assessments.models import Assessment
from unosat.review import services as review_services
from unosat.review.models import Decision
from unosat.review.services import DecisionRequest
from unosat.teams.models import SecondLook, SecondLookPlan, TeamArea

pytestmark = [long.journeys, pytest.mark.browser, pytest.mark.usefixtures("application")]

CORNERS = [(5, 5), (500, 5), (500, 500), (5, 500)]  # in pixels of the image, round all houses
LOOKS_DONE = """async (id) => {
    const answer = await fetch(`/api/v1/assessments/${id}/team`);
    return (await answer.json()).looks.done === 2;
}"""


def open_team(page: Page, row: Assessment) -> None:
    page.goto(f"/assessments/{row.pk}/")
    await_map(page)
    page.click(".team-panel summary")
    page.wait_for_selector("[data-team-areas]:not([data-team-areas=''])")


def answered(row: Assessment) -> int:
    return SecondLook.objects.filter(assessment=row).exclude(answer="").count()


def test_three_people_share_look_again_and_settle(sign_in: SignIn) -> None:
    organisation = make_organisation()
    row = make_done_assessment(organisation, houses=3)
    ann, bea, cem = (make_user(organisation) for _ in range(3))
    SecondLookPlan.objects.create(assessment=row, share_percent=100)

    first = sign_in(ann)
    open_team(first, row)
    first.click("text=Draw an area")
    draw(first, [(WEST + x * STEP, NORTH - y * STEP) for x, y in CORNERS])
    first.click(".drawing .primary")
    first.click(".team-panel summary")
    first.click("[aria-label='Claim area Drawn 1']")
    first.wait_for_selector("[data-mine='Drawn 1']")
    assert TeamArea.objects.get().held_by_id == ann.pk

    second = sign_in(bea)
    open_team(second, row)
    expect(second.locator("[data-area='Drawn 1']")).to_contain_text(ann.get_username())
    expect(second.locator("[aria-label='Claim area Drawn 1']")).to_have_count(0)

    for house in row.buildings.order_by("pk")[:2]:
        wanted = DecisionRequest(id=uuid4(), kind="accept", building=house.uid)
        review_services.record_decision(actor_for_user(ann), row.pk, wanted)
    for _ in ("close", "open"):
        first.click(".team-panel summary")
    expect(first.locator("[data-area='Drawn 1']")).to_contain_text(
        "2 of 3 reviewed", timeout=PATIENCE_MS
    )
    first.click("[aria-label='Finish area Drawn 1']")
    first.wait_for_selector("[data-area='Drawn 1'][data-state=finished]")
    expect(second.locator("[data-area='Drawn 1']")).to_contain_text("finished by")

    _judges_blind(second, row, ann)
    _settles(sign_in(cem), row)

    first.goto(f"/assessments/{row.pk}/team/")
    expect(first.get_by_text("The same answer in 1 of 2 pairs.")).to_be_visible()


def _judges_blind(page: Page, row: Assessment, ann: User) -> None:
    """By keyboard: one answer taken back and given again, then the next."""
    page.goto(f"/assessments/{row.pk}/second-looks/")
    page.wait_for_selector("[data-picture=there]")
    shown = page.inner_text("main")
    assert ann.get_username() not in shown
    assert "accepted" not in shown.lower()
    expect(page.locator("[data-left]")).to_have_attribute("data-left", "2")

    page.keyboard.press("3")
    expect(page.locator("[data-left]")).to_have_attribute("data-left", "1")
    page.keyboard.press("Control+z")
    expect(page.locator("[data-left]")).to_have_attribute("data-left", "2")
    page.keyboard.press("0")
    page.keyboard.press("3")
    page.wait_for_selector("[data-nothing]")
    page.goto(f"/assessments/{row.pk}/team/")  # leaving sends what is not sent yet
    page.wait_for_function(LOOKS_DONE, arg=str(row.pk))
    assert answered(row) == 2


def _settles(page: Page, row: Assessment) -> None:
    page.goto(f"/assessments/{row.pk}/disagreements/")
    page.wait_for_selector("[data-picture=there]")
    expect(page.locator(".both")).to_contain_text("Destroyed")
    expect(page.locator(".both")).to_contain_text("No damage")
    page.click("[name=minor_damage]")
    page.wait_for_selector("[data-nothing]")
    page.wait_for_selector("[data-unsaved='0']")
    last = Decision.objects.order_by("-made_at")[0]
    assert (last.kind, last.grade) == ("regrade", "minor_damage")
    assert last.reason.startswith("Adjudicated: first destroyed, second no damage")
