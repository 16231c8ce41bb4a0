"""kill -9 of PostgreSQL, all its processes at once, at any moment of a run."""

import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.db import connection

from tests.faults.test_random_kills import FAST, begin, done, features, results
from tests.live import processes_of
from tests.private_servers import Servers
from tests.unosat.makers import (
    bright,
    finish,
    make_actor,
    make_model,
    make_organisation,
    make_scene,
)
from unosat.assessments import detectors
from unosat.review.models import Building, Footprint

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.timeout(1800),
    pytest.mark.usefixtures("only_long"),
]

KILLS = 5


@pytest.fixture
def commits_last(transactional_db: None) -> Iterator[None]:  # noqa: ARG001 (a database is needed)
    """The tests' own cluster answers before a commit is safe; a real one does not."""
    name = connection.settings_dict["NAME"]
    with connection.cursor() as cursor:
        cursor.execute(f'ALTER DATABASE "{name}" SET synchronous_commit = on')
    connection.close()
    connection.close_pool()  # type: ignore[attr-defined]
    yield
    with connection.cursor() as cursor:
        cursor.execute(f'ALTER DATABASE "{name}" RESET synchronous_commit')
    connection.close()
    connection.close_pool()  # type: ignore[attr-defined]


@pytest.mark.usefixtures("commits_last")
def test_killed_at_any_moment_it_comes_back_with_all_that_was_committed(
    servers: Servers,
    redis_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    record_property: Callable[[str, object], None],
) -> None:
    monkeypatch.setattr(detectors, "detector_of", bright)
    monkeypatch.setattr(detectors, "_failed", {})
    chance = random.Random(21)  # noqa: S311 (no secret: repeatable moments)
    make_model()
    organisation = make_organisation()
    actor, scene = make_actor(organisation), make_scene(organisation)
    undisturbed = finish(begin(actor, scene))
    expected, shards = features(actor, undisturbed), results(undisturbed)
    moments: list[str] = []

    with processes_of(redis_url, tmp_path / "log") as stack:
        stack.start_beat()
        stack.start_worker("light", **FAST)
        stack.start_worker("ingest", **FAST)
        for _ in range(2):
            stack.start_standin("detect", **FAST)
        begun = time.monotonic()
        done(begin(actor, scene))
        run_seconds = time.monotonic() - begun
        for _ in range(KILLS):
            row = begin(actor, scene)
            time.sleep(chance.uniform(0, run_seconds))
            row.refresh_from_db(fields=["state"])
            moments.append(row.state)
            connection.close()
            servers.kill_database()
            done(row)
            assert results(row) == shards
            assert features(actor, row) == expected
            buildings = Building.objects.filter(assessment=row).count()
            assert buildings == Footprint.objects.filter(assessment=row).count()

    record_property("measured", f"killed while runs were: {', '.join(moments)}")
    assert not row.shards.exclude(state="done").exists()
