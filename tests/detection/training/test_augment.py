"""Random views keep labels on their buildings."""

import numpy as np
import pytest

from detection.training.augment import NONE, Augmentation, random_view
from detection.training.chips import IGNORED_GRADE, Chip

BRIGHT = 250


def chip(grades: tuple[int, ...] = (0, 2)) -> Chip:
    """Bright buildings on black ground, so that image and labels can be compared."""
    instances = np.zeros((200, 240), np.int32)
    instances[20:60, 30:90] = 1
    instances[120:180, 100:150] = 2
    return Chip(
        image=np.repeat(np.where(instances > 0, BRIGHT, 0)[None], 3, axis=0).astype(np.uint8),
        instances=instances,
        grades=np.array(grades, np.int8),
        ignore=np.zeros(instances.shape, bool),
        name="chip",
        event="test",
        cluster="0",
        pixel_size_m=0.5,
    )


GEOMETRY = Augmentation(colour=0, grey_share=0, blur_share=0, haze_share=0, jpeg_share=0)


@pytest.mark.parametrize("seed", range(20))
def test_labels_move_with_the_pixels(seed: int) -> None:
    view = random_view(chip(), 96, GEOMETRY, np.random.default_rng(seed))

    bright = view.image[0] > BRIGHT / 2
    labelled = view.instances > 0
    differ = (bright != labelled) & ~view.ignore
    assert differ.mean() < 0.02
    assert view.instances.max(initial=0) == len(view.grades)


@pytest.mark.parametrize("seed", range(10))
def test_an_ignored_building_is_ignored_ground_in_every_view(seed: int) -> None:
    view = random_view(chip((IGNORED_GRADE, 1)), 200, NONE, np.random.default_rng(seed))

    assert IGNORED_GRADE not in view.grades
    assert not ((view.image[0] > BRIGHT / 2) & (view.instances == 0) & ~view.ignore).any()


def test_what_lies_outside_the_chip_is_ignored() -> None:
    view = random_view(chip(), 400, NONE, np.random.default_rng(0))

    assert view.ignore.mean() > 0.5


def test_a_sliver_of_a_building_is_ignored_not_background() -> None:
    for seed in range(40):
        view = random_view(chip(), 48, NONE, np.random.default_rng(seed))
        bright = view.image[0] > BRIGHT / 2
        assert not (bright & (view.instances == 0) & ~view.ignore).any()


@pytest.mark.parametrize("seed", range(5))
def test_the_same_seed_gives_the_same_view(seed: int) -> None:
    first, second = (
        random_view(chip(), 96, Augmentation(), np.random.default_rng(seed)) for _ in range(2)
    )

    assert (first.image == second.image).all()
    assert (first.instances == second.instances).all()
