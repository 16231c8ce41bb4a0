"""The image before: laid on the pixels of the image after, as near as the two can be brought.

Two images of one place rarely share a grid, and where satellites leant over, their roofs lie metres
apart though both are in their right place. The image before is warped onto the grid of the image
after as it is read. One shift for the whole pair is measured when it is planned; each tile then
corrects it by what its own pixels say, within a few metres.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import ceil, hypot
from pathlib import Path

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.windows import Window
from scipy import ndimage

from detection.errors import BeforeElsewhere, BeforeTooFarOff, UnreadableRaster
from detection.georef import GeoTile, SceneGrid
from detection.radiometry import Stretch
from detection.raster import BandOrder, LaidScene, hash_file, open_scene, overlaps
from detection.registration import Shift, best_shift, gradients

LARGEST_SHIFT_M = 15.0
FARTHEST_M = 40.0  # looked for when a pair is planned, to tell one that lies too far off
LOCAL_M = 6.0  # a tile may differ so much from its scene: roofs lean with their height, hills shift
AGREE_M = 5.0
# Measured on 52 pairs of xBD: 87 % have a shift that is as sure, and 96 % of these find one that is
# added to it to 1 px; with the image before of another place none has one.
LEAST_SURENESS = 2.5
COARSER = 2  # pixels that become one before they are compared: as sure, and four times as fast
RIM_PX = 3  # beside nodata, in those
LEAST_SHOWN = 0.25  # of a tile, by both images: with less, chance decides
PROBES = 12
STRETCH_PX = 256
DECIMALS = 2

Pixels = tuple[NDArray[np.uint8], NDArray[np.bool_]]
LookAt = Callable[[GeoTile], Pixels]


@dataclass(frozen=True, slots=True)
class BeforeScene:
    """An image from before the disaster, as somebody names it.

    Attributes:
        path: a local GeoTIFF, or as text GDAL's name of a clean one in the operator's own store.
        sha256: of the file, where it is known; needed where ``path`` is text.
        name: for people; None: the file's name.
        bands: which bands are red, green and blue; None: as the file says, else guessed.
    """

    path: Path | str
    sha256: str | None = None
    name: str | None = None
    bands: BandOrder | None = None


@dataclass(frozen=True, slots=True)
class BeforePlan:
    """How the image before is read; the same for each shard.

    Attributes:
        name: for people.
        sha256: of the file.
        bands: which are read.
        pixel_size_m: ground length of one of its own pixels, across and down.
        stretch: from its numbers to 8 bits.
        right_px: move it so far to the right, in model pixels, to lie on the image after. Whole
            pixels: where both share a grid, nothing is resampled. Tiles correct the rest.
        down_px: and so far down.
        measured: whether that could be told; both are 0 where not.
    """

    name: str
    sha256: str
    bands: BandOrder
    pixel_size_m: tuple[float, float]
    stretch: Stretch
    right_px: int
    down_px: int
    measured: bool


@dataclass(frozen=True, slots=True)
class PairShift:
    """How the image before was laid under one tile.

    Attributes:
        tile: number of the tile.
        right_px: it lay so many model pixels too far to the left; it was moved by the nearest
            whole number.
        down_px: so many too far up.
        sureness: how clear the tile's own measurement is, see ``detection.registration.Shift``.
        measured: whether the tile's own measurement was clear enough to be used.
        shown: share of the tile's valid pixels that the image before shows, in [0, 1].
    """

    tile: int
    right_px: float
    down_px: float
    sureness: float
    measured: bool
    shown: float


def plan_before(
    wanted: BeforeScene,
    grid: SceneGrid,
    tiles: Sequence[GeoTile],
    look: LookAt,
    *,
    pixel_m: float,
) -> tuple[BeforePlan, tuple[str, ...]]:
    """Decide, once, how the image before is read. Reads a bounded number of pixels.

    Args:
        wanted: the image.
        grid: the pixels that the model sees.
        tiles: where to compare the two, spread over the scene; the first ``PROBES`` are used.
        look: reads the image after, as the model sees it.
        pixel_m: ground length of a model pixel.

    Returns:
        The plan, and sentences for the person.

    Raises:
        BeforeElsewhere: the two images do not overlap.
        BeforeTooFarOff: they lie more than ``LARGEST_SHIFT_M`` apart.
        DetectionError: the image cannot be used.
    """
    with open_scene(wanted.path, wanted.bands) as scene:
        if not overlaps(scene.grid, grid):
            raise BeforeElsewhere(f"{wanted.path}: no common ground")
        with scene.laid_on(_moved(grid, 0, 0, 0)) as laid:
            probes = tiles[:PROBES]
            stretch = _fit_stretch(laid, probes)
            whole = BeforeImage(laid, stretch, (0, 0), 0, pixel_m)
            shifts = [_probe(whole, tile, look, pixel_m) for tile in probes]
        shift = _common([one for one in shifts if one is not None], pixel_m)
        warnings = tuple(f"Image before: {sentence}" for sentence in scene.warnings)
        if shift is None:
            warnings += (
                "It could not be told how far the image before lies off the image after; the two "
                "are compared as their files place them. Check on the map that they match.",
            )
        elif hypot(*shift) * pixel_m > LARGEST_SHIFT_M:
            raise BeforeTooFarOff(f"{hypot(*shift) * pixel_m:.1f} m")
        right_px, down_px = shift or (0, 0)
        plan = BeforePlan(
            name=wanted.name or Path(wanted.path).name,
            sha256=wanted.sha256 or hash_file(Path(wanted.path)),
            bands=scene.bands,
            pixel_size_m=scene.pixel_size_m,
            stretch=stretch,
            right_px=right_px,
            down_px=down_px,
            measured=shift is not None,
        )
    return plan, warnings


@contextmanager
def open_before(
    path: Path | str, plan: BeforePlan, grid: SceneGrid, pixel_m: float
) -> "Iterator[BeforeImage]":
    """Open the image before, laid on the grid that the model sees.

    Raises:
        DetectionError: the image cannot be used.
    """
    margin = ceil(LOCAL_M / pixel_m)
    with (
        open_scene(path, plan.bands) as scene,
        scene.laid_on(_moved(grid, plan.right_px, plan.down_px, margin)) as laid,
    ):
        yield BeforeImage(laid, plan.stretch, (plan.right_px, plan.down_px), margin, pixel_m)


@dataclass(frozen=True, slots=True)
class BeforeImage:
    """The image before, open, on the grid that the model sees.

    Pixels are 8-bit RGB of shape (3, H, W); black ones, and no others, show nothing.

    Attributes:
        laid: the file, on a grid that is ``margin_px`` wider on each side.
        stretch: from its numbers to 8 bits.
        moved: how far it was moved right and down, in model pixels.
        margin_px: how far a tile may move it beyond that.
        pixel_m: ground length of a model pixel.
    """

    laid: LaidScene
    stretch: Stretch
    moved: tuple[int, int]
    margin_px: int
    pixel_m: float

    def read(self, window: GeoTile, width: int, height: int) -> NDArray[np.uint8]:
        """What lies under any part of the grid, resampled to ``width`` columns and ``height`` rows.

        Raises:
            UnreadableRaster: the file is damaged there.
        """
        return self._read(window, 0, width, height)

    def under(
        self, tile: GeoTile, index: int, after: Pixels
    ) -> tuple[NDArray[np.uint8], PairShift]:
        """What lies under one tile, moved to where the tile's own pixels fit best.

        Args:
            tile: where.
            index: its number.
            after: the image after there, shape (3, H, W), and its validity.

        Raises:
            UnreadableRaster: the file is damaged there.
        """
        margin = self.margin_px
        wide = self._read(tile, margin, tile.width + 2 * margin, tile.height + 2 * margin)
        middle = _cut(wide, margin, margin, tile)
        shift = compare(after, middle, most_m=FARTHEST_M, pixel_m=self.pixel_m)
        moved = self.moved[0] + shift.right_px, self.moved[1] + shift.down_px
        near = hypot(shift.right_px, shift.down_px) * self.pixel_m <= LOCAL_M
        allowed = hypot(*moved) * self.pixel_m <= LARGEST_SHIFT_M
        sure = shift.sureness >= LEAST_SURENESS and near and allowed
        if sure:
            middle = _cut(wide, margin - round(shift.right_px), margin - round(shift.down_px), tile)
        else:
            moved = (float(self.moved[0]), float(self.moved[1]))
        valid = after[1]
        shown = float((middle.any(axis=0) & valid).sum() / max(1, int(valid.sum())))
        return middle, PairShift(
            tile=index,
            right_px=round(moved[0], DECIMALS),
            down_px=round(moved[1], DECIMALS),
            sureness=round(shift.sureness, DECIMALS),
            measured=sure,
            shown=round(shown, 4),
        )

    def _read(self, window: GeoTile, margin: int, width: int, height: int) -> NDArray[np.uint8]:
        left, top = (
            window.col_off + self.margin_px - margin,
            window.row_off + self.margin_px - margin,
        )
        place = Window(left, top, window.width + 2 * margin, window.height + 2 * margin)
        pixels, valid = self.laid.read(place, width=width, height=height)
        shown = valid & pixels.any(axis=0)  # sparse blocks and filled borders come as zeros
        image = self.stretch.apply(pixels, shown)
        image[:, shown & ~image.any(axis=0)] = 1  # dark, but seen
        return image


def compare(after: Pixels, before: NDArray[np.uint8], *, most_m: float, pixel_m: float) -> Shift:
    """How far to move the image before, by phase correlation of the gradients of brightness.

    Args:
        after: shape (3, H, W), and validity.
        before: shape (3, H, W); black shows nothing.
        most_m: the farthest it is looked for, in metres along either axis.
        pixel_m: ground length of a pixel.

    Returns:
        In pixels; no shift with sureness 0 where the two hardly overlap.
    """
    fixed, moving = _coarser(after[0]), _coarser(before)
    valid = (_coarser(after[1][None]) > 0) & (moving > 0)
    most_px = min(ceil(most_m / pixel_m / COARSER), min(valid.shape) // 2)
    if most_px < 1 or valid.mean() < LEAST_SHOWN:
        return Shift(0.0, 0.0, 0.0)
    # Edges of nodata, and of the picture, are edges in both images, and would fit best unmoved.
    inside = ndimage.binary_erosion(valid, iterations=RIM_PX, border_value=1)
    taper = np.float32(np.hanning(valid.shape[0])[:, None] * np.hanning(valid.shape[1])) * inside
    found = best_shift(
        gradients(fixed) * taper, gradients(moving) * taper, most_px=most_px, whiten=True
    )
    return Shift(found.right_px * COARSER, found.down_px * COARSER, found.sureness)


def _coarser(image: NDArray[np.generic]) -> NDArray[np.float32]:
    """Brightness of an image of shape (C, H, W), with fewer pixels; 0 where any of them is 0."""
    height, width = (length // COARSER * COARSER for length in image.shape[1:])
    bright = image[:, :height, :width].mean(axis=0, dtype=np.float32)
    blocks = bright.reshape(height // COARSER, COARSER, width // COARSER, COARSER)
    mean: NDArray[np.float32] = blocks.mean(axis=(1, 3)) * (blocks.min(axis=(1, 3)) > 0)
    return mean


def _probe(before: BeforeImage, tile: GeoTile, look: LookAt, pixel_m: float) -> Shift | None:
    """The shift in one tile, looked for far and wide; None if it cannot be told."""
    try:
        image = before.read(tile, tile.width, tile.height)
        shift = compare(look(tile), image, most_m=FARTHEST_M, pixel_m=pixel_m)
    except UnreadableRaster:  # counted and shown when its tile is read
        return None
    return shift if shift.sureness >= LEAST_SURENESS else None


def _common(shifts: list[Shift], pixel_m: float) -> tuple[int, int] | None:
    """The shift that most tiles agree on; None if there is none."""
    if not shifts:
        return None
    each = np.array([(one.right_px, one.down_px) for one in shifts])
    near = np.hypot(*(each - np.median(each, axis=0)).T) * pixel_m <= AGREE_M
    if near.mean() <= 0.5:  # no majority
        return None
    right_px, down_px = np.median(each[near], axis=0)
    return round(float(right_px)), round(float(down_px))


def _fit_stretch(laid: LaidScene, tiles: Sequence[GeoTile]) -> Stretch:
    """Fit the contrast to what the image before shows of some tiles; 8-bit colour is left as is."""
    if laid.is_plain_colour:
        return Stretch.none()
    samples = []
    for tile in tiles:
        place = Window(tile.col_off, tile.row_off, tile.width, tile.height)
        try:
            pixels, valid = laid.read(place, width=STRETCH_PX, height=STRETCH_PX)
        except UnreadableRaster:
            continue
        samples.append(pixels[:, valid & pixels.any(axis=0)])
    joined = np.concatenate(samples, axis=1) if samples else np.zeros((3, 0))
    return Stretch.fit(joined) if joined.shape[1] else Stretch.none()


def _cut(wide: NDArray[np.uint8], left: int, top: int, tile: GeoTile) -> NDArray[np.uint8]:
    return wide[:, top : top + tile.height, left : left + tile.width]


def _moved(grid: SceneGrid, right_px: int, down_px: int, margin: int) -> SceneGrid:
    """The grid on which the image before must be read to lie moved on ``grid``, and a margin."""
    corner = Affine.translation(-margin - right_px, -margin - down_px)
    wide, high = grid.width + 2 * margin, grid.height + 2 * margin
    return SceneGrid(wide, high, grid.transform @ corner, grid.crs)
