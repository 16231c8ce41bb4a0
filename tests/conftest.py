"""Fixtures shared by every test. Rasters are made here, a few kilobytes each; none is stored."""

import contextlib
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import settings as hypothesis_settings
from numpy.typing import NDArray

from tests import private_servers
from tests.live import Stack, free_port, processes_of
from tests.private_servers import Servers
from tests.s3 import S3Server, running_s3

MakeGeotiff = Callable[..., Path]
StartWorker = Callable[..., AbstractContextManager[subprocess.Popen[bytes]]]
PROJECT = Path(__file__).resolve().parent.parent

# Side by side, a long file that begins last is waited for by all other processes.
SLOWEST_FIRST = (
    "test_main_journey.py",
    "test_keys_and_buttons.py",
    "test_nothing_is_lost.py",
    "test_accessibility.py",
    "test_drawing.py",
    "test_two_people.py",
    "test_accessibility_more.py",
    "test_queue.py",
    "test_supervisor.py",
    "test_worker.py",
    "test_messages.py",
    "test_formats.py",
    "test_killed_worker.py",
    "test_stopping.py",
    "test_object_storage.py",
    "test_restarts.py",
    "test_every_task.py",
    "test_shipped_model.py",
    "test_train.py",
    "test_schedules.py",
    "test_readme_commands.py",
)

# The time of an example says more of what else the machine does than of the code.
hypothesis_settings.register_profile("shared machine", deadline=None)
hypothesis_settings.load_profile("shared machine")

if "PYTEST_XDIST_WORKER" in os.environ:  # tests run side by side: one thread each, torch's too
    os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the slowest files first; all else stays in its order."""
    places = {name: place for place, name in enumerate(SLOWEST_FIRST)}
    items.sort(key=lambda item: places.get(item.path.name, len(places)))


@pytest.fixture
def make_geotiff(tmp_path: Path) -> MakeGeotiff:
    """Return a function that writes a small GeoTIFF, UTM 37N at 0.5 m unless told otherwise."""

    def make(
        pixels: NDArray[np.generic],
        *,
        crs: str | None = "EPSG:32637",
        transform: Affine | None = Affine(0.5, 0, 500_000, 0, -0.5, 4_000_000),  # noqa: B008
        nodata: float | None = None,
        name: str = "scene.tif",
    ) -> Path:
        path = tmp_path / name
        bands, height, width = pixels.shape
        with rasterio.open(
            path,
            "w",
            driver="GTiff",
            width=width,
            height=height,
            count=bands,
            dtype=pixels.dtype,
            crs=crs,
            transform=transform,
            nodata=nodata,
        ) as dataset:
            dataset.write(pixels)
        return path

    return make


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real imagery; without it a test is skipped, or fails where it is required."""
    folder = Path(os.environ.get("UNOSAT_TEST_DATA", PROJECT.parent / "shared" / "data"))
    if not folder.is_dir():
        reason = "no real imagery: set UNOSAT_TEST_DATA to its folder"
        if os.environ.get("UNOSAT_REQUIRE_DATA") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return folder


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """This session's own PostgreSQL and Redis, started by the first test that needs one."""
    with private_servers.running() as running:
        yield running


@pytest.fixture(scope="session")
def django_db_modify_db_settings(servers: Servers) -> None:
    """Start the servers before pytest-django makes the test database."""


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """The tests' own S3 API server: a process that shares no folder with ours."""
    with running_s3(tmp_path_factory.mktemp("s3") / "log") as server:
        yield server


@pytest.fixture
def redis_url(servers: Servers) -> str:
    """The session's Redis, in redis-py's form."""
    return private_servers.REDIS_URL


@pytest.fixture
def worker(transactional_db: None, redis_url: str, tmp_path: Path) -> Iterator[StartWorker]:
    """Return a context manager that runs a real worker against the test database.

    ``with worker(["detect"], UNOSAT_LEASE_SECONDS="3") as process: ...``. Keywords are more
    environment. The block starts when the worker takes tasks and ends with the worker's end.
    """
    with processes_of(redis_url, tmp_path / "log") as stack:

        @contextlib.contextmanager
        def run(queues: list[str], **env: str) -> Iterator[subprocess.Popen[bytes]]:
            process = stack.start_worker(*queues, **env)
            try:
                yield process
            finally:
                stack.kill_worker(process)

        yield run


@pytest.fixture(scope="session")
def lasting_web(
    servers: Servers, django_db_setup: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    """A web process for all tests that do not stop it: it keeps nothing from one to the next."""
    stack = Stack(tmp_path_factory.mktemp("web"))
    try:
        stack.start_web(free_port())
        yield stack
    finally:
        stack.end()


@pytest.fixture
def web(
    transactional_db: None, redis_url: str, lasting_web: Stack, tmp_path: Path
) -> Iterator[Stack]:
    """The web process on the test database, without a worker."""
    with processes_of(redis_url, tmp_path / "log", url=lasting_web.url) as stack:
        yield stack


@pytest.fixture
def live_stack(web: Stack) -> Stack:
    """The whole application on the test database: web, beat, and a worker for light and ingest.

    Tests start the others: ``live_stack.start_worker("detect")``. Logs lie in ``live_stack.logs``,
    but for the web process's, and are printed when a process does not start.
    """
    web.start_beat()
    web.start_worker("light", "ingest")
    return web


@pytest.fixture
def backstage(transactional_db: None, redis_url: str, tmp_path: Path) -> Iterator[Stack]:
    """``live_stack`` for tests that ask the web process nothing: there is none."""
    with processes_of(redis_url, tmp_path / "log") as stack:
        stack.start_beat()
        stack.start_worker("light", "ingest")
        yield stack
