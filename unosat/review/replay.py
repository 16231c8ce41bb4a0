"""What a building becomes by decisions: pure, so that replaying them all gives the same again."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

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
    """

    outline: bytes
    grade: str
    grade_score: float | None
    review: str


@dataclass(frozen=True, slots=True)
class Step:
    """One decision, as far as it changes a building.

    Attributes:
        kind: a Decision's kind.
        grade: as it stands afterwards.
        outline: well-known binary; None if none was drawn.
    """

    kind: str
    grade: str
    outline: bytes | None = None


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


def replay(start: History, steps: Iterable[Step]) -> History:
    """Apply decisions in order.

    Args:
        start: of a footprint; empty for a building that an analyst adds.
        steps: the decisions.
    """
    history = start
    for step in steps:
        history = apply(history, step)
    return history


def apply(history: History, step: Step) -> History:
    """Apply one decision; undo takes back the last one that still stands.

    Undoing the addition of a building rejects it: its row and its history stay.
    """
    if step.kind == Kind.ADD:
        return (State(step.outline or b"", step.grade, None, Review.ADDED),)
    if step.kind == Kind.UNDO and len(history) > 1:
        return history[:-1]
    now = history[-1]
    added = history[0].review in {Review.ADDED, Review.REJECTED}
    if step.kind == Kind.UNDO:
        return (replace(now, review=Review.REJECTED),)
    return (*history, _changed(now, step, added=added))


def can_undo(history: History) -> bool:
    """Whether a decision is left to take back."""
    return len(history) > 1 or history[0].review == Review.ADDED


def _changed(now: State, step: Step, *, added: bool) -> State:
    """The next state. A building that an analyst added stays "added" until it is rejected."""
    if step.kind == Kind.REJECT:
        return replace(now, review=Review.REJECTED)
    names = {
        Kind.ACCEPT.value: Review.ACCEPTED,
        Kind.REGRADE.value: Review.REGRADED,
        Kind.REDRAW.value: Review.REDRAWN,
    }
    review = Review.ADDED if added else names[step.kind]
    graded = step.kind == Kind.REGRADE or (step.kind == Kind.REDRAW and step.grade != now.grade)
    return State(
        outline=now.outline if step.outline is None else step.outline,
        grade=step.grade if graded else now.grade,
        grade_score=None if graded else now.grade_score,
        review=review,
    )
