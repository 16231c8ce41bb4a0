"""Retraining where machines share nothing but a bucket: dataset, weights and all."""

import time
from pathlib import Path
from uuid import uuid4

import pytest
from pytest_django import Settings

from tests import live
from tests.live import processes_of
from tests.s3 import S3Server, use_bucket
from tests.unosat.training.world import World, build_world, draw_scene, write_random_model
from unosat.assessments.models import Assessment
from unosat.assessments.services import AssessmentRequest, create_assessment
from unosat.ops import store
from unosat.training import registry, services
from unosat.training.models import TrainingRun

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.timeout(1200),
    pytest.mark.usefixtures("only_long"),
]

PATIENCE_SECONDS = 900.0


@pytest.fixture
def storage(s3_server: S3Server, settings: Settings, tmp_path: Path) -> str:
    """Address of an empty part of a bucket, which this process uses from now on."""
    settings.UNOSAT_STORE = tmp_path / "own"
    settings.UNOSAT_STORE.mkdir()
    address = s3_server.url(prefix=uuid4().hex)
    use_bucket(settings, address)
    return address


@pytest.fixture
def world(transactional_db: None, storage: str, tmp_path: Path) -> World:  # noqa: ARG001 (what is handed over goes there)
    """The small world, with image and model in the bucket and nowhere else."""
    model = write_random_model(tmp_path / "model")
    made = build_world(model, draw_scene(tmp_path, seed=11, size_px=800))
    root = store.store_path("models").parent
    for path in sorted(path for path in root.rglob("*") if path.is_file()):
        store.hand_over(path.relative_to(root).as_posix())
        path.unlink()
    return made


def test_a_retraining_leaves_everything_in_the_bucket_and_another_machine_detects_with_it(
    world: World, storage: str, s3_server: S3Server, redis_url: str, tmp_path: Path
) -> None:
    for corner in (5, 290):
        area = world.area(corner, corner, corner + 72, corner + 72)
        world.decide(world.inside(area)[0], "destroyed")
    run = services.start(world.admin)

    with processes_of(redis_url, tmp_path / "log") as stack:
        stack.base = machine(tmp_path / "trainer", storage)
        stack.start_beat()
        stack.start_worker("light", "ingest")
        stack.start_worker("train")
        await_done(run)
        assert run.new_version is not None
        assert run.dataset is not None
        services.activate(world.admin, run.new_version.pk)
        assessment = create_assessment(
            world.admin, AssessmentRequest(scene=world.assessment.scene_id)
        )
        stack.base = machine(tmp_path / "detector", storage)
        stack.start_worker("detect")
        await_done(assessment)

    prefix = storage.rpartition("/")[2]
    kept = s3_server.keys(f"{prefix}/{run.new_version.folder}/")
    assert {Path(key).name for key in kept} == {"card.json", "weights.safetensors"}
    assert s3_server.keys(f"{prefix}/{run.dataset.folder}/")
    spec = registry.check_files(run.new_version)
    assert spec.sha256 == run.new_version.sha256 != world.version.sha256
    assert set(run.scores) == {"old", "new"}
    assert assessment.model_sha256 == spec.sha256
    assert assessment.tiles_not_analysed == 0
    for name in ("trainer", "detector"):
        assert [path for path in (tmp_path / name).rglob("*") if path.is_file()] == []


def machine(folder: Path, storage: str) -> dict[str, str]:
    """The environment of a machine with an empty folder of its own, that trains in a few steps."""
    folder.mkdir()
    return live.environment() | {
        "UNOSAT_STORAGE_URL": storage,
        "UNOSAT_STORE": str(folder),
        "UNOSAT_TRAINING_STEPS": "4",
        "UNOSAT_DEVICE": "cpu",
    }


def await_done(row: TrainingRun | Assessment) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while row.state != "done":
        assert row.state not in {"failed", "cancelled"}, row.failure_message
        assert time.monotonic() < end, row.state
        time.sleep(0.3)
        row.refresh_from_db()
