"""What a building becomes by decisions: pure, so that replaying them all gives the same again."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from detection.grades import Grade
from unosat.review.models import Building, Decision, Footprint

Review = Building.Review
Kind = Decision.Kind


@dataclass(frozen=True, slots=True)
class State:
    """A building at one version, without who and when.

    Attributes:
        outline: well-known binary, in degrees.
        grade: as it stands.
        grade_score: the model's certainty of it; None once a person has graded.
        review: what people made of it.
        because: why a person could not judge it; "" once somebody has graded it.
        flagged: whether somebody asks for a second look.
        made_by: the kind of decision that it began with; "" where the model found it. Not a part
            of what stands: a Building's source says it.
    """

    outline: bytes
    grade: str
    grade_score: float | None
    review: str
    because: str = ""
    flagged: bool = False
    made_by: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Step:
    """One decision, as far as it changes a building.

    Attributes:
        kind: a Decision's kind.
        grade: as it stands afterwards.
        outline: well-known binary; None if none was drawn.
        because: why it cannot be judged (unsure, and the pieces of what was unsure).
        flagged: whether somebody asks for a second look (of pieces, and of what is merged).
    """

    kind: str
    grade: str
    outline: bytes | None = None
    because: str = ""
    flagged: bool = False


History = tuple[State, ...]  # the first is the model's; the last stands; undone ones are gone


def begun_by_model(footprint: Footprint) -> History:
    """Before any decision."""
    return (
        State(
            bytes(footprint.outline.wkb),
            footprint.grade,
            footprint.grade_score,
            Review.UNREVIEWED,
        ),
    )


def now(building: Building) -> History:
    """What a building is, as far as the next decision needs it; an undo needs all of it."""
    return (
        State(
            bytes(building.outline.wkb),
            building.grade,
            building.grade_score,
            building.review,
            building.unsure_because,
            building.flagged,
            made_by="" if building.source == Building.Source.MODEL else Kind.ADD,
        ),
    )


def replay(start: History, steps: Iterable[Step]) -> History:
    """Apply decisions in order.

    Args:
        start: of a footprint; empty for a building that an analyst made.
        steps: the decisions.
    """
    history = start
    for step in steps:
        history = apply(history, step)
    return history


def history_of(building: Building, decisions: Iterable[Decision]) -> History:
    """What a building was at every version that still stands; ``decisions`` oldest first."""
    start = begun_by_model(building.footprint) if building.footprint else ()
    return replay(start, map(step_of, decisions))


def step_of(decision: Decision) -> Step:
    """What a decision says, as far as it changes a building."""
    return Step(
        decision.kind,
        decision.grade,
        bytes(decision.outline.wkb) if decision.outline else None,
        decision.because,
        decision.flagged,
    )


def apply(history: History, step: Step) -> History:
    """Apply one decision; undo takes back the last one that still stands.

    Undoing the addition of a building rejects it, and undoing a split replaces its pieces: their
    rows and their histories stay.
    """
    if not history:
        return (_made(step),)
    if step.kind == Kind.UNDO and len(history) > 1:
        return history[:-1]
    now = history[-1]
    if step.kind == Kind.UNDO:
        gone = Review.REPLACED if now.made_by == Kind.SPLIT else Review.REJECTED
        return (replace(now, review=gone, because=""),)
    return (*history, _changed(now, step))


def can_undo(history: History) -> bool:
    """Whether a decision is left to take back."""
    gone = {Review.REJECTED, Review.REPLACED}
    return len(history) > 1 or (history[0].made_by != "" and history[0].review not in gone)


def standing(kinds: Iterable[str]) -> list[int]:
    """Which decisions have not been taken back.

    Args:
        kinds: of all decisions on one building, oldest first.

    Returns:
        Their places in ``kinds``, oldest first; an undo takes back the last.
    """
    stack: list[int] = []
    for place, kind in enumerate(kinds):
        if kind == Kind.UNDO:
            stack = stack[:-1]
        else:
            stack.append(place)
    return stack


def _made(step: Step) -> State:
    """A building that a person added, or a piece of one that a person split."""
    review = Review.UNSURE if step.because else Review.ADDED
    return State(
        step.outline or b"",
        step.grade,
        None,
        review,
        step.because,
        step.flagged,
        made_by=step.kind,
    )


def _changed(now: State, step: Step) -> State:
    """The next state. A shift and a flag say nothing of whether it was looked at."""
    match step.kind:
        case Kind.REJECT:
            return replace(now, review=Review.REJECTED, because="")
        case Kind.UNSURE:
            return replace(
                now,
                grade=Grade.UNCLASSIFIED.value,
                grade_score=None,
                review=Review.UNSURE,
                because=step.because,
            )
        case Kind.FLAG | Kind.UNFLAG:
            return replace(now, flagged=step.kind == Kind.FLAG)
        case Kind.SHIFT:
            return replace(now, outline=step.outline or now.outline)
        case Kind.SPLIT | Kind.MERGE if step.outline is None:
            return replace(now, review=Review.REPLACED, because="")
    return _judged(now, step)


def _judged(now: State, step: Step) -> State:
    """Looked at, and graded or drawn anew. What an analyst made stays "added" until rejected."""
    names = {
        Kind.ACCEPT.value: Review.ACCEPTED,
        Kind.REGRADE.value: Review.REGRADED,
        Kind.REDRAW.value: Review.REDRAWN,
        Kind.MERGE.value: Review.REDRAWN,
    }
    graded = step.kind == Kind.REGRADE or (
        step.kind in {Kind.REDRAW, Kind.MERGE} and step.grade != now.grade
    )
    return replace(
        now,
        outline=now.outline if step.outline is None else step.outline,
        grade=step.grade if graded else now.grade,
        grade_score=None if graded or step.kind == Kind.MERGE else now.grade_score,
        review=Review.ADDED if now.made_by else names[step.kind],
        because="" if graded else now.because,
        flagged=step.flagged if step.kind == Kind.MERGE else now.flagged,
    )
