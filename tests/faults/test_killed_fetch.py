"""A worker is killed while it fetches from a link: the next one goes on, and the file is whole."""

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import MakeGeotiff
from tests.faults.waiting import wait
from tests.live import Stack, processes_of
from tests.unosat.makers import make_actor, make_organisation
from tests.unosat.scenes.https import File, serving, sha256
from unosat.ops.models import Job
from unosat.scenes import fetches
from unosat.scenes.models import Fetch, Scene

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(900)]

PATIENCE_SECONDS = 400.0


@pytest.fixture
def stack(transactional_db: None, redis_url: str, tmp_path: Path) -> Iterator[Stack]:  # noqa: ARG001 (a database is needed)
    """What sweeps and relays, without a worker that fetches."""
    with processes_of(redis_url, tmp_path / "log") as running:
        running.start_beat()
        running.start_worker("light")
        yield running


@pytest.mark.usefixtures("only_long")
def test_a_killed_worker_costs_only_what_was_not_yet_on_disk(
    stack: Stack, make_geotiff: MakeGeotiff, tmp_path: Path
) -> None:
    noise = np.random.default_rng(1).integers(1, 255, (3, 1500, 1500), dtype=np.uint8)
    data = make_geotiff(noise).read_bytes()
    folder = tmp_path / "https"
    folder.mkdir()
    go_on = threading.Event()
    with serving(folder) as server:
        # the server falls silent in the middle, so that the kill hits a fetch under way
        server.files["/a.tif"] = File(
            data, piece=100_000, pause=lambda at: at >= 2_000_000 and go_on.wait(PATIENCE_SECONDS)
        )
        env = server.environment() | {"UNOSAT_LEASE_SECONDS": "4"}
        first = stack.start_worker("ingest", **env)
        fetch = fetches.begin(
            make_actor(make_organisation()),
            url=server.url("/a.tif"),
            metadata={"event_name": "Storm", "phase": "after"},
        )
        wait(lambda: Fetch.objects.get(pk=fetch.pk).received > 500_000)
        stack.kill_worker(first)
        kept = Fetch.objects.get(pk=fetch.pk).received
        go_on.set()
        stack.start_worker("ingest", **env)
        wait(lambda: Scene.objects.filter(state__in=["ready", "refused"]).exists())

        scene = Scene.objects.get()
        assert (scene.state, scene.sha256) == ("ready", sha256(data))
        assert Fetch.objects.get().state == "done"
        assert Job.objects.get(kind="fetch").attempt == 2
        first_asked, *then = [seen.headers.get("range") for seen in server.seen]
        assert first_asked is None
        assert set(then) == {f"bytes={kept}-"}  # more than once if the dead one's lock lingers
