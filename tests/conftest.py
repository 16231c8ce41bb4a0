"""Fixtures shared by every test. Rasters are made here, a few kilobytes each; none is stored."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from numpy.typing import NDArray

from tests import private_servers

MakeGeotiff = Callable[..., Path]
PROJECT = Path(__file__).resolve().parent.parent


@pytest.fixture
def make_geotiff(tmp_path: Path) -> MakeGeotiff:
    """Return a function that writes a small GeoTIFF, UTM 37N at 0.5 m unless told otherwise."""

    def make(
        pixels: NDArray[np.generic],
        *,
        crs: str | None = "EPSG:32637",
        transform: Affine | None = Affine(0.5, 0, 500_000, 0, -0.5, 4_000_000),  # noqa: B008
        nodata: float | None = None,
        name: str = "scene.tif",
    ) -> Path:
        path = tmp_path / name
        bands, height, width = pixels.shape
        with rasterio.open(
            path,
            "w",
            driver="GTiff",
            width=width,
            height=height,
            count=bands,
            dtype=pixels.dtype,
            crs=crs,
            transform=transform,
            nodata=nodata,
        ) as dataset:
            dataset.write(pixels)
        return path

    return make


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real imagery; without it a test is skipped, or fails where it is required."""
    folder = Path(os.environ.get("UNOSAT_TEST_DATA", PROJECT.parent / "shared" / "data"))
    if not folder.is_dir():
        reason = "no real imagery: set UNOSAT_TEST_DATA to its folder"
        if os.environ.get("UNOSAT_REQUIRE_DATA") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return folder


@pytest.fixture(scope="session")
def servers() -> Iterator[None]:
    """This session's own PostgreSQL and Redis, started by the first test that needs one."""
    with private_servers.running():
        yield


@pytest.fixture(scope="session")
def django_db_modify_db_settings(servers: None) -> None:
    """Start the servers before pytest-django makes the test database."""


@pytest.fixture
def redis_url(servers: None) -> str:
    """The session's Redis, in redis-py's form."""
    return private_servers.REDIS_URL
