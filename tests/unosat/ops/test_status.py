"""What the admins of the installation see."""

from datetime import timedelta
from uuid import uuid4

import pytest
import redis
from django.contrib.auth.models import User
from django.db import connections
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from tests.private_servers import Servers
from tests.silent import frozen
from tests.unosat.makers import make_done_assessment, make_organisation, make_user
from tests.unosat.ops.test_metrics import a_worker
from tests.unosat.test_pages import INLINE
from unosat.assessments.models import Assessment, Shard
from unosat.ops import presence
from unosat.ops.models import Job

pytestmark = pytest.mark.django_db


@pytest.fixture
def staff(redis_url: str) -> Client:
    """Somebody who keeps the installation and belongs to no organisation; no worker is there."""
    with redis.Redis.from_url(redis_url) as client:
        client.flushall()
    browser = Client()
    browser.force_login(User.objects.create_user("keeper", is_staff=True))
    return browser


def page(client: Client, path: str = "/status/") -> str:
    answer = client.get(path)
    assert answer.status_code == 200
    text = answer.content.decode()
    assert not INLINE.search(text)
    return text


def a_running_shard(worker: str) -> Shard:
    row = make_done_assessment(make_organisation(), houses=0)
    Assessment.objects.filter(pk=row.pk).update(state="running", name="Port and centre")
    return Shard.objects.create(
        assessment=row,
        index=4,
        state="running",
        attempt=2,
        worker=worker,
        tiles_total=20,
        tiles_done=7,
        heartbeat_at=timezone.now(),
        lease_until=timezone.now() + timedelta(seconds=30),
    )


def test_a_worker_is_shown_with_what_it_does(staff: Client) -> None:
    presence.report(a_worker("detect@one", ["detect"]))
    shard = a_running_shard("one:1")

    text = page(staff, "/status/now/")

    told = text[text.index('data-worker="detect@one"') :]
    assert "Port and centre, shard 5" in told
    assert "7 of 20 tiles" in told
    assert "attempt 2" in told
    assert f"has {shard.assessment.model_version}" in told
    assert "Work without a worker" not in text


def test_work_whose_worker_is_gone_is_shown_apart(staff: Client) -> None:
    presence.report(a_worker("detect@one", ["detect"]))
    a_running_shard("two:1")

    text = page(staff)

    assert "waits for work" in text
    assert "Port and centre" in text[text.index("Work without a worker") :]


def test_a_queue_that_nobody_works_on_stands_out(staff: Client) -> None:
    presence.report(a_worker("light@one", ["light"]))

    text = page(staff)

    assert text.count("nobody</span>") == 3  # ingest, detect, train


def test_failures_are_told_with_their_reason_and_id(staff: Client) -> None:
    row = make_done_assessment(make_organisation(), houses=0)
    Assessment.objects.filter(pk=row.pk).update(
        state="failed", failure_code="model_unavailable", failure_message="It is missing."
    )
    job = Job.objects.create(
        kind="train", subject_id=uuid4(), state="failed", failure_code="unexpected"
    )

    text = page(staff)

    for words in ("It is missing.", "model_unavailable", str(row.pk), str(job.subject_id)):
        assert words in text


def test_the_page_stands_without_redis_and_says_so(staff: Client, settings: Settings) -> None:
    settings.UNOSAT_REDIS_URL = "redis://127.0.0.1:1/0"

    assert "Redis does not answer" in page(staff)


def test_an_organisations_admin_is_no_admin_of_the_installation() -> None:
    client = Client()
    client.force_login(make_user(make_organisation(), "admin"))

    assert client.get("/status/").status_code == 403
    assert client.get("/status/now/").status_code == 403
    assert "Status" not in client.get("/").content.decode()


@pytest.mark.django_db(transaction=True)
@pytest.mark.timeout(120)
def test_without_the_database_it_says_so_instead_of_breaking(
    servers: Servers, staff: Client
) -> None:
    page(staff)
    connections.close_all()

    with frozen(servers.database.pid):
        answer = staff.get("/status/")

    text = answer.content.decode()
    assert answer.status_code == 503
    assert not INLINE.search(text)
    assert "Something does not work" in text
    assert "cannot be told without: Database" in text
