"""Pairs of images: however the image before was stored, it comes to lie under the image after."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.warp import calculate_default_transform, reproject

from detection.before import BeforeScene, PairShift, open_before
from detection.detector import TileDetections
from detection.errors import BeforeElsewhere, BeforeTooFarOff, WrongModel
from detection.pipeline import (
    DetectionOptions,
    ShardResult,
    detect_scene,
    detect_shard,
    merge,
    plan_scene,
    plan_shards,
)
from detection.planning import ScenePlan, read_after
from detection.raster import open_scene
from detection.synthetic import TownScene
from tests.detection.oracle import NumberOracle, spec

SIZE = 512
PIXEL_M = 0.5
CORNER = (500_000.0, 4_000_000.0)
PAIRS = replace(spec(pixel_size_m=PIXEL_M, tile_px=SIZE), input_kind="before_after")
Image = NDArray[np.uint8]


def grid(right_px: float = 0, down_px: float = 0, pixel_m: float = PIXEL_M) -> Affine:
    x, y = CORNER[0] + right_px * PIXEL_M, CORNER[1] - down_px * PIXEL_M
    return Affine(pixel_m, 0, x, 0, -pixel_m, y)


def write(
    path: Path, image: NDArray[np.generic], transform: Affine, *, nodata: int | None = None
) -> Path:
    _, height, width = image.shape
    profile = {"driver": "GTiff", "count": 3, "dtype": image.dtype, "crs": "EPSG:32637"}
    size = {"width": width, "height": height}
    with rasterio.open(
        path, "w", transform=transform, nodata=nodata, tiled=True, **size, **profile
    ) as dataset:
        dataset.write(image)
    return path


def town(right: int = 0, down: int = 0, size: int = SIZE, seed: int = 3) -> Image:
    image, _ = TownScene(seed, PIXEL_M, (0.4, 0.2, 0.2, 0.2)).render(right, down, size, size)
    return np.maximum(image, 1)


@pytest.fixture
def after(tmp_path: Path) -> Path:
    return write(tmp_path / "after.tif", town(), grid())


def laid(after: Path, before: Path, **options: object) -> tuple[ScenePlan, Image, Image, PairShift]:
    """The plan, and the one tile of a scene: image before, image after, and how it was laid."""
    wanted = BeforeScene(before)
    plan = plan_scene(after, PAIRS, DetectionOptions(**options), before=wanted)  # type: ignore[arg-type]
    assert plan.before is not None
    tile = plan.layout.tile(0)
    with (
        open_scene(after, plan.options.bands) as scene,
        open_before(before, plan.before, plan.grid, plan.model_pixel_m) as image,
    ):
        seen = read_after(scene, plan, tile, tile.width, tile.height)
        under, shift = image.under(tile, 0, seen)
    return plan, under, seen[0], shift


def same(one: Image, other: Image) -> float:
    """Median difference of two pictures, away from the rim."""
    inner = slice(40, -40)
    return float(np.median(np.abs(one[:, inner, inner].astype(int) - other[:, inner, inner])))


def test_an_image_on_the_same_grid_is_read_as_it_is(after: Path, tmp_path: Path) -> None:
    before = write(tmp_path / "before.tif", town(), grid())

    plan, under, image, shift = laid(after, before)

    assert plan.before is not None
    assert plan.before.measured
    assert (shift.right_px, shift.down_px) == pytest.approx((0, 0), abs=0.01)
    assert np.array_equal(under, image)


@pytest.mark.parametrize(("right", "down"), [(7, 0), (-5, 12), (20, -17), (0, -29)])
def test_a_pair_that_lies_off_is_put_right(
    after: Path, tmp_path: Path, right: int, down: int
) -> None:
    """The file says it is in place, but everything in it lies ``right`` and ``down`` of there."""
    before = write(tmp_path / "before.tif", town(-right, -down), grid())

    plan, under, image, shift = laid(after, before)

    assert plan.warnings == ()
    assert (shift.right_px, shift.down_px) == pytest.approx((-right, -down), abs=0.6)
    assert same(under, image) <= 2


def test_a_tile_may_differ_from_its_scene(tmp_path: Path) -> None:
    """Half of the image before slid: each tile follows its own ground."""
    wide = np.concatenate([town(), town(SIZE)], axis=2)
    slid = np.concatenate([town(), town(SIZE + 6, 4)], axis=2)
    after = write(tmp_path / "after.tif", wide, grid())
    before = write(tmp_path / "before.tif", slid, grid())
    plan = plan_scene(after, PAIRS, DetectionOptions(overlap_px=0), before=BeforeScene(before))
    assert plan.before is not None

    shifts = []
    with (
        open_scene(after) as scene,
        open_before(before, plan.before, plan.grid, plan.model_pixel_m) as image,
    ):
        for index in range(2):
            tile = plan.layout.tile(index)
            seen = read_after(scene, plan, tile, tile.width, tile.height)
            shifts.append(image.under(tile, index, seen)[1])

    assert (shifts[0].right_px, shifts[0].down_px) == pytest.approx((0, 0), abs=0.6)
    assert (shifts[1].right_px, shifts[1].down_px) == pytest.approx((6, 4), abs=0.6)


@pytest.mark.parametrize(
    ("crs", "pixel"), [("EPSG:4326", None), ("EPSG:3857", 0.4), ("EPSG:32636", 1.1)]
)
def test_other_crs_and_pixel_sizes_come_to_lie_on_the_same_ground(
    after: Path, tmp_path: Path, crs: str, pixel: float | None
) -> None:
    before = tmp_path / "before.tif"
    with rasterio.open(after) as source:
        place, width, height = calculate_default_transform(
            source.crs, crs, SIZE, SIZE, *source.bounds, resolution=pixel
        )
        profile = {**source.profile, "crs": crs, "transform": place, "nodata": 0}
        profile |= {"width": width, "height": height}
        with rasterio.open(before, "w", **profile) as target:
            for band in (1, 2, 3):
                reproject(
                    rasterio.band(source, band),
                    rasterio.band(target, band),
                    resampling=Resampling.average if pixel else Resampling.cubic,
                )

    _, under, image, shift = laid(after, before)

    assert np.hypot(shift.right_px, shift.down_px) < 1
    assert same(under, image) <= (12 if pixel == 1.1 else 6)


def test_what_the_image_before_does_not_show_is_black_and_counted(
    after: Path, tmp_path: Path
) -> None:
    half = town()[:, :, : SIZE // 2]
    half[:, 100:140, 50:90] = 0  # a hole of nodata
    before = write(tmp_path / "before.tif", half, grid(), nodata=0)

    _, under, _, shift = laid(after, before)

    assert not under[:, :, SIZE // 2 + 2 :].any()
    assert not under[:, 102:138, 52:88].any()
    assert under[:, 150:, : SIZE // 2 - 2].any(axis=0).all()
    assert shift.shown == pytest.approx(0.5 - 1600 / SIZE**2, abs=0.01)


def test_dark_ground_is_not_taken_for_nodata(after: Path, tmp_path: Path) -> None:
    night = np.full((3, SIZE, SIZE), 400, np.uint16)
    night[:, 100:200, 100:200] = 3000
    night[:, 0:50, 0:50] = 90
    before = write(tmp_path / "before.tif", night, grid())

    _, under, _, _ = laid(after, before)

    assert under.any(axis=0).all()


def test_an_image_of_another_place_is_refused(after: Path, tmp_path: Path) -> None:
    before = write(tmp_path / "before.tif", town(), grid(right_px=5000))

    with pytest.raises(BeforeElsewhere):
        laid(after, before)


def test_a_pair_too_far_apart_is_refused(after: Path, tmp_path: Path) -> None:
    before = write(tmp_path / "before.tif", town(30, 25), grid())  # 19.5 m

    with pytest.raises(BeforeTooFarOff):
        laid(after, before)


def test_a_pair_that_cannot_be_compared_is_warned_of(after: Path, tmp_path: Path) -> None:
    before = write(tmp_path / "before.tif", town(seed=44), grid())

    plan, _, _, shift = laid(after, before)

    assert plan.before is not None
    assert not plan.before.measured
    assert any("how far the image before lies off" in sentence for sentence in plan.warnings)
    assert (shift.right_px, shift.down_px) == (0, 0)


def test_model_and_images_must_belong_together(after: Path) -> None:
    alone = replace(PAIRS, input_kind="after")

    with pytest.raises(WrongModel):
        plan_scene(after, PAIRS)
    with pytest.raises(WrongModel):
        plan_scene(after, alone, before=BeforeScene(after))


def test_a_plan_travels_as_text(after: Path) -> None:
    plan = plan_scene(after, PAIRS, before=BeforeScene(after))

    assert ScenePlan.from_json(plan.to_json()) == plan


@dataclass(frozen=True)
class ChangeOracle:
    """Finds buildings by their numbers, and calls destroyed what looks other than before."""

    inner: NumberOracle
    batch_size: int = 1

    @property
    def spec(self):  # type: ignore[no-untyped-def]  # noqa: ANN201
        return self.inner.spec

    def predict(self, images: Image, *, min_score: float) -> list[TileDetections]:
        found = self.inner.predict(images[:, 3:], min_score=min_score)
        return [self._graded(image, one) for image, one in zip(images, found, strict=True)]

    def _graded(self, image: Image, found: TileDetections) -> TileDetections:
        probabilities = np.zeros_like(found.probabilities)
        for row, (left, top, right, bottom) in enumerate(found.boxes.astype(int)):
            before, after = (part[:, top:bottom, left:right] for part in (image[:3], image[3:]))
            probabilities[row, 3 if (before != after).mean() > 0.1 else 0] = 1
        return replace(found, probabilities=probabilities)


def test_any_shards_give_the_same_footprints_and_see_what_changed(tmp_path: Path) -> None:
    from shapely.geometry import box

    from tests.detection.oracle import paint

    houses = [
        box(20 + 45 * k, 20 + 30 * n, 45 + 45 * k, 38 + 30 * n) for k in range(6) for n in range(7)
    ]
    then = paint(houses, width=300, height=260)
    now = then.copy()
    now[0][(then[0] % 5 == 0) & (then[2] == 255)] += 100  # every fifth house changed
    after = write(tmp_path / "after.tif", now, grid())
    before = write(tmp_path / "before.tif", then, grid())
    oracle = ChangeOracle(NumberOracle(replace(PAIRS, tile_px=96)))
    wanted = BeforeScene(before)

    whole = detect_scene(after, oracle, before=wanted)
    plan = plan_scene(after, oracle.spec, before=wanted)
    results = [
        detect_shard(after, plan, shard, oracle, before=before)
        for shard in plan_shards(plan, shards=5)
    ]
    again = [ShardResult.from_bytes(result.to_bytes()) for result in reversed(results)]

    assert len(whole.footprints) == len(houses)
    changed = [one for one in whole.footprints if one.grade == "destroyed"]
    assert len(changed) == sum(n % 5 == 0 for n in range(1, len(houses) + 1))
    assert list(merge(plan, again)) == whole.footprints
    assert len(whole.counts.before) == whole.counts.read


def test_real_pairs_moved_by_known_amounts_are_put_right(data_dir: Path, tmp_path: Path) -> None:
    """Moving the image before by so much changes what is measured by just that."""
    images = data_dir / "xbd" / "val" / "images"
    scenes = sorted(images.glob("*_post_disaster.tif"))[::3]
    dice = np.random.default_rng(7)
    off = []
    for after in scenes:
        before = after.with_name(after.name.replace("_post_", "_pre_"))
        with rasterio.open(before) as source:
            if source.crs is None:
                continue
            pixels, profile = source.read(), source.profile
        right, down = (float(number) for number in dice.uniform(-8, 8, 2))
        moved = tmp_path / "moved.tif"
        profile |= {"transform": profile["transform"] @ Affine.translation(right, down)}
        profile |= {"compress": None, "photometric": "RGB"}
        with rasterio.open(moved, "w", **profile) as target:
            target.write(pixels)
        (*_, here), (*_, there) = laid(after, before), laid(after, moved)
        if here.measured:
            off.append(
                np.hypot(
                    there.right_px - here.right_px + right, there.down_px - here.down_px + down
                )
            )

    assert len(off) >= 6
    assert np.mean(np.array(off) <= 1) >= 0.95
