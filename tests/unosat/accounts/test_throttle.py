"""Guessing passwords and keys soon comes to an end, and tells nobody who exists."""

import contextlib
import itertools
import time
from collections.abc import Callable, Iterator

import pytest
from django.contrib.auth.models import User
from django.http.response import HttpResponseBase
from django.test import Client
from django.urls import reverse

from tests.private_servers import Servers
from tests.unosat.makers import make_actor, make_organisation, make_user
from unosat.accounts import services, throttle

pytestmark = pytest.mark.django_db

EVENTS = "/api/v1/events"
SENTENCE = "Too many wrong attempts. Wait ten minutes, then try again."
RIGHT = "correct horse"
_addresses = (f"198.51.100.{number}" for number in itertools.count(1))


@pytest.fixture
def address() -> str:
    """One that no other test comes from: counts outlive a test."""
    return next(_addresses)


@pytest.fixture
def user() -> User:
    return make_user(make_organisation())


@contextlib.contextmanager
def freeze_minutes(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], None]]:
    """Stop the clock of the counts; the function that is returned puts it forward."""
    now = int(time.time()) // 60

    def forward(minutes: int) -> None:
        nonlocal now
        now += minutes

    with monkeypatch.context() as patched:
        patched.setattr(throttle, "_minute", lambda: now)
        yield forward


def sign_in(name: str, password: str, address: str) -> HttpResponseBase:
    body = {"username": name, "password": password}
    return Client(REMOTE_ADDR=address).post(reverse("login"), body)


def call(key: str, address: str) -> HttpResponseBase:
    headers = {"Authorization": f"Bearer {key}"}
    return Client(REMOTE_ADDR=address).get(EVENTS, headers=headers)


@pytest.mark.parametrize("exists", ["exists", ""])
def test_after_ten_wrong_passwords_a_name_is_shut_out_whether_or_not_it_exists(
    user: User, exists: str, address: str
) -> None:
    name = user.username if exists else f"nobody-{address}"

    answers = [sign_in(name, "wrong", next(_addresses)) for _ in range(10)]
    shut_out = sign_in(name.upper(), RIGHT, address)

    assert {answer.status_code for answer in answers} == {200}  # the form again, with its sentence
    assert shut_out.status_code == 429
    assert shut_out.headers["Retry-After"] == "600"
    assert SENTENCE in shut_out.content.decode()  # type: ignore[attr-defined]


def test_after_ten_wrong_passwords_an_address_is_shut_out_and_others_are_not(
    user: User, address: str
) -> None:
    for number in range(10):
        assert sign_in(f"guess-{address}-{number}", "wrong", address).status_code == 200

    assert sign_in(user.username, RIGHT, address).status_code == 429
    assert sign_in(user.username, RIGHT, next(_addresses)).status_code == 302


def test_the_admin_s_own_sign_in_is_shut_too(user: User, address: str) -> None:
    body = {"username": user.username, "password": "wrong"}
    client = Client(REMOTE_ADDR=address)
    for _ in range(10):
        client.post(reverse("admin:login"), body)

    assert client.post(reverse("admin:login"), body).status_code == 429


def test_the_right_password_begins_the_count_anew(user: User) -> None:
    for _ in range(2):
        for _ in range(9):
            sign_in(user.username, "wrong", next(_addresses))
        assert sign_in(user.username, RIGHT, next(_addresses)).status_code == 302


def test_old_mistakes_do_not_count_and_the_door_opens_again(
    user: User, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with freeze_minutes(monkeypatch) as pass_minutes:
        for _ in range(20):  # one in two minutes: five of them in any ten
            assert sign_in(user.username, "wrong", next(_addresses)).status_code == 200
            pass_minutes(2)

    monkeypatch.setattr(throttle, "LOCKED_SECONDS", 1)
    for _ in range(10):
        throttle.note_failure(f"sign-in:{address}")
    assert sign_in(user.username, RIGHT, address).status_code == 429
    time.sleep(1.2)
    assert sign_in(user.username, RIGHT, address).status_code == 302


def test_web_machines_whose_clocks_differ_count_together(
    user: User, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = time.time
    for hours in range(10):  # each attempt comes to a machine with another idea of the time
        monkeypatch.setattr(time, "time", lambda hours=hours: right() + hours * 3600)
        throttle.note_failure(f"sign-in:{address}")
    monkeypatch.undo()

    assert sign_in(user.username, RIGHT, address).status_code == 429


def test_wrong_keys_are_shut_out_and_right_ones_never(address: str) -> None:
    _, key = services.create_key(make_actor(make_organisation(), "admin"), name="partner")

    answers = [call("unosat_00000000_guess", address).status_code for _ in range(12)]

    assert answers == [401] * 10 + [429] * 2
    refused = call("unosat_00000000_guess", address)
    assert refused.headers["Retry-After"] == "600"
    assert refused.json() == {"code": "too_many_attempts", "message": SENTENCE}  # type: ignore[attr-defined]
    assert call(key, address).status_code == 200
    assert call("unosat_00000000_guess", next(_addresses)).status_code == 401


def test_without_redis_people_can_still_sign_in(user: User, address: str, servers: Servers) -> None:
    servers.queue.kill()
    servers.queue.wait()
    try:
        assert sign_in(user.username, "wrong", address).status_code == 200
        assert sign_in(user.username, RIGHT, address).status_code == 302
    finally:
        servers.restart_queue()
