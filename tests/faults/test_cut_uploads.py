"""A line that is cut twenty times: the file arrives whole, and hardly a byte is sent twice."""

import contextlib
import hashlib
import os
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from django.db import connection
from tusclient.client import TusClient

from tests import tus_js
from tests.live import free_port, processes_of
from tests.unosat.makers import make_actor, make_organisation
from unosat.accounts import services
from unosat.ops.store import store_path
from unosat.scenes.models import Scene, Upload

pytestmark = pytest.mark.django_db(transaction=True)

CUTS = 20
RESENT_AT_MOST = 0.02  # of the file, headers and repeated requests included
MEGABYTE = 10**6
PIECE_BYTES = 16 * 1024
BUFFER_BYTES = 64 * 1024  # a line holds little; this machine's own would hold megabytes
FACTS = {"filename": "after.tif", "event_name": "Storm", "phase": "after"}
LARGE = pytest.mark.skipif(
    os.environ.get("UNOSAT_TEST_LARGE") != "1",
    reason="3 GB take minutes and 6 GB of disk: make faults",
)


class CuttingLine:
    """A line to the server that breaks, both ways at once, when so many bytes have passed.

    Attributes:
        port: where clients connect.
        passed: bytes that clients sent so far, of all connections together.
        cuts: where it will still break, in bytes passed.
    """

    def __init__(self, server_port: int, cuts: list[int]) -> None:
        self.passed = 0
        self.cuts = cuts
        self._server = ("127.0.0.1", server_port)
        self._lock = threading.Lock()
        self._listening = socket.socket()
        self._listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
        self._listening.bind(("127.0.0.1", 0))
        self._listening.listen()
        self.port: int = self._listening.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def close(self) -> None:
        """Take no more connections, and wait for those that there are."""
        self._listening.shutdown(socket.SHUT_RD)
        for thread in self._threads:
            thread.join(20)
        self._listening.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                client, _ = self._listening.accept()
                self._threads.append(threading.Thread(target=self._serve, args=(client,)))
                self._threads[-1].start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.socket() as server:
            server.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER_BYTES)
            server.connect(self._server)
            back = threading.Thread(target=_pass_answers, args=(server, client))
            back.start()
            with contextlib.suppress(OSError):
                self._pass_requests(client, server)
            back.join()

    def _pass_requests(self, client: socket.socket, server: socket.socket) -> None:
        while data := client.recv(self._until_next_cut()):
            server.sendall(data)
            if self._count(len(data)):
                return _break(client, server)
        return server.shutdown(socket.SHUT_WR)

    def _until_next_cut(self) -> int:
        with self._lock:
            return min([PIECE_BYTES, *(cut - self.passed for cut in self.cuts[:1])])

    def _count(self, size: int) -> bool:
        """Whether the line breaks now."""
        with self._lock:
            self.passed += size
            is_cut = bool(self.cuts) and self.passed >= self.cuts[0]
            if is_cut:
                self.cuts.pop(0)
            return is_cut


def _pass_answers(server: socket.socket, client: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := server.recv(PIECE_BYTES):
            client.sendall(data)
        client.shutdown(socket.SHUT_WR)


def _break(*ends: socket.socket) -> None:
    """Reset at the close that follows: nobody is told that anything ended well."""
    for end in ends:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        end.shutdown(socket.SHUT_RD)  # wakes the thread that reads


@pytest.fixture
def web_port(transactional_db: None, redis_url: str, tmp_path: Path) -> Iterator[int]:  # noqa: ARG001
    with processes_of(redis_url, tmp_path / "log") as stack:
        port = free_port()
        stack.start_web(port)
        yield port


@pytest.fixture
def key(transactional_db: None) -> str:  # noqa: ARG001
    _, text = services.create_key(make_actor(make_organisation(), "admin"), name="partner")
    connection.close()
    return text


Send = Callable[[Path, str, str, int], None]


def with_tuspy(file: Path, endpoint: str, key: str, chunk_bytes: int) -> None:
    client = TusClient(endpoint, headers={"Authorization": f"Bearer {key}"})
    with file.open("rb") as stream:
        uploader = client.uploader(
            file_stream=stream,
            chunk_size=chunk_bytes,
            metadata=FACTS,
            retries=CUTS,
            retry_delay=0,
        )
        uploader.upload()


def with_tus_js(file: Path, endpoint: str, key: str, chunk_bytes: int) -> None:
    tus_js.send(
        file,
        endpoint=endpoint,
        key=key,
        chunk_bytes=chunk_bytes,
        metadata=FACTS,
        seconds=3000,
    )


@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    "megabytes", [60, pytest.param(3000, marks=LARGE)], ids=lambda size: f"{size} MB"
)
@pytest.mark.parametrize("send", [with_tuspy, with_tus_js])
def test_an_upload_cut_twenty_times_arrives_whole_and_is_hardly_sent_twice(
    web_port: int,
    key: str,
    tmp_path: Path,
    send: Send,
    megabytes: int,
    record_property: Callable[[str, object], None],
) -> None:
    file = tmp_path / "after.tif"
    sha256 = write_noise(file, megabytes)
    size = megabytes * MEGABYTE
    line = CuttingLine(web_port, [size * (2 * n + 1) // (2 * CUTS) for n in range(CUTS)])

    with contextlib.closing(line):
        send(file, f"http://127.0.0.1:{line.port}/api/v1/uploads", key, min(size // 15, 16 << 20))

    upload = Upload.objects.get()
    resent = line.passed / size - 1
    record_property("measured", f"{resent:.4%} sent again")
    assert line.cuts == []
    assert resent <= RESENT_AT_MOST
    with store_path(upload.path).open("rb") as arrived:
        assert hashlib.file_digest(arrived, "sha256").digest() == sha256
    assert Scene.objects.get().upload == upload
    file.unlink()  # pytest would keep it
    store_path(upload.path).unlink()


def write_noise(path: Path, megabytes: int) -> bytes:
    """Write what no compression shortens; its sha256."""
    chance, digest = np.random.default_rng(20), hashlib.sha256()
    with path.open("wb") as file:
        for _ in range(megabytes):
            data = chance.bytes(MEGABYTE)
            digest.update(data)
            file.write(data)
    return digest.digest()
