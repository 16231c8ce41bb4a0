"""A scene that an admin deletes takes its image along."""

from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import transaction
from django.db.models.functions import Now
from django.test import Client
from django.urls import reverse

from tests.conftest import MakeGeotiff
from tests.unosat.makers import make_actor, make_organisation, make_scene
from unosat.ops import jobs, leases
from unosat.ops.models import Job
from unosat.ops.store import store_path
from unosat.scenes import sandbox, tasks, uploads
from unosat.scenes.facts import SceneFacts
from unosat.scenes.models import Scene

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def scene() -> Scene:
    return make_scene(make_organisation())


def test_in_the_admin_the_image_goes_with_the_scene(scene: Scene, client: Client) -> None:
    client.force_login(User.objects.create_superuser("root"))
    assert store_path(scene.cog_key).exists()

    address = reverse("admin:scenes_scene_delete", args=[scene.pk])
    client.post(address, {"post": "yes"})

    assert not Scene.objects.exists()
    assert not store_path(scene.cog_key).exists()


def test_with_its_event_it_goes_as_well(scene: Scene, client: Client) -> None:
    client.force_login(User.objects.create_superuser("root"))

    address = reverse("admin:scenes_event_delete", args=[scene.event_id])
    client.post(address, {"post": "yes"})

    assert not Scene.objects.exists()
    assert not store_path(scene.cog_key).exists()


def test_what_was_not_committed_removes_nothing(scene: Scene) -> None:
    with transaction.atomic():
        scene.delete()
        transaction.set_rollback(True)

    assert Scene.objects.exists()
    assert store_path(scene.cog_key).exists()


@pytest.fixture
def unchecked(make_geotiff: MakeGeotiff) -> Scene:
    """Just uploaded; its check is queued."""
    path = make_geotiff(np.full((3, 64, 64), 90, np.uint8))
    file = SimpleUploadedFile(path.name, path.read_bytes())
    facts = {"event_name": "Storm", "phase": "after"}
    return uploads.receive_file(make_actor(make_organisation()), file, facts)


def test_deleted_while_it_is_converted_it_leaves_no_image_behind(
    unchecked: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    really = sandbox.convert
    made = []

    def convert(source: Path, target: Path, band_order: str) -> SceneFacts:
        facts = really(source, target, band_order)
        made.append(target.exists())
        Scene.objects.all().delete()
        return facts

    monkeypatch.setattr(sandbox, "convert", convert)
    tasks.ingest(str(unchecked.pk))

    assert made == [True]
    assert not store_path(f"cogs/{unchecked.pk}.tif").exists()
    assert unchecked.upload is not None
    assert not store_path(unchecked.upload.path).exists()
    assert Job.objects.get().state == "done"


def test_a_check_of_what_is_gone_ends_and_keeps_nobody_from_sweeping(unchecked: Scene) -> None:
    job = Job.objects.get()
    Scene.objects.filter(pk=unchecked.pk).delete()
    for _ in range(leases.MAX_INTERRUPTIONS):
        leases.claim(Job, job.pk)
        Job.objects.update(lease_until=Now() - timedelta(seconds=1))
        jobs.sweep()

    assert Job.objects.get().state == "failed"
