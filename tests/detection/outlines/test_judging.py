"""Known outlines through the whole pipeline: each judged once, none lost, whatever the shards."""

import json
import random
from collections import Counter
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from shapely.affinity import translate
from shapely.geometry import LineString, MultiPolygon, Polygon, box

from detection.detector import ModelSpec, TileDetections
from detection.errors import ModelUnavailable, NoOutlines, OutlinesElsewhere, UnreadableOutlines
from detection.footprints import Footprint
from detection.grades import MODEL_GRADES
from detection.outputs import describe, to_geojson
from detection.pipeline import (
    DetectionOptions,
    DetectionResult,
    KnownOutlines,
    ScenePlan,
    ShardResult,
    detect_scene,
    detect_shard,
    merge,
    not_analysed,
    plan_scene,
    plan_shards,
    total_counts,
)
from tests.conftest import MakeGeotiff
from tests.detection.oracle import NumberOracle, grade_of, paint, score_of, spec
from tests.detection.outlines.makers import UTM, Record, to_lonlat, write_geojson

ORACLE = NumberOracle(spec())
OPTIONS = DetectionOptions(overlap_px=24)
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
SIZE = {"width": 230, "height": 240}
HOUSES = [box(8 + 26 * c, 6 + 30 * r, 22 + 26 * c, 22 + 30 * r) for r in range(5) for c in range(8)]
HALL = box(20, 160, 130, 185)  # longer than a tile of 64 pixels
WORKS = box(140, 162, 215, 230)
TOWN = [*HOUSES, HALL, WORKS]


def records(town: list[Polygon], *, right: float = 0, down: float = 0) -> list[Record]:
    """The true outlines, moved; the id of each says its number in ``paint``."""
    return [
        (translate(outline, right, down), {"id": f"way/{number}", "height": number / 2})
        for number, outline in enumerate(town, start=1)
    ]


def judge(image: Path, outlines: list[Record], folder: Path, **wishes: Any) -> DetectionResult:
    source = write_geojson(folder / "known.geojson", outlines)
    known = KnownOutlines(source, folder / "known.sqlite", **wishes)
    return detect_scene(image, ORACLE, OPTIONS, outlines=known)


def assert_graded_rightly(found: list[Footprint]) -> None:
    for one in found:
        assert one.known is not None
        number = int(one.known.outline_id.removeprefix("way/"))
        assert one.grade == MODEL_GRADES[grade_of(number)], one.known
        assert one.score == pytest.approx(score_of(number), abs=1e-4)
        assert one.known.attributes == {"height": number / 2}


@pytest.fixture
def image(make_geotiff: MakeGeotiff) -> Path:
    return make_geotiff(paint(TOWN, **SIZE))


def test_each_outline_is_judged_once_and_comes_out_as_it_went_in(
    image: Path, tmp_path: Path
) -> None:
    found = judge(image, records(TOWN), tmp_path).footprints

    assert len(found) == len(TOWN)
    assert len({one.known.outline_id for one in found if one.known}) == len(TOWN)
    assert_graded_rightly(found)
    drawn = {said["id"]: to_lonlat(outline) for outline, said in records(TOWN)}
    for one in found:
        assert one.known is not None
        assert one.lonlat.equals_exact(
            shapely.orient_polygons(drawn[one.known.outline_id]), 1e-7, normalize=True
        )
        assert one.source == "outline"


def test_ids_are_the_same_in_every_run_and_differ_between_twins(
    image: Path, tmp_path: Path
) -> None:
    twice = [*records(TOWN[:1]), *records(TOWN[:1])]

    first, second = ([one.id for one in judge(image, twice, tmp_path).footprints] for _ in range(2))

    assert first == second
    assert len(set(first)) == 2


@dataclass(frozen=True)
class Planned:
    """A town with every other outline known and 3 px off, and what one shard makes of it."""

    image: Path
    plan: ScenePlan
    book: Path
    sha256: str  # of the file: Hypothesis prints fixtures, and the file itself is long
    sources: Counter[str]


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> Planned:
    folder = tmp_path_factory.mktemp("town")
    image, book = folder / "town.tif", folder / "known.sqlite"
    profile = {"driver": "GTiff", "count": 3, "dtype": "uint8", **SIZE}
    with rasterio.open(image, "w", crs="EPSG:32637", transform=UTM, **profile) as dataset:
        dataset.write(paint(TOWN, **SIZE))
    source = write_geojson(folder / "known.geojson", records([*HOUSES[::2], HALL], right=3, down=2))
    known = KnownOutlines(source, book, also_detect=True)
    plan = plan_scene(image, ORACLE.spec, OPTIONS, outlines=known)
    whole = [
        detect_shard(image, plan, shard, ORACLE, book=book) for shard in plan_shards(plan, shards=1)
    ]
    written = as_bytes(plan, whole, book)
    sources = Counter(one["properties"]["source"] for one in json.loads(written)["features"])
    return Planned(image, plan, book, sha256(written).hexdigest(), sources)


def as_bytes(plan: ScenePlan, results: list[ShardResult], book: Path) -> bytes:
    once = {result.shard: result.counts for result in results}
    counts = total_counts(plan, [once[shard] for shard in sorted(once, key=lambda s: s.index)])
    metadata = describe(plan, counts, time=NOON)
    return "".join(to_geojson(merge(plan, results, book=book), metadata)).encode()


@settings(max_examples=12, deadline=None)
@given(shards=st.integers(1, 40), seed=st.integers(0, 2**16), repeats=st.integers(0, 3))
def test_any_number_order_and_repetition_of_shards_gives_the_same_bytes(
    planned: Planned, shards: int, seed: int, repeats: int
) -> None:
    image, book = planned.image, planned.book
    plan = ScenePlan.from_json(planned.plan.to_json())
    todo = plan_shards(plan, shards=shards)
    dice = random.Random(seed)  # noqa: S311 (no secret)
    todo += dice.choices(todo, k=repeats)
    dice.shuffle(todo)

    results = [detect_shard(image, plan, shard, ORACLE, book=book) for shard in todo]
    travelled = [ShardResult.from_bytes(result.to_bytes()) for result in results]

    assert sha256(as_bytes(plan, travelled, book)).hexdigest() == planned.sha256


def test_what_is_known_is_not_detected_again(planned: Planned) -> None:
    # every other house and the hall are known; the other houses and the works are not
    assert planned.sources == {"outline": len(HOUSES[::2]) + 1, "detected": len(HOUSES[1::2]) + 1}


def test_only_tiles_with_outlines_are_looked_at_unless_the_rest_is_wanted(
    image: Path, tmp_path: Path
) -> None:
    few = judge(image, records(TOWN[:2]), tmp_path)
    every = judge(image, records(TOWN[:2]), tmp_path, also_detect=True)

    assert few.counts.read == 1
    assert every.counts.read == every.plan.layout.tile_count
    assert [one.source for one in few.footprints] == ["outline"] * 2
    assert sum(one.source == "detected" for one in every.footprints) == len(TOWN) - 2


def test_outlines_off_the_roofs_are_judged_where_the_roofs_are(
    make_geotiff: MakeGeotiff, tmp_path: Path
) -> None:
    houses = [
        box(x, y, x + 9 + (x + y) % 5, y + 8 + (x * y) % 7)
        for y in range(40, 200, 27)
        for x in range(40, 200, 23)
    ]
    image = make_geotiff(paint(houses, width=256, height=256))
    oracle = NumberOracle(spec(tile_px=256))
    source = write_geojson(tmp_path / "known.geojson", records(houses, right=-14, down=11))

    def judged(*, move: bool) -> DetectionResult:
        known = KnownOutlines(source, tmp_path / "known.sqlite", move=move)
        return detect_scene(image, oracle, outlines=known)

    kept, moved = judged(move=False), judged(move=True)

    assert_graded_rightly(kept.footprints)
    (shift,) = kept.counts.outlines.shifts
    assert (shift.right_px, shift.down_px) == pytest.approx((14, -11), abs=0.3)
    said = describe(kept.plan, kept.counts, time=NOON)["outlines"]["shifts"][0]
    assert (said["east_m"], said["north_m"]) == pytest.approx((7, 5.5), abs=0.2)
    by_id = {one.id: one for one in moved.footprints}
    for one in kept.footprints:
        assert one.known is not None
        true = to_lonlat(houses[int(one.known.outline_id.removeprefix("way/")) - 1])
        assert by_id[one.id].lonlat.intersection(true).area > 0.9 * true.area
        assert one.lonlat.intersection(true).area < 0.5 * true.area


def test_an_outline_larger_than_a_tile_is_judged_whole(image: Path, tmp_path: Path) -> None:
    boxes: list[NDArray[np.float32]] = []

    @dataclass(frozen=True)
    class Watching(NumberOracle):
        def grade(self, images: Any, given: Any) -> Any:
            boxes.extend(one for one in given if len(one))
            return super().grade(images, given)

    source = write_geojson(tmp_path / "known.geojson", records(TOWN)[-2:-1])
    known = KnownOutlines(source, tmp_path / "known.sqlite")
    (found,) = detect_scene(image, Watching(spec()), OPTIONS, outlines=known).footprints

    assert_graded_rightly([found])
    assert not found.clipped
    ((box_px,),) = boxes
    assert box_px[2] - box_px[0] == pytest.approx(64 / 1.25, abs=1)  # coarser, with room around it
    assert (box_px[2] - box_px[0]) / (box_px[3] - box_px[1]) == pytest.approx(110 / 25, rel=0.05)


def test_what_is_not_analysed_is_counted_and_listed_with_its_reason(
    make_geotiff: MakeGeotiff, tmp_path: Path
) -> None:
    pixels = paint(TOWN, **SIZE)
    pixels[:, :90, :90] = 0
    image = make_geotiff(pixels, nodata=0)
    bow_tie = Polygon([(100, 100), (120, 120), (120, 100), (100, 120)])
    outlines: list[Record] = [
        (HOUSES[39], {"id": "good"}),
        (HOUSES[0], {"id": "under nodata"}),
        (translate(HOUSES[0], 4000, 0), {"id": "outside"}),
        (box(-30, 100, 10, 130), {"id": "mostly outside"}),
        (box(-5, 130, 25, 150), {"id": "at the edge"}),
        (LineString([(100, 100), (120, 120)]), {"id": "a wall"}),
        (bow_tie, {"id": "mended"}),
        (Polygon([(100, 100), (120, 120), (100, 100)]), {"id": "flat"}),
    ]

    result = judge(image, outlines, tmp_path)

    listed = {
        name: why
        for _, name, why in not_analysed(result.plan, result.counts, tmp_path / "known.sqlite")
    }
    assert listed == {
        "under nodata": "nodata",
        "outside": "outside_image",
        "mostly outside": "outside_image",
        "a wall": "not_a_polygon",
        "flat": "invalid",
    }
    said = describe(result.plan, result.counts, time=NOON)["outlines"]
    assert (said["given"], said["judged"], said["repaired"]) == (8, 3, 1)
    assert said["not_analysed"] == {
        "not_a_polygon": 1,
        "invalid": 1,
        "outside_image": 2,
        "nodata": 1,
    }
    clipped = {one.known.outline_id for one in result.footprints if one.known and one.clipped}
    assert clipped == {"at the edge"}


def test_outlines_outside_the_area_are_told_apart(image: Path, tmp_path: Path) -> None:
    source = write_geojson(tmp_path / "known.geojson", records(TOWN))
    known = KnownOutlines(source, tmp_path / "known.sqlite")
    area = to_lonlat(box(0, 0, 60, 60))

    result = detect_scene(image, ORACLE, OPTIONS, area=area, outlines=known)

    assert len(result.footprints) == 4
    said = describe(result.plan, result.counts, time=NOON)["outlines"]
    assert said["not_analysed"] == {"outside_area": len(TOWN) - 4}


def test_tiles_that_cannot_be_decoded_say_so_of_their_outlines(tmp_path: Path) -> None:
    path = tmp_path / "torn.tif"
    profile = {"driver": "GTiff", "count": 3, "dtype": "uint8", "width": 230, "height": 240}
    layout = {"tiled": True, "blockxsize": 64, "blockysize": 64, "compress": "deflate"}
    with rasterio.open(
        path, "w", crs="EPSG:32637", transform=UTM, interleave="pixel", **profile, **layout
    ) as dataset:
        dataset.write(paint(TOWN, **SIZE))
        offset = int(dataset.get_tag_item("BLOCK_OFFSET_0_0", "TIFF", 1))
    torn = bytearray(path.read_bytes())
    torn[offset : offset + 40] = b"\xff" * 40
    path.write_bytes(torn)

    result = judge(path, records(TOWN), tmp_path)

    reasons = {why for _, why in result.counts.outlines.missed}
    assert reasons == {"damaged"}
    assert len(result.footprints) + len(result.counts.outlines.missed) == len(TOWN)
    assert_graded_rightly(result.footprints)


def test_several_parts_and_courtyards_are_kept(image: Path, tmp_path: Path) -> None:
    yard = Polygon(HALL.exterior, [box(60, 165, 80, 180).exterior.coords])
    wings = MultiPolygon([HOUSES[20], HOUSES[21]])
    outlines: list[Record] = [(yard, {"id": "yard"}), (wings, {"id": "wings"})]

    found = {o.known.outline_id: o for o in judge(image, outlines, tmp_path).footprints if o.known}

    assert shapely.get_num_interior_rings(found["yard"].lonlat) == 1
    assert found["yard"].area_m2 == pytest.approx(yard.area / 4, rel=0.01)
    assert shapely.get_num_geometries(found["wings"].lonlat) == 2


def test_no_outline_on_the_image_is_refused(image: Path, tmp_path: Path) -> None:
    with pytest.raises(OutlinesElsewhere):
        judge(image, records(TOWN, right=5000), tmp_path)
    with pytest.raises(NoOutlines):
        judge(image, [(LineString([(1, 1), (9, 9)]), {"id": "1"})], tmp_path)


def test_a_book_of_other_outlines_is_refused(image: Path, tmp_path: Path) -> None:
    source = write_geojson(tmp_path / "known.geojson", records(TOWN))
    known = KnownOutlines(source, tmp_path / "known.sqlite")
    plan = plan_scene(image, ORACLE.spec, OPTIONS, outlines=known)
    write_geojson(source, records(TOWN[:3]))
    plan_scene(image, ORACLE.spec, OPTIONS, outlines=known)  # writes over the book

    (shard,) = plan_shards(plan, shards=1)
    with pytest.raises(UnreadableOutlines):
        detect_shard(image, plan, shard, ORACLE, book=known.book)
    with pytest.raises(UnreadableOutlines):
        detect_shard(image, plan, shard, ORACLE, book=tmp_path / "absent.sqlite")


def test_a_model_that_cannot_judge_outlines_says_so(image: Path, tmp_path: Path) -> None:
    class OnlyDetects:
        batch_size = 1

        @property
        def spec(self) -> ModelSpec:
            return ORACLE.spec

        def predict(self, images: NDArray[np.uint8], *, min_score: float) -> list[TileDetections]:
            return ORACLE.predict(images, min_score=min_score)

    source = write_geojson(tmp_path / "known.geojson", records(TOWN))
    known = KnownOutlines(source, tmp_path / "known.sqlite")

    with pytest.raises(ModelUnavailable):
        detect_scene(image, OnlyDetects(), OPTIONS, outlines=known)


def test_batches_of_tiles_judge_alike(image: Path, tmp_path: Path) -> None:
    source = write_geojson(tmp_path / "known.geojson", records(TOWN))
    known = KnownOutlines(source, tmp_path / "known.sqlite", also_detect=True)

    single, many = (
        detect_scene(image, ORACLE, replace(OPTIONS, batch_size=size), outlines=known)
        for size in (1, 4)
    )

    assert many.footprints == single.footprints
