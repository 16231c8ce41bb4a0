"""A real HTTPS server that misbehaves as it is told, and a fetcher that can reach it.

Nothing of the fetcher is weakened for that: names resolve to public addresses, which are checked
as ever; only the last step, the connection to an address, ends at the server of the test.
"""

import contextlib
import datetime
import hashlib
import os
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from unosat.scenes import fetching
from unosat.scenes.fetching import Fetcher, Limits

HOST = "images.example"
OTHER = "elsewhere.example"
PUBLIC, PUBLIC_6 = "93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946"
# Short pauses, and all the time that a machine which does much else may need to answer itself.
PATIENT = Limits(
    connect_seconds=60.0,
    head_seconds=60.0,
    silence_seconds=60.0,
    pause_seconds=0.01,
    save_seconds=0.05,
)
PORT_VARIABLE, FOLDER_VARIABLE = "UNOSAT_TEST_HTTPS_PORT", "UNOSAT_TEST_HTTPS_FOLDER"


@dataclass
class File:
    """What one path of the server serves, and how.

    Attributes:
        body: of the file.
        etag: its ETag; "" for none.
        modified: its Last-Modified; "" for none.
        ranges: whether requests for a part are honoured.
        cuts: for each of the first requests, after how many bytes the connection ends.
        chunked: without a length.
        headers: more of them; they replace the usual ones.
        status: of a whole answer.
        pause: called before each piece of the body with how many bytes were sent.
        piece: bytes sent at a time.
    """

    body: bytes
    etag: str = '"1"'
    modified: str = ""
    ranges: bool = True
    cuts: list[int] = field(default_factory=list)
    chunked: bool = False
    headers: dict[str, str] = field(default_factory=dict)
    status: int = 200
    pause: Callable[[int], object] = lambda _: None
    piece: int = 64 * 1024


@dataclass(frozen=True)
class Seen:
    """One request as it arrived, and the body bytes that were sent for it."""

    path: str
    headers: dict[str, str]
    sent: list[int]


@dataclass
class Server:
    """The server, its files by path, and what was asked of it."""

    port: int
    folder: Path
    files: dict[str, File] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)

    def url(self, path: str) -> str:
        return f"https://{HOST}{path}"

    def redirect(self, path: str, to: str) -> str:
        """Serve a redirect; returns the link to it."""
        self.files[path] = File(b"", status=302, headers={"Location": to})
        return self.url(path)

    def fetcher(
        self,
        names: dict[str, list[list[str]]] | None = None,
        *,
        dialled: list[str] | None = None,
        limits: Limits = PATIENT,
    ) -> Fetcher:
        """A fetcher for which some names have some addresses, in turn; all else is the real one."""
        known = {HOST: [[PUBLIC]], OTHER: [[PUBLIC_6]]} | (names or {})
        turns = {name: iter(answers) for name, answers in known.items()}

        def resolve(host: str, port: int) -> list[str]:
            if host not in known:
                return fetching.resolve(host, port)
            return next(turns[host], known[host][-1])

        def dial(address: str, port: int, *, seconds: float) -> socket.socket:
            assert port in {443, 8443}
            if dialled is not None:
                dialled.append(address)
            return socket.create_connection(("127.0.0.1", self.port), timeout=seconds)

        return Fetcher(
            ports=frozenset({443, 8443}),
            tls=fetching.trusting(str(self.folder / "ca.pem")),
            resolve=resolve,
            dial=dial,
            limits=limits,
        )

    def environment(self) -> dict[str, str]:
        """What makes a worker of its own process use such a fetcher."""
        return {
            "DJANGO_SETTINGS_MODULE": "tests.fetch_settings",
            PORT_VARIABLE: str(self.port),
            FOLDER_VARIABLE: str(self.folder),
        }


def fetcher_of_worker() -> Fetcher:
    """What ``tests.fetch_settings`` names: the fetcher of a worker that a test started."""
    server = Server(int(os.environ[PORT_VARIABLE]), Path(os.environ[FOLDER_VARIABLE]))
    return server.fetcher()


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[Server]:
    """An HTTPS server for ``HOST`` and ``OTHER`` on this machine, with a certificate authority."""
    make_certificates(folder, HOST, OTHER)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(folder / "server.pem", folder / "server.key")
    known = Server(0, folder)

    class Handler(_Handler):
        server_of_test = known

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    listening.daemon_threads = True
    listening.socket = tls.wrap_socket(
        listening.socket, server_side=True, do_handshake_on_connect=False
    )
    known.port = listening.server_address[1]
    thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield known
    finally:
        listening.shutdown()
        thread.join()
        listening.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_of_test: Server

    def do_GET(self) -> None:
        path = unquote(self.path.partition("?")[0])
        seen = Seen(self.path, {k.lower(): v for k, v in self.headers.items()}, [0])
        self.server_of_test.seen.append(seen)
        self.close_connection = True
        file = self.server_of_test.files.get(path) or File(b"", status=404)
        with contextlib.suppress(OSError):
            self._answer(file, seen)

    def _answer(self, file: File, seen: Seen) -> None:
        start = self._start(file)
        body, status = file.body[start:], file.status
        headers = {"Content-Length": str(len(body))}
        if file.chunked:
            headers = {"Transfer-Encoding": "chunked"}
        if start:
            status = 206
            headers["Content-Range"] = f"bytes {start}-{len(file.body) - 1}/{len(file.body)}"
        for name, value in (
            ("ETag", file.etag),
            ("Last-Modified", file.modified),
            ("Accept-Ranges", "bytes" if file.ranges else ""),
        ):
            if value:
                headers[name] = value
        self.send_response(status)
        for name, value in (headers | file.headers).items():
            if value:
                self.send_header(name, value)
        self.end_headers()
        self._send(file, body, file.cuts.pop(0) if file.cuts else len(body) + 1, seen)

    def _start(self, file: File) -> int:
        asked = self.headers.get("Range", "")
        fits = self.headers.get("If-Range", "") in {file.etag, file.modified} - {""}
        if not (file.ranges and fits and asked.startswith("bytes=")):
            return 0
        return int(asked.removeprefix("bytes=").removesuffix("-"))

    def _send(self, file: File, body: bytes, cut: int, seen: Seen) -> None:
        at = 0
        while at < len(body):
            file.pause(at)
            data = body[at : min(at + file.piece, cut)]
            if not data:
                return  # without a word: the connection ends
            self.wfile.write(
                f"{len(data):x}\r\n".encode() + data + b"\r\n" if file.chunked else data
            )
            at += len(data)
            seen.sent[0] = at
        if file.chunked:
            self.wfile.write(b"0\r\n\r\n")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def make_certificates(folder: Path, *names: str) -> None:
    """``ca.pem``, and a certificate of it for these names with its key."""
    authority = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority of a test")])
    authority_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    constraint = x509.BasicConstraints(ca=True, path_length=0)
    signs = x509.KeyUsage(
        digital_signature=True, content_commitment=False, key_encipherment=False,
        data_encipherment=False, key_agreement=False, key_cert_sign=True, crl_sign=True,
        encipher_only=False, decipher_only=False,
    )  # fmt: skip
    ca = (
        _certificate(authority, authority, authority_key)
        .add_extension(constraint, critical=True)
        .add_extension(signs, critical=True)
        .sign(authority_key, hashes.SHA256())
    )
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
    alternatives = [x509.DNSName(name) for name in names]
    certificate = (
        _certificate(subject, authority, key)
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "ca.pem").write_bytes(ca.public_bytes(pem))
    (folder / "server.pem").write_bytes(certificate.public_bytes(pem))
    (folder / "server.key").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )


def _certificate(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    day = datetime.timedelta(days=1)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - day)
        .not_valid_after(now + day)
    )
