"""The xBD layout: made small here, and the real one."""

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.errors import NotGeoreferencedWarning

from detection.errors import BadLabels
from detection.labels.xbd import read_outlines, read_xbd, with_before
from detection.training.chips import IGNORED_GRADE

SQUARE = "POLYGON (({0} {0}, {1} {0}, {1} {1}, {0} {1}, {0} {0}))"


def feature(wkt: str, subtype: str | None) -> dict[str, object]:
    properties = {"feature_type": "building", "uid": wkt}
    return {"wkt": wkt, "properties": properties | ({"subtype": subtype} if subtype else {})}


def write_scene(
    folder: Path, name: str, features: list[dict[str, object]], *, value: int = 90
) -> None:
    for part in ("images", "labels"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    with (
        pytest.warns(NotGeoreferencedWarning),
        rasterio.open(
            folder / "images" / f"{name}.tif",
            "w",
            driver="GTiff",
            width=64,
            height=48,
            count=3,
            dtype="uint8",
        ) as dataset,
    ):
        dataset.write(np.full((3, 48, 64), value, np.uint8))
    label = {"features": {"xy": features, "lng_lat": []}, "metadata": {"gsd": 2.1}}
    (folder / "labels" / f"{name}.json").write_text(json.dumps(label))


def test_outlines_become_numbered_pixels_with_their_grades(tmp_path: Path) -> None:
    squares = [SQUARE.format(2, 8), SQUARE.format(20, 40)]
    write_scene(
        tmp_path,
        "storm_1_post_disaster",
        [feature(squares[0], "destroyed"), feature(squares[1], "minor-damage")],
    )

    (source,) = read_xbd(tmp_path)
    chip = source.load()

    assert (source.event, chip.event) == ("storm", "storm")
    assert chip.grades[chip.instances[4, 4] - 1] == 3
    assert chip.grades[chip.instances[30, 30] - 1] == 1
    assert (chip.instances > 0).sum() == 36 + 400
    assert not chip.ignore.any()


def test_an_unclassified_building_is_neither_background_nor_example(tmp_path: Path) -> None:
    write_scene(
        tmp_path, "storm_1_post_disaster", [feature(SQUARE.format(10, 20), "un-classified")]
    )

    chip = read_xbd(tmp_path)[0].load()

    assert chip.grades.tolist() == [IGNORED_GRADE]
    assert chip.ignore[10:20, 10:20].all()
    assert chip.ignore[8, 15]  # the margin
    assert chip.ignore.sum() < 15 * 15


def test_a_neighbour_is_not_swallowed_by_the_margin_of_an_unclassified_building(
    tmp_path: Path,
) -> None:
    write_scene(
        tmp_path,
        "storm_1_post_disaster",
        [
            feature(SQUARE.format(10, 20), "un-classified"),
            feature(SQUARE.format(20, 30), "no-damage"),
        ],
    )

    chip = read_xbd(tmp_path)[0].load()

    assert not chip.ignore[20:30, 20:30].any()


def test_before_the_disaster_every_building_is_undamaged(tmp_path: Path) -> None:
    write_scene(tmp_path, "storm_1_pre_disaster", [feature(SQUARE.format(10, 20), None)])

    assert read_xbd(tmp_path, when="pre")[0].load().grades.tolist() == [0]


def test_a_pair_has_the_image_before_in_its_first_bands(tmp_path: Path) -> None:
    write_scene(tmp_path, "storm_1_post_disaster", [feature(SQUARE.format(2, 8), "destroyed")])
    write_scene(tmp_path, "storm_1_pre_disaster", [], value=30)

    (pair,) = with_before(tmp_path, read_xbd(tmp_path))
    chip = pair.load()

    assert chip.image.shape == (6, 48, 64)
    assert (chip.image[:3] == 30).all()
    assert (chip.image[3:] == 90).all()
    assert chip.grades.tolist() == [3]


def test_a_pair_without_its_image_before_is_refused(tmp_path: Path) -> None:
    write_scene(tmp_path, "storm_1_post_disaster", [feature(SQUARE.format(2, 8), "destroyed")])
    (pair,) = with_before(tmp_path, read_xbd(tmp_path))

    with pytest.raises(BadLabels):
        pair.load()


def test_a_small_outline_inside_a_large_one_stays_visible(tmp_path: Path) -> None:
    write_scene(
        tmp_path,
        "storm_1_post_disaster",
        [
            feature(SQUARE.format(20, 24), "destroyed"),
            feature(SQUARE.format(10, 40), "no-damage"),
        ],
    )

    chip = read_xbd(tmp_path)[0].load()

    assert sorted(np.bincount(chip.instances.ravel())[1:]) == [16, 900 - 16]


def test_a_ring_that_crosses_itself_is_mended(tmp_path: Path) -> None:
    bow = "POLYGON ((5 5, 25 25, 25 5, 5 25, 5 5))"
    write_scene(tmp_path, "storm_1_post_disaster", [feature(bow, "destroyed")])

    outlines = read_outlines(tmp_path / "labels" / "storm_1_post_disaster.json")

    assert len(outlines) == 2
    assert all(outline.is_valid for outline, _ in outlines)


def test_clusters_pixel_sizes_and_splits_come_from_the_manifest(tmp_path: Path) -> None:
    for number in (1, 2):
        write_scene(tmp_path / "all", f"storm_{number}_post_disaster", [])
    (tmp_path / "manifest.csv").write_text(
        "scene,split,cluster,gsd\nstorm_1,train,7,0.31\nstorm_2,val,8,\n"
    )

    everything = read_xbd(tmp_path / "all")
    (kept,) = read_xbd(tmp_path / "all", split="val")

    assert [source.cluster for source in everything] == ["7", "8"]
    assert everything[0].load().pixel_size_m == 0.31
    assert kept.name == "storm_2_post_disaster"
    assert 0.4 < kept.load().pixel_size_m < 0.5


@pytest.mark.parametrize("text", ["", "{}", '{"features": {"xy": [{"wkt": "POLYGON"}]}}'])
def test_a_label_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    label = tmp_path / "x.json"
    label.write_text(text)

    with pytest.raises(BadLabels):
        read_outlines(label)


def test_a_folder_without_labels_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadLabels):
        read_xbd(tmp_path)


def test_the_real_validation_scenes_hold_what_their_manifest_says(data_dir: Path) -> None:
    sources = read_xbd(data_dir / "xbd" / "val")
    chip = next(s for s in sources if "michael_00000178" in s.name).load()

    assert len(sources) == 24
    assert len(chip.grades) == 91
    assert set(chip.grades.tolist()) == {0, 1, 2, 3}
    assert chip.pixel_size_m == pytest.approx(0.466, abs=0.01)


def test_no_cluster_of_the_real_scenes_is_in_two_splits(data_dir: Path) -> None:
    train, val = (
        {(s.event, s.cluster) for s in read_xbd(data_dir / "xbd" / split)}
        for split in ("train", "val")
    )

    assert not train & val
