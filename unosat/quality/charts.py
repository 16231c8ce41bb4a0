"""Bars as numbers, for templates to draw. No Django; colours and patterns come from the styles."""

from collections.abc import Mapping
from dataclasses import dataclass

from unosat.quality.words import GLYPHS, NAMES

WIDTH = 640  # of a chart, in its own units
LABEL = 150  # room for names on the left
VALUE = 90  # room for numbers on the right
BAR = 16
GAP = 6  # between the bars of one name
ROW = 2 * BAR + GAP + 18


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar, in the chart's units."""

    y: int
    width: float
    count: int
    kind: str


@dataclass(frozen=True, slots=True)
class Row:
    """A grade with its bars: what the model said, and what stands."""

    grade: str
    name: str
    glyph: str
    text_y: int
    bars: tuple[Bar, ...]


@dataclass(frozen=True, slots=True)
class Chart:
    """Grades before and after review.

    Attributes:
        rows: from the least to the most severe.
        height: of the whole, in the chart's units.
        width: of the whole.
        left: where bars begin.
    """

    rows: tuple[Row, ...]
    height: int
    width: int = WIDTH
    left: int = LABEL


@dataclass(frozen=True, slots=True)
class Share:
    """How much of a run is reviewed: one bar of a fixed length."""

    width: float
    percent: int
    whole: int = 160


def grades(model: Mapping[str, int], now: Mapping[str, int]) -> Chart:
    """Two bars for each grade, all on one scale."""
    most = max(*model.values(), *now.values(), 1)
    room = WIDTH - LABEL - VALUE
    rows = []
    for number, grade in enumerate(GLYPHS):
        top = number * ROW
        bars = tuple(
            Bar(top + place * (BAR + GAP), round(room * count / most, 1), count, kind)
            for place, (kind, count) in enumerate(
                (("model", model.get(grade, 0)), ("now", now.get(grade, 0)))
            )
        )
        rows.append(Row(grade, NAMES[grade], GLYPHS[grade], top + BAR + GAP, bars))
    return Chart(tuple(rows), len(rows) * ROW)


def share(part: int, whole: int) -> Share:
    """A bar for a share; whole percent, rounded down: 100 means all."""
    fraction = part / whole if whole else 0.0
    return Share(round(160 * fraction, 1), int(100 * fraction))
