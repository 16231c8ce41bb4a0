"""Machines whose clocks are hours apart: the database's says who may work, and for how long."""

from pathlib import Path

import pytest

from tests.faults.test_random_kills import FAST, begin, done, features, results
from tests.faults.waiting import wait
from tests.live import processes_of
from tests.unosat.makers import (
    bright,
    finish,
    make_actor,
    make_model,
    make_organisation,
    make_scene,
)
from unosat.assessments import detectors
from unosat.ops.models import Job

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.timeout(900),
    pytest.mark.usefixtures("only_long"),
]

HOUR = 3600
SHIFT = """
import os, time
from datetime import UTC, datetime, timedelta

from django.utils import timezone

seconds, true_time = float(os.environ["CLOCK_AHEAD_SECONDS"]), time.time
time.time = lambda: true_time() + seconds
timezone.now = lambda: datetime.now(UTC) + timedelta(seconds=seconds)
"""


def test_workers_an_hour_ahead_and_behind_change_no_byte(
    redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(detectors, "detector_of", bright)
    monkeypatch.setattr(detectors, "_failed", {})
    (tmp_path / "clock").mkdir()
    (tmp_path / "clock" / "sitecustomize.py").write_text(SHIFT)
    make_model()
    organisation = make_organisation()
    actor, scene = make_actor(organisation), make_scene(organisation)
    undisturbed = finish(begin(actor, scene))

    def clock(ahead_hours: int) -> dict[str, str]:
        shift = str(ahead_hours * HOUR)
        return FAST | {"PYTHONPATH": str(tmp_path / "clock"), "CLOCK_AHEAD_SECONDS": shift}

    with processes_of(redis_url, tmp_path / "log") as stack:
        stack.start_beat()
        stack.start_worker("light", **clock(1))  # relays and sweeps
        stack.start_worker("ingest", **clock(-1))  # plans and merges
        stack.start_standin("detect", **clock(1))
        stack.start_standin("detect", **clock(-1))
        rows = [done(begin(actor, scene)) for _ in range(3)]
        subjects = [row.pk for row in rows]
        jobs = Job.objects.filter(subject_id__in=subjects)
        wait(lambda: not jobs.exclude(state="done").exists())  # the order of review comes last

    for row in rows:
        assert results(row) == results(undisturbed)
        assert features(actor, row) == features(actor, undisturbed)
        assert set(row.shards.values_list("attempt", "interruptions")) == {(1, 0)}
    rows[0].refresh_from_db()
    assert set(jobs.values_list("attempt", "interruptions")) == {(1, 0)}
    assert rows[0].finished_at is not None
    assert undisturbed.finished_at is not None
    behind = undisturbed.finished_at - rows[0].finished_at  # the canary: clocks did differ
    assert behind.total_seconds() > HOUR / 2
