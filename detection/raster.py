"""The only module that opens image files; GDAL's errors become ours here, once."""

import hashlib
import math
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import numpy as np
import pyproj
import rasterio
from affine import Affine
from numpy.typing import NDArray
from pyproj import Geod, Transformer
from pyproj.exceptions import ProjError
from rasterio._err import _ERROR_STACK, CPLE_BaseError, stack_errors
from rasterio.enums import ColorInterp, MaskFlags, Resampling
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import DatasetReader
from rasterio.vrt import WarpedVRT
from rasterio.warp import transform_bounds
from rasterio.windows import Window

from detection.errors import (
    DetectionError,
    ImageAway,
    MissingGeoreference,
    UnreadableRaster,
    UnsupportedBands,
    UnsupportedCrs,
    UnsupportedPixelSize,
)
from detection.georef import SceneGrid

SMALLEST_PIXEL_M, LARGEST_PIXEL_M = 0.05, 1.5
PIXEL_SIZE_TOLERANCE = 0.02  # a "5 cm" image has pixels of 4.998 cm
WGS84 = Geod(ellps="WGS84")
MUCH_FINER = 2.0  # an image with so many pixels in one of the grid's is averaged, not sampled
BASELINE_PX = 100  # pixel size is measured over this many pixels: over one, rounding shows
# No file beside the image is looked for, and no image can name another as its overviews.
GDAL_OPTIONS: dict[str, str | int] = {
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_CACHEMAX": 256 * 2**20,  # bytes, in the whole process
    "GDAL_TIFF_INTERNAL_MASK": "YES",
}
NAMED_COLOURS = {
    ColorInterp.red: "red",
    ColorInterp.green: "green",
    ColorInterp.blue: "blue",
}


@dataclass(frozen=True, slots=True)
class BandOrder:
    """Which bands of a file are red, green and blue; the first band is 1.

    All three are 1 for a panchromatic image.
    """

    red: int
    green: int
    blue: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``"RGB"``, ``"BGRN"`` (N or A: anything else), ``"PAN"`` or ``"5,3,2"``.

        Raises:
            UnsupportedBands: it is none of those.
        """
        letters = text.strip().upper()
        if letters == "PAN":
            return cls(1, 1, 1)
        if re.fullmatch(r"\d+,\d+,\d+", letters.replace(" ", "")):
            red, green, blue = (int(number) for number in letters.split(","))
            return cls(red, green, blue)
        if all(letters.count(letter) == 1 for letter in "RGB"):
            return cls(*(letters.index(letter) + 1 for letter in "RGB"))
        raise UnsupportedBands(f"cannot read {text!r} as a band order")

    @property
    def indexes(self) -> tuple[int, int, int]:
        """(red, green, blue)."""
        return (self.red, self.green, self.blue)

    @property
    def is_panchromatic(self) -> bool:
        """Whether one band stands for all three."""
        return self.red == self.green == self.blue


@dataclass(frozen=True)
class Scene:
    """An open image that can be judged: it has a place, a pixel size and visible bands.

    Attributes:
        grid: its own pixels.
        pixel_size_m: ground length of one pixel at the scene's centre, along columns and rows.
        bands: which bands are read.
        warnings: what was guessed, each one sentence for the person.
        is_remote: in a store, where a failed read may be the network's fault, not the file's.
    """

    grid: SceneGrid
    pixel_size_m: tuple[float, float]
    bands: BandOrder
    warnings: tuple[str, ...]
    is_remote: bool
    _dataset: DatasetReader = field(repr=False)

    @property
    def dtype(self) -> str:
        """``uint8`` or ``uint16``."""
        return str(self._dataset.dtypes[self.bands.red - 1])

    def read(
        self, window: Window, *, width: int, height: int
    ) -> tuple[NDArray[np.generic], NDArray[np.bool_]]:
        """Read part of the scene, resampled.

        Args:
            window: in the scene's own pixels; may start and end between two of them.
            width: columns wanted.
            height: rows wanted.

        Returns:
            Pixels of shape (3, height, width), red first, in the scene's own numbers, and
            their validity, shape (height, width). Where nothing is valid no pixel is decoded.

        Raises:
            UnreadableRaster: the file is damaged there.
            ImageAway: the store does not give it.
        """
        shape = (height, width)
        try:
            present = self._present(window, shape)
            if not present.any():
                return np.zeros((3, *shape), self.dtype), present
            valid = present & self._mask(window, shape)
            if not valid.any():
                return np.zeros((3, *shape), self.dtype), valid
            bands = (self.bands.red,) if self.bands.is_panchromatic else self.bands.indexes
            pixels = self._dataset.read(
                list(bands),
                window=window,
                out_shape=(len(bands), *shape),
                resampling=_resampling(window, shape),
            )
        except RasterioError as error:
            raise _fault(f"{window}: {error}", is_remote=self.is_remote) from error
        return np.broadcast_to(pixels, (3, *shape)), valid

    @contextmanager
    def laid_on(self, grid: SceneGrid) -> "Iterator[LaidScene]":
        """The same image on another grid, warped as it is read.

        Raises:
            UnsupportedCrs: its CRS and the grid's cannot be brought together.
        """
        nodata, colours = self._dataset.nodata, self._dataset.colorinterp
        finer = math.prod(self.pixel_size_m) < math.prod(measure_pixel(grid)) / MUCH_FINER
        options = {
            "crs": grid.crs,
            "transform": grid.transform,
            "width": grid.width,
            "height": grid.height,
            "resampling": Resampling.average if finer else Resampling.bilinear,
            "add_alpha": nodata is None and ColorInterp.alpha not in colours,
        }
        try:
            warped = WarpedVRT(self._dataset, **options)
        except (RasterioError, CPLE_BaseError) as error:
            raise UnsupportedCrs(str(error)) from error
        with warped:
            yield LaidScene(grid, self.bands, self.is_remote, warped)

    def blocks_present(self) -> NDArray[np.bool_]:
        """Which storage blocks of the file hold data, shape (block rows, block columns)."""
        block_height, block_width = self.block_shape
        rows = range(-(-self.grid.height // block_height))
        columns = range(-(-self.grid.width // block_width))
        return self._blocks(rows, columns)

    @property
    def block_shape(self) -> tuple[int, int]:
        """Height and width of a storage block, in the scene's own pixels."""
        height, width = self._dataset.block_shapes[self.bands.red - 1]
        return int(height), int(width)

    def _present(self, window: Window, shape: tuple[int, int]) -> NDArray[np.bool_]:
        """Which pixels of a read lie in blocks that were ever written; sparse ones are nodata."""
        block_height, block_width = self.block_shape
        rows = _block_numbers(window.row_off, window.height, shape[0], block_height)
        columns = _block_numbers(window.col_off, window.width, shape[1], block_width)
        blocks = self._blocks(range(rows[0], rows[-1] + 1), range(columns[0], columns[-1] + 1))
        return blocks[np.ix_(rows - rows[0], columns - columns[0])]

    def _blocks(self, rows: range, columns: range) -> NDArray[np.bool_]:
        # Interleaved by band, a block of one colour may be absent where another's is not.
        bands = sorted(set(self.bands.indexes))
        look_up = self._dataset.get_tag_item
        with stack_errors():
            found = [
                [
                    any(look_up(f"BLOCK_OFFSET_{column}_{row}", "TIFF", band) for band in bands)
                    for column in columns
                ]
                for row in rows
            ]
            faults = list(_ERROR_STACK.get())
        if faults and self.is_remote:  # GDAL calls what it could not look up absent, like the rest
            raise ImageAway(str(faults[0]))
        return np.array(found, np.bool_).reshape(len(rows), len(columns))

    def _mask(self, window: Window, shape: tuple[int, int]) -> NDArray[np.bool_]:
        bands = sorted(set(self.bands.indexes))
        flags = self._dataset.mask_flag_enums[bands[0] - 1]
        if MaskFlags.all_valid in flags:
            return np.ones(shape, np.bool_)
        if MaskFlags.per_dataset in flags:
            bands = bands[:1]
        masks = self._dataset.read_masks(
            bands,
            window=window,
            out_shape=(len(bands), *shape),
            resampling=_resampling(window, shape),
        )
        covered: NDArray[np.bool_] = (masks > 127).any(axis=0)
        return covered


@dataclass(frozen=True)
class LaidScene:
    """An open image on a grid that is not its own.

    Attributes:
        grid: the pixels it is read in.
        bands: which bands are read.
        is_remote: as of the image itself.
    """

    grid: SceneGrid
    bands: BandOrder
    is_remote: bool
    _warped: WarpedVRT = field(repr=False)

    @property
    def is_plain_colour(self) -> bool:
        """Whether it is colour in 8 bits, which needs no stretch."""
        return self._warped.dtypes[0] == "uint8" and not self.bands.is_panchromatic

    def read(
        self, window: Window, *, width: int, height: int
    ) -> tuple[NDArray[np.generic], NDArray[np.bool_]]:
        """Read part of the grid; as ``Scene.read``, but blocks that are absent come as zeros."""
        bands = [self.bands.red] if self.bands.is_panchromatic else list(self.bands.indexes)
        shape = (height, width)
        try:
            with rasterio.Env(**GDAL_OPTIONS):
                pixels = self._warped.read(bands, window=window, out_shape=(len(bands), *shape))
                mask = self._mask(window, shape)
        except (RasterioError, CPLE_BaseError) as error:
            raise _fault(f"{window}: {error}", is_remote=self.is_remote) from error
        return np.broadcast_to(pixels, (3, *shape)), mask

    def _mask(self, window: Window, shape: tuple[int, int]) -> NDArray[np.bool_]:
        last = self._warped.count
        if self._warped.colorinterp[-1] == ColorInterp.alpha:  # in the numbers of its own type
            shown = self._warped.read(last, window=window, out_shape=shape) > 0
        else:
            shown = self._warped.dataset_mask(window=window, out_shape=shape) > 0
        mask: NDArray[np.bool_] = shown
        return mask


def overlaps(one: SceneGrid, other: SceneGrid) -> bool:
    """Whether two grids may have ground in common: whether the boxes around them do."""
    try:
        bounds = transform_bounds(one.crs, other.crs, *_bounds(one))
    except (RasterioError, CPLE_BaseError, ProjError):
        return False  # one lies outside the other's map
    left, bottom, right, top = _bounds(other)
    return bool(bounds[0] < right and bounds[2] > left and bounds[1] < top and bounds[3] > bottom)


def _bounds(grid: SceneGrid) -> tuple[float, float, float, float]:
    """Least x and y, greatest x and y."""
    wide, high = float(grid.width), float(grid.height)
    corners = grid.to_ground(np.array([[0.0, 0.0], [wide, 0.0], [wide, high], [0.0, high]]))
    (left, bottom), (right, top) = corners.min(axis=0).tolist(), corners.max(axis=0).tolist()
    return left, bottom, right, top


@contextmanager
def open_scene(path: Path | str, bands: BandOrder | None = None) -> Iterator[Scene]:
    """Open a georeferenced image of visible light.

    Args:
        path: a local GeoTIFF, or as text GDAL's name of a clean one in the operator's own store.
        bands: which are red, green and blue; None: as the file says, else guessed (and said).

    Raises:
        UnreadableRaster: not a GeoTIFF that GDAL can open.
        ImageAway: the store does not give it.
        MissingGeoreference: no CRS, or no transform.
        UnsupportedCrs: a CRS that is no map.
        UnsupportedBands: not visible light in 8 or 16 bits.
        UnsupportedPixelSize: single buildings cannot be judged at its pixel size.
    """
    if isinstance(path, Path) and not path.is_file():
        raise UnreadableRaster(f"{path.name}: no such file")
    name = str(path.resolve()) if isinstance(path, Path) else path
    is_remote = isinstance(path, str)
    with rasterio.Env(**GDAL_OPTIONS), _open_dataset(name, is_remote=is_remote) as dataset:
        grid = _grid_of(dataset)
        order, said = _choose_bands(dataset, bands)
        yield Scene(grid, measure_pixel(grid), order, said, is_remote, dataset)


def hash_file(path: Path) -> str:
    """SHA-256 of a file's bytes, as hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def to_lonlat(crs: rasterio.crs.CRS) -> Transformer:
    """What turns x and y in ``crs`` into longitude and latitude.

    Raises:
        UnsupportedCrs: the CRS does not place pixels on a map.
    """
    try:
        source = pyproj.CRS.from_wkt(crs.to_wkt())
        if source.is_compound or not (source.is_geographic or source.is_projected):
            raise UnsupportedCrs(source.type_name)
        return Transformer.from_crs(source, "EPSG:4326", always_xy=True)
    except (ProjError, RasterioError) as error:
        raise UnsupportedCrs(str(error)) from error


def measure_pixel(grid: SceneGrid) -> tuple[float, float]:
    """Ground length of a pixel along columns and along rows, at the scene's centre, in metres.

    Raises:
        UnsupportedCrs: the centre is nowhere on Earth.
        UnsupportedPixelSize: outside 0.05 to 1.5 m.
    """
    centre = np.array([[grid.width / 2, grid.height / 2]] * 4)
    half = BASELINE_PX / 2
    ends = centre + np.array([[-half, 0], [half, 0], [0, -half], [0, half]])
    lon, lat = to_lonlat(grid.crs).transform(*grid.to_ground(ends).T)
    if not (np.isfinite(lon).all() and np.isfinite(lat).all() and (np.abs(lat) <= 90).all()):
        raise UnsupportedCrs("the centre is outside the domain of the CRS")
    _, _, lengths = WGS84.inv(lon[::2], lat[::2], lon[1::2], lat[1::2])
    across, down = (float(length) / BASELINE_PX for length in lengths)
    mean = math.sqrt(across * down)
    slack = 1 + PIXEL_SIZE_TOLERANCE
    if not SMALLEST_PIXEL_M / slack <= mean <= LARGEST_PIXEL_M * slack:
        raise UnsupportedPixelSize(f"{across:.4g} x {down:.4g} m")
    return across, down


def _open_dataset(name: str, *, is_remote: bool) -> DatasetReader:
    try:
        dataset = _open_quietly(name, OVERVIEW_LEVEL="NONE")
        if dataset.tags(ns="OVERVIEWS"):
            return dataset  # it names another file as its overviews: none are used
        dataset.close()
        dataset = _open_quietly(name)
        dataset.overviews(1)  # looked for now, while the options above hold in this thread
    except RasterioError as error:
        raise _fault(str(error), is_remote=is_remote) from error
    return dataset


def _fault(why: str, *, is_remote: bool) -> DetectionError:
    """What a failed read means: in a store, the network may be at fault and not the file."""
    return ImageAway(why) if is_remote else UnreadableRaster(why)


def _open_quietly(name: str, **options: str) -> DatasetReader:
    with warnings.catch_warnings():  # a missing position is refused with a sentence of ours
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        return rasterio.open(name, driver="GTiff", **options)


def _grid_of(dataset: DatasetReader) -> SceneGrid:
    transform = Affine(*dataset.transform[:6])
    if dataset.crs is None or not dataset.crs.to_wkt() or transform.is_identity:
        raise MissingGeoreference(dataset.name)
    if not math.isfinite(transform.determinant) or transform.determinant == 0:
        raise MissingGeoreference(f"{dataset.name}: {transform}")
    return SceneGrid(dataset.width, dataset.height, transform, dataset.crs)


def _choose_bands(
    dataset: DatasetReader, stated: BandOrder | None
) -> tuple[BandOrder, tuple[str, ...]]:
    colours = [
        index
        for index, meaning in zip(dataset.indexes, dataset.colorinterp, strict=True)
        if meaning != ColorInterp.alpha
    ]
    order, said = (stated, ()) if stated else _guess_bands(dataset, len(colours))
    if not set(order.indexes) <= set(colours):
        raise UnsupportedBands(f"{order} of {dataset.count} bands")
    types = {dataset.dtypes[index - 1] for index in order.indexes}
    if len(types) != 1 or not types <= {"uint8", "uint16"}:
        raise UnsupportedBands(f"types {sorted(types)}")
    if ColorInterp.palette in dataset.colorinterp:
        raise UnsupportedBands("a colour table")
    if order.is_panchromatic:
        said += (
            "The image has one band and is read as panchromatic: expect more mistakes. "
            "Radar images cannot be judged.",
        )
    return order, said


def _guess_bands(dataset: DatasetReader, colours: int) -> tuple[BandOrder, tuple[str, ...]]:
    if colours == 1:
        return BandOrder(1, 1, 1), ()
    named = _named_bands(dataset)
    if named:
        return named, ()
    wide = "uint16" in dataset.dtypes
    guesses = {
        3: ("red, green, blue", BandOrder(1, 2, 3)),
        4: ("blue, green, red, near infrared", BandOrder(3, 2, 1))
        if wide
        else ("red, green, blue, near infrared", BandOrder(1, 2, 3)),
        8: ("those of WorldView (coastal, blue, green, yellow, red, ...)", BandOrder(5, 3, 2)),
    }
    if colours not in guesses:
        raise UnsupportedBands(f"{colours} bands")
    words, order = guesses[colours]
    return order, (
        f"The file does not say what its {colours} bands are; they were taken to be {words}.",
    )


def _named_bands(dataset: DatasetReader) -> BandOrder | None:
    """The order that descriptions give, else colour interpretations; None if neither does."""
    described = [(text or "").strip().lower() for text in dataset.descriptions]
    interpreted = [NAMED_COLOURS.get(meaning, "") for meaning in dataset.colorinterp]
    for names in (described, interpreted):
        if all(names.count(colour) == 1 for colour in ("red", "green", "blue")):
            return BandOrder(*(names.index(colour) + 1 for colour in ("red", "green", "blue")))
    return None


def _resampling(window: Window, shape: tuple[int, int]) -> Resampling:
    """Average when shrinking (every pixel counts), bilinear when enlarging, else untouched."""
    if (window.height, window.width) == shape:
        return Resampling.nearest
    shrinks = window.height * window.width > shape[0] * shape[1]
    return Resampling.average if shrinks else Resampling.bilinear


def _block_numbers(start: float, length: float, count: int, block: int) -> NDArray[np.intp]:
    """The storage block that the centre of each of ``count`` pixels falls into."""
    centres = start + (np.arange(count) + 0.5) * (length / count)
    return (centres // block).astype(np.intp)
