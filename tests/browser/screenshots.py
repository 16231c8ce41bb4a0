"""Pictures of the screens, in their states and at three widths: ``make screenshots``.

They are for people to look at, in ``var/screenshots``. Named so that `make test` does not make
them; one of them is the README's, which is made anew from the demonstration's town.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from uuid import uuid4

import numpy as np
import pytest
from django.contrib.gis.geos import Polygon as StoredPolygon
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Page, Route
from shapely import Polygon, box

from detection.grades import MODEL_GRADES, Grade
from detection.synthetic import USUAL_DAMAGE, Outline, TownScene
from tests.browser.conftest import SCREENSHOTS, SignIn
from tests.browser.map_page import await_map
from tests.live import PROJECT, Stack
from tests.unosat.makers import (
    NORTH,
    SIDE,
    STEP,
    WEST,
    make_actor,
    make_done_assessment,
    make_organisation,
    make_scene,
    make_user,
)
from unosat.accounts.actors import Actor, actor_for_user
from unosat.accounts.models import Organisation
from unosat.assessments.models import Assessment
from unosat.ops import jobs
from unosat.ops.management.commands.seed_demo import Command
from unosat.quality import services as quality
from unosat.quality.models import Item, Square
from unosat.quality.services import Mark
from unosat.review import services as review
from unosat.review import tasks as review_tasks
from unosat.review.models import Building, Footprint
from unosat.review.services import DecisionRequest
from unosat.teams import choosing, looks
from unosat.teams import services as teams
from unosat.teams.models import SecondLookPlan
from unosat.teams.services import Split
from unosat.training import registry

pytestmark = [pytest.mark.browser, pytest.mark.timeout(1800)]

WIDTHS = {1280: 800, 1920: 1080, 820: 1180}  # px, and how high
ONE = (1280,)
PICTURES = PROJECT / "frontend" / "pictures"
README_SIZE = (1440, 900)  # px
DETECTION_MS = 900_000
DRAWN_MS = 1_500  # until the map has followed the window
STREET_ZOOM = 17.5
TOWN_SEED = 3  # the demonstration's
NO_DAMAGE = (1.0, 0.0, 0.0, 0.0)
DECIDED = 60  # of the town's buildings

Shoot = Callable[..., None]


@pytest.fixture
def shoot() -> Shoot:
    """Return a function that keeps a page as it is, at each of the widths."""

    def keep(page: Page, name: str, widths: Iterable[int] = WIDTHS, *, whole: bool = False) -> None:
        folder = SCREENSHOTS / "workbench"
        folder.mkdir(parents=True, exist_ok=True)
        for width in widths:
            page.set_viewport_size({"width": width, "height": WIDTHS[width]})
            page.wait_for_timeout(DRAWN_MS)
            page.screenshot(path=folder / f"{name}-{width}.png", full_page=whole)

    return keep


@pytest.fixture
def organisation() -> Organisation:
    return make_organisation()


@cache
def town(p_damage: Sequence[float]) -> tuple[NDArray[np.uint8], list[Outline]]:
    return TownScene(TOWN_SEED, 0.5, p_damage).render(0, 0, SIDE, SIDE)


@pytest.fixture
def streets(organisation: Organisation) -> Assessment:
    """Done, of a made-up town before and after; the outlines are its truth, the scores are not."""
    row = make_done_assessment(organisation, houses=0)
    after, outlines = town(USUAL_DAMAGE)
    row.scene = make_scene(organisation, after, synthetic=True, pixel_size_m=0.5)
    row.before_scene = make_scene(
        organisation,
        town(NO_DAMAGE)[0],
        event=row.scene.event,
        name="before.tif",
        phase="before",
        sha256="1" * 64,
        pixel_size_m=0.5,
    )
    row.save()
    dice = np.random.default_rng(5)
    for outline, grade in outlines:
        if outline.within(box(0, 0, SIDE, SIDE)):
            _stand(row, outline, MODEL_GRADES[grade].value, dice)
    jobs.enqueue("order", row.pk, row.organisation_id)
    review_tasks.order(str(row.pk))
    return row


@pytest.mark.usefixtures("application")
def test_states_of_the_review_page(
    organisation: Organisation, sign_in: SignIn, shoot: Shoot
) -> None:
    page = sign_in(make_user(organisation))
    page.goto("/")
    shoot(page, "no-events")

    empty = make_done_assessment(organisation, houses=0)
    page.goto(f"/assessments/{empty.pk}/")
    await_map(page)
    shoot(page, "empty")

    row = make_done_assessment(organisation, houses=9)
    page.route("**/api/v1/assessments/**", leave_waiting)
    page.goto(f"/assessments/{row.pk}/")
    shoot(page, "loading")
    page.unroute("**/api/v1/assessments/**")

    page.route("**/api/v1/assessments/**", lambda route: route.fulfill(status=500, body="{}"))
    page.goto(f"/assessments/{row.pk}/")
    shoot(page, "error")
    page.unroute("**/api/v1/assessments/**")

    failed = make_done_assessment(organisation, houses=0)
    Assessment.objects.filter(pk=failed.pk).update(
        state="failed", failure_code="storage_full", failure_message="The disk is full."
    )
    page.goto(f"/assessments/{failed.pk}/")
    shoot(page, "failed")


@pytest.mark.usefixtures("application")
def test_no_connection_and_somebody_quicker(
    streets: Assessment, organisation: Organisation, sign_in: SignIn, shoot: Shoot
) -> None:
    page = sign_in(make_user(organisation))
    other = sign_in(make_user(organisation))
    first, second = streets.buildings.order_by("turn")[:2]
    open_building(page, streets, first)
    page.context.set_offline(True)
    page.keyboard.press("2")
    page.wait_for_timeout(3000)
    shoot(page, "offline")
    page.context.set_offline(False)
    page.keyboard.press("Escape")

    page.route("**/events", lambda route: route.abort())
    page.route("**/presence", lambda route: route.abort())
    open_building(page, streets, second)
    open_building(other, streets, second)
    other.keyboard.press("0")
    other.wait_for_timeout(3000)
    page.keyboard.press("1")
    page.wait_for_selector("dialog[open]")
    shoot(page, "conflict")


@pytest.mark.usefixtures("application")
def test_many_buildings_and_what_opens_over_them(
    streets: Assessment, organisation: Organisation, sign_in: SignIn, shoot: Shoot
) -> None:
    decide(make_actor(organisation), streets)
    page = sign_in(make_user(organisation))
    page.goto(f"/assessments/{streets.pk}/")
    await_map(page)
    shoot(page, "many")
    go_close(page)
    shoot(page, "building")
    for key, name in (
        ("?", "help"),
        ("t", "table"),
        ("u", "unsure"),
        ("e", "edit"),
        ("v", "split"),
        ("a", "add"),
        ("m", "area"),
    ):
        page.keyboard.press(key)
        shoot(page, name)
        page.keyboard.press("Escape")
    for key, name in (("w", "swipe"), ("d", "side-by-side")):
        page.keyboard.press(key)
        page.wait_for_selector(".twin[data-map-idle=true]")
        shoot(page, name)
        page.keyboard.press(key)
    page.click("button:text-is('Imagery')")
    shoot(page, "imagery")


@pytest.mark.usefixtures("application")
def test_a_light_desktop(
    streets: Assessment, organisation: Organisation, sign_in: SignIn, shoot: Shoot
) -> None:
    page = sign_in(make_user(organisation), color_scheme="light")
    page.goto(f"/assessments/{streets.pk}/")
    await_map(page)
    go_close(page)
    shoot(page, "light-review", ONE)
    for name in ("quality", "team"):
        page.goto(f"/assessments/{streets.pk}/{name}/")
        shoot(page, f"light-{name}", ONE, whole=True)


@pytest.mark.usefixtures("application")
def test_sharing_out_and_second_looks(
    streets: Assessment, organisation: Organisation, sign_in: SignIn, shoot: Shoot
) -> None:
    ann, bea = (make_user(organisation) for _ in range(2))
    page = sign_in(make_user(organisation))
    SecondLookPlan.objects.create(assessment=streets, share_percent=100)
    share_out([actor_for_user(one) for one in (ann, bea)], streets)
    decide(actor_for_user(ann), streets)
    look_again(actor_for_user(bea), streets)
    for name in ("second-looks", "disagreements"):
        page.goto(f"/assessments/{streets.pk}/{name}/")
        page.wait_for_selector("[data-picture=there], [data-nothing], .notice.bad")
        shoot(page, name, whole=True)
    page.goto(f"/assessments/{streets.pk}/team/")
    shoot(page, "team", whole=True)
    page.goto(f"/assessments/{streets.pk}/")
    await_map(page)
    page.click(".team-panel summary")
    page.wait_for_selector("[data-team-areas]:not([data-team-areas=''])")
    page.locator(".team-panel").scroll_into_view_if_needed()
    shoot(page, "team-areas", ONE)


@pytest.mark.usefixtures("application")
def test_judging_a_sample_and_what_it_tells(
    streets: Assessment, organisation: Organisation, sign_in: SignIn, shoot: Shoot
) -> None:
    judge = make_user(organisation)
    decide(make_actor(organisation), streets)
    page = sign_in(judge)
    page.goto(f"/assessments/{streets.pk}/quality/")
    shoot(page, "quality-none", whole=True)
    page.click("text=Draw and begin")
    page.wait_for_selector("[data-kind=building] img")
    shoot(page, "judging-building", whole=True)
    judge_all(actor_for_user(judge), streets, but_squares=True)
    page.reload()
    page.wait_for_selector("[data-kind=square] img")
    shoot(page, "judging-square", whole=True)
    judge_all(actor_for_user(judge), streets)
    page.goto(f"/assessments/{streets.pk}/quality/")
    page.wait_for_selector("#measured")
    shoot(page, "quality-measured", whole=True)
    page.goto(f"/events/{streets.scene.event_id}/")
    page.wait_for_selector("#overview .chart svg")
    shoot(page, "event-overview", whole=True)


def test_the_demonstration_for_the_readme(
    live_stack: Stack, organisation: Organisation, sign_in: SignIn, shoot: Shoot
) -> None:
    registry.sync_shipped_models()
    page = sign_in(make_user(organisation))
    admin = make_actor(organisation, "admin")
    while not Assessment.objects.exists():  # a worker checks the scene meanwhile
        Command().show_scene(admin)
        page.wait_for_timeout(DRAWN_MS)
    row = Assessment.objects.get()
    page.goto(f"/assessments/{row.pk}/")
    page.wait_for_timeout(DRAWN_MS)
    shoot(page, "queued", ONE)
    live_stack.start_worker("detect")
    page.wait_for_selector("#downloads:not([hidden])", timeout=DETECTION_MS)
    page.set_viewport_size({"width": README_SIZE[0], "height": README_SIZE[1]})
    open_building(page, row, _worth_a_picture(row))
    _show_a_street(page)
    _for_readme(page, "review")
    shoot(page, "town")
    page.goto(re.sub(r"/assessments/.*", f"/events/{row.scene.event_id}/", page.url))
    shoot(page, "event", whole=True)
    page.goto("/")
    shoot(page, "events")


def leave_waiting(_: Route) -> None:
    """Answer nothing."""


def open_building(page: Page, row: Assessment, building: Building) -> None:
    page.goto(f"/assessments/{row.pk}/")
    await_map(page)
    page.fill(".goto input", str(building.uid)[:12])
    page.keyboard.press("Enter")
    page.wait_for_selector(f"[data-building='{building.uid}'][aria-busy=false]")
    page.evaluate("document.activeElement.blur()")


def go_close(page: Page) -> None:
    """Open what the queue has first; the map goes there."""
    page.keyboard.press("n")
    page.wait_for_selector("[data-building][aria-busy=false]")
    await_map(page)


def decide(actor: Actor, row: Assessment) -> None:
    """Some of each decision there is, on what the queue has first."""
    for number, one in enumerate(row.buildings.order_by("turn")[3 : 3 + DECIDED]):
        kind = ("accept", "accept", "regrade", "reject", "accept", "unsure")[number % 6]
        wanted = DecisionRequest(
            id=uuid4(),
            kind=kind,
            building=one.uid,
            grade=Grade.MINOR_DAMAGE if kind == "regrade" else None,
            because="shadow" if kind == "unsure" else "",
        )
        review.record_decision(actor, row.pk, wanted)


def share_out(people: Sequence[Actor], row: Assessment) -> None:
    areas = teams.split(people[0], row.pk, Split(columns=3, rows=2))
    for actor, area in zip(people, areas, strict=False):
        teams.claim(actor, area.pk)


def look_again(actor: Actor, row: Assessment) -> None:
    """A second person agrees with most of it; a few at a time, as the page asks for them."""
    for _ in range(8):
        served, _ = looks.serve(actor, row.pk, 5)
        for number, look in enumerate(served):
            said = choosing.stands_as(look.building) if number else "major_damage"
            looks.answer(actor, look.pk, said)


def judge_all(actor: Actor, row: Assessment, *, but_squares: bool = False) -> None:
    """The model is right of nine buildings in ten; every third square lacks one."""
    items = Item.objects.filter(sample__assessment=row, answer="").order_by("place")
    for number, item in enumerate(items.select_related("building__footprint")):
        assert item.building.footprint is not None
        said = item.building.footprint.grade if number % 10 else "no_building"
        quality.answer_item(actor, item.pk, said)
    if but_squares:
        return
    for number, square in enumerate(Square.objects.filter(sample__assessment=row, answer="")):
        missed = [Mark(0.4, 0.6, "destroyed")] if number % 3 == 0 else []
        quality.answer_square(actor, square.pk, "judged", missed)


def _stand(row: Assessment, outline: Polygon, grade: str, dice: np.random.Generator) -> None:
    """A building as a model could have found it there: mostly sure of itself."""
    ring = [(WEST + x * STEP, NORTH - y * STEP) for x, y in outline.exterior.coords]
    ground = StoredPolygon(ring, srid=4326)
    grade_score, score = float(dice.uniform(0.45, 0.97)), float(dice.uniform(0.5, 0.99))
    rest = (1 - grade_score) / (len(MODEL_GRADES) - 1)
    said = {
        "uid": uuid4(),
        "outline": ground,
        "grade": grade,
        "score": score,
        "grade_score": grade_score,
    }
    footprint = Footprint.objects.create(
        assessment=row,
        probabilities={one.value: rest for one in MODEL_GRADES} | {grade: grade_score},
        area_m2=outline.area / 4,  # pixels of half a metre
        **said,
    )
    Building.objects.create(
        assessment=row, organisation=row.organisation, footprint=footprint, **said
    )


def _worth_a_picture(row: Assessment) -> Building:
    """The largest house that the model is sure to be destroyed, away from the edges."""
    assert row.scene.footprint is not None
    west, south, east, north = row.scene.footprint.extent
    inner = StoredPolygon.from_bbox(
        (west + (east - west) / 4, south + (north - south) / 4,
         east - (east - west) / 4, north - (north - south) / 4)
    )  # fmt: skip
    found = row.buildings.filter(grade="destroyed", outline__within=inner, grade_score__gte=0.8)
    return found.order_by("-footprint__area_m2")[0]


def _show_a_street(page: Page) -> None:
    """Some 400 m across the map, about the building that is open."""
    for _ in range(8):
        await_map(page)
        zoom = float((page.get_attribute("#map", "data-view") or "").split(",")[2])
        if abs(zoom - STREET_ZOOM) <= 0.5:
            return
        page.click(".maplibregl-ctrl-zoom-" + ("in" if zoom < STREET_ZOOM else "out"))
        page.wait_for_timeout(DRAWN_MS)


def _for_readme(page: Page, name: str) -> None:
    taken = SCREENSHOTS / f"{name}.png"
    page.screenshot(path=taken)
    with Image.open(taken) as picture:
        picture.convert("RGB").resize((1200, 750)).save(
            PICTURES / f"{name}.webp", quality=80, method=6
        )
