"""Buildings that nobody could grade say so, with the reason, in every format and any sharding."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyogrio
import pytest
from numpy.typing import NDArray
from shapely.affinity import translate
from shapely.geometry import Polygon, box

from detection.cli import main
from detection.detector import BoxGrades, ModelSpec, TileDetections
from detection.grades import Grade
from detection.outputs import describe, write_footprints
from detection.pipeline import (
    DetectionOptions,
    ScenePlan,
    ShardResult,
    detect_scene,
    detect_shard,
    plan_scene,
    plan_shards,
)
from detection.training.evaluate import ALL, evaluate
from tests.conftest import MakeGeotiff
from tests.detection.oracle import NumberOracle, paint, spec
from tests.detection.test_pipeline import NOON, OPTIONS, ORACLE, as_bytes, in_pixels
from tests.detection.training.test_evaluate import TILE_SPEC, chip, source

HOUSE = box(30, 30, 50, 50)
TIE = np.array([0.1, 0.405, 0.395, 0.1], np.float32)


@dataclass(frozen=True)
class Hesitant:
    """Finds every building and cannot tell minor damage from major."""

    spec: ModelSpec
    batch_size: int = 1

    def predict(self, images: NDArray[np.uint8], *, min_score: float) -> list[TileDetections]:
        found = NumberOracle(self.spec).predict(images, min_score=min_score)
        return [replace(o, probabilities=np.tile(TIE, (len(o.scores), 1))) for o in found]

    def grade(
        self, images: NDArray[np.uint8], boxes: Sequence[NDArray[np.float32]]
    ) -> list[BoxGrades]:
        found = NumberOracle(self.spec).grade(images, boxes)
        return [replace(o, probabilities=np.tile(TIE, (len(o.scores), 1))) for o in found]


@pytest.mark.parametrize(
    ("margin", "grade", "because"),
    [
        (0.02, Grade.UNCLASSIFIED, "near_tie"),
        (0.005, Grade.MINOR_DAMAGE, None),
        (0.0, Grade.MINOR_DAMAGE, None),
    ],
)
def test_two_grades_nearly_as_likely_are_no_grade(
    make_geotiff: MakeGeotiff, margin: float, grade: Grade, because: str | None
) -> None:
    path = make_geotiff(paint([HOUSE], width=90, height=90))
    options = replace(OPTIONS, grade_margin=margin)

    (found,) = detect_scene(path, Hesitant(spec()), options).footprints

    assert (found.grade, found.unclassified_because) == (grade, because)
    assert found.probabilities == pytest.approx((0.1, 0.405, 0.395, 0.1), abs=1e-4)
    assert found.grade_score == pytest.approx(0.405, abs=1e-4)


@pytest.mark.parametrize(
    ("building", "hidden"),
    [
        (box(0, 30, 20, 50), False),  # as long as it is deep
        (box(0, 20, 8, 60), True),  # a strip: the rest of it lies outside
        (box(70, 0, 110, 7), True),
        (box(2, 20, 10, 60), False),  # beside the edge, not at it
        (Polygon([(0, 40), (20, 20), (40, 40), (20, 60)]), False),  # one corner
    ],
)
def test_a_building_of_which_the_scene_shows_a_strip_has_no_grade(
    make_geotiff: MakeGeotiff, building: Polygon, *, hidden: bool
) -> None:
    path = make_geotiff(paint([building], width=120, height=100))

    (found,) = detect_scene(path, ORACLE, OPTIONS).footprints

    assert (found.grade is Grade.UNCLASSIFIED) is hidden
    assert found.unclassified_because == ("edge" if hidden else None)


def test_a_building_of_which_nodata_leaves_a_strip_has_no_grade(make_geotiff: MakeGeotiff) -> None:
    strip, whole = box(42, 20, 50, 60), box(70, 20, 100, 50)
    pixels = paint([strip, whole], width=120, height=100)
    pixels[:, :, 50:70] = 0
    path = make_geotiff(pixels, nodata=0)

    found = detect_scene(path, ORACLE, OPTIONS).footprints

    because = {round(in_pixels(one).bounds[0]): one.unclassified_because for one in found}
    assert because == {42: "nodata", 70: None}
    assert all(one.clipped for one in found)


@pytest.fixture
def edges(make_geotiff: MakeGeotiff) -> Path:
    strips = [translate(box(0, 0, 8, 40), 0, 50 * n) for n in range(5)]
    rows = [translate(box(20, 0, 60, 6), 60 * n, 0) for n in range(3)]
    pixels = paint([*strips[1:], *rows, box(40, 40, 180, 200)], width=230, height=240)
    pixels[:, 100:110, 100:140] = 0
    return make_geotiff(pixels, nodata=0)


def test_any_sharding_leaves_the_same_buildings_without_a_grade(edges: Path) -> None:
    plan = plan_scene(edges, ORACLE.spec, OPTIONS)

    def run(shards: int) -> bytes:
        todo = reversed(plan_shards(plan, shards=shards))
        done = [detect_shard(edges, plan, shard, ORACLE) for shard in todo]
        return as_bytes(plan, [ShardResult.from_bytes(one.to_bytes()) for one in done])

    assert run(1) == run(3) == run(7)
    assert run(1).count(b'"unclassified_because": "edge"') >= 5


@pytest.mark.parametrize("name", ["a.geojson", "a.gpkg", "a.fgb", "a.parquet"])
def test_every_format_says_it_and_why(edges: Path, tmp_path: Path, name: str) -> None:
    result = detect_scene(edges, ORACLE, OPTIONS)
    path = tmp_path / name

    write_footprints(path, result.footprints, describe(result.plan, result.counts, time=NOON))

    if name.endswith("parquet"):
        from pyarrow import parquet

        table = parquet.read_table(path)
        grades, reasons = (table[c].to_pylist() for c in ("grade", "unclassified_because"))
    else:
        meta, _, _, columns = pyogrio.raw.read(path)
        told = dict(zip(meta["fields"], columns, strict=True))
        grades, reasons = told["grade"].tolist(), told["unclassified_because"].tolist()
    pairs = set(zip(grades, reasons, strict=True))
    assert ("unclassified", "edge") in pairs
    assert {because for grade, because in pairs if grade != "unclassified"} == {None}


def test_the_margin_is_told_with_the_options_and_kept_in_the_plan(edges: Path) -> None:
    plan = plan_scene(edges, ORACLE.spec, DetectionOptions(grade_margin=0.07))

    assert ScenePlan.from_json(plan.to_json()).options.grade_margin == 0.07
    assert plan.describe_options()["grade_margin"] == 0.07


def test_a_building_without_a_grade_is_found_but_not_damaged() -> None:
    report = evaluate(Hesitant(TILE_SPEC), [source(chip("a"))]).reports[ALL]

    assert report.scores["building_f1"].value == 1.0
    assert report.scores["damaged_recall"].value == 0.0
    assert report.scores["xview2_localisation"].value == pytest.approx(1.0, abs=0.03)
    assert report.scores["xview2_damage"].value == pytest.approx(0.0, abs=1e-3)
    assert [row[5] for row in report.confusion] == [3, 3, 3, 3, 0]
    assert [row[4] for row in report.confusion] == [0] * 5


def test_given_outlines_can_be_unclassified_too(
    make_geotiff: MakeGeotiff, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from detection import cli

    monkeypatch.setattr(cli, "load_detector", lambda *_args, **_kwargs: Hesitant(spec()))
    image = make_geotiff(paint([HOUSE], width=90, height=90))
    plain = tmp_path / "plain.geojson"
    assert main(["detect", str(image), "--output", str(plain), "--grade-margin", "0"]) == 0
    out = tmp_path / "judged.geojson"

    assert main(["detect", str(image), "--outlines", str(plain), "--output", str(out)]) == 0

    (feature,) = json.loads(out.read_text())["features"]
    assert feature["properties"]["grade"] == "unclassified"
    assert feature["properties"]["unclassified_because"] == "near_tie"
    assert datetime.fromisoformat(json.loads(out.read_text())["metadata"]["time"]).tzinfo == UTC
