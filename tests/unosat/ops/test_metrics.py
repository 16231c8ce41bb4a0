"""What a monitor reads."""

from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import redis
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.db.models.functions import Now
from django.test import Client
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families
from pytest_django import Settings

from tests.unosat.makers import make_done_assessment, make_organisation, make_user
from unosat.assessments.models import Assessment, Shard
from unosat.ops import inventory, metrics, presence
from unosat.ops.models import Job, Outbox
from unosat.ops.store import store_path

pytestmark = pytest.mark.django_db

TOKEN = "a token of the monitor's"  # noqa: S105
INTERRUPTED_TWICE: dict[str, Any] = {"attempt": 3, "interruptions": 2}
Labels = tuple[tuple[str, str], ...]


@pytest.fixture(autouse=True)
def empty_redis(redis_url: str) -> redis.Redis:
    """Nobody has reported yet."""
    client = redis.Redis.from_url(redis_url)
    client.flushall()
    return client


def read() -> dict[str, dict[Labels, float]]:
    """By family, then by labels, parsed as a monitor would."""
    return {
        family.name.removeprefix("unosat_"): {
            tuple(sorted(sample.labels.items())): sample.value for sample in family.samples
        }
        for family in text_string_to_metric_families(metrics.text().decode())
    }


def of(**labels: str) -> Labels:
    return tuple(sorted(labels.items()))


def make_shards(state: str, count: int, *, parent: str = "running", **facts: object) -> Assessment:
    row = make_done_assessment(make_organisation(), houses=0)
    Assessment.objects.filter(pk=row.pk).update(state=parent)
    done = {"result": b"x", "result_sha256": "0"} if state == "done" else {}
    leased = {"lease_until": timezone.now() + timedelta(seconds=30)} if state == "running" else {}
    Shard.objects.bulk_create(
        Shard(assessment=row, index=n, state=state, **(done | leased | facts)) for n in range(count)
    )
    return row


def age(model: type[Job | Shard | Outbox], seconds: float) -> None:
    model._default_manager.update(created_at=Now() - timedelta(seconds=seconds))


def test_work_that_waits_is_counted_per_queue_with_its_age() -> None:
    make_shards("waiting", 3)
    make_shards("running", 2)
    age(Shard, 500)
    Job.objects.create(kind="plan", subject_id=uuid4())
    Job.objects.create(kind="explain", subject_id=uuid4(), state="failed")
    age(Job, 90)

    found = read()

    waiting = {queue: found["queue_waiting"][of(queue=queue)] for queue in ("detect", "ingest")}
    assert waiting == {"detect": 3, "ingest": 1}
    assert found["queue_running"][of(queue="detect")] == 2
    assert 495 <= found["queue_oldest_waiting_seconds"][of(queue="detect")] < 520
    assert 85 <= found["queue_oldest_waiting_seconds"][of(queue="ingest")] < 110
    assert found["queue_oldest_waiting_seconds"][of(queue="train")] == 0
    assert found["jobs"][of(kind="explain", state="failed")] == 1


def test_shards_of_a_cancelled_assessment_wait_for_nobody() -> None:
    make_shards("waiting", 4, parent="cancelled")

    found = read()

    assert found["queue_waiting"][of(queue="detect")] == 0
    assert found["shards"][of(state="waiting")] == 0
    assert found["shards"][of(state="not_wanted")] == 4


def test_shard_times_are_those_of_the_last_hour_and_absent_without() -> None:
    long_ago = timezone.now() - timedelta(hours=2)
    make_shards("done", 5, seconds=900.0, heartbeat_at=long_ago, tiles_total=7)
    before = read()
    make_shards("done", 3, seconds=60.0, heartbeat_at=timezone.now(), tiles_total=7)
    after = read()

    assert "shard_seconds" not in {name for name, rows in before.items() if rows}
    assert before["shards_last_hour"] == {(): 0}
    assert after["shard_seconds"] == {of(quantile=q): 60.0 for q in ("0.5", "0.9", "0.99")}
    assert (after["shards_last_hour"], after["tiles_last_hour"]) == ({(): 3}, {(): 21})


def test_interruptions_are_derived_from_the_rows() -> None:
    make_shards("done", 2, attempt=1)
    make_shards("done", 1, **INTERRUPTED_TWICE)
    make_shards("running", 2, attempt=1, lease_until=timezone.now() - timedelta(seconds=5))
    Job.objects.create(kind="plan", subject_id=uuid4(), **INTERRUPTED_TWICE)

    found = read()

    assert found["lease_expiries"] == {of(of="shard"): 2, of(of="job"): 2}
    assert found["leases_overdue"] == {of(of="shard"): 2, of(of="job"): 0}


def test_messages_that_were_not_sent_are_told() -> None:
    Outbox.objects.create(task="x", queue="light", sent_at=timezone.now())
    Outbox.objects.create(task="x", queue="light")
    age(Outbox, 70)

    found = read()

    assert found["outbox_unsent"] == {(): 1}
    assert 65 <= found["outbox_oldest_seconds"][()] < 90


def test_workers_are_counted_where_they_work_until_they_fall_silent(
    empty_redis: redis.Redis,
) -> None:
    for name in ("detect@one", "detect@two"):
        presence.report(a_worker(name, ["detect"]))
    presence.report(a_worker("light@one", ["light", "ingest"]))
    first = read()
    empty_redis.pexpire(f"{presence.RECORD}detect@two", (presence.KEPT_SECONDS - 60) * 1000)
    second = read()
    presence.leave("detect@one")
    third = read()

    counted = [found["queue_workers"][of(queue="detect")] for found in (first, second, third)]
    assert counted == [2, 1, 0]
    assert third["queue_workers"][of(queue="ingest")] == 1
    assert second["worker_silent_seconds"][of(worker="detect@two", queues="detect")] >= 60
    assert of(worker="detect@one", queues="detect") not in third["worker_silent_seconds"]


def test_an_accelerator_is_told_only_where_there_is_one() -> None:
    presence.report(a_worker("detect@one", ["detect"]))
    without = read()
    gpu = {"index": 0, "name": "H", "busy": 0.93, "memory_used": 10.0, "memory_total": 100.0}
    presence.report(a_worker("detect@one", ["detect"]) | {"gpus": [gpu]})
    with_one = read()

    labels = of(worker="detect@one", gpu="0", name="H")
    assert not [name for name in without if name.startswith("gpu")]
    assert with_one["gpu_busy_ratio"] == {labels: 0.93}
    assert with_one["gpu_memory_used_bytes"] == {labels: 10 * 1024**2}


def test_the_drivers_answer_is_read_and_one_that_knows_nothing_is_no_zero(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "nvidia-smi"  # says what the real one says, of a whole and a shared one
    program.write_text(
        "#!/bin/sh\necho '0, NVIDIA H200, 37, 2048, 143771'\necho '1, NVIDIA H200, [N/A], 0, 9'\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    found = presence.gpus()

    assert found == [presence.Gpu(0, "NVIDIA H200", 0.37, 2048.0, 143771.0)]


def test_the_store_is_told_once_it_was_measured(tmp_path: Path, settings: Settings) -> None:
    settings.UNOSAT_STORE = tmp_path
    for key in ("cogs/a.tif", "models/m/weights"):
        store_path(key).parent.mkdir(parents=True)
        store_path(key).write_bytes(b"12345")
    (tmp_path / "cogs" / ".b.tif.half").write_bytes(b"unfinished")
    before = read()
    inventory.measure()
    after = read()

    assert "store_bytes" not in before
    assert (after["store_bytes"], after["store_files"]) == ({(): 10}, {(): 2})
    assert after["store_free_bytes"][()] > 0


def test_a_part_that_is_away_is_told_and_the_rest_still_answers(settings: Settings) -> None:
    settings.UNOSAT_REDIS_URL = "redis://127.0.0.1:1/0"

    found = read()

    parts = {dict(labels)["part"]: value for labels, value in found["scrape_ok"].items()}
    assert parts == {"database": 1, "redis": 0, "store": 1}
    assert "queue_workers" not in found
    assert found["outbox_unsent"] == {(): 0}


def test_only_staff_and_the_monitor_may_read(settings: Settings) -> None:
    def status(token: str = "", **facts: bool) -> int:
        client = Client()
        if facts:
            user = make_user(make_organisation(), "admin")
            user.is_staff = facts["is_staff"]
            user.save()
            client.force_login(user)
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return client.get("/metrics", headers=headers).status_code

    unset = [status(), status(TOKEN), status(is_staff=True), status(is_staff=False)]
    settings.UNOSAT_METRICS_TOKEN = TOKEN
    is_set = [status(TOKEN), status("wrong"), status(TOKEN[:-1]), status()]

    assert unset == [302, 302, 200, 403]
    assert is_set == [200, 302, 302, 302]


def test_who_guesses_tokens_is_shut_out_and_the_monitor_is_not(settings: Settings) -> None:
    settings.UNOSAT_METRICS_TOKEN = TOKEN
    client = Client()

    answers = [
        client.get("/metrics", headers={"Authorization": f"Bearer {n}"}).status_code
        for n in range(12)
    ]

    assert answers[-1] == 429
    right = client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
    assert right.status_code == 200


def a_worker(name: str, queues: list[str]) -> dict[str, object]:
    return {
        "name": name,
        "host": name.partition("@")[2],
        "pids": [1],
        "queues": queues,
        "since": timezone.now().isoformat(),
        "gpus": [],
    }


def test_files_of_a_bucket_are_counted_with_those_of_this_machine(
    tmp_path: Path, settings: Settings
) -> None:
    settings.UNOSAT_STORE, settings.UNOSAT_BUCKET = tmp_path, "any"
    in_memory = {"BACKEND": "django.core.files.storage.InMemoryStorage"}
    settings.STORAGES = settings.STORAGES | {"default": in_memory}
    storages["default"].save("models/m/weights", ContentFile(b"of the bucket"))
    store_path("uploads/one").parent.mkdir()
    store_path("uploads/one").write_bytes(b"here")

    inventory.measure()

    found = read()
    assert (found["store_bytes"], found["store_files"]) == ({(): 17}, {(): 2})
    assert "store_free_bytes" not in found
    assert inventory.digest("models/m/weights") == sha256(b"of the bucket").hexdigest()
    assert inventory.digest("uploads/one") == sha256(b"here").hexdigest()
    assert inventory.digest("models/m/gone") is None
