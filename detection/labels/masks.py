"""Labels drawn as raster masks: ``images/NAME.*`` and ``masks/NAME.png``."""

from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from scipy import ndimage

from detection.errors import BadLabels
from detection.grades import MODEL_GRADES
from detection.labels.images import read_image
from detection.labels.xbd import IMAGE_ENDINGS, When
from detection.training.chips import IGNORED_GRADE, UNKNOWN_GRADE, Chip, ChipSource, LazyChip

SMALLEST_PX = 9  # smaller pieces are rims where two buildings were drawn over each other
DISASTER = "_disaster"


def read_masks(folder: Path, *, pixel_size_m: float, when: When = "post") -> list[ChipSource]:
    """List the images of a folder that are labelled by masks.

    A name that ends in ``_post_disaster`` holds damage levels 1 to 4 (other values are ignored),
    one that ends in ``_pre_disaster`` holds undamaged buildings; each connected patch of one
    level is a building. Any other name holds buildings of unknown grade, touching ones merged.

    Args:
        folder: holds ``images`` and ``masks``; its name becomes the event.
        pixel_size_m: ground size of a pixel, in metres, which such files do not say.
        when: which images of before-and-after pairs.

    Raises:
        BadLabels: no labelled image there.
    """
    found: list[ChipSource] = []
    for mask in sorted((folder / "masks").glob("*.png")):
        if mask.stem.endswith(DISASTER) and not mask.stem.endswith(f"_{when}{DISASTER}"):
            continue
        image = _image_of(folder / "images", mask.stem)
        cluster = _cluster_of(mask.stem)
        read = partial(_load, image, mask, folder.name, pixel_size_m)
        found.append(LazyChip(mask.stem, folder.name, cluster, read))
    if not found:
        raise BadLabels(f"no mask with its image in {folder.name}")
    return found


def split_patches(levels: NDArray[np.uint8]) -> tuple[NDArray[np.int32], NDArray[np.int8]]:
    """Number the connected patches of each damage level.

    Args:
        levels: shape (H, W); 0 is no building, 1 to 4 are the levels.

    Returns:
        ``instances`` and ``grades`` as in ``Chip``; patches too small to be a building, and
        levels outside 1 to 4, have the grade ``IGNORED_GRADE``.
    """
    instances = np.zeros(levels.shape, np.int32)
    grades: list[int] = []
    for level in (int(value) for value in np.unique(levels) if value):
        patches, count = ndimage.label(levels == level)
        sizes = np.bincount(patches.ravel(), minlength=count + 1)[1:]
        instances[patches > 0] = patches[patches > 0] + len(grades)
        known = 1 <= level <= len(MODEL_GRADES)
        grades += [level - 1 if known and size >= SMALLEST_PX else IGNORED_GRADE for size in sizes]
    return instances, np.array(grades, np.int8)


def _load(image_path: Path, mask_path: Path, event: str, pixel_size_m: float) -> Chip:
    image = read_image(image_path)
    levels = _read_mask(mask_path)
    if levels.shape != image.valid.shape:
        raise BadLabels(f"{mask_path.name}: mask and image differ in size")
    after = mask_path.stem.endswith(f"_post{DISASTER}")
    semantic = not mask_path.stem.endswith(DISASTER)
    instances, grades = split_patches(levels if after else (levels > 0).astype(np.uint8))
    if semantic:
        grades = np.where(grades == IGNORED_GRADE, grades, UNKNOWN_GRADE).astype(np.int8)
    unclear = np.concatenate([[False], grades == IGNORED_GRADE])[instances]
    black = (image.pixels.max(axis=0) == 0) & (instances == 0)
    return Chip(
        image=image.pixels,
        instances=instances,
        grades=grades,
        ignore=unclear | black,
        name=mask_path.stem,
        event=event,
        cluster=_cluster_of(mask_path.stem),
        pixel_size_m=pixel_size_m,
        semantic=semantic,
    )


def _read_mask(path: Path) -> NDArray[np.uint8]:
    try:
        with Image.open(path) as picture:
            if picture.mode not in {"L", "P", "1"}:
                raise BadLabels(f"{path.name}: a mask has one 8-bit band")
            return np.asarray(picture.convert("L") if picture.mode == "1" else picture, np.uint8)
    except (OSError, UnidentifiedImageError) as error:
        raise BadLabels(f"{path.name}: {error}") from error


def _cluster_of(stem: str) -> str:
    """Masks say nothing of where they lie, but pairs and numbered neighbours share a prefix."""
    return stem.removesuffix(f"_post{DISASTER}").removesuffix(f"_pre{DISASTER}")


def _image_of(folder: Path, stem: str) -> Path:
    for ending in IMAGE_ENDINGS:
        if (path := folder / f"{stem}{ending}").exists():
            return path
    raise BadLabels(f"no image for the mask {stem}")
