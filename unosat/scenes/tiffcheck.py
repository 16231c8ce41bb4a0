"""Look at a TIFF's directory before any image library does. Pure arithmetic on bounded reads.

What GDAL would follow, allocate or loop over is bounded here: how many images, tags and blocks,
how large a block is once decoded, where each lies, and that no metadata names another file.
"""

import html
import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from unosat.scenes.errors import (
    BlocksTooLarge,
    DamagedTiff,
    ForeignReference,
    NotATiff,
    TooManyPixels,
    UnsupportedCompression,
    UnsupportedLayout,
)

MAX_IMAGES = 64
MAX_TAGS = 1024  # per image
MAX_TAG_BYTES = 64 * 1024**2  # eight million block offsets
MAX_TEXT_BYTES = 1024**2
MAX_BLOCK_BYTES = 64 * 1024**2  # decoded
MAX_PIXELS = 12_000_000_000
MAX_SIDE = 2_000_000
MAX_BANDS = 32
NO_COMPRESSION = 1
# none, LZW, JPEG, Deflate (by two numbers), LERC, ZSTD, WebP
COMPRESSIONS = frozenset({NO_COMPRESSION, 5, 7, 8, 32946, 34887, 50000, 50001})
BITS = frozenset({1, 2, 4, 8, 10, 11, 12, 14, 16, 32, 64})

# TIFF's field types: how many bytes one value has
TYPE_BYTES = {
    1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4,
    16: 8, 17: 8, 18: 8,
}  # fmt: skip
INTEGERS = {1: "u1", 3: "u2", 4: "u4", 13: "u4", 16: "u8", 18: "u8"}

WIDTH, HEIGHT, BITS_PER_SAMPLE, COMPRESSION = 256, 257, 258, 259
STRIP_OFFSETS, SAMPLES, ROWS_PER_STRIP, STRIP_BYTES = 273, 277, 278, 279
PLANAR, SUB_IMAGES = 284, 330
TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_BYTES = 322, 323, 324, 325
GDAL_METADATA = 42112
# Text that GDAL parses: its own metadata, GeoTIFF's names, XMP, and GEO_METADATA.
TEXTS = frozenset({GDAL_METADATA, 34737, 700, 50909})


@dataclass(frozen=True, slots=True)
class TiffFacts:
    """What the directory says of the first image.

    Attributes:
        width: columns, in pixels.
        height: rows, in pixels.
        bands: samples per pixel, alpha included.
        bits: per sample, the largest.
        is_sparse: some of its blocks were never written.
    """

    width: int
    height: int
    bands: int
    bits: int
    is_sparse: bool

    @property
    def decoded_bytes(self) -> int:
        """Size of all its pixels, uncompressed."""
        return self.width * self.height * self.bands * -(-self.bits // 8)


@dataclass(frozen=True, slots=True)
class _Tag:
    kind: int
    count: int
    offset: int  # of the value, in the file

    @property
    def size(self) -> int:
        return self.count * TYPE_BYTES[self.kind]


@dataclass(frozen=True, slots=True)
class _Form:
    """How a file writes numbers: byte order, and whether it is a BigTIFF."""

    order: str
    is_big: bool

    @property
    def offset(self) -> str:
        return self.order + ("Q" if self.is_big else "I")

    @property
    def entry(self) -> struct.Struct:
        return struct.Struct(self.order + ("HHQQ" if self.is_big else "HHII"))

    @property
    def count(self) -> str:
        return self.order + ("Q" if self.is_big else "H")


def check_tiff(path: Path) -> TiffFacts:
    """Walk a TIFF's directories.

    Raises:
        ImageRefused: one of its kinds, when anything is out of bounds.
    """
    with path.open("rb") as file:
        return _Walk(file, os.fstat(file.fileno()).st_size).run()


class _Walk:
    """One pass over the directories of one open file."""

    def __init__(self, file: BinaryIO, length: int) -> None:
        self._file = file
        self._length = length
        self._form, self._first = self._header()
        self._stored = 0  # bytes that blocks seen so far claim

    def run(self) -> TiffFacts:
        facts: TiffFacts | None = None
        seen: set[int] = set()
        waiting = [self._first]
        while waiting:
            at = waiting.pop(0)
            if at == 0:
                continue
            if at in seen:
                raise DamagedTiff("the directories form a loop")
            seen.add(at)
            if len(seen) > MAX_IMAGES:
                raise UnsupportedLayout("too many images")
            tags, after = self._directory(at)
            facts = facts or self._check_image(tags)
            if len(seen) > 1:
                self._check_image(tags)
            waiting += [after, *self._sub_images(tags)]
        if facts is None:
            raise DamagedTiff("no image")
        return facts

    def _header(self) -> tuple[_Form, int]:
        head = self._file.read(16)
        order = {b"II": "<", b"MM": ">"}.get(head[:2])
        if order is None or len(head) < 8:
            raise NotATiff("signature")
        (magic,) = struct.unpack(order + "H", head[2:4])
        if magic == 42:
            return _Form(order, is_big=False), struct.unpack(order + "I", head[4:8])[0]
        if magic == 43 and len(head) == 16 and struct.unpack(order + "HH", head[4:8]) == (8, 0):
            return _Form(order, is_big=True), struct.unpack(order + "Q", head[8:16])[0]
        raise NotATiff("magic number")

    def _read(self, offset: int, size: int) -> bytes:
        if offset + size > self._length:
            raise DamagedTiff(f"{size} bytes at {offset} of {self._length}")
        self._file.seek(offset)
        data = self._file.read(size)
        if len(data) != size:
            raise DamagedTiff("the file became shorter")
        return data

    def _number(self, form: str, offset: int) -> int:
        value: int = struct.unpack(form, self._read(offset, struct.calcsize(form)))[0]
        return value

    def _directory(self, at: int) -> tuple[dict[int, _Tag], int]:
        """The tags of one image, and where the next directory is (0: nowhere)."""
        count = self._number(self._form.count, at)
        if count > MAX_TAGS:
            raise UnsupportedLayout(f"{count} tags")
        start, entry = at + struct.calcsize(self._form.count), self._form.entry
        data = self._read(start, count * entry.size)
        tags: dict[int, _Tag] = {}
        for index in range(count):
            number, kind, values, _ = entry.unpack_from(data, index * entry.size)
            if kind in TYPE_BYTES:  # readers skip tags of other types
                inside = start + index * entry.size
                tags.setdefault(number, self._tag(number, kind, values, inside))
        return tags, self._number(self._form.offset, start + len(data))

    def _tag(self, number: int, kind: int, count: int, entry_at: int) -> _Tag:
        room = 8 if self._form.is_big else 4
        value_at = entry_at + (12 if self._form.is_big else 8)
        size = count * TYPE_BYTES[kind]
        if size > room:
            value_at = self._number(self._form.offset, value_at)
        if size > MAX_TAG_BYTES:
            raise UnsupportedLayout(f"tag {number} has {size} bytes")
        if value_at + size > self._length:
            raise DamagedTiff(f"tag {number} lies outside the file")
        return _Tag(kind, count, value_at)

    def _integers(self, tag: _Tag) -> NDArray[np.uint64]:
        if tag.kind not in INTEGERS:
            raise DamagedTiff(f"field type {tag.kind} for a whole number")
        data = self._read(tag.offset, tag.size)
        return np.frombuffer(data, self._form.order + INTEGERS[tag.kind]).astype(np.uint64)

    def _one(self, tags: dict[int, _Tag], number: int, default: int | None = None) -> int:
        if number not in tags or tags[number].count == 0:
            if default is None:
                raise DamagedTiff(f"tag {number} is missing")
            return default
        tag = tags[number]
        return int(self._integers(_Tag(tag.kind, 1, tag.offset))[0])

    def _sub_images(self, tags: dict[int, _Tag]) -> list[int]:
        if SUB_IMAGES not in tags:
            return []
        if tags[SUB_IMAGES].count > MAX_IMAGES:
            raise UnsupportedLayout("too many images")
        return [int(offset) for offset in self._integers(tags[SUB_IMAGES])]

    def _check_image(self, tags: dict[int, _Tag]) -> TiffFacts:
        self._check_texts(tags)
        width, height = self._one(tags, WIDTH), self._one(tags, HEIGHT)
        if not (0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE):
            raise UnsupportedLayout(f"{width} x {height} pixels")
        if width * height > MAX_PIXELS:
            raise TooManyPixels(f"{width} x {height}")
        bands, bits = self._one(tags, SAMPLES, 1), self._bits(tags)
        if not 0 < bands <= MAX_BANDS or bits not in BITS:
            raise UnsupportedLayout(f"{bands} bands of {bits} bits")
        if self._one(tags, COMPRESSION, NO_COMPRESSION) not in COMPRESSIONS:
            raise UnsupportedCompression(str(self._one(tags, COMPRESSION, NO_COMPRESSION)))
        is_sparse = self._check_blocks(tags, width, height, bands * bits, bands)
        return TiffFacts(width, height, bands, bits, is_sparse)

    def _bits(self, tags: dict[int, _Tag]) -> int:
        tag = tags.get(BITS_PER_SAMPLE)
        if tag is None or tag.count == 0:
            return 1
        if tag.count > MAX_BANDS:
            raise UnsupportedLayout(f"{tag.count} bands")
        return int(self._integers(tag).max())

    def _check_texts(self, tags: dict[int, _Tag]) -> None:
        for number in TEXTS & tags.keys():
            if tags[number].size > MAX_TEXT_BYTES:
                raise UnsupportedLayout(f"text {number} of {tags[number].size} bytes")
        if GDAL_METADATA in tags:
            tag = tags[GDAL_METADATA]
            raw = self._read(tag.offset, tag.size).decode("latin-1").replace("\0", "")
            for text in (raw.upper(), html.unescape(raw).upper()):
                if any(word in text for word in ("OVERVIEW_FILE", "OVERVIEWS", "<!")):
                    raise ForeignReference("metadata names overviews or defines entities")

    def _check_blocks(
        self, tags: dict[int, _Tag], width: int, height: int, pixel_bits: int, bands: int
    ) -> bool:
        """Check where the blocks lie and how large they are; True if some were never written."""
        is_tiled = TILE_OFFSETS in tags or TILE_WIDTH in tags
        if is_tiled:
            across, down = self._one(tags, TILE_WIDTH), self._one(tags, TILE_HEIGHT)
        else:
            across, down = width, min(self._one(tags, ROWS_PER_STRIP, height), height)
        if not (0 < across <= MAX_SIDE and 0 < down <= MAX_SIDE):
            raise UnsupportedLayout(f"blocks of {across} x {down} pixels")
        is_planar = self._one(tags, PLANAR, 1) == 2
        count = -(-width // across) * -(-height // down) * (bands if is_planar else 1)
        block_bytes = across * down * pixel_bits // (8 * (bands if is_planar else 1))
        if block_bytes > MAX_BLOCK_BYTES and not self._is_chopped(tags, count, is_tiled=is_tiled):
            raise BlocksTooLarge(f"{across} x {down} pixels, {block_bytes} bytes")
        numbers = (TILE_OFFSETS, TILE_BYTES) if is_tiled else (STRIP_OFFSETS, STRIP_BYTES)
        return self._check_places(*(self._places(tags, number, count) for number in numbers))

    def _is_chopped(self, tags: dict[int, _Tag], count: int, *, is_tiled: bool) -> bool:
        """Readers cut one uncompressed strip into rows by themselves."""
        uncompressed = self._one(tags, COMPRESSION, NO_COMPRESSION) == NO_COMPRESSION
        return uncompressed and count == 1 and not is_tiled

    def _places(self, tags: dict[int, _Tag], number: int, count: int) -> NDArray[np.uint64]:
        if number not in tags or tags[number].count != count:
            raise DamagedTiff(f"tag {number} does not list {count} blocks")
        return self._integers(tags[number])

    def _check_places(self, offsets: NDArray[np.uint64], sizes: NDArray[np.uint64]) -> bool:
        written = sizes > 0
        if (written & (offsets == 0)).any():
            raise DamagedTiff("a block has a size but no place")
        length = np.uint64(self._length)
        if (offsets > length).any() or (sizes > length).any():
            raise DamagedTiff("a block lies outside the file")
        if (offsets + sizes > length).any():
            raise DamagedTiff("a block lies outside the file")
        self._stored += int(sizes.sum(dtype=np.float64))
        if self._stored > self._length * 1.001:  # float64 adds sizes up to rounding
            raise DamagedTiff("blocks share bytes")
        return not bool(written.all())
