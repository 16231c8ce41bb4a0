"""Why a building got its grade: the heat map points at what the grade hangs on."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import shapely
from numpy.typing import NDArray
from pyproj import Transformer
from shapely.geometry import Polygon, box

from detection.before import BeforeScene
from detection.cli import main
from detection.detector import BoxGrades, ModelSpec, TileDetections
from detection.drawing import draw_explanation
from detection.errors import BuildingNotFound
from detection.explaining import Explanation, explain
from detection.grades import Grade
from tests.conftest import MakeGeotiff
from tests.detection.oracle import spec

HOUSE = box(100, 120, 140, 160)
HOLE = (slice(124, 136), slice(104, 116))  # rows and columns of a hole in the roof


@dataclass(frozen=True)
class RedMeansDestroyed:
    """Says "destroyed" as surely as it sees red inside the box; in the last three bands."""

    spec: ModelSpec
    batch_size: int = 1

    def predict(self, images: NDArray[np.uint8], *, min_score: float) -> list[TileDetections]:
        return [TileDetections.none().at_least(min_score) for _ in images]

    def grade(
        self, images: NDArray[np.uint8], boxes: Sequence[NDArray[np.float32]]
    ) -> list[BoxGrades]:
        return [_judged(image[-3:], given) for image, given in zip(images, boxes, strict=True)]


def _judged(image: NDArray[np.uint8], boxes: NDArray[np.float32]) -> BoxGrades:
    rows = []
    for left, top, right, bottom in boxes.astype(int):
        inside = image[:, top:bottom, left:right].astype(int)
        red = float(((inside[0] - inside[1]) > 100).sum() / 144)
        rows.append((1 - min(1, red) * 0.9, 0, 0, min(1, red) * 0.9))
    grades = np.array(rows, np.float32)
    return BoxGrades(np.ones(len(boxes), np.float32), grades / grades.sum(axis=1, keepdims=True))


def scene() -> NDArray[np.uint8]:
    image = np.random.default_rng(1).integers(60, 90, (3, 300, 300)).astype(np.uint8)
    image[:, 120:160, 100:140] = 170
    image[0][HOLE], image[1][HOLE], image[2][HOLE] = 230, 20, 20
    return image


def lonlat(pixels: Polygon) -> Polygon:
    """On the ground, as ``make_geotiff`` places pixels."""
    to_degrees = Transformer.from_crs("EPSG:32637", "EPSG:4326", always_xy=True)

    def place(xy: NDArray[np.float64]) -> NDArray[np.float64]:
        x, y = 500_000 + 0.5 * xy[:, 0], 4_000_000 - 0.5 * xy[:, 1]
        return np.column_stack(to_degrees.transform(x, y))

    return shapely.transform(pixels, place)


@pytest.fixture
def explained(make_geotiff: MakeGeotiff) -> Explanation:
    path = make_geotiff(scene())
    return explain(path, lonlat(HOUSE), RedMeansDestroyed(spec(tile_px=256)))


def test_the_heat_lies_on_what_the_grade_hangs_on(explained: Explanation) -> None:
    left, top, _, _ = explained.outline.bounds
    hole = np.zeros(explained.heat.shape, bool)
    row, column = round(top) + 4, round(left) + 4
    hole[row : row + 12, column : column + 12] = True

    assert explained.grade is Grade.DESTROYED
    assert explained.probabilities[3] == pytest.approx(0.9)
    assert explained.heat[hole].mean() > 0.2
    assert np.abs(explained.heat[~hole]).mean() < 0.1 * explained.heat[hole].mean()


def test_the_chip_shows_the_building_with_its_surroundings(explained: Explanation) -> None:
    assert explained.before is None
    assert explained.after.shape[1:] == explained.heat.shape
    assert explained.outline.area == pytest.approx(HOUSE.area, rel=0.01)
    width, height = explained.after.shape[2], explained.after.shape[1]
    assert box(40, 40, width - 40, height - 40).contains(explained.outline)
    column, row = (round(value) for value in explained.outline.bounds[:2])
    assert (explained.after[0, row + 5 : row + 15, column + 5 : column + 15] == 230).all()


def test_a_pair_shows_what_was_there_before(make_geotiff: MakeGeotiff) -> None:
    after = make_geotiff(scene())
    whole = scene()
    whole[:, 120:160, 100:140] = 170
    before = make_geotiff(whole, name="before.tif")
    pairs = RedMeansDestroyed(replace(spec(tile_px=256), input_kind="before_after"))

    explained = explain(after, lonlat(HOUSE), pairs, before=BeforeScene(before))

    assert explained.before is not None
    column, row = (round(value) for value in explained.outline.bounds[:2])
    assert (explained.before[0, row + 5 : row + 15, column + 5 : column + 15] == 170).all()
    assert explained.grade is Grade.DESTROYED


def test_a_building_that_is_not_on_the_image_is_refused(make_geotiff: MakeGeotiff) -> None:
    path = make_geotiff(scene())

    with pytest.raises(BuildingNotFound):
        explain(path, lonlat(box(900, 900, 940, 940)), RedMeansDestroyed(spec(tile_px=256)))


def test_the_picture_is_a_png(explained: Explanation, tmp_path: Path) -> None:
    path = tmp_path / "why.png"

    draw_explanation(explained, path)

    assert path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_an_unknown_id_is_refused_with_a_sentence(
    make_geotiff: MakeGeotiff, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = make_geotiff(scene())
    found = tmp_path / "found.geojson"
    found.write_text('{"type": "FeatureCollection", "features": []}')

    code = main(
        ["explain", str(image), str(found), "--id", "x", "--output", str(tmp_path / "a.png")]
    )

    assert code == 1
    assert "no such building" in capsys.readouterr().err
