"""Make a clean COG of an upload: pixels, CRS, transform, nodata or mask, and nothing else.

Runs in a process of its own (see sandbox.py): ``python -m unosat.scenes.convert IN OUT [BANDS]``.
It says on standard output what it found, or why it refuses; it exits 0, or 1 for a refusal.
Memory does not grow with the image: one window of pixels is held at a time.
"""

import contextlib
import itertools
import json
import os
import re
import resource
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader
from rasterio.windows import Window

from detection.errors import DetectionError, EmptyImage, UnreadableRaster
from detection.radiometry import Stretch
from detection.raster import BandOrder, Scene, open_scene, to_lonlat
from unosat.scenes import seccomp
from unosat.scenes.cogs import lay_out
from unosat.scenes.errors import ImageRefused, TooExpensive
from unosat.scenes.facts import NEAR_INFRARED, SceneFacts
from unosat.scenes.overviews import overviews_of
from unosat.scenes.tiffcheck import TiffFacts, check_tiff

BLOCK_PX = 512
WINDOW_PX = 2048  # columns of a window: a few blocks at once
SAMPLES_AT_MOST = 1_000_000  # pixels that the shown contrast is fitted to
SAMPLES_PER_WINDOW = 4096
EDGE_POINTS = 8  # per side of the outline: a straight side is a curve in longitude and latitude
MEMORY_BYTES = 2 * 1024**3  # address space
CPU_SECONDS = 2 * 3600
OPEN_FILES = 64
CALLED_NEAR_INFRARED = re.compile(r"(nir|near[ _-]?infra-?red)[ _-]?1?")  # the first, if two
ENVIRONMENT = {
    "GDAL_CACHEMAX": 512 * 1024**2,  # bytes; holds one row of blocks of a 100,000 px wide scene
    "GDAL_TIFF_INTERNAL_MASK": "YES",
}
WRITTEN: dict[str, Any] = {
    "driver": "GTiff", "tiled": True, "blockxsize": BLOCK_PX, "blockysize": BLOCK_PX,
    "interleave": "pixel", "compress": "ZSTD", "zstd_level": 5, "predictor": 2, "sparse_ok": True,
    "bigtiff": "IF_SAFER", "num_threads": 2,
}  # fmt: skip


@dataclass
class _Samples:
    """Pixels spread over the scene, never more than fit; the same ones every time."""

    parts: list[NDArray[np.generic]] = field(default_factory=list)
    count: int = 0
    chance: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))

    def add(self, pixels: NDArray[np.generic]) -> None:
        """Keep some of the valid pixels of a window, shape (C, N)."""
        if pixels.shape[1] > SAMPLES_PER_WINDOW:  # at random: equal steps fall into columns
            chosen = self.chance.integers(0, pixels.shape[1], SAMPLES_PER_WINDOW)
            pixels = pixels[:, chosen]
        some = pixels.copy()
        self.parts.append(some)
        self.count += some.shape[1]
        if self.count > SAMPLES_AT_MOST:
            self.parts = [part[:, ::2] for part in self.parts]
            self.count = sum(part.shape[1] for part in self.parts)


@dataclass(frozen=True)
class _Source:
    """An upload that passed every check, and how it is to be read."""

    dataset: DatasetReader
    scene: Scene
    colours: list[int]
    nodata: int | None
    has_mask: bool
    blocks: NDArray[np.bool_] | None  # which storage blocks hold data; None: all

    def read(self, window: Window) -> tuple[NDArray[np.generic], NDArray[np.bool_]] | None:
        """Pixels (C, h, w) and validity (h, w); None where nothing is valid."""
        valid = self._present(window)
        if not valid.any():
            return None
        try:
            if self.nodata is not None or self.has_mask:
                masks = self.dataset.read_masks(self.colours, window=window)
                valid &= (masks > 127).any(axis=0)
            if not valid.any():
                return None
            return self.dataset.read(self.colours, window=window), valid
        except RasterioError as error:
            raise UnreadableRaster(f"{window}: {error}") from error

    def _present(self, window: Window) -> NDArray[np.bool_]:
        shape = (window.height, window.width)
        if self.blocks is None:
            return np.ones(shape, np.bool_)
        down, across = self.scene.block_shape
        rows = (window.row_off + np.arange(window.height)) // down
        columns = (window.col_off + np.arange(window.width)) // across
        near = self.blocks[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        if near.all() or not near.any():  # most windows of a large sparse scene
            return np.full(shape, near[0, 0])
        present: NDArray[np.bool_] = self.blocks[np.ix_(rows, columns)]
        return present


def convert(source: Path, target: Path, stated: str = "") -> SceneFacts:
    """Check an upload as the engine would, and write its clean COG.

    Args:
        source: has passed ``check_tiff``.
        target: is written; a file beside it holds the work under way.
        stated: the band order as a person stated it, such as "BGRN"; "" for as the file says.

    Raises:
        DetectionError: the engine could not use the image.
    """
    bands = BandOrder.parse(stated) if stated else None
    header = check_tiff(source)
    _limit_file_size(header)
    unfinished = target.with_name(f"{target.name}.part")
    try:
        with _open_source(source, header, bands) as opened:
            samples = _copy_pixels(opened, unfinished, _described(opened, stated))
            with overviews_of(unfinished, WRITTEN) as overviews:
                _lay_out([unfinished, *overviews], target)
            return _facts(opened, target, samples)
    finally:
        unfinished.unlink(missing_ok=True)


@contextlib.contextmanager
def _open_source(path: Path, header: TiffFacts, bands: BandOrder | None) -> Iterator[_Source]:
    with (
        open_scene(path, bands) as scene,
        rasterio.Env(**ENVIRONMENT),
        rasterio.open(path, driver="GTiff", OVERVIEW_LEVEL="NONE") as dataset,
    ):
        colours = [
            index
            for index, meaning in zip(dataset.indexes, dataset.colorinterp, strict=True)
            if meaning != ColorInterp.alpha
        ]
        has_mask = MaskFlags.per_dataset in dataset.mask_flag_enums[colours[0] - 1]
        nodata = None if has_mask else _usable_nodata(dataset)
        blocks = scene.blocks_present() if header.is_sparse else None
        yield _Source(dataset, scene, colours, nodata, has_mask, blocks)


def _usable_nodata(dataset: DatasetReader) -> int | None:
    """The nodata value, if a pixel of this type can have it."""
    value = dataset.nodata
    limits = np.iinfo(dataset.dtypes[0])
    if value is None or not limits.min <= value <= limits.max or value != int(value):
        return None
    return int(value)


def _described(source: _Source, stated: str) -> list[str]:
    """A name for each colour band: as stated, else as the file says; "" where nobody knows."""
    meanings = {ColorInterp.red: "red", ColorInterp.green: "green", ColorInterp.blue: "blue"}
    visible = list(meanings.values())
    meanings[ColorInterp.nir] = NEAR_INFRARED
    names = [""] * len(source.colours)
    texts = [(text or "").strip().lower() for text in source.dataset.descriptions]
    for place, index in enumerate(source.colours):
        text = texts[index - 1]
        said = NEAR_INFRARED if CALLED_NEAR_INFRARED.fullmatch(text) else text
        named = said if said in meanings.values() else ""
        names[place] = named or meanings.get(source.dataset.colorinterp[index - 1], "")
    order = BandOrder.parse(stated) if stated else None
    if order is not None and not order.is_panchromatic:
        wrong = visible if "," in stated else meanings.values()  # three numbers leave the others be
        names = ["" if name in wrong else name for name in names]
        for index, name in zip(order.indexes, visible, strict=True):
            names[source.colours.index(index)] = name
        infrared = stated.strip().upper().find("N") + 1  # 0: none; of the bands, from 1
        if infrared in source.colours:
            names[source.colours.index(infrared)] = NEAR_INFRARED
    return names


def _copy_pixels(source: _Source, target: Path, names: list[str]) -> _Samples:
    """Write pixels and mask, tiled and sparse, to a plain GeoTIFF."""
    given = source.dataset
    needs_mask = source.has_mask or (source.blocks is not None and source.nodata is None)
    samples = _Samples()
    shown = _shown_places(source)
    with rasterio.open(
        target, "w", **WRITTEN, width=given.width, height=given.height,
        count=len(source.colours), dtype=source.scene.dtype, crs=source.scene.grid.crs,
        transform=source.scene.grid.transform, nodata=source.nodata,
        photometric="RGB" if names[:3] == ["red", "green", "blue"] else "MINISBLACK",
        alpha="UNSPECIFIED",
    ) as written:  # fmt: skip
        for index, name in enumerate(names, start=1):
            if name:
                written.set_band_description(index, name)
        for window in _windows(given.width, given.height):
            found = source.read(window)
            if found is None:
                continue
            pixels, valid = found
            if needs_mask:
                pixels = np.where(valid, pixels, 0)
                written.write_mask(valid, window=window)
            written.write(pixels, window=window)
            samples.add(pixels[shown][:, valid])
    if not samples.count:
        raise EmptyImage("no valid pixel")
    return samples


def _shown_places(source: _Source) -> list[int]:
    """Places of red, green and blue among the bands that are kept, from 0."""
    return [source.colours.index(index) for index in source.scene.bands.indexes]


def _windows(width: int, height: int) -> Iterator[Window]:
    for row in range(0, height, BLOCK_PX):
        for column in range(0, width, WINDOW_PX):
            yield Window(column, row, min(WINDOW_PX, width - column), min(BLOCK_PX, height - row))


def _lay_out(levels: list[Path], target: Path) -> None:
    try:
        lay_out(levels, target)
    except ImageRefused as error:  # of a file of ours, not of the upload
        raise OSError(f"what was written is damaged: {error}") from error


def _facts(source: _Source, target: Path, samples: _Samples) -> SceneFacts:
    scene = source.scene
    is_colour = not scene.bands.is_panchromatic
    if scene.dtype == "uint8" and is_colour:
        stretch = Stretch.none()
    else:
        stretch = Stretch.fit(np.concatenate(samples.parts, axis=1))
    with rasterio.open(target, driver="GTiff") as clean:
        names = [text or "" for text in clean.descriptions]
        epsg = clean.crs.to_epsg()
    across, down = scene.pixel_size_m
    return SceneFacts(
        width=scene.grid.width,
        height=scene.grid.height,
        bands=len(source.colours),
        band_order=",".join(names) if any(names) else "",
        dtype=scene.dtype,
        epsg=epsg,
        pixel_size_m=round((across * down) ** 0.5, 4),
        outline=_outline(scene),
        shown_bands=[place + 1 for place in _shown_places(source)],
        shown_low=list(stretch.low),
        shown_high=list(stretch.high),
        warnings=list(scene.warnings),
    )


def _outline(scene: Scene) -> list[list[float]]:
    """The scene's edge in longitude and latitude; beyond 180 degrees rather than torn there."""
    width, height = scene.grid.width, scene.grid.height
    corners = [(0, 0), (0, height), (width, height), (width, 0), (0, 0)]
    steps = np.linspace(0, 1, EDGE_POINTS, endpoint=False)[:, None]
    sides = [
        np.array(start) + steps * (np.array(end) - np.array(start))
        for start, end in itertools.pairwise(corners)
    ]
    ground = scene.grid.to_ground(np.concatenate(sides).astype(np.float64))
    lon, lat = to_lonlat(scene.grid.crs).transform(*ground.T)
    if lon.max() - lon.min() > 180:
        lon = np.where(lon < 0, lon + 360, lon)
    ring = np.round(np.column_stack([lon, lat]), 7).tolist()
    return [*ring, ring[0]]


def _limit_file_size(header: TiffFacts) -> None:
    most = header.decoded_bytes * 5 // 4 + 256 * 1024**2
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))


def main(arguments: list[str]) -> int:
    """Convert one file under limits of memory, time and system calls."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES, OPEN_FILES))
    if os.environ.get("CONVERTER_FEW_CALLS") == "1":  # it works here: without it, nothing is read
        seccomp.confine()
    source, target, *stated = arguments
    try:
        return _answer(Path(source), Path(target), stated)
    finally:
        used = resource.getrusage(resource.RUSAGE_SELF)
        seconds, mib = used.ru_utime + used.ru_stime, used.ru_maxrss // 1024
        sys.stderr.write(f"\nused {seconds:.1f} s of a processor and {mib} MiB\n")


def _answer(source: Path, target: Path, stated: list[str]) -> int:
    try:
        facts = convert(source, target, *stated)
    except (DetectionError, ImageRefused) as error:
        sys.stdout.write(json.dumps({"code": error.code, "why": str(error)[:400]}))
        return 1
    except MemoryError:
        sys.stdout.write(json.dumps({"code": TooExpensive.code, "why": "memory"}))
        return 1
    sys.stdout.write(facts.to_json())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
