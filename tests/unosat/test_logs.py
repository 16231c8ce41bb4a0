"""What a log line says. That one run's lines can be joined: ops/test_operations_live.py."""

import io
import json
import logging
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client

from tests.unosat.makers import make_done_assessment, make_organisation, make_user
from unosat import logs


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """What the root logger writes, as a file or a collector gets it."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logs.JsonFormatter())
    logging.getLogger().addHandler(handler)
    yield stream
    logging.getLogger().removeHandler(handler)


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def test_a_line_is_one_object_whatever_is_in_it(written: io.StringIO) -> None:
    error = ValueError("two\nlines")
    logging.getLogger("unosat.x").warning("it %s", 'broke "here"\n', exc_info=error)

    (line,) = lines(written.getvalue())
    assert (line["level"], line["logger"]) == ("WARNING", "unosat.x")
    assert line["message"] == 'it broke "here"\n'
    assert "ValueError: two\nlines" in line["traceback"]
    assert line["time"].endswith("+00:00")


def test_the_engines_lines_say_in_which_run_they_were_written(written: io.StringIO) -> None:
    with logs.scope(assessment="a1"), logs.scope(shard="s1"):
        logs.add(attempt=2)
        logging.getLogger("detection.pipeline").warning("a tile is odd", extra={"tile": 7})
    logging.getLogger("detection.pipeline").warning("another time")

    inside, outside = lines(written.getvalue())
    assert {"assessment": "a1", "shard": "s1", "attempt": 2, "tile": 7}.items() <= inside.items()
    assert not {"assessment", "shard", "attempt"} & outside.keys()


def test_threads_of_a_task_are_known_as_its_own(written: io.StringIO) -> None:
    logs.begin_task(task="assessments.detect_shard")
    logs.add(assessment="a1")
    thread = threading.Thread(target=logging.getLogger("detection").warning, args=["from inside"])
    thread.start()
    thread.join()
    logs.end_task()
    logs.add(assessment="nobody's")
    logging.getLogger("detection").warning("afterwards")

    inside, outside = lines(written.getvalue())
    assert (inside["task"], inside["assessment"]) == ("assessments.detect_shard", "a1")
    assert not {"task", "assessment"} & outside.keys()


@pytest.mark.django_db
def test_a_request_has_a_name_on_its_lines_and_in_its_answer(written: io.StringIO) -> None:
    row = make_done_assessment(make_organisation())
    client = Client()
    client.force_login(make_user(row.organisation))
    path = f"/api/v1/assessments/{row.pk}/cancel"

    answer = client.post(path, headers={"X-Request-ID": "from-the-proxy"})

    assert answer.status_code == 409
    assert answer.headers["X-Request-ID"] == "from-the-proxy"
    about = [line for line in lines(written.getvalue()) if line.get("assessment") == str(row.pk)]
    assert {line["message"] for line in about} == {"refused", "answered"}
    for line in about:
        assert line["request_id"] == "from-the-proxy"
        assert line["organisation"] == str(row.organisation_id)


@pytest.mark.parametrize("sent", ["", "a b", "x" * 65, "{}"])
def test_a_name_that_nobody_should_log_is_replaced(client: Client, sent: str) -> None:
    first = client.get("/healthz", headers={"X-Request-ID": sent}).headers["X-Request-ID"]
    second = client.get("/healthz", headers={"X-Request-ID": sent}).headers["X-Request-ID"]

    assert sent not in {first, second}
    assert first != second
