"""Random views of chips: where to look, at what angle and scale, through what air and optics."""

import io
import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from detection.training.chips import IGNORED_GRADE, Chip

Generator = np.random.Generator
RGB = 3
BILINEAR = Image.Resampling.BILINEAR
LEAST_VISIBLE_PX = 16  # a building with fewer pixels in view teaches nothing
LEAST_VISIBLE_SHARE = 0.3
# How much likelier a crop is centred on a building of each grade; unknown grades count as none.
GRADE_PULL = (1.0, 3.0, 4.0, 2.0)


@dataclass(frozen=True, slots=True)
class Augmentation:
    """How far views may stray from the image as it is.

    Attributes:
        scale: least and greatest enlargement; 1 keeps the chip's pixel size.
        rotate: any angle, not just quarter turns.
        colour: strength of brightness, contrast, gamma and tint changes; 0 is none.
        grey_share: how often the image becomes panchromatic.
        blur_share: how often it is blurred.
        haze_share: how often haze is laid over it.
        jpeg_share: how often it is compressed once more.
        before_off_px: how far the image before lies off after registration, standard deviation
            along either axis, in pixels of the view.
        before_share: how often the image before is shown, where a chip has one.
    """

    scale: tuple[float, float] = (0.7, 1.4)
    rotate: bool = True
    colour: float = 1.0
    grey_share: float = 0.08
    blur_share: float = 0.2
    haze_share: float = 0.12
    jpeg_share: float = 0.1
    before_off_px: float = 1.2
    before_share: float = 0.6


NONE = Augmentation(
    (1.0, 1.0),
    rotate=False,
    colour=0,
    grey_share=0,
    blur_share=0,
    haze_share=0,
    jpeg_share=0,
    before_off_px=0,
    before_share=1,
)


def random_view(chip: Chip, size_px: int, how: Augmentation, rng: Generator) -> Chip:
    """Cut a square of ``size_px`` out of a chip, turned, scaled, mirrored and recoloured.

    What lies outside the chip is black and ignored. Buildings of which too little is left in
    view become ignored.

    Where a chip has an image before, that one is recoloured by itself, laid a little beside its
    place, and now and then left out, that is black.
    """
    matrix = _placement(chip, size_px, how, rng)
    after = replace(chip, image=chip.image[-RGB:])
    moved = _resample(after, size_px, matrix)
    image = recolour(moved.image, how, rng)
    if len(chip.image) > RGB:
        image = np.concatenate([_before(chip, size_px, matrix, how, rng), image])
    return replace(moved, image=image)


def _before(
    chip: Chip,
    size_px: int,
    matrix: tuple[float, float, float, float, float, float],
    how: Augmentation,
    rng: Generator,
) -> NDArray[np.uint8]:
    """The image before in a view; black where it shows nothing, and nowhere else."""
    if rng.random() >= how.before_share:
        return np.zeros((RGB, size_px, size_px), np.uint8)
    a, b, c, d, e, f = matrix
    right, down = rng.normal(0, how.before_off_px, 2) if how.before_off_px else (0.0, 0.0)
    aside = (a, b, c + a * right + b * down, d, e, f + d * right + e * down)
    bands = _bands(chip.image[:RGB], size_px, aside)
    shown = bands.max(axis=0) > 0
    image: NDArray[np.uint8] = np.where(shown, recolour(bands, how, rng), 0).astype(np.uint8)
    image[:, shown & ~image.any(axis=0)] = 1  # dark, but seen
    return image


def _placement(
    chip: Chip, size_px: int, how: Augmentation, rng: Generator
) -> tuple[float, float, float, float, float, float]:
    """The affine map from view pixels to chip pixels, as PIL wants it."""
    scale = math.exp(rng.uniform(math.log(how.scale[0]), math.log(how.scale[1])))
    quarter = math.pi / 2 * int(rng.integers(4)) if how.rotate else 0.0
    turn = quarter + (rng.uniform(-math.pi / 4, math.pi / 4) if how.rotate else 0.0)
    if how.rotate and rng.random() < 0.5:
        turn = quarter  # half the views keep their pixels sharp
    flip = -1.0 if how.rotate and rng.random() < 0.5 else 1.0
    cos, sin = math.cos(turn) / scale, math.sin(turn) / scale
    col, row = _centre(chip, size_px / scale, rng)
    a, b, d, e = cos * flip, -sin, sin * flip, cos
    half = size_px / 2
    return a, b, col - (a + b) * half, d, e, row - (d + e) * half


def _centre(chip: Chip, span_px: float, rng: Generator) -> tuple[float, float]:
    """Where to look: mostly at a building, the rarer its grade the likelier."""
    height, width = chip.instances.shape
    counts = np.flatnonzero(chip.grades != IGNORED_GRADE)
    if len(counts) and rng.random() < 0.75:
        pull = np.array([GRADE_PULL[max(0, g)] for g in chip.grades[counts]])
        number = int(rng.choice(counts, p=pull / pull.sum())) + 1
        rows, cols = np.nonzero(chip.instances == number)
        jitter = rng.uniform(-0.35, 0.35, 2) * span_px
        row, col = rows.mean() + jitter[0], cols.mean() + jitter[1]
    else:
        row, col = rng.uniform(0, height), rng.uniform(0, width)
    return _inside(col, width, span_px), _inside(row, height, span_px)


def _inside(centre: float, length: int, span_px: float) -> float:
    """Move a centre so that the view stays in the chip where it fits."""
    half = min(span_px, length) / 2
    return float(np.clip(centre, half, length - half))


def _resample(chip: Chip, size_px: int, matrix: tuple[float, ...]) -> Chip:
    size = (size_px, size_px)
    known = Image.fromarray(np.where(chip.ignore, 0, 255).astype(np.uint8))
    seen = np.asarray(known.transform(size, Image.Transform.AFFINE, matrix))
    numbers = Image.fromarray(chip.instances.astype(np.int32), mode="I")
    instances = np.asarray(numbers.transform(size, Image.Transform.AFFINE, matrix))
    enlargement = 1 / abs(matrix[0] * matrix[4] - matrix[1] * matrix[3])
    image = _bands(chip.image, size_px, matrix)
    return _keep_visible(chip, image, instances, seen < 128, enlargement)


def _bands(image: NDArray[np.uint8], size_px: int, matrix: tuple[float, ...]) -> NDArray[np.uint8]:
    size, how = (size_px, size_px), Image.Transform.AFFINE
    return np.stack(
        [np.asarray(Image.fromarray(band).transform(size, how, matrix, BILINEAR)) for band in image]
    )


def _keep_visible(
    chip: Chip,
    image: NDArray[np.uint8],
    instances: NDArray[np.int32],
    ignore: NDArray[np.bool_],
    enlargement: float,
) -> Chip:
    """Renumber the buildings that are still there; the others become ignored ground."""
    count = len(chip.grades) + 1
    whole = np.bincount(chip.instances.ravel(), minlength=count) * enlargement
    visible = np.bincount(instances.ravel(), minlength=count)
    good = (visible >= LEAST_VISIBLE_PX) & (visible >= LEAST_VISIBLE_SHARE * whole)
    good[0] = False
    good[1:] &= chip.grades != IGNORED_GRADE
    number = np.where(good, np.cumsum(good), 0).astype(np.int32)
    dropped = (instances > 0) & ~good[instances]
    return replace(
        chip,
        image=image,
        instances=number[instances],
        grades=chip.grades[good[1:]],
        ignore=ignore | dropped,
    )


def recolour(image: NDArray[np.uint8], how: Augmentation, rng: Generator) -> NDArray[np.uint8]:
    """Another sensor, another hour, another day's air. Black borders move with the rest."""
    x = image.astype(np.float32)
    if how.colour:
        x = _tint(x, how.colour, rng)
    if rng.random() < how.haze_share:
        thickness = rng.uniform(0.1, 0.45)
        x = x * (1 - thickness) + rng.uniform(170, 235) * thickness
    if rng.random() < how.grey_share:
        x = np.repeat(x.mean(axis=0, keepdims=True), len(x), axis=0)
    if how.colour and rng.random() < 0.3:
        x += rng.normal(0, rng.uniform(1, 6), x.shape).astype(np.float32)
    pixels = np.clip(x, 0, 255).astype(np.uint8)
    return _optics(pixels, how, rng)


def _tint(x: NDArray[np.float32], strength: float, rng: Generator) -> NDArray[np.float32]:
    gamma = math.exp(rng.normal(0, 0.18 * strength))
    gain = math.exp(rng.normal(0, 0.15 * strength))
    band_gain = np.exp(rng.normal(0, 0.06 * strength, len(x)))[:, None, None]
    contrast = math.exp(rng.normal(0, 0.15 * strength))
    saturation = math.exp(rng.normal(0, 0.25 * strength))
    lit = 255 * (np.clip(x, 0, 255) / 255) ** gamma * gain * band_gain
    grey = lit.mean(axis=0, keepdims=True)
    vivid = grey + (lit - grey) * saturation
    tinted: NDArray[np.float32] = vivid.mean() + (vivid - vivid.mean()) * contrast
    return tinted.astype(np.float32)


def _optics(pixels: NDArray[np.uint8], how: Augmentation, rng: Generator) -> NDArray[np.uint8]:
    """Blur and compression."""
    blur = rng.uniform(0.4, 1.3) if rng.random() < how.blur_share else 0.0
    quality = int(rng.integers(35, 85)) if rng.random() < how.jpeg_share else 0
    if not blur and not quality:
        return pixels
    picture = Image.fromarray(pixels.transpose(1, 2, 0))
    if blur:
        picture = picture.filter(ImageFilter.GaussianBlur(blur))
    if quality:
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=quality)
        picture = Image.open(buffer, formats=["JPEG"])
    return np.asarray(picture).transpose(2, 0, 1)
