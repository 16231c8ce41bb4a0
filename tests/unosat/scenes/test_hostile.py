"""Files made to do harm, taken the way that every upload takes: header check, then converter."""

import re
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import rasterio

from detection.errors import DetectionError
from tests.unosat.scenes.hostile import BLOCKS, CONVERTED, Hostile, Surroundings, plain, table
from tests.unosat.scenes.listening import Ear, listening
from unosat.scenes import sandbox
from unosat.scenes.errors import ImageRefused
from unosat.scenes.tiffcheck import check_tiff

CANARY = 77  # value of every pixel of another tenant's image, and of no other
PROCESSOR_SECONDS = 60  # a file; a clock on the wall would measure what else the machine does
MEMORY_MIB = 2 * 1024  # with the interpreter and its libraries
FILES = table()


@pytest.fixture(scope="module")
def ear() -> Iterator[Ear]:
    with listening() as heard:
        yield heard


@pytest.fixture
def around(tmp_path: Path, ear: Ear) -> Surroundings:
    """Another tenant's image in a folder of its own, and somebody who listens."""
    tenant = tmp_path / "other" / "other.tif"
    tenant.parent.mkdir()
    tenant.write_bytes(plain().replace(BLOCKS, bytes([CANARY]) * len(BLOCKS)))
    return Surroundings(tenant, f"http://127.0.0.1:{ear.port}/image.tif")


def test_the_table_is_long_and_names_each_file_once() -> None:
    assert len(FILES) >= 100
    assert len({hostile.name for hostile in FILES}) == len(FILES)


def test_the_canaries_sing(around: Surroundings, tmp_path: Path) -> None:
    """What the tests below do not find would be found if it were there."""
    check_tiff(around.tenant)
    sandbox.convert(around.tenant, tmp_path / "clean.tif")

    assert canary_pixels(tmp_path / "clean.tif") == 64 * 64


@pytest.mark.parametrize("hostile", FILES, ids=lambda hostile: hostile.name.replace("/", "-"))
def test_it_is_converted_or_refused_and_reaches_nothing(
    hostile: Hostile,
    around: Surroundings,
    ear: Ear,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    source = laid_down(hostile, around, tmp_path / "uploads")
    made = tmp_path / "cogs" / "clean.tif"
    made.parent.mkdir()
    caplog.set_level("INFO", logger=sandbox.__name__)
    before = time.process_time()

    said = taken(source, made)

    seconds, mib = used(caplog.text)
    assert said == hostile.expected
    assert seconds + time.process_time() - before < PROCESSOR_SECONDS
    assert mib < MEMORY_MIB
    assert (seconds > 0) == ("converter ended" in caplog.text)
    assert not ear.heard()
    assert [path.name for path in made.parent.iterdir()] == (
        ["clean.tif"] if hostile.expected == CONVERTED else []
    )
    if hostile.expected == CONVERTED:
        assert canary_pixels(made) == 0
        assert str(around.tenant).encode() not in made.read_bytes()


def test_a_file_cut_at_any_of_a_hundred_places_is_refused_at_once(tmp_path: Path) -> None:
    whole = plain()

    for length in np.linspace(0, len(whole) - 1, 100).astype(int):
        cut = tmp_path / "cut.tif"
        cut.write_bytes(whole[:length])
        with pytest.raises(ImageRefused):
            check_tiff(cut)


def laid_down(hostile: Hostile, around: Surroundings, folder: Path) -> Path:
    """The file and what lies beside it."""
    folder.mkdir()
    source = folder / hostile.filename
    source.write_bytes(hostile.make(around))
    for suffix, make in hostile.beside.items():
        folder.joinpath(source.name + suffix).write_bytes(make(around))
        source.with_suffix(suffix).write_bytes(make(around))
    return source


def taken(source: Path, target: Path) -> str:
    """What an upload comes to."""
    try:
        check_tiff(source)
        sandbox.convert(source, target)
    except (ImageRefused, DetectionError) as refusal:
        return refusal.code
    return CONVERTED


def used(log: str) -> tuple[float, int]:
    """What the converter says of itself, for nobody outside its walls can ask: seconds, MiB."""
    found = re.search(r"used (\d+\.\d) s of a processor and (\d+) MiB", log)
    return (float(found[1]), int(found[2])) if found else (0.0, 0)


def canary_pixels(path: Path) -> int:
    """Pixels of another tenant in the blocks of an image that were written."""
    with rasterio.open(path, driver="GTiff") as dataset:
        return sum(
            int((dataset.read(window=window) == CANARY).any(axis=0).sum())
            for (row, column), window in dataset.block_windows(1)
            if dataset.get_tag_item(f"BLOCK_OFFSET_{column}_{row}", "TIFF", 1)
        )
