"""Made-up scenes: the same again, seamless, and with a truth that fits the pixels."""

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
from shapely import Polygon, box

from detection.errors import BadOutput
from detection.grades import MODEL_GRADES
from detection.labels.vectors import chip_from_outlines
from detection.synthetic import SceneFile, TownScene, render_chip, write_scene

SMALL = SceneFile(300, 200)


def test_a_seed_always_gives_the_same_chip_and_another_seed_another() -> None:
    first, again, other = render_chip(5, 96), render_chip(5, 96), render_chip(6, 96)

    assert np.array_equal(first.image, again.image)
    assert np.array_equal(first.instances, again.instances)
    assert not np.array_equal(first.image, other.image)


@pytest.mark.parametrize("seed", range(4))
def test_a_window_looks_the_same_from_wherever_it_is_rendered(seed: int) -> None:
    scene = TownScene(seed)
    whole, outlines = scene.render(0, 0, 256, 256)
    part, seen = scene.render(128, 64, 128, 128)

    difference = np.abs(whole[:, 64:192, 128:].astype(int) - part)

    assert difference.mean() < 12  # grain differs, the picture does not
    assert np.corrcoef(whole[:, 64:192, 128:].ravel(), part.ravel())[0, 1] > 0.9
    window = box(128, 64, 256, 192)
    assert {o.wkb for o, _ in seen} == {o.wkb for o, _ in outlines if o.intersects(window)}


def test_pixels_left_of_the_origin_exist_too() -> None:
    image, _ = TownScene(3).render(-500, -700, 64, 64)

    assert image.shape == (3, 64, 64)
    assert image.std() > 2


def test_buildings_have_the_sizes_of_buildings_and_valid_outlines() -> None:
    outlines = [o for seed in range(6) for o, _ in TownScene(seed, 0.5).render(0, 0, 512, 512)[1]]

    sides_m = [0.5 * max(o.bounds[2] - o.bounds[0], o.bounds[3] - o.bounds[1]) for o in outlines]

    assert len(outlines) > 100
    assert all(o.is_valid for o in outlines)
    assert min(sides_m) > 2.5
    assert max(sides_m) < 100


@pytest.mark.parametrize("grade", range(len(MODEL_GRADES)))
def test_the_grade_asked_for_is_the_grade_painted(grade: int) -> None:
    p_damage = [float(k == grade) for k in range(len(MODEL_GRADES))]

    chip = render_chip(11, 256, p_damage=p_damage)

    assert set(chip.grades.tolist()) == {grade}


def test_damage_changes_the_building_and_not_the_town() -> None:
    intact = render_chip(11, 256, p_damage=(1, 0, 0, 0))
    ruined = render_chip(11, 256, p_damage=(0, 0, 0, 1))

    difference = np.abs(intact.image.astype(int) - ruined.image).mean(axis=0)
    both = (intact.instances > 0) & (ruined.instances > 0)

    assert difference[both].mean() > 2 * difference[~both].mean()


def test_a_written_scene_carries_its_position_its_truth_and_that_it_is_made_up(
    tmp_path: Path,
) -> None:
    image, truth = tmp_path / "scene.tif", tmp_path / "scene.geojson"

    count = write_scene(image, truth, TownScene(7), SMALL)

    collection = json.loads(truth.read_text())
    assert collection["synthetic"] is True
    assert len(collection["features"]) == count > 0
    rings = [Polygon(f["geometry"]["coordinates"][0]).exterior for f in collection["features"]]
    assert all(ring.is_ccw for ring in rings)
    with rasterio.open(image) as dataset:
        assert dataset.crs.to_epsg() == 32631
        assert dataset.res == (0.5, 0.5)
        assert dataset.tags()["SYNTHETIC"] == "yes"


def test_every_building_is_in_the_truth_once_though_tiles_share_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, truth = tmp_path / "scene.tif", tmp_path / "scene.geojson"
    scene, frame = TownScene(7), box(0, 0, SMALL.width, SMALL.height)
    _, outlines = scene.render(0, 0, SMALL.width, SMALL.height)
    expected = sum(outline.intersection(frame).area > 0 for outline, _ in outlines)
    monkeypatch.setattr("detection.synthetic.TILE_PX", 64)

    assert write_scene(image, truth, scene, SMALL) == expected


def test_the_truth_that_is_written_lies_on_the_pixels(tmp_path: Path) -> None:
    image, truth = tmp_path / "scene.tif", tmp_path / "scene.geojson"
    scene = TownScene(7)
    write_scene(image, truth, scene, SceneFile(256, 256))

    read = chip_from_outlines(image, truth, pixel_size_m=0.5, event="x")

    made = render_chip(7, 256)
    assert ((read.instances > 0) != (made.instances > 0)).mean() < 0.002
    assert sorted(read.grades) == sorted(made.grades)


def test_a_scene_that_cannot_be_written_is_refused_with_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(BadOutput):
        write_scene(tmp_path / "no" / "s.tif", tmp_path / "t.geojson", TownScene(1), SMALL)


@pytest.mark.parametrize("p_damage", [(0, 0, 0, 0), (1, 0, 0), (-1, 1, 1, 1)])
def test_impossible_damage_is_refused(p_damage: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="probability"):
        render_chip(1, 64, p_damage=p_damage)
