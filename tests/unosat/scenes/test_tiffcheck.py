"""What the header check takes and refuses, down to single bytes."""

import contextlib
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conftest import MakeGeotiff
from unosat.scenes.errors import (
    BlocksTooLarge,
    DamagedTiff,
    ForeignReference,
    ImageRefused,
    NotATiff,
    TooManyPixels,
    UnsupportedCompression,
    UnsupportedLayout,
)
from unosat.scenes.tiffcheck import check_tiff

MakeTiff = Callable[..., Path]
Entry = tuple[int, int, int, int]  # tag, type, count, value
SHORT, LONG = 3, 4


@pytest.fixture
def make_tiff(tmp_path: Path) -> MakeTiff:
    """Return a function that writes a TIFF of one 8 x 8 strip at byte 8, entries overridden."""

    def make(changed: dict[int, Entry | None] | None = None, *, after: int = 0) -> Path:
        entries: dict[int, Entry | None] = {
            256: (256, LONG, 1, 8),
            257: (257, LONG, 1, 8),
            258: (258, SHORT, 1, 8),
            259: (259, SHORT, 1, 1),
            262: (262, SHORT, 1, 1),
            273: (273, LONG, 1, 8),
            277: (277, SHORT, 1, 1),
            278: (278, LONG, 1, 8),
            279: (279, LONG, 1, 64),
        }
        entries |= changed or {}
        kept = [entry for _, entry in sorted(entries.items()) if entry is not None]
        directory = struct.pack("<H", len(kept))
        directory += b"".join(struct.pack("<HHII", *entry) for entry in kept)
        directory += struct.pack("<I", after)
        path = tmp_path / "made.tif"
        path.write_bytes(struct.pack("<2sHI", b"II", 42, 72) + bytes(64) + directory)
        return path

    return make


def test_a_plain_tiff_is_taken(make_tiff: MakeTiff) -> None:
    facts = check_tiff(make_tiff())

    assert (facts.width, facts.height, facts.bands, facts.bits) == (8, 8, 1, 8)
    assert not facts.is_sparse
    assert facts.decoded_bytes == 64


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({259: (259, SHORT, 1, 32773)}, UnsupportedCompression),
        ({259: (259, SHORT, 1, 32909)}, UnsupportedCompression),
        ({257: (257, LONG, 1, 0)}, UnsupportedLayout),
        ({256: None}, DamagedTiff),
        ({256: (256, LONG, 1, 1_900_000), 257: (257, LONG, 1, 1_900_000)}, TooManyPixels),
        ({277: (277, SHORT, 1, 65535)}, UnsupportedLayout),
        ({258: (258, SHORT, 1, 7)}, UnsupportedLayout),
        ({279: (279, LONG, 1, 65_000)}, DamagedTiff),
        ({273: (273, LONG, 1, 4_000_000_000)}, DamagedTiff),
        ({279: None}, DamagedTiff),
        ({278: (278, LONG, 1, 4)}, DamagedTiff),  # two strips, one listed
        ({273: (273, LONG, 400_000_000, 8)}, UnsupportedLayout),
        ({273: (273, LONG, 40_000, 8)}, DamagedTiff),
        ({270: (270, 2, 4_000_000, 8)}, DamagedTiff),
        (
            {
                256: (256, LONG, 1, 20_000),
                257: (257, LONG, 1, 20_000),
                278: (278, LONG, 1, 20_000),
                259: (259, SHORT, 1, 8),
            },
            BlocksTooLarge,
        ),
    ],
)
def test_directories_out_of_bounds_are_refused(
    make_tiff: MakeTiff, changed: dict[int, Entry | None], error: type[ImageRefused]
) -> None:
    with pytest.raises(error):
        check_tiff(make_tiff(changed))


def test_one_large_uncompressed_strip_is_taken_since_readers_cut_it(make_tiff: MakeTiff) -> None:
    side = {256: (256, LONG, 1, 20_000), 257: (257, LONG, 1, 20_000), 278: (278, LONG, 1, 20_000)}
    whole = make_tiff(side | {279: (279, LONG, 1, 400_000_000)})
    with whole.open("r+b") as file:
        file.truncate(400_001_000)  # a hole: no byte is written

    assert check_tiff(whole).decoded_bytes == 400_000_000


def test_one_large_strip_that_is_not_all_there_is_refused(make_tiff: MakeTiff) -> None:
    side = {256: (256, LONG, 1, 20_000), 257: (257, LONG, 1, 20_000), 278: (278, LONG, 1, 20_000)}

    with pytest.raises(BlocksTooLarge):
        check_tiff(make_tiff(side))


def test_directories_that_form_a_loop_are_refused(make_tiff: MakeTiff) -> None:
    with pytest.raises(DamagedTiff):
        check_tiff(make_tiff(after=72))


def test_a_long_chain_of_directories_is_refused(tmp_path: Path, make_tiff: MakeTiff) -> None:
    whole = make_tiff().read_bytes()
    directory, chain = whole[72:-4], whole[:72]
    for _ in range(70):
        at = len(chain)
        chain += directory + struct.pack("<I", at + len(directory) + 4)
    path = tmp_path / "chain.tif"
    path.write_bytes(chain)

    with pytest.raises(ImageRefused):
        check_tiff(path)


def test_sub_images_are_walked_too(make_tiff: MakeTiff) -> None:
    with pytest.raises(DamagedTiff):
        check_tiff(make_tiff({330: (330, LONG, 1, 72)}))


@pytest.mark.parametrize(
    "text",
    [
        b'<GDALMetadata><Item name="OVERVIEW_FILE" domain="OVERVIEWS">/etc/x</Item></GDALMetadata>',
        b'<GDALMetadata><Item name="x" domain="overviews">y</Item></GDALMetadata>',
        b'<GDALMetadata><Item name="&#79;VERVIEW_FILE">y</Item></GDALMetadata>',
        b'<!DOCTYPE x [<!ENTITY a "b">]><GDALMetadata/>',
    ],
)
def test_metadata_that_names_other_files_is_refused(tmp_path: Path, text: bytes) -> None:
    entries = [
        (256, LONG, 1, 1), (257, LONG, 1, 1), (258, SHORT, 1, 8), (259, SHORT, 1, 1),
        (273, LONG, 1, 8), (277, SHORT, 1, 1), (278, LONG, 1, 1), (279, LONG, 1, 1),
        (42112, 2, len(text), 12),
    ]  # fmt: skip
    path = tmp_path / "named.tif"
    packed = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    path.write_bytes(
        struct.pack("<2sHI", b"II", 42, 12 + len(text))
        + bytes(4)
        + text
        + struct.pack("<H", len(entries))
        + packed
        + bytes(4)
    )

    with pytest.raises(ForeignReference):
        check_tiff(path)


@pytest.mark.parametrize(
    "start",
    [b"", b"II", b"<VRTDataset", b"\xff\xd8\xff\xe0 jpeg", b"II\x2b\0\x04\0\0\0" + bytes(8)],
)
def test_what_is_no_tiff_is_refused_whatever_its_name(tmp_path: Path, start: bytes) -> None:
    path = tmp_path / "scene.tif"
    path.write_bytes(start)

    with pytest.raises(NotATiff):
        check_tiff(path)


@pytest.mark.parametrize("compress", ["none", "lzw", "deflate", "zstd", "jpeg"])
@pytest.mark.parametrize("big", ["YES", "NO"])
def test_what_gdal_writes_is_taken(tmp_path: Path, compress: str, big: str) -> None:
    path = tmp_path / "written.tif"
    with rasterio.open(
        path, "w", driver="GTiff", width=300, height=200, count=3, dtype="uint8", tiled=True,
        blockxsize=128, blockysize=128, compress=compress, BIGTIFF=big, crs="EPSG:4326",
        transform=rasterio.transform.from_origin(10, 50, 5e-6, 5e-6), photometric="rgb",
    ) as dataset:  # fmt: skip
        dataset.write(np.full((3, 200, 300), 7, np.uint8))

    facts = check_tiff(path)

    assert (facts.width, facts.height, facts.bands, facts.is_sparse) == (300, 200, 3, False)


def test_sparse_blocks_are_taken_and_noticed(tmp_path: Path) -> None:
    path = tmp_path / "sparse.tif"
    with rasterio.open(
        path, "w", driver="GTiff", width=100_000, height=100_000, count=1, dtype="uint8",
        tiled=True, blockxsize=512, blockysize=512, sparse_ok=True, compress="deflate",
        crs="EPSG:32633", transform=rasterio.transform.from_origin(0, 0, 0.5, 0.5),
    ):  # fmt: skip
        pass

    assert check_tiff(path).is_sparse


def test_a_file_cut_anywhere_is_refused(make_geotiff: MakeGeotiff, tmp_path: Path) -> None:
    whole = make_geotiff(np.full((3, 64, 64), 9, np.uint8)).read_bytes()

    for length in np.linspace(0, len(whole) - 1, 60).astype(int):
        cut = tmp_path / "cut.tif"
        cut.write_bytes(whole[:length])
        with pytest.raises(ImageRefused):
            check_tiff(cut)


@settings(
    max_examples=400, deadline=1000, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(changes=st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=12))
def test_any_damage_is_refused_or_harmless(
    make_geotiff: MakeGeotiff, tmp_path: Path, changes: list[tuple[int, int]]
) -> None:
    data = bytearray(make_geotiff(np.full((1, 8, 8), 9, np.uint8)).read_bytes())
    for place, value in changes:
        data[place % len(data)] = value
    path = tmp_path / "fuzzed.tif"
    path.write_bytes(data)

    with contextlib.suppress(ImageRefused):
        assert check_tiff(path).width > 0
