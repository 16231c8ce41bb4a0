"""Two people review the same assessment: each sees the other, and nobody is overwritten."""

import re
from typing import Any
from uuid import uuid4

import pytest
import redis
from playwright.sync_api import Page, Route, expect

from detection.grades import Grade
from tests.browser.conftest import PATIENCE_MS, SignIn
from tests.browser.map_page import await_map, await_saved, click_on, pick
from tests.unosat.makers import (
    house_outline,
    make_actor,
    make_done_assessment,
    make_organisation,
    make_user,
)
from unosat.review import services
from unosat.review.models import Building, Decision
from unosat.review.services import DecisionRequest

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("application")]


@pytest.fixture
def two(sign_in: SignIn) -> tuple[Page, Page, Building]:
    """Two analysts on the map of one assessment, and its first building."""
    organisation = make_organisation()
    row = make_done_assessment(organisation)
    building = row.buildings.order_by("pk")[0]
    pages = [sign_in(make_user(organisation)) for _ in range(2)]
    for page in pages:
        page.goto(f"/assessments/{row.pk}/")
        await_map(page)
    return pages[0], pages[1], building


def test_a_decision_shows_in_the_other_browser_without_a_reload(
    two: tuple[Page, Page, Building], photograph: Any
) -> None:
    mine, theirs, building = two
    pick(theirs, str(building.uid))

    click_on(mine, _middle(building))
    mine.wait_for_selector(f"[data-building='{building.uid}']")
    mine.keyboard.press("1")

    theirs.wait_for_selector("[data-review=regraded][data-version='1']")
    expect(theirs.locator("[data-count=minor_damage]")).to_have_text("1")
    expect(theirs.get_by_text("Someone has just changed this building.")).to_be_visible()

    # Each sees where the other looks, on the map and in words.
    for page, other in ((mine, theirs), (theirs, mine)):
        name = (other.text_content(".who span") or "").split(",")[0]
        expect(page.locator(f"[data-peer='{name}']")).to_be_visible()
        expect(page.locator(f"[data-peer-listed='{name}']")).to_be_visible()
    photograph(theirs, "two-people")
    mine.close()
    expect(theirs.locator("[data-peer]")).to_have_count(0, timeout=PATIENCE_MS)


def test_a_decision_that_was_never_announced_to_a_browser_is_caught_up_with(
    two: tuple[Page, Page, Building], redis_url: str
) -> None:
    """Redis cuts the server off while it is made; the server says that it missed something."""
    _, theirs, building = two
    theirs.context.route(re.compile(r"/presence$"), lambda route: route.abort())  # no other hint
    theirs.reload()
    await_map(theirs)
    pick(theirs, str(building.uid))
    with redis.Redis.from_url(redis_url) as client:
        assert client.client_kill_filter(_type="pubsub") > 0
        services.record_decision(
            make_actor(building.organisation),
            building.assessment_id,
            DecisionRequest(id=uuid4(), kind="reject", building=building.uid),
        )
        assert client.pubsub_numpat() == 0  # nobody listened when it was told

    theirs.wait_for_selector("[data-review=rejected][data-version='1']")


def test_an_undo_over_what_another_drew_meanwhile_is_refused_in_words_and_shows_what_stands(
    two: tuple[Page, Page, Building], photograph: Any
) -> None:
    mine, _, building = two
    pick(mine, str(building.uid))
    mine.click(".reject")
    mine.wait_for_selector(":text('Saved: rejected')")
    services.record_decision(
        make_actor(building.organisation),
        building.assessment_id,
        DecisionRequest(
            id=uuid4(), kind="add", grade=Grade.DESTROYED, outline=house_outline(0, shift_px=4)
        ),
    )

    mine.keyboard.press("Control+z")

    mine.wait_for_selector(":text('cannot be taken back: another building stands there now')")
    mine.wait_for_selector("[data-review=rejected][data-version='1']")
    photograph(mine, "undo-refused")
    await_saved(mine)
    building.refresh_from_db()
    assert (building.review, building.version) == ("rejected", 1)


def test_two_decisions_on_one_version_are_a_conflict_that_the_second_person_settles(
    two: tuple[Page, Page, Building], photograph: Any
) -> None:
    mine, theirs, building = two
    seen = building.grade
    deaf = re.compile(r"/events$|/presence$|/decisions\?|/decisions$")
    theirs.context.route(deaf, without_news)
    theirs.reload()
    await_map(theirs)
    pick(theirs, str(building.uid))
    pick(mine, str(building.uid))
    mine.click("[name=no_damage]")
    mine.wait_for_selector(":text('Saved: regraded')")

    theirs.click(".accept")
    theirs.wait_for_selector("dialog[open]")
    photograph(theirs, "conflict")
    building.refresh_from_db()
    assert (building.version, building.review) == (1, "regraded")

    theirs.click("text=Put mine on top")
    theirs.wait_for_selector("[data-review=regraded][data-version='2']")
    await_saved(theirs)
    made = Decision.objects.filter(building=building).order_by("number")
    assert [(one.kind, one.grade) for one in made] == [("regrade", "no_damage"), ("regrade", seen)]
    assert seen != "no_damage"  # to accept was to say the grade that was seen

    pick(mine, str(building.uid))
    mine.wait_for_selector("[data-review=regraded][data-version='2']")
    mine.click("[name=minor_damage]")
    await_saved(mine)
    theirs.click(".reject")
    theirs.click("text=Keep theirs")
    theirs.wait_for_selector("[data-review=regraded][data-version='3']")
    building.refresh_from_db()
    assert (building.version, building.grade) == (3, "minor_damage")


def without_news(route: Route) -> None:
    """They hear of nothing, but what they decide is sent."""
    if route.request.url.endswith("/decisions") and route.request.method == "POST":
        route.continue_()
    else:
        route.abort()


def _middle(building: Building) -> tuple[float, float]:
    centroid = building.outline.centroid
    return centroid.x, centroid.y
