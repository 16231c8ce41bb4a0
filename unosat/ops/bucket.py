"""What ``UNOSAT_STORAGE_URL`` says: one bucket of an S3-compatible store. Settings read it."""

from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

FORM = (
    "UNOSAT_STORAGE_URL must be s3://KEY:SECRET@HOST/BUCKET, with s3+http:// where there is no "
    "TLS; :PORT, /PREFIX, ?region=... and &addressing=virtual may follow in their places"
)
ADDRESSING = ("path", "virtual")
CONNECT_SECONDS, READ_SECONDS = 5, 20  # of silence, before a try is given up
QUICK_SECONDS = 5  # the same for what is small: all its tries come to some 15 s, not to a minute
ATTEMPTS = 2  # in all: whoever can wait begins anew by himself, and others must not wait for long
MEMORY_BYTES = 2 * 1024**2  # of a download; what is larger goes through a file


@dataclass(frozen=True, slots=True)
class Bucket:
    """Where the bucket is, and the key to it.

    Attributes:
        host: with its port, if it has one of its own.
        is_https: whether TLS is spoken with it.
        name: of the bucket.
        prefix: before every key, without slashes at its ends; "" for none.
        access_key: who we are.
        secret_key: never shown.
        region: what requests are signed for.
        addressing: "path" for ``host/bucket``, "virtual" for ``bucket.host``.
    """

    host: str
    is_https: bool
    name: str
    prefix: str
    access_key: str
    secret_key: str = field(repr=False)
    region: str = "us-east-1"
    addressing: str = "path"

    @classmethod
    def parse(cls, url: str) -> Self:
        """Read the address; ``/``, ``+`` and ``@`` in key and secret are percent-encoded.

        Raises:
            ImproperlyConfigured: it is none, or lacks a part. The secret is not repeated.
        """
        try:
            parts = urlsplit(url)
            port = f":{parts.port}" if parts.port else ""
        except ValueError:
            raise ImproperlyConfigured(FORM) from None
        name, _, prefix = parts.path.strip("/").partition("/")
        options = _options(parts)
        named = parts.hostname and name and parts.username and parts.password
        if parts.scheme not in {"s3", "s3+http"} or not named:
            raise ImproperlyConfigured(FORM)
        return cls(
            host=f"{parts.hostname}{port}",
            is_https=parts.scheme == "s3",
            name=name,
            prefix=prefix.strip("/"),
            access_key=unquote(parts.username or ""),
            secret_key=unquote(parts.password or ""),
            **options,
        )

    @property
    def endpoint(self) -> str:
        """The server's address."""
        return f"http{'s' if self.is_https else ''}://{self.host}"

    def full_key(self, key: str) -> str:
        """The key as the server knows it."""
        return f"{self.prefix}/{key}" if self.prefix else key

    def as_storage(self, *, quick: bool = False) -> dict[str, Any]:
        """The same for Django's STORAGES, by django-storages.

        Args:
            quick: for what is small. What is large needs patience: the end of a part may still be
                on its way over a slow line, and a server takes its time to put the parts together.
        """
        from botocore.config import Config

        return {
            "BACKEND": "storages.backends.s3.S3Storage",
            "OPTIONS": {
                "access_key": self.access_key,
                "secret_key": self.secret_key,
                "bucket_name": self.name,
                "location": self.prefix,
                "endpoint_url": self.endpoint,
                "region_name": self.region,
                "max_memory_size": MEMORY_BYTES,
                "client_config": Config(
                    connect_timeout=CONNECT_SECONDS,
                    read_timeout=QUICK_SECONDS if quick else READ_SECONDS,
                    retries={"total_max_attempts": ATTEMPTS, "mode": "standard"},
                    s3={"addressing_style": self.addressing},
                ),
            },
        }

    def as_gdal(self, *, quick: bool = False) -> dict[str, str]:
        """The same for GDAL, but the key; and how long it waits.

        Args:
            quick: somebody waits for a picture; without, it is work that would have to begin anew.
        """
        silence = QUICK_SECONDS if quick else READ_SECONDS
        return {
            "AWS_S3_ENDPOINT": self.host,
            "AWS_HTTPS": "YES" if self.is_https else "NO",
            "AWS_VIRTUAL_HOSTING": "TRUE" if self.addressing == "virtual" else "FALSE",
            "AWS_REGION": self.region,
            "GDAL_HTTP_CONNECTTIMEOUT": str(CONNECT_SECONDS),
            "GDAL_HTTP_LOW_SPEED_TIME": str(silence),  # seconds below the next line's speed
            "GDAL_HTTP_LOW_SPEED_LIMIT": "1000",  # bytes per second
            "GDAL_HTTP_MAX_RETRY": str(ATTEMPTS - 1),
            "GDAL_HTTP_RETRY_DELAY": "0.5",  # seconds; doubled each time
            # a clean COG holds all that belongs to it: no list of its folder before each opening
            "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
        }


def _options(parts: SplitResult) -> dict[str, str]:
    found = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    if set(found) - {"region", "addressing"} or found.get("addressing", "path") not in ADDRESSING:
        raise ImproperlyConfigured(FORM)
    return found
