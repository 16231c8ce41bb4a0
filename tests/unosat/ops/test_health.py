"""What the health page says."""

from pathlib import Path

import pytest
from django.db import connections
from django.test import Client
from pytest_django import Settings

from tests.unosat.makers import make_model
from unosat.ops import health


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


@pytest.mark.django_db
def test_the_page_needs_no_sign_in_and_names_no_path(client: Client, settings: Settings) -> None:
    response = client.get("/health", headers={"accept": "application/json"})

    assert response.status_code == 503
    assert str(settings.UNOSAT_STORE) not in response.content.decode()
    connections.close_all()
