"""What went wrong is said where it is seen, and can be put right there."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.sync_api import Route, expect

from detection.detector import TileDetections
from detection.errors import UnreadableRaster
from tests.browser.conftest import SignIn
from tests.unosat.makers import (
    HOUSES,
    BrightIsDestroyed,
    bright,
    make_actor,
    make_done_assessment,
    make_model,
    make_organisation,
    make_scene,
    make_user,
)
from unosat.assessments import detectors, services, tasks
from unosat.assessments.models import Assessment
from unosat.assessments.services import AssessmentRequest
from unosat.ops import jobs, leases
from unosat.ops.errors import DiskFull
from unosat.ops.models import Job
from unosat.scenes.models import Scene
from unosat.training.models import ModelVersion

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("application"),
]


@dataclass(frozen=True)
class CannotRead(BrightIsDestroyed):
    """Fails at the first tile."""

    def predict(self, images: NDArray[np.uint8], *, min_score: float) -> list[TileDetections]:  # noqa: ARG002
        raise UnreadableRaster("a block of it is damaged")


def cannot_read(version: ModelVersion) -> CannotRead:
    return CannotRead(bright(version).spec)


@pytest.fixture
def scene() -> Scene:
    make_model()
    return make_scene(make_organisation())


def planned(scene: Scene) -> Assessment:
    actor = make_actor(scene.organisation)
    row = services.create_assessment(actor, AssessmentRequest(scene=scene.pk))
    tasks.plan(str(row.pk))
    return row


def test_a_failed_shard_is_retried_from_the_page_and_the_run_ends_well(
    scene: Scene, sign_in: SignIn, photograph: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(detectors, "_failed", {})
    row = planned(scene)
    monkeypatch.setattr(detectors, "detector_of", cannot_read)
    tasks.detect()
    monkeypatch.setattr(detectors, "detector_of", bright)
    for _ in range(row.shards.count() - 1):
        tasks.detect()
    row.refresh_from_db()
    assert row.state == "failed"

    page = sign_in(make_user(scene.organisation))
    page.goto(f"/assessments/{row.pk}/")
    expect(page.get_by_text(UnreadableRaster.user_message).first).to_be_visible()
    photograph(page, "failed-shard")
    page.click("text=Retry this shard")
    expect(page.get_by_text("Retry this shard")).to_have_count(0)
    tasks.detect()
    tasks.merge(str(row.pk))
    page.reload()

    expect(page.locator("#downloads")).to_be_visible()
    row.refresh_from_db()
    assert (row.state, row.footprints_found) == ("done", HOUSES)
    assert sorted(row.shards.values_list("attempt", flat=True)) == [1, 1, 1, 1, 1, 2]


def test_a_merge_that_failed_is_done_anew_from_the_page(
    scene: Scene, sign_in: SignIn, photograph: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(detectors, "_failed", {})
    monkeypatch.setattr(detectors, "detector_of", bright)
    row = planned(scene)
    for _ in range(row.shards.count()):
        tasks.detect()
    lease = leases.claim(Job, Job.objects.get(kind="merge", subject_id=row.pk).pk)
    assert lease is not None
    jobs.fail(lease, DiskFull.code, DiskFull.user_message, "as after an hour without room")

    page = sign_in(make_user(scene.organisation))
    page.goto(f"/assessments/{row.pk}/")
    expect(page.get_by_text(DiskFull.user_message).first).to_be_visible()
    photograph(page, "failed-merge")
    page.click("text=Join the parts again")
    expect(page.get_by_text("Join the parts again")).to_have_count(0)
    tasks.merge(str(row.pk))
    page.reload()

    expect(page.locator("#downloads")).to_be_visible()
    row.refresh_from_db()
    assert (row.state, row.footprints_found) == ("done", HOUSES)
    assert set(row.shards.values_list("attempt", flat=True)) == {1}


def test_an_admin_lets_a_run_go_first_and_others_see_that_it_does(
    scene: Scene, sign_in: SignIn
) -> None:
    row = planned(scene)
    admin = sign_in(make_user(scene.organisation, "admin"))
    admin.goto(f"/assessments/{row.pk}/")

    admin.click("text=Make urgent")

    expect(admin.get_by_role("button", name="No longer urgent")).to_be_visible()
    row.refresh_from_db()
    assert row.urgent
    analyst = sign_in(make_user(scene.organisation))
    analyst.goto(f"/assessments/{row.pk}/")
    expect(analyst.locator(".urgent")).to_be_visible()
    expect(analyst.get_by_role("button", name="No longer urgent")).to_have_count(0)


def test_a_server_that_answers_with_an_error_is_told_of_and_asked_again(sign_in: SignIn) -> None:
    row = make_done_assessment(make_organisation())
    refusing = True

    def answer(route: Route) -> None:
        if refusing:
            route.fulfill(status=503)
        else:
            route.continue_()

    page = sign_in(make_user(row.organisation))
    page.route(f"**/api/v1/assessments/{row.pk}", answer)
    page.route(f"**/api/v1/assessments/{row.pk}/events", answer)
    page.goto(f"/assessments/{row.pk}/")

    expect(page.locator("#side")).to_contain_text("The server does not answer")
    refusing = False
    expect(page.locator("#side")).to_contain_text("3 of 3 to look at")
