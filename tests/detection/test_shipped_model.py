"""The engine with the weights that are shipped, on a real scene."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from detection.backends import load_detector
from detection.detector import Detector
from detection.outputs import describe, to_geojson
from detection.pipeline import (
    DetectionOptions,
    ShardResult,
    detect_shard,
    merge,
    plan_scene,
    plan_shards,
    total_counts,
)
from detection.weights import DEFAULT_MODEL, find_model

SCENE = Path("xbd/val/images/hurricane-michael_00000178_post_disaster.tif")
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
