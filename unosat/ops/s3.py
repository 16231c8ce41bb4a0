"""An S3 bucket through django-storages, and GDAL's way into it. Only ``unosat.ops.store`` asks.

Every key was checked there. What the network or the server does wrong becomes ``StoreAway``.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import cast

import boto3
import rasterio
from boto3.exceptions import Boto3Error
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from django.conf import settings
from django.core.files.base import File
from django.core.files.storage import storages
from rasterio.errors import RasterioError
from rasterio.session import Session
from storages.backends.s3 import S3Storage
from urllib3.exceptions import HTTPError

from unosat.ops.bucket import Bucket
from unosat.ops.errors import StoreAway

CACHE_BYTES = 256 * 1024**2  # of what GDAL fetched: the header stays there while a shard is read
ASK_SECONDS = 3  # whether anybody is there; a page about health waits for it
SMALL_BYTES = 256 * 1024  # of what is sent quickly: half a megabit a second takes 4 s for it
TRUST_SECONDS = 5.0  # after an answer the next question is put without asking for a sign of life
NOT_THERE = {"404", "NoSuchKey", "NotFound"}


class _Key(Session):  # type: ignore[misc] # rasterio has no types
    """The bucket's key for GDAL, without another look into the environment."""

    def __init__(self) -> None:
        self.credentials: dict[str, str] = {}

    @classmethod
    def hascreds(cls, config: dict[str, str]) -> bool:
        """Whether GDAL was given a key."""
        return "AWS_ACCESS_KEY_ID" in config

    def get_credential_options(self) -> dict[str, str]:
        """The key."""
        bucket = _place()
        return {
            "AWS_ACCESS_KEY_ID": bucket.access_key,
            "AWS_SECRET_ACCESS_KEY": bucket.secret_key,
        }


@contextmanager
def reading(header_bytes: int, *, quick: bool) -> Iterator[None]:
    """GDAL may read from the bucket in this thread (from the main one: in the process).

    Args:
        header_bytes: of each file, fetched when it is opened, where a failure is noticed. The
            tables of blocks must be in it: later GDAL takes blocks for empty, without an error,
            if it cannot fetch the part of a table that they are in.
        quick: a silent server is soon given up.
    """
    bucket = _place()
    # What was read, or not found, in a file is forgotten when it is closed: else GDAL would go on
    # saying that a file does not exist which it could not reach once.
    uncached = {"CPL_VSIL_CURL_NON_CACHED": f"/vsis3/{bucket.name}"}
    allowed = {"CPL_VSIL_CURL_ALLOWED_EXTENSIONS": ".tif"}
    header = {"GDAL_INGESTED_BYTES_AT_OPEN": str(header_bytes)}
    cache = {"CPL_VSIL_CURL_CACHE_SIZE": str(CACHE_BYTES)}
    try:
        with (
            _sign_of_life(bucket).needed(),
            rasterio.Env(
                session=_Key(),
                **bucket.as_gdal(quick=quick),
                **uncached,
                **allowed,
                **header,
                **cache,
            ),
        ):
            yield
    except RasterioError as error:
        raise StoreAway(str(error)) from error


def fetch(key: str, path: Path) -> None:
    """Copy an object to a path."""
    with _faults(key):
        _object(key).download_file(str(path), Config=_storage().transfer_config)


def send(path: Path, key: str) -> None:
    """Make an object of a file: whole or not at all, in parts if it is large."""
    with _faults(key), path.open("rb") as file:
        storage = _storage(quick=path.stat().st_size <= SMALL_BYTES)
        storage.save(key, File(file))


def opened(key: str) -> "File[bytes]":
    """An object's bytes, all here."""
    with _faults(key):
        file = _storage(quick=True).open(key)
        file.open()  # fetches it
        return cast("File[bytes]", file)


def exists(key: str) -> bool:
    """Whether there is such an object."""
    with _faults(key):
        return bool(_storage(quick=True).exists(key))


def names(folder: str) -> list[str]:
    """Names of the objects right below a folder."""
    with _faults(folder):
        return sorted(_storage(quick=True).listdir(folder)[1])


def remove(key: str) -> None:
    """Remove an object, or all below a folder."""
    below = _place().full_key(f"{key}/")
    storage = _storage(quick=True)
    with _faults(key):
        storage.delete(key)
        storage.bucket.objects.filter(Prefix=below).delete()


def answers() -> bool:
    """Whether the server answers at all, be it with a refusal. Known after a few seconds."""
    bucket = _place()
    try:
        _asker(bucket).head_object(Bucket=bucket.name, Key=bucket.full_key("is-anybody-there"))
    except ClientError as error:
        return int(error.response["ResponseMetadata"]["HTTPStatusCode"]) < 500
    except (BotoCoreError, HTTPError, OSError):
        return False
    return True


def fault() -> str:
    """What keeps the bucket from being used, in a few words; "" if it could be read just now."""
    bucket = _place()
    try:
        _asker(bucket).list_objects_v2(
            Bucket=bucket.name, Prefix=bucket.full_key("is-anybody-there"), MaxKeys=1
        )
    except ClientError as error:
        status = int(error.response["ResponseMetadata"]["HTTPStatusCode"])
        return "the object storage does not answer" if status >= 500 else _refusal(status)
    except (BotoCoreError, HTTPError, OSError):
        return "the object storage does not answer"
    return ""


def _refusal(status: int) -> str:
    said = {
        401: "the object storage refuses our key",
        403: "the object storage refuses our key",
        404: "the object storage has no such bucket",
    }
    return said.get(status, f"the object storage refuses what it is asked (status {status})")


@dataclass(slots=True)
class _SignOfLife:
    """When the server answered last; kept so that nobody waits for a server that hangs.

    A server that takes connections and says nothing costs every request the whole of its patience,
    and its connection to the database. So only those who ask within ``TRUST_SECONDS`` of the last
    answer pay that; all others ask for a sign of life first, one for all, which is soon known.
    """

    answered_at: float = float("-inf")
    silent_at: float = float("-inf")
    lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def needed(self) -> Iterator[None]:
        """The block asks the server for something; StoreAway at once if it is silent."""
        self._must_be_there()
        try:
            yield
        except BaseException:
            self.answered_at = float("-inf")  # whoever comes next asks first
            raise
        self._heard()

    def _heard(self) -> None:
        self.answered_at = time.monotonic()

    def _must_be_there(self) -> None:
        begun = time.monotonic()
        if self._trusted(begun):
            return
        with self.lock:
            if self._trusted(begun):
                return
            if self.silent_at < begun:  # else it was asked while this thread stood in line
                if answers():
                    self._heard()
                    return
                self.silent_at = time.monotonic()
        raise StoreAway(f"no sign of life within {ASK_SECONDS} seconds")

    def _trusted(self, now: float) -> bool:
        return now - self.answered_at < TRUST_SECONDS


@lru_cache(maxsize=4)
def _sign_of_life(bucket: Bucket) -> _SignOfLife:  # noqa: ARG001 (the key of the cache)
    return _SignOfLife()


@contextmanager
def _faults(key: str) -> Iterator[None]:
    try:
        with _sign_of_life(_place()).needed():
            yield
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") in NOT_THERE:
            raise FileNotFoundError(key) from error
        raise StoreAway(f"{key}: {error}") from error
    except (BotoCoreError, Boto3Error, HTTPError) as error:
        raise StoreAway(f"{key}: {error}") from error


@lru_cache(maxsize=1)
def _asker(bucket: Bucket):  # type: ignore[no-untyped-def] # noqa: ANN202 (boto3 makes its class at run time)
    return boto3.client(
        "s3",
        endpoint_url=bucket.endpoint,
        aws_access_key_id=bucket.access_key,
        aws_secret_access_key=bucket.secret_key,
        region_name=bucket.region,
        config=Config(
            connect_timeout=ASK_SECONDS,
            read_timeout=ASK_SECONDS,
            retries={"total_max_attempts": 1},
            s3={"addressing_style": bucket.addressing},
        ),
    )


def _place() -> Bucket:
    return cast("Bucket", settings.UNOSAT_BUCKET)


def _storage(*, quick: bool = False) -> S3Storage:
    """With patience, for what may be large; ``quick`` for what is small."""
    return _quick(_place()) if quick else cast("S3Storage", storages["default"])


@lru_cache(maxsize=4)
def _quick(bucket: Bucket) -> S3Storage:
    """The same bucket, soon given up if it is silent: somebody may wait for what is small."""
    return S3Storage(**bucket.as_storage(quick=True)["OPTIONS"])


def _object(key: str):  # type: ignore[no-untyped-def] # noqa: ANN202 (boto3 makes its class at run time)
    return _storage().bucket.Object(_place().full_key(key))
