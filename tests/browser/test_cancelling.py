"""What runs can be stopped from its page, and leaves nothing; what cannot start says why."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Page, expect

from tests import long
from tests.browser.conftest import SignIn
from tests.live import Stack
from tests.unosat.makers import make_scene
from tests.unosat.training.world import World, build_world, draw_scene, write_random_model
from unosat.assessments.models import Assessment
from unosat.review.models import Building, Footprint
from unosat.scenes.models import Scene
from unosat.training.errors import NothingToLearn
from unosat.training.models import ModelVersion, TrainingRun

pytestmark = [long.journeys, pytest.mark.browser, pytest.mark.timeout(900)]

WORK_MS = 180_000  # until a worker has begun, on a machine that does much else
MANY_STEPS = "100000"  # far more than are done before the button is pressed
SIDE_PX = 5000  # of an image that takes long enough


@pytest.fixture
def world(transactional_db: None, tmp_path: Path) -> World:  # noqa: ARG001 (a database is needed)
    """A small model that has learned nothing, and a scene that it has assessed."""
    model = write_random_model(tmp_path / "model")
    return build_world(model, draw_scene(tmp_path, seed=11, size_px=800))


@pytest.fixture
def large(world: World) -> Scene:
    pixels = np.random.default_rng(3).integers(1, 255, (3, SIDE_PX, SIDE_PX), dtype=np.uint8)
    return make_scene(world.assessment.organisation, pixels, name="large.tif")


def test_an_assessment_and_a_training_run_are_cancelled_from_their_pages(
    live_stack: Stack, sign_in: SignIn, world: World, large: Scene, photograph: Any
) -> None:
    live_stack.start_worker(
        "detect", "train", UNOSAT_TRAINING_STEPS=MANY_STEPS, OMP_NUM_THREADS="1"
    )
    _cancel_assessment(sign_in(User.objects.get(pk=world.analyst.user_id or 0)), large, photograph)

    admin = sign_in(User.objects.get(pk=world.admin.user_id or 0))
    admin.click("text=Training")
    expect(admin.get_by_text(NothingToLearn.user_message)).to_be_visible()
    expect(admin.locator("button:text-is('Retrain')")).to_have_count(0)
    photograph(admin, "nothing-to-learn")
    for corner in (5, 290):  # metres: two places, one of which may be kept aside
        area = world.area(corner, corner, corner + 72, corner + 72)
        world.decide(world.inside(area)[0], "destroyed")
    admin.reload()
    _cancel_training(admin, photograph)

    assert ModelVersion.objects.get() == world.version


def _cancel_assessment(page: Page, large: Scene, photograph: Any) -> None:
    page.goto(f"/scenes/{large.pk}/")
    page.click("button:text-is('Analyse')")
    page.wait_for_selector("dd:has-text(' of '):not(:has-text('0 of '))", timeout=WORK_MS)

    page.click("text=Cancel this assessment")

    expect(page.get_by_role("heading", name="Cancelled")).to_be_visible()
    photograph(page, "cancelled")
    row = Assessment.objects.get(scene=large)
    assert row.state == "cancelled"
    _await_idle(page, row)
    page.reload()
    expect(page.get_by_text("Nothing of this assessment was kept.")).to_be_visible()
    expect(page.locator("#downloads")).to_be_hidden()
    expect(page.locator(".legend")).to_have_count(0)
    assert not Building.objects.filter(assessment=row).exists()
    assert not Footprint.objects.filter(assessment=row).exists()


def _await_idle(page: Page, row: Assessment) -> None:
    """The worker ends the tile that it is on; the other shards it takes up only to put down."""
    quiet = 0
    for _ in range(WORK_MS // 200):
        quiet = 0 if row.shards.filter(state="running").exists() else quiet + 1
        if quiet == 5:
            return
        page.wait_for_timeout(200)
    raise AssertionError(list(row.shards.values_list("index", "state", "tiles_done")))


def _cancel_training(admin: Page, photograph: Any) -> None:
    admin.click("button:text-is('Retrain')")
    admin.wait_for_selector("#run[data-state=running] dt:text-is('Loss')", timeout=WORK_MS)
    admin.click("#run button:text-is('Cancel')")

    admin.wait_for_selector("#run[data-state=cancelled]", timeout=WORK_MS)
    expect(admin.get_by_text("Cancelled. The model is as it was.")).to_be_visible()
    photograph(admin, "training-cancelled")
    assert TrainingRun.objects.get().state == "cancelled"
