"""Adapting to an event: heads learn, the rest stays, and what would be worse is not written."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load, save

from detection.errors import NoBetter, NothingToExamine
from detection.labels.xbd import read_xbd, with_before
from detection.synthetic import render_chip
from detection.training.adapt import AdaptOptions, adapt, mix, part
from detection.training.chips import Chip, ChipSource, LazyChip
from detection.weights import (
    DEFAULT_MODEL,
    DEFAULT_PAIR_MODEL,
    find_model,
    read_card,
    read_spec,
    read_weights,
    write_model,
)
from tests import long

SIDE, PIXEL_M = 256, 0.46
QUICK = AdaptOptions(minutes=0, steps=12, crop_px=SIDE, learning_rate=2e-3)
LESSON = AdaptOptions(minutes=0, steps=50, crop_px=SIDE, learning_rate=2e-3)


def rendered(seed: int, cluster: str, *, wrong: bool = False, event: str = "storm") -> LazyChip:
    """A chip of a town; ``wrong``: what is damaged was called undamaged, and the other way."""

    def load_chip() -> Chip:
        chip = render_chip(seed, SIDE, PIXEL_M)
        named = replace(chip, name=f"chip-{seed}", event=event, cluster=cluster)
        return (
            replace(named, grades=np.where(chip.grades > 0, 0, 3).astype(np.int8))
            if wrong
            else named
        )

    return LazyChip(f"chip-{seed}", event, cluster, load_chip)


def graded(number: int, damaged: int, cluster: str) -> LazyChip:
    """A chip of ten buildings, some of them destroyed."""
    grades = np.array([3] * damaged + [0] * (10 - damaged), np.int8)
    instances = np.zeros((8, 16), np.int32)
    instances[0, :10] = np.arange(1, 11)
    ready = Chip(
        image=np.zeros((3, 8, 16), np.uint8),
        instances=instances,
        grades=grades,
        ignore=np.zeros((8, 16), bool),
        name=str(number),
        event="storm",
        cluster=cluster,
        pixel_size_m=PIXEL_M,
    )
    return LazyChip(str(number), "storm", cluster, partial(lambda chip: chip, ready))


def names(chips: list[ChipSource]) -> set[str]:
    return {chip.name for chip in chips}


def test_a_fifth_of_the_buildings_and_of_the_damage_is_kept_aside_elsewhere() -> None:
    chips = [graded(n, damaged=8 if n % 5 == 0 else 0, cluster=str(n // 2)) for n in range(50)]

    taught, aside = part(chips, seed=3)

    assert {c.cluster for c in taught}.isdisjoint(c.cluster for c in aside)
    assert names(taught) | names(aside) == names(list(chips))
    assert 7 <= len(aside) <= 13
    damaged = [sum(int((c.load().grades > 0).sum()) for c in group) for group in (taught, aside)]
    assert 0.1 <= damaged[1] / sum(damaged) <= 0.3
    assert names(part(chips, seed=3)[1]) == names(aside)


@pytest.mark.parametrize(
    "chips",
    [
        [rendered(1, "a"), rendered(2, "a")],
        [rendered(1, "a"), rendered(2, "b", event="flood")],
        [],
    ],
)
def test_without_a_place_to_examine_nothing_is_taught(
    chips: list[ChipSource], tmp_path: Path
) -> None:
    with pytest.raises(NothingToExamine):
        adapt(find_model(DEFAULT_MODEL), chips, tmp_path / "out", label="x@1", options=QUICK)

    assert not (tmp_path / "out").exists()


def test_a_mixture_lies_between_the_old_weights_and_the_new(tmp_path: Path) -> None:
    shipped = find_model(DEFAULT_PAIR_MODEL)
    old = load(read_weights(shipped))
    doubled = {
        name: 2 * value if value.is_floating_point() else value for name, value in old.items()
    }
    write_model(tmp_path / "taught", save(doubled), read_card(shipped))

    mixed = load(read_weights(mix(shipped, tmp_path / "taught", 0.25)))

    assert mix(shipped, tmp_path / "taught", 1.0) == tmp_path / "taught"
    for name, value in old.items():
        expected = 1.25 * value.float() if value.is_floating_point() else value
        assert torch.allclose(mixed[name].float(), expected.float(), rtol=1e-3, atol=1e-6)
        assert mixed[name].dtype == value.dtype


@long.teaching
def test_what_is_no_better_elsewhere_is_not_written(tmp_path: Path) -> None:
    right = [rendered(seed, str(seed)) for seed in range(10, 15)]
    taught, aside = part(right, seed=0)
    chips = [*(rendered(int(c.cluster), c.cluster, wrong=True) for c in taught), *aside]

    with pytest.raises(NoBetter):
        adapt(find_model(DEFAULT_MODEL), chips, tmp_path / "out", label="x@1", options=QUICK)

    assert not (tmp_path / "out").exists()


@pytest.fixture
def wrong_model(tmp_path: Path) -> Path:
    """The shipped model of pairs, but that undamaged and minor damage are exchanged."""
    shipped = find_model(DEFAULT_PAIR_MODEL)
    state = load(read_weights(shipped))
    for name in ("box_head.cls_score.weight", "box_head.cls_score.bias"):
        state[name] = state[name][[0, 2, 1, 3, 4]].contiguous()  # background stays first
    write_model(tmp_path / "wrong", save(state), read_card(shipped))
    return tmp_path / "wrong"


@long.teaching
def test_the_heads_of_a_model_that_grades_wrongly_learn_from_a_few_real_chips(
    wrong_model: Path, data_dir: Path, tmp_path: Path
) -> None:
    folder, event = data_dir / "xbd" / "val", "hurricane-michael"
    few = with_before(folder, [c for c in read_xbd(folder) if c.event == event][::4])

    found = adapt(wrong_model, few, tmp_path / "out", label="adapted@1", options=LESSON)

    card = read_card(tmp_path / "out")
    assert card["parent_sha256"] == read_spec(wrong_model).sha256
    assert card["calibration"]["inherited_from"] == read_spec(wrong_model).label
    before, after = card["adaptation"]["damaged_f1"]
    assert after >= before + 0.1
    assert found.after.reports["all"].scores["damaged_f1"].value == pytest.approx(after, abs=1e-4)
    old, new = load(read_weights(wrong_model)), load(read_weights(tmp_path / "out"))
    changed = {name for name in old if not old[name].equal(new[name])}
    assert changed
    assert card["adaptation"]["share"] == found.share
    assert not [name for name in changed if name.startswith("backbone.")]
