"""Labels drawn as raster masks."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from detection.errors import BadLabels
from detection.labels.masks import read_masks, split_patches
from detection.training.chips import IGNORED_GRADE, UNKNOWN_GRADE


def write(folder: Path, name: str, mask: NDArray[np.uint8]) -> None:
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    grey = np.full((*mask.shape, 3), 90, np.uint8)
    Image.fromarray(grey).save(folder / "images" / f"{name}.png")
    Image.fromarray(mask).save(folder / "masks" / f"{name}.png")


def two_houses(first: int, second: int) -> NDArray[np.uint8]:
    mask = np.zeros((32, 32), np.uint8)
    mask[4:12, 4:12], mask[4:12, 12:20] = first, second
    return mask


def test_touching_buildings_of_different_damage_are_two() -> None:
    instances, grades = split_patches(two_houses(1, 4))

    assert grades.tolist() == [0, 3]
    assert instances[5, 5] == 1
    assert instances[5, 15] == 2


def test_slivers_and_unknown_levels_are_ignored() -> None:
    mask = two_houses(2, 5)
    mask[30, 30] = 3

    _, grades = split_patches(mask)

    assert sorted(grades.tolist()) == [IGNORED_GRADE, IGNORED_GRADE, 1]


def test_a_pair_gives_the_image_that_was_asked_for(tmp_path: Path) -> None:
    write(tmp_path, "a_pre_disaster", two_houses(255, 255))
    write(tmp_path, "a_post_disaster", two_houses(2, 3))

    (before,) = read_masks(tmp_path, pixel_size_m=0.5, when="pre")
    (after,) = read_masks(tmp_path, pixel_size_m=0.5)

    assert before.load().grades.tolist() == [0]
    assert after.load().grades.tolist() == [1, 2]
    assert before.cluster == after.cluster


def test_a_plain_mask_says_building_but_neither_grade_nor_where_one_ends(tmp_path: Path) -> None:
    write(tmp_path, "drone", two_houses(255, 255))

    chip = read_masks(tmp_path, pixel_size_m=0.3)[0].load()

    assert chip.semantic
    assert chip.grades.tolist() == [UNKNOWN_GRADE]


def test_a_mask_of_another_size_than_its_image_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "a", two_houses(1, 1))
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "masks" / "a.png")

    with pytest.raises(BadLabels):
        read_masks(tmp_path, pixel_size_m=0.5)[0].load()


def test_a_mask_without_an_image_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "a", two_houses(1, 1))
    (tmp_path / "images" / "a.png").unlink()

    with pytest.raises(BadLabels):
        read_masks(tmp_path, pixel_size_m=0.5)


@pytest.mark.parametrize(("name", "count"), [("ida", 5), ("xbd-harvey", 5), ("accra", 80)])
def test_the_real_mask_folders_are_read(data_dir: Path, name: str, count: int) -> None:
    sources = read_masks(data_dir / "masks" / name, pixel_size_m=0.5)
    chip = sources[0].load()

    assert len(sources) == count
    assert len(chip.grades) > 0
    assert (chip.grades >= 0).any() != chip.semantic
