"""What the figures come to, in sentences: what is known, never that all is well. No Django."""

import math
from dataclasses import dataclass

from detection.grades import Grade
from unosat.quality.figures import Class, Figures, Interval

TINY = 1e-9  # below it a number is its neighbour, and not rounded away from it

NAMES = {
    Grade.NO_DAMAGE.value: "No damage",
    Grade.MINOR_DAMAGE.value: "Minor damage",
    Grade.MAJOR_DAMAGE.value: "Major damage",
    Grade.DESTROYED.value: "Destroyed",
    Grade.UNCLASSIFIED.value: "Unclassified",
    "added": "Added by analysts",
    "damaged": "Damaged (minor or worse)",
    "building": "Any building",
    "empty": "without outlines",
    "sparse": "with few outlines",
    "dense": "with many outlines",
}
# as in frontend/src/geo/grades.ts: a test compares the two
GLYPHS = {
    Grade.NO_DAMAGE.value: "0",
    Grade.MINOR_DAMAGE.value: "1",
    Grade.MAJOR_DAMAGE.value: "2",
    Grade.DESTROYED.value: "3",
    Grade.UNCLASSIFIED.value: "?",
}


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the page's table; texts as they are shown."""

    name: str
    grade: str
    precision_before: str
    precision_after: str
    recall_before: str
    recall_after: str


def verdict(after: Figures, *, judged: int, squares: int, judges: tuple[str, ...]) -> list[str]:
    """What is known of the map as it stands, in two or three sentences."""
    damaged = next(one for one in after.classes if one.name == "damaged")
    by = f"{judged:,} buildings"
    if squares:
        by += f" and {squares:,} squares of the ground"
    said = [f"Measured on {by}, drawn at random and judged blind by {', '.join(judges)}."]
    said.append(_precision(damaged))
    said.append(_recall(damaged, after))
    said.append(_number(after))
    return said


def rows(before: Figures, after: Figures) -> list[Row]:
    """The table: a line for each grade, for damaged ones and for all buildings."""
    return [
        Row(
            name=NAMES[one.name],
            grade=one.name if one.name in GLYPHS else "",
            precision_before=_cell(one.precision, one.precision_of),
            precision_after=_cell(two.precision, two.precision_of),
            recall_before=_cell(one.recall, one.recall_of),
            recall_after=_cell(two.recall, two.recall_of),
        )
        for one, two in zip(before.classes, after.classes, strict=True)
    ]


def number(of: Figures) -> str:
    """The number of damaged buildings with its interval."""
    if of.number is None:
        return f"too few seen to say ({of.number_of})"
    low, high = _rounded(of.number)
    return f"{_about(of.number.estimate):,} ({low:,} to {high:,})"


def missed(of: Figures) -> str:
    """How many of them no outline shows."""
    if of.missed is None:
        return "not looked for"
    low, high = _rounded(of.missed)
    return f"{_about(of.missed.estimate):,} ({low:,} to {high:,})"


def percent(of: Interval) -> str:
    """A share with its interval, in whole percent rounded outwards."""
    low, high = math.floor(of.low * 100 + TINY), math.ceil(of.high * 100 - TINY)
    return f"{of.estimate * 100:.0f} % ({low} to {high} %)"


def _precision(damaged: Class) -> str:
    if damaged.precision is None:
        return (
            f"Too few buildings that the map calls damaged were judged ({damaged.precision_of}) "
            "to say how many of them are."
        )
    return f"Of the buildings that the map calls damaged, {percent(damaged.precision)} are damaged."


def _recall(damaged: Class, after: Figures) -> str:
    if damaged.recall is None:
        return (
            f"Too few damaged buildings were seen ({damaged.recall_of}) to say how many of all "
            "damaged ones the map has: judge a larger sample."
        )
    of = (
        "all damaged buildings" if after.with_missed else "the damaged buildings that have outlines"
    )
    said = f"Of {of}, it calls {percent(damaged.recall)} damaged."
    if not after.with_missed:
        said += " How many have none is not known: no squares of the ground were judged."
    return said


def _number(after: Figures) -> str:
    if after.number is None:
        return f"The sample is too small for a number of damaged ones: it holds {after.number_of}."
    low, high = _rounded(after.number)
    where = "" if after.with_missed else " among those that have outlines"
    if after.shown < after.number.low:
        verdict_ = "fewer than that"
    elif after.shown > after.number.high:
        verdict_ = "more than that"
    else:
        verdict_ = "which is within that"
    said = (
        f"There are between {low:,} and {high:,} damaged buildings{where}; "
        f"the map shows {after.shown:,}, {verdict_}."
    )
    if after.number.high - after.number.low > 2 * after.number.estimate:
        said += " That is too wide to plan by: judge a larger sample."
    return said


def _cell(of: Interval | None, seen: int) -> str:
    return f"too few ({seen})" if of is None else percent(of)


def _about(number: float) -> int:
    """To three digits: more would pretend to be known."""
    return int(float(f"{number:.3g}"))


def _rounded(of: Interval) -> tuple[int, int]:
    """Ends in whole buildings, rounded outwards."""
    return math.floor(of.low + TINY), math.ceil(of.high - TINY)
