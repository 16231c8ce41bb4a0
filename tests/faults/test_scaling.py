"""What more workers gain, what one run costs another, and what many cost the dashboard.

Workers have a model that waits (``tests.standin``), so that processors do not decide.
"""

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from django.test import Client
from pytest_django import Settings

from tests.faults.waiting import wait
from tests.live import Stack, cpu_seconds, processes_of
from tests.unosat.makers import (
    make_actor,
    make_model,
    make_organisation,
    make_scene,
    make_user,
    scene_with_houses,
)
from unosat.assessments import selectors, services, tasks
from unosat.assessments.models import Assessment, Shard
from unosat.assessments.services import AssessmentRequest
from unosat.scenes.models import Scene
from unosat.training.models import ModelVersion

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(1800)]

SIDE_PX = 832  # 4 x 4 tiles of 256, which overlap by 64
TILES = 16
TILE_SECONDS = 5.0
LEAST_EFFICIENCY = 0.9  # of 4 workers
MOST_DELAY = 0.05  # of a run, by a poison shard of another
QUEUED = 1000
SHARDS_EACH = 6
PAGE_SECONDS = 0.2
PAGES = 10


def start() -> Assessment:
    """An assessment of 16 tiles, of an organisation of its own."""
    organisation = make_organisation()
    scene = make_scene(organisation, scene_with_houses()[:, :SIDE_PX, :SIDE_PX])
    wanted = AssessmentRequest(scene=scene.pk)
    return services.create_assessment(make_actor(organisation), wanted)


def seconds_of(row: Assessment) -> float:
    """From now until every shard of it is done."""
    begun = time.monotonic()
    wait(lambda: row.shards.exists() and not row.shards.exclude(state="done").exists())
    return time.monotonic() - begun


@pytest.mark.usefixtures("only_long")
def test_four_workers_do_nearly_four_times_as_much(
    redis_url: str,
    tmp_path: Path,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    record_property: Callable[[str, object], None],
) -> None:
    settings.UNOSAT_SHARD_SECONDS = 4  # 8 shards of 2 tiles, by the speed that is told below
    monkeypatch.setattr(selectors, "seconds_per_tile", lambda _: 2.0)
    make_model()
    took = {}
    with processes_of(redis_url, tmp_path / "log") as stack:
        for workers, more in ((1, 1), (2, 1), (4, 2)):
            for _ in range(more):
                stack.start_standin("detect", STANDIN_TILE_SECONDS=str(TILE_SECONDS))
            row = start()
            tasks.plan(str(row.pk))
            assert row.shards.count() == TILES // 2
            took[workers] = seconds_of(row)

    for workers, seconds in took.items():
        gain = took[1] / seconds
        record_property(
            "measured",
            f"{workers} workers: {seconds:.1f} s, speed-up {gain:.2f}, "
            f"efficiency {gain / workers:.2f}",
        )
    assert took[1] / took[4] / 4 >= LEAST_EFFICIENCY


@pytest.mark.usefixtures("only_long")
def test_a_poison_shard_delays_another_run_by_little(
    backstage: Stack, record_property: Callable[[str, object], None]
) -> None:
    poison = make_model()
    bad = start()
    wait(bad.shards.exists)
    bad.shards.filter(index__gt=0).delete()
    Assessment.objects.filter(pk=bad.pk).update(state="cancelled")  # until it is let loose
    ModelVersion.objects.filter(pk=poison.pk).update(active=False)
    make_model()
    backstage.start_standin(
        "detect",
        STANDIN_POISON=str(poison.pk),
        STANDIN_TILE_SECONDS=str(2 * TILE_SECONDS),
        UNOSAT_LEASE_SECONDS="3",
    )

    alone = seconds_of(start())
    Assessment.objects.filter(pk=bad.pk).update(state="running")
    services.wake_workers()
    beside = seconds_of(start())

    delay = beside / alone - 1
    record_property(
        "measured", f"alone {alone:.1f} s, beside a poison shard {beside:.1f} s: {delay:+.1%}"
    )
    assert bad.shards.get().state == "failed_poison"
    assert delay < MOST_DELAY


def test_a_thousand_queued_runs_leave_the_dashboard_quick(
    record_property: Callable[[str, object], None],
) -> None:
    organisation = make_organisation()
    client = Client()
    client.force_login(make_user(organisation))
    queue(make_scene(organisation), make_model())
    client.get("/")  # templates are compiled

    begun = cpu_seconds()
    for _ in range(PAGES):
        page = client.get("/")
    seconds = (cpu_seconds() - begun) / PAGES

    record_property("measured", f"{QUEUED} queued runs: {seconds * 1000:.0f} ms of processor")
    assert page.status_code == 200
    assert seconds < PAGE_SECONDS


def queue(scene: Scene, version: ModelVersion) -> None:
    """Many runs whose shards wait."""
    rows = Assessment.objects.bulk_create(
        Assessment(
            organisation=scene.organisation, scene=scene, model_version=version, state="running"
        )
        for _ in range(QUEUED)
    )
    Shard.objects.bulk_create(
        Shard(assessment=row, index=number, tiles_total=4)
        for row in rows
        for number in range(SHARDS_EACH)
    )
