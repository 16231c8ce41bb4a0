"""Damage TIFF headers in every way that chance finds, and see what the header check says."""

import io
import random
import struct
import time
from collections import Counter
from dataclasses import dataclass

from tests.unosat.scenes.tiffmaking import (
    ASCII,
    BYTE,
    DATA_AT,
    DOUBLE,
    LONG,
    LONG8,
    SHORT,
    Entry,
    Tags,
    geotiff_tags,
    make_tiff,
    pixels,
)
from unosat.scenes.errors import ImageRefused
from unosat.scenes.tiffcheck import MAX_BANDS, MAX_PIXELS, check_open_tiff

SIDE, BANDS = 4, 3
BLOCKS = pixels(SIDE, BANDS)
EDGES = tuple(
    {0, 1, 2, 3, 4, 7, 8, 12, 13, 16, 42, 43, 64, 65, 255, 256, 330, 1024, 1025, 32637, 42112}
    | {2**power + change for power in (15, 16, 31, 32, 63) for change in (-1, 0)}
    | {2**64 - 1}
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of many cases.

    Attributes:
        said: how often each code came; "taken" where the file was taken.
        slowest_s: processor time of the slowest, in seconds.
    """

    said: Counter[str]
    slowest_s: float


def valid_files() -> list[bytes]:
    """Small files of every form: byte order, size of numbers, strips, tiles, masks, metadata."""
    files = []
    for big in (False, True):
        for order in "<>":
            files += [make_tiff(*images, data=BLOCKS, big=big, order=order) for images in _images()]
    return files


def run(cases: int, *, seed: int = 0) -> Outcome:
    """Check so many damaged files.

    Raises:
        AssertionError: one was neither taken nor refused; it is told as hex digits.
    """
    chance = random.Random(seed)  # noqa: S311 - repeatable
    files = valid_files()
    said: Counter[str] = Counter()
    slowest = 0.0
    for case in range(cases):
        data = damaged(chance.choice(files), chance)
        before = time.process_time()
        try:
            said[checked(data)] += 1
        except Exception as error:
            raise AssertionError(f"case {case}, {error!r}: {data.hex()}") from error
        slowest = max(slowest, time.process_time() - before)
    return Outcome(said, slowest)


def checked(data: bytes) -> str:
    """What the header check says of a file: the code of a refusal, or "taken"."""
    try:
        facts = check_open_tiff(io.BytesIO(data), len(data))
    except ImageRefused as refusal:
        return refusal.code
    assert 0 < facts.width * facts.height <= MAX_PIXELS
    assert 0 < facts.bands <= MAX_BANDS
    assert facts.decoded_bytes >= facts.width * facts.height * facts.bands
    return "taken"


def damaged(data: bytes, chance: random.Random) -> bytes:
    """The file after one to four mishaps, most of them in its directories."""
    made = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        _mishap(made, chance)
    return bytes(made)


def _mishap(made: bytearray, chance: random.Random) -> None:
    kind = chance.random()
    if not made:
        made += b"II*\0"
    elif kind < 0.35:  # one byte
        made[_place(made, chance)] = chance.randrange(256)
    elif kind < 0.75:  # a number at the edge of something, where a number stood
        letter = chance.choice("HIQ")
        number = chance.choice((*EDGES, len(made), len(made) + 1, DATA_AT + len(BLOCKS)))
        packed = struct.pack(chance.choice("<>") + "Q", number)
        size = struct.calcsize(letter)
        at = _place(made, chance)
        at -= at % 2
        made[at : at + size] = packed[:size] if chance.random() < 0.5 else packed[-size:]
    elif kind < 0.83:  # cut
        del made[chance.randrange(len(made)) :]
    elif kind < 0.91:  # some of it again, elsewhere
        start, at = _place(made, chance), _place(made, chance)
        made[at:at] = made[start : start + chance.choice((2, 4, 8, 12, 20, 64))]
    else:  # some of it over other parts
        start, at = _place(made, chance), _place(made, chance)
        piece = made[start : start + chance.choice((2, 4, 8, 12, 20, 64))]
        made[at : at + len(piece)] = piece


def _place(made: bytearray, chance: random.Random) -> int:
    """Mostly in the directories, which lie behind the blocks."""
    behind = DATA_AT + len(BLOCKS)
    if len(made) > behind and chance.random() < 0.85:
        return chance.randrange(behind, len(made))
    return chance.randrange(len(made))


def _images() -> list[tuple[Tags, ...]]:
    strip = geotiff_tags(SIDE, BANDS)
    rows: dict[int, Entry] = strip | {
        273: (LONG, [DATA_AT + 12 * row for row in range(SIDE)]),
        278: (SHORT, [1]),
        279: (SHORT, [12] * SIDE),
    }
    tiles: dict[int, Entry | None] = {
        **strip, 273: None, 278: None, 279: None, 322: (SHORT, [16]), 323: (SHORT, [16]),
        324: (LONG8, [0]), 325: (LONG8, [0]),
    }  # fmt: skip
    mask: dict[int, Entry] = {
        254: (LONG, [4]), 256: (SHORT, [SIDE]), 257: (SHORT, [SIDE]), 258: (SHORT, [1]),
        262: (SHORT, [4]), 273: (LONG, [DATA_AT]), 277: (SHORT, [1]), 279: (LONG, [SIDE]),
    }  # fmt: skip
    told: dict[int, Entry] = strip | {
        34736: (DOUBLE, [1.0, 2.0]),
        34737: (ASCII, b'ESRI PE String = PROJCS["WGS 84 / UTM zone 37N"]|\0'),
        42112: (ASCII, b'<GDALMetadata>\n  <Item name="A">&amp;</Item>\n</GDALMetadata>\n\0'),
        42113: (ASCII, b"0\0"),
        700: (BYTE, b"<x:xmpmeta/>"),
        34264: (DOUBLE, [float(number) for number in range(16)]),
    }
    return [(strip,), (rows, mask), (tiles,), (told, mask, rows)]
