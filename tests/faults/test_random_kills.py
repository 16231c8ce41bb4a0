"""kill -9 of any process at any moment: every run ends with the bytes of an undisturbed one."""

import json
import random
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.live import free_port, processes_of
from tests.unosat.makers import make_actor, make_model, make_organisation, make_scene
from unosat.accounts.actors import Actor
from unosat.assessments import services
from unosat.assessments.models import Assessment, Shard
from unosat.assessments.services import AssessmentRequest
from unosat.exports.services import Choice, write_geojson
from unosat.ops import processes
from unosat.review.models import Building, Footprint
from unosat.scenes.models import Scene

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(3600)]

PATIENCE_SECONDS = 300.0
KILLS = 50
FAST = {"UNOSAT_LEASE_SECONDS": "2", "OMP_NUM_THREADS": "1", "STANDIN_TILE_SECONDS": "0.15"}
Start = Callable[[], subprocess.Popen[bytes]]


@pytest.fixture
def starts(transactional_db: None, redis_url: str, tmp_path: Path) -> Iterator[dict[str, Start]]:  # noqa: ARG001 (a database is needed)
    """How each process of an installation is started; detection waits instead of thinking."""
    with processes_of(redis_url, tmp_path / "log") as stack:
        yield {
            "web": lambda: stack.start_web(free_port()),
            "beat": stack.start_beat,
            "light": partial(stack.start_worker, "light", **FAST),
            "ingest": partial(stack.start_worker, "ingest", **FAST),
            "detect": partial(stack.start_standin, "detect", **FAST),
            "another detect": partial(stack.start_standin, "detect", **FAST),
        }


@pytest.mark.usefixtures("only_long")
def test_any_process_killed_at_any_moment_changes_no_byte(
    starts: dict[str, Start], record_property: Callable[[str, object], None]
) -> None:
    chance = random.Random(20)  # noqa: S311 (no secret: repeatable moments)
    make_model()
    organisation = make_organisation()
    actor, scene = make_actor(organisation), make_scene(organisation)
    running = {name: start() for name, start in starts.items()}
    done(begin(actor, scene))  # the model is loaded now
    begun = time.monotonic()
    undisturbed = done(begin(actor, scene))
    run_seconds = time.monotonic() - begun
    expected, shards = features(actor, undisturbed), results(undisturbed)
    assert len(shards) >= 6
    assert Footprint.objects.filter(assessment=undisturbed).count() > 50

    hit: Counter[str] = Counter()
    for _ in range(KILLS):
        row = begin(actor, scene)
        victim = chance.choice([*starts, "detect", "another detect", "ingest"])
        time.sleep(chance.uniform(0, run_seconds))
        hit[f"{victim}: {Assessment.objects.get(pk=row.pk).state}"] += 1
        processes.kill_session(running[victim])
        running[victim] = starts[victim]()
        done(row)
        assert results(row) == shards
        assert features(actor, row) == expected
        buildings = Building.objects.filter(assessment=row).count()
        assert buildings == Footprint.objects.filter(assessment=row).count()

    moments = ", ".join(f"{where} {times}" for where, times in sorted(hit.items()))
    record_property("measured", f"{KILLS} of {KILLS} equal; killed while the run was: {moments}")
    assert not Shard.objects.exclude(state="done").exists()


def begin(actor: Actor, scene: Scene) -> Assessment:
    return services.create_assessment(actor, AssessmentRequest(scene=scene.pk))


def done(row: Assessment) -> Assessment:
    """The run once it has ended well."""
    end = time.monotonic() + PATIENCE_SECONDS
    while row.state != "done":
        assert row.state not in {"failed", "cancelled"}, row.failure_message
        assert time.monotonic() < end, list(row.shards.values_list("state", "attempt", "log"))
        time.sleep(0.1)
        row.refresh_from_db(fields=["state", "failure_message"])
    return row


def features(actor: Actor, row: Assessment) -> bytes:
    """The features of the download as they are in the file; its metadata holds times."""
    with write_geojson(actor, row.pk, Choice()) as file:
        whole = file.read()
    assert json.loads(whole)["metadata"]["features"] == row.buildings.count()
    return whole[whole.index(b'"features": [') :]


def results(row: Assessment) -> list[str]:
    return list(row.shards.order_by("index").values_list("result_sha256", flat=True))
