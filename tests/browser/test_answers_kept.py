"""Answers of second looks and of a sample outlive the line and the tab, and arrive once."""

from collections.abc import Callable
from uuid import uuid4

import pytest
from playwright.sync_api import BrowserContext, Page, Route, expect

from tests.browser.conftest import SignIn
from tests.browser.tabs import killed
from tests.unosat.makers import make_actor, make_done_assessment, make_organisation, make_user
from unosat.assessments.models import Assessment
from unosat.quality.models import Item, Sample
from unosat.review import services as review_services
from unosat.review.services import DecisionRequest
from unosat.teams.models import SecondLook, SecondLookPlan

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("application")]

Photograph = Callable[[Page, str], None]


@pytest.fixture
def row() -> Assessment:
    """Three houses that a colleague has decided on, all to be looked at twice, and all sampled."""
    made = make_done_assessment(make_organisation(), houses=3)
    colleague = make_actor(made.organisation)
    SecondLookPlan.objects.create(assessment=made, share_percent=100)
    sample = Sample.objects.create(
        assessment=made,
        created_by_id=colleague.user_id or 0,
        seed=1,
        strata=[],
        square_strata=[],
        side_m=0,
        expected={},
        last_building=0,
    )
    for place, house in enumerate(made.buildings.order_by("pk")):
        wanted = DecisionRequest(id=uuid4(), kind="accept", building=house.uid)
        review_services.record_decision(colleague, made.pk, wanted)
        Item.objects.create(
            sample=sample,
            place=place,
            stratum="destroyed",
            probability=1,
            building=house,
            outline=house.outline,
        )
    return made


def said(row: Assessment) -> list[str]:
    """Every answer that the server has."""
    looks = SecondLook.objects.filter(assessment=row).exclude(answer="")
    items = Item.objects.filter(sample__assessment=row).exclude(answer="")
    return sorted(looks.values_list("answer", flat=True)) + sorted(
        items.values_list("answer", flat=True)
    )


def is_answer(route: Route) -> bool:
    return route.request.url.endswith("/answer") or "/quality-items/" in route.request.url


def no_line(route: Route) -> None:
    if is_answer(route):
        route.abort()
    else:
        route.continue_()


def answer(page: Page, shown: str, key: str) -> None:
    """Answer what is shown, and wait for the next."""
    uid = page.wait_for_selector(f"[{shown}]:not([{shown}=''])")
    assert uid is not None
    was = uid.get_attribute(shown)
    page.keyboard.press(key)
    page.wait_for_selector(f"[{shown}='{was}']", state="detached")


def test_answers_outlive_the_line_and_the_tab_and_arrive_once(
    row: Assessment, sign_in: SignIn, photograph: Photograph
) -> None:
    analyst = make_user(row.organisation)
    page = sign_in(analyst)
    context = page.context
    context.route("**/api/v1/**", no_line)
    page = answer_both_without_a_line(page, row, photograph)
    assert said(row) == []

    # All is there again, and nothing of it is asked again.
    page.goto(f"/assessments/{row.pk}/quality/judge/")
    page.wait_for_selector("[data-unsaved='2']")
    expect(page.locator("[data-left]")).to_have_attribute("data-left", "1")
    other = context.new_page()
    other.goto(f"/assessments/{row.pk}/second-looks/")
    other.wait_for_selector("[data-unsaved='2'][data-left='1']")

    lost = lose_each_receipt_once(context)
    for tab in (other, page):
        tab.bring_to_front()
        expect(tab.locator(".unsaved")).to_contain_text("All saved")
    assert len(lost) == 4
    assert said(row) == ["destroyed", "no_damage", "destroyed", "no_building"]
    answer(page, "data-thing", "1")  # the last one, whose receipt is lost, too: it ends the sample
    page.wait_for_selector("[data-finished]")
    expect(page.locator(".unsaved")).to_contain_text("All saved")
    expect(page.locator("[data-refused]")).to_have_count(0)
    assert Sample.objects.get().state == "done"
    for item in Item.objects.all():
        assert (item.judged_by_id, len(item.answer_ids)) == (analyst.pk, 1)


def answer_both_without_a_line(page: Page, row: Assessment, photograph: Photograph) -> Page:
    """Two answers to each kind of question; each time the tab is killed before they are sent."""
    page.goto(f"/assessments/{row.pk}/second-looks/")
    for key in ("3", "0"):
        answer(page, "data-item", key)
    page.wait_for_selector("[data-waiting]:has-text('no connection')")
    photograph(page, "second-looks-kept")
    page = killed(page)
    page.goto(f"/assessments/{row.pk}/quality/judge/")
    for key in ("3", "x"):
        answer(page, "data-thing", key)
    page.wait_for_selector("[data-waiting='2']:has-text('no connection')")
    expect(page.locator(".unsaved")).to_contain_text("2 given on other pages")
    photograph(page, "sample-kept")
    return killed(page)


def lose_each_receipt_once(context: BrowserContext) -> list[str]:
    """The line is back, but the first time the server's answer to each does not arrive."""
    lost: list[str] = []

    def lose(route: Route) -> None:
        if is_answer(route) and route.request.url not in lost:
            lost.append(route.request.url)
            route.fetch()
            route.abort()
        else:
            route.continue_()

    context.route("**/api/v1/**", lose)  # before the old one goes: nothing gets past both
    context.unroute("**/api/v1/**", no_line)
    return lost
