"""A folder and a bucket behave alike; what a bucket adds is that it may be away."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest
import rasterio
from affine import Affine
from pytest_django import Settings
from rasterio.errors import RasterioError
from rasterio.windows import Window

from detection.errors import ImageAway
from detection.raster import open_scene
from tests.s3 import Cable, S3Server, use_bucket
from unosat.ops import store
from unosat.ops.bucket import READ_SECONDS
from unosat.ops.errors import StoreAway

pytestmark = pytest.mark.timeout(400)

SIDE = 1024
HEADER_BYTES = 64 * 1024  # much less than the images of these tests
LARGE = 9 * 1024**2  # bytes; sent in parts


@pytest.fixture(params=["folder", "bucket"])
def place(request: pytest.FixtureRequest, settings: Settings, tmp_path: Path) -> str:
    """Each test runs with a folder, and with a bucket of a separate server."""
    own_folder(settings, tmp_path)
    if request.param == "bucket":
        use_bucket(settings, request.getfixturevalue("s3_server").url(prefix=uuid4().hex))
    return str(request.param)


@pytest.fixture
def cable(s3_server: S3Server, settings: Settings, tmp_path: Path) -> Iterator[Cable]:
    """A bucket that is reached through a cable."""
    own_folder(settings, tmp_path)
    cable = Cable(s3_server.port)
    cable.plug()
    use_bucket(settings, s3_server.url(cable.near, prefix=uuid4().hex))
    yield cable
    cable.cut()


def own_folder(settings: Settings, tmp_path: Path) -> None:
    settings.UNOSAT_STORE = tmp_path / "store"
    settings.UNOSAT_STORE.mkdir()


def put(key: str, content: bytes) -> None:
    with store.writing(key) as path:
        path.write_bytes(content)


def content(key: str) -> bytes:
    with store.opened(key) as file:
        return bytes(file.read())


def put_image(key: str, pixels: np.ndarray | None = None) -> None:
    """Noise, in blocks of 128 pixels: nothing of it can be packed."""
    if pixels is None:
        pixels = np.random.default_rng(1).integers(1, 255, (3, SIDE, SIDE), dtype=np.uint8)
    with (
        store.writing(key) as path,
        rasterio.open(
            path, "w", driver="GTiff", width=SIDE, height=SIDE, count=3, dtype="uint8",
            crs="EPSG:32637", transform=Affine(0.5, 0, 500_000, 0, -0.5, 4_000_000),
            tiled=True, blockxsize=128, blockysize=128,
        ) as image,
    ):  # fmt: skip
        image.write(pixels)


def read(key: str, window: Window) -> np.ndarray:
    with store.reading(HEADER_BYTES), open_scene(store.raster(key)) as scene:
        return scene.read(window, width=int(window.width), height=int(window.height))[0]


@pytest.mark.usefixtures("place")
def test_what_was_written_is_there_and_what_is_written_again_replaces_it() -> None:
    put("gaps/a.geojson", b"first")
    put("gaps/a.geojson", b"second")

    assert store.exists("gaps/a.geojson")
    assert content("gaps/a.geojson") == b"second"
    with store.local("gaps/a.geojson") as path:
        assert path.read_bytes() == b"second"


@pytest.mark.usefixtures("place")
def test_a_large_file_arrives_whole() -> None:
    large = np.random.default_rng(2).bytes(LARGE)

    put("cogs/large.tif", large)

    with store.local("cogs/large.tif") as path:
        assert path.read_bytes() == large


@pytest.mark.usefixtures("place")
def test_of_a_write_that_fails_nothing_is_left(settings: Settings) -> None:
    def fail_half_way() -> None:
        with store.writing("gaps/a.geojson") as path:
            path.write_bytes(b"half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_half_way()

    assert not store.exists("gaps/a.geojson")
    assert not [path for path in settings.UNOSAT_STORE.rglob("*") if path.is_file()]


@pytest.mark.usefixtures("place")
def test_what_is_not_there_is_not_found() -> None:
    assert not store.exists("gaps/none.geojson")
    with pytest.raises(FileNotFoundError):
        store.opened("gaps/none.geojson")
    with pytest.raises(FileNotFoundError), store.local("gaps/none.geojson") as path:
        path.read_bytes()


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize("key", ["/etc/passwd", "../secrets.json", "a/../../b", "a//b", ""])
def test_no_key_leads_out_of_the_store(key: str) -> None:
    for use in (store.store_path, store.raster, store.exists, store.opened, store.remove):
        with pytest.raises(ValueError, match="not a key"):
            use(key)


@pytest.mark.usefixtures("place")
def test_a_folder_is_put_once_and_removed_without_its_neighbours() -> None:
    for _ in range(2):
        with store.scratch() as work:
            draft = work / "draft"
            draft.mkdir()
            (draft / "card.json").write_bytes(b"{}")
            (draft / "weights").write_bytes(b"numbers")
            store.put_folder(draft, "models/a", last="card.json")
    put("models/ab/card.json", b"another")

    with store.local_folder("models/a") as folder:
        found = {path.name: path.read_bytes() for path in folder.iterdir()}
    store.remove("models/a")

    assert found == {"card.json": b"{}", "weights": b"numbers"}
    assert not store.exists("models/a/weights")
    assert store.exists("models/ab/card.json")


def test_an_upload_that_is_handed_over_is_reached_without_this_machines_folder(place: str) -> None:
    path = store.store_path("uploads/1")
    path.parent.mkdir()
    path.write_bytes(b"pixels")

    for _ in range(2):
        store.hand_over("uploads/1")
        store.remove_here("uploads/1")

    assert path.exists() == (place == "folder")
    with store.local("uploads/1") as found:
        assert found.read_bytes() == b"pixels"
    store.remove("uploads/1")
    assert not store.exists("uploads/1")


def test_the_engine_reads_windows_straight_from_the_bucket(cable: Cable) -> None:
    pixels = np.random.default_rng(1).integers(1, 255, (3, SIDE, SIDE), dtype=np.uint8)
    put_image("cogs/a.tif", pixels)
    before = cable.bytes_down

    found = read("cogs/a.tif", Window(256, 512, 128, 128))

    assert np.array_equal(found, pixels[:, 512:640, 256:384])
    assert 3 * 128 * 128 <= cable.bytes_down - before < pixels.size // 4
    assert not list(store.store_path("scratch").iterdir())


@pytest.mark.usefixtures("cable")
def test_gdal_goes_nowhere_but_where_it_was_allowed_to() -> None:
    put_image("cogs/a.tif")
    put("uploads/a", b"not checked yet")
    outside = threading.Event()

    with pytest.raises(RasterioError):
        rasterio.open(str(store.raster("cogs/a.tif")))
    with pytest.raises(StoreAway), store.reading():
        rasterio.open(str(store.raster("uploads/a")))

    def look() -> None:
        with store.reading():
            other.start()
            outside.wait(60)

    def look_without_leave() -> None:
        with pytest.raises(RasterioError):
            rasterio.open(str(store.raster("cogs/a.tif")))
        refused.append(True)
        outside.set()

    refused: list[bool] = []
    one, other = threading.Thread(target=look), threading.Thread(target=look_without_leave)
    one.start()
    one.join()
    other.join()
    assert refused  # one request's leave is not another's


def test_a_network_that_breaks_is_no_damage_and_nothing_is_remembered_of_it(cable: Cable) -> None:
    put_image("cogs/a.tif")
    window = Window(0, 896, 128, 128)
    whole = read("cogs/a.tif", window)

    with store.reading(HEADER_BYTES), open_scene(store.raster("cogs/a.tif")) as scene:
        cable.cut()
        with pytest.raises(ImageAway):
            scene.read(window, width=128, height=128)
    with pytest.raises(ImageAway):
        read("cogs/a.tif", window)
    cable.plug()

    assert np.array_equal(read("cogs/a.tif", window), whole)


def test_a_block_that_cannot_be_looked_up_is_not_taken_for_empty_ground(cable: Cable) -> None:
    """GDAL answers "no such block" when the table of blocks cannot be fetched."""
    side = 128 * 400  # so many blocks that their table is not in the first 64 KiB
    with (
        store.writing("cogs/sparse.tif") as path,
        rasterio.open(
            path, "w", driver="GTiff", width=side, height=side, count=1, dtype="uint8",
            crs="EPSG:32637", transform=Affine(0.5, 0, 500_000, 0, -0.5, 4_000_000),
            tiled=True, blockxsize=128, blockysize=128, sparse_ok=True,
        ) as image,
    ):  # fmt: skip
        image.write(
            np.full((1, 128, 128), 9, np.uint8), window=Window(side - 128, side - 128, 128, 128)
        )
    corner = Window(side - 256, side - 128, 256, 128)

    with store.reading(HEADER_BYTES), open_scene(store.raster("cogs/sparse.tif")) as scene:
        cable.cut()
        with pytest.raises(ImageAway):
            scene.read(corner, width=256, height=128)
    cable.plug()

    with store.reading(), open_scene(store.raster("cogs/sparse.tif")) as scene:
        cable.cut()  # the table came when the file was opened
        valid = scene.read(corner, width=256, height=128)[1]
    assert valid.sum() == 128 * 128
    assert not valid[:, :128].any()


def test_a_store_that_is_away_is_said_to_be(cable: Cable) -> None:
    put("gaps/a.geojson", b"{}")
    assert store.answers()

    cable.cut()

    assert not store.answers()
    for use in (store.opened, store.exists, store.remove):
        with pytest.raises(StoreAway):
            use("gaps/a.geojson")
    with pytest.raises(StoreAway):
        put("gaps/b.geojson", b"{}")
    cable.plug()
    assert content("gaps/a.geojson") == b"{}"
    assert not store.exists("gaps/b.geojson")


def test_a_store_that_hangs_is_known_to_be_away_within_seconds(
    cable: Cable, s3_server: S3Server
) -> None:
    put_image("cogs/a.tif")
    begun = time.monotonic()

    os.killpg(s3_server.process.pid, signal.SIGSTOP)
    try:
        assert not store.answers()
        waited = time.monotonic() - begun
    finally:
        os.killpg(s3_server.process.pid, signal.SIGCONT)

    assert waited < 15  # boto's own timeouts and repetitions come to more than a minute
    assert cable.near
    assert store.answers()


def test_who_had_begun_when_the_store_falls_silent_soon_knows_and_a_large_file_waits(
    cable: Cable, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("unosat.ops.bucket.QUICK_SECONDS", 0.2)
    put("gaps/a.geojson", b"{}")

    with ThreadPoolExecutor(1) as worker:
        os.killpg(s3_server.process.pid, signal.SIGSTOP)
        try:  # both within the time of trust: without another question first
            large = worker.submit(put, "cogs/a.tif", bytes(LARGE))
            begun = time.monotonic()
            with pytest.raises(StoreAway, match="Read timeout"):
                content("gaps/a.geojson")
            waited = time.monotonic() - begun
        finally:
            os.killpg(s3_server.process.pid, signal.SIGCONT)
        large.result()

    assert waited < READ_SECONDS / 2  # with a large file's patience it would be twice as much
    with store.local("cogs/a.tif") as path:
        assert path.stat().st_size == LARGE
    assert cable.near


def test_work_waits_for_a_store_that_is_away_and_begins_again(cable: Cable) -> None:
    put("gaps/a.geojson", b"{}")
    tries = []

    def work() -> bytes:
        tries.append(time.monotonic())
        if len(tries) == 1:
            cable.cut()
            threading.Timer(3, cable.plug).start()
        return content("gaps/a.geojson")

    assert store.patiently(work) == b"{}"
    assert len(tries) == 2
    assert tries[1] - tries[0] >= 3


def test_waiting_for_the_store_can_be_given_up(cable: Cable) -> None:
    class NoLongerWantedError(Exception):
        pass

    def ask() -> None:
        raise NoLongerWantedError

    cable.cut()
    with pytest.raises(NoLongerWantedError):
        store.patiently(lambda: content("gaps/a.geojson"), ask)


@pytest.mark.usefixtures("cable")
def test_what_fails_again_and_again_though_the_store_answers_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(store, "PAUSE_SECONDS", 0.01)
    tries = []

    def work() -> None:
        tries.append(1)
        read("cogs/none.tif", Window(0, 0, 8, 8))

    with pytest.raises(ImageAway):
        store.patiently(work)

    assert len(tries) == store.MOST_FAULTS
