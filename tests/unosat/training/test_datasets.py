"""What people decided, as chips."""

import json

import numpy as np
import pytest

from detection.training.chips import IGNORED_GRADE, Chip
from tests.unosat.training.world import PIXEL_M, World
from unosat.ops.store import store_path
from unosat.review.models import Building, ReviewedArea
from unosat.training import datasets, registry
from unosat.training.errors import NothingToLearn
from unosat.training.models import Dataset
from unosat.training.plots import to_pixels


def freeze(world: World) -> Dataset:
    spec = registry.check_files(world.version)
    return datasets.freeze(world.admin.organisation_id, spec)


def only_chip(dataset: Dataset) -> Chip:
    (chip,) = datasets.chips_of(dataset, store_path(dataset.folder)).train
    return chip.load()


def some_building(world: World, area: ReviewedArea) -> Building:
    """One that lies well inside."""
    return next(b for b in world.inside(area) if b.outline.within(area.outline))


def test_outside_the_reviewed_area_nothing_is_learned_and_inside_everything_is(
    world: World,
) -> None:
    area = world.area(50, 60, 150, 140)
    world.decide(some_building(world, area), "destroyed")

    chip = only_chip(freeze(world))

    straddling = sum(not b.outline.within(area.outline) for b in world.inside(area))
    known = (~chip.ignore).sum() * PIXEL_M**2
    assert known == pytest.approx(100 * 80, rel=0.05 + 0.05 * straddling)
    assert chip.ignore[:10].all()
    assert chip.ignore[:, -10:].all()
    assert chip.image.shape[1] * PIXEL_M == pytest.approx(80 + 2 * 32 * PIXEL_M, abs=2)


def test_the_pixels_are_the_ones_that_the_decision_was_made_on(world: World) -> None:
    area = world.area(50, 60, 150, 140)
    building = some_building(world, area)
    Building.objects.exclude(pk=building.pk).update(review="rejected", version=1)
    world.decide(building, "destroyed")

    chip = only_chip(freeze(world))

    (number,) = np.flatnonzero(chip.grades == 3) + 1
    from detection.pipeline import ScenePlan
    from unosat.training.plots import flat

    grid = ScenePlan.from_json(world.assessment.plan).grid  # type: ignore[arg-type]
    expected = to_pixels(flat(building.outline), grid)
    assert (chip.instances == number).sum() == pytest.approx(expected.area, rel=0.1)
    assert chip.image[:, chip.instances == number].std() > 0


def test_rejected_buildings_are_background_and_unclassified_ones_are_ignored(
    world: World,
) -> None:
    area = world.area(50, 60, 150, 140)
    rejected, unclear, *_ = [b for b in world.inside(area) if b.outline.within(area.outline)]
    before = only_chip_with_accepted(world, area)
    world.decide(rejected, rejected.grade, "rejected")
    world.decide(unclear, "unclassified")

    chip = only_chip(freeze(world))

    counted = (chip.grades != IGNORED_GRADE).sum()
    assert counted == (before.grades != IGNORED_GRADE).sum() - 2
    assert chip.ignore.sum() > before.ignore.sum()


def test_what_people_could_not_judge_teaches_neither_a_grade_nor_background(world: World) -> None:
    area = world.area(50, 60, 150, 140)
    _, unsure, *_ = [b for b in world.inside(area) if b.outline.within(area.outline)]
    before = only_chip_with_accepted(world, area)
    Building.objects.filter(pk=unsure.pk).update(
        version=1, review="unsure", grade="unclassified", unsure_because="cloud"
    )
    doubtful = only_chip(freeze(world))
    Building.objects.filter(pk=unsure.pk).update(review="replaced", unsure_because="")
    without = only_chip(freeze(world))

    def counted(chip: Chip) -> int:
        return int((chip.grades != IGNORED_GRADE).sum())

    assert counted(doubtful) == counted(before) - 1
    assert doubtful.ignore.sum() > before.ignore.sum()  # not background either
    assert counted(without) == counted(doubtful)
    assert without.ignore.sum() < doubtful.ignore.sum()  # what took its place counts there


def test_ground_that_nobody_can_assess_teaches_nothing(world: World) -> None:
    area = world.area(50, 60, 150, 140)
    before = only_chip_with_accepted(world, area)
    cloud = world.area(50, 60, 100, 140)
    cloud.kind, cloud.because = ReviewedArea.Kind.NOT_ASSESSABLE, ReviewedArea.Because.CLOUD
    cloud.save()

    chip = only_chip(freeze(world))

    half = (~before.ignore).sum() / 2
    assert (~chip.ignore).sum() == pytest.approx(half, rel=0.15)
    cloud.refresh_from_db()
    assert cloud.kept_aside is None


def test_nothing_is_learned_from_doubts_alone(world: World) -> None:
    area = world.area(50, 60, 150, 140)
    Building.objects.filter(pk=some_building(world, area).pk).update(
        version=1, review="unsure", grade="unclassified", unsure_because="shadow"
    )

    with pytest.raises(NothingToLearn):
        freeze(world)


def only_chip_with_accepted(world: World, area: ReviewedArea) -> Chip:
    building = some_building(world, area)
    world.decide(building, building.grade, "accepted")
    return only_chip(freeze(world))


def test_a_faint_guess_that_nobody_looked_at_is_no_example(world: World) -> None:
    area = world.area(50, 60, 150, 140)
    accepted, faint, *_ = [b for b in world.inside(area) if b.outline.within(area.outline)]
    world.decide(accepted, accepted.grade, "accepted")
    Building.objects.filter(pk=faint.pk).update(score=0.2)

    chip = only_chip(freeze(world))

    assert IGNORED_GRADE in chip.grades


def test_without_a_decision_in_a_reviewed_area_nothing_is_frozen(world: World) -> None:
    area = world.area(50, 60, 150, 140)
    outside = Building.objects.exclude(pk__in=[b.pk for b in world.inside(area)]).first()
    assert outside is not None
    world.decide(outside, "destroyed")

    with pytest.raises(NothingToLearn):
        freeze(world)


def test_a_decision_that_was_taken_back_is_none(world: World) -> None:
    area = world.area(50, 60, 150, 140)
    building = some_building(world, area)
    world.decide(building, "destroyed")
    Building.objects.filter(pk=building.pk).update(version=2, review="unreviewed")

    with pytest.raises(NothingToLearn):
        freeze(world)


def test_what_is_kept_aside_never_teaches_though_areas_come_later(world: World) -> None:
    near, far = world.area(5, 5, 75, 75), world.area(290, 290, 362, 362)
    for area in (near, far):
        world.decide(some_building(world, area), "destroyed")
    first = freeze(world)
    later = world.area(5, 290, 75, 362)  # 215 m from ``far``
    world.decide(some_building(world, later), "destroyed")

    second = freeze(world)

    def test_side(dataset: Dataset) -> set[str]:
        return {c["cluster"] for c in dataset.manifest["chips"] if c["side"] == "test"}

    assert (first.chips_train, first.chips_test) == (1, 1)
    assert (second.chips_train, second.chips_test) == (2, 1)
    assert test_side(first) == test_side(second)
    assert ReviewedArea.objects.filter(kept_aside=True).count() == 1


def test_equal_decisions_freeze_to_the_same_dataset_and_new_ones_to_another(
    world: World,
) -> None:
    area = world.area(50, 60, 150, 140)
    building = some_building(world, area)
    world.decide(building, "destroyed")
    first, again = freeze(world), freeze(world)
    world.decide(building, "no_damage")

    changed = freeze(world)

    assert first.pk == again.pk
    assert changed.content_hash != first.content_hash
    assert store_path(first.folder).is_dir()
    manifest = json.loads((store_path(first.folder) / "manifest.json").read_text())
    assert manifest == first.manifest
    assert manifest["licences"] == ["CC0-1.0"]
    assert not list(store_path("datasets").glob(".draft-*"))


def test_an_area_taller_than_a_chip_is_cut_without_a_gap(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("unosat.training.plots.CHIP_PX", 250)
    area = world.area(20, 20, 180, 260)
    world.decide(some_building(world, area), "destroyed")

    dataset = freeze(world)
    side = datasets.chips_of(dataset, store_path(dataset.folder))
    chips = [chip.load() for chip in side.train]

    assert len(chips) == 2 * 3
    assert max(max(chip.instances.shape) for chip in chips) <= 250
    known = sum((~chip.ignore).sum() for chip in chips) * PIXEL_M**2
    assert known == pytest.approx(160 * 240, rel=0.05)
