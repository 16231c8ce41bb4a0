"""Files made to do harm, and what is to become of each.

Every maker gets the ``Surroundings``, for some files name what they must not reach: a file of
another tenant, and an address where somebody listens.
"""

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.unosat.scenes.tiffmaking import (
    ASCII,
    BYTE,
    DATA_AT,
    DOUBLE,
    LONG,
    LONG8,
    SHORT,
    Entry,
    Raw,
    geotiff_tags,
    make_tiff,
    pixels,
)

CONVERTED = "converted"
SIDE, BANDS = 64, 3
BLOCKS = pixels(SIDE, BANDS)
DIRECTORY_AT = DATA_AT + len(BLOCKS)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a hostile file might name.

    Attributes:
        tenant: path of another tenant's image.
        url: where somebody listens.
    """

    tenant: Path
    url: str


@dataclass(frozen=True, slots=True)
class Hostile:
    """One file.

    Attributes:
        name: what it tries.
        expected: ``CONVERTED``, or the code of the refusal.
        make: its bytes.
        filename: as it lies on the disk.
        beside: suffixes of files beside it, and their bytes.
    """

    name: str
    expected: str
    make: Callable[[Surroundings], bytes]
    filename: str = "image.tif"
    beside: dict[str, Callable[[Surroundings], bytes]] = field(default_factory=dict)


def plain(**changed: Entry | None) -> bytes:
    """A good small GeoTIFF; ``t259=(SHORT, [1])`` changes tag 259, None leaves it out."""
    return make_tiff(_tags(**changed), data=BLOCKS)


def big(**changed: Entry | None) -> bytes:
    """The same as a BigTIFF, most significant byte first."""
    return make_tiff(_tags(**changed), data=BLOCKS, big=True, order=">")


def coded(compression: int, data: bytes, **changed: Entry | None) -> bytes:
    """One strip of bytes that are, or are not, what they are called."""
    tags = {"t259": (SHORT, [compression]), "t279": (LONG, [len(data)])}
    return make_tiff(_tags(**(tags | changed)), data=data)


def tiled(**changed: Entry | None) -> bytes:
    """Of tiles, none of them written."""
    strips: dict[str, Entry | None] = {"t273": None, "t278": None, "t279": None}
    tiles: dict[str, Entry | None] = {
        "t322": (LONG, [SIDE]), "t323": (LONG, [SIDE]), "t324": (LONG, [0]), "t325": (LONG, [0]),
    }  # fmt: skip
    return plain(**(strips | tiles | changed))


def told(metadata: str) -> bytes:
    """With GDAL's own metadata."""
    return plain(t42112=(ASCII, metadata.encode() + b"\0"))


def named(item: str) -> bytes:
    """With one item of GDAL's own metadata."""
    return told(f"<GDALMetadata>{item}</GDALMetadata>")


def overviews(file: object) -> str:
    """The item that names another file as the overviews."""
    return f'<Item name="OVERVIEW_FILE" domain="OVERVIEWS">{file}</Item>'


def placed(text: str) -> bytes:
    """With names of a CRS that the keys refer to."""
    raw = text.encode() + b"|\0"
    keys = [1, 1, 0, 4, 1024, 0, 1, 1, 1025, 0, 1, 1, 3072, 0, 1, 32767, 3073, 34737, len(raw), 0]
    return plain(t34735=(SHORT, keys), t34737=(ASCII, raw))


def _tags(**changed: Entry | None) -> dict[int, Entry | None]:
    return geotiff_tags(SIDE, BANDS) | {int(tag[1:]): entry for tag, entry in changed.items()}


def _bytes(data: bytes) -> Callable[[Surroundings], bytes]:
    return lambda _: data


def _not_tiffs() -> dict[str, Callable[[Surroundings], bytes]]:
    return {
        "a VRT that reads another tenant's file": lambda at: (
            '<VRTDataset rasterXSize="8" rasterYSize="8"><VRTRasterBand dataType="Byte" band="1">'
            f"<SimpleSource><SourceFilename>{at.tenant}</SourceFilename></SimpleSource>"
            "</VRTRasterBand></VRTDataset>"
        ).encode(),
        "a VRT behind white space": lambda at: f"\n\n  <VRTDataset>{at.url}".encode(),
        "a VRT with code in it": _bytes(
            b'<VRTDataset><VRTRasterBand subClass="VRTDerivedRasterBand">'
            b"<PixelFunctionLanguage>Python</PixelFunctionLanguage></VRTRasterBand></VRTDataset>"
        ),
        "an MRF": lambda at: f"<MRF_META><CachedSource>{at.url}</CachedSource></MRF_META>".encode(),
        "a GTI": lambda at: f"<GDALTileIndexDataset>{at.tenant}".encode(),
        "a WMS description": lambda at: f"<GDAL_WMS><ServerUrl>{at.url}</ServerUrl>".encode(),
        "a STACTA": lambda at: f'{{"stac_version": "1.0.0", "href": "{at.url}"}}'.encode(),
        "a name for GDAL's network": lambda at: f"/vsicurl/{at.url}".encode(),
        "a PNG": _bytes(b"\x89PNG\r\n\x1a\n" + bytes(64)),
        "a JPEG": _bytes(b"\xff\xd8\xff\xe0\0\x10JFIF" + bytes(64)),
        "a JPEG 2000": _bytes(b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(64)),
        "a ZIP": _bytes(b"PK\x03\x04" + bytes(64)),
        "a gzip": _bytes(b"\x1f\x8b\x08" + bytes(64)),
        "a GeoPackage": _bytes(b"SQLite format 3\0" + bytes(64)),
        "an HDF5": _bytes(b"\x89HDF\r\n\x1a\n" + bytes(64)),
        "an HDF4": _bytes(b"\x0e\x03\x13\x01" + bytes(64)),
        "a NetCDF": _bytes(b"CDF\x01" + bytes(64)),
        "a program": _bytes(b"\x7fELF" + bytes(64)),
        "an SVG": _bytes(b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>'),
        "nothing": _bytes(b""),
        "two letters of a TIFF": _bytes(b"II"),
        "a TIFF's cousin": _bytes(b"EP\x2a\0\x08\0\0\0" + bytes(64)),
        "a BigTIFF with offsets of 4 bytes": _bytes(b"II\x2b\0\x04\0\0\0" + bytes(64)),
    }


def _foreign() -> dict[str, Callable[[Surroundings], bytes]]:
    return {
        "overviews in another tenant's file": lambda at: named(overviews(at.tenant)),
        "overviews on the network": lambda at: named(overviews(f"/vsicurl/{at.url}")),
        "overviews at an address": lambda at: named(overviews(at.url)),
        "overviews one folder up": _bytes(named(overviews("../other/other.tif"))),
        "overviews beside": _bytes(named(overviews(":::BASE:::.ovr"))),
        "overviews in small letters": lambda at: named(overviews(at.tenant).lower()),
        "overviews by numbers of letters": lambda at: named(
            overviews(at.tenant).replace("OVER", "&#79;V&#x45;&#x0052;")
        ),
        "overviews by numbers of numbers": lambda at: named(
            overviews(at.tenant).replace("OVER", "&amp;#79;VER")
        ),
        "overviews by an element": lambda at: named(
            f"<Item><name>OVERVIEW_FILE</name><domain>OVERVIEWS</domain>{at.tenant}</Item>"
        ),
        "overviews in letters of two bytes": lambda at: plain(
            t42112=(BYTE, named(overviews(at.tenant)).decode("latin-1").encode("utf-16-le"))
        ),
        "overviews in an unnamed domain": lambda at: named(
            f'<Item name="OVERVIEW_FILE">{at.tenant}</Item>'
        ),
        "overviews of a band": lambda at: named(
            f'<Item name="OVERVIEW_FILE" domain="OVERVIEWS" sample="0">{at.tenant}</Item>'
        ),
        "overviews of the second image": lambda at: make_tiff(
            _tags(), _tags(t42112=(ASCII, overviews(at.tenant).encode())), data=BLOCKS * 2
        ),
        "overviews in a BigTIFF": lambda at: big(t42112=(ASCII, overviews(at.tenant).encode())),
        "overviews in bytes": lambda at: plain(t42112=(BYTE, overviews(at.tenant).encode())),
        "an entity": lambda at: told(
            f'<!DOCTYPE x [<!ENTITY a SYSTEM "file://{at.tenant}">]><GDALMetadata>&a;'
        ),
        "a thousand million laughs": _bytes(
            told('<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]><GDALMetadata>&b;')
        ),
        "overviews in CDATA": lambda at: named(f"<![CDATA[{overviews(at.tenant)}]]>"),
        "places of pixels in another file": lambda at: named(
            f'<Item name="X_DATASET" domain="GEOLOCATION">{at.tenant}</Item>'
        ),
        "a CRS with a file of shifts": lambda at: placed(
            f'ESRI PE String = PROJCS["x",EXTENSION["PROJ4","+proj=utm +nadgrids={at.tenant}"]]'
        ),
        "a CRS with heights from a file": lambda at: placed(
            f'ESRI PE String = VERT_CS["x",EXTENSION["PROJ4_GRIDS","{at.tenant}"]]'
        ),
    }


def _damaged() -> dict[str, bytes]:
    looped = make_tiff(_tags(), _tags(), data=BLOCKS * 2, last=DATA_AT + 2 * len(BLOCKS))
    double = plain().replace(struct.pack("<HH", 277, SHORT), struct.pack("<HH", 256, SHORT), 1)
    minimal = b"".join(
        struct.pack("<HHHIII", 1, 270, ASCII, 1, 0, 8 + 18 * (index + 1)) for index in range(10**5)
    )
    return {
        "a directory that follows itself": make_tiff(_tags(), data=BLOCKS, last=DIRECTORY_AT),
        "two directories in a circle": looped,
        "a directory below itself": plain(t330=(LONG, [DIRECTORY_AT])),
        "notes that are their own directory": plain(t34665=(LONG, [DIRECTORY_AT])),
        "notes outside the file": plain(t34853=(LONG, [2**32 - 1])),
        "a directory outside the file": struct.pack("<2sHI", b"II", 42, 2**32 - 20) + bytes(64),
        "no directory": struct.pack("<2sHI", b"II", 42, 0) + bytes(64),
        "a directory that is cut": plain()[: DIRECTORY_AT + 40],
        "a hundred thousand directories": struct.pack("<2sHI", b"II", 42, 8) + minimal,
        "two widths": double,
        "a width in words": plain(t256=(ASCII, b"64\0")),
        "a width of an unknown type": plain(t256=Raw(99, 1, 64)),
        "no width": plain(t256=None),
        "a text outside the file": plain(t270=Raw(ASCII, 5000, 2**32 - 10)),
        "values behind all numbers": big(t270=Raw(ASCII, 100, 2**64 - 1)),
        "a strip outside the file": plain(t273=(LONG, [2**32 - 1])),
        "a strip longer than the file": plain(t279=(LONG, [2**32 - 1])),
        "a strip whose end wraps": big(t273=(LONG8, [2**64 - 8]), t279=(LONG8, [16])),
        "a strip with a size and no place": plain(t273=(LONG, [0])),
        "strips that share their bytes": plain(
            t278=(LONG, [1]), t273=(LONG, [DATA_AT] * SIDE), t279=(LONG, [len(BLOCKS)] * SIDE)
        ),
        "fewer strips than rows": plain(t278=(LONG, [8])),
        "no sizes of strips": plain(t279=None),
        "strips and tiles": plain(t322=(LONG, [64]), t323=(LONG, [64]), t324=(LONG, [16])),
        "metadata in wide numbers": plain(t42112=(LONG, list(overviews("x").encode()))),
        "a mask of another size": _masked(SIDE * 4, bytes(SIDE * SIDE * 2)),
    }


def _masked(side: int, mask: bytes) -> bytes:
    """With a mask, one bit a pixel."""
    tags: dict[int, Entry | None] = {
        254: (LONG, [4]), 256: (LONG, [side]), 257: (LONG, [side]), 258: (SHORT, [1]),
        259: (SHORT, [1]), 262: (SHORT, [4]), 273: (LONG, [DIRECTORY_AT]), 277: (SHORT, [1]),
        278: (LONG, [side]), 279: (LONG, [len(mask)]),
    }  # fmt: skip
    return make_tiff(_tags(), tags, data=BLOCKS + mask)


def _unusual() -> dict[str, bytes]:
    shared = {tag: Raw(BYTE, 2**20, DATA_AT) for tag in range(50_000, 50_900)}
    return {
        "seventy directories": make_tiff(*[_tags()] * 70, data=BLOCKS * 70),
        "sixty-five directories below": plain(t330=(LONG, [0] * 65)),
        "65,535 tags": struct.pack("<2sHIH", b"II", 42, 8, 65535) + bytes(65535 * 12 + 4),
        "2^63 tags": struct.pack("<2sHHHQQ", b"II", 43, 8, 0, 16, 2**63) + bytes(64),
        "a tag of 2^64 bytes": big(t270=Raw(ASCII, 2**64 - 1, 16)),
        "a thousand tags of the same megabyte": make_tiff(
            _tags() | shared, data=BLOCKS + bytes(2**20)
        ),
        "metadata of 2 MiB": told(f"<GDALMetadata>{'x' * 2**21}</GDALMetadata>"),
        "a nodata value of 4 KiB": plain(t42113=(ASCII, b"9" * 4096 + b"\0")),
        "65,535 bands": plain(t277=(SHORT, [65535]), t258=(SHORT, [8])),
        "no band": plain(t277=(SHORT, [0])),
        "no row": plain(t257=(LONG, [0])),
        "four thousand million columns": plain(t256=(LONG, [2**32 - 1])),
        "forty million tiles": tiled(
            t256=(LONG, [100_000]), t257=(LONG, [100_000]), t322=(LONG, [16]), t323=(LONG, [16]),
            t324=Raw(LONG8, 6250**2, DATA_AT), t325=Raw(LONG8, 6250**2, DATA_AT),
        ),
        "tiles of no width": tiled(t322=(LONG, [0])),
        "strips of no row": plain(t278=(LONG, [0])),
        "planes of a kind that is none": plain(t284=(SHORT, [3])),
        "7 bits": plain(t258=(SHORT, [7] * 3)),
        "bits that differ": plain(t258=(SHORT, [8, 8, 16])),
        "bits of more bands than there are": plain(t258=(SHORT, [8] * 4)),
        "complex numbers": plain(t258=(SHORT, [64] * 3), t339=(SHORT, [6] * 3)),
        "inks": plain(t262=(SHORT, [5])),
        "a camera's raw cells": plain(t262=(SHORT, [32803])),
        "JPEG's colours without JPEG": plain(t262=(SHORT, [6])),
    }  # fmt: skip


def _large_blocks() -> dict[str, bytes]:
    side = {"t256": (LONG, [16_384]), "t257": (LONG, [16_384])}
    return {
        "8 KB that decode to 268 MB": coded(8, bytes(8000), **side, **_one_band(8)),
        "268 million pixels of one bit": coded(8, bytes(8000), **side, **_one_band(1)),
        "one sparse strip of 268 MB": plain(
            **side, **_one_band(8), t273=(LONG, [0]), t279=(LONG, [0])
        ),
        "a strip of 268 MB that is not there": plain(**side, **_one_band(8)),
        "a tile of 268 MB": tiled(**side, t322=(LONG, [16_384]), t323=(LONG, [16_384])),
        "one row of 512 MB": plain(
            t256=(LONG, [2_000_000]), t257=(LONG, [1]), t278=(LONG, [1]), t277=(SHORT, [32]),
            t258=(SHORT, [64]), t262=(SHORT, [1]), t339=(SHORT, [3]),
        ),
    }  # fmt: skip


def _one_band(bits: int) -> dict[str, Entry]:
    return {
        "t258": (SHORT, [bits]),
        "t262": (SHORT, [1]),
        "t277": (SHORT, [1]),
        "t278": (LONG, [16_384]),
    }


def _sparse(side: int, tile: int) -> bytes:
    """A file of a few hundred bytes that declares a large image."""
    count = (-(-side // tile)) ** 2
    zeros = Raw(SHORT, count, DATA_AT)
    return make_tiff(
        _tags(
            t256=(LONG, [side]), t257=(LONG, [side]), t273=None, t278=None, t279=None,
            t322=(LONG, [tile]), t323=(LONG, [tile]), t324=zeros, t325=zeros,
        ),
        data=bytes(2 * count),
    )  # fmt: skip


def one_tile(side: int, bands: int, tile: int = 512) -> bytes:
    """A file of one written tile, in the middle, that declares a large image."""
    noise = zlib.compress(pixels(64, bands) * (tile // 64) ** 2, 1)
    across = -(-side // tile)
    written = across * (across // 2) + across // 2
    offsets, sizes = [0] * across**2, [0] * across**2
    offsets[written], sizes[written] = DATA_AT, len(noise)
    tags = geotiff_tags(SIDE, bands) | {
        256: (LONG, [side]), 257: (LONG, [side]), 259: (SHORT, [8]), 273: None, 278: None,
        279: None, 322: (LONG, [tile]), 323: (LONG, [tile]), 324: (LONG, offsets),
        325: (LONG, sizes),
    }  # fmt: skip
    return make_tiff(tags, data=noise)


CODECS = {
    "fax": 4, "JPEG of the old kind": 6, "PackBits": 32773, "ThunderScan": 32809,
    "PixarLog": 32909, "SGILog": 34676, "JBIG": 34661, "JPEG 2000": 34712, "LZMA": 34925,
    "JPEG XL": 50002, "nobody's": 65000,
}  # fmt: skip


def _broken_pixels() -> dict[str, bytes]:
    """What only the decoder can tell."""
    noise = pixels(40, 3)
    return {
        "LZW of noise": coded(5, noise),
        "Deflate of noise": coded(8, noise),
        "a Deflate that ends early": coded(8, zlib.compress(BLOCKS)[:100]),
        "ZSTD of noise": coded(50000, noise),
        "a ZSTD frame of 2^60 bytes": coded(
            50000, b"\x28\xb5\x2f\xfd\xe0" + struct.pack("<Q", 2**60) + bytes(64)
        ),
        "WebP of noise": coded(50001, b"RIFF" + noise),
        "LERC of noise": coded(34887, b"Lerc2 " + noise),
        "JPEG of noise": coded(7, noise, t262=(SHORT, [6])),
    }


def _impossible_places() -> dict[str, bytes]:
    keys = [1, 1, 0, 1, 3072, 34737, 5000, 60000]
    nan, infinite = float("nan"), float("inf")
    return {
        "a pixel of no size": plain(t33550=(DOUBLE, [nan, nan, 0])),
        "a pixel without end": plain(t33550=(DOUBLE, [infinite, 0.5, 0])),
        "a corner nowhere": plain(t33922=(DOUBLE, [0, 0, 0, nan, nan, 0])),
        "a transformation of nothing": plain(t34264=(DOUBLE, [nan] * 16)),
        "eleven thousand corners": plain(t33922=(DOUBLE, [1.0] * 66_000)),
        "keys outside their text": plain(t34735=(SHORT, keys), t34737=(ASCII, b"x|\0")),
        "keys without their numbers": plain(t34735=(SHORT, [1, 1, 0, 1, 3072, 34736, 1, 0])),
        "keys in another tag": plain(t34735=(SHORT, [1, 1, 0, 1, 3072, 42112, 1, 0])),
        "fewer keys than it says": plain(t34735=(SHORT, [1, 1, 0, 65535, 3072, 0, 1, 32637])),
        "fifteen thousand keys": plain(
            t34735=(SHORT, [1, 1, 0, 15_000] + [1024, 0, 1, 1] * 15_000)
        ),
        "a CRS of ten thousand brackets": placed("ESRI PE String = " + "PROJCS[" * 9_000),
        "a CRS of 100 KB": plain(t34737=(ASCII, b"x" * 100_000 + b"|\0")),
        "a number of a CRS that is none": plain(
            t34735=(SHORT, [1, 1, 0, 1, 3075, 34736, 1, 0]), t34736=(DOUBLE, [nan])
        ),
    }


def _codes() -> dict[str, dict[str, bytes]]:
    """What is decided without looking at what lies around."""
    rest = {
        "too_many_pixels": {"200,000 x 200,000 sparse": _sparse(200_000, 4096)},
        "blocks_too_large": _large_blocks(),
        "unsupported_compression": {
            name: plain(t259=(SHORT, [number])) for name, number in CODECS.items()
        },
        "unreadable_raster": _broken_pixels(),
        "bad_georeference": _impossible_places(),
        "missing_georeference": {
            "no CRS": plain(t34735=None),
            "no transformation": plain(t33550=None, t33922=None),
        },
        "unsupported_bands": {
            "real numbers": plain(t258=(SHORT, [32] * 3), t339=(SHORT, [3] * 3)),
            "a colour table": plain(
                t258=(SHORT, [8]),
                t262=(SHORT, [3]),
                t277=(SHORT, [1]),
                t279=(LONG, [SIDE**2]),
                t320=(SHORT, [7] * 768),
            ),
        },
        "unsupported_crs": {"pixels of 1000 km": plain(t33550=(DOUBLE, [1e6, 1e6, 0]))},
        "unsupported_pixel_size": {"pixels of 100 m": plain(t33550=(DOUBLE, [100, 100, 0]))},
        "empty_image": {
            "60,000 x 60,000 sparse": _sparse(60_000, 2048),
            "a mask of nothing": _masked(SIDE, bytes(SIDE * SIDE // 8)),
        },
        CONVERTED: _harmless(),
    }
    return {"damaged_tiff": _damaged(), "unsupported_layout": _unusual()} | rest


def _harmless() -> dict[str, bytes]:
    """What looks bad and is not."""
    turned = [0.4, 0.3, 0, 500_000, 0.3, -0.4, 0, 4_000_000, 0, 0, 0, 0, 0, 0, 0, 1]
    return {
        "a good file": plain(),
        "a good BigTIFF": big(),
        "a turned image": plain(t34264=(DOUBLE, turned), t33550=None, t33922=None),
        "a nodata value that is no number": plain(t42113=(ASCII, b"nan\0")),
        "a nodata value without end": plain(t42113=(ASCII, b"1e999\0")),
        "a mask": _masked(SIDE, b"\xff" * (SIDE * SIDE // 8)),
        "a Deflate that goes on": coded(8, zlib.compress(bytes(2**22), 9)),
        "metadata about addresses": named('<Item name="SOURCE">http://127.0.0.1/x &amp; y</Item>'),
        "12 bits": plain(
            t258=(SHORT, [12]), t262=(SHORT, [1]), t277=(SHORT, [1]), t279=(LONG, [SIDE * 96]),
        ),
        "100,000 x 100,000 with one tile": one_tile(100_000, 3),
        "a text that is markup": plain(t270=(ASCII, b"<script>alert(1)</script>\0")),
    }  # fmt: skip


def table() -> list[Hostile]:
    """All of them, in an order that stays."""
    found = [Hostile(name, "not_a_tiff", make) for name, make in _not_tiffs().items()]
    found += [Hostile(name, "foreign_reference", make) for name, make in _foreign().items()]
    for code, files in _codes().items():
        found += [Hostile(name, code, _bytes(data)) for name, data in files.items()]
    return found + _with_neighbours() + _with_odd_names()


def _with_neighbours() -> list[Hostile]:
    pam = "<PAMDataset><Metadata domain='OVERVIEWS'><MDI key='OVERVIEW_FILE'>{}</MDI></Metadata>"
    beside: dict[str, Callable[[Surroundings], bytes]] = {
        ".aux.xml": lambda at: pam.format(at.tenant).encode(),
        ".ovr": lambda at: at.tenant.read_bytes(),
        ".msk": lambda at: at.tenant.read_bytes(),
        ".vrt": lambda at: f"<VRTDataset>{at.url}".encode(),
    }
    return [Hostile("other files beside it", CONVERTED, _bytes(plain()), beside=beside)]


def _with_odd_names() -> list[Hostile]:
    names = ("..%2f..%2fother.tif", "GTIFF_DIR:2:image.tif", "-oo OVERVIEW.tif", "a\nb;'$(x).tif")
    return [
        Hostile(f"a file called {name!r}", CONVERTED, _bytes(plain()), filename=name)
        for name in names
    ]
