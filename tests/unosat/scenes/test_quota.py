"""What an organisation may keep: announced lengths and decoded pixels count, nothing else."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client, override_settings

from tests.at_once import at_once
from tests.unosat.makers import make_organisation, make_user
from unosat.accounts.actors import Actor, actor_for_user
from unosat.accounts.models import Organisation
from unosat.ops.store import store_path
from unosat.scenes import quota, tasks, uploads
from unosat.scenes.errors import QuotaExceeded
from unosat.scenes.models import Scene, Upload

pytestmark = pytest.mark.django_db

FACTS = {"event_name": "Storm", "phase": "after"}
MB = 1_000_000
SIDE = 2048  # of a sparse image, in pixels
DECODED = 3 * SIDE**2  # its bytes, once decoded


@pytest.fixture
def organisation() -> Organisation:
    return make_organisation()


@pytest.fixture
def user(organisation: Organisation) -> User:
    return make_user(organisation)


@pytest.fixture
def actor(user: User) -> Actor:
    return actor_for_user(user)


def allow(organisation: Organisation, limit_bytes: int | None) -> None:
    Organisation.objects.filter(pk=organisation.pk).update(quota_bytes=limit_bytes)


def begin(actor: Actor, length: int) -> Upload:
    return uploads.begin(actor, length=length, filename="a.tif", metadata=FACTS)


def used(organisation: Organisation) -> int:
    return quota.quota_of(organisation.pk).used_bytes


@pytest.fixture
def sparse(tmp_path: Path) -> Path:
    """A few kilobytes that decode to twelve million: one block of 64 was written."""
    path = tmp_path / "sparse.tif"
    place = Affine(0.5, 0, 500_000, 0, -0.5, 4_000_000)
    with rasterio.open(
        path, "w", driver="GTiff", width=SIDE, height=SIDE, count=3, dtype="uint8",
        crs="EPSG:32637", transform=place, tiled=True, sparse_ok=True, compress="deflate",
    ) as dataset:  # fmt: skip
        window = rasterio.windows.Window(0, 0, 256, 256)
        dataset.write(np.full((3, 256, 256), 90, np.uint8), window=window)
    assert path.stat().st_size < MB
    return path


def receive(actor: Actor, path: Path) -> Scene:
    scene = uploads.receive_file(actor, SimpleUploadedFile("a.tif", path.read_bytes()), FACTS)
    tasks.ingest(str(scene.pk))
    scene.refresh_from_db()
    return scene


def test_without_a_limit_everything_is_taken(organisation: Organisation, actor: Actor) -> None:
    begin(actor, 100 * MB)

    assert used(organisation) == 100 * MB
    assert str(quota.quota_of(organisation.pk)) == ""


def test_uploads_under_way_count_at_their_announced_length(
    organisation: Organisation, actor: Actor
) -> None:
    allow(organisation, 10 * MB)
    begin(actor, 7 * MB)

    with pytest.raises(QuotaExceeded) as refusal:
        begin(actor, 4 * MB)

    assert refusal.value.status == 413
    assert refusal.value.user_message == (
        "3 MB of your organisation's 10 MB are left. This file has 4 MB. "
        "Give up unfinished uploads, or ask the administrator of this server for more room."
    )
    assert begin(actor, 3 * MB).length == 3 * MB
    assert used(organisation) == 10 * MB


def test_a_refused_upload_leaves_nothing(organisation: Organisation, actor: Actor) -> None:
    before = set(store_path("uploads").glob("*"))
    allow(organisation, MB)

    with pytest.raises(QuotaExceeded):
        begin(actor, 2 * MB)

    assert not Upload.objects.exists()
    assert set(store_path("uploads").glob("*")) == before


def test_an_upload_that_is_given_up_gives_its_room_back(
    organisation: Organisation, actor: Actor
) -> None:
    allow(organisation, 10 * MB)
    upload = begin(actor, 10 * MB)

    uploads.end(actor, upload.pk)

    assert used(organisation) == 0
    begin(actor, 10 * MB)


def test_one_organisations_uploads_take_no_room_from_another(
    organisation: Organisation, actor: Actor
) -> None:
    other = make_organisation()
    begin(actor_for_user(make_user(other)), 10 * MB)
    allow(organisation, 10 * MB)

    assert begin(actor, 10 * MB)


@override_settings(UNOSAT_QUOTA_BYTES=10 * MB)
def test_the_servers_setting_holds_where_the_organisation_has_no_limit_of_its_own(
    organisation: Organisation, actor: Actor
) -> None:
    with pytest.raises(QuotaExceeded):
        begin(actor, 11 * MB)
    allow(organisation, 12 * MB)

    assert begin(actor, 11 * MB)


@pytest.mark.django_db(transaction=True)
def test_of_two_at_the_same_moment_only_one_gets_the_last_room(
    organisation: Organisation, actor: Actor
) -> None:
    allow(organisation, 10 * MB)
    begin(actor, MB)  # makes the event

    def is_refused() -> bool:
        try:
            begin(actor, 6 * MB)
        except QuotaExceeded:
            return True
        return False

    refused = [answer for answer in at_once(is_refused, 4) if answer]

    assert len(refused) == 3
    assert used(organisation) == 7 * MB


def test_a_sparse_image_counts_decoded(
    organisation: Organisation, actor: Actor, sparse: Path
) -> None:
    allow(organisation, DECODED)

    scene = receive(actor, sparse)

    assert scene.state == "ready"
    assert store_path(scene.cog_key).stat().st_size < MB
    assert used(organisation) == scene.decoded_bytes == DECODED


def test_an_image_that_decodes_beyond_the_limit_is_refused_and_nothing_of_it_is_kept(
    organisation: Organisation,
    actor: Actor,
    sparse: Path,
    django_capture_on_commit_callbacks: object,
) -> None:
    allow(organisation, DECODED - 1)

    with django_capture_on_commit_callbacks(execute=True):  # type: ignore[operator]
        scene = receive(actor, sparse)

    assert (scene.state, scene.refusal_code) == ("refused", "scene_beyond_quota")
    assert scene.refusal_message == (
        "Uncompressed, the image has 13 MB. 13 MB of your organisation's 13 MB are left. "
        "Give up unfinished uploads, or ask the administrator of this server for more room."
    )
    assert scene.upload is not None
    assert not store_path(scene.upload.path).exists()
    assert not store_path(f"cogs/{scene.pk}.tif").exists()
    assert used(organisation) == 0


def test_the_upload_page_says_what_is_left(organisation: Organisation, user: User) -> None:
    allow(organisation, 10 * MB)
    upload = begin(actor_for_user(user), 4 * MB)
    client = Client()
    client.force_login(user)
    event = upload.metadata["event"]

    whole = client.get(f"/events/{event}/").content.decode()
    part = client.get(f"/events/{event}/scenes/", headers={"HX-Request": "true"}).content.decode()

    for shown in (whole, part):
        assert shown.count("6 MB of your organisation&#x27;s 10 MB are left.") == 1


def test_the_servers_staff_set_the_limit(organisation: Organisation) -> None:
    staff = User.objects.create_superuser("staff")
    client = Client()
    client.force_login(staff)
    form = {"name": organisation.name, "slug": organisation.slug, "quota_bytes": 5 * MB}

    answer = client.post(f"/admin/accounts/organisation/{organisation.pk}/change/", form)

    assert answer.status_code == 302
    assert quota.quota_of(organisation.pk).limit_bytes == 5 * MB
