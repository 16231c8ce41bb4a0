"""Put an image and its overviews into one cloud-optimised GeoTIFF, block by block as they are.

GDAL's own writer reads and compresses every pixel again, those that were never written included.
Here directories come first and then blocks, those of the smallest overview before all others,
each between its length and a repetition of its last four bytes: as GDAL's COG driver lays them out
and says at the beginning of the file, so that its readers find a block with one request.
"""

import struct
import sys
from array import array
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import BinaryIO

from unosat.scenes.tiffcheck import (
    HEIGHT,
    OF_MASK,
    REDUCED,
    SUBFILE,
    TILE_BYTES,
    TILE_OFFSETS,
    WIDTH,
)
from unosat.scenes.tiffdirectory import Tags, TiffReader

LONG, LONG8 = 4, 16
ORDER = {"little": "<", "big": ">"}[sys.byteorder]  # GDAL writes as the machine does
SIGNATURE = {"little": b"II", "big": b"MM"}[sys.byteorder]
ONLY_OF_FIRST = frozenset({33550, 33922, 34264, 34735, 34736, 34737, 42112})  # place and texts
SMALL_FILE_BYTES = 4_000_000_000  # with room to spare below what 32 bits address
LEADER = TRAILER = 4  # bytes around a block
_SAID = (
    b"LAYOUT=IFDS_BEFORE_DATA\nBLOCK_ORDER=ROW_MAJOR\nBLOCK_LEADER=SIZE_AS_UINT4\n"
    b"BLOCK_TRAILER=LAST_4_BYTES_REPEATED\nKNOWN_INCOMPATIBLE_EDITION=NO\n "
)
SAID = b"GDAL_STRUCTURAL_METADATA_SIZE=%06d bytes\n" % len(_SAID) + _SAID


@dataclass(frozen=True)
class _Entry:
    """One tag: its number, TIFF's field type, how many values, and these as bytes."""

    number: int
    kind: int
    count: int
    raw: bytes


@dataclass(frozen=True)
class _Image:
    """One image or mask of one level.

    Attributes:
        reader: of the file that has its blocks.
        entries: all tags but those that say where the blocks are.
        offsets: of its blocks in that file; 0: never written.
        sizes: of its blocks, in bytes.
    """

    reader: TiffReader
    entries: tuple[_Entry, ...]
    offsets: "array[int]"
    sizes: "array[int]"

    def blocks(self) -> Iterator[bytes]:
        """Those that were written, in their order."""
        for offset, size in zip(self.offsets, self.sizes, strict=True):
            if size:
                yield self.reader.read(offset, size)

    def placed(self, start: int) -> "array[int]":
        """Where its blocks come to lie, the first one's leader at ``start``."""
        rooms = (size + LEADER + TRAILER if size else 0 for size in self.sizes)
        begins = accumulate(rooms, initial=start)
        return array(
            "Q", (at + LEADER if size else 0 for at, size in zip(begins, self.sizes, strict=False))
        )

    @property
    def stored_bytes(self) -> int:
        """Of all its blocks, with what stands around each."""
        return sum(size + LEADER + TRAILER for size in self.sizes if size)


@dataclass(frozen=True)
class _Form:
    """How numbers are written: as in a TIFF, or as in a BigTIFF."""

    is_big: bool

    @property
    def head(self) -> bytes:
        """The first bytes of the file; the first directory follows what GDAL is told."""
        if self.is_big:
            return SIGNATURE + struct.pack(f"{ORDER}HHHQ", 43, 8, 0, self._first(16))
        return SIGNATURE + struct.pack(f"{ORDER}HI", 42, self._first(8))

    def _first(self, head_bytes: int) -> int:
        return _even(head_bytes + len(SAID))

    def directory(self, entries: Sequence[_Entry], at: int, *, is_last: bool) -> bytes:
        """A directory that begins at ``at``, with its values; the next one follows it."""
        count, entry, offset = ("Q", "HHQ", "Q") if self.is_big else ("H", "HHI", "I")
        room = 8 if self.is_big else 4
        head = struct.pack(ORDER + count, len(entries))
        listed_bytes = len(head) + len(entries) * (struct.calcsize(ORDER + entry) + room)
        listed, values = bytearray(head), bytearray()
        values_at = _even(at + listed_bytes + room)
        for tag in entries:
            listed += struct.pack(ORDER + entry, tag.number, tag.kind, tag.count)
            if len(tag.raw) <= room:
                listed += tag.raw.ljust(room, b"\0")
            else:
                listed += struct.pack(ORDER + offset, values_at + len(values))
                values += tag.raw.ljust(_even(len(tag.raw)), b"\0")
        after = 0 if is_last else values_at + len(values)
        listed += struct.pack(ORDER + offset, after)
        return bytes(listed).ljust(values_at - at, b"\0") + bytes(values)

    def places(self, offsets: "array[int]") -> _Entry:
        """The tag that says where blocks are."""
        code, kind = ("Q", LONG8) if self.is_big else ("I", LONG)
        return _Entry(TILE_OFFSETS, kind, len(offsets), array(code, offsets).tobytes())


def lay_out(levels: Sequence[Path], target: Path) -> None:
    """Write a COG.

    Args:
        levels: the image and its overviews, each half the one before: tiled GeoTIFFs of this
            machine's byte order, of equal bands and compression, with a mask inside or not.
        target: is written.
    """
    with ExitStack() as files:
        images: list[_Image] = []
        for level, path in enumerate(levels):
            file = files.enter_context(path.open("rb"))
            images += _images(file, path.stat().st_size, level, images)
        with target.open("wb") as written:
            _write(images, written)


def _images(file: BinaryIO, length: int, level: int, finer: Sequence[_Image]) -> Iterator[_Image]:
    """The image of a level, and its mask if it has one."""
    reader = TiffReader(file, length)
    at = reader.first
    while at:
        tags, at = reader.directory(at, once=frozenset())
        of_mask = reader.integer(tags, SUBFILE, 0) & OF_MASK
        kept = _entries(reader, tags)
        if level:  # an overview is written like the image itself, whatever GDAL wrote for it
            first = next(image for image in finer if _is_mask(image) == bool(of_mask))
            sides = [tag for tag in kept if tag.number in {WIDTH, HEIGHT}]
            kept = [tag for tag in first.entries if tag.number not in {WIDTH, HEIGHT}] + sides
            kept = [tag for tag in kept if tag.number not in ONLY_OF_FIRST]
        kind = of_mask | (REDUCED if level else 0)
        kept = [tag for tag in kept if tag.number != SUBFILE]
        kept.append(_Entry(SUBFILE, LONG, 1, struct.pack(f"{ORDER}I", kind)))
        offsets, sizes = (reader.integers(tags[number]) for number in (TILE_OFFSETS, TILE_BYTES))
        yield _Image(reader, tuple(kept), offsets, sizes)


def _entries(reader: TiffReader, tags: Tags) -> list[_Entry]:
    return [
        _Entry(number, tag.kind, tag.count, reader.read(tag.offset, tag.size))
        for number, tag in tags.items()
        if number not in {TILE_OFFSETS, TILE_BYTES}
    ]


def _is_mask(image: _Image) -> bool:
    raw = next(tag.raw for tag in image.entries if tag.number == SUBFILE)
    return bool(struct.unpack(f"{ORDER}I", raw)[0] & OF_MASK)


def _write(images: Sequence[_Image], written: BinaryIO) -> None:
    form = _Form(is_big=sum(image.stored_bytes for image in images) > SMALL_FILE_BYTES)
    start = _even(len(form.head) + len(SAID))
    length = len(_directories(images, [image.offsets for image in images], form, start))
    smallest_first = sorted(range(len(images)), key=lambda index: len(images[index].sizes))
    placed, at = [image.offsets for image in images], start + length
    for index in smallest_first:
        placed[index] = images[index].placed(at)
        at += images[index].stored_bytes
    written.write((form.head + SAID).ljust(start, b"\0"))
    written.write(_directories(images, placed, form, start))
    for index in smallest_first:
        for block in images[index].blocks():
            written.write(struct.pack("<I", len(block)))
            written.write(block + block[-TRAILER:])


def _directories(
    images: Sequence[_Image], offsets: Sequence["array[int]"], form: _Form, start: int
) -> bytes:
    whole = b""
    for index, (image, places) in enumerate(zip(images, offsets, strict=True)):
        sizes = array("I", image.sizes)
        entries = [
            *image.entries,
            form.places(places),
            _Entry(TILE_BYTES, LONG, len(sizes), sizes.tobytes()),
        ]
        whole += form.directory(
            sorted(entries, key=lambda tag: tag.number),
            start + len(whole),
            is_last=index == len(images) - 1,
        )
    return whole


def _even(length: int) -> int:
    return length + length % 2
