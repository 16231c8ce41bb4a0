"""Pairs of images from the request to the export: refused in words, compared, and said how."""

import json
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest
from django.test import Client
from numpy.typing import NDArray

from detection import weights
from detection.detector import Detector, ModelSpec, TileDetections
from tests.live import Stack
from tests.unosat.makers import (
    SCORE,
    finish,
    make_actor,
    make_model,
    make_organisation,
    make_pair,
    make_scene,
    make_user,
    town,
)
from unosat.accounts.actors import Actor
from unosat.accounts.models import Organisation
from unosat.assessments import detectors, selectors, services, tasks
from unosat.assessments.errors import (
    BeforeNotReady,
    BeforeOfAnotherEvent,
    BeforeWrongPhase,
    KeyUsedDifferently,
    NoActivePairModel,
)
from unosat.assessments.models import Assessment
from unosat.assessments.selectors import Progress
from unosat.assessments.services import AssessmentRequest
from unosat.errors import RefusedError
from unosat.exports import services as exports
from unosat.ops.models import Job
from unosat.ops.store import store_path
from unosat.scenes.models import Scene
from unosat.training import registry
from unosat.training.models import ModelVersion

pytestmark = pytest.mark.django_db(transaction=True)

METRES_EAST = 0.4548  # a pixel of the made scenes
METRES_SOUTH = 0.5548
PATIENCE_SECONDS = 500.0


@pytest.fixture
def organisation() -> Organisation:
    return make_organisation()


@pytest.fixture
def actor(organisation: Organisation) -> Actor:
    return make_actor(organisation)


@pytest.fixture
def models(monkeypatch: pytest.MonkeyPatch) -> dict[str, ModelVersion]:
    """An active version of each kind, and workers whose models need no torch."""
    monkeypatch.setattr(detectors, "detector_of", changed)
    return {kind: make_model(input_kind=kind) for kind in ("after", "before_after")}


@dataclass(frozen=True)
class ChangedIsDestroyed:
    """Calls the middle of each tile destroyed where the two images differ there."""

    spec: ModelSpec
    batch_size: int = 1

    def predict(self, images: NDArray[np.uint8], *, min_score: float) -> list[TileDetections]:
        assert min_score <= SCORE
        bands = 6 if self.spec.input_kind == "before_after" else 3
        assert images.shape[1] == bands
        return [self._look(image) for image in images]

    def _look(self, image: NDArray[np.uint8]) -> TileDetections:
        middle = image[:, 118:138, 118:138].astype(int)
        found = int(len(image) == 6 and bool((middle[:3] != middle[3:]).any()))
        return TileDetections(
            boxes=np.array([[118, 118, 138, 138]] * found, np.float32).reshape(-1, 4),
            masks=tuple(np.ones((28, 28), np.float32) for _ in range(found)),
            scores=np.full(found, SCORE, np.float32),
            probabilities=np.tile(np.array([0.1, 0.1, 0.1, 0.7], np.float32), (found, 1)),
        )


def changed(version: ModelVersion) -> Detector:
    return ChangedIsDestroyed(weights.read_spec(store_path(version.folder)))


def start(actor: Actor, before: Scene | None, after: Scene) -> Assessment:
    wanted = AssessmentRequest(scene=after.pk, before_scene=before.pk if before else None)
    return services.create_assessment(actor, wanted)


def told(actor: Actor, row: Assessment) -> Progress:
    return selectors.progress(selectors.assessment(actor, row.pk))


@pytest.mark.usefixtures("models")
@pytest.mark.parametrize(
    ("facts", "error"),
    [
        ({"phase": "after"}, BeforeWrongPhase),
        ({"event": "another"}, BeforeOfAnotherEvent),
        ({"state": "checking"}, BeforeNotReady),
        ({"state": "refused", "refusal_code": "empty"}, BeforeNotReady),
    ],
)
def test_an_image_that_cannot_be_compared_is_refused_with_advice(
    organisation: Organisation, actor: Actor, facts: dict[str, str], error: type[RefusedError]
) -> None:
    before, after = make_pair(organisation)
    if "event" in facts:
        before = make_scene(organisation, phase="before")
    else:
        Scene.objects.filter(pk=before.pk).update(**facts)

    with pytest.raises(error) as caught:
        start(actor, before, after)

    assert caught.value.user_message.endswith(".")
    assert not Job.objects.exists()


def test_without_an_active_model_of_pairs_a_pair_is_refused_and_one_image_is_not(
    organisation: Organisation, actor: Actor
) -> None:
    make_model()
    make_model(input_kind="before_after", active=False)
    before, after = make_pair(organisation)

    with pytest.raises(NoActivePairModel) as caught:
        start(actor, before, after)

    assert "leave the image from before out" in caught.value.user_message
    assert start(actor, None, after).model_version.input_kind == "after"


@pytest.mark.usefixtures("models")
def test_refusals_over_http_have_one_shape_and_others_images_do_not_exist(
    organisation: Organisation, client: Client
) -> None:
    before, after = make_pair(organisation)
    theirs, _ = make_pair(make_organisation())
    client.force_login(make_user(organisation))
    wanted = {
        str(theirs.pk): (404, "not_found"),
        str(uuid4()): (404, "not_found"),
        str(after.pk): (422, "before_wrong_phase"),
        str(make_scene(organisation, phase="before").pk): (422, "before_of_another_event"),
        "x": (422, "invalid_fields"),
    }

    for named, expected in wanted.items():
        body = {"scene": str(after.pk), "before_scene": named}
        answer = client.post("/api/v1/assessments", body, content_type="application/json")
        assert (answer.status_code, answer.json()["code"]) == expected

    Scene.objects.filter(pk=before.pk).update(state="checking")
    body = {"scene": str(after.pk), "before_scene": str(before.pk)}
    answer = client.post("/api/v1/assessments", body, content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (409, "before_not_ready")
    assert not Assessment.objects.exists()


def test_a_pair_is_another_request_than_its_image_after_alone(
    organisation: Organisation, actor: Actor, models: dict[str, ModelVersion]
) -> None:
    before, after = make_pair(organisation)
    alone = AssessmentRequest(scene=after.pk, idempotency_key="once")
    pair = AssessmentRequest(scene=after.pk, before_scene=before.pk, idempotency_key="once")

    assert services.create_assessment(actor, alone).model_version == models["after"]
    with pytest.raises(KeyUsedDifferently):
        services.create_assessment(actor, pair)

    assert start(actor, before, after).model_version == models["before_after"]


def test_a_pair_is_compared_and_its_result_says_how_it_was_laid(
    organisation: Organisation, actor: Actor, models: dict[str, ModelVersion]
) -> None:
    before, after = make_pair(organisation, town(right_px=10, down_px=-6) // 2 + 1)

    Scene.objects.filter(pk=before.pk).update(licence="CC-BY-4.0")

    row = finish(start(actor, before, after))

    said = told(actor, row)
    assert (said.state, said.failure_message) == ("done", "")
    assert (said.input_kind, said.before_scene) == ("before_after", before.pk)
    assert said.before_scene_name == "before.tif"
    expected = np.hypot(10 * METRES_EAST, 6 * METRES_SOUTH)
    assert said.before_shift_m == pytest.approx(expected, abs=0.6)
    assert said.before_tiles_without == 0
    assert said.warnings == []
    assert said.footprints_found > 0
    json.dumps(said.as_json())
    with exports.write_geojson(actor, row.pk, exports.Choice()) as file:
        written = json.load(file)["metadata"]
    assert written["model"]["name"] == models["before_after"].name
    assert (written["before"]["name"], written["before"]["sha256"]) == ("before.tif", "1" * 64)
    assert written["before"]["measured"]
    assert written["before"]["data_licence"] == "CC-BY-4.0"
    # everything in it lay to the east and north: it was moved west and south
    assert written["before"]["east_m"] == pytest.approx(-10 * METRES_EAST, abs=0.6)
    assert written["before"]["north_m"] == pytest.approx(-6 * METRES_SOUTH, abs=0.6)
    assert len(written["before"]["shifts"]) == written["tiles"]["read"]


@pytest.mark.usefixtures("models")
def test_tiles_of_which_the_image_before_shows_nothing_are_counted(
    organisation: Organisation, actor: Actor
) -> None:
    half = town()
    half[:, :, 100:] = 0
    before, after = make_pair(organisation, half)

    row = finish(start(actor, before, after))

    said = told(actor, row)
    assert said.state == "done"
    assert said.before_tiles_without == 6  # of three columns of three
    assert row.metadata["before"]["tiles_without"] == 6


@pytest.mark.usefixtures("models")
def test_a_pair_whose_distance_cannot_be_told_says_so(
    organisation: Organisation, actor: Actor
) -> None:
    noise = np.random.default_rng(5).integers(1, 255, (3, 512, 512), dtype=np.uint8)
    before, after = make_pair(organisation, noise)

    row = finish(start(actor, before, after))

    said = told(actor, row)
    assert (said.state, said.before_shift_m) == ("done", None)
    assert any("could not be told" in warning for warning in said.warnings)
    assert row.metadata["warnings"] == said.warnings


@pytest.mark.usefixtures("models")
@pytest.mark.parametrize(
    ("right_px", "code"), [(40, "before_too_far_off"), (None, "before_elsewhere")]
)
def test_a_pair_that_does_not_belong_together_fails_with_a_sentence(
    organisation: Organisation, actor: Actor, right_px: int | None, code: str
) -> None:
    moved = town(right_px or 0)
    before, after = make_pair(organisation, moved)
    if right_px is None:
        elsewhere = make_scene(organisation, moved, west=34.5)
        Scene.objects.filter(pk=before.pk).update(cog_key=elsewhere.cog_key)

    row = start(actor, before, after)
    tasks.plan(str(row.pk))

    row.refresh_from_db()
    assert (row.state, row.failure_code) == ("failed", code)
    assert row.failure_message.endswith(".")
    assert not row.shards.exists()


def test_an_assessment_queued_before_pairs_were_compared_is_done_as_it_was_asked_for(
    organisation: Organisation, actor: Actor, models: dict[str, ModelVersion]
) -> None:
    before, after = make_pair(organisation)
    row = start(actor, before, after)
    Assessment.objects.filter(pk=row.pk).update(model_version=models["after"])

    finish(row)

    said = told(actor, row)
    assert (said.state, said.input_kind, said.before_scene) == ("done", "after", before.pk)
    assert (said.before_shift_m, said.before_tiles_without) == (None, None)
    assert "before" not in row.metadata


@pytest.mark.usefixtures("models")
def test_the_pages_offer_the_comparison_and_say_what_was_compared(
    organisation: Organisation, client: Client
) -> None:
    before, after = make_pair(organisation)
    client.force_login(make_user(organisation))

    offered = client.get(f"/scenes/{after.pk}/").content.decode()
    made = client.post(f"/scenes/{after.pk}/analyse/", {"before_scene": str(before.pk)})
    shown = client.get(made.headers["Location"]).content.decode()
    ModelVersion.objects.filter(input_kind="before_after").update(active=False)
    withheld = client.get(f"/scenes/{after.pk}/").content.decode()

    assert str(before.pk) in offered
    assert "a model of pairs compares the two" in offered
    assert f"/scenes/{before.pk}/" in shown
    assert "compared with" in shown
    assert "no model that compares the two is active" in withheld
    assert "before_scene" not in withheld


def test_models_that_take_turns_in_a_worker_are_loaded_once(
    models: dict[str, ModelVersion], monkeypatch: pytest.MonkeyPatch
) -> None:
    loads: list[Path] = []
    monkeypatch.undo()  # the worker's own way to a model
    monkeypatch.setattr(detectors, "load_detector", lambda folder, **_: loads.append(folder))
    replaced = make_model(active=False)

    for version in [models["after"], models["before_after"], replaced] * 3:
        detectors.detector_of(version)

    assert len(loads) == 3


@pytest.mark.timeout(900)
def test_a_worker_takes_turns_between_one_image_and_a_pair_of_real_ones(
    backstage: Stack, organisation: Organisation, data_dir: Path
) -> None:
    registry.sync_shipped_models()
    actor = make_actor(organisation)
    before, after = (real_scene(organisation, data_dir, when) for when in ("pre", "post"))
    Scene.objects.filter(pk=before.pk).update(phase="before", event=after.event)
    backstage.start_worker("detect", OMP_NUM_THREADS="1")

    rows = [start(actor, chosen, after) for chosen in (before, None, before)]
    end = time.monotonic() + PATIENCE_SECONDS
    while {told(actor, row).state for row in rows} != {"done"}:
        seen = [told(actor, row) for row in rows]
        assert not [one for one in seen if one.state == "failed"], seen
        assert time.monotonic() < end, seen
        time.sleep(0.5)

    first, alone, again = (told(actor, row) for row in rows)
    assert (first.model, alone.model) == (again.model, told(actor, rows[1]).model)
    assert first.model.startswith(f"{weights.DEFAULT_PAIR_MODEL}@")
    assert alone.model.startswith(f"{weights.DEFAULT_MODEL}@")
    assert first.before_shift_m is not None
    assert (first.before_tiles_without, alone.before_tiles_without) == (0, None)
    results = [list(r.shards.order_by("index").values_list("result_sha256")) for r in rows]
    assert results[0] == results[2] != results[1]


def real_scene(organisation: Organisation, data_dir: Path, when: str) -> Scene:
    """A scene of Panama City, before or after Hurricane Michael."""
    name = f"hurricane-michael_00000178_{when}_disaster.tif"
    scene = make_scene(organisation, name=name)
    shutil.copy(data_dir / "xbd" / "val" / "images" / name, store_path(scene.cog_key))
    return scene
