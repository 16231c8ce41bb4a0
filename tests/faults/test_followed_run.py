"""One run through real processes, as those see it who keep the installation going."""

import json
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import requests
from django.test import Client

from tests.faults.waiting import wait
from tests.live import Stack, free_port
from tests.unosat.makers import make_actor, make_organisation, make_scene, make_user, town
from unosat.accounts import services as accounts
from unosat.assessments.models import Assessment
from unosat.ops import presence
from unosat.ops.models import Job
from unosat.training.models import ModelVersion

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(900)]


@pytest.mark.usefixtures("only_long")
def test_a_run_is_followed_from_the_request_to_the_last_shard(
    live_stack: Stack, shipped_model: ModelVersion
) -> None:
    live_stack.start_web(free_port())  # with a log of this run alone
    organisation = make_organisation()
    scene = make_scene(organisation, town())
    staff = make_user(organisation, "admin")
    staff.is_staff = True
    staff.save()
    _, key = accounts.create_key(make_actor(organisation, "admin"), name="followed")
    detect = live_stack.start_worker("detect", UNOSAT_DEVICE="cpu", OMP_NUM_THREADS="1")

    pk = ask_for(live_stack, key, {"scene": str(scene.pk)}, request_id="journey-1")
    wait(lambda: Assessment.objects.get(pk=pk).state in {"done", "failed"})

    row = Assessment.objects.get(pk=pk)
    assert row.state == "done", row.failure_message
    wait(lambda: not Job.objects.filter(subject_id=pk).exclude(state="done").exists())
    assert_lines_can_be_joined(live_stack.logs, row)
    everybody = presence.workers()
    assert {one.queues for one in everybody} == {("ingest", "light"), ("detect",)}
    (detecting,) = [one for one in everybody if "detect" in one.queues]
    assert set(row.shards.values_list("worker", flat=True)) <= detecting.hands
    page = seen_by(staff)
    assert f'data-worker="{detecting.name}"' in page
    assert f"has {shipped_model}" in page

    live_stack.kill_worker(detect)
    wait(lambda: not all(one.alive for one in presence.workers()))
    assert "silent for" in seen_by(staff)


def assert_lines_can_be_joined(folder: Path, row: Assessment) -> None:
    """By the id alone: web, then ingest, then detect."""
    about = {
        path.stem.partition("-")[0]: [
            line
            for text in path.read_text().splitlines()
            if (line := json.loads(text) if text.startswith("{") else {}).get("assessment")
            == str(row.pk)
        ]
        for path in folder.glob("*.log")
    }
    web, ingest, detect = (about[name] for name in ("web", "light", "detect"))
    (created,) = [line for line in web if line["message"] == "assessment created"]
    assert created["request_id"] == "journey-1"
    assert {line["job"] for line in ingest if "job" in line} == {"plan", "merge", "order"}
    assert "assessment done" in {line["message"] for line in ingest}
    looked = [line for line in detect if line["message"] == "shard looked at"]
    assert {UUID(line["shard"]) for line in looked} == {shard.pk for shard in row.shards.all()}
    assert {line["attempt"] for line in looked} == {1}
    organisations = {line.get("organisation") for line in (created, *ingest, *detect)}
    assert organisations == {str(row.organisation_id)}


def ask_for(stack: Stack, key: str, wanted: dict[str, Any], *, request_id: str) -> UUID:
    """Start an assessment by API, as a partner's program does."""
    answer = requests.post(
        f"{stack.url}api/v1/assessments",
        json=wanted,
        headers={"Authorization": f"Bearer {key}", "X-Request-ID": request_id},
        timeout=60,
    )
    assert answer.status_code == 202, answer.text
    assert answer.headers["X-Request-ID"] == request_id
    return UUID(answer.json()["id"])


def seen_by(user: Any) -> str:
    """The status page."""
    client = Client()
    client.force_login(user)
    answer = client.get("/status/")
    assert answer.status_code == 200
    return answer.content.decode()
