"""The engine with the weights that are shipped, on a real scene."""

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import rasterio
import shapely
from shapely.geometry import mapping

from detection.backends import load_detector
from detection.cli import main
from detection.detector import Detector
from detection.labels.xbd import read_outlines
from detection.outputs import describe, to_geojson
from detection.pipeline import (
    BeforeScene,
    DetectionOptions,
    KnownOutlines,
    ShardResult,
    detect_scene,
    detect_shard,
    merge,
    plan_scene,
    plan_shards,
    total_counts,
)
from detection.weights import DEFAULT_MODEL, DEFAULT_PAIR_MODEL, find_model, read_spec

SCENE = Path("xbd/val/images/hurricane-michael_00000178_post_disaster.tif")
BEFORE = Path("xbd/val/images/hurricane-michael_00000178_pre_disaster.tif")
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def detector() -> Detector:
    return load_detector(find_model(DEFAULT_MODEL), device="cpu")


def test_real_weights_find_the_same_bytes_in_any_shards(data_dir: Path, detector: Detector) -> None:
    path = data_dir / SCENE
    plan = plan_scene(path, detector.spec, DetectionOptions(tile_px=512, overlap_px=64))

    def run(shards: int, *, backwards: bool) -> bytes:
        todo = plan_shards(plan, shards=shards)
        if backwards:
            todo.reverse()
        done = [detect_shard(path, plan, shard, detector) for shard in todo]
        results = [ShardResult.from_bytes(result.to_bytes()) for result in done]
        metadata = describe(plan, total_counts(plan, [r.counts for r in results]), time=NOON)
        return "".join(to_geojson(merge(plan, results), metadata)).encode()

    whole, parts = run(1, backwards=False), run(4, backwards=True)

    assert whole == parts
    assert whole.count(b'"Feature"') > 20


def test_real_weights_judge_given_outlines_with_the_same_bytes_in_any_shards(
    data_dir: Path, detector: Detector, tmp_path: Path
) -> None:
    path = data_dir / SCENE
    labels = read_outlines(data_dir / "xbd/val/labels" / f"{SCENE.stem}.json")
    with rasterio.open(path) as image:
        grid, crs = image.transform, f"EPSG:{image.crs.to_epsg()}"
    source = tmp_path / "known.geojson"
    features = [
        {
            "type": "Feature",
            "id": f"house/{number}",
            "properties": {"drawn": str(grade)},
            "geometry": mapping(shapely.transform(o, lambda xy: np.column_stack(grid * xy.T))),
        }
        for number, (o, grade) in enumerate(labels)
    ]
    named = {"type": "name", "properties": {"name": crs}}
    source.write_text(json.dumps({"type": "FeatureCollection", "crs": named, "features": features}))
    book = tmp_path / "known.sqlite"
    options = DetectionOptions(tile_px=512, overlap_px=64)
    plan = plan_scene(path, detector.spec, options, outlines=KnownOutlines(source, book))

    def run(shards: int, *, backwards: bool) -> bytes:
        todo = plan_shards(plan, shards=shards)
        if backwards:
            todo.reverse()
        done = [detect_shard(path, plan, shard, detector, book=book) for shard in todo]
        results = [ShardResult.from_bytes(result.to_bytes()) for result in done]
        in_order = sorted(results, key=lambda result: result.shard.index)
        counts = total_counts(plan, [result.counts for result in in_order])
        footprints = merge(plan, results, book=book)
        return "".join(to_geojson(footprints, describe(plan, counts, time=NOON))).encode()

    whole, parts = run(1, backwards=False), run(3, backwards=True)

    assert whole == parts
    found = json.loads(whole)
    assert {one["properties"]["outline_id"] for one in found["features"]} == {
        f"house/{number}" for number in range(len(labels))
    }
    # the labels are houses: the model's own scores, before they are calibrated, say so too
    calibration = detector.spec.calibration
    assert calibration is not None
    scores = np.array([one["properties"]["score"] for one in found["features"]])
    assert np.median(calibration.raw_scores(scores)) > 0.3


def test_the_shipped_pair_gives_the_same_bytes_in_any_shards(data_dir: Path) -> None:
    after, before = data_dir / SCENE, data_dir / BEFORE
    detector = load_detector(find_model(DEFAULT_PAIR_MODEL), device="cpu")
    options = DetectionOptions(tile_px=512, overlap_px=64)
    plan = plan_scene(after, detector.spec, options, before=BeforeScene(before))

    def run(shards: int, *, backwards: bool) -> bytes:
        todo = plan_shards(plan, shards=shards)
        if backwards:
            todo.reverse()
        results = [detect_shard(after, plan, one, detector, before=before) for one in todo]
        results.sort(key=lambda result: result.shard.index)
        counts = total_counts(plan, [result.counts for result in results])
        return "".join(to_geojson(merge(plan, results), describe(plan, counts, time=NOON))).encode()

    whole, parts = run(1, backwards=False), run(3, backwards=True)

    assert whole == parts
    assert whole.count(b'"Feature"') > 30
    laid = json.loads(whole)["metadata"]["before"]
    assert laid["measured"]
    assert all(abs(tile["east_m"]) < 3 and abs(tile["north_m"]) < 3 for tile in laid["shifts"])


def test_on_the_command_line_a_pair_is_judged_by_the_model_of_pairs(
    data_dir: Path, tmp_path: Path
) -> None:
    output = tmp_path / "damage.geojson"
    images = [str(data_dir / SCENE), "--before", str(data_dir / BEFORE)]

    code = main(["detect", *images, "--output", str(output)])

    assert code == 0
    written = json.loads(output.read_text())
    assert written["metadata"]["model"]["name"] == DEFAULT_PAIR_MODEL
    assert written["metadata"]["before"]["name"] == BEFORE.name
    assert {one["properties"]["model"] for one in written["features"]} == {
        read_spec(find_model(DEFAULT_PAIR_MODEL)).label
    }

    picture = tmp_path / "why.png"
    building = written["features"][0]["id"]
    code = main(
        ["explain", images[0], str(output), "--id", building, *images[1:], "--output", str(picture)]
    )

    assert code == 0
    assert picture.read_bytes()[:4] == b"\x89PNG"


def test_with_an_image_before_more_buildings_are_found(data_dir: Path) -> None:
    """One scene, 91 buildings; the whole comparison, with intervals, is in the card."""
    after, before = data_dir / SCENE, data_dir / BEFORE
    single = load_detector(find_model(DEFAULT_MODEL), device="cpu")
    pairs = load_detector(find_model(DEFAULT_PAIR_MODEL), device="cpu")
    labels = shapely.STRtree(
        [o for o, _ in read_outlines(data_dir / "xbd/val/labels" / f"{SCENE.stem}.json")]
    )

    def hits(detector: Detector, before: BeforeScene | None) -> float:
        found = detect_scene(after, detector, before=before).footprints
        with rasterio.open(after) as image:
            back = ~image.transform
        outlines = [
            shapely.transform(one.outline, lambda xy: np.column_stack(back * xy.T)) for one in found
        ]
        known = labels.geometries
        pairs = labels.query(outlines)
        matched = {
            int(label)
            for one, label in pairs.T
            if outlines[one].intersection(known[label]).area
            >= 0.5 * outlines[one].union(known[label]).area
        }
        return 2 * len(matched) / (len(found) + len(known))

    assert hits(pairs, BeforeScene(before)) > hits(single, None) > 0.25
