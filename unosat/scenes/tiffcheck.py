"""Look at a TIFF's directories before any image library does. Pure arithmetic on bounded reads.

What GDAL would follow, allocate or loop over is bounded here: how many images, tags and blocks,
how large a block is once decoded, where each lies, and that no metadata names another file.
"""

import os
from array import array
from collections import deque
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from unosat.scenes.errors import (
    BlocksTooLarge,
    DamagedTiff,
    TooManyPixels,
    UnsupportedCompression,
    UnsupportedLayout,
)
from unosat.scenes.tiffdirectory import Tags, TiffReader
from unosat.scenes.tifftexts import MAX_TEXTS_BYTES, check_place, check_texts

MAX_IMAGES = 64
MAX_BLOCKS = 4_000_000  # of all images: ten times what 12 thousand million pixels need
MAX_BLOCK_BYTES = 64 * 1024**2  # decoded
MAX_PIXELS = 12_000_000_000
MAX_SIDE = 2_000_000
MAX_BANDS = 32
NO_COMPRESSION, JPEG = 1, 7
# none, LZW, JPEG, Deflate (by two numbers), LERC, ZSTD, WebP
COMPRESSIONS = frozenset({NO_COMPRESSION, 5, JPEG, 8, 32946, 34887, 50000, 50001})
BITS = frozenset({1, 2, 4, 8, 10, 11, 12, 14, 16, 32, 64})
SAMPLE_FORMATS = frozenset({1, 2, 3, 4})  # whole, signed, real, unsaid; never complex
YCBCR = 6
# grey (two ways round), colours, a colour table, a mask, and JPEG's own colours
PHOTOMETRICS = frozenset({0, 1, 2, 3, 4, YCBCR})

SUBFILE, WIDTH, HEIGHT, BITS_PER_SAMPLE, COMPRESSION, PHOTOMETRIC = 254, 256, 257, 258, 259, 262
STRIP_OFFSETS, SAMPLES, ROWS_PER_STRIP, STRIP_BYTES = 273, 277, 278, 279
PLANAR, TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_BYTES = 284, 322, 323, 324, 325
SUB_IMAGES, SAMPLE_FORMAT = 330, 339
NOTES = (34665, 34853, 40965)  # directories without an image: EXIF, GPS, interoperability
DECIDING = frozenset({
    SUBFILE, WIDTH, HEIGHT, BITS_PER_SAMPLE, COMPRESSION, PHOTOMETRIC, STRIP_OFFSETS, SAMPLES,
    ROWS_PER_STRIP, STRIP_BYTES, PLANAR, TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_BYTES,
    SUB_IMAGES, SAMPLE_FORMAT, *NOTES, 33550, 33922, 34264, 34735, 34736, 34737, 42112, 42113,
})  # fmt: skip
REDUCED, OF_MASK = 1, 4  # bits of what an image is to the first


@dataclass(frozen=True, slots=True)
class TiffFacts:
    """What the directory says of the first image.

    Attributes:
        width: columns, in pixels.
        height: rows, in pixels.
        bands: samples per pixel, alpha included.
        bits: per sample.
        is_sparse: some of its blocks were never written.
    """

    width: int
    height: int
    bands: int
    bits: int
    is_sparse: bool

    @property
    def sample_bytes(self) -> int:
        """Of one sample once decoded: readers hold no less than a byte, and powers of two."""
        return next(size for size in (1, 2, 4, 8) if self.bits <= 8 * size)

    @property
    def decoded_bytes(self) -> int:
        """Size of all its pixels, uncompressed."""
        return self.width * self.height * self.bands * self.sample_bytes


def check_tiff(path: Path) -> TiffFacts:
    """Walk a TIFF's directories.

    Raises:
        ImageRefused: one of its kinds, when anything is out of bounds.
    """
    with path.open("rb") as file:
        return check_open_tiff(file, os.fstat(file.fileno()).st_size)


def check_open_tiff(file: BinaryIO, length: int) -> TiffFacts:
    """The same for a file that is open, ``length`` bytes long.

    Raises:
        ImageRefused: one of its kinds, when anything is out of bounds.
    """
    return _Walk(TiffReader(file, length)).run()


class _Walk:
    """One pass over the directories of one file; adds up what they claim together."""

    def __init__(self, reader: TiffReader) -> None:
        self._reader = reader
        self._seen: set[int] = set()
        self._stored = 0  # bytes of blocks
        self._blocks = 0
        self._texts = 0  # bytes

    def run(self) -> TiffFacts:
        facts: TiffFacts | None = None
        waiting = deque([self._reader.first])
        while waiting:
            at = waiting.popleft()
            if at == 0:
                continue
            tags, after = self._directory(at)
            found = self._check_image(tags)
            facts = facts or found
            self._check_mask(tags, found, facts)
            self._check_notes(tags)
            waiting += [after, *self._pointed(tags, SUB_IMAGES)]
        if facts is None:
            raise DamagedTiff("no image")
        return facts

    def _directory(self, at: int) -> tuple[Tags, int]:
        if at in self._seen:
            raise DamagedTiff("the directories form a loop")
        self._seen.add(at)
        if len(self._seen) > MAX_IMAGES:
            raise UnsupportedLayout("too many images")
        return self._reader.directory(at, once=DECIDING)

    def _check_notes(self, tags: Tags) -> None:
        """Walk directories that hold no image. They point at one another in one way only."""
        waiting = [at for number in NOTES for at in self._pointed(tags, number)]
        while waiting:
            noted, _ = self._directory(waiting.pop())
            waiting += [at for number in NOTES for at in self._pointed(noted, number)]

    def _pointed(self, tags: Tags, number: int) -> list[int]:
        if number not in tags:
            return []
        if tags[number].count > MAX_IMAGES:
            raise UnsupportedLayout("too many images")
        return list(self._reader.integers(tags[number]))

    def _check_image(self, tags: Tags) -> TiffFacts:
        one = self._reader.integer
        self._texts += check_texts(self._reader, tags)
        if self._texts > MAX_TEXTS_BYTES:
            raise UnsupportedLayout(f"{self._texts} bytes of text")
        width, height = one(tags, WIDTH), one(tags, HEIGHT)
        if not (0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE):
            raise UnsupportedLayout(f"{width} x {height} pixels")
        if width * height > MAX_PIXELS:
            raise TooManyPixels(f"{width} x {height}")
        bands = one(tags, SAMPLES, 1)
        if not 0 < bands <= MAX_BANDS:
            raise UnsupportedLayout(f"{bands} bands")
        bits = self._per_band(tags, BITS_PER_SAMPLE, bands, 1)
        if bits not in BITS or self._per_band(tags, SAMPLE_FORMAT, bands, 1) not in SAMPLE_FORMATS:
            raise UnsupportedLayout(f"{bits} bits, or complex numbers")
        self._check_codec(tags)
        facts = TiffFacts(width, height, bands, bits, is_sparse=False)
        is_sparse = self._check_blocks(tags, facts)
        check_place(self._reader, tags)
        return replace(facts, is_sparse=is_sparse)

    def _per_band(self, tags: Tags, number: int, bands: int, default: int) -> int:
        """What a tag says of every band; readers cannot have bands that differ."""
        tag = tags.get(number)
        if tag is None or tag.count == 0:
            return default
        if tag.count not in {1, bands}:
            raise UnsupportedLayout(f"tag {number} speaks of {tag.count} bands of {bands}")
        values = set(self._reader.integers(tag))
        if len(values) > 1:
            raise UnsupportedLayout(f"tag {number} differs between bands")
        return values.pop()

    def _check_codec(self, tags: Tags) -> None:
        compression = self._reader.integer(tags, COMPRESSION, NO_COMPRESSION)
        if compression not in COMPRESSIONS:
            raise UnsupportedCompression(str(compression))
        photometric = self._reader.integer(tags, PHOTOMETRIC, 1)
        if photometric not in PHOTOMETRICS or (photometric == YCBCR and compression != JPEG):
            raise UnsupportedLayout(f"colours of kind {photometric}")

    def _check_mask(self, tags: Tags, image: TiffFacts, first: TiffFacts) -> None:
        """The mask of the first image is read in the first image's pixels."""
        kind = self._reader.integer(tags, SUBFILE, 0)
        if not kind & OF_MASK or kind & REDUCED or image is first:
            return
        fits = (image.width, image.height) == (first.width, first.height)
        if not fits or image.bits not in {1, 8} or image.bands not in {1, first.bands}:
            raise DamagedTiff(f"a mask of {image.width} x {image.height} x {image.bands}")

    def _check_blocks(self, tags: Tags, image: TiffFacts) -> bool:
        """Check where the blocks lie and how large they are; True if some were never written."""
        one = self._reader.integer
        is_tiled = not tags.keys().isdisjoint({TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_BYTES})
        if is_tiled and not tags.keys().isdisjoint({STRIP_OFFSETS, STRIP_BYTES}):
            raise DamagedTiff("both strips and tiles")
        if is_tiled:
            across, down = one(tags, TILE_WIDTH), one(tags, TILE_HEIGHT)
        else:
            across, down = image.width, min(one(tags, ROWS_PER_STRIP, image.height), image.height)
        planar = one(tags, PLANAR, 1)
        if not (0 < across <= MAX_SIDE and 0 < down <= MAX_SIDE and planar in {1, 2}):
            raise UnsupportedLayout(f"blocks of {across} x {down} pixels, planes {planar}")
        planes = image.bands if planar == 2 else 1
        count = -(-image.width // across) * -(-image.height // down) * planes
        numbers = (TILE_OFFSETS, TILE_BYTES) if is_tiled else (STRIP_OFFSETS, STRIP_BYTES)
        offsets, sizes = (self._places(tags, number, count) for number in numbers)
        row_bytes = across * image.bands // planes * image.sample_bytes
        is_cut = count == 1 and not is_tiled and self._is_cut_by_readers(tags, image, sizes[0])
        if row_bytes * (1 if is_cut else down) > MAX_BLOCK_BYTES:
            raise BlocksTooLarge(f"{across} x {down} pixels of {row_bytes} bytes a row")
        return self._check_places(offsets, sizes)

    def _is_cut_by_readers(self, tags: Tags, image: TiffFacts, stored: int) -> bool:
        """Readers cut one uncompressed strip into rows by themselves, if all of it is there."""
        if self._reader.integer(tags, COMPRESSION, NO_COMPRESSION) != NO_COMPRESSION:
            return False
        return stored >= image.height * -(-image.width * image.bands * image.bits // 8)

    def _places(self, tags: Tags, number: int, count: int) -> "array[int]":
        if number not in tags or tags[number].count != count:
            raise DamagedTiff(f"tag {number} does not list {count} blocks")
        self._blocks += count
        if self._blocks > 2 * MAX_BLOCKS:  # each is listed twice: its place and its size
            raise UnsupportedLayout("too many blocks")
        return self._reader.integers(tags[number])

    def _check_places(self, offsets: "array[int]", sizes: "array[int]") -> bool:
        length = self._reader.length
        for offset, size in zip(offsets, sizes, strict=True):
            if offset + size > length or (size and not offset):
                raise DamagedTiff(f"a block of {size} bytes at {offset} of {length}")
        self._stored += sum(sizes)
        if self._stored > length:
            raise DamagedTiff("blocks share bytes")
        return 0 in sizes
