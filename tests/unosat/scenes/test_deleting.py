"""A scene that an admin deletes takes its image along."""

import pytest
from django.contrib.auth.models import User
from django.db import transaction
from django.test import Client
from django.urls import reverse

from tests.unosat.makers import make_organisation, make_scene
from unosat.ops.store import store_path
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
