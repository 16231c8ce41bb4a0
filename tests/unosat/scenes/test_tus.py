"""Resumable uploads over real connections: the standard, a client we did not write, a cut line."""

import base64
import contextlib
import hashlib
import http.client
import socket
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
import requests
from django.db import connection
from tusclient.client import TusClient

from tests import tus_js
from tests.conftest import MakeGeotiff
from tests.live import Stack
from tests.unosat.makers import make_actor, make_organisation
from unosat.accounts import services
from unosat.ops.store import store_path
from unosat.scenes.models import Scene, Upload

pytestmark = pytest.mark.django_db(transaction=True)

BYTES = "application/offset+octet-stream"
FACTS = {"filename": "after.tif", "event_name": "Storm", "phase": "after"}


@pytest.fixture
def headers(web: Stack) -> dict[str, str]:  # noqa: ARG001
    _, text = services.create_key(make_actor(make_organisation(), "admin"), name="partner")
    connection.close()
    return {"Authorization": f"Bearer {text}", "Tus-Resumable": "1.0.0"}


def metadata(facts: dict[str, str]) -> str:
    """As the standard writes it."""
    return ",".join(f"{k} {base64.b64encode(v.encode()).decode()}" for k, v in facts.items())


def announce(web: Stack, headers: dict[str, str], length: int) -> str:
    """The address of a new upload."""
    response = requests.post(
        f"{web.url}api/v1/uploads",
        headers=headers | {"Upload-Length": str(length), "Upload-Metadata": metadata(FACTS)},
        timeout=30,
    )
    assert response.status_code == 201
    assert "Upload-Expires" in response.headers
    return f"{web.url.rstrip('/')}{response.headers['Location']}"


def test_tuspy_sends_a_file_in_chunks_and_a_scene_is_made(
    web: Stack, headers: dict[str, str], make_geotiff: MakeGeotiff
) -> None:
    path = make_geotiff(np.random.default_rng(1).integers(0, 255, (3, 300, 300), np.uint8))
    client = TusClient(f"{web.url}api/v1/uploads", headers=headers)
    with path.open("rb") as file:
        uploader = client.uploader(
            file_stream=file, chunk_size=50_000, metadata=FACTS, upload_checksum=True
        )
        uploader.upload()

    state = requests.get(f"{uploader.url}.json", headers=headers, timeout=30).json()
    assert state["scene_id"] == str(Scene.objects.get().pk)
    assert store_path(Upload.objects.get().path).read_bytes() == path.read_bytes()


def test_an_upload_whose_line_is_cut_goes_on_where_it_was(
    web: Stack, headers: dict[str, str], tmp_path: Path
) -> None:
    data = np.random.default_rng(2).bytes(3_000_000)
    address = announce(web, headers, len(data))

    cut_after(address, headers, data, sent=1_234_567)
    offset = wait_for_offset(address, headers, 1_234_567)
    path = tmp_path / "after.tif"
    path.write_bytes(data)
    client = TusClient(f"{web.url}api/v1/uploads", headers=headers)
    with path.open("rb") as file:
        uploader = client.uploader(file_stream=file, chunk_size=10**6, url=address)
        assert uploader.offset == offset
        uploader.upload()

    assert store_path(Upload.objects.get().path).read_bytes() == data
    done = requests.head(address, headers=headers, timeout=30)
    assert done.headers["X-Scene-Id"] == str(Scene.objects.get().pk)


def test_what_follows_an_upload_on_its_connection_comes_whole(
    web: Stack, headers: dict[str, str]
) -> None:
    data = np.random.default_rng(4).bytes(
        5_000_000
    )  # faster than the server writes: it stops listening for a while
    address = urlsplit(announce(web, headers, len(data)))
    facts = {"Upload-Offset": "0", "Content-Type": BYTES, "Content-Length": str(len(data))}
    line = http.client.HTTPConnection(address.netloc, timeout=60)

    with contextlib.closing(line):
        line.request("PATCH", address.path, data, headers | facts)
        assert answer(line)[0].status == 204
        for _ in range(20):
            line.request("GET", "/static/ninja/swagger-ui.css")
            response, styles = answer(line)
            assert len(styles) == int(response.headers["Content-Length"]) > 0


def answer(line: http.client.HTTPConnection) -> tuple[http.client.HTTPResponse, bytes]:
    response = line.getresponse()
    return response, response.read()


def test_tus_js_client_sends_goes_on_in_another_process_and_ends(
    web: Stack, headers: dict[str, str], tmp_path: Path
) -> None:
    data = np.random.default_rng(3).bytes(1_000_000)
    file = tmp_path / "after.tif"
    file.write_bytes(data)
    send = partial(
        tus_js.send,
        file,
        endpoint=f"{web.url}api/v1/uploads",
        key=headers["Authorization"].removeprefix("Bearer "),
        chunk_bytes=300_000,
        metadata=FACTS,
    )

    begun = send(STOP_AFTER="300000")
    offset = requests.head(begun.url, headers=headers, timeout=30).headers["Upload-Offset"]
    done = send(UPLOAD_URL=begun.url)
    ended = send(STOP_AFTER="600000", THEN="end")

    assert (begun.scene, offset) == (None, "300000")
    assert done.scene == str(Scene.objects.get().pk)
    arrived = Upload.objects.get(scene__isnull=False)
    assert store_path(arrived.path).read_bytes() == data
    assert requests.head(ended.url, headers=headers, timeout=30).status_code == 410
    assert not store_path(Upload.objects.get(state="expired").path).exists()


def test_where_an_upload_stands_comes_with_what_was_said_of_it(
    web: Stack, headers: dict[str, str]
) -> None:
    address = announce(web, headers, 4)
    open_yet = requests.head(address, headers=headers, timeout=30).headers
    patch = headers | {"Content-Type": BYTES, "Upload-Offset": "0"}
    last = requests.patch(address, headers=patch, data=b"0123", timeout=30)
    complete = requests.head(address, headers=headers, timeout=30).headers

    assert open_yet["Upload-Metadata"] == complete["Upload-Metadata"] == metadata(FACTS)
    assert (open_yet["Upload-Offset"], open_yet["Upload-Length"]) == ("0", "4")
    assert open_yet["Cache-Control"] == "no-store"
    assert "Upload-Expires" in open_yet
    assert last.headers["Upload-Offset"] == "4"
    assert "Upload-Expires" not in last.headers  # what is complete does not expire
    assert "Upload-Expires" not in complete


@pytest.mark.parametrize("algorithm", ["sha1", "sha256"])
def test_a_damaged_part_is_discarded_and_can_be_sent_again(
    web: Stack, headers: dict[str, str], algorithm: str
) -> None:
    address = announce(web, headers, 10)
    digest = base64.b64encode(hashlib.new(algorithm, b"01234").digest()).decode()
    patch = headers | {
        "Content-Type": BYTES, "Upload-Offset": "0", "Upload-Checksum": f"{algorithm} {digest}",
    }  # fmt: skip

    damaged = requests.patch(address, headers=patch, data=b"01X34", timeout=30)
    after = requests.head(address, headers=headers, timeout=30)
    good = requests.patch(address, headers=patch, data=b"01234", timeout=30)

    assert (damaged.status_code, good.status_code) == (460, 204)
    assert (after.headers["Upload-Offset"], good.headers["Upload-Offset"]) == ("0", "5")


def test_asking_waits_for_a_request_that_is_dying_and_not_for_one_that_lives(
    web: Stack, headers: dict[str, str]
) -> None:
    address = announce(web, headers, 10)
    with patching(address, headers, length=10) as line:
        line.sendall(b"01234")
        time.sleep(0.5)
        alive = requests.head(address, headers=headers, timeout=30)
    after = requests.head(address, headers=headers, timeout=30)

    assert alive.status_code == 423  # 3 seconds later
    assert "Upload-Offset" not in alive.headers
    assert after.headers["Upload-Offset"] == "5"  # at once, no byte behind


def cut_after(address: str, headers: dict[str, str], data: bytes, *, sent: int) -> None:
    """Announce the whole, send a part, and drop the connection."""
    with patching(address, headers, length=len(data)) as line:
        line.sendall(data[:sent])
        time.sleep(0.3)


@contextlib.contextmanager
def patching(address: str, headers: dict[str, str], *, length: int) -> Iterator[socket.socket]:
    """A connection on which so many bytes are expected; leaving the block drops it."""
    place = urlsplit(address)
    lines = headers | {
        "Host": place.netloc, "Content-Type": BYTES, "Upload-Offset": "0",
        "Content-Length": str(length),
    }  # fmt: skip
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    with socket.create_connection((place.hostname or "", place.port or 0)) as line:
        line.sendall(f"PATCH {place.path} HTTP/1.1\r\n{head}\r\n".encode())
        yield line


def wait_for_offset(address: str, headers: dict[str, str], wanted: int) -> int:
    """Where the server says that it goes on, once it has noticed the cut."""
    deadline = time.monotonic() + 30
    offset = -1
    while offset != wanted and time.monotonic() < deadline:
        response = requests.head(address, headers=headers, timeout=30)
        offset = int(response.headers["Upload-Offset"])
        time.sleep(0.1)
    assert offset == wanted
    return offset


def test_the_server_says_what_it_can(web: Stack) -> None:
    response = requests.options(f"{web.url}api/v1/uploads", timeout=30)

    assert response.status_code == 204
    assert response.headers["Tus-Version"] == "1.0.0"
    assert response.headers["Tus-Extension"] == "creation,checksum,expiration,termination"
    assert response.headers["Tus-Max-Size"] == str(10 * 1024**3)
    assert response.headers["Tus-Checksum-Algorithm"] == "sha1,sha256"


def test_refusals_follow_the_standard(web: Stack, headers: dict[str, str]) -> None:
    address = announce(web, headers, 10)
    patch = headers | {"Content-Type": BYTES, "Upload-Offset": "0"}

    def answer(method: str, at: str = address, data: bytes = b"", **changed: str) -> int:
        given = patch | {name.replace("_", "-"): value for name, value in changed.items()}
        return requests.request(method, at, headers=given, data=data, timeout=30).status_code

    assert answer("PATCH", Tus_Resumable="0.2.2") == 412
    assert answer("PATCH", data=b"x", Upload_Offset="5") == 409
    assert answer("PATCH", data=b"x", Upload_Offset="-1") == 400
    assert answer("PATCH", data=b"x", Content_Type="text/plain") == 415
    assert answer("PATCH", data=b"x", Upload_Checksum="sha1 AAAA") == 460
    assert answer("PATCH", data=b"x", Upload_Checksum="md4 AAAA") == 400
    assert answer("PUT") == 405
    collection = f"{web.url}api/v1/uploads"
    assert answer("POST", collection, Upload_Length=str(11 * 1024**3)) == 413
    assert answer("POST", collection, Upload_Length="ten") == 400
    assert answer("POST", collection, Upload_Length="10", Upload_Metadata="phase !!") == 400
    assert answer("POST", collection, Upload_Length="10", Upload_Metadata="a MQ==,a MQ==") == 400
    assert answer("POST", collection, Upload_Length="0", Upload_Metadata=metadata(FACTS)) == 400
    assert answer("GET", collection, X_HTTP_Method_Override="OPTIONS") == 204
    assert answer("POST", address, X_HTTP_Method_Override="HEAD") == 200
    assert answer("HEAD") == 200
    assert answer("POST", data=b"0123", X_HTTP_Method_Override="PATCH") == 204
    assert answer("DELETE") == 204
    assert answer("HEAD") == 410
    assert answer("PATCH", data=b"x") == 410


def test_another_organisations_upload_does_not_exist(web: Stack, headers: dict[str, str]) -> None:
    address = announce(web, headers, 10)
    _, text = services.create_key(make_actor(make_organisation(), "admin"), name="stranger")
    theirs = headers | {
        "Authorization": f"Bearer {text}", "Content-Type": BYTES, "Upload-Offset": "0",
    }  # fmt: skip

    for method in ("HEAD", "PATCH", "DELETE"):
        answer = requests.request(method, address, headers=theirs, data=b"x", timeout=30)
        assert answer.status_code == 404
    assert requests.get(f"{address}.json", headers=theirs, timeout=30).status_code == 404
