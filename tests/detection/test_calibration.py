"""Calibrated answers: what is mapped, what stays, and what goes together."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely import box

from detection.calibration import Calibration, weighed
from detection.detector import BoxGrader, calibrated
from detection.errors import ModelUnavailable
from detection.pipeline import DetectionOptions, ScenePlan, detect_scene, plan_scene
from detection.weights import read_spec, write_model
from tests.conftest import MakeGeotiff
from tests.detection.oracle import BrightOracle, NumberOracle, paint, score_of, spec
from tests.detection.training.test_evaluate import CARD

HALVED = Calibration(slope=0.8, offset=-1.5, temperature=1.3, bias=(0.0, -0.7, -1.1, -0.5))
HOUSES = [box(8 + 20 * n, 10, 22 + 20 * n, 24) for n in range(8)]
calibrations = st.builds(
    Calibration,
    slope=st.floats(0.2, 5),
    offset=st.floats(-3, 3),
    temperature=st.floats(0.3, 5),
    bias=st.tuples(*[st.floats(-3, 3)] * 4),
)


@settings(deadline=None)
@given(calibrations, st.lists(st.floats(0.01, 0.99), min_size=2, max_size=9))
def test_building_scores_keep_their_order_and_can_be_mapped_back(
    calibration: Calibration, raw: list[float]
) -> None:
    mapped = calibration.scores(np.sort(np.array(raw)))

    assert (np.diff(mapped) >= 0).all()
    inside = (mapped > 0.001) & (mapped < 0.999)
    assert np.allclose(calibration.raw_scores(mapped)[inside], np.sort(raw)[inside], atol=1e-3)


@settings(deadline=None)
@given(calibrations)
def test_probabilities_still_sum_to_one(calibration: Calibration) -> None:
    rows = np.array([[1, 0, 0, 0], [0.25, 0.25, 0.25, 0.25], [0.1, 0.2, 0.3, 0.4]], np.float32)

    assert np.allclose(calibration.probabilities(rows).sum(axis=1), 1, atol=1e-5)


def test_nothing_is_mapped_by_the_parameters_that_map_nothing() -> None:
    raw = np.array([0.02, 0.5, 0.97], np.float32)
    rows = np.array([[0.1, 0.2, 0.3, 0.4]], np.float32)

    assert np.allclose(Calibration().scores(raw), raw, atol=1e-6)
    assert np.allclose(Calibration().probabilities(rows), rows, atol=1e-6)


def test_weights_that_undo_the_bias_choose_what_the_network_would_have_chosen() -> None:
    rng = np.random.default_rng(1)
    raw = rng.dirichlet(np.ones(4), size=500).astype(np.float32)
    bias = np.array(HALVED.bias)

    shares = weighed(HALVED.probabilities(raw), tuple(np.exp(-bias)))

    assert (shares.argmax(axis=1) == raw.argmax(axis=1)).all()


@pytest.mark.parametrize("wrong", [{"slope": 0.0}, {"bias": (0.0,)}, {"offset": float("nan")}])
def test_parameters_that_map_nothing_sensible_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"above 0|one bias|finite"):
        replace(HALVED, **wrong)  # type: ignore[arg-type]


def test_a_card_carries_the_calibration_to_whoever_loads_the_model(tmp_path: Path) -> None:
    said = json.loads(json.dumps(HALVED.to_json() | {"fitted_on": "somewhere"}))
    write_model(tmp_path, b"", CARD | {"calibration": said})

    assert read_spec(tmp_path).calibration == HALVED


def test_a_card_with_half_a_calibration_is_refused(tmp_path: Path) -> None:
    write_model(tmp_path, b"", CARD | {"calibration": {"slope": 1.0}})

    with pytest.raises(ModelUnavailable, match="card"):
        read_spec(tmp_path)


def test_a_plan_remembers_the_calibration(make_geotiff: MakeGeotiff) -> None:
    path = make_geotiff(paint(HOUSES, width=180, height=40))
    plan = plan_scene(path, replace(spec(), calibration=HALVED))

    assert ScenePlan.from_json(plan.to_json()).model.calibration == HALVED
    assert plan.run_sha256 != plan_scene(path, spec()).run_sha256


def test_the_pipeline_says_calibrated_scores_and_probabilities_of_the_same_buildings(
    make_geotiff: MakeGeotiff,
) -> None:
    path = make_geotiff(paint(HOUSES, width=180, height=40))
    least = float(HALVED.scores(np.array([0.6]))[0])
    usual = detect_scene(path, NumberOracle(spec()), DetectionOptions(min_score=0.6)).footprints
    mapped = detect_scene(
        path,
        NumberOracle(replace(spec(), calibration=HALVED)),
        DetectionOptions(min_score=least),
    ).footprints

    assert [one.outline for one in mapped] == [one.outline for one in usual]
    raw = np.array([one.score for one in usual])
    assert set(np.round(raw, 2)) <= {round(score_of(n), 2) for n in range(1, 9)}
    assert np.allclose([one.score for one in mapped], HALVED.scores(raw), atol=1e-3)
    assert np.allclose(
        [one.probabilities for one in mapped],
        HALVED.probabilities(np.array([one.probabilities for one in usual])),
        atol=1e-3,
    )


def test_the_grade_is_the_one_of_the_most_weight_and_its_probability_is_told(
    make_geotiff: MakeGeotiff,
) -> None:
    path = make_geotiff(paint(HOUSES, width=180, height=40))
    heavy = Calibration(weight=(1.0, 1.0, 1.0, 100.0))

    found = detect_scene(path, NumberOracle(replace(spec(), calibration=heavy))).footprints

    assert {one.grade.value for one in found} == {"destroyed"}
    assert {one.grade_score for one in found} == {0.1, 0.7}


def test_a_detector_that_judges_no_boxes_still_judges_none_once_calibrated() -> None:
    assert isinstance(calibrated(NumberOracle(spec()), HALVED), BoxGrader)
    assert not isinstance(calibrated(BrightOracle(spec()), HALVED), BoxGrader)
