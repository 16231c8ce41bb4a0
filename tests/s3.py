"""A separate S3 API server for tests, and a cable to it that can be pulled out."""

import contextlib
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3

from tests.live import free_port
from unosat.ops import processes
from unosat.ops.bucket import Bucket

READY_SECONDS = 180.0  # moto loads for long on a machine that does much else
KEY, SECRET, BUCKET = "for-tests", "only/never+anywhere", "imagery"
CHUNK_BYTES = 64 * 1024


@dataclass(slots=True)
class Cable:
    """Forwards one port of this machine to another, until it is cut.

    Attributes:
        far: where the server listens.
        near: where its clients connect.
        bytes_down: that came from the server so far.
    """

    far: int
    near: int = 0
    bytes_down: int = 0
    _listener: socket.socket | None = None
    _open: set[socket.socket] = field(default_factory=set)

    def plug(self) -> None:
        """Connect it (again), at the same port as before."""
        listener = socket.create_server(("127.0.0.1", self.near))
        self.near = listener.getsockname()[1]
        self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def cut(self) -> None:
        """Break every connection and refuse new ones."""
        if self._listener is not None:
            with contextlib.suppress(OSError):  # wakes the thread that accepts
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
        for end in list(self._open):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                near, _ = listener.accept()
                far = socket.create_connection(("127.0.0.1", self.far))
            except OSError:
                return
            for source, target, is_down in ((near, far, False), (far, near, True)):
                threading.Thread(
                    target=self._pump, args=(source, target, is_down), daemon=True
                ).start()

    def _pump(self, source: socket.socket, target: socket.socket, is_down: bool) -> None:  # noqa: FBT001
        self._open.add(source)
        with contextlib.suppress(OSError):
            while data := source.recv(CHUNK_BYTES):
                self.bytes_down += len(data) if is_down else 0
                target.sendall(data)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        self._open.discard(source)
        source.close()


@dataclass(frozen=True, slots=True)
class S3Server:
    """A running S3 API server, with one bucket.

    Attributes:
        process: it.
        port: where it listens.
    """

    process: subprocess.Popen[bytes]
    port: int

    def url(self, port: int | None = None, prefix: str = "") -> str:
        """What ``UNOSAT_STORAGE_URL`` says; another port is that of a cable."""
        secret = SECRET.replace("/", "%2F").replace("+", "%2B")
        return f"s3+http://{KEY}:{secret}@127.0.0.1:{port or self.port}/{BUCKET}/{prefix}"

    def keys(self, prefix: str = "") -> list[str]:
        """What lies in the bucket, as the server itself says."""
        found = _client(self.port).list_objects_v2(Bucket=BUCKET, Prefix=prefix)
        return [entry["Key"] for entry in found.get("Contents", [])]


def use_bucket(settings: Any, url: str) -> None:
    """Let this process keep its files in a bucket, as ``UNOSAT_STORAGE_URL`` would."""
    bucket = Bucket.parse(url)
    settings.UNOSAT_BUCKET = bucket
    settings.STORAGES = settings.STORAGES | {"default": bucket.as_storage()}


@contextlib.contextmanager
def running_s3(log: Path) -> Iterator[S3Server]:
    """Start moto's server as a process of its own, with an empty bucket; it ends with the block."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    process = processes.start(processes.guarded(command), log=log)
    try:
        deadline = time.monotonic() + READY_SECONDS
        while not _listens(port):
            assert process.poll() is None, log.read_text()[-2000:]
            assert time.monotonic() < deadline, "the S3 server did not start"
            time.sleep(0.1)
        _client(port).create_bucket(Bucket=BUCKET)
        yield S3Server(process, port)
    finally:
        processes.kill_session(process)
        process.wait()


def _client(port: int):  # type: ignore[no-untyped-def] # noqa: ANN202 (boto3 makes its class at run time)
    return boto3.client(
        "s3",
        endpoint_url=f"http://127.0.0.1:{port}",
        aws_access_key_id=KEY,
        aws_secret_access_key=SECRET,
        region_name="us-east-1",
    )


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
