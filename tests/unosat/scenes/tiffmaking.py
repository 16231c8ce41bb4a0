"""TIFF files made byte by byte, so that any part of them can lie."""

import random
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

BYTE, ASCII, SHORT, LONG, DOUBLE, LONG8 = 1, 2, 3, 4, 12, 16
LETTERS = {BYTE: "B", ASCII: "B", SHORT: "H", LONG: "I", 7: "B", 11: "f", DOUBLE: "d", 13: "I",
           LONG8: "Q", 18: "Q"}  # fmt: skip
DATA_AT = 16  # after the header of either form


@dataclass(frozen=True, slots=True)
class Raw:
    """An entry as it stands, whatever it says: field type, count, and value or offset."""

    kind: int
    count: int
    value: int


Entry = tuple[int, Sequence[float] | bytes] | Raw
Tags = Mapping[int, Entry | None]


def pixels(side: int = 64, bands: int = 3) -> bytes:
    """Noise between 1 and 70: no value that a canary has."""
    chance = random.Random(5)  # noqa: S311 - noise
    return bytes(chance.randint(1, 70) for _ in range(side * side * bands))


def geotiff_tags(side: int = 64, bands: int = 3) -> dict[int, Entry]:
    """Of one uncompressed strip at ``DATA_AT``: UTM zone 37 North, pixels of 0.5 m."""
    return {
        256: (LONG, [side]),
        257: (LONG, [side]),
        258: (SHORT, [8] * bands),
        259: (SHORT, [1]),
        262: (SHORT, [2 if bands == 3 else 1]),
        273: (LONG, [DATA_AT]),
        277: (SHORT, [bands]),
        278: (LONG, [side]),
        279: (LONG, [side * side * bands]),
        33550: (DOUBLE, [0.5, 0.5, 0]),
        33922: (DOUBLE, [0, 0, 0, 500_000, 4_000_000, 0]),
        34735: (SHORT, [1, 1, 0, 3, 1024, 0, 1, 1, 1025, 0, 1, 1, 3072, 0, 1, 32637]),
    }


def make_tiff(
    *images: Tags, data: bytes = b"", big: bool = False, order: str = "<", last: int = 0
) -> bytes:
    """A file of a header, ``data`` at ``DATA_AT``, and one directory after another.

    Args:
        images: the tags of each; None leaves one out.
        data: the blocks.
        big: whether it is a BigTIFF.
        order: "<" or ">".
        last: where the last directory says that the next one is.
    """
    mark = b"II" if order == "<" else b"MM"
    start = DATA_AT + len(data)
    if big:
        header = mark + struct.pack(order + "HHHQ", 43, 8, 0, start)
    else:
        header = mark + struct.pack(order + "HI", 42, start)
    made = bytearray(header.ljust(DATA_AT, b"\0") + data)
    for index, tags in enumerate(images):
        made += _directory(
            tags, at=len(made), big=big, order=order, last=None if images[index + 1 :] else last
        )
    return bytes(made)


def _directory(tags: Tags, *, at: int, big: bool, order: str, last: int | None) -> bytes:
    number, offset = (order + "Q", order + "Q") if big else (order + "H", order + "I")
    room = struct.calcsize(offset)
    kept = {tag: entry for tag, entry in sorted(tags.items()) if entry is not None}
    size = struct.calcsize(number) + len(kept) * (4 + 2 * room) + room
    entries, values = b"", b""
    for tag, entry in kept.items():
        if isinstance(entry, Raw):
            kind, count, field = entry.kind, entry.count, struct.pack(offset, entry.value)
        else:
            kind, packed = entry[0], _packed(order, *entry)
            count = len(packed) // struct.calcsize(LETTERS[kind])
            field = packed.ljust(room, b"\0")
            if len(packed) > room:
                field = struct.pack(offset, at + size + len(values))
                values += packed
        entries += struct.pack(order + "HH", tag, kind) + struct.pack(offset, count) + field
    after = at + size + len(values) if last is None else last
    return struct.pack(number, len(kept)) + entries + struct.pack(offset, after) + values


def _packed(order: str, kind: int, values: Sequence[float] | bytes) -> bytes:
    if isinstance(values, bytes):
        return values
    return struct.pack(f"{order}{len(values)}{LETTERS[kind]}", *values)
