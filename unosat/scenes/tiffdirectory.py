"""Read the directories of a TIFF or BigTIFF. Arithmetic on bounded reads; no image library.

Every read lies inside the file, and all of them together are bounded: a few bytes that a
directory repeats a thousand times cost a thousand times their size in any reader.
"""

import struct
import sys
from array import array
from dataclasses import dataclass
from typing import Any, BinaryIO

from unosat.scenes.errors import DamagedTiff, NotATiff, UnsupportedLayout

MAX_TAGS = 1024  # in one directory
MAX_TAG_BYTES = 64 * 1024**2  # of all tags in all directories: four million blocks

# TIFF's field types: how many bytes one value has, and how Python's array writes it
TYPE_BYTES = {
    1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4,
    16: 8, 17: 8, 18: 8,
}  # fmt: skip
INTEGERS = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}
REALS = {11: "f", 12: "d"}
OTHER_ORDER = {"little": ">", "big": "<"}[sys.byteorder]


@dataclass(frozen=True, slots=True)
class Tag:
    """Where the values of one tag lie.

    Attributes:
        number: which tag.
        kind: TIFF's field type.
        count: of values.
        offset: of the first value, in the file.
    """

    number: int
    kind: int
    count: int
    offset: int

    @property
    def size(self) -> int:
        """Of all values, in bytes."""
        return self.count * TYPE_BYTES[self.kind]


Tags = dict[int, Tag]


@dataclass(frozen=True, slots=True)
class _Form:
    """How a file writes numbers: byte order, and whether it is a BigTIFF."""

    order: str
    is_big: bool

    @property
    def offset(self) -> struct.Struct:
        return struct.Struct(self.order + ("Q" if self.is_big else "I"))

    @property
    def entry(self) -> struct.Struct:
        return struct.Struct(self.order + ("HHQQ" if self.is_big else "HHII"))

    @property
    def count(self) -> struct.Struct:
        return struct.Struct(self.order + ("Q" if self.is_big else "H"))

    @property
    def room(self) -> int:
        """Bytes of values that an entry holds itself."""
        return 8 if self.is_big else 4


class TiffReader:
    """Bounded reads of one open file.

    Attributes:
        length: of the file, in bytes.
        first: where its first directory is.
    """

    def __init__(self, file: BinaryIO, length: int) -> None:
        """Read the signature.

        Raises:
            NotATiff: it is another one.
        """
        self._file = file
        self.length = length
        self._form, self.first = self._header()
        self._claimed = 0  # bytes of tags, in all directories

    def directory(self, at: int, *, once: frozenset[int]) -> tuple[Tags, int]:
        """The tags of one directory, and where the next is (0: nowhere).

        Args:
            at: where it begins.
            once: numbers of tags that decide what a reader does: two of a kind, or a field type
                that nobody knows, may mean one thing to us and another to the next reader.

        Raises:
            DamagedTiff: something lies outside the file or contradicts itself.
            UnsupportedLayout: more tags, or larger ones, than any real scene needs.
        """
        form = self._form
        (count,) = form.count.unpack(self.read(at, form.count.size))
        if count > MAX_TAGS:
            raise UnsupportedLayout(f"{count} tags")
        start = at + form.count.size
        entries = self.read(start, count * form.entry.size)
        tags: Tags = {}
        for index, (number, kind, values, place) in enumerate(form.entry.iter_unpack(entries)):
            if number in once and (number in tags or kind not in TYPE_BYTES):
                raise DamagedTiff(f"tag {number} is there twice, or of type {kind}")
            if kind in TYPE_BYTES:  # readers skip the others
                inside = start + (index + 1) * form.entry.size - form.room
                tags.setdefault(number, self._tag(number, kind, values, (inside, place)))
        (after,) = form.offset.unpack(self.read(start + len(entries), form.offset.size))
        return tags, after

    def integers(self, tag: Tag) -> "array[int]":
        """Its values.

        Raises:
            DamagedTiff: they are no whole numbers.
        """
        if tag.kind not in INTEGERS:
            raise DamagedTiff(f"tag {tag.number} of type {tag.kind} for a whole number")
        whole: array[int] = self._values(INTEGERS[tag.kind], tag)
        return whole

    def reals(self, tag: Tag) -> "array[float]":
        """Its values.

        Raises:
            DamagedTiff: they are no real numbers.
        """
        if tag.kind not in REALS:
            raise DamagedTiff(f"tag {tag.number} of type {tag.kind} for a real number")
        real: array[float] = self._values(REALS[tag.kind], tag)
        return real

    def integer(self, tags: Tags, number: int, default: int | None = None) -> int:
        """The first value of a tag, or the default where it is missing.

        Raises:
            DamagedTiff: it is missing and has no default, or is no whole number.
        """
        tag = tags.get(number)
        if tag is None or tag.count == 0:
            if default is None:
                raise DamagedTiff(f"tag {number} is missing")
            return default
        return self.integers(Tag(number, tag.kind, 1, tag.offset))[0]

    def read(self, offset: int, size: int) -> bytes:
        """Bytes of the file.

        Raises:
            DamagedTiff: they lie outside.
        """
        if offset + size > self.length:
            raise DamagedTiff(f"{size} bytes at {offset} of {self.length}")
        self._file.seek(offset)
        data = self._file.read(size)
        if len(data) != size:
            raise DamagedTiff("the file became shorter")
        return data

    def _values(self, code: str, tag: Tag) -> "array[Any]":
        values: array[Any] = array(code)
        values.frombytes(self.read(tag.offset, tag.size))
        if self._form.order == OTHER_ORDER:
            values.byteswap()
        return values

    def _tag(self, number: int, kind: int, count: int, places: tuple[int, int]) -> Tag:
        """Args: places: of a value in the entry itself, and of one elsewhere."""
        size = count * TYPE_BYTES[kind]
        self._claimed += size
        if self._claimed > MAX_TAG_BYTES:
            raise UnsupportedLayout(f"tag {number} has {size} bytes")
        offset = places[0] if size <= self._form.room else places[1]
        if offset + size > self.length:
            raise DamagedTiff(f"tag {number} lies outside the file")
        return Tag(number, kind, count, offset)

    def _header(self) -> tuple[_Form, int]:
        self._file.seek(0)
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
