"""How far a model's probabilities are from how often it is right. numpy only."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detection.training.metrics import GRADES, Floats, Matches

BINS = 15
BUILDING, LIKELIEST, REPORTED, DAMAGED = "building", "likeliest_grade", "reported_grade", "damaged"
Said = tuple[Floats, NDArray[np.bool_]]  # how sure, and whether it was so


@dataclass(frozen=True, slots=True)
class Reliability:
    """Fifteen bins of equal width, and the expected calibration error over them.

    Attributes:
        count: answers in all.
        ece: the mean over all answers of how far their bin's share of right ones lies from its
            mean confidence; None without any.
        counts: answers in each bin.
        confidence: mean confidence of each bin; None where it is empty.
        right: share of right answers in each bin; None where it is empty.
    """

    count: int
    ece: float | None
    counts: tuple[int, ...]
    confidence: tuple[float | None, ...]
    right: tuple[float | None, ...]


def reliability(confidence: Floats, right: NDArray[np.bool_]) -> Reliability:
    """Bin answers by how sure they were.

    The expected calibration error as Naeini, Cooper and Hauskrecht 2015 define it ("Obtaining Well
    Calibrated Probabilities Using Bayesian Binning", AAAI), with the 15 bins of equal width of Guo
    et al. 2017 ("On Calibration of Modern Neural Networks", ICML). It leans upwards where bins hold
    few answers: with a hundred of them a perfect model shows some 0.05.

    Args:
        confidence: shape (N,), in [0, 1].
        right: shape (N,).
    """
    place = np.minimum((confidence * BINS).astype(np.intp), BINS - 1)
    counts = np.bincount(place, minlength=BINS)
    each = np.maximum(counts, 1)
    said = np.bincount(place, confidence, BINS) / each
    was = np.bincount(place, right.astype(np.float64), BINS) / each
    error = float((counts * np.abs(said - was)).sum() / max(1, len(place)))

    def filled(values: Floats) -> tuple[float | None, ...]:
        return tuple(float(v) if n else None for v, n in zip(values, counts, strict=True))

    return Reliability(
        len(place),
        error if len(place) else None,
        tuple(counts.tolist()),
        filled(said),
        filled(was),
    )


def reliabilities(
    matches: Sequence[Matches], operating_score: float, *, outlines_given: bool = False
) -> dict[str, Reliability]:
    """What a reader of the output may believe, for what is reported.

    ``building``: the score against being one (a match at IoU 0.5 with a drawn building).
    ``likeliest_grade`` and ``reported_grade``: the probability of that grade against its being the
    drawn one. ``damaged``: the sum over minor damage and worse against being drawn so. The last
    three are of found buildings that are drawn ones of known grade.

    Args:
        matches: one per scene.
        operating_score: what is below it is not reported.
        outlines_given: the buildings are known: nothing is said of ``building``.
    """
    said: dict[str, Said] = (
        {} if outlines_given else {BUILDING: buildings(matches, operating_score)}
    )
    shares, truth, reported = grades(matches, operating_score)
    rows = np.arange(len(truth))
    said[LIKELIEST] = shares.max(axis=1), shares.argmax(axis=1) == truth
    clear = reported < GRADES
    chosen = reported[clear]
    said[REPORTED] = shares[rows[clear], chosen], chosen == truth[clear]
    said[DAMAGED] = shares[:, 1:].sum(axis=1), truth > 0
    return {name: reliability(*pair) for name, pair in said.items()}


def buildings(matches: Sequence[Matches], least: float) -> Said:
    """Scores of at least ``least``, and whether a drawn building is there."""
    kept = [~one.excused & (one.scores >= least) for one in matches]
    pairs = list(zip(matches, kept, strict=True))
    scores = [one.scores[keep] for one, keep in pairs]
    right = [one.partner[keep] >= 0 for one, keep in pairs]
    return np.concatenate(scores), np.concatenate(right)


def grades(
    matches: Sequence[Matches], least: float
) -> tuple[Floats, NDArray[np.intp], NDArray[np.intp]]:
    """Of found buildings that were drawn with a grade: probabilities (N, 4), truth, grade said."""
    shares, truth, said = [], [], []
    for one in matches:
        hit = (one.partner >= 0) & (one.scores >= least)
        drawn = one.drawn_grades[one.partner[hit]]
        known = drawn >= 0
        shares.append(one.probabilities[hit][known])
        truth.append(drawn[known])
        said.append(one.found_grades[hit][known])
    return (
        np.concatenate(shares),
        np.concatenate(truth).astype(np.intp),
        np.concatenate(said).astype(np.intp),
    )
