"""WCAG 2.2 AA: axe finds nothing on any page in any state; then what axe cannot see."""

from datetime import date
from typing import Any

import numpy as np
import pytest
from django.test import RequestFactory
from playwright.sync_api import Page, expect

from tests.browser.axe import FOCUS_SHOWN, Check
from tests.browser.conftest import SignIn
from tests.browser.map_page import await_map, await_saved, pick, picked, screen_position
from tests.browser.tabs import resize
from tests.unosat.makers import (
    SIDE,
    make_done_assessment,
    make_model,
    make_organisation,
    make_scene,
    make_user,
)
from unosat.accounts.actors import actor_for_user
from unosat.accounts.services import create_key
from unosat.assessments.models import Assessment
from unosat.middleware import broken
from unosat.review.models import Building, Decision
from unosat.scenes.models import Event, Fetch, Scene
from unosat.training.models import TrainingRun

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("application")]

FINGER_PX = 44  # of the screen


@pytest.fixture
def row() -> Assessment:
    """Done, with houses in a row and an image from before."""
    made = make_done_assessment(make_organisation(), houses=6)
    grey = np.full((3, SIDE, SIDE), 90, np.uint8)
    made.before_scene = make_scene(made.organisation, grey, phase="before")
    made.save()
    return made


def test_axe_finds_nothing_on_any_page_in_any_state(
    row: Assessment, sign_in: SignIn, check: Check, photograph: Any
) -> None:
    admin = make_user(row.organisation, "admin")
    admin.is_staff = True
    page = sign_in(admin)
    page.set_default_timeout(30_000)
    for state, address in _addresses(row).items():
        page.goto(address)
        check(page, state)
    _check_forms(page, row, check)
    _check_what_no_view_answers(page, check)
    _check_review(page, row, check, photograph)

    stranger = page.context.browser
    assert stranger is not None
    visitor = stranger.new_page(base_url=page.url)
    visitor.goto("/accounts/login/")
    check(visitor, "signed out")
    visitor.fill("[name=username]", "nobody")
    visitor.fill("[name=password]", "nothing")
    visitor.click("main button[type=submit]")
    visitor.wait_for_selector("[role=alert]")
    check(visitor, "sign-in refused")
    visitor.context.close()


def _addresses(row: Assessment) -> dict[str, str]:
    """Pages that are what they are once they are loaded, by what they show."""
    event, scene, organisation = row.scene.event, row.scene, row.organisation
    create_key(actor_for_user(make_user(organisation, "admin")), name="QGIS")
    Scene.objects.filter(pk=scene.pk).update(synthetic=True, warnings=["No nodata value is set."])
    shown = {
        "sign-in page, signed in": "/accounts/login/",
        "dashboard": "/",
        "all assessments": "/assessments/",
        "new event": "/events/new",
        "event": f"/events/{event.pk}/",
        "scene ready": f"/scenes/{scene.pk}/",
        "scene before": f"/scenes/{row.before_scene_id}/",
        "training": "/training/",
        "models": "/models/",
        "API keys": "/keys/",
        "status": "/status/",
        "health": "/health",
        "not found": "/nowhere/",
        "another organisation's": f"/events/{_event(make_organisation()).pk}/",
        "empty event": f"/events/{_event(organisation).pk}/",
    }
    for state in ("uploaded", "refused"):
        why = {"refusal_code": "no_georeference", "refusal_message": "It does not say where it is."}
        other = Scene.objects.create(
            organisation=organisation,
            event=event,
            name=f"{state}.tif",
            phase="after",
            state=state,
            **(why if state == "refused" else {}),
        )
        shown[f"scene {state}"] = f"/scenes/{other.pk}/"
    Fetch.objects.create(
        organisation=organisation,
        event=event,
        url="https://example.org/a.tif",
        state="failed",
        failure_code="unreachable",
        failure_message="It does not answer.",
    )
    for state in ("done", "failed", "cancelled", "running"):
        run = _run(row, state)
        shown[f"training run {state}"] = f"/training/runs/{run.pk}/"
    return shown


def _event(organisation: Any) -> Event:
    return Event.objects.create(
        organisation=organisation, name="Flood", kind="flood", date=date(2025, 5, 4)
    )


def _run(row: Assessment, state: str) -> TrainingRun:
    why = {"failure_code": "failed", "failure_message": "The worker ended."}
    scores = {"kept_aside": None, "synthetic": {"damaged_f1": 0.4}}
    run = TrainingRun.objects.create(
        organisation=row.organisation,
        base_version=row.model_version,
        state=state,
        progress={"step": 3, "steps": 9, "loss": 0.5, "seconds_left": 90},
        scores={"old": scores, "new": scores} if state == "done" else {},
        **(why if state == "failed" else {}),
    )
    if state == "done":
        run.new_version = make_model(active=False, organisation=row.organisation, training_run=run)
        run.save()
    return run


def _check_forms(page: Page, row: Assessment, check: Check) -> None:
    page.goto("/events/new")
    page.fill("[name=name]", row.scene.event.name)
    page.fill("[name=date]", "2025-01-02")
    page.click("main button[type=submit]")
    check(page, "event refused")
    page.goto("/keys/")
    page.fill("[name=name]", "GIS")
    page.click("text=Create a key")
    page.wait_for_selector("#new-key")
    check(page, "new key")
    page.goto(f"/events/{row.scene.event_id}/")
    page.route("**/api/v1/uploads**", lambda route: route.abort())
    page.set_input_files("[name=file]", {"name": "a.tif", "mimeType": "", "buffer": b"II*" * 99})
    page.click(".upload button[type=submit]")
    page.wait_for_selector(".sending, [data-stage=refused]")
    check(page, "upload interrupted")
    page.unroute("**/api/v1/uploads**")
    page.context.clear_cookies(name="csrftoken")
    page.goto("/keys/")


def _check_what_no_view_answers(page: Page, check: Check) -> None:
    answer = broken(RequestFactory().get("/"))
    page.route(
        "**/broken", lambda route: route.fulfill(body=answer.content, content_type="text/html")
    )
    page.goto("/broken")
    check(page, "500")
    analyst_only = page.request.get("/models/")
    assert analyst_only.ok


def _check_review(page: Page, row: Assessment, check: Check, photograph: Any) -> None:
    for state in ("failed", "running"):
        why = {"failure_code": "all_shards", "failure_message": "No shard could be done."}
        other = Assessment.objects.create(
            organisation=row.organisation,
            scene=row.scene,
            model_version=row.model_version,
            name=state,
            state=state,
            **(why if state == "failed" else {}),
        )
        other.shards.create(index=0, tiles_total=9, tiles_done=4, state="failed", log="Traceback")
        page.goto(f"/assessments/{other.pk}/")
        page.wait_for_selector(f"[role=alert]:not(:empty), [data-state={state}]")
        check(page, f"assessment {state}")
    page.goto(f"/assessments/{row.pk}/")
    await_map(page)
    check(page, "nothing picked")
    for fold in page.locator("#side summary, #legend .marks summary").all():
        fold.click()
    pick(page, str(row.buildings.order_by("pk")[0].uid))
    photograph(page, "decide")
    check(page, "a building picked")
    page.keyboard.press("?")
    page.wait_for_selector("dialog.help[open]")
    page.click("[data-key-of=reject] button")
    page.keyboard.press("e")
    page.wait_for_selector("[role=alert]:has-text('already does')")
    photograph(page, "keys")
    check(page, "keys, one of them clashes")
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    page.keyboard.press("a")
    page.wait_for_selector("[data-drawing=add]")
    check(page, "drawing")
    page.keyboard.press("Escape")


def test_all_is_done_by_keyboard_alone_with_keys_of_ones_own(
    row: Assessment, sign_in: SignIn, photograph: Any
) -> None:
    page = sign_in(make_user(row.organisation))
    page.emulate_media(reduced_motion="reduce", forced_colors="active")
    page.goto(f"/assessments/{row.pk}/")
    await_map(page)
    _skip_to(page, "To the building and its decisions", "#side")

    page.keyboard.press("j")
    first = _await_picked(page)
    _hold(page, "x")
    second = _await_picked(page, first)
    await_saved(page)
    assert list(Decision.objects.values_list("kind", flat=True)) == ["reject"]
    _set_keys(page, second)
    third = _take_a_key_over(page)
    photograph(page, "forced-colours")
    _switch_keys_off(page, third)


def _set_keys(page: Page, uid: str) -> None:
    """Reject it by a key of one's own; the one that it came with does nothing."""
    expect(page.locator(".queue .pair kbd")).to_have_text(["K", "N", "T"])  # as in the toolbar
    _give_key(page, "reject", "r")
    expect(page.locator(".actions .reject kbd")).to_have_text("R")
    page.keyboard.press("x")
    page.keyboard.press("r")
    _await_picked(page, uid)
    await_saved(page)
    assert _review(uid) == "rejected"
    assert Decision.objects.count() == 2


def _take_a_key_over(page: Page) -> str:
    """Accept one by the key that is still the rejection's after a reload. Returns the next."""
    page.reload()
    await_map(page)
    _give_key(page, "accept", "r")
    page.keyboard.press("n")
    uid = _await_picked(page)
    expect(page.locator(".actions .reject kbd")).to_have_count(0)
    page.keyboard.press("r")
    following = _await_picked(page, uid)
    await_saved(page)
    assert _review(uid) == "accepted"
    return following


def _switch_keys_off(page: Page, uid: str) -> None:
    """No key decides, after a reload neither; the button does."""
    page.keyboard.press("?")
    page.uncheck("[name=single-keys]")
    page.keyboard.press("r")  # a dialog is open, too
    page.keyboard.press("Escape")
    page.reload()
    await_map(page)
    expect(page.locator(".queue .pair kbd")).to_have_count(0)
    pick(page, uid)
    page.keyboard.press("r")
    page.wait_for_timeout(300)  # nothing comes of it
    assert _review(uid) == "unreviewed"
    _tab_to(page, "[name=minor_damage]")
    page.keyboard.press("Enter")
    _await_picked(page, uid)
    await_saved(page)
    assert _review(uid) == "regraded"


def test_what_refreshes_itself_keeps_the_focus_and_says_what_changed(
    row: Assessment, sign_in: SignIn
) -> None:
    scene = Scene.objects.create(
        organisation=row.organisation,
        event=row.scene.event,
        name="late.tif",
        phase="after",
        state="checking",
    )
    page = sign_in(make_user(row.organisation))
    page.goto(f"/events/{row.scene.event_id}/")
    page.focus(f"#scene-{scene.pk}")
    Scene.objects.filter(pk=scene.pk).update(
        state="refused", refusal_code="no_georeference", refusal_message="Where is it?"
    )

    expect(page.locator("#announcer")).to_have_text("late.tif: refused")
    assert page.evaluate("document.activeElement.id") == f"scene-{scene.pk}"


def test_a_tablet_is_enough(
    row: Assessment, sign_in: SignIn, check: Check, photograph: Any
) -> None:
    page = sign_in(
        make_user(row.organisation), viewport={"width": 820, "height": 1180}, has_touch=True
    )
    page.goto(f"/assessments/{row.pk}/")
    await_map(page)
    house = row.buildings.order_by("pk")[4]
    middle = house.outline.centroid
    page.touchscreen.tap(*screen_position(page, (middle.x, middle.y)))
    page.wait_for_selector(f"[data-building='{house.uid}']")
    photograph(page, "tablet")
    check(page, "tablet")
    for name in ("accept", "reject", "grade0", "grade3", "edit"):
        button = page.locator(f"#side [data-action={name}]")
        expect(button).to_be_in_viewport()
        box = button.bounding_box()
        assert box is not None
        assert box["height"] >= FINGER_PX
    page.tap("[name=minor_damage]")
    _await_picked(page, str(house.uid))
    page.tap("[data-action=next]")
    await_saved(page)
    house.refresh_from_db()
    assert (house.grade, house.review) == ("minor_damage", "regraded")

    resize(page, {"width": 320, "height": 256})  # 1280 by 1024 at 400 %
    check(page, "review at 400 %")
    for address in ("/", f"/events/{row.scene.event_id}/", "/models/", f"/assessments/{row.pk}/"):
        page.goto(address)
        assert page.evaluate("document.documentElement.scrollWidth") <= 320, address


def _review(uid: str) -> str:
    return Building.objects.get(uid=uid).review


def _await_picked(page: Page, before: str = "") -> str:
    page.wait_for_selector(f"[data-building]:not([data-building='{before}'])[aria-busy=false]")
    return picked(page)


def _skip_to(page: Page, words: str, target: str) -> None:
    """Take a skip link, as the first thing that the Tab key finds."""
    page.keyboard.press("Tab")
    expect(page.locator(":focus")).to_have_text("To the content")
    page.keyboard.press("Tab")
    expect(page.locator(":focus")).to_have_text(words)
    page.keyboard.press("Enter")
    expect(page.locator(target)).to_be_focused()


def _hold(page: Page, key: str) -> None:
    """Hold a key for the time of three decisions: it repeats itself, and must decide once."""
    for _ in range(3):
        page.keyboard.down(key)
        page.wait_for_timeout(300)
    page.keyboard.up(key)


def _give_key(page: Page, action: str, key: str) -> None:
    """Set a key in the help, by keyboard; whatever had it gives it up."""
    page.keyboard.press("?")
    page.wait_for_selector("dialog.help[open]")
    _tab_to(page, f"[data-key-of={action}] button")
    page.keyboard.press("Enter")
    page.wait_for_selector(".changing [role=group]:focus")
    page.keyboard.press(key)
    if page.locator("text=already does").count():
        _tab_to(page, "button:has-text('Use it here instead')")
        page.keyboard.press("Enter")
    expect(page.locator(f"[data-key-of={action}] kbd")).to_have_text(key.upper())
    expect(page.locator(f"[data-key-of={action}] button")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator("dialog.help")).to_have_count(0)


def _tab_to(page: Page, wanted: str) -> None:
    """Press Tab until it has the focus; everything on the way shows where the focus is."""
    for _ in range(80):
        if page.locator(f"{wanted}:focus").count():
            return
        page.keyboard.press("Tab")
        shown = page.evaluate(FOCUS_SHOWN)
        assert shown is True, shown
    raise AssertionError(f"Tab never comes to {wanted}")
