"""Why a building got its grade: asked for over HTTP, drawn by the real model, kept."""

from unittest.mock import ANY

import numpy as np
import pytest
from django.test import Client
from matplotlib import image as images

from tests.unosat.makers import (
    finish,
    make_actor,
    make_done_assessment,
    make_organisation,
    make_pair,
    make_user,
)
from unosat.accounts.models import Organisation
from unosat.assessments.models import Assessment
from unosat.assessments.services import AssessmentRequest, create_assessment
from unosat.ops import leases, store
from unosat.ops.models import Job, Outbox
from unosat.ops.store import store_path
from unosat.review import explanations, tasks
from unosat.review.explanations import Said
from unosat.review.models import Building, Explanation
from unosat.training import registry

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def organisation() -> Organisation:
    return make_organisation()


@pytest.fixture
def client(organisation: Organisation) -> Client:
    client = Client()
    client.force_login(make_user(organisation))
    return client


def analysed(organisation: Organisation) -> Assessment:
    """A pair of images, compared by the shipped model."""
    registry.sync_shipped_models()
    before, after = make_pair(organisation)
    wanted = AssessmentRequest(scene=after.pk, before_scene=before.pk)
    row = create_assessment(make_actor(organisation), wanted)
    assert finish(row).state == "done"
    return row


def address(building: Building) -> str:
    return f"/api/v1/assessments/{building.assessment_id}/buildings/{building.uid}/explanation"


def surest(row: Assessment) -> Building:
    found = row.buildings.order_by("-score").first()
    assert found is not None
    return found


def messages() -> int:
    return Outbox.objects.filter(task="review.explain").count()


def test_a_worker_draws_both_images_and_what_the_grade_hangs_on(
    organisation: Organisation, client: Client
) -> None:
    building = surest(analysed(organisation))
    assert client.get(address(building)).json()["code"] == "no_explanation"

    asked = client.post(address(building))
    assert (asked.status_code, asked.json()["state"]) == (202, "waiting")
    assert client.get(f"{address(building)}.png").status_code == 404
    tasks.explain(str(Explanation.objects.get().pk))
    found = client.get(address(building)).json()

    assert found == {
        "state": "ready",
        "said": ANY,
        "picture": f"{address(building)}.png",
        "failure_code": None,
        "failure_message": None,
    }
    assert found["said"]["model"] == str(building.assessment.model_version)
    assert sum(found["said"]["probabilities"].values()) == pytest.approx(1, abs=1e-3)
    assert found["said"]["score"] == pytest.approx(building.score, abs=0.3)
    answer = client.get(found["picture"])
    assert answer.headers["Content-Type"] == "image/png"
    assert b"".join(answer) == picture_of(Explanation.objects.get())
    drawn = images.imread(store_path(f"explanations/{Explanation.objects.get().pk}.png"))
    assert drawn.shape[0] > drawn.shape[1] > 700  # four parts: before, after, heat, numbers
    assert np.ptp(drawn[..., :3]) > 0.5


def picture_of(row: Explanation) -> bytes:
    return store_path(f"explanations/{row.pk}.png").read_bytes()


def test_asked_twice_it_is_made_once(organisation: Organisation, client: Client) -> None:
    building = surest(make_done_assessment(organisation))

    answers = [client.post(address(building)).status_code for _ in range(3)]

    assert answers == [202, 202, 202]
    assert (Job.objects.filter(kind="explain").count(), messages()) == (1, 1)


def test_a_failure_is_told_and_asking_again_tries_again(
    organisation: Organisation, client: Client
) -> None:
    building = surest(make_done_assessment(organisation))
    client.post(address(building))
    first = Job.objects.get(kind="explain").pk

    tasks.explain(str(Explanation.objects.get().pk))  # the made model has a card, and no weights
    told = client.get(address(building)).json()
    again = client.post(address(building))

    assert (told["state"], told["failure_code"]) == ("failed", "model_unavailable")
    assert told["failure_message"]
    assert told["picture"] is None
    assert (again.status_code, again.json()["state"]) == (202, "waiting")
    assert Job.objects.get(kind="explain").pk != first
    assert messages() == 2


def test_the_picture_of_what_was_deleted_while_it_was_drawn_goes(
    organisation: Organisation, client: Client
) -> None:
    client.post(address(surest(make_done_assessment(organisation))))
    row, job = Explanation.objects.get(), Job.objects.get(kind="explain")
    lease = leases.claim(Job, job.pk)
    assert lease is not None
    Explanation.objects.all().delete()
    with store.writing(row.picture_key) as path:
        path.write_bytes(b"a picture")

    explanations.store(lease, row, Said("destroyed", 0.9, {"destroyed": 0.9}, "bright@1"))

    assert not store.exists(row.picture_key)
    job.refresh_from_db()
    assert job.state == "done"


def test_what_an_analyst_drew_has_no_reason_to_show(
    organisation: Organisation, client: Client
) -> None:
    row = make_done_assessment(organisation)
    drawn = surest(row)
    drawn.footprint, drawn.source = None, "analyst"
    drawn.save()

    answer = client.post(address(drawn))

    assert (answer.status_code, answer.json()["code"]) == (409, "nothing_to_explain")
    assert not Explanation.objects.exists()
