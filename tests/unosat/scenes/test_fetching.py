"""The fetcher against a real HTTPS server: where it never goes, what it never takes, going on."""

import contextlib
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from pytest_django import Settings

from tests.unosat.scenes.https import HOST, OTHER, PATIENT, PUBLIC, PUBLIC_6, File, Server, serving
from unosat.scenes import fetching
from unosat.scenes.errors import (
    AddressNotAllowed,
    CertificateNotTrusted,
    FetchingSwitchedOff,
    HostUnknown,
    LinkNotAllowed,
    SourceEncoded,
    SourceEndless,
    SourceRefused,
    TooManyRedirects,
    UploadTooLarge,
)
from unosat.scenes.fetching import Fetcher, Interrupted, check_link, is_public

PORTS = frozenset({443, 8443})
BODY = bytes(range(256)) * 2000
CAP = 10**6


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with serving(tmp_path) as running:
        yield running


def whole(fetcher: Fetcher, url: str, *, cap: int = CAP) -> bytes:
    with fetcher.get(url, max_bytes=cap) as answer:
        return b"".join(iter(lambda: answer.read(100_000), b""))


def test_a_file_arrives_as_it_is(server: Server) -> None:
    server.files["/a b.tif"] = File(BODY)
    dialled: list[str] = []

    data = whole(server.fetcher(dialled=dialled), server.url("/a b.tif?key=x y#part"))

    assert data == BODY
    assert dialled == [PUBLIC]
    (request,) = server.seen
    assert request.path == "/a%20b.tif?key=x%20y"
    assert request.headers["host"] == HOST
    assert request.headers["accept-encoding"] == "identity"
    assert not {"cookie", "authorization", "referer", "range"} & request.headers.keys()


@pytest.mark.parametrize(
    "url",
    [
        "http://images.example/a.tif",
        "file:///etc/passwd",
        "gopher://images.example/1",
        "ftp://images.example/a.tif",
        "s3://bucket/a.tif",
        "/vsicurl/https://images.example/a.tif",
        "https://user@images.example/a.tif",
        "https://user:word@images.example/a.tif",
        "https://@images.example/a.tif",
        "https://images.example:22/a.tif",
        "https://images.example:99999/a.tif",
        "https://images.example\\@127.0.0.1/",
        "https://images.example/a\r\nHost: x",
        "https:///a.tif",
        "https://",
        "https://[::1/a.tif",
        "https://a..b/x",
        "images.example/a.tif",
        "",
        "https://images.example/" + "a" * 5000,
    ],
)
def test_only_plain_https_links_are_looked_at_at_all(url: str) -> None:
    with pytest.raises(LinkNotAllowed):
        check_link(url, PORTS)


def test_without_ports_nothing_is_fetched() -> None:
    with pytest.raises(FetchingSwitchedOff):
        check_link("https://images.example/a.tif", frozenset())


NOT_PUBLIC = [
    "0.0.0.0",  # noqa: S104 (nothing is bound to it)
    "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.8.8.8",
    "168.63.129.16", "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.192",
    "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1", "198.51.100.1", "203.0.113.1",
    "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255",
    "::", "::1", "::7f00:1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254",
    "64:ff9b::7f00:1", "64:ff9b::a00:1", "64:ff9b:1::1", "100::1", "2001::1", "2001:db8::1",
    "2002:7f00:1::", "2002:5db8:d822::1", "3fff::1", "fc00::1", "fd00:ec2::254", "fe80::1",
    "fe80::1%eth0", "fec0::1", "ff02::1", "5f00::1",
]  # fmt: skip


@pytest.mark.parametrize("text", NOT_PUBLIC)
def test_addresses_of_no_public_network_are_refused(text: str, server: Server) -> None:
    dialled: list[str] = []
    fetcher = server.fetcher({HOST: [[text]]}, dialled=dialled)

    assert not is_public(ipaddress.ip_address(text))
    with pytest.raises(AddressNotAllowed):
        whole(fetcher, server.url("/a.tif"))
    assert dialled == []


@pytest.mark.parametrize(
    "text",
    [
        PUBLIC,
        PUBLIC_6,
        "1.1.1.1",
        "100.128.0.1",
        "172.32.0.1",
        "::ffff:1.1.1.1",
        "64:ff9b::101:101",
    ],
)
def test_public_addresses_are_not(text: str) -> None:
    assert is_public(ipaddress.ip_address(text))


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "[::1]",
        "[::ffff:7f00:1]",
        "localhost",
        "2130706433",
        "0x7f.1",
        "0177.0.0.1",
        "127.1",
    ],
)
def test_the_fetcher_of_an_installation_never_reaches_this_machine(
    host: str, server: Server, settings: Settings
) -> None:
    settings.UNOSAT_FETCH_PORTS = [server.port]
    server.files["/a.tif"] = File(BODY)

    with pytest.raises((AddressNotAllowed, HostUnknown)):
        whole(fetching.fetcher(), f"https://{host}:{server.port}/a.tif")

    assert server.seen == []


def test_one_private_address_among_public_ones_is_enough_to_refuse(server: Server) -> None:
    dialled: list[str] = []
    fetcher = server.fetcher({HOST: [[PUBLIC, PUBLIC_6, "192.168.0.7"]]}, dialled=dialled)

    with pytest.raises(AddressNotAllowed):
        whole(fetcher, server.url("/a.tif"))

    assert dialled == []


def test_a_name_that_turns_private_after_the_check_changes_nothing(server: Server) -> None:
    server.files["/a.tif"] = File(BODY)
    dialled: list[str] = []
    fetcher = server.fetcher({HOST: [[PUBLIC], ["127.0.0.1"]]}, dialled=dialled)

    assert whole(fetcher, server.url("/a.tif")) == BODY
    with pytest.raises(AddressNotAllowed):  # and the next connection is checked anew
        whole(fetcher, server.url("/a.tif"))
    assert dialled == [PUBLIC]


@pytest.mark.parametrize(
    ("to", "error"),
    [
        ("https://127.0.0.1/a.tif", AddressNotAllowed),
        ("https://[::ffff:a9fe:a9fe]/latest/meta-data/", AddressNotAllowed),
        (f"https://{OTHER}/a.tif", AddressNotAllowed),
        ("https://localhost/a.tif", AddressNotAllowed),
        ("http://images.example/a.tif", LinkNotAllowed),
        ("file:///etc/passwd", LinkNotAllowed),
        ("https://user:word@images.example/a.tif", LinkNotAllowed),
        ("//images.example:22/", LinkNotAllowed),
    ],
)
def test_a_redirect_is_checked_like_the_first_link(
    to: str, error: type[Exception], server: Server
) -> None:
    dialled: list[str] = []
    fetcher = server.fetcher({OTHER: [["10.1.2.3"]]}, dialled=dialled)

    with pytest.raises(error):
        whole(fetcher, server.redirect("/there", to))

    assert dialled == [PUBLIC]


def test_redirects_are_followed_to_other_hosts_but_not_for_ever(server: Server) -> None:
    server.files["/a.tif"] = File(BODY)
    server.redirect("/1", f"https://{OTHER}/2")
    server.redirect("/2", "/a.tif")
    server.redirect("/round", "/round")
    dialled: list[str] = []
    fetcher = server.fetcher(dialled=dialled)

    assert whole(fetcher, server.url("/1")) == BODY
    assert dialled == [PUBLIC, PUBLIC_6, PUBLIC_6]
    assert [seen.headers["host"] for seen in server.seen] == [HOST, OTHER, OTHER]
    with pytest.raises(TooManyRedirects):
        whole(fetcher, server.url("/round"))
    assert len(server.seen) == 3 + PATIENT.redirects + 1


def test_the_certificate_must_be_for_the_name_and_of_somebody_trusted(server: Server) -> None:
    server.files["/a.tif"] = File(BODY)
    fetcher = server.fetcher({"another.example": [[PUBLIC]]})

    with pytest.raises(CertificateNotTrusted):
        whole(fetcher, "https://another.example/a.tif")
    with pytest.raises(CertificateNotTrusted):
        whole(replace(fetcher, tls=fetching.trusting()), server.url("/a.tif"))

    assert server.seen == []
    assert fetching.trusting().verify_mode == ssl.CERT_REQUIRED


def test_the_environment_has_no_say(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    server.files["/a.tif"] = File(BODY, headers={"Set-Cookie": "a=b"})
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    fetcher = server.fetcher()

    assert whole(fetcher, server.url("/a.tif")) == BODY
    assert whole(fetcher, server.url("/a.tif")) == BODY
    assert "cookie" not in server.seen[1].headers


def test_too_large_a_file_is_refused_before_it_comes(server: Server) -> None:
    server.files["/a.tif"] = File(BODY, headers={"Content-Length": str(CAP + 1)})

    with pytest.raises(UploadTooLarge):
        whole(server.fetcher(), server.url("/a.tif"))


def test_a_file_that_does_not_say_how_large_it_is_is_counted(server: Server) -> None:
    server.files["/a.tif"] = File(BODY, chunked=True, piece=1000)

    assert whole(server.fetcher(), server.url("/a.tif"), cap=len(BODY)) == BODY
    with pytest.raises(UploadTooLarge):
        whole(server.fetcher(), server.url("/a.tif"), cap=len(BODY) - 1)


def test_more_than_was_announced_is_not_read(server: Server) -> None:
    server.files["/a.tif"] = File(BODY, headers={"Content-Length": "1000"})

    assert whole(server.fetcher(), server.url("/a.tif")) == BODY[:1000]


@pytest.mark.parametrize("encoding", ["gzip", "br", "identity, gzip", "x"])
def test_packed_answers_are_refused_unread(encoding: str, server: Server) -> None:
    server.files["/a.tif"] = File(BODY, headers={"Content-Encoding": encoding})

    with pytest.raises(SourceEncoded):
        whole(server.fetcher(), server.url("/a.tif"))


@pytest.mark.parametrize("length", ["", "many", "-5"])
def test_a_file_without_an_end_is_refused(length: str, server: Server) -> None:
    server.files["/a.tif"] = File(BODY, headers={"Content-Length": length})

    with pytest.raises(SourceEndless):
        whole(server.fetcher(), server.url("/a.tif"))


@pytest.mark.parametrize(
    ("status", "words"), [(403, "sign-in"), (404, "nothing at that link"), (418, "error 418")]
)
def test_another_answer_is_told_in_words(status: int, words: str, server: Server) -> None:
    server.files["/a.tif"] = File(b"", status=status)

    with pytest.raises(SourceRefused) as refused:
        whole(server.fetcher(), server.url("/a.tif"))

    assert words in refused.value.user_message


def test_a_busy_server_can_be_asked_again(server: Server) -> None:
    server.files["/a.tif"] = File(b"", status=503)

    with pytest.raises(Interrupted):
        whole(server.fetcher(), server.url("/a.tif"))


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_that_is_cut_is_never_taken_for_whole(chunked: bool, server: Server) -> None:  # noqa: FBT001
    server.files["/a.tif"] = File(BODY, chunked=chunked, cuts=[100_000], piece=1000)

    with pytest.raises(Interrupted):
        whole(server.fetcher(), server.url("/a.tif"))


def test_the_rest_of_a_file_is_asked_for_by_its_version(server: Server) -> None:
    server.files["/a.tif"] = File(BODY, modified="Wed, 01 Oct 2025 10:00:00 GMT")

    with server.fetcher().get(
        server.url("/a.tif"), max_bytes=CAP, start=1000, validator='"1"'
    ) as answer:
        assert (answer.start, answer.length, answer.validator) == (1000, len(BODY), '"1"')
        assert answer.read(10) == BODY[1000:1010]

    assert server.seen[0].headers["range"] == "bytes=1000-"
    assert server.seen[0].headers["if-range"] == '"1"'


@pytest.mark.parametrize(
    "file",
    [
        File(BODY, etag='"2"'),
        File(BODY, ranges=False),
        File(BODY, headers={"ETag": '"2"'}),  # ignores If-Range and sends a part of another file
        File(BODY, headers={"ETag": ""}),
        File(BODY, headers={"Content-Range": "bytes 999-1/5"}),
        File(BODY, headers={"Content-Range": f"bytes 0-{len(BODY) - 1}/{len(BODY)}"}),
    ],
    ids=["changed", "no ranges", "lies", "no version", "nonsense", "another part"],
)
def test_what_does_not_fit_begins_at_the_first_byte(file: File, server: Server) -> None:
    server.files["/a.tif"] = file

    with server.fetcher().get(
        server.url("/a.tif"), max_bytes=CAP, start=1000, validator='"1"'
    ) as answer:
        start = answer.start

    assert start == 0


def test_a_weak_tag_is_no_version_and_a_date_is(server: Server) -> None:
    date = "Wed, 01 Oct 2025 10:00:00 GMT"
    server.files["/a.tif"] = File(BODY, etag='W/"1"', modified=date)

    with server.fetcher().get(server.url("/a.tif"), max_bytes=CAP) as answer:
        assert answer.validator == date


@pytest.mark.parametrize("stage", ["handshake", "head", "body"])
def test_a_server_that_drips_is_given_up_in_time(stage: str, tmp_path: Path) -> None:
    limits = replace(PATIENT, connect_seconds=0.5, head_seconds=0.5, silence_seconds=0.5)
    with serving(tmp_path) as server, dripping(server, stage) as port:
        if stage == "body":
            server.files["/a.tif"] = File(BODY, piece=1, pause=lambda at: time.sleep(2 * bool(at)))
        fetcher = server.fetcher(limits=limits)
        if stage != "body":
            fetcher = replace(
                fetcher,
                dial=lambda *_, seconds: socket.create_connection(("127.0.0.1", port), seconds),
            )
        begun = time.monotonic()

        with pytest.raises(Interrupted):
            whole(fetcher, server.url("/a.tif"))

        assert time.monotonic() - begun < 60  # 0.5 s, on a machine that does much else


class dripping:  # noqa: N801 (a context manager)
    """A server that sends one byte of nonsense or of its headers at a time, for ever."""

    def __init__(self, server: Server, stage: str) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.load_cert_chain(server.folder / "server.pem", server.folder / "server.key")
        self._stage = stage
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> int:
        self._thread.start()
        return int(self._listening.getsockname()[1])

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join()

    def _run(self) -> None:
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            connection, _ = self._listening.accept()
            stack.callback(connection.close)
            if self._stage == "head":
                connection = self._tls.wrap_socket(connection, server_side=True)
                stack.callback(connection.close)
                connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
            while not self._over.wait(0.05):
                connection.sendall(b"\x16" if self._stage == "handshake" else b"x")
