"""Scores of found buildings against drawn ones. numpy and shapely only; no pixels, no torch.

All scores are functions of per-scene sums, so that scenes can be drawn again with replacement
(the bootstrap) without matching anything twice.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from detection.grades import MODEL_GRADES

Floats = NDArray[np.float64]

MATCH_IOU = 0.5
RECALL_STEPS: Floats = np.linspace(0.0, 1.0, 101)
GRADES = len(MODEL_GRADES)
UNKNOWN = -1  # the grade of a drawn building of which only that is known
UNCLASSIFIED = GRADES + 1  # column of a confusion; "missed" is the one before
SCORE_NAMES = (
    "building_ap50",
    "building_precision",
    "building_recall",
    "building_f1",
    "damaged_precision",
    "damaged_recall",
    "damaged_f1",
    *(f"f1_{grade.value}" for grade in MODEL_GRADES),
    "xview2",
    "xview2_localisation",
    "xview2_damage",
    *(f"xview2_{grade.value}" for grade in MODEL_GRADES),
)


@dataclass(frozen=True, slots=True)
class Drawn:
    """What is known of one scene.

    Attributes:
        outlines: one geometry per building that counts.
        grades: shape (N,); index into ``MODEL_GRADES``, or negative where the grade is unknown.
        ignored: where nothing is known, un-classified buildings among it: what is found mostly
            inside counts neither for nor against.
    """

    outlines: Sequence[BaseGeometry]
    grades: NDArray[np.int8]
    ignored: BaseGeometry


@dataclass(frozen=True, slots=True)
class Found:
    """What a model says of one scene, in the same coordinates as ``Drawn``.

    Attributes:
        outlines: one geometry per building.
        grades: shape (N,); index into ``MODEL_GRADES``, or ``GRADES`` where the grade could not be
            told ("unclassified").
        scores: shape (N,); that it is a building.
        probabilities: shape (N, 4); of the grades.
    """

    outlines: Sequence[BaseGeometry]
    grades: NDArray[np.int8]
    scores: Floats
    probabilities: Floats


@dataclass(frozen=True, slots=True)
class Matches:
    """Which found building is which drawn one.

    Attributes:
        scores: shape (N,), descending.
        found_grades: shape (N,).
        partner: shape (N,); number of the drawn building, or -1.
        excused: shape (N,); True for what lies in ignored places and matches nothing.
        drawn_grades: shape (M,).
        probabilities: shape (N, 4).
    """

    scores: Floats
    found_grades: NDArray[np.int8]
    partner: NDArray[np.int64]
    excused: NDArray[np.bool_]
    drawn_grades: NDArray[np.int8]
    probabilities: Floats


def match(drawn: Drawn, found: Found, *, iou: float = MATCH_IOU) -> Matches:
    """Pair found with drawn buildings, the surest first, each drawn one at most once.

    A found building takes the drawn one of the highest intersection over union that is still
    free, if that reaches ``iou``. Grades play no part.
    """
    order = np.argsort(-found.scores, kind="stable")
    pairs = _overlaps(drawn.outlines, found.outlines, iou)
    partner = np.full(len(order), -1, np.int64)
    taken: set[int] = set()
    for rank, index in enumerate(order):
        free = [(value, m) for m, value in pairs.get(int(index), ()) if m not in taken]
        if free:
            partner[rank] = max(free)[1]
            taken.add(int(partner[rank]))
    outlines = np.array([found.outlines[int(index)] for index in order], dtype=object)
    excused = _mostly_inside(outlines, drawn.ignored) & (partner < 0)
    return Matches(
        found.scores[order],
        found.grades[order],
        partner,
        excused,
        np.asarray(drawn.grades),
        found.probabilities[order],
    )


def _overlaps(
    drawn: Sequence[BaseGeometry], found: Sequence[BaseGeometry], least: float
) -> dict[int, list[tuple[int, float]]]:
    """For each found building, the drawn ones it overlaps enough."""
    if not len(drawn) or not len(found):
        return {}
    tree = shapely.STRtree(list(drawn))
    a, b = tree.query(np.array(found, dtype=object), predicate="intersects")
    ours = np.array(found, dtype=object)[a]
    theirs = np.array(drawn, dtype=object)[b]
    shared = shapely.area(shapely.intersection(ours, theirs))
    union = shapely.area(ours) + shapely.area(theirs) - shared
    value = shared / np.maximum(union, 1e-12)
    pairs: dict[int, list[tuple[int, float]]] = {}
    for i, j, v in zip(a.tolist(), b.tolist(), value.tolist(), strict=True):
        if v >= least:
            pairs.setdefault(i, []).append((j, v))
    return pairs


def _mostly_inside(outlines: NDArray[np.object_], place: BaseGeometry) -> NDArray[np.bool_]:
    if place.is_empty or not len(outlines):
        return np.zeros(len(outlines), bool)
    shapely.prepare(place)
    near = shapely.intersects(outlines, place)
    share = np.zeros(len(outlines))
    cut = shapely.intersection(outlines[near], place)
    share[near] = shapely.area(cut) / np.maximum(shapely.area(outlines[near]), 1e-12)
    inside: NDArray[np.bool_] = share > 0.5
    return inside


@dataclass(frozen=True, slots=True)
class PixelCounts:
    """Pixels of one scene as the xView2 score counts them.

    Attributes:
        localisation: true positives, false positives, false negatives.
        damage: shape (4, 3): the same per grade, inside drawn buildings only.
    """

    localisation: Floats
    damage: Floats


def count_pixels(
    found_building: NDArray[np.integer],
    found_damage: NDArray[np.integer],
    drawn: NDArray[np.integer],
    known: NDArray[np.bool_] | None = None,
) -> PixelCounts:
    """Count pixels for the xView2 score.

    Damage counts only where a building was found, and only inside drawn buildings: a false alarm
    on the ground costs localisation alone, a missed building is a miss of its grade.

    Args:
        found_building: shape (H, W); above 0 where a building was found.
        found_damage: shape (H, W); 1 to 4, from no damage to destroyed.
        drawn: shape (H, W); 0 for background, else 1 to 4.
        known: shape (H, W); False where nothing is known and nothing is counted.
    """
    keep = np.ones(drawn.shape, bool) if known is None else known
    here, truth = (found_building > 0)[keep], drawn[keep]
    there = truth > 0
    damage = np.where(here, found_damage[keep], 0)[there]
    truth = truth[there]
    per_grade = [_tp_fp_fn(damage == level, truth == level) for level in range(1, GRADES + 1)]
    return PixelCounts(_tp_fp_fn(here, there), np.array(per_grade, np.float64))


def _tp_fp_fn(said: NDArray[np.bool_], true: NDArray[np.bool_]) -> Floats:
    both = np.count_nonzero(said & true)
    return np.array([both, np.count_nonzero(said) - both, np.count_nonzero(true) - both], float)


@dataclass(frozen=True, slots=True)
class SceneCounts:
    """Everything that scores need of one scene.

    Attributes:
        matches: object by object.
        confusion: shape (5, 6), above the operating score: rows are the drawn grades and "none
            there", columns the found grades, "missed" and "unclassified". A building found without
            a grade is a building found; it is not damaged, and of no grade: whoever acts on grades
            alone would miss it, so it counts as if its grade had been missed.
        buildings: true positives, false positives, false negatives, grade ignored.
        damaged: the same for "damaged or not".
        pixels: for the xView2 score.
    """

    matches: Matches
    confusion: Floats
    buildings: Floats
    damaged: Floats
    pixels: PixelCounts

    @classmethod
    def of(cls, matches: Matches, pixels: PixelCounts, operating_score: float) -> Self:
        """Count one scene; ``pixels`` must have been drawn at the same operating score."""
        above = (matches.scores >= operating_score) & ~matches.excused
        hit = above & (matches.partner >= 0)
        confusion = _confusion(matches, above, hit)
        tp = float(hit.sum())
        buildings = np.array([tp, above.sum() - tp, len(matches.drawn_grades) - tp], float)
        return cls(matches, confusion, buildings, _damaged(confusion), pixels)


def _confusion(matches: Matches, above: NDArray[np.bool_], hit: NDArray[np.bool_]) -> Floats:
    truth = matches.drawn_grades.astype(np.int64)
    said = matches.found_grades.astype(np.int64)
    said = np.where(said == GRADES, UNCLASSIFIED, said)
    met = np.zeros(len(truth), bool)
    met[matches.partner[hit]] = True
    missed, false = truth[~met], said[above & ~hit]
    rows = np.concatenate([truth[matches.partner[hit]], missed, np.full(len(false), GRADES)])
    cols = np.concatenate([said[hit], np.full(len(missed), GRADES), false])
    table = np.zeros((GRADES + 1, UNCLASSIFIED + 1))
    np.add.at(table, (rows[rows >= 0], cols[rows >= 0]), 1.0)
    return table


def _damaged(confusion: Floats) -> Floats:
    """True positives, false positives, false negatives of "minor damage or worse"."""
    both = confusion[1:GRADES, 1:GRADES].sum()
    said, true = confusion[:, 1:GRADES].sum(), confusion[1:GRADES].sum()
    return np.array([both, said - both, true - both])


@dataclass(frozen=True, slots=True)
class Score:
    """One score with the interval in which 90 % of the bootstrap's values lie.

    Attributes:
        value: in [0, 1]; None where it has no meaning, such as recall without any building.
        low: None with fewer than two scenes.
        high: the same.
    """

    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Report:
    """The scores of a group of scenes.

    Attributes:
        scenes: how many.
        buildings: drawn buildings that count.
        grades: how many of them have each of ``MODEL_GRADES``.
        scores: by the names in ``SCORE_NAMES``.
        confusion: as in ``SceneCounts``, summed.
    """

    scenes: int
    buildings: int
    grades: tuple[int, ...]
    scores: dict[str, Score]
    confusion: tuple[tuple[int, ...], ...]


def summarise(scenes: Sequence[SceneCounts], *, rounds: int = 400, seed: int = 20) -> Report:
    """Score a group of scenes together.

    Args:
        scenes: at least one.
        rounds: how often scenes are drawn again for the interval.
        seed: of that drawing, so that the same scenes give the same interval.
    """
    count = len(scenes)
    table = _scores(scenes, _draws(count, rounds, seed))
    confusion = np.sum([scene.confusion for scene in scenes], axis=0).astype(int)
    drawn = np.concatenate([scene.matches.drawn_grades for scene in scenes])
    return Report(
        scenes=count,
        buildings=len(drawn),
        grades=tuple(int((drawn == grade).sum()) for grade in range(GRADES)),
        scores={name: _score(values, count) for name, values in table.items()},
        confusion=tuple(tuple(row) for row in confusion.tolist()),
    )


def differences(
    scenes: Sequence[SceneCounts],
    others: Sequence[SceneCounts],
    *,
    rounds: int = 400,
    seed: int = 20,
) -> dict[str, Score]:
    """How much better one model scores than another on the same scenes, by ``SCORE_NAMES``.

    Scenes are drawn again for both at once (a paired bootstrap): an interval above 0 says that the
    first is better whichever scenes of this kind had been chosen.

    Args:
        scenes: of the one model.
        others: of the other, the same scenes in the same order.
        rounds: how often scenes are drawn again.
        seed: of that drawing.
    """
    count = len(scenes)
    weights = _draws(count, rounds, seed)
    one, other = _scores(scenes, weights), _scores(others, weights)
    return {name: _score(one[name] - other[name], count) for name in SCORE_NAMES}


def _draws(count: int, rounds: int, seed: int) -> Floats:
    """How often each scene counts, shape (1 + rounds, count); once in the first row."""
    drawn = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=rounds)
    return np.concatenate([np.ones((1, count)), drawn])


def choose_operating_score(matches: Sequence[Matches]) -> float:
    """The building score, in steps of 0.01, above which two F1 together are highest.

    They are that of buildings, whatever their grade, and that of damaged ones: what the analyst
    looks for is damage, and what is shown beside it should be buildings. Without damage, the first
    alone decides. Where several steps are best, the middle one. Give it scenes that are not those
    the F1 is reported on, or say so beside the F1.
    """
    steps = np.arange(0.05, 0.96, 0.01)
    both = _f1_at(matches, steps, damaged=False) + _f1_at(matches, steps, damaged=True)
    best = np.flatnonzero(both >= both.max() - 1e-9)
    return round(float(steps[best[len(best) // 2]]), 2)


def _f1_at(matches: Sequence[Matches], steps: Floats, *, damaged: bool) -> Floats:
    """F1 at each score: of buildings, or of damaged ones among those whose grade is known."""
    said, hits, count = [], [], 0
    for one in matches:
        partner = np.append(one.drawn_grades, UNKNOWN)[one.partner]
        found, right = ~one.excused, one.partner >= 0
        if damaged:
            found = found & _is_damage(one.found_grades) & ~(right & (partner == UNKNOWN))
            right = right & _is_damage(partner)
        said.append(one.scores[found])
        hits.append(one.scores[found & right])
        count += int(_is_damage(one.drawn_grades).sum()) if damaged else len(one.drawn_grades)
    positive = (np.concatenate(said) >= steps[:, None]).sum(axis=1)
    true = (np.concatenate(hits) >= steps[:, None]).sum(axis=1)
    f1: Floats = 2 * true / np.maximum(positive + count, 1)
    return f1


def _is_damage(grades: NDArray[np.int8]) -> NDArray[np.bool_]:
    return (grades > 0) & (grades < GRADES)


def _scores(scenes: Sequence[SceneCounts], weights: Floats) -> dict[str, Floats]:
    """Every score for every row of scene weights, shape (R, S); NaN where it has no meaning."""
    building = _ratios(weights @ np.array([s.buildings for s in scenes]))
    damaged = _ratios(weights @ np.array([s.damaged for s in scenes]))
    confusion = np.tensordot(weights, np.array([s.confusion for s in scenes]), axes=1)
    place = weights @ np.array([s.pixels.localisation for s in scenes])
    pixels = np.tensordot(weights, np.array([s.pixels.damage for s in scenes]), axes=1)
    located, per_grade = xview2_f1(place), xview2_f1(pixels)
    harmonic = harmonic_f1(per_grade)
    found = {"building_ap50": average_precision([s.matches for s in scenes], weights)}
    found |= {f"building_{k}": v for k, v in building.items()}
    found |= {f"damaged_{k}": v for k, v in damaged.items()}
    for index, grade in enumerate(MODEL_GRADES):
        both = confusion[:, index, index]
        said, true = confusion[:, :, index].sum(axis=1), confusion[:, index].sum(axis=1)
        found[f"f1_{grade.value}"] = _divide(2 * both, said + true)
        found[f"xview2_{grade.value}"] = per_grade[:, index]
    found["xview2_localisation"], found["xview2_damage"] = located, harmonic
    found["xview2"] = 0.3 * located + 0.7 * harmonic
    return {name: found[name] for name in SCORE_NAMES}


def average_precision(matches: Sequence[Matches], weights: Floats) -> Floats:
    """COCO's average precision over 101 recalls, of all detections of all scenes together.

    Args:
        matches: one per scene.
        weights: shape (R, S): how often each scene counts, in each of R computations.

    Returns:
        Shape (R,); NaN where no building is drawn.
    """
    keep = [~m.excused for m in matches]
    scores = np.concatenate([m.scores[k] for m, k in zip(matches, keep, strict=True)])
    hits = np.concatenate([m.partner[k] >= 0 for m, k in zip(matches, keep, strict=True)])
    scene = np.repeat(np.arange(len(matches)), [int(k.sum()) for k in keep])
    order = np.argsort(-scores, kind="stable")
    hits, scene = hits[order], scene[order]
    drawn = weights @ np.array([len(m.drawn_grades) for m in matches], float)
    return np.array(
        [_one_ap(hits, row[scene], total) for row, total in zip(weights, drawn, strict=True)]
    )


def _one_ap(hits: NDArray[np.bool_], weight: Floats, drawn: float) -> float:
    if drawn == 0:
        return float("nan")
    if not len(hits):
        return 0.0
    tp, fp = np.cumsum(weight * hits), np.cumsum(weight * ~hits)
    recall, precision = tp / drawn, tp / np.maximum(tp + fp, 1e-12)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    at = np.searchsorted(recall, RECALL_STEPS, side="left")
    return float(np.where(at < len(envelope), np.append(envelope, 0.0)[at], 0.0).mean())


def xview2_f1(counts: Floats) -> Floats:
    """F1 as the xView2 score has it: 0 without true positives. Last axis: TP, FP, FN."""
    tp, fp, fn = counts[..., 0], counts[..., 1], counts[..., 2]
    f1: Floats = 2 * tp / np.maximum(2 * tp + fp + fn, 1.0)
    return f1


def harmonic_f1(per_grade: Floats) -> Floats:
    """The harmonic mean over grades (last axis) with which xView2 scores damage."""
    mean: Floats = per_grade.shape[-1] / np.sum(1.0 / (per_grade + 1e-6), axis=-1)
    return mean


def _ratios(counts: Floats) -> dict[str, Floats]:
    tp, fp, fn = counts[:, 0], counts[:, 1], counts[:, 2]
    return {
        "precision": _divide(tp, tp + fp),
        "recall": _divide(tp, tp + fn),
        "f1": _divide(2 * tp, 2 * tp + fp + fn),
    }


def _divide(a: Floats, b: Floats) -> Floats:
    return np.divide(a, b, out=np.full_like(a, np.nan), where=b > 0)


def _score(values: Floats, scenes: int) -> Score:
    value, drawn = values[0], values[1:]
    drawn = drawn[~np.isnan(drawn)]
    if np.isnan(value):
        return Score(None, None, None)
    if scenes < 2 or not len(drawn):
        return Score(float(value), None, None)
    low, high = np.percentile(drawn, [5, 95])
    return Score(float(value), float(low), float(high))
