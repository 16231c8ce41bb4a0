"""The pipeline with a detector that is never wrong: what comes out is what is on the ground."""

import random
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from threading import Semaphore

import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from rasterio.windows import Window
from shapely.geometry import Polygon, box
from shapely.geometry.base import BaseGeometry

from detection.detector import TileDetections
from detection.errors import Cancelled, EmptyImage, UnreadableRaster
from detection.footprints import Footprint
from detection.outputs import describe, to_geojson
from detection.pipeline import (
    DetectionOptions,
    ScenePlan,
    ShardResult,
    detect_scene,
    detect_shard,
    merge,
    plan_scene,
    plan_shards,
    total_counts,
)
from tests.conftest import MakeGeotiff
from tests.detection.oracle import BrightOracle, NumberOracle, paint, spec

UTM = Affine(0.5, 0, 500_000, 0, -0.5, 4_000_000)
ORACLE = NumberOracle(spec())
OPTIONS = DetectionOptions(overlap_px=24)
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
L_SHAPE = Polygon([(20, 20), (110, 20), (110, 50), (60, 50), (60, 120), (20, 120)])
HOSPITAL = box(15, 130, 180, 225)  # larger than a tile, in a scene of tiles of 64 pixels
COURTYARD = Polygon(
    [(120, 20), (190, 20), (190, 110), (120, 110)],
    [[(140, 40), (170, 40), (170, 90), (140, 90)]],
)
ROW_HOUSES = [box(196, 10 + 12 * n, 212, 22 + 12 * n) for n in range(18)]
TOWN = [L_SHAPE, HOSPITAL, COURTYARD, *ROW_HOUSES]


def in_pixels(footprint: Footprint, transform: Affine = UTM) -> Polygon:
    inverse = ~transform
    matrix = np.array([[inverse.a, inverse.b], [inverse.d, inverse.e]])
    offset = np.array([inverse.c, inverse.f])
    assert isinstance(footprint.outline, Polygon)
    return shapely.transform(footprint.outline, lambda xy: xy @ matrix.T + offset)


def assert_same_buildings(found: list[BaseGeometry], truth: list[Polygon]) -> None:
    filled = [Polygon(polygon.exterior) for polygon in truth]
    assert len(found) == len(filled)
    tree = shapely.STRtree(filled)
    for outline in found:
        twins = [
            index
            for index in tree.query(outline)
            if outline.intersection(filled[index]).area / outline.union(filled[index]).area > 0.9
        ]
        assert len(twins) == 1, outline.wkt


def as_bytes(plan: ScenePlan, results: list[ShardResult]) -> bytes:
    counts = total_counts(plan, {result.shard: result.counts for result in results}.values())
    metadata = describe(plan, counts, time=NOON)
    return "".join(to_geojson(merge(plan, results), metadata)).encode()


def test_large_small_and_touching_buildings_come_out_once_each(make_geotiff: MakeGeotiff) -> None:
    path = make_geotiff(paint(TOWN, width=230, height=240))

    result = detect_scene(path, ORACLE, OPTIONS)

    assert_same_buildings([in_pixels(one) for one in result.footprints], TOWN)
    assert not any(one.clipped for one in result.footprints)
    assert all(not shapely.get_num_interior_rings(one.outline) for one in result.footprints)


@pytest.mark.parametrize("first_column", range(0, 75, 3))
def test_a_building_is_reported_once_wherever_it_lies_on_the_seams(
    make_geotiff: MakeGeotiff, first_column: int
) -> None:
    building = box(first_column, 30, first_column + 12, 52)
    path = make_geotiff(paint([building], width=120, height=100))

    (found,) = detect_scene(path, ORACLE, OPTIONS).footprints

    assert in_pixels(found).symmetric_difference(building).area < 2  # square pixels: the corners


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ScenePlan, bytes]:
    path = tmp_path_factory.mktemp("town") / "town.tif"
    pixels = paint(TOWN, width=230, height=240)
    profile = {"driver": "GTiff", "count": 3, "dtype": "uint8", "width": 230, "height": 240}
    with rasterio.open(path, "w", crs="EPSG:32637", transform=UTM, **profile) as dataset:
        dataset.write(pixels)
    plan = plan_scene(path, ORACLE.spec, OPTIONS)
    whole = [detect_shard(path, plan, shard, ORACLE) for shard in plan_shards(plan, shards=1)]
    return path, plan, as_bytes(plan, whole)


@settings(max_examples=25, deadline=None)
@given(shards=st.integers(1, 40), seed=st.integers(0, 2**16), repeats=st.integers(0, 3))
def test_any_number_order_and_repetition_of_shards_gives_the_same_bytes(
    town: tuple[Path, ScenePlan, bytes], shards: int, seed: int, repeats: int
) -> None:
    path, plan, expected = town
    plan = ScenePlan.from_json(plan.to_json())
    todo = plan_shards(plan, shards=shards)
    dice = random.Random(seed)  # noqa: S311 (no secret)
    todo += dice.choices(todo, k=repeats)
    dice.shuffle(todo)

    results = [detect_shard(path, plan, shard, ORACLE) for shard in todo]
    travelled = [ShardResult.from_bytes(result.to_bytes()) for result in results]

    assert as_bytes(plan, travelled) == expected


def test_a_shard_done_again_gives_the_same_bytes(town: tuple[Path, ScenePlan, bytes]) -> None:
    path, plan, _ = town
    shard = plan_shards(plan, shards=3)[1]

    first, second = (detect_shard(path, plan, shard, ORACLE).to_bytes() for _ in range(2))

    assert first == second


def test_batches_do_not_depend_on_shards(make_geotiff: MakeGeotiff) -> None:
    path = make_geotiff(paint(TOWN, width=230, height=240))
    sizes: list[int] = []

    class Counting(NumberOracle):
        def predict(self, images: NDArray[np.uint8], *, min_score: float) -> list[TileDetections]:
            sizes.append(len(images))
            return super().predict(images, min_score=min_score)

    plan = plan_scene(path, ORACLE.spec, DetectionOptions(overlap_px=24, batch_size=4))
    for shard in plan_shards(plan, shards=5):
        detect_shard(path, plan, shard, Counting(spec()))

    assert sizes == [4, 2] * len(plan.layout.tops)


@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(right=st.integers(0, 64), down=st.integers(0, 64))
def test_a_shifted_grid_sees_the_same_buildings(
    make_geotiff: MakeGeotiff, right: int, down: int
) -> None:
    pixels = paint(TOWN, width=230, height=240)
    shifted = np.pad(pixels, ((0, 0), (down, 0), (right, 0)), constant_values=1)
    moved = UTM @ Affine.translation(-right, -down)

    plain = detect_scene(make_geotiff(pixels, name="plain.tif"), ORACLE, OPTIONS)
    other = detect_scene(
        make_geotiff(shifted, transform=moved, name="shifted.tif"), ORACLE, OPTIONS
    )

    assert_same_buildings(
        [in_pixels(one) for one in other.footprints], [in_pixels(one) for one in plain.footprints]
    )
    grades = [sorted(one.grade for one in run.footprints) for run in (plain, other)]
    assert grades[0] == grades[1]


@settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_any_town_comes_out_as_it_is(make_geotiff: MakeGeotiff, data: st.DataObject) -> None:
    cells = [(x, y) for x in range(0, 180, 45) for y in range(0, 180, 45)]
    sides = st.integers(4, 44)
    truth = [
        box(x + 1, y + 1, x + data.draw(sides), y + data.draw(sides))
        for x, y in data.draw(st.lists(st.sampled_from(cells), unique=True, min_size=1))
    ]
    path = make_geotiff(paint(truth, width=181, height=181))

    found = detect_scene(path, ORACLE, OPTIONS).footprints

    assert_same_buildings(
        [in_pixels(one) for one in found], [one for one in truth if one.area >= 4]
    )


def test_what_the_scene_or_nodata_cuts_is_called_clipped(make_geotiff: MakeGeotiff) -> None:
    truth = [box(0, 10, 20, 30), box(40, 40, 60, 60), box(80, 40, 100, 60)]
    pixels = paint(truth, width=120, height=100)
    pixels[:, :, 50:70] = 0  # nodata, across the second building
    path = make_geotiff(pixels, nodata=0)

    found = detect_scene(path, ORACLE, OPTIONS).footprints

    clipped = {round(in_pixels(one).bounds[0]): one.clipped for one in found}
    assert clipped == {0: True, 40: True, 80: False}


def test_a_rotated_scene_has_its_buildings_where_they_are(make_geotiff: MakeGeotiff) -> None:
    transform = UTM @ Affine.rotation(30)
    path = make_geotiff(paint(TOWN, width=230, height=240), transform=transform)

    found = detect_scene(path, ORACLE, OPTIONS).footprints

    assert_same_buildings([in_pixels(one, transform) for one in found], TOWN)


def test_degrees_are_measured_on_the_ellipsoid(make_geotiff: MakeGeotiff) -> None:
    degree = 0.5 / 111_320
    transform = Affine(degree / np.cos(np.radians(60)), 0, 25, 0, -degree, 60)
    path = make_geotiff(
        paint([box(40, 40, 80, 60)], width=120, height=120), crs="EPSG:4326", transform=transform
    )

    (found,) = detect_scene(path, ORACLE, OPTIONS).footprints

    assert found.area_m2 == pytest.approx(20 * 10, rel=0.02)
    assert in_pixels(found, transform).bounds == pytest.approx((40, 40, 80, 60), abs=0.1)


@pytest.mark.parametrize("pixel_m", [0.1, 0.25, 0.8, 1.5])
def test_other_pixel_sizes_are_resampled_to_the_models(
    make_geotiff: MakeGeotiff, pixel_m: float
) -> None:
    transform = Affine(pixel_m, 0, 500_000, 0, -pixel_m, 4_000_000)
    side = round(72 / pixel_m)
    pixels = np.full((3, side, side), 20, np.uint8)
    edge = [round(metres / pixel_m) for metres in (24, 48)]
    pixels[:, slice(*edge), slice(*edge)] = 250
    path = make_geotiff(pixels, transform=transform)

    result = detect_scene(path, BrightOracle(spec()), OPTIONS)

    (found,) = result.footprints
    assert result.plan.grid.width == pytest.approx(144, abs=1)
    assert found.area_m2 == pytest.approx(24 * 24, rel=0.06)
    assert (
        in_pixels(found, transform).intersection(box(edge[0], edge[0], edge[1], edge[1])).area
        >= 0.95 * in_pixels(found, transform).area
    )


@pytest.mark.parametrize("bands", [1, 3, 4, 8])
def test_sixteen_bits_in_any_band_count_are_stretched(
    make_geotiff: MakeGeotiff, bands: int
) -> None:
    pixels = np.random.default_rng(1).integers(300, 400, (bands, 120, 120)).astype(np.uint16)
    pixels[:, 40:60, 50:80] = 900
    path = make_geotiff(pixels)

    result = detect_scene(path, BrightOracle(spec()), OPTIONS)

    assert [round(in_pixels(one).area, -1) for one in result.footprints] == [600]
    assert result.plan.warnings


def test_a_small_bright_roof_on_flat_ground_is_not_stretched_away(
    make_geotiff: MakeGeotiff,
) -> None:
    pixels = np.full((3, 100, 100), 500, np.uint16)
    pixels[:, 40:52, 40:52] = 700  # 1.4 % of the scene: above the 98th percentile
    path = make_geotiff(pixels)

    assert len(detect_scene(path, BrightOracle(spec()), OPTIONS).footprints) == 1


def test_only_the_area_asked_for_is_looked_at(make_geotiff: MakeGeotiff) -> None:
    path = make_geotiff(paint(TOWN, width=230, height=240))
    everything = detect_scene(path, ORACLE, OPTIONS)
    wanted = max(everything.footprints, key=lambda one: one.area_m2)
    area = shapely.buffer(wanted.lonlat.representative_point(), 1e-5)

    result = detect_scene(path, ORACLE, OPTIONS, area=area)

    assert [one.outline for one in result.footprints] in ([], [wanted.outline]) or (
        len(result.footprints) == 1
    )
    assert result.counts.read < everything.counts.read


def test_a_strip_that_the_tile_before_sees_as_well_is_looked_at_once(
    make_geotiff: MakeGeotiff,
) -> None:
    buildings = [box(5, 5, 30, 30), box(44, 20, 62, 40), box(10, 46, 34, 61)]
    pixels = paint(buildings, width=104, height=104)
    pixels[:, :, 64:] = 0  # 64 pixels are a tile, of which the next shares 24
    pixels[:, 64:] = 0
    path = make_geotiff(pixels, nodata=0)

    result = detect_scene(path, ORACLE, OPTIONS)

    assert_same_buildings([in_pixels(one) for one in result.footprints], buildings)
    assert (result.counts.read, result.counts.empty) == (1, 3)
    pixels[:, 50, 64] = 255  # a pixel of its own
    assert detect_scene(make_geotiff(pixels, nodata=0), ORACLE, OPTIONS).counts.read == 2


def test_an_area_elsewhere_is_refused(make_geotiff: MakeGeotiff) -> None:
    path = make_geotiff(paint(TOWN, width=230, height=240))

    with pytest.raises(EmptyImage):
        plan_scene(path, ORACLE.spec, OPTIONS, area=box(0, 0, 1, 1))


def test_an_image_of_nodata_is_refused(make_geotiff: MakeGeotiff) -> None:
    path = make_geotiff(np.zeros((3, 100, 100), np.uint8), nodata=0)

    with pytest.raises(EmptyImage):
        detect_scene(path, ORACLE, OPTIONS)


def test_the_fast_profile_looks_at_half_as_many_pixels(make_geotiff: MakeGeotiff) -> None:
    path = make_geotiff(paint(TOWN, width=230, height=240))
    fast = replace(OPTIONS, profile="fast")

    usual, less = (plan_scene(path, ORACLE.spec, options) for options in (OPTIONS, fast))
    bright = BrightOracle(ORACLE.spec)
    found = detect_scene(make_geotiff(paint_white(HOSPITAL), name="roof.tif"), bright, fast)

    pixels = [plan.grid.width * plan.grid.height for plan in (less, usual)]
    assert pixels[0] / pixels[1] == pytest.approx(1 / 1.4**2, rel=0.02)
    assert less.describe_options()["profile"] == "fast"
    assert less.run_sha256 != usual.run_sha256
    (roof,) = found.footprints
    assert in_pixels(roof).symmetric_difference(HOSPITAL).area < 0.03 * HOSPITAL.area


def paint_white(building: Polygon) -> NDArray[np.uint8]:
    return (
        np.where(paint([building], width=230, height=240)[2] == 255, 250, 10)[None]
        .repeat(3, axis=0)
        .astype(np.uint8)
    )


def test_progress_counts_every_tile(town: tuple[Path, ScenePlan, bytes]) -> None:
    path, plan, _ = town
    (shard,) = plan_shards(plan, shards=1)
    told: list[tuple[int, int]] = []

    detect_shard(path, plan, shard, ORACLE, lambda done, total: told.append((done, total)))

    assert told == sorted(told)
    assert {done for done, _ in told} == set(range(plan.work_tiles + 1))
    assert {total for _, total in told} == {plan.work_tiles}


def test_work_that_is_cancelled_ends_within_a_tile(
    town: tuple[Path, ScenePlan, bytes],
) -> None:
    path, plan, _ = town
    (shard,) = plan_shards(plan, shards=1)
    looked: list[str] = []
    wanted = iter([True] * 5)

    class Noting(NumberOracle):
        def predict(self, images: NDArray[np.uint8], *, min_score: float) -> list[TileDetections]:
            looked.append("tile")
            return super().predict(images, min_score=min_score)

    def ask(done: int, total: int) -> None:
        del done, total
        if not next(wanted, False):
            looked.append("cancelled")
            raise Cancelled

    with pytest.raises(Cancelled):
        detect_shard(path, plan, shard, Noting(spec()), ask)

    assert 0 < looked.count("tile") < plan.work_tiles
    assert looked[looked.index("cancelled") :].count("tile") <= 1


def test_the_model_does_not_wait_for_what_is_done_with_its_answers(
    town: tuple[Path, ScenePlan, bytes],
) -> None:
    path, plan, _ = town
    (shard,) = plan_shards(plan, shards=1)
    looked = Semaphore(0)
    ahead: list[bool] = []

    class Counting(NumberOracle):
        def predict(self, images: NDArray[np.uint8], *, min_score: float) -> list[TileDetections]:
            looked.release()
            return super().predict(images, min_score=min_score)

    def dawdle(done: int, total: int) -> None:
        if done == 1 and not ahead:  # two looks while the caller holds the first answer
            ahead.append(looked.acquire(timeout=30) and looked.acquire(timeout=30))
        del total

    detect_shard(path, plan, shard, Counting(spec()), dawdle)

    assert ahead == [True]


def test_a_missing_shard_is_noticed(town: tuple[Path, ScenePlan, bytes]) -> None:
    path, plan, _ = town
    shards = plan_shards(plan, shards=4)

    with pytest.raises(ValueError, match="missing"):
        list(merge(plan, [detect_shard(path, plan, shard, ORACLE) for shard in shards[1:]]))


def test_damaged_tiles_are_counted_and_placed(tmp_path: Path) -> None:
    path = _tiled(tmp_path, lambda dataset: dataset.write(_noise(256, 256)), compress="deflate")
    _overwrite_block(path, column=0, row=3)

    result = detect_scene(path, ORACLE, OPTIONS)

    assert result.counts.read > 0
    assert len(result.counts.not_analysed) == 4
    west, south, east, north = result.counts.not_analysed[0]
    assert -180 < west < east < 180
    assert -90 < south < north < 90


def test_a_file_damaged_everywhere_is_refused(tmp_path: Path) -> None:
    path = _tiled(tmp_path, lambda dataset: dataset.write(_noise(64, 64)), side=64)
    for row in range(1):
        _overwrite_block(path, column=0, row=row)

    with pytest.raises(UnreadableRaster):
        detect_scene(path, ORACLE, OPTIONS)


def test_ten_gigapixels_of_which_little_was_written_take_seconds(tmp_path: Path) -> None:
    truth = [box(100, 100, 180, 160), box(300, 300, 340, 420)]

    def write(dataset: rasterio.io.DatasetWriter) -> None:
        for corner in (0, 60_000):
            window = Window(corner, corner, 512, 512)
            dataset.write(paint(truth, width=512, height=512), window=window)

    path = _tiled(tmp_path, write, side=100_000, block=512, SPARSE_OK="TRUE", BIGTIFF="YES")
    big = NumberOracle(spec(tile_px=1024))

    result = detect_scene(path, big, DetectionOptions())

    assert len(result.footprints) == 4
    assert result.counts.read <= 8
    assert result.counts.read + result.counts.empty > 12_000


def test_sparse_blocks_beside_written_ones_are_nodata(tmp_path: Path) -> None:
    def write(dataset: rasterio.io.DatasetWriter) -> None:
        dataset.write(
            paint([box(40, 20, 64, 40)], width=64, height=64), window=Window(0, 0, 64, 64)
        )

    path = _tiled(tmp_path, write, SPARSE_OK="TRUE")

    (found,) = detect_scene(path, ORACLE, OPTIONS).footprints

    assert found.clipped


def _noise(width: int, height: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(1, 200, (3, height, width)).astype(np.uint8)


def _tiled(
    folder: Path,
    write: Callable[[rasterio.io.DatasetWriter], None],
    *,
    side: int = 256,
    block: int = 64,
    **creation: str,
) -> Path:
    path = folder / "tiled.tif"
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        width=side,
        height=side,
        count=3,
        dtype="uint8",
        crs="EPSG:32637",
        transform=UTM,
        tiled=True,
        blockxsize=block,
        blockysize=block,
        interleave="pixel",
        **({"compress": "deflate"} | creation),
    ) as dataset:
        write(dataset)
    return path


def _overwrite_block(path: Path, *, column: int, row: int) -> None:
    with rasterio.open(path) as dataset:
        place = int(dataset.get_tag_item(f"BLOCK_OFFSET_{column}_{row}", "TIFF", 1))
        size = int(dataset.get_tag_item(f"BLOCK_SIZE_{column}_{row}", "TIFF", 1))
    with path.open("r+b") as file:
        file.seek(place)
        file.write(b"\xff" * size)
