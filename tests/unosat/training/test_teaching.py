"""Retraining that teaches: a model that grades wrongly learns from people, and only from sense.

The shipped model is first shown synthetic damage, which it hardly knows, and then made
systematically wrong by exchanging its outputs for "no damage" and "destroyed", and for minor and
major damage. People grade 100 buildings anew in two areas; a third area, elsewhere, examines.
Nothing is replayed here: synthetic scenes with their true grades would teach as well, and the
corrections are to do it alone. Damage is rare, so that guessing earns nothing.
"""

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from uuid import uuid4

import pytest
from numpy.random import default_rng
from safetensors.torch import load, save

from detection import weights
from detection.grades import Grade
from detection.synthetic import render_chip
from detection.training.chips import ChipSource, LazyChip
from detection.weights import DEFAULT_MODEL, find_model
from tests import long
from tests.unosat.training.world import PIXEL_M, Drawn, World, build_world, draw_scene
from unosat.assessments import detectors
from unosat.assessments.services import AssessmentRequest, create_assessment
from unosat.ops.store import store_path
from unosat.review.models import Building, ReviewedArea
from unosat.training import datasets, examining, learning, registry, services
from unosat.training.learning import Lesson
from unosat.training.models import Dataset
from unosat.training.recipe import Recipe

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.timeout(900),
    long.teaching,
]

WRONG = {
    Grade.NO_DAMAGE: Grade.DESTROYED,
    Grade.MINOR_DAMAGE: Grade.MAJOR_DAMAGE,
    Grade.MAJOR_DAMAGE: Grade.MINOR_DAMAGE,
    Grade.DESTROYED: Grade.NO_DAMAGE,
}
SCENE_PX, SEED = 1300, 8  # 598 m
DAMAGE = (0.88, 0.01, 0.01, 0.10)
TAUGHT = ((0, 0, 190), (0, 400, 190))  # left, top, right in metres; as tall as need be
EXAMINED = (400, 5, 590, 590)  # at least 210 m from the others
CORRECTIONS = 100
TEACHES = 0.10
SCHOOL_SEED, SCHOOL_DAMAGE = 500, (0.5, 0.08, 0.08, 0.34)
LESSON = Recipe(
    steps=80,
    crop_px=256,
    learning_rate=5e-4,
    replay_weight=0.0,
    replay_scenes=1,
    benchmark_scenes=1,
    benchmark_px=256,
)


@pytest.fixture(scope="module")
def wrong_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that knows synthetic damage and calls it by the wrong names."""
    shipped = find_model(os.environ.get("UNOSAT_TEST_MODEL", DEFAULT_MODEL))
    folder = tmp_path_factory.mktemp("models")
    school = [school_chip(SCHOOL_SEED + number) for number in range(256)]
    knowing = teach(shipped, folder / "knowing", school)
    state = load(weights.read_weights(knowing))
    for name in ("box_head.cls_score.weight", "box_head.cls_score.bias"):
        state[name] = state[name][[0, 4, 3, 2, 1]].contiguous()  # background stays first
    weights.write_model(folder / "wrong", save(state), weights.read_card(knowing))
    return folder / "wrong"


def school_chip(seed: int) -> LazyChip:
    reader = partial(render_chip, seed, 288, PIXEL_M, SCHOOL_DAMAGE)
    return LazyChip(f"school-{seed}", "school", str(seed), reader)


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Drawn:
    """A scene with room for three areas that are strangers to each other."""
    folder = tmp_path_factory.mktemp("town")
    return draw_scene(folder, seed=SEED, size_px=SCENE_PX, p_damage=DAMAGE)


@pytest.fixture
def wrong_world(store: Path, wrong_model: Path, town: Drawn) -> World:  # noqa: ARG001
    """Everything in the town has been graded wrongly."""
    world = build_world(wrong_model, town)
    wrong = {building.pk: WRONG[Grade(building.grade)] for building in Building.objects.all()}
    for pk, grade in wrong.items():
        Building.objects.filter(pk=pk).update(grade=grade.value)
    return world


def truth_of(building: Building) -> str:
    return WRONG[Grade(building.grade)].value  # exchanging twice is the truth


def mark(world: World, corners: tuple[int, int, int, int], *, kept_aside: bool) -> ReviewedArea:
    area = world.area(*corners)
    ReviewedArea.objects.filter(pk=area.pk).update(kept_aside=kept_aside)
    return area


def area_with(world: World, corners: tuple[int, int, int], buildings: int) -> ReviewedArea:
    """A teaching area, as tall as it takes to hold so many buildings."""
    left, top, right = corners
    for height in range(40, 190, 5):
        area = mark(world, (left, top, right, top + height), kept_aside=False)
        if len(world.inside(area)) >= buildings:
            return area
        area.delete()
    raise AssertionError("too few buildings")


def correct(world: World, *, shuffled: bool) -> Dataset:
    """Grade 100 buildings in two areas, and all of the third."""
    areas = [area_with(world, corners, CORRECTIONS // 2) for corners in TAUGHT]
    taught = [building for area in areas for building in world.inside(area)]
    assert CORRECTIONS <= len(taught) <= 1.1 * CORRECTIONS
    grades = [truth_of(building) for building in taught]
    if shuffled:
        grades = [grades[int(index)] for index in default_rng(4).permutation(len(grades))]
    for building, grade in zip(taught, grades, strict=True):
        world.decide(building, grade)
    for building in world.inside(mark(world, EXAMINED, kept_aside=True)):
        world.decide(building, truth_of(building))
    return datasets.freeze(world.admin.organisation_id, registry.check_files(world.version))


def teach(start: Path, out: Path, chips: Sequence[ChipSource]) -> Path:
    lesson = Lesson(start, out, f"unosat-after@{out.name}", seed=1, device="cpu", facts={})
    return learning.teach(lesson, LESSON, chips, lambda *_: None)


def retrain(world: World, dataset: Dataset, store: Path) -> Path:
    base = store_path(world.version.folder)
    chips = datasets.chips_of(dataset, store_path(dataset.folder)).train
    return teach(base, store / f"taught-{uuid4().hex}", chips)


def damaged_f1(folder: Path, dataset: Dataset) -> float:
    chips = datasets.chips_of(dataset, store_path(dataset.folder)).test
    scores = examining.examine(folder, chips, LESSON, "cpu", lambda: None)["kept_aside"]
    return float(scores["damaged_f1"] or 0)


def test_sensible_corrections_teach_and_the_next_assessment_shows_it(
    wrong_world: World, store: Path
) -> None:
    dataset = correct(wrong_world, shuffled=False)
    before = damaged_f1(store_path(wrong_world.version.folder), dataset)

    folder = retrain(wrong_world, dataset, store)

    assert damaged_f1(folder, dataset) >= before + TEACHES
    spec, key = registry.adopt(folder)
    version = registry.describe(folder, key, spec)
    version.save()
    services.activate(wrong_world.admin, version.pk, replaces=wrong_world.version.pk)
    scene = wrong_world.assessment.scene
    following = create_assessment(wrong_world.admin, AssessmentRequest(scene=scene.pk))
    assert following.model_version == version
    assert detectors.detector_of(following.model_version).spec.sha256 == spec.sha256
    assert wrong_world.assessment.model_version == wrong_world.version


def test_the_same_corrections_shuffled_teach_nothing(wrong_world: World, store: Path) -> None:
    dataset = correct(wrong_world, shuffled=True)
    before = damaged_f1(store_path(wrong_world.version.folder), dataset)

    folder = retrain(wrong_world, dataset, store)

    assert damaged_f1(folder, dataset) < before + TEACHES
