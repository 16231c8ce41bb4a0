"""One row that cannot be looked after keeps nobody from looking after the others."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.db.models.functions import Now

from unosat.ops import jobs, leases, sweeper
from unosat.ops.jobs import KINDS, Kind
from unosat.ops.models import Job

pytestmark = pytest.mark.django_db


def lost(job: Job, *, times: int = 1) -> None:
    """Its worker has gone silent so often."""
    for _ in range(times):
        leases.claim(Job, job.pk)
        Job.objects.filter(pk=job.pk).update(lease_until=Now() - timedelta(seconds=1))


def state(job: Job) -> str:
    job.refresh_from_db()
    return job.state


def test_a_job_whose_giving_up_goes_wrong_is_told_and_the_others_wait_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(KINDS, "plan", Kind("assessments.plan", "ingest", "operator.not_"))
    bad, good = jobs.enqueue("plan", uuid4()), jobs.enqueue("merge", uuid4())
    lost(bad, times=leases.MAX_INTERRUPTIONS)
    lost(good)

    sweeper.sweep()

    assert (state(bad), state(good)) == ("running", "waiting")
    assert f"job {bad.pk}" in [getattr(record, "what", "") for record in caplog.records]


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_job_whose_subject_is_gone_can_be_given_up(kind: str) -> None:
    job = jobs.enqueue(kind, uuid4())
    lost(job, times=leases.MAX_INTERRUPTIONS)

    sweeper.sweep()

    assert state(job) == "failed"
