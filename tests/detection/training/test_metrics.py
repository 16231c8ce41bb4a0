"""Scores: held to published peers and to cases worked out by hand."""

import json
from pathlib import Path

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from shapely import Polygon, box
from shapely.geometry.base import BaseGeometry

from detection.labels.xbd import read_xbd
from detection.training.metrics import (
    Drawn,
    Found,
    Matches,
    PixelCounts,
    SceneCounts,
    average_precision,
    choose_operating_score,
    count_pixels,
    differences,
    harmonic_f1,
    match,
    summarise,
    xview2_f1,
)

NOWHERE = Polygon()
NO_PIXELS = PixelCounts(np.zeros(3), np.zeros((4, 3)))
Box = tuple[int, int, int, int]


def drawn(
    outlines: list[BaseGeometry], grades: list[int], ignored: BaseGeometry = NOWHERE
) -> Drawn:
    return Drawn(outlines, np.array(grades, np.int8), ignored)


def found(outlines: list[BaseGeometry], grades: list[int], scores: list[float]) -> Found:
    sure = np.eye(5)[grades, :4].reshape(-1, 4)
    return Found(outlines, np.array(grades, np.int8), np.array(scores, np.float64), sure)


def ten(column: int) -> BaseGeometry:
    """A house of ten pixels, one of a row."""
    return box(20 * column, 0, 20 * column + 10, 10)


def counted(truth: Drawn, answer: Found, operating_score: float = 0.5) -> SceneCounts:
    return SceneCounts.of(match(truth, answer), NO_PIXELS, operating_score)


boxes = st.tuples(
    st.integers(0, 40), st.integers(0, 40), st.integers(2, 14), st.integers(2, 14)
).map(lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3]))


@settings(max_examples=60, deadline=None)
@given(
    scenes=st.lists(
        st.tuples(
            st.lists(boxes, max_size=8),
            st.lists(st.tuples(boxes, st.integers(0, 10_000)), max_size=12),
        ),
        min_size=1,
        max_size=3,
    )
)
def test_average_precision_equals_that_of_pycocotools(
    scenes: list[tuple[list[Box], list[tuple[Box, int]]]],
) -> None:
    # distinct scores, and found boxes that copy a drawn one now and then
    matches, truth, results, number = [], [], [], 0
    for image, (houses, answers) in enumerate(scenes):
        copies = [(house, 5_000 + k) for k, house in enumerate(houses[::2])]
        scored = []
        for where, score in [*answers, *copies]:
            number += 1
            scored.append((where, (score * 1_000 + number) / 2e7))
        matches.append(
            match(
                drawn([box(*h) for h in houses], [0] * len(houses)),
                found([box(*b) for b, _ in scored], [0] * len(scored), [s for _, s in scored]),
            )
        )
        truth += [(image, h) for h in houses]
        results += [(image, b, s) for b, s in scored]
    expected = _coco_ap(len(scenes), truth, results)

    (ours,) = average_precision(matches, np.ones((1, len(scenes))))

    if not truth:
        assert np.isnan(ours)
    else:
        assert ours == pytest.approx(expected, abs=1e-9)


def _coco_ap(
    images: int, truth: list[tuple[int, Box]], results: list[tuple[int, Box, float]]
) -> float:
    def xywh(b: Box) -> list[int]:
        return [b[0], b[1], b[2] - b[0], b[3] - b[1]]

    coco, answers = COCO(), COCO()
    pictures = [{"id": k} for k in range(images)]
    categories = [{"id": 1, "name": "building"}]
    common = {"category_id": 1, "iscrowd": 0}
    coco.dataset = {
        "images": pictures,
        "categories": categories,
        "annotations": [
            {"id": k, "image_id": i, "bbox": xywh(b), "area": xywh(b)[2] * xywh(b)[3], **common}
            for k, (i, b) in enumerate(truth, start=1)
        ],
    }
    answers.dataset = {
        "images": pictures,
        "categories": categories,
        "annotations": [
            {
                "id": k,
                "image_id": i,
                "bbox": xywh(b),
                "area": xywh(b)[2] * xywh(b)[3],
                "score": s,
                **common,
            }
            for k, (i, b, s) in enumerate(results, start=1)
        ],
    }
    coco.createIndex()
    answers.createIndex()
    judge = COCOeval(coco, answers, "bbox")
    judge.params.iouThrs = np.array([0.5])
    judge.params.areaRng, judge.params.areaRngLbl = [[0, 1e9]], ["all"]
    judge.params.maxDets = [1000]
    judge.evaluate()
    judge.accumulate()
    precision = judge.eval["precision"]
    return float(precision[precision > -1].mean()) if (precision > -1).any() else float("nan")


def test_matching_agrees_with_a_published_oracle(data_dir: Path) -> None:
    truth = _geometries(data_dir / "metrics" / "solaris_gt.geojson")
    answer = _geometries(data_dir / "metrics" / "solaris_pred.geojson")

    pairs = match(
        drawn(truth, [-1] * len(truth)), found(answer, [0] * len(answer), [1.0] * len(answer))
    )
    hits = int((pairs.partner >= 0).sum())

    assert (hits, len(answer) - hits, len(truth) - hits) == (8, 20, 20)


def _geometries(path: Path) -> list[BaseGeometry]:
    features = json.loads(path.read_text())["features"]
    return [shapely.from_geojson(json.dumps(feature["geometry"])) for feature in features]


def test_the_xview2_score_of_a_published_prediction_is_the_published_one(data_dir: Path) -> None:
    scenes = read_xbd(data_dir / "xbd" / "val")
    (scene,) = (s for s in scenes if s.name == "hurricane-michael_00000197_post_disaster")
    chip = scene.load()
    levels = np.concatenate([[0], chip.grades + 1])[chip.instances]
    where = np.asarray(Image.open(data_dir / "metrics" / "test_localization_00121_prediction.png"))
    what = np.asarray(Image.open(data_dir / "metrics" / "test_damage_00121_prediction.png"))

    pixels = count_pixels(where, what, levels)

    assert xview2_f1(pixels.localisation) == pytest.approx(0.917, abs=0.01)
    assert xview2_f1(pixels.damage) == pytest.approx([0.81, 0.06, 0.48, 0.87], abs=0.01)


def test_damage_said_of_bare_ground_costs_only_localisation() -> None:
    truth, said = np.zeros((4, 4), int), np.zeros((4, 4), int)
    truth[0], said[0], said[3] = 2, 2, 4

    pixels = count_pixels(said, said, truth)

    assert pixels.localisation.tolist() == [4, 4, 0]
    assert pixels.damage[:, 1].sum() == 0


def test_a_missed_building_is_a_miss_of_its_grade_even_where_damage_was_said() -> None:
    truth, said = np.full((2, 2), 3), np.full((2, 2), 3)

    pixels = count_pixels(np.zeros((2, 2), int), said, truth)

    assert pixels.damage[2].tolist() == [0, 0, 4]


def test_one_grade_never_right_brings_the_xview2_damage_score_to_nothing() -> None:
    assert harmonic_f1(np.array([0.9, 0.0, 0.9, 0.9])) < 1e-5
    assert harmonic_f1(np.full(4, 0.5)) == pytest.approx(0.5, abs=1e-5)


def test_what_is_found_on_an_unclassified_building_counts_neither_way() -> None:
    unclassified = box(100, 0, 110, 10)
    truth = drawn([ten(0)], [0], ignored=unclassified.buffer(2))
    answer = found([ten(0), unclassified], [0, 3], [0.9, 0.8])

    scene = counted(truth, answer)

    assert scene.buildings.tolist() == [1, 0, 0]
    assert scene.damaged.tolist() == [0, 0, 0]
    assert average_precision([scene.matches], np.ones((1, 1))) == pytest.approx([1.0])


def test_of_two_detections_of_one_building_the_surer_is_right_and_the_other_false() -> None:
    answer = found([box(0, 0, 10, 9), ten(0)], [0, 0], [0.9, 0.7])

    scene = counted(drawn([ten(0)], [0]), answer)

    assert scene.buildings.tolist() == [1, 1, 0]
    assert scene.matches.partner.tolist() == [0, -1]


def test_minor_taken_for_destroyed_is_still_damaged_but_the_wrong_grade() -> None:
    report = summarise([counted(drawn([ten(0)], [1]), found([ten(0)], [3], [0.9]))])

    assert report.scores["damaged_f1"].value == 1.0
    assert report.scores["f1_minor_damage"].value == 0.0
    assert report.confusion[1] == (0, 0, 0, 1, 0, 0)


def test_a_damaged_building_called_undamaged_is_missed_but_no_false_alarm() -> None:
    scene = counted(drawn([ten(0), ten(1)], [2, 0]), found([ten(0), ten(1)], [0, 1], [0.9, 0.8]))

    assert scene.damaged.tolist() == [0, 1, 1]
    assert scene.buildings.tolist() == [2, 0, 0]


def test_buildings_of_unknown_grade_count_as_buildings_only() -> None:
    scene = counted(drawn([ten(0), ten(1)], [-1, -1]), found([ten(0)], [3], [0.9]))

    assert scene.buildings.tolist() == [1, 0, 1]
    assert scene.damaged.tolist() == [0, 0, 0]


def test_unsure_detections_count_for_average_precision_only() -> None:
    truth = drawn([ten(0), ten(1)], [0, 0])
    scene = counted(truth, found([ten(0), ten(1)], [0, 0], [0.9, 0.1]))

    report = summarise([scene])

    assert report.scores["building_ap50"].value == pytest.approx(1.0)
    assert report.scores["building_recall"].value == 0.5


def test_the_operating_score_separates_right_from_wrong() -> None:
    truth = drawn([ten(k) for k in range(4)], [0] * 4)
    right = [ten(k) for k in range(4)]
    wrong: list[BaseGeometry] = [box(0, 50 + 20 * k, 9, 60 + 20 * k) for k in range(4)]
    answer = found(right + wrong, [0] * 8, [0.6, 0.7, 0.8, 0.9, 0.1, 0.2, 0.3, 0.35])

    assert 0.35 < choose_operating_score([match(truth, answer)]) <= 0.6


def test_the_operating_score_weighs_false_alarms_of_damage_too() -> None:
    truth = drawn([ten(k) for k in range(6)], [0] * 4 + [3] * 2)
    alarms: list[BaseGeometry] = [box(0, 50 + 20 * k, 9, 60 + 20 * k) for k in range(6)]
    answer = found(
        [ten(k) for k in range(6)] + alarms,
        [0] * 4 + [3] * 2 + [3] * 6,
        [0.3] * 4 + [0.8] * 2 + [0.5] * 6,
    )

    assert 0.5 < choose_operating_score([match(truth, answer)]) <= 0.8


def test_scores_without_meaning_are_none_and_one_scene_has_no_interval() -> None:
    empty = counted(drawn([], []), found([], [], []))

    scores = summarise([empty]).scores

    assert scores["building_recall"].value is None
    assert scores["building_f1"].low is None


def test_the_interval_holds_the_value_and_comes_out_the_same_again() -> None:
    scenes = [_scene_of_quality(k) for k in range(8)]

    first, second = summarise(scenes), summarise(scenes)

    score = first.scores["building_f1"]
    assert first == second
    assert score.low is not None
    assert score.high is not None
    assert score.value is not None
    assert score.low < score.value < score.high


def _scene_of_quality(k: int) -> SceneCounts:
    hits = [ten(c) for c in range(k + 1)]
    return counted(
        drawn([ten(c) for c in range(8)], [0] * 8), found(hits, [0] * len(hits), [0.9] * len(hits))
    )


def test_a_scene_drawn_twice_weighs_twice() -> None:
    good: Matches = match(drawn([ten(0)], [0]), found([ten(0)], [0], [0.9]))
    bad: Matches = match(drawn([ten(0)], [0]), found([], [], []))

    weighted = average_precision([good, bad], np.array([[1.0, 3.0]]))
    repeated = average_precision([good, bad, bad, bad], np.ones((1, 4)))

    assert weighted == pytest.approx(repeated)


def test_a_model_that_is_better_everywhere_is_better_for_sure() -> None:
    good = [_scene_of_quality(4 + k % 3) for k in range(8)]
    poor = [_scene_of_quality(k % 3) for k in range(8)]

    better, same = differences(good, poor)["building_f1"], differences(good, good)["building_f1"]

    assert better.value == pytest.approx(
        summarise(good).scores["building_f1"].value - summarise(poor).scores["building_f1"].value  # type: ignore[operator]
    )
    assert better.low is not None
    assert better.low > 0
    assert (same.low, same.value, same.high) == (0, 0, 0)
