"""What a retraining takes over from the model it begins with."""

from functools import partial
from pathlib import Path

from detection import weights
from detection.synthetic import render_chip
from detection.training.chips import LazyChip
from tests.unosat.training.world import PIXEL_M, write_random_model
from unosat.training import learning
from unosat.training.learning import Lesson
from unosat.training.recipe import Recipe

BRIEF = Recipe(steps=1, batch=1, crop_px=96, replay_weight=0.0, replay_scenes=1)


def test_grades_weigh_as_they_did_when_the_model_was_taught(tmp_path: Path) -> None:
    start = write_random_model(tmp_path / "start")
    card = weights.read_card(start)
    weights.write_card(start, card | {"training": {"grade_weight": [0.3, 1.2, 2.5, 1.3]}})
    chip = LazyChip("chip", "made up", "chip", partial(render_chip, 3, 96, PIXEL_M))
    lesson = Lesson(start, tmp_path / "out", "taught@2", seed=1, device="cpu", facts={})

    taught = learning.teach(lesson, BRIEF, [chip], lambda *_: None)

    assert weights.read_card(taught)["training"]["grade_weight"] == [0.3, 1.2, 2.5, 1.3]
