"""Evaluation through the real pipeline, with detectors whose mistakes are known."""

import json
from argparse import ArgumentTypeError
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from shapely import Polygon, box

from detection.cli import main
from detection.detector import BoxGrades, ModelSpec, TileDetections
from detection.errors import BadLabels
from detection.grades import MODEL_GRADES
from detection.training.chips import IGNORED_GRADE, Chip, LazyChip, burn
from detection.training.commands import _operating_score
from detection.training.evaluate import ALL, Evaluation, evaluate
from detection.training.report import LIMITS, draw_page, to_json, to_table, update_card
from detection.weights import read_card, read_spec, write_model
from tests.detection.oracle import NumberOracle, paint, spec

SIZE = 150
TILE_SPEC = spec(tile_px=256)
HOUSES = [
    box(10 + 30 * col, 10 + 30 * row, 28 + 30 * col, 26 + 30 * row)
    for row in range(3)
    for col in range(4)
]

CARD = {
    "name": "m",
    "version": "1",
    "input_kind": "after",
    "pixel_size_m": 0.46,
    "tile_px": 1024,
    "operating_score": 0.9,
    "licence": "CC-BY-NC-SA-4.0",
    "data": {"xBD": "111 scenes"},
}


def chip(
    name: str, houses: list[Polygon] = HOUSES, event: str = "storm", unclassified: int | None = None
) -> Chip:
    """House number n, counted from 1, has the grade that the oracle reads from it: n % 4."""
    codes = [number % len(MODEL_GRADES) for number in range(1, len(houses) + 1)]
    if unclassified is not None:
        codes[unclassified] = IGNORED_GRADE
    instances, grades, ignore = burn(list(zip(houses, codes, strict=True)), height=SIZE, width=SIZE)
    image = paint(houses, width=SIZE, height=SIZE)
    return Chip(image, instances, grades, ignore, name, event, name, 0.5)


def source(made: Chip) -> LazyChip:
    return LazyChip(made.name, made.event, made.cluster, lambda: made)


@dataclass(frozen=True)
class CallsAllDestroyed:
    """Finds every building and calls each destroyed."""

    spec: ModelSpec = TILE_SPEC
    batch_size: int = 1

    def predict(self, images: NDArray[np.uint8], *, min_score: float) -> list[TileDetections]:
        certain = np.array([0.0, 0.0, 0.0, 1.0], np.float32)
        return [
            replace(one, probabilities=np.tile(certain, (len(one.scores), 1)))
            for one in NumberOracle(self.spec).predict(images, min_score=min_score)
        ]

    def grade(
        self, images: NDArray[np.uint8], boxes: Sequence[NDArray[np.float32]]
    ) -> list[BoxGrades]:
        certain = np.array([0.0, 0.0, 0.0, 1.0], np.float32)
        return [
            replace(one, probabilities=np.tile(certain, (len(one.scores), 1)))
            for one in NumberOracle(self.spec).grade(images, boxes)
        ]


@pytest.fixture(scope="module")
def perfect() -> Evaluation:
    chips = [chip("a"), chip("b", HOUSES[:5], event="fire"), chip("c", [], event="fire")]
    return evaluate(NumberOracle(TILE_SPEC), [source(made) for made in chips])


def test_with_the_outlines_given_only_the_grades_are_scored() -> None:
    report = evaluate(NumberOracle(TILE_SPEC), [source(chip("a"))], outlines_given=True)
    wrong = evaluate(CallsAllDestroyed(), [source(chip("a"))], outlines_given=True)

    assert report.outlines_given
    assert report.reports[ALL].scores["damaged_f1"].value == pytest.approx(1.0)
    assert wrong.reports[ALL].scores["building_f1"].value == pytest.approx(1.0)
    assert wrong.reports[ALL].scores["f1_no_damage"].value == 0.0
    assert "only the grades are its own" in to_table(report)


def test_a_detector_that_is_never_wrong_scores_one(perfect: Evaluation) -> None:
    scores = perfect.reports[ALL].scores

    assert scores["building_ap50"].value == pytest.approx(1.0)
    assert {n: s.value for n, s in scores.items() if n.startswith(("f1", "damaged"))} == {
        n: 1.0 for n in scores if n.startswith(("f1", "damaged"))
    }
    assert scores["xview2"].value == pytest.approx(1.0, abs=0.03)  # outlines are simplified


def test_every_event_is_reported_and_all_together(perfect: Evaluation) -> None:
    assert {name: (r.scenes, r.buildings) for name, r in perfect.reports.items()} == {
        "fire": (2, 5),
        "storm": (1, 12),
        ALL: (3, 17),
    }


def test_finding_is_scored_apart_from_grading() -> None:
    report = evaluate(CallsAllDestroyed(), [source(chip("a"))]).reports[ALL]

    assert report.scores["building_f1"].value == 1.0
    assert report.scores["damaged_recall"].value == 1.0
    assert report.scores["damaged_precision"].value == pytest.approx(9 / 12)
    assert [row[3] for row in report.confusion] == [3, 3, 3, 3, 0]


def test_an_unclassified_building_counts_neither_way_through_the_pipeline() -> None:
    report = evaluate(NumberOracle(TILE_SPEC), [source(chip("a", unclassified=2))]).reports[ALL]

    assert report.buildings == 11
    assert report.scores["building_precision"].value == 1.0
    assert report.scores["xview2_localisation"].value == pytest.approx(1.0, abs=0.03)


def test_pixels_of_another_size_than_the_models_are_scored_in_the_scenes_own() -> None:
    coarse = replace(chip("a"), pixel_size_m=0.6)
    finer = NumberOracle(spec(pixel_size_m=0.6, tile_px=256))

    assert evaluate(finer, [source(coarse)]).reports[ALL].scores["building_f1"].value == 1.0


def test_the_operating_score_is_the_models_own_unless_asked_to_choose() -> None:
    scenes = [source(chip("a"))]

    assert evaluate(NumberOracle(TILE_SPEC), scenes).operating_score == 0.5
    assert 0.05 <= evaluate(NumberOracle(TILE_SPEC), scenes, operating_score=-1).operating_score < 1


def test_progress_is_told_scene_by_scene() -> None:
    heard: list[tuple[int, int]] = []

    evaluate(
        NumberOracle(TILE_SPEC),
        [source(chip("a")), source(chip("b"))],
        on_scene=lambda done, total: heard.append((done, total)),
    )

    assert heard == [(1, 2), (2, 2)]


def test_a_chip_of_nothing_but_nodata_scores_like_one_where_nothing_is_found() -> None:
    black = replace(chip("a", []), image=np.zeros((3, SIZE, SIZE), np.uint8))

    assert evaluate(NumberOracle(TILE_SPEC), [source(black)]).reports[ALL].buildings == 0


def test_labels_that_merge_touching_buildings_are_refused() -> None:
    with pytest.raises(BadLabels):
        evaluate(NumberOracle(TILE_SPEC), [source(replace(chip("a"), semantic=True))])


def test_no_scenes_are_refused() -> None:
    with pytest.raises(BadLabels):
        evaluate(NumberOracle(TILE_SPEC), [])


def test_the_json_has_every_score_with_its_interval(perfect: Evaluation) -> None:
    written = json.loads(json.dumps(to_json(perfect)))

    assert written["events"]["all"]["scores"]["damaged_f1"] == {
        "value": 1.0,
        "low": 1.0,
        "high": 1.0,
    }
    assert written["events"]["storm"]["buildings_per_grade"]["destroyed"] == 3


def test_the_table_names_events_scores_and_missed_buildings(perfect: Evaluation) -> None:
    table = to_table(perfect)

    assert "storm" in table
    assert "Damaged F1" in table
    assert "missed" in table


def test_the_page_is_a_picture(perfect: Evaluation, tmp_path: Path) -> None:
    draw_page(perfect, tmp_path / "page.png")

    assert (tmp_path / "page.png").read_bytes().startswith(b"\x89PNG")


def test_the_card_gets_scores_limits_and_a_version_for_people(
    perfect: Evaluation, tmp_path: Path
) -> None:
    write_model(tmp_path, b"weights", CARD)

    update_card(tmp_path, perfect, data="xBD val")

    card, words = read_card(tmp_path), (tmp_path / "card.md").read_text()
    assert read_spec(tmp_path).operating_score == 0.5
    assert card["scores"]["on"] == "xBD val"
    assert card["limits"] == list(LIMITS)
    assert "CC-BY-NC-SA-4.0" in words
    assert "xBD: 111 scenes" in words
    assert "Damaged F1 | 1.000" in words


def test_the_command_writes_a_scene_and_its_truth(tmp_path: Path) -> None:
    image = tmp_path / "town.tif"

    assert main(["synthesize", str(image), "--size", "200x120", "--seed", "4"]) == 0

    assert image.exists()
    assert "features" in json.loads((tmp_path / "town_truth.geojson").read_text())


def test_the_command_refuses_folders_without_labels(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_model(tmp_path / "m", b"", CARD)

    assert main(["evaluate", "--model", str(tmp_path / "m"), "--xbd", str(tmp_path)]) == 1
    assert capsys.readouterr().err.strip().endswith(".")


@pytest.mark.parametrize("words", ["1.5", "-1", "high"])
def test_an_operating_score_is_between_0_and_1(words: str) -> None:
    with pytest.raises((ValueError, ArgumentTypeError), match=r"between|could not"):
        _operating_score(words)
