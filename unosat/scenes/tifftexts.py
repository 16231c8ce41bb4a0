"""What a TIFF says in words and of its place on the map: it names no file, and is no bomb."""

import html
import math
import re

from unosat.scenes.errors import BadGeoreference, DamagedTiff, ForeignReference, UnsupportedLayout
from unosat.scenes.tiffdirectory import Tag, Tags, TiffReader

MAX_TEXT_BYTES = 1024**2  # of one text
MAX_TEXTS_BYTES = 4 * 1024**2  # of all texts of all images
MAX_NODATA_BYTES = 256  # one number, written out
MAX_CRS_TEXT_BYTES = 64 * 1024  # the longest names of a CRS take a few hundred
MAX_CRS_DEPTH = 32  # brackets within brackets; no CRS has more than ten
MAX_GEO_KEYS = 256
MAX_TIEPOINTS = 10_000
GDAL_METADATA, GDAL_NODATA = 42112, 42113
PIXEL_SCALE, TIEPOINTS, TRANSFORMATION = 33550, 33922, 34264
GEO_KEYS, GEO_REALS, GEO_TEXT = 34735, 34736, 34737
# Text that GDAL parses or keeps: its own metadata, GeoTIFF's names, XMP, and GEO_METADATA.
TEXTS = frozenset({GDAL_METADATA, GEO_TEXT, 700, 50909})
CHARACTERS = frozenset({1, 2, 7})  # field types of a text whose letters are bytes
# What makes GDAL open another file (overviews, places of single pixels), or its parser expand.
NAMING = ("OVERVIEW_FILE", "OVERVIEWS", "X_DATASET", "Y_DATASET", "<!")
# A CRS can name a file of shifts, which PROJ would open; "@null" is none.
NAMING_IN_CRS = re.compile(
    r"GRIDS\s*=\s*(?!@NULL)|PROJ4_GRIDS|PARAMETERFILE|FILE\s*=|INIT\s*=|/VSI"
)


def check_texts(reader: TiffReader, tags: Tags) -> int:
    """Look for names of other files in what one image says.

    Returns:
        Size of the texts, in bytes, for the caller to add up.

    Raises:
        ForeignReference: another file is named, or an entity defined.
        UnsupportedLayout: too long.
        DamagedTiff: not a text.
    """
    sizes = {number: tags[number].size for number in TEXTS & tags.keys()}
    for number, size in sizes.items():
        if size > MAX_TEXT_BYTES:
            raise UnsupportedLayout(f"text {number} of {size} bytes")
    if GDAL_NODATA in tags and tags[GDAL_NODATA].size > MAX_NODATA_BYTES:
        raise UnsupportedLayout(f"nodata of {tags[GDAL_NODATA].size} bytes")
    if GDAL_METADATA in tags:
        _check_metadata(_text(reader, tags[GDAL_METADATA]))
    return sum(sizes.values())


def check_place(reader: TiffReader, tags: Tags) -> None:
    """Check the numbers and names that say where an image lies.

    Raises:
        BadGeoreference: not finite, too many, or contradicting each other.
        ForeignReference: the CRS names a file.
        DamagedTiff: not numbers.
    """
    for number, most in ((PIXEL_SCALE, 3), (TIEPOINTS, 6 * MAX_TIEPOINTS), (TRANSFORMATION, 16)):
        if number in tags:
            _check_finite(reader, tags[number], most)
    if GEO_REALS in tags:
        _check_finite(reader, tags[GEO_REALS], 65_535)
    if GEO_TEXT in tags:
        _check_crs_text(reader, tags[GEO_TEXT])
    if GEO_KEYS in tags:
        _check_geo_keys(reader, tags)


def _text(reader: TiffReader, tag: Tag) -> str:
    if tag.kind not in CHARACTERS:
        raise DamagedTiff(f"tag {tag.number} of type {tag.kind} for a text")
    return reader.read(tag.offset, tag.size).decode("latin-1").replace("\0", "")


def _check_metadata(text: str) -> None:
    for _ in range(3):  # GDAL undoes what stands for a letter once in names, twice in values
        upper = text.upper()
        if any(word in upper for word in NAMING):
            raise ForeignReference("metadata names other files or defines entities")
        text = html.unescape(text)


def _check_finite(reader: TiffReader, tag: Tag, most: int) -> None:
    if tag.count > most:
        raise BadGeoreference(f"tag {tag.number} has {tag.count} numbers")
    if not all(map(math.isfinite, reader.reals(tag))):
        raise BadGeoreference(f"tag {tag.number} is not finite")


def _check_crs_text(reader: TiffReader, tag: Tag) -> None:
    if tag.size > MAX_CRS_TEXT_BYTES:
        raise BadGeoreference(f"names of {tag.size} bytes")
    text = _text(reader, tag).upper()
    if NAMING_IN_CRS.search(text):
        raise ForeignReference("the CRS names a file")
    depth = 0
    for bracket in re.findall(r"[\[\]()]", text):
        depth += 1 if bracket in "[(" else -1
        if depth > MAX_CRS_DEPTH:
            raise BadGeoreference(f"brackets {depth} deep")


def _check_geo_keys(reader: TiffReader, tags: Tags) -> None:
    if tags[GEO_KEYS].count > 4 * (1 + MAX_GEO_KEYS):
        raise BadGeoreference(f"{tags[GEO_KEYS].count} numbers of keys")
    values = reader.integers(tags[GEO_KEYS])
    if len(values) < 4 or len(values) < 4 * (1 + values[3]):
        raise BadGeoreference("fewer keys than it says")
    for at in range(4, 4 * (1 + values[3]), 4):
        key, where, count, first = values[at : at + 4]
        if where == 0:
            continue
        there = tags.get(where)
        known = where in {GEO_KEYS, GEO_REALS, GEO_TEXT} and there is not None
        if not known or there is None or first + count > there.count:
            raise BadGeoreference(f"key {key} lies outside tag {where}")
