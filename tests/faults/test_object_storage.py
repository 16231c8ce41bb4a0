"""Processes that share nothing but three addresses, and a network to the storage that breaks."""

import io
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import morecantile
import numpy as np
import pytest
import requests
from django.conf import settings as django_settings
from django.db import connection
from django.test import Client
from numpy.typing import NDArray
from pytest_django import Settings

from detection import pipeline
from detection.backends import load_detector
from detection.detector import TileDetections
from detection.pipeline import ScenePlan
from detection.synthetic import SceneFile, TownScene, write_scene
from detection.weights import DEFAULT_MODEL, find_model
from tests import live
from tests.live import Stack, free_port, processes_of
from tests.s3 import Cable, S3Server, use_bucket
from tests.unosat.makers import (
    NORTH,
    STEP,
    WEST,
    BrightIsDestroyed,
    bright,
    finish,
    make_actor,
    make_model,
    make_organisation,
    make_scene,
    make_user,
    town,
)
from unosat.accounts import services as accounts
from unosat.assessments import detectors, services
from unosat.assessments.models import Assessment
from unosat.assessments.services import AssessmentRequest
from unosat.ops import store
from unosat.ops.bucket import READ_SECONDS, Bucket
from unosat.ops.errors import StoreAway
from unosat.ops.s3 import ASK_SECONDS, TRUST_SECONDS
from unosat.review import outlines
from unosat.review.models import Footprint
from unosat.scenes import services as scenes
from unosat.scenes import uploads
from unosat.scenes.models import Scene
from unosat.training.models import ModelVersion
from unosat.training.registry import sync_shipped_models

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(1500)]

PATIENCE_SECONDS = 900.0
TOWN_PX = 1500
MERCATOR = morecantile.tms.get("WebMercatorQuad")
AWAY_SECONDS = 4.0
HANGS_SECONDS = 6.0


@pytest.fixture
def cable(s3_server: S3Server, settings: Settings, tmp_path: Path) -> Iterator[Cable]:
    """A bucket that is reached through a cable; this process has a folder of its own as well."""
    settings.UNOSAT_STORE = tmp_path / "own"
    settings.UNOSAT_STORE.mkdir()
    cable = Cable(s3_server.port)
    cable.plug()
    use_bucket(settings, s3_server.url(cable.near, prefix=uuid4().hex))
    yield cable
    cable.cut()


@pytest.fixture
def stack(
    transactional_db: None,  # noqa: ARG001 (a database is needed)
    redis_url: str,
    tmp_path: Path,
    s3_server: S3Server,
    cable: Cable,
) -> Iterator[Stack]:
    """Web, clock and workers, started by ``start_apart``; only the detect worker has the cable."""
    prefix = bucket().prefix
    with processes_of(redis_url, tmp_path / "log") as stack:
        start_apart(stack, tmp_path / "web", s3_server.url(prefix=prefix), web=True)
        stack.start_beat()
        start_apart(stack, tmp_path / "ingest", s3_server.url(prefix=prefix), "light", "ingest")
        start_apart(stack, tmp_path / "detect", s3_server.url(cable.near, prefix), "detect")
        yield stack


def start_apart(stack: Stack, folder: Path, storage: str, *queues: str, web: bool = False) -> None:
    """A process with an empty working folder that knows three addresses and nothing else."""
    folder.mkdir()
    real = live.environment()
    known = ("PATH", "LANG", "OMP_NUM_THREADS", "UNOSAT_DATABASE_URL", "UNOSAT_REDIS_URL")
    stack.base = {name: real[name] for name in known if name in real} | {
        "HOME": str(folder),
        "PYTHONUNBUFFERED": "1",
        "UNOSAT_STORAGE_URL": storage,
        "UNOSAT_STORE": str(folder),
    }
    if web:
        secrets = ("UNOSAT_SECRET_KEY", "UNOSAT_ALLOWED_HOSTS")
        stack.start_web(free_port(), **{name: real[name] for name in secrets})
    else:
        stack.start_worker(*queues)


@pytest.mark.usefixtures("only_long")
def test_machines_that_share_three_addresses_find_what_one_machine_finds(
    stack: Stack, cable: Cable, tmp_path: Path
) -> None:
    """The network to the storage is away when the shard begins, and comes back later."""
    sync_shipped_models()
    _, text = accounts.create_key(make_actor(make_organisation(), "admin"), name="partner")
    connection.close()
    api = Api(f"{stack.url}api/v1", {"Authorization": f"Bearer {text}"})
    town = tmp_path / "town.tif"
    write_scene(town, tmp_path / "truth.geojson", TownScene(5, 0.5), SceneFile(TOWN_PX, TOWN_PX))

    cable.cut()
    scene = api.send_image(town)
    api.await_state(f"scenes/{scene}", "ready")
    run = api.post("assessments", {"scene": scene})["id"]
    api.await_state(f"assessments/{run}", "running")
    time.sleep(AWAY_SECONDS)
    cable.plug()
    done = api.await_state(f"assessments/{run}", "done")

    assert done["tiles_not_analysed"] == 0
    assert done["footprints_found"] > 10
    assert stored(run) == alone(run)
    assert api.get(f"assessments/{run}/ground-not-analysed").json()["features"] == []
    assert api.tile_is_drawn(scene)
    for machine in ("web", "ingest", "detect"):
        left = [path for path in (tmp_path / machine).rglob("*") if path.is_file()]
        assert left == []


@dataclass(frozen=True)
class CutsTheCable(BrightIsDestroyed):
    """Pulls the cable out in the middle of a shard, once, and has it put back later."""

    cable: Cable | None = None
    seen: list[int] | None = None

    def predict(self, images: NDArray[np.uint8], *, min_score: float) -> list[TileDetections]:
        assert self.seen is not None
        assert self.cable is not None
        self.seen.append(len(images))
        if len(self.seen) == 3:
            self.cable.cut()
            threading.Timer(AWAY_SECONDS, self.cable.plug).start()
        return super().predict(images, min_score=min_score)


def must_end_as_if_undisturbed(
    monkeypatch: pytest.MonkeyPatch,
    disturbing: Callable[[ModelVersion, list[int]], BrightIsDestroyed],
) -> None:
    """Run twice, the second time with a model that disturbs itself and notes each batch it sees."""
    organisation = make_organisation()
    scene, version = make_scene(organisation), make_model()
    for key in (scene.cog_key, f"{version.folder}/card.json"):
        store.hand_over(key)
    actor = make_actor(organisation)
    monkeypatch.setattr(store, "HEADER_BYTES", 64 * 1024)  # else the whole image comes at once
    monkeypatch.setattr(detectors, "detector_of", bright)
    undisturbed = finish(services.create_assessment(actor, AssessmentRequest(scene=scene.pk)))
    seen: list[int] = []

    monkeypatch.setattr(detectors, "detector_of", lambda version: disturbing(version, seen))
    disturbed = finish(services.create_assessment(actor, AssessmentRequest(scene=scene.pk)))

    assert (disturbed.state, disturbed.tiles_not_analysed) == ("done", 0)
    assert len(seen) > disturbed.tiles_total  # a part was looked at again
    assert set(disturbed.shards.values_list("attempt", flat=True)) == {1}
    assert stored(disturbed.pk) == stored(undisturbed.pk)
    assert stored(disturbed.pk)


def test_a_network_cut_in_the_middle_of_a_shard_costs_the_shard_and_nothing_else(
    cable: Cable, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cutting(version: ModelVersion, seen: list[int]) -> CutsTheCable:
        return CutsTheCable(bright(version).spec, cable=cable, seen=seen)

    must_end_as_if_undisturbed(monkeypatch, cutting)


@dataclass(frozen=True)
class StopsTheServer(BrightIsDestroyed):
    """Has the storage hang in the middle of a shard, once: it takes connections and is silent."""

    server: S3Server | None = None
    seen: list[int] | None = None

    def predict(self, images: NDArray[np.uint8], *, min_score: float) -> list[TileDetections]:
        assert self.seen is not None
        assert self.server is not None
        self.seen.append(len(images))
        if len(self.seen) == 3:
            hang(self.server)
            threading.Timer(HANGS_SECONDS, go_on, [self.server]).start()
        return super().predict(images, min_score=min_score)


def hang(server: S3Server) -> None:
    os.killpg(server.process.pid, signal.SIGSTOP)


def go_on(server: S3Server) -> None:
    os.killpg(server.process.pid, signal.SIGCONT)


@contextmanager
def hanging(server: S3Server) -> Iterator[None]:
    """The server takes connections and is silent, until the block ends."""
    hang(server)
    try:
        yield
    finally:
        go_on(server)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits twenty seconds for an answer, as many times as the product does."""
    monkeypatch.setattr("unosat.ops.bucket.READ_SECONDS", 1)
    monkeypatch.setattr("unosat.ops.bucket.QUICK_SECONDS", 1)
    monkeypatch.setattr("unosat.ops.s3.ASK_SECONDS", 1)


@pytest.mark.usefixtures("impatient", "cable")
def test_a_storage_that_hangs_in_the_middle_of_a_shard_is_waited_for_and_changes_no_byte(
    s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopping(version: ModelVersion, seen: list[int]) -> StopsTheServer:
        return StopsTheServer(bright(version).spec, server=s3_server, seen=seen)

    must_end_as_if_undisturbed(monkeypatch, stopping)


@pytest.mark.usefixtures("impatient", "cable")
def test_a_map_whose_storage_hangs_gets_an_error_and_no_empty_tile(
    s3_server: S3Server, client: Client
) -> None:
    scene = scene_in_the_bucket(client)
    drawn = client.get(middle_tile(scene))

    with hanging(s3_server):
        away = client.get(middle_tile(scene))

    assert (away.status_code, away.json()["code"]) == (503, "store_away")
    assert int(away["Retry-After"]) > 0
    assert client.get(middle_tile(scene)).content == drawn.content


@pytest.mark.usefixtures("cable")
def test_while_the_storage_hangs_only_those_who_had_begun_wait_long(
    s3_server: S3Server, client: Client
) -> None:
    """With the product's own patience: eight people ask, as a map's page does."""
    scene = scene_in_the_bucket(client)
    assert client.get(middle_tile(scene)).status_code == 200
    time.sleep(TRUST_SECONDS)  # else they go in good faith

    with hanging(s3_server):
        begun = time.monotonic()
        with ThreadPoolExecutor(8) as people:
            away = list(people.map(lambda _: tile_of(client, scene), range(8)))
        asked_by_tiles = time.monotonic() - begun
        page = client.get(f"/scenes/{scene.pk}/")
        with pytest.raises(StoreAway):
            store.exists("gaps/none.geojson")

    assert away == [503] * 8
    assert asked_by_tiles < 4 * ASK_SECONDS < READ_SECONDS
    assert page.status_code == 200
    assert client.get(middle_tile(scene)).status_code == 200


def test_a_storage_that_does_not_even_take_connections_is_soon_known(cable: Cable) -> None:
    """As behind a wall that drops what comes: nothing is refused."""
    cable.cut()
    with socket.create_server(("127.0.0.1", cable.near), backlog=0) as wall, ExitStack() as knocks:
        for _ in range(4):  # more than the wall's queue holds
            knock = knocks.enter_context(socket.socket())
            knock.settimeout(0)
            knock.connect_ex(wall.getsockname())
        begun = time.monotonic()
        with pytest.raises(StoreAway):
            store.opened("gaps/none.geojson")

    assert time.monotonic() - begun < 4 * ASK_SECONDS


def scene_in_the_bucket(client: Client) -> Scene:
    """An image that lies in the bucket alone, and a client that is signed in to see it."""
    organisation = make_organisation()
    scene = make_scene(organisation, town())
    store.hand_over(scene.cog_key)
    store.remove_here(scene.cog_key)
    client.force_login(make_user(organisation))
    return scene


def middle_tile(scene: Scene) -> str:
    tile = MERCATOR.tile(WEST + 256 * STEP, NORTH - 256 * STEP, 17)
    return f"/api/v1/tiles/scenes/{scene.pk}/17/{tile.x}/{tile.y}.webp"


def tile_of(client: Client, scene: Scene) -> int:
    """The status of an answer that a thread of its own got."""
    own = Client()
    own.cookies = client.cookies
    try:
        return own.get(middle_tile(scene)).status_code
    finally:
        connection.close()


def test_a_map_without_its_storage_says_so_and_draws_again_afterwards(
    cable: Cable, client: Client
) -> None:
    address = middle_tile(scene_in_the_bucket(client))
    drawn = client.get(address)

    cable.cut()
    away = client.get(address)
    cable.plug()

    assert (drawn.status_code, drawn["Content-Type"]) == (200, "image/webp")
    assert (away.status_code, away.json()["code"]) == (503, "store_away")
    assert int(away["Retry-After"]) > 0
    assert client.get(address).content == drawn.content


def test_an_upload_whose_last_byte_comes_while_the_storage_is_away_is_not_lost(
    cable: Cable, s3_server: S3Server
) -> None:
    actor = make_actor(make_organisation())
    facts = {"event_name": "Storm", "phase": "after"}
    upload = uploads.begin(actor, length=4, filename="after.tif", metadata=facts)

    cable.cut()
    with pytest.raises(StoreAway):
        uploads.append(actor, upload.pk, offset=0, read=io.BytesIO(b"data").read)
    cable.plug()
    scene = scenes.become_scene(upload.pk)  # as a client's next question does

    assert scene.size_bytes == 4
    assert s3_server.keys(bucket().full_key("uploads"))
    assert not store.store_path(upload.path).exists()
    with store.local(upload.path) as original:
        assert original.read_bytes() == b"data"


def bucket() -> Bucket:
    assert django_settings.UNOSAT_BUCKET is not None
    return django_settings.UNOSAT_BUCKET


def stored(assessment_id: UUID | str) -> list[tuple[str, str, float, str]]:
    """Id, grade, score and outline of every footprint."""
    rows = Footprint.objects.filter(assessment_id=assessment_id)
    return sorted((str(row.uid), row.grade, row.score, row.outline.wkt) for row in rows)


def alone(assessment_id: str) -> list[tuple[str, str, float, str]]:
    """The same by the engine alone, with the image in a folder of this process."""
    row = Assessment.objects.select_related("scene").get(pk=assessment_id)
    plan = ScenePlan.from_json(str(row.plan))
    detector = load_detector(find_model(DEFAULT_MODEL), device="cpu")
    with store.local(row.scene.cog_key) as image:
        assert plan == pipeline.plan_scene(
            image,
            detector.spec,
            plan.options,
            scene_sha256=row.scene.sha256,
            scene_name=row.scene.name,
        )
        everything = pipeline.Shard(0, 0, plan.layout.batch_count)
        result = pipeline.detect_shard(image, plan, everything, detector)
    found = pipeline.merge(plan, [result])
    return sorted(
        (
            str(one.id),
            one.grade.value,
            one.to_feature()["properties"]["score"],
            outlines.stored(one.lonlat).wkt,
        )
        for one in found
    )


@dataclass(frozen=True)
class Api:
    """A partner's program.

    Attributes:
        url: of the API.
        key: the header that says who asks.
    """

    url: str
    key: dict[str, str]

    def get(self, path: str) -> requests.Response:
        response = requests.get(f"{self.url}/{path}", headers=self.key, timeout=60)
        assert response.status_code == 200, response.text
        return response

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        response = requests.post(f"{self.url}/{path}", headers=self.key, json=body, timeout=60)
        assert response.status_code < 300, response.text
        return dict(response.json())

    def send_image(self, path: Path) -> str:
        """The scene's id."""
        with path.open("rb") as file:
            response = requests.post(
                f"{self.url}/scenes",
                headers=self.key,
                data={"event_name": "Storm", "phase": "after"},
                files={"file": (path.name, file)},
                timeout=60,
            )
        assert response.status_code == 202, response.text
        return str(response.json()["id"])

    def await_state(self, path: str, state: str) -> dict[str, Any]:
        """What the address answers once it is in that state."""
        end = time.monotonic() + PATIENCE_SECONDS
        while (found := dict(self.get(path).json()))["state"] != state:
            assert found["state"] not in {"failed", "refused"}, found
            assert time.monotonic() < end, found
            time.sleep(0.3)
        return found

    def tile_is_drawn(self, scene: str) -> bool:
        """Whether the map gets pixels of the image's middle."""
        about = self.get(f"tiles/scenes/{scene}/tilejson.json").json()
        west, south, east, north = about["bounds"]
        x, y, z = MERCATOR.tile((west + east) / 2, (south + north) / 2, about["maxzoom"])
        drawn = self.get(f"tiles/scenes/{scene}/{z}/{x}/{y}.webp").content
        return len(drawn) > 1000  # a transparent tile has a tenth of it
