"""The shift between outlines and roofs: known amounts are recovered, on made and on real scenes."""

from pathlib import Path

import numpy as np
import pytest
import shapely
from numpy.typing import NDArray
from shapely.affinity import translate
from shapely.geometry import Polygon, box

from detection.backends import load_detector
from detection.detector import Detector, TileDetections
from detection.labels.images import read_image
from detection.labels.xbd import read_outlines
from detection.outlines.offsets import (
    EVIDENCE_SCORE,
    LEAST_OUTLINES,
    LEAST_SURENESS,
    BlockShift,
    measure_shift,
)
from detection.weights import DEFAULT_MODEL, find_model

SIZE = (256, 256)
HOUSES = [
    box(x, y, x + 9 + (x + y) % 5, y + 8 + (x * y) % 7)
    for y in range(40, 210, 27)
    for x in range(40, 210, 23)
]
# One scene of each event, with 49 and 226 buildings: on two cores a scene takes seconds.
SCENES = (
    "hurricane-michael_00000372_post_disaster",
    "santa-rosa-wildfire_00000238_post_disaster",
)
XBD_PIXEL_M = 0.46


def seen(houses: list[Polygon], score: float = 0.6) -> TileDetections:
    bounds = np.array([house.bounds for house in houses], np.float32).reshape(-1, 4)
    return TileDetections(
        bounds,
        tuple(np.ones((28, 28), np.float32) for _ in houses),
        np.full(len(houses), score, np.float32),
        np.full((len(houses), 4), 0.25, np.float32),
    )


def measure(found: TileDetections, outlines: list[Polygon]) -> BlockShift:
    return measure_shift(found, outlines, size=SIZE, tile=7, pixel_m=0.5)


@pytest.mark.parametrize(("right", "down"), [(0, 0), (6.5, -3.25), (-22, 17), (29, 29)])
def test_a_shift_up_to_fifteen_metres_is_found(right: float, down: float) -> None:
    shift = measure(seen(HOUSES), [translate(house, -right, -down) for house in HOUSES])

    assert shift.measured
    assert (shift.right_px, shift.down_px) == pytest.approx((right, down), abs=0.6)


def test_missed_and_imagined_buildings_do_not_mislead_it() -> None:
    dice = np.random.default_rng(0)
    imagined = [box(x, y, x + 12, y + 12) for x, y in dice.uniform(0, 240, (25, 2))]

    shift = measure(seen([*HOUSES[::2], *imagined]), [translate(h, -9, 4) for h in HOUSES])

    assert (shift.right_px, shift.down_px) == pytest.approx((9, -4), abs=0.5)


def test_too_few_outlines_or_nothing_seen_is_no_measurement() -> None:
    few = HOUSES[: LEAST_OUTLINES - 1]

    for found, outlines in ((seen(few), few), (TileDetections.none(), HOUSES)):
        shift = measure(found, outlines)
        assert not shift.measured
        assert (shift.right_px, shift.down_px) == (0, 0)
    assert measure(seen(few), few).outlines == LEAST_OUTLINES - 1


def test_evidence_that_has_nothing_to_do_with_the_outlines_is_not_trusted() -> None:
    dice = np.random.default_rng(1)
    sureness = []
    for _ in range(20):
        elsewhere = [box(x, y, x + 10, y + 10) for x, y in dice.uniform(0, 240, (40, 2))]
        outlines = [box(x, y, x + 10, y + 10) for x, y in dice.uniform(0, 240, (40, 2))]
        sureness.append(measure(seen(elsewhere), outlines).sureness)
    true = measure(seen(HOUSES), [translate(house, -9, 4) for house in HOUSES]).sureness

    assert np.mean(np.array(sureness) < LEAST_SURENESS) > 0.5
    assert true > np.quantile(sureness, 0.8)


@pytest.fixture(scope="module")
def detector() -> Detector:
    return load_detector(find_model(DEFAULT_MODEL), device="cpu")


@pytest.mark.parametrize("name", SCENES)
def test_known_shifts_of_real_outlines_are_recovered_within_a_pixel(
    data_dir: Path, detector: Detector, name: str
) -> None:
    """Measured from where the labels are: those lie a pixel or two off the roofs themselves."""
    folder = data_dir / "xbd" / "val"
    image = read_image(folder / "images" / f"{name}.tif").pixels
    (found,) = detector.predict(image[None], min_score=EVIDENCE_SCORE)
    labels = [outline for outline, _ in read_outlines(folder / "labels" / f"{name}.json")]

    def shift_of(outlines: list[Polygon]) -> NDArray[np.float64]:
        shift = measure_shift(found, outlines, size=(1024, 1024), tile=0, pixel_m=XBD_PIXEL_M)
        assert shift.measured
        return np.array([shift.right_px, shift.down_px])

    as_labelled = shift_of(labels)
    moved = np.array([-13.3, 21.6])
    recovered = shift_of([shapely.transform(one, lambda xy: xy + moved) for one in labels])

    assert np.hypot(*as_labelled) < 3
    assert np.hypot(*(as_labelled - moved - recovered)) < 1
