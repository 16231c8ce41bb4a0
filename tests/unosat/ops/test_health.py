"""What the health page says."""

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connections
from django.test import Client
from pytest_django import Settings

from tests.private_servers import Servers
from tests.s3 import Cable, S3Server, use_bucket
from tests.silent import frozen, silent_server
from tests.unosat.makers import make_model
from unosat.ops import health
from unosat.ops.commands import QUEUES


@pytest.fixture(autouse=True)
def forgetful() -> None:
    """Nothing is remembered from the test before."""
    health._served.cache_clear()


@pytest.mark.django_db
def test_without_workers_and_model_it_says_what_is_missing(
    tmp_path: Path, settings: Settings
) -> None:
    settings.UNOSAT_STORE = tmp_path

    found = health.report()

    states = {check.name: check.ok for check in found.checks}
    assert not found.ok
    assert states == {
        "Database": True,
        "Redis": True,
        "Queues": True,
        "Workers": False,
        "Active model": False,
        "Store": True,
        "Upload sandbox": True,
    }
    (workers,) = [check for check in found.checks if check.name == "Workers"]
    assert "train" in workers.detail


@pytest.mark.django_db
def test_a_missing_model_of_pairs_is_told_and_is_no_failure() -> None:
    def active_model() -> health.Check:
        (found,) = [check for check in health.report().checks if check.name == "Active model"]
        return found

    one = make_model()
    alone = active_model()
    pairs = make_model(input_kind="before_after")
    both = active_model()
    one.delete()

    assert alone.ok
    assert "none, so images from before cannot be compared" in alone.detail
    assert both.ok
    assert str(pairs) in both.detail
    assert not active_model().ok


@pytest.mark.django_db
def test_a_redis_that_is_away_is_a_sentence_not_an_error(settings: Settings) -> None:
    settings.UNOSAT_REDIS_URL = "redis://127.0.0.1:1/0"

    (answer,) = [check for check in health.report().checks if check.name == "Redis"]

    assert (answer.ok, answer.detail) == (False, "does not answer")


def details() -> dict[str, str]:
    """What is said of the parts that do not work."""
    return {check.name: check.detail for check in health.report().checks if not check.ok}


@pytest.mark.django_db
@pytest.mark.timeout(120)
def test_of_a_redis_that_hangs_nobody_waits_for_what_hangs_on_it(
    tmp_path: Path, settings: Settings
) -> None:
    make_model()
    settings.UNOSAT_STORE = tmp_path
    with silent_server() as port:
        settings.UNOSAT_REDIS_URL = f"redis://127.0.0.1:{port}/0"
        told = details()

    assert told == {
        "Redis": "does not answer",
        "Queues": "cannot be told without: Redis",
        "Workers": "cannot be told without: Redis",
    }


@pytest.mark.django_db(transaction=True)
@pytest.mark.timeout(120)
def test_of_a_database_that_hangs_nobody_waits_for_what_hangs_on_it(
    servers: Servers, tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.UNOSAT_STORE = tmp_path
    monkeypatch.setattr(health, "_served", lambda _: frozenset(QUEUES))
    health.missing()  # from now on the pool has a connection, which will be silent
    connections.close_all()
    with frozen(servers.database.pid):
        told = details()

    assert told == {
        "Database": "does not answer",
        "Queues": "cannot be told without: Database",
        "Active model": "cannot be told without: Database",
    }
    assert "Database" not in details()


def store_check() -> tuple[bool, str]:
    (found,) = [check for check in health.report().checks if check.name == "Store"]
    return found.ok, found.detail


@pytest.mark.django_db
def test_a_bucket_is_said_to_work_only_if_it_does(
    s3_server: S3Server, tmp_path: Path, settings: Settings
) -> None:
    settings.UNOSAT_STORE = tmp_path
    cable = Cable(s3_server.port)
    cable.plug()
    right = s3_server.url(cable.near)
    use_bucket(settings, right)
    works = store_check()
    use_bucket(settings, right.replace("/imagery/", "/imagerie/"))
    misspelt = store_check()
    use_bucket(settings, right)
    cable.cut()
    away = store_check()

    assert works == (True, "writable")
    assert misspelt == (False, "the object storage has no such bucket")
    assert away == (False, "the object storage does not answer")


@pytest.fixture
def strict_store() -> Iterator[int]:
    """The port of a server that refuses every key, in the words of S3."""
    body = b"<Error><Code>SignatureDoesNotMatch</Code><Message>no</Message></Error>"
    head = f"HTTP/1.1 403 Forbidden\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"

    def answer(listener: socket.socket) -> None:
        while True:
            try:
                caller, _ = listener.accept()
            except OSError:
                return
            with caller:
                caller.recv(65536)
                caller.sendall(head.encode() + body)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=answer, args=(listener,), daemon=True).start()
        yield int(listener.getsockname()[1])
        listener.shutdown(socket.SHUT_RDWR)


@pytest.mark.django_db
def test_a_key_that_the_bucket_refuses_is_no_store_that_works(
    strict_store: int, tmp_path: Path, settings: Settings, client: Client
) -> None:
    settings.UNOSAT_STORE = tmp_path
    use_bucket(settings, f"s3+http://me:wrong@127.0.0.1:{strict_store}/imagery")

    assert store_check() == (False, "the object storage refuses our key")
    assert client.get("/readyz").json()["missing"] == ["store"]


@pytest.mark.django_db
def test_the_page_needs_no_sign_in_and_names_no_path(client: Client, settings: Settings) -> None:
    response = client.get("/health", headers={"accept": "application/json"})

    assert response.status_code == 503
    assert str(settings.UNOSAT_STORE) not in response.content.decode()
    connections.close_all()
