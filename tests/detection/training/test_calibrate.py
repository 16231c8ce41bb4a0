"""Calibration found on models whose lies are known, and how it is told."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from detection.calibration import Calibration
from detection.cli import main
from detection.errors import BadLabels
from detection.training.calibrate import Labelled, calibrate, fit_all
from detection.training.evaluate import ALL, evaluate
from detection.training.metrics import Matches
from detection.training.reliability import BINS, BUILDING, DAMAGED, LIKELIEST, reliability
from detection.training.report import draw_page, to_calibration, to_json, to_table
from detection.training.report import write_calibration as write
from detection.weights import DEFAULT_MODEL, find_model, read_card, read_spec, write_model
from tests.detection.oracle import NumberOracle
from tests.detection.training.test_evaluate import CARD, TILE_SPEC, chip, source

# A model that boasts: these would make its answers honest.
HONEST = Calibration(slope=0.8, offset=-1.2, temperature=1.5, bias=(0.0, -0.8, -1.2, -0.4))


def boasting(event: str, cluster: int, *, count: int = 400) -> Labelled:
    """What the boaster said of one place: what is true follows from ``HONEST``."""
    rng = np.random.default_rng([cluster, len(event)])
    scores = rng.uniform(0.3, 0.99, count)
    shares = rng.dirichlet(np.full(4, 0.7), count)
    there = rng.random(count) < HONEST.scores(scores)
    true = HONEST.probabilities(shares).cumsum(axis=1)
    grade = np.minimum((rng.random((count, 1)) > true).sum(axis=1), 3)
    partner = np.where(there, np.cumsum(there) - 1, -1)
    order = np.argsort(-scores, kind="stable")
    return Labelled(
        event,
        str(cluster),
        Matches(
            scores[order],
            shares.argmax(axis=1)[order].astype(np.int8),
            partner[order],
            np.zeros(count, bool),
            grade[there].astype(np.int8),
            shares[order],
        ),
    )


PLACES = [boasting(event, cluster) for event in ("flood", "storm") for cluster in range(12)]


def test_answers_that_are_right_as_often_as_they_say_have_no_calibration_error() -> None:
    found = reliability(np.array([0.25] * 4 + [0.75] * 4), np.array([True] + [False] * 6 + [True]))
    exact = reliability(np.repeat([0.25, 0.75], 4), np.array([1, 0, 0, 0, 1, 1, 1, 0], bool))

    assert exact.ece == pytest.approx(0)
    assert found.ece == pytest.approx((4 * 0.0 + 4 * 0.5) / 8)
    assert sum(found.counts) == found.count == 8
    assert len(found.counts) == BINS


def test_no_answers_have_no_calibration_error() -> None:
    assert reliability(np.zeros(0), np.zeros(0, bool)).ece is None


def test_a_boasting_model_is_found_out_and_made_honest() -> None:
    found = fit_all(PLACES, 0.4)

    c = found.calibration
    assert (c.slope, c.offset, c.temperature) == pytest.approx((0.8, -1.2, 1.5), abs=0.15)
    assert c.bias == pytest.approx(HONEST.bias, abs=0.25)
    for name in (BUILDING, LIKELIEST, DAMAGED):
        before, after = (by[ALL][name].ece for by in (found.before, found.crossed))
        assert before is not None
        assert after is not None
        assert after < 0.05 < before, name
    assert found.operating_score == pytest.approx(float(c.scores(np.array([0.4]))[0]), abs=1e-4)


def test_an_event_left_out_is_judged_by_the_others_alone() -> None:
    found = fit_all(PLACES, 0.4)
    alone = fit_all([one for one in PLACES if one.event == "storm"], 0.4)
    liar = [replace(one, event="lies") for one in PLACES[:3]]
    turned = [replace(o, matches=replace(o.matches, partner=o.matches.partner * 0)) for o in liar]

    assert sorted(found.left_out) == ["flood", "storm"]
    assert alone.left_out == {}
    worse = fit_all([*PLACES, *turned], 0.4)
    assert (worse.left_out["lies"][BUILDING].ece or 0) > 0.2


def test_no_cluster_is_judged_by_itself() -> None:
    one_place = [replace(one, event="flood", cluster="1") for one in PLACES]

    found = fit_all(one_place, 0.4)

    # nothing is left to learn from, so nothing is mapped
    for name, before in found.before[ALL].items():
        assert found.crossed[ALL][name].ece == pytest.approx(before.ece, abs=1e-6)


def test_scenes_in_which_nothing_is_found_are_refused() -> None:
    with pytest.raises(BadLabels):
        fit_all([], 0.5)
    with pytest.raises(BadLabels):
        calibrate(NumberOracle(TILE_SPEC), [source(chip("a", []))])


def test_a_calibration_is_found_through_the_pipeline_whatever_the_card_had() -> None:
    scenes = [source(chip(name)) for name in "abcdef"]
    plain = calibrate(NumberOracle(TILE_SPEC), scenes)
    c = plain.calibration
    again = calibrate(
        NumberOracle(
            replace(TILE_SPEC, calibration=c, operating_score=plain.operating_score),
        ),
        scenes,
    )

    assert again.calibration == c
    assert again.operating_score == pytest.approx(plain.operating_score, abs=1e-3)
    assert c.offset > 0  # the oracle is always right, and says 0.5 to 1


def test_a_calibrated_model_finds_the_same_buildings_and_is_believed_more(tmp_path: Path) -> None:
    scenes = [source(chip(name)) for name in "abcd"]
    found = calibrate(NumberOracle(TILE_SPEC), scenes)
    calm = replace(TILE_SPEC, calibration=found.calibration, operating_score=found.operating_score)
    before, after = evaluate(NumberOracle(TILE_SPEC), scenes), evaluate(NumberOracle(calm), scenes)

    assert after.reports[ALL].scores == before.reports[ALL].scores
    assert (after.reliability[ALL][BUILDING].ece or 0) < 0.05
    assert (before.reliability[ALL][BUILDING].ece or 0) > 0.15
    assert to_json(after)["calibrated"]
    assert "Expected calibration error" in to_table(after)
    assert "not calibrated" in to_table(before)
    draw_page(after, tmp_path / "page.png")
    with Image.open(tmp_path / "page.png") as page:
        assert page.height > 1000  # bars, confusion, reliability


def test_the_card_says_what_it_was_found_on_and_how_good_it_is(tmp_path: Path) -> None:
    write_model(tmp_path, b"weights", CARD | {"scores": {"on": "old"}})
    found = fit_all(PLACES, 0.4)

    write(tmp_path, found, fitted_on="two made-up disasters")

    card = read_card(tmp_path)
    assert read_spec(tmp_path).calibration == found.calibration
    assert read_spec(tmp_path).operating_score == found.operating_score
    assert "scores" not in card
    errors = card["calibration"]["expected_calibration_error"]
    assert sorted(errors) == ["before", "cross_fitted", "event_out"]
    assert "two made-up disasters" in (tmp_path / "card.md").read_text()
    assert "without the event" in to_calibration("m@1", found)


def test_the_command_calibrates_the_shipped_model_on_real_scenes(
    data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, xbd = tmp_path / "model", tmp_path / "xbd"
    shutil.copytree(find_model(DEFAULT_MODEL), folder)
    for kind in ("images", "labels"):
        (xbd / kind).mkdir(parents=True)
        for scene in ("hurricane-michael_00000178", "hurricane-michael_00000372"):
            for file in (data_dir / "xbd/val" / kind).glob(f"{scene}_post_disaster.*"):
                (xbd / kind / file.name).symlink_to(file)

    assert main(["calibrate", "--model", str(folder), "--xbd", str(xbd), "--device", "cpu"]) == 0

    calibration = read_spec(folder).calibration
    assert calibration is not None
    assert (
        float(calibration.scores(np.array([0.9]))[0]) < 0.9
    )  # it is right less often than it says
    assert "Damaged or not" in capsys.readouterr().out
