"""The only way to another host: our own fetcher, so that a link cannot reach what it should not.

Names are resolved here, every address is checked, and the connection is made to the address that
was checked: a name that resolves to something else a moment later changes nothing. Redirects are
followed here and checked in the same way. Nothing of the environment (proxies, cookies, .netrc)
takes part, and no image library ever sees a link.
"""

import contextlib
import http.client
import ipaddress
import re
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import quote, urljoin, urlsplit, urlunsplit

from django.conf import settings
from django.utils.module_loading import import_string

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

MAX_LINK = 4096  # letters; signed links are long
MAX_ADDRESSES = 4  # of one host that are tried
HTTPS = 443
REDIRECTS = frozenset({301, 302, 303, 307, 308})
TRY_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})")
HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,252})")
IN_PATH = "/%:@!$&'()*+,;=~-._"  # beside letters and digits: sent as they stand
IN_QUERY = IN_PATH + "?"

# Not public, whatever a version of `ipaddress` thinks of them. 168.63.129.16 is the machine
# under every machine in one large cloud; 192.88.99.0/24 and the IPv6 ones are tunnels.
REFUSED = tuple(
    ipaddress.ip_network(text)
    for text in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "168.63.129.16/32",
        "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24",
        "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4",
        "240.0.0.0/4", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20",
    )
)  # fmt: skip
PUBLIC_IPV6 = ipaddress.IPv6Network("2000::/3")  # all that was ever given to networks
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[[str, int], list[str]]


class Dial(Protocol):
    """Open a connection to an address that was checked."""

    def __call__(self, address: str, port: int, *, seconds: float) -> socket.socket:
        """Raise OSError if there is no connection within so many seconds."""
        ...


class Interrupted(OSError):
    """No connection, or none that lasted, or a server that is busy: trying again may help."""


class LinkBroken(Interrupted):
    """The body ended before its end."""


@dataclass(frozen=True, slots=True)
class Link:
    """An address that was looked at but not yet resolved.

    Attributes:
        host: a name in ASCII, or an address.
        port: where it listens.
        target: path and query, as they are sent.
        url: the whole link, without its fragment.
    """

    host: str
    port: int
    target: str
    url: str


@dataclass(frozen=True, slots=True)
class Limits:
    """How long the other side may take, how far it may send us around, how often it may fail.

    Attributes:
        connect_seconds: to one address, and again to agree on TLS.
        head_seconds: from the request to the end of the answer's headers.
        silence_seconds: until the next bytes of the body.
        whole_seconds: for the whole file, interruptions included.
        redirects: followed, each checked like the first link.
        least_bytes_per_second: over each window; 10 GiB at this pace would take a week.
        window_seconds: over which the pace is measured.
        tries: without a new byte, before a server counts as unreachable.
        pause_seconds: before the second try; each further pause is twice as long.
        restarts: from the first byte, because the file changed or cannot be gone on with.
        turn_seconds: after which a fetch that can be gone on with lets waiting work go first.
        alone_seconds: beyond its turn, for a fetch that cannot be gone on with while work waits.
        save_seconds: how old the progress on the screen may be.
    """

    connect_seconds: float = 10.0
    head_seconds: float = 30.0
    silence_seconds: float = 30.0
    whole_seconds: float = 24 * 3600.0
    redirects: int = 5
    least_bytes_per_second: float = 16 * 1024
    window_seconds: float = 30.0
    tries: int = 5
    pause_seconds: float = 1.0
    restarts: int = 3
    turn_seconds: float = 60.0
    alone_seconds: float = 1800.0
    save_seconds: float = 2.0


class _PatientSocket(ssl.SSLSocket):
    """A TLS connection that waits for bytes until a moment, however they drip in."""

    until = float("inf")  # by the monotonic clock

    def recv_into(self, buffer: Any, nbytes: int | None = None, flags: int = 0) -> int:  # noqa: ANN401
        """Read as usual, for at most the time that is left."""
        left = self.until - time.monotonic()
        if left <= 0:
            raise TimeoutError("too slow")
        self.settimeout(left)
        return super().recv_into(buffer, nbytes, flags)


@dataclass(slots=True)
class Answer:
    """A file that another server has begun to send.

    Attributes:
        url: where it came from in the end, after redirects.
        start: which byte of the file the body begins with.
        length: of the whole file, in bytes; None where the server sends it in chunks.
        validator: ETag or date that tells this version of the file from another; "" if there is
            none, and then nothing can be gone on with later.
        resumable: whether the server says that it can go on in the middle.
    """

    url: str
    start: int
    length: int | None
    validator: str
    resumable: bool
    _response: http.client.HTTPResponse
    _socket: _PatientSocket
    _silence_seconds: float
    _max_bytes: int
    _at: int = field(init=False)
    _ahead: bytes = b""

    def __post_init__(self) -> None:
        self._at = self.start

    def read(self, size: int) -> bytes:
        """At most so many bytes, as they come; none at the end of the file.

        Raises:
            Interrupted: the connection ended, or fell silent, before the file did.
            UploadTooLarge: more bytes than are allowed.
        """
        if self._ahead:
            taken, self._ahead = self._ahead[:size], self._ahead[size:]
            return taken
        if self.length is not None:
            size = min(size, self.length - self._at)
        data = self._receive(size) if size > 0 else b""
        if not data and self.length is not None and self._at < self.length:
            raise LinkBroken(f"cut at byte {self._at} of {self.length}")
        self._at += len(data)
        if self._at > self._max_bytes:
            raise UploadTooLarge(f"more than {self._max_bytes} bytes")
        return data

    def peek(self, size: int) -> bytes:
        """The next bytes, fewer only if the file ends; they are read again afterwards.

        Raises:
            Interrupted: the connection ended, or fell silent, before the file did.
            UploadTooLarge: more bytes than are allowed.
        """
        seen = b""
        while len(seen) < size and (data := self.read(size - len(seen))):
            seen += data
        self._ahead = seen + self._ahead
        return seen

    def _receive(self, size: int) -> bytes:
        self._socket.until = time.monotonic() + self._silence_seconds
        try:
            return self._response.read1(size)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise LinkBroken(f"at byte {self._at}: {error!r}") from error


def resolve(host: str, port: int) -> list[str]:
    """Every address of a host, as this machine resolves names.

    Raises:
        HostUnknown: there is none.
        Interrupted: nobody could be asked just now.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        if error.errno == socket.EAI_AGAIN:
            raise Interrupted("names cannot be resolved just now") from error
        raise HostUnknown(host) from error
    except (UnicodeError, OSError) as error:
        raise HostUnknown(host) from error
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def dial(address: str, port: int, *, seconds: float) -> socket.socket:
    """Connect to an address; there is no name left to resolve."""
    return socket.create_connection((address, port), timeout=seconds)


@dataclass(frozen=True, slots=True)
class Fetcher:
    """Asks other servers for files.

    Attributes:
        ports: that a link may name; none switches fetching off.
        tls: which certificates are believed; names are always checked.
        resolve: name to addresses; whatever it says is checked.
        dial: address to connection.
        limits: of the other side.
    """

    ports: frozenset[int]
    tls: ssl.SSLContext
    resolve: Resolve = resolve
    dial: Dial = dial
    limits: Limits = Limits()

    @contextmanager
    def get(
        self, url: str, *, max_bytes: int, start: int = 0, validator: str = ""
    ) -> Iterator[Answer]:
        """Ask for a file, or for the rest of it.

        Args:
            url: https, of any public host.
            max_bytes: of the whole file; a larger one is refused.
            start: byte to go on from, if the file is still the one of ``validator``. Look at
                the answer's ``start``: it is 0 if the server sends the file from its beginning.
            validator: from the answer whose bytes are kept already.

        Raises:
            FetchRefused: the link, an address or an answer that is not accepted.
            UploadTooLarge: the file is larger than ``max_bytes``.
            Interrupted: trying again may help.
        """
        answer = self._ask(url, max_bytes, start if validator else 0, validator)
        if answer is None:  # it cannot go on from there: from the beginning
            answer = self._ask(url, max_bytes, 0, "")
        if answer is None:
            raise SourceRefused(http.client.REQUESTED_RANGE_NOT_SATISFIABLE)
        try:
            yield answer
        finally:
            answer._response.close()
            answer._socket.close()

    def _ask(self, url: str, max_bytes: int, start: int, validator: str) -> Answer | None:
        """The answer of the last of the redirects; None if it is the wrong part of the file."""
        headers = {
            "Accept": "*/*",
            "Accept-Encoding": "identity",
            "Connection": "close",
            "User-Agent": "unosat-damage-detection",
        }
        if start:
            headers |= {"Range": f"bytes={start}-", "If-Range": validator}
        for _ in range(self.limits.redirects + 1):
            link = check_link(url, self.ports)
            with contextlib.ExitStack() as opened:
                connection = self._connect(link)
                opened.callback(connection.close)
                response = self._request(connection, link, headers)
                opened.callback(response.close)
                if response.status not in REDIRECTS:
                    answer = self._judge(link, response, connection, max_bytes)
                    if answer is None or not _goes_on(answer, start, validator):
                        return None
                    opened.pop_all()  # whoever reads it closes it
                    return answer
                url = urljoin(link.url, response.headers.get("Location", ""))
        raise TooManyRedirects(f"{self.limits.redirects} followed")  # no link in any log

    def _connect(self, link: Link) -> _PatientSocket:
        """A TLS connection to one of the host's addresses, all of which are public."""
        addresses = [_checked(text) for text in self.resolve(link.host, link.port)]
        if not addresses:
            raise HostUnknown(link.host)
        trouble: OSError = OSError("no address")
        for address in addresses[:MAX_ADDRESSES]:
            try:
                return self._secure(str(address), link)
            except ssl.SSLCertVerificationError as error:
                raise CertificateNotTrusted(f"{link.host}: {error.verify_message}") from error
            except OSError as error:
                trouble = error
        raise Interrupted(f"{link.host}: {trouble!r}") from trouble

    def _secure(self, address: str, link: Link) -> _PatientSocket:
        seconds = self.limits.connect_seconds
        plain = self.dial(address, link.port, seconds=seconds)
        try:
            plain.settimeout(seconds)
            secured = self.tls.wrap_socket(
                plain, server_hostname=link.host, suppress_ragged_eofs=False
            )
        except BaseException:
            plain.close()
            raise
        if not isinstance(secured, _PatientSocket):
            raise TypeError("the context was not made by trusting()")
        return secured

    def _request(
        self, connection: _PatientSocket, link: Link, headers: dict[str, str]
    ) -> http.client.HTTPResponse:
        """Send a request and read the head of its answer, on a connection that is there."""
        speaker = http.client.HTTPConnection(link.host, link.port)
        speaker.sock = connection
        connection.until = time.monotonic() + self.limits.head_seconds
        host = f"[{link.host}]" if ":" in link.host else link.host
        named = host if link.port == HTTPS else f"{host}:{link.port}"
        try:
            speaker.request("GET", link.target, headers={"Host": named} | headers)
            return speaker.getresponse()
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise Interrupted(f"{link.host}: {error!r}") from error

    def _judge(
        self,
        link: Link,
        response: http.client.HTTPResponse,
        connection: _PatientSocket,
        max_bytes: int,
    ) -> Answer | None:
        """What an answer without redirect offers; None where no such part of the file is there."""
        if response.status in TRY_AGAIN:
            raise Interrupted(f"{link.host}: status {response.status}")
        if response.status == http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
            return None
        if response.status not in {http.client.OK, http.client.PARTIAL_CONTENT}:
            raise SourceRefused(response.status)
        if response.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
            raise SourceEncoded(response.headers["Content-Encoding"][:40])
        start, length = _extent(response)
        if length is not None and length > max_bytes:
            raise UploadTooLarge(f"{length} bytes")
        return Answer(
            url=link.url,
            start=start,
            length=length,
            validator=_validator(response),
            resumable=length is not None and _resumable(response),
            _response=response,
            _socket=connection,
            _silence_seconds=self.limits.silence_seconds,
            _max_bytes=max_bytes,
        )


def check_link(url: str, ports: frozenset[int]) -> Link:
    """Look at a link without asking anybody.

    Args:
        url: as somebody typed it, or as a server or a STAC item names it.
        ports: that it may name.

    Raises:
        FetchingSwitchedOff: there are no such ports.
        LinkNotAllowed: not https, another port, a user name, or not an address at all.
        AddressNotAllowed: an address instead of a name, and not a public one.
    """
    if not ports:
        raise FetchingSwitchedOff("no ports")
    if len(url) > MAX_LINK or "\\" in url or any(not letter.isprintable() for letter in url):
        raise LinkNotAllowed("length or letters")
    try:
        parts = urlsplit(url)
        port = HTTPS if parts.port is None else parts.port
        host = _host(parts.hostname or "")
    except ValueError as error:
        raise LinkNotAllowed(str(error)) from error
    if parts.scheme != "https" or port not in ports or "@" in parts.netloc:
        raise LinkNotAllowed(f"{parts.scheme[:20]}, port {port}")
    with contextlib.suppress(ValueError):  # a name
        _checked(host)
    path, query = quote(parts.path or "/", safe=IN_PATH), quote(parts.query, safe=IN_QUERY)
    return Link(
        host=host,
        port=port,
        target=f"{path}?{query}" if query else path,
        url=urlunsplit(("https", parts.netloc, parts.path, parts.query, "")),
    )


def is_public(address: Address) -> bool:
    """Whether an address belongs to the internet at large: to no private network, to no tunnel.

    An IPv4 address inside an IPv6 one counts as what it is.
    """
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return is_public(address.ipv4_mapped)
        if address in NAT64:
            return is_public(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
        if address not in PUBLIC_IPV6 or address.scope_id is not None:
            return False
    if any(address.version == network.version and address in network for network in REFUSED):
        return False
    return address.is_global and not address.is_multicast


def trusting(*authorities: str) -> ssl.SSLContext:
    """Certificates of this machine's own store; or, in tests, of the files that are named."""
    context = ssl.create_default_context()
    if authorities:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        for path in authorities:
            context.load_verify_locations(path)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.sslsocket_class = _PatientSocket
    return context


def from_settings() -> Fetcher:
    """The fetcher of an installation."""
    return Fetcher(ports=frozenset(settings.UNOSAT_FETCH_PORTS), tls=trusting())


def fetcher() -> Fetcher:
    """The fetcher that the settings name; only the settings of tests name another."""
    made: Fetcher = import_string(settings.UNOSAT_FETCHER)()
    return made


def _host(text: str) -> str:
    """A name in ASCII, or an address as it is written in links.

    Raises:
        ValueError: neither.
    """
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        name = text.encode("idna").decode("ascii")  # of other alphabets; ASCII stays as it is
    if not HOST.fullmatch(name):
        raise ValueError("no host")
    return name.rstrip(".")


def _checked(text: str) -> Address:
    address = ipaddress.ip_address(text)
    if not is_public(address):
        raise AddressNotAllowed(text)
    return address


def _extent(response: http.client.HTTPResponse) -> tuple[int, int | None]:
    """First byte of the body, and bytes of the whole file; -1 where the former makes no sense.

    Raises:
        SourceEndless: the body ends where the connection does.
    """
    if response.status == http.client.PARTIAL_CONTENT:
        found = CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", "").strip())
        if found is None or int(found[2]) != int(found[3]) - 1:
            return -1, None
        return int(found[1]), int(found[3])
    if response.length is None and not response.chunked:
        raise SourceEndless("neither length nor chunks")
    return 0, response.length


def _validator(response: http.client.HTTPResponse) -> str:
    """What tells one version of a file from another; weak ETags do not."""
    tag: str = response.headers.get("ETag", "").strip()
    if tag.startswith('"') and len(tag) <= 200 and tag.isascii():
        return tag
    date: str = response.headers.get("Last-Modified", "").strip()
    return date if len(date) <= 40 and date.isascii() else ""


def _resumable(response: http.client.HTTPResponse) -> bool:
    ranges = response.headers.get("Accept-Ranges", "").strip().lower() == "bytes"
    return bool(_validator(response)) and (ranges or response.status == http.client.PARTIAL_CONTENT)


def _goes_on(answer: Answer, start: int, validator: str) -> bool:
    """Whether what is sent fits what is there: the whole file, or just the rest of this one."""
    if answer.start == 0 and start == 0:
        return True
    if answer.start == 0:
        return answer._response.status == http.client.OK
    return answer.start == start and answer.validator == validator
