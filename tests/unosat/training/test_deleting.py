"""A model version that an admin deletes takes its files along, unless another row names them."""

from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.db import transaction
from django.test import Client
from django.urls import reverse

from detection import weights
from tests.unosat.makers import make_done_assessment, make_model, make_organisation
from unosat.ops.store import store_path
from unosat.training.models import ModelVersion

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("store")]


def delete_in_the_admin(version: ModelVersion) -> None:
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    client.post(reverse("admin:training_modelversion_delete", args=[version.pk]), {"post": "yes"})


def files_of(version: ModelVersion) -> list[Path]:
    return sorted(path for path in store_path(version.folder).glob("*"))


def test_in_the_admin_the_files_go_with_the_version() -> None:
    version, other = make_model(), make_model(active=False)
    assert [path.name for path in files_of(version)] == sorted([weights.CARD, weights.WEIGHTS])

    delete_in_the_admin(version)

    assert ModelVersion.objects.get() == other
    assert not store_path(version.folder).exists()
    assert files_of(other)


def test_what_was_analysed_with_it_keeps_the_version_and_its_files() -> None:
    version = make_done_assessment(make_organisation(), houses=0).model_version

    delete_in_the_admin(version)

    assert ModelVersion.objects.filter(pk=version.pk).exists()
    assert files_of(version)


def test_files_that_another_row_names_stay() -> None:
    version = make_model()
    with transaction.atomic():
        version.delete()
        again = make_model()
        ModelVersion.objects.filter(pk=again.pk).update(folder=version.folder)

    assert files_of(version)


def test_what_was_not_committed_removes_nothing() -> None:
    version = make_model()
    with transaction.atomic():
        version.delete()
        transaction.set_rollback(True)

    assert ModelVersion.objects.exists()
    assert files_of(version)
