"""What a new installation shows, and to whom."""

import re
from io import StringIO
from pathlib import Path

import pytest
from django.contrib.auth import authenticate
from django.contrib.auth.models import User
from django.core.management import call_command
from pytest_django import Settings

from tests.unosat.training.world import write_random_model
from unosat.accounts import keys
from unosat.assessments.models import Assessment
from unosat.ops.management.commands import seed_demo
from unosat.ops.models import Job
from unosat.scenes.models import Scene
from unosat.training.models import ModelVersion

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of one model."""
    return write_random_model(tmp_path_factory.mktemp("models") / "random").parent


@pytest.fixture(autouse=True)
def small(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, shipped: Path
) -> None:
    """A store of this test's own, a small scene, and one shipped model."""
    settings.UNOSAT_STORE = tmp_path / "store"
    monkeypatch.setattr(seed_demo, "SIDE_PX", 512)
    monkeypatch.setattr("detection.weights.SHIPPED", shipped)


def seed() -> str:
    out = StringIO()
    call_command("seed_demo", stdout=out, stderr=out)
    return out.getvalue()


def test_the_words_that_are_printed_let_people_in() -> None:
    said = seed()

    for role in ("analyst", "partner", "admin"):
        (password,) = re.findall(rf"^  {role} +(\S+)$", said, re.MULTILINE)
        user = authenticate(username=role, password=password)
        assert isinstance(user, User)
        assert user.membership.role == role
        assert user.is_superuser == (role == "admin")
    (key,) = re.findall(r"unosat_[\w-]+", said)
    found = keys.find(key)
    assert found is not None
    assert found.role == "partner"


def test_the_scene_goes_the_way_of_every_upload_and_its_assessment_waits_for_workers() -> None:
    seed()

    scene = Scene.objects.get()
    assert scene.synthetic
    assert scene.state == "ready"
    assert scene.upload is not None
    assert Job.objects.get(subject_id=scene.pk).state == "done"
    assessment = Assessment.objects.get()
    assert assessment.state == "waiting"
    assert Job.objects.get(subject_id=assessment.pk).state == "waiting"
    assert assessment.model_version == ModelVersion.objects.get(active=True)


def test_a_second_start_finds_everything_there_and_prints_no_word() -> None:
    seed()

    assert seed() == ""

    assert User.objects.count() == 3
    assert Scene.objects.count() == Assessment.objects.count() == 1


def test_an_interrupted_start_is_taken_up_where_it_stopped() -> None:
    seed()
    Assessment.objects.all().delete()
    Job.objects.filter(kind="plan").delete()

    seed()

    assert Assessment.objects.count() == 1


def test_where_others_can_reach_it_nobody_can_sign_in(settings: Settings) -> None:
    settings.ALLOWED_HOSTS = ["127.0.0.1", "damage.example.org"]

    assert "no demonstration users" in seed()

    assert not User.objects.exists()
    assert not Scene.objects.exists()
    assert ModelVersion.objects.filter(active=True).exists()
