"""Chips: stored, cached, resampled, drawn."""

from pathlib import Path

import numpy as np
import pytest
from shapely import Polygon, box

from detection.errors import BadLabels
from detection.grades import Grade
from detection.synthetic import render_chip
from detection.training.chips import (
    IGNORED_GRADE,
    Chip,
    LazyChip,
    at_pixel_size,
    burn,
    cached,
    clusters_of,
    grade_code,
    resampled,
    stored_chips,
)


def test_a_chip_comes_back_from_its_file_as_it_was(tmp_path: Path) -> None:
    chip = render_chip(3, 70)

    chip.save(tmp_path / "c.npz")
    (stored,) = stored_chips(tmp_path)
    back = stored.load()

    assert (stored.event, stored.cluster) == (chip.event, chip.cluster)
    for part in ("image", "instances", "grades", "ignore"):
        assert np.array_equal(getattr(back, part), getattr(chip, part))
    assert (back.name, back.pixel_size_m, back.semantic) == (chip.name, 0.5, False)


def test_a_file_that_is_no_chip_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "c.npz"
    path.write_bytes(b"PK\x03\x04 and then nothing")

    with pytest.raises(BadLabels):
        Chip.open(path)


def test_pickles_are_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "c.npz"
    with path.open("wb") as file:
        np.savez(file, image=np.array([{"a": 1}], dtype=object))

    with pytest.raises(BadLabels):
        Chip.open(path)


def test_a_cached_chip_is_read_from_its_source_once(tmp_path: Path) -> None:
    reads: list[int] = []

    def read() -> Chip:
        reads.append(1)
        return render_chip(3, 40)

    source = LazyChip("a", "e", "c", read)

    (first,) = cached([source], tmp_path)
    (again,) = cached([source], tmp_path)

    assert len(reads) == 1
    assert np.array_equal(first.load().image, again.load().image)


def test_image_and_labels_are_resampled_together() -> None:
    chip = render_chip(3, 100, pixel_size_m=0.3)

    half = resampled(chip, 0.6)

    assert half.image.shape == (3, 50, 50)
    assert half.instances.shape == half.ignore.shape == (50, 50)
    assert half.pixel_size_m == 0.6
    assert np.unique(half.instances).tolist() == list(range(len(half.grades) + 1))


def test_a_chip_of_nearly_the_right_size_is_left_alone() -> None:
    source = LazyChip("a", "e", "c", lambda: render_chip(3, 64, pixel_size_m=0.466))

    (same,) = at_pixel_size([source], 0.46)

    assert np.array_equal(same.load().image, source.load().image)


def test_grades_stay_with_their_buildings_when_small_ones_vanish() -> None:
    outlines: list[tuple[Polygon, int]] = [(box(0, 0, 1, 1), 3), (box(10, 10, 30, 30), 1)]
    instances, grades, ignore = burn(outlines, height=40, width=40)
    image = np.zeros((3, 40, 40), np.uint8)

    small = resampled(Chip(image, instances, grades, ignore, "n", "e", "c", 0.5), 4.0)

    assert small.grades.tolist() == [1]
    assert small.instances.max() == 1


def test_an_outline_too_thin_for_a_pixel_centre_is_still_seen() -> None:
    instances, grades, _ = burn([(box(5.6, 2, 5.9, 12), 2)], height=20, width=20)

    assert grades.tolist() == [2]
    assert (instances > 0).sum() >= 10


def test_outlines_outside_the_image_are_left_out() -> None:
    _, grades, _ = burn([(box(50, 50, 60, 60), 2)], height=20, width=20)

    assert len(grades) == 0


def test_clusters_hold_together_what_touches() -> None:
    sources = [LazyChip(n, "e", c, lambda: render_chip(1, 8)) for n, c in ("ax", "by", "cx")]

    groups = {key: [s.name for s in members] for key, members in clusters_of(sources)}

    assert groups == {"e/x": ["a", "c"], "e/y": ["b"]}


def test_every_grade_has_a_code() -> None:
    assert [grade_code(grade) for grade in Grade] == [0, 1, 2, 3, IGNORED_GRADE]


def test_a_chip_whose_parts_do_not_fit_is_refused() -> None:
    chip = render_chip(3, 100)

    with pytest.raises(ValueError, match="differ in size"):
        Chip(chip.image[:, :20], chip.instances, chip.grades, chip.ignore, "n", "e", "c", 0.5)
    with pytest.raises(ValueError, match="one grade per building"):
        Chip(chip.image, chip.instances, chip.grades[:-1], chip.ignore, "n", "e", "c", 0.5)
