"""What the addresses of the database and of Redis ask for is done."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from kombu import Connection
from kombu.exceptions import OperationalError

from tests.live import PROJECT, free_port
from tests.unosat.scenes.https import make_certificates
from unosat.ops import addresses, processes

SCRIPT = """
import json
import django
django.setup()
from django.db import connection
asked = connection.get_connection_params()
print(json.dumps({name: asked.get(name) for name in ("host", "sslmode", "sslrootcert", "options")}))
"""


def test_a_database_that_is_to_prove_its_name_must() -> None:
    address = "postgis://unosat:p@db.example/unosat?sslmode=verify-full&sslrootcert=system"

    answer = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=PROJECT,
        env=dict(os.environ)
        | {"DJANGO_SETTINGS_MODULE": "unosat.settings", "UNOSAT_DATABASE_URL": address},
        capture_output=True,
        text=True,
        check=True,
    )

    assert json.loads(answer.stdout) == {
        "host": "db.example",
        "sslmode": "verify-full",
        "sslrootcert": "system",
        "options": "-c jit=off",
    }


@pytest.fixture
def redis_over_tls(tmp_path: Path) -> Iterator[int]:
    """The port of a Redis whose certificate is for "localhost", of an authority of its own."""
    make_certificates(tmp_path, "localhost")
    port = free_port()
    command = ["redis-server", "--port", "0", "--tls-port", str(port), "--save", ""]
    command += ["--tls-cert-file", str(tmp_path / "server.pem"), "--tls-auth-clients", "no"]
    command += ["--tls-key-file", str(tmp_path / "server.key")]
    command += ["--tls-ca-cert-file", str(tmp_path / "ca.pem"), "--dir", str(tmp_path)]
    log = tmp_path / "redis.log"
    process = processes.start(processes.guarded(command), log=log)
    for _ in range(200):
        if log.exists() and "Ready to accept connections" in log.read_text():
            break
        time.sleep(0.05)
    yield port
    processes.stop(process, signal.SIGTERM, seconds=5)


def reaches(url: str) -> bool:
    """Whether Celery's side of the broker sends something there."""
    with Connection(
        addresses.for_celery(url), ssl=addresses.tls_for_celery(url) or False
    ) as broker:
        try:
            broker.ensure_connection(max_retries=1, interval_start=0, timeout=5)
            broker.SimpleQueue("light").put({"hello": 1})
        except OperationalError as error:
            assert "CERTIFICATE_VERIFY_FAILED" in str(error)  # noqa: PT017
            return False
        return True


def test_messages_go_only_to_a_broker_that_proves_its_name(
    redis_over_tls: int, tmp_path: Path
) -> None:
    known = f"?ssl_ca_certs={tmp_path / 'ca.pem'}"

    assert reaches(f"rediss://localhost:{redis_over_tls}/0{known}")
    assert not reaches(f"rediss://localhost:{redis_over_tls}/0")  # an authority nobody knows
    assert not reaches(f"rediss://127.0.0.1:{redis_over_tls}/0{known}")  # not its name


def test_a_socket_is_reached_by_its_other_name() -> None:
    assert addresses.for_celery("unix:///run/redis.sock?db=0") == (
        "redis+socket:///run/redis.sock?virtual_host=0"
    )
    assert addresses.tls_for_celery("redis://redis.example/0") is None
