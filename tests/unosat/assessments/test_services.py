"""What can be asked for, what it becomes, and who may ask."""

from dataclasses import replace

import pytest

from tests.unosat.makers import make_actor, make_model, make_organisation, make_scene
from unosat.accounts.actors import Actor
from unosat.assessments import selectors, services
from unosat.assessments.errors import (
    AlreadyFinished,
    KeyUsedDifferently,
    NoActiveModel,
    SceneNotReady,
    WrongPhase,
)
from unosat.assessments.models import Assessment
from unosat.assessments.services import AssessmentRequest
from unosat.errors import NotFound, RefusedError
from unosat.ops.models import Job, Outbox
from unosat.scenes.models import Scene

pytestmark = pytest.mark.django_db


@pytest.fixture
def scene() -> Scene:
    return make_scene(make_organisation())


@pytest.fixture
def actor(scene: Scene) -> Actor:
    return make_actor(scene.organisation)


def test_an_assessment_comes_with_its_job_and_message(scene: Scene, actor: Actor) -> None:
    version = make_model()

    row = services.create_assessment(actor, AssessmentRequest(scene=scene.pk))

    assert (row.state, row.model_version) == ("waiting", version)
    assert Job.objects.get().subject_id == row.pk
    assert Outbox.objects.get().task == "assessments.plan"


@pytest.mark.parametrize(
    ("facts", "error"),
    [
        ({"phase": "before"}, WrongPhase),
        ({"state": "checking"}, SceneNotReady),
    ],
)
def test_scenes_that_cannot_be_analysed_are_refused_with_advice(
    scene: Scene, actor: Actor, facts: dict[str, str], error: type[RefusedError]
) -> None:
    make_model()
    Scene.objects.filter(pk=scene.pk).update(**facts)

    with pytest.raises(error) as caught:
        services.create_assessment(actor, AssessmentRequest(scene=scene.pk))

    assert caught.value.user_message.endswith(".")


def test_without_an_active_model_nothing_starts(scene: Scene, actor: Actor) -> None:
    make_model(active=False)

    with pytest.raises(NoActiveModel):
        services.create_assessment(actor, AssessmentRequest(scene=scene.pk))


def test_another_organisations_scene_does_not_exist(scene: Scene) -> None:
    make_model()
    stranger = make_actor(make_organisation())

    with pytest.raises(NotFound):
        services.create_assessment(stranger, AssessmentRequest(scene=scene.pk))


def test_the_same_idempotency_key_is_the_same_assessment(scene: Scene, actor: Actor) -> None:
    make_model()
    wanted = AssessmentRequest(scene=scene.pk, idempotency_key="once")

    first = services.create_assessment(actor, wanted)
    again = services.create_assessment(actor, wanted)

    assert first.pk == again.pk
    assert Job.objects.count() == 1
    with pytest.raises(KeyUsedDifferently):
        services.create_assessment(actor, replace(wanted, min_score=0.9))


def test_cancelling_twice_is_one_cancel_and_what_is_done_stays_done(
    scene: Scene, actor: Actor
) -> None:
    make_model()
    row = services.create_assessment(actor, AssessmentRequest(scene=scene.pk))

    assert services.cancel_assessment(actor, row.pk).state == "cancelled"
    assert services.cancel_assessment(actor, row.pk).state == "cancelled"

    Assessment.objects.filter(pk=row.pk).update(state="done")
    with pytest.raises(AlreadyFinished):
        services.cancel_assessment(actor, row.pk)


def test_what_has_ended_cannot_fail(scene: Scene, actor: Actor) -> None:
    make_model()
    row = services.create_assessment(actor, AssessmentRequest(scene=scene.pk))
    services.cancel_assessment(actor, row.pk)

    services.fail_assessment(row.pk, "late", "Too late.")

    assert selectors.assessment(actor, row.pk).state == "cancelled"
