"""Cloud and thick haze are noticed; clear scenes are left alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from detection.detector import BoxGrades, ModelSpec, TileDetections
from detection.grades import Grade
from detection.haze import is_veiled
from detection.labels.images import read_image
from detection.labels.xbd import read_outlines
from detection.pipeline import DetectionOptions, detect_scene
from detection.synthetic import render_chip
from tests.conftest import MakeGeotiff
from tests.detection.oracle import spec

SIZE = 200
PLACE = (90.0, 90.0, 115.0, 110.0)


def veil(image: NDArray[np.uint8], share: float) -> NDArray[np.uint8]:
    """White air in front of an image, so much of what is seen."""
    return (image * (1 - share) + 230 * share).astype(np.uint8)


@dataclass(frozen=True)
class SeesOne:
    """Says that there is one building in the middle, destroyed, whatever the pixels."""

    spec: ModelSpec
    batch_size: int = 1

    def predict(self, images: NDArray[np.uint8], *, min_score: float) -> list[TileDetections]:
        one = TileDetections(
            np.array([PLACE], np.float32),
            (np.ones((28, 28), np.float32),),
            np.array([max(0.9, min_score)], np.float32),
            np.array([[0.1, 0.1, 0.1, 0.7]], np.float32),
        )
        return [one for _ in images]

    def grade(
        self, images: NDArray[np.uint8], boxes: Sequence[NDArray[np.float32]]
    ) -> list[BoxGrades]:
        raise NotImplementedError


@pytest.mark.parametrize(
    ("share", "because"), [(0.0, None), (0.1, None), (0.7, "cloud"), (1.0, "cloud")]
)
def test_a_building_under_a_thick_veil_has_no_grade(
    make_geotiff: MakeGeotiff, share: float, because: str | None
) -> None:
    town = render_chip(4, SIZE, 0.5).image
    path = make_geotiff(veil(town, share))

    (found,) = detect_scene(
        path, SeesOne(spec(tile_px=SIZE)), DetectionOptions(overlap_px=0)
    ).footprints

    assert found.unclassified_because == because
    assert found.grade is (Grade.UNCLASSIFIED if because else Grade.DESTROYED)
    assert found.probabilities == (0.1, 0.1, 0.1, 0.7)


def test_bright_sand_and_nodata_are_no_cloud() -> None:
    sand = np.full((3, SIZE, SIZE), 200, np.uint8)
    sand[2] = 140
    everywhere, nowhere = np.ones((SIZE, SIZE), bool), np.zeros((SIZE, SIZE), bool)

    assert not is_veiled(sand, everywhere, PLACE)
    assert not is_veiled(np.full_like(sand, 230), nowhere, PLACE)
    assert is_veiled(np.full_like(sand, 230), everywhere, PLACE)


def test_a_white_roof_in_clear_air_is_no_cloud() -> None:
    town = render_chip(4, SIZE, 0.5).image.copy()
    town[:, 90:110, 90:115] = 245

    assert not is_veiled(town, np.ones((SIZE, SIZE), bool), PLACE)


def test_of_clear_real_scenes_at_most_one_building_in_two_hundred_is_called_clouded(
    data_dir: Path,
) -> None:
    called = []
    for label in sorted((data_dir / "xbd/val/labels").glob("*_post_disaster.json"))[::3]:
        image = read_image(data_dir / "xbd/val/images" / f"{label.stem}.tif")
        called += [
            is_veiled(image.pixels, image.valid, outline.bounds)
            for outline, _ in read_outlines(label)
        ]

    assert len(called) > 200
    assert np.mean(called) <= 1 / 200
