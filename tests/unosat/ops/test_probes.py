"""What load balancers and container engines ask: does it live, can it work."""

import json
import time
from pathlib import Path

import pytest
from django.test import Client
from pytest_django import Settings

from tests.private_servers import Servers
from tests.silent import frozen
from unosat.ops import health

NOBODY = "redis://127.0.0.1:1/0"


@pytest.fixture(autouse=True)
def forgetful() -> None:
    """Nothing is remembered from the test before."""
    health._migrated = False


def test_a_process_lives_without_any_database_and_under_any_name(settings: Settings) -> None:
    settings.UNOSAT_REDIS_URL = NOBODY

    answer = Client().get("/healthz", headers={"host": "10.0.0.7:8000"})  # no database: not allowed

    assert (answer.status_code, json.loads(answer.content)) == (200, {"ok": True})


@pytest.mark.django_db
def test_a_process_with_everything_is_ready(tmp_path: Path, settings: Settings) -> None:
    settings.UNOSAT_STORE = tmp_path

    answer = Client().get("/readyz", headers={"host": "10.0.0.7:8000"})

    assert (answer.status_code, json.loads(answer.content)) == (200, {"ok": True, "missing": []})


@pytest.mark.django_db
def test_what_is_missing_is_listed_without_addresses(tmp_path: Path, settings: Settings) -> None:
    settings.UNOSAT_REDIS_URL = NOBODY
    settings.UNOSAT_STORE = tmp_path / "gone"

    answer = Client().get("/readyz")

    assert answer.status_code == 503
    assert json.loads(answer.content) == {"ok": False, "missing": ["redis", "store"]}


@pytest.mark.django_db(transaction=True)
def test_tables_of_an_older_release_are_not_enough(tmp_path: Path, settings: Settings) -> None:
    from django.db.migrations.recorder import MigrationRecorder

    settings.UNOSAT_STORE = tmp_path
    rows = MigrationRecorder.Migration.objects.filter(app="ops")
    (last,) = rows.order_by("-pk")[:1]
    last.delete()
    try:
        assert health.missing() == ["migrations"]
    finally:
        last.save(force_insert=True)

    assert health.missing() == []


@pytest.mark.django_db(transaction=True)
def test_a_restarted_database_is_noticed_at_once_both_times(
    servers: Servers, tmp_path: Path, settings: Settings
) -> None:
    settings.UNOSAT_STORE = tmp_path
    from django.db import connection

    from tests import private_servers
    from unosat.ops import postgres

    assert health.missing() == []
    connection.close()
    postgres.stop(servers.database)
    try:
        away = health.missing()
    finally:
        servers.database = postgres.start(private_servers.CLUSTER)

    assert away == ["database"]
    assert health.missing() == []


@pytest.mark.django_db(transaction=True)
@pytest.mark.timeout(120)
def test_a_database_that_hangs_is_told_and_the_probe_does_not_hang_with_it(
    servers: Servers, tmp_path: Path, settings: Settings
) -> None:
    settings.UNOSAT_STORE = tmp_path
    from django.db import connection

    assert health.missing() == []  # from now on the pool has a connection, which will be silent
    connection.close()
    with frozen(servers.database.pid):
        began = time.monotonic()
        away = health.missing()
        waited = time.monotonic() - began

    assert away == ["database"]
    assert waited < 20  # four seconds, on a machine that does nothing else
    assert health.missing() == []
