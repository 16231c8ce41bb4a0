"""From judged ones to sentences: by hand, and where there is too little to say."""

import re
from pathlib import Path

import pytest

from detection.grades import Grade
from unosat.quality import figures, words
from unosat.quality.figures import Cell, Ground, Interval

FRONT_END = Path(__file__).resolve().parents[3] / "frontend" / "src" / "geo" / "grades.ts"


def cells(*, undamaged_wrong: int = 5, unclear: int = 0) -> list[Cell]:
    """1,000 called undamaged and 200 called destroyed, a hundred of each judged."""
    return [
        Cell(
            "no_damage",
            "no_damage",
            1000,
            {"no_damage": 100 - undamaged_wrong, "destroyed": undamaged_wrong},
        ),
        Cell("destroyed", "destroyed", 200, {"destroyed": 80 - unclear, "": 20}, unclear),
    ]


def of_class(found: figures.Figures, name: str) -> figures.Class:
    return next(one for one in found.classes if one.name == name)


def test_precision_is_that_of_a_stratum_and_recall_weighs_them() -> None:
    found = figures.figures(cells(), [])

    destroyed = of_class(found, "destroyed")
    assert destroyed.precision is not None
    assert destroyed.recall is not None
    assert found.number is not None
    assert destroyed.precision.estimate == pytest.approx(0.8)
    # 160 of those called so, 50 of those called undamaged
    assert destroyed.recall.estimate == pytest.approx(160 / 210)
    assert found.number.estimate == pytest.approx(210)
    assert found.number.low < 210 < found.number.high
    assert found.shown == 200
    assert of_class(found, "minor_damage").precision is None


def test_missed_ones_lower_recall_and_raise_the_number() -> None:
    squares = [{"destroyed": 1}, {}, {"destroyed": 2}, {}] * 5
    found = figures.figures(cells(), [Ground(100, squares)])

    destroyed = of_class(found, "destroyed")
    assert destroyed.recall is not None
    assert found.number is not None
    assert found.missed is not None
    assert found.missed.estimate == pytest.approx(75)
    assert found.number.estimate == pytest.approx(285)
    assert destroyed.recall.estimate == pytest.approx(160 / 285)


def test_a_stratum_of_squares_that_nobody_could_see_leaves_missed_ones_unknown() -> None:
    found = figures.figures(cells(), [Ground(100, [{}]), Ground(50, [])])

    assert not found.with_missed
    assert found.missed is None


def test_what_could_not_be_judged_gives_bounds() -> None:
    found = figures.figures(cells(unclear=10), [])

    assert found.bounds is not None
    # 70 of 100 or 80 of 100 of 200, and 50 of the others
    assert found.bounds == pytest.approx((190, 210))


def test_too_few_give_no_interval_and_a_sentence() -> None:
    few = [
        Cell("no_damage", "no_damage", 1000, {"no_damage": 98, "minor_damage": 2}),
        Cell("destroyed", "destroyed", 50, {}),
    ]
    found = figures.figures(few, [])

    assert found.number is None
    said = " ".join(words.verdict(found, judged=100, squares=0, judges=("ana",)))
    assert "too small for a number of damaged ones: it holds 2" in said
    assert "Too few buildings that the map calls damaged were judged (0)" in said
    assert words.number(found) == "too few seen to say (2)"


def test_everything_judged_is_known_however_few_they_are() -> None:
    found = figures.figures([Cell("destroyed", "destroyed", 3, {"destroyed": 2, "": 1})], [])

    destroyed = of_class(found, "destroyed")
    assert destroyed.precision == Interval(2 / 3, 2 / 3, 2 / 3)
    assert (
        figures.figures(
            [Cell("destroyed", "destroyed", 3, {"destroyed": 3})], [Ground(9, [{}])]
        ).number
        is None
    )


def test_the_verdict_says_what_is_known() -> None:
    found = figures.figures(cells(), [Ground(100, [{"destroyed": 1}, {}] * 10)])

    said = words.verdict(found, judged=200, squares=20, judges=("ana", "ben"))

    assert said[0].endswith("drawn at random and judged blind by ana, ben.")
    assert said[1] == "Of the buildings that the map calls damaged, 80 % (73 to 86 %) are damaged."
    assert re.fullmatch(
        r"Of all damaged buildings, it calls \d+ % \(\d+ to \d+ %\) damaged\.", said[2]
    )
    assert "the map shows 200" in said[3]
    assert "OK" not in " ".join(said)


def test_a_wide_interval_is_called_wide() -> None:
    wide = [
        Cell("no_damage", "no_damage", 100_000, {"no_damage": 99, "destroyed": 1}),
        Cell("destroyed", "destroyed", 20, {"destroyed": 20}),
    ]
    said = words.verdict(figures.figures(wide, []), judged=120, squares=0, judges=("ana",))

    assert said[3].endswith("too wide to plan by: judge a larger sample.")


@pytest.mark.parametrize(
    ("interval", "text"),
    [
        (Interval(1, 0.883, 1), "100 % (88 to 100 %)"),
        (Interval(0, 0, 0.1135), "0 % (0 to 12 %)"),
        (Interval(0.5, 0.5, 0.5), "50 % (50 to 50 %)"),
        (Interval(0.29, 0.29, 0.58), "29 % (29 to 58 %)"),
    ],
)
def test_intervals_are_rounded_outwards(interval: Interval, text: str) -> None:
    assert words.percent(interval) == text


def test_names_and_glyphs_are_those_of_the_map() -> None:
    source = FRONT_END.read_text()
    for grade in Grade:
        name = re.search(rf'{grade.value}: "{words.NAMES[grade.value]}"', source)
        glyph = re.search(rf'{grade.value}: "{re.escape(words.GLYPHS[grade.value])}"', source)
        assert name
        assert glyph
