"""Who works on a row, whatever the queue delivers."""

import threading
import time
from collections.abc import Callable
from datetime import timedelta
from uuid import uuid4

import pytest
from django.db.models.functions import Now
from pytest_django import Settings

from tests.at_once import at_once
from unosat.ops import leases
from unosat.ops.heartbeat import Heartbeat
from unosat.ops.leases import Lease
from unosat.ops.models import Job


def a_job() -> Job:
    return Job.objects.create(kind="plan", subject_id=uuid4())


def let_it_expire(job: Job) -> None:
    Job.objects.filter(pk=job.pk).update(lease_until=Now() - timedelta(seconds=1))


def claimed(job: Job) -> Lease:
    lease = leases.claim(Job, job.pk)
    assert lease is not None
    return lease


@pytest.mark.django_db
def test_a_message_delivered_twice_finds_the_row_in_other_hands() -> None:
    job = a_job()

    first, second = leases.claim(Job, job.pk), leases.claim(Job, job.pk)

    assert first is not None
    assert second is None


@pytest.mark.django_db
def test_a_finished_row_cannot_be_claimed_again() -> None:
    job = a_job()
    leases.finish(claimed(job))

    assert leases.claim(Job, job.pk) is None


@pytest.mark.django_db
def test_an_overtaken_attempt_can_neither_renew_nor_finish() -> None:
    job = a_job()
    slow = claimed(job)
    let_it_expire(job)
    fast = claimed(job)

    assert fast.attempt == 2
    assert not leases.renew(slow)
    assert not leases.finish(slow)
    assert leases.finish(fast)
    assert not leases.finish(fast)


@pytest.mark.django_db
def test_the_third_interruption_is_the_last() -> None:
    job = a_job()
    for attempt in (1, 2):
        claimed(job)
        let_it_expire(job)
        assert leases.requeue(Job, job.pk, attempt)
    claimed(job)
    let_it_expire(job)

    assert not leases.requeue(Job, job.pk, 3)
    assert leases.claim(Job, job.pk) is None


@pytest.mark.django_db
def test_a_lease_that_is_taken_over_counts_as_an_interruption_too() -> None:
    job = a_job()
    for _ in range(3):
        claimed(job)
        let_it_expire(job)

    assert leases.claim(Job, job.pk) is None


@pytest.mark.django_db
def test_what_is_given_back_was_not_interrupted() -> None:
    job = a_job()
    for _ in range(5):
        leases.release(claimed(job))

    lease = claimed(job)
    job.refresh_from_db()
    assert (lease.attempt, job.interruptions) == (6, 0)


@pytest.mark.django_db
def test_a_lease_that_was_renewed_is_not_taken_back() -> None:
    job = a_job()
    lease = claimed(job)
    let_it_expire(job)
    leases.renew(lease)

    assert not leases.requeue(Job, job.pk, lease.attempt)


@pytest.mark.django_db(transaction=True)
def test_of_many_claims_at_once_one_wins() -> None:
    job = a_job()
    won = at_once(lambda: leases.claim(Job, job.pk), 8)

    assert len([lease for lease in won if lease]) == 1


@pytest.mark.django_db(transaction=True)
def test_a_heartbeat_keeps_the_lease_and_notes_progress(settings: Settings) -> None:
    settings.UNOSAT_LEASE_SECONDS = 0.3
    job = a_job()
    lease = claimed(job)
    beaten = threading.Event()

    with Heartbeat(lease, lambda: {"worker": "me"}, beaten.set):
        assert beaten.wait(5)
        let_it_expire(job)
        job.refresh_from_db()
        wait_until(lambda: not leases.expired(Job).exists())

    job.refresh_from_db()
    assert job.worker == "me"


@pytest.mark.django_db(transaction=True)
def test_a_heartbeat_notices_that_the_lease_is_lost(settings: Settings) -> None:
    settings.UNOSAT_LEASE_SECONDS = 0.3
    job = a_job()
    lease = claimed(job)

    with Heartbeat(lease) as heart:
        Job.objects.filter(pk=job.pk).update(attempt=2)
        assert heart.lost.wait(5)


def wait_until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 5
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)
