"""Which shard a free worker takes up next, however many wait."""

from uuid import UUID

import pytest
from django.db import connection, transaction
from django.test import Client

from tests.at_once import at_once
from tests.unosat.makers import (
    bright,
    finish,
    make_actor,
    make_model,
    make_organisation,
    make_scene,
    make_user,
)
from unosat.accounts.models import Organisation
from unosat.assessments import detectors, services, tasks, turns
from unosat.assessments.models import Assessment, Shard
from unosat.assessments.services import AssessmentRequest
from unosat.ops import jobs, leases
from unosat.ops.leases import Lease
from unosat.review import tasks as review_tasks
from unosat.scenes.models import Scene
from unosat.training.models import ModelVersion

pytestmark = pytest.mark.django_db(transaction=True)

ROWS_OF_A_CLAIM = 5_000  # a row or two for each of 1,000 runs


def running(organisation: Organisation, shards: int) -> Assessment:
    """An assessment whose shards wait."""
    scene = Scene.objects.first() or make_scene(organisation)
    version = ModelVersion.objects.first() or make_model()
    row = Assessment.objects.create(
        organisation=organisation, scene=scene, model_version=version, state="running"
    )
    Shard.objects.bulk_create(
        Shard(assessment=row, index=number, tiles_total=4) for number in range(shards)
    )
    return row


def claim() -> Lease:
    lease = turns.claim_next()
    assert lease is not None
    return lease


def whose(lease: Lease) -> UUID:
    return Shard.objects.get(pk=str(lease.pk)).assessment_id


def test_a_continent_of_one_organisation_leaves_every_other_worker_to_the_others() -> None:
    continent = running(make_organisation(), 50)
    small = running(make_organisation(), 3)

    served = [whose(claim()) for _ in range(8)]

    assert served[:6].count(small.pk) == 3
    assert served.count(continent.pk) == 5


def test_what_is_urgent_goes_first_and_then_the_oldest() -> None:
    organisation = make_organisation()
    first, second, third = (running(organisation, 1) for _ in range(3))
    admin = make_actor(organisation, "admin")
    services.set_urgent(admin, third.pk, urgent=True)

    assert [whose(claim()) for _ in range(3)] == [third.pk, first.pk, second.pk]


def test_shards_of_a_model_that_cannot_be_loaded_are_left_to_others() -> None:
    row = running(make_organisation(), 1)

    assert turns.claim_next(without=[row.model_version_id]) is None
    assert whose(claim()) == row.pk


def test_nothing_is_taken_of_what_was_cancelled() -> None:
    row = running(make_organisation(), 2)
    services.cancel_assessment(make_actor(row.organisation), row.pk)

    assert turns.claim_next() is None


def test_many_workers_at_once_take_different_shards() -> None:
    running(make_organisation(), 8)
    taken = at_once(turns.claim_next, 8)

    assert len({lease.pk for lease in taken if lease}) == 8


def rows_read() -> int:
    """Rows of shards and of their indexes that this transaction has read."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT sum(pg_stat_get_xact_tuples_returned(oid) + pg_stat_get_xact_tuples_fetched(oid))
            FROM (
                SELECT 'assessments_shard'::regclass::oid AS oid
                UNION ALL
                SELECT indexrelid FROM pg_index WHERE indrelid = 'assessments_shard'::regclass
            ) AS relations
            """
        )
        (rows,) = cursor.fetchone()
    return int(rows)


def test_a_turn_is_found_by_reading_few_of_a_hundred_thousand_shards() -> None:
    """Counted, not timed: it was 7 to 20 ms, by what else the machine did."""
    organisations = [make_organisation() for _ in range(10)]
    many = [running(organisation, 0) for organisation in organisations for _ in range(100)]
    running(make_organisation(), 8)
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO assessments_shard (id, assessment_id, index, spec, state, attempt, worker,
                tiles_total, tiles_done, found, result_sha256, seconds, created_at)
            SELECT gen_random_uuid(), a, n, '{}', 'waiting', 0, '', 4, 0, 0, '', 0, now()
            FROM unnest(%s::uuid[]) a, generate_series(1, 100) n
            """,
            [[row.pk for row in many]],
        )
        cursor.execute("ANALYZE assessments_shard, assessments_assessment")
    assert Shard.objects.filter(state="waiting").count() > 100_000

    with transaction.atomic():
        before = rows_read()
        claim()
        read = rows_read() - before

    print(f"\nclaim among 100,000 shards of 1,000 runs: {read} rows read")  # noqa: T201
    assert 0 < read < ROWS_OF_A_CLAIM


def test_an_explanation_does_not_wait_behind_a_continent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The next message does it, whatever that message was sent for."""
    explained: list[UUID] = []

    def work(pk: UUID, lease: Lease) -> None:
        explained.append(pk)
        leases.finish(lease)

    monkeypatch.setattr(review_tasks, "_explain", work)
    monkeypatch.setattr(detectors, "detector_of", bright)
    make_model()
    organisation = make_organisation()
    wanted = AssessmentRequest(scene=make_scene(organisation).pk)
    row = services.create_assessment(make_actor(organisation), wanted)
    tasks.plan(str(row.pk))
    job = jobs.enqueue("explain", row.pk, organisation.pk)

    tasks.detect()

    assert explained == [job.subject_id]
    assert row.shards.filter(state="done").count() == 1


class TestOverHttp:
    """What admins, analysts and partners may see and do."""

    @pytest.fixture
    def row(self, monkeypatch: pytest.MonkeyPatch) -> Assessment:
        """One shard of it failed."""
        make_model()
        organisation = make_organisation()
        monkeypatch.setattr(detectors, "detector_of", bright)
        wanted = AssessmentRequest(scene=make_scene(organisation).pk)
        row = services.create_assessment(make_actor(organisation), wanted)
        tasks.plan(str(row.pk))
        lease = claim()
        services.fail_shard(
            lease, row.pk, Shard.State.FAILED, "unexpected", "It broke.", "a log of it"
        )
        return row

    def signed_in(self, row: Assessment, role: str) -> Client:
        client = Client()
        client.force_login(make_user(row.organisation, role))  # type: ignore[arg-type]
        return client

    def test_the_failed_shard_is_named_with_its_reason_and_its_log_is_for_admins(
        self, row: Assessment
    ) -> None:
        address = f"/api/v1/assessments/{row.pk}/shards?state=failed"

        (for_analyst,) = self.signed_in(row, "analyst").get(address).json()
        (for_admin,) = self.signed_in(row, "admin").get(address).json()

        assert (for_analyst["index"], for_analyst["failure_message"]) == (0, "It broke.")
        assert (for_analyst["log"], for_analyst["worker"]) == ("", "")
        assert (for_admin["log"], for_admin["worker"]) == ("a log of it", leases.worker_name())

    def test_retrying_it_is_one_request_and_twice_is_refused(self, row: Assessment) -> None:
        client = self.signed_in(row, "analyst")
        address = f"/api/v1/assessments/{row.pk}/shards/0/retry"

        first, second = client.post(address), client.post(address)

        assert (first.status_code, first.json()["shards_failed"]) == (200, 0)
        assert (second.status_code, second.json()["code"]) == (409, "nothing_to_retry")
        for _ in range(6):
            tasks.detect()
        tasks.merge(str(row.pk))
        assert client.get(f"/api/v1/assessments/{row.pk}").json()["state"] == "done"

    def test_only_admins_make_it_urgent_and_all_see_it(self, row: Assessment) -> None:
        address = f"/api/v1/assessments/{row.pk}/urgent"
        body = {"urgent": True}

        analyst, admin = (self.signed_in(row, role) for role in ("analyst", "admin"))
        refused = analyst.post(address, body, content_type="application/json")
        allowed = admin.post(address, body, content_type="application/json")

        assert refused.status_code == 403
        assert allowed.json()["urgent"] is True
        assert "urgent" in analyst.get("/latest/").content.decode()
        for _ in range(6):
            tasks.detect()
        assert admin.post(address, body, content_type="application/json").status_code == 409

    def test_the_list_tells_that_a_running_one_lacks_a_part(self, row: Assessment) -> None:
        page = self.signed_in(row, "analyst").get("/latest/").content.decode()

        assert "1 of 6 shards failed" in page


def test_a_finished_assessment_has_no_shard_to_retry(monkeypatch: pytest.MonkeyPatch) -> None:
    make_model()
    monkeypatch.setattr(detectors, "detector_of", bright)
    organisation = make_organisation()
    client = Client()
    client.force_login(make_user(organisation))
    wanted = AssessmentRequest(scene=make_scene(organisation).pk)
    row = finish(services.create_assessment(make_actor(organisation), wanted))

    answer = client.post(f"/api/v1/assessments/{row.pk}/shards/0/retry")

    assert answer.status_code == 409
