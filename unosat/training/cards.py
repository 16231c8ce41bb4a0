"""What the page of models shows of a model's card. A card is JSON; what it lacks is not shown."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from unosat.training.models import Activation, ModelVersion

ALL = "all"  # the name under which a card has the scores of all events together
NONE = "\N{EN DASH}"
SCORE_NAMES = {
    "damaged_f1": "Damaged buildings, F1",
    "damaged_precision": "Damaged buildings, precision",
    "damaged_recall": "Damaged buildings, recall",
    "building_f1": "Buildings, F1 at IoU 0.5",
    "building_ap50": "Buildings, AP at IoU 0.5",
    "f1_no_damage": "No damage, F1",
    "f1_minor_damage": "Minor damage, F1",
    "f1_major_damage": "Major damage, F1",
    "f1_destroyed": "Destroyed, F1",
    "xview2": "xView2 score",
}


@dataclass(frozen=True, slots=True)
class ScoreTable:
    """Scores by event.

    Attributes:
        on: what the model was evaluated on.
        heads: an event each, with its number of images; the last is all of them.
        rows: name of the score, and one cell per event.
    """

    on: str
    heads: list[str]
    rows: list[tuple[str, list[str]]]


@dataclass(frozen=True, slots=True)
class Card:
    """One version as the page shows it.

    Attributes:
        facts: name and value.
        data: what it learned from, a sentence each.
        limits: what it must not be used for, a sentence each.
        table: None if it was not evaluated.
        activations: when it was made active, newest first.
    """

    version: ModelVersion
    facts: list[tuple[str, str]]
    data: list[str]
    limits: list[str]
    table: ScoreTable | None
    activations: list[Activation]


def card_of(version: ModelVersion) -> Card:
    """Read the card; ``version`` comes with its activations."""
    card = version.card
    return Card(
        version=version,
        facts=list(_facts(card)),
        data=list(_sentences(card.get("data"))),
        limits=list(_sentences(card.get("limits"))),
        table=_table(card.get("scores")),
        activations=list(version.activations.all()),
    )


def number(score: float | None) -> str:
    """A score to three places."""
    return NONE if score is None else f"{score:.3f}"


def _facts(card: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if "pixel_size_m" in card:
        yield "Pixel size", f"{card['pixel_size_m']} m; other images are resampled to it"
    if "operating_score" in card:
        yield "Operating score", f"{card['operating_score']}: buildings below it are not reported"
    if "licence" in card:
        yield "Licence", str(card["licence"])
    done = card.get("training_done")
    if isinstance(done, dict):
        yield "Trained", f"{done.get('steps', 0):,} steps, {done.get('minutes', 0):.0f} minutes"


def _sentences(said: object) -> Iterator[str]:
    if isinstance(said, dict):
        yield from (f"{name}: {words}" for name, words in said.items())
    elif isinstance(said, list):
        yield from (str(words) for words in said)
    elif said:
        yield str(said)


def _table(scores: dict[str, Any] | None) -> ScoreTable | None:
    events = (scores or {}).get("events")
    if not scores or not events:
        return None
    order = sorted(events, key=lambda name: (name == ALL, name))
    heads = [f"{name} ({events[name]['scenes']})" for name in order]
    rows = [
        (words, [_cell(events[event]["scores"].get(name)) for event in order])
        for name, words in SCORE_NAMES.items()
    ]
    return ScoreTable(on=str(scores.get("on", "")), heads=heads, rows=rows)


def _cell(score: dict[str, float | None] | None) -> str:
    return number(score["value"]) if score else NONE
