"""Find what a model's scores and probabilities are worth, on labelled scenes. No torch here.

By cross-fitting: scenes are put into five folds, no spatial cluster is cut, and each fold is judged
by what was found without it. What is kept in the card was found on all of them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import logsumexp

from detection.calibration import LEAST, Calibration, log_odds, weighed
from detection.detector import Detector, ModelSpec, TileDetections
from detection.errors import BadLabels
from detection.training.chips import ChipSource
from detection.training.evaluate import ALL, OnScene, look
from detection.training.metrics import Floats, Matches
from detection.training.reliability import Reliability, buildings, grades, reliabilities

FOLDS = 5
# Of damaged buildings of xBD's val, F1 is highest between the two: at 0, 0.5 and 1 it was 0.403,
# 0.453 and 0.463 for pairs, 0.292, 0.301 and 0.290 for images after (operating score 0.60).
LEAN = 0.5
# A weak belief that nothing needs to be mapped: it holds a grade that no scene shows where it is,
# and vanishes beside some dozens of buildings. In logarithms of odds, as a standard deviation.
PRIOR = 3.0
DECIMALS = 5
Reliabilities = dict[str, Reliability]


@dataclass(frozen=True, slots=True)
class Labelled:
    """What a model said of one scene, and what is there.

    Attributes:
        event: the scene's.
        cluster: the scene's.
        matches: with the model's own scores and probabilities.
    """

    event: str
    cluster: str
    matches: Matches


@dataclass(frozen=True, slots=True)
class Fitted:
    """A calibration and what it is worth.

    Attributes:
        calibration: found on all scenes.
        operating_score: the model's, calibrated.
        scenes: how many there were.
        before: without calibration, by event and for all.
        crossed: each fold judged by what was found without it, by event and for all.
        left_out: each event judged by what was found without it; empty with a single event.
    """

    calibration: Calibration
    operating_score: float
    scenes: int
    before: dict[str, Reliabilities]
    crossed: dict[str, Reliabilities]
    left_out: dict[str, Reliabilities]

    def to_json(self, fitted_on: str) -> dict[str, Any]:
        """For the model card."""
        errors = {"before": self.before, "cross_fitted": self.crossed, "event_out": self.left_out}
        return {
            **self.calibration.to_json(),
            "fitted_on": fitted_on,
            "fitted_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "scenes": self.scenes,
            "expected_calibration_error": {
                name: {event: _errors(found) for event, found in by_event.items()}
                for name, by_event in errors.items()
            },
        }


def calibrate(
    detector: Detector,
    scenes: Sequence[ChipSource],
    *,
    lean: float = LEAN,
    on_scene: OnScene | None = None,
) -> Fitted:
    """Find a model's calibration; one that it has already is left aside.

    Args:
        detector: the model.
        scenes: with outlines of single buildings; pairs for a model of pairs.
        lean: which grade is reported: 1 the likeliest, 0 the one that the network favours, which
            learned that missing a rare grade costs more; or something between.
        on_scene: hears of every scene.

    Raises:
        BadLabels: there is no scene, nothing is found, or as ``evaluate``.
        Cancelled: raised by ``on_scene``, passed on.
    """
    raw = _AsItIs(detector)
    seen = []
    for done, source in enumerate(scenes, start=1):
        chip = source.load()
        seen.append(Labelled(chip.event, chip.cluster, look(raw, chip).matches))
        if on_scene:
            on_scene(done, len(scenes))
    had = detector.spec.calibration or Calibration()
    return fit_all(seen, had.raw_score(detector.spec.operating_score), lean=lean)


def fit_all(seen: Sequence[Labelled], operating_score: float, *, lean: float = LEAN) -> Fitted:
    """Find a calibration on scenes that the model has looked at, and say what it is worth.

    Args:
        seen: with the model's own scores and probabilities.
        operating_score: the model's own, not calibrated.
        lean: as in ``calibrate``.

    Raises:
        BadLabels: nothing was found, or nothing of a known grade.
    """
    if not seen or not len(grades([one.matches for one in seen], operating_score)[1]):
        raise BadLabels("the model found no building of a known grade in these scenes")

    def apart(of: Callable[[Labelled], object]) -> list[Labelled]:
        """Every scene, judged by what was found on those of which ``of`` says something else."""
        judged = []
        for fold in dict.fromkeys(map(of, seen)):
            rest = [one.matches for one in seen if of(one) != fold]
            found = fit(rest, operating_score, lean=lean) if rest else Calibration()
            judged += [_mapped(one, found, operating_score) for one in seen if of(one) == fold]
        return judged

    whole = fit([one.matches for one in seen], operating_score, lean=lean)
    places = _folds(seen)
    crossed = apart(lambda one: places[one.event, one.cluster])
    left_out = apart(lambda one: one.event) if len({one.event for one in seen}) > 1 else []
    return Fitted(
        calibration=whole,
        operating_score=round(whole.score(operating_score), 4),
        scenes=len(seen),
        before=_believed([_reported(one, operating_score) for one in seen]),
        crossed=_believed(crossed),
        left_out={event: found for event, found in _believed(left_out).items() if event != ALL},
    )


def fit(matches: Sequence[Matches], operating_score: float, *, lean: float = LEAN) -> Calibration:
    """Find the parameters that make what is drawn likeliest, by maximum likelihood.

    From what is reported alone, at the operating score or above: a line through all that was found
    would follow the many unsure ones that nobody hears of.
    """
    slope, offset = _fit_line(*buildings(matches, operating_score))
    shares, truth, _ = grades(matches, operating_score)
    temperature, bias = _fit_grades(shares, truth)
    weight = np.exp(-(1 - lean) * bias)
    return Calibration(
        round(slope, DECIMALS),
        round(offset, DECIMALS),
        round(temperature, DECIMALS),
        tuple(np.round(bias, DECIMALS).tolist()),
        tuple(np.round(weight / weight[0], DECIMALS).tolist()),
    )


def _fit_line(scores: Floats, right: NDArray[np.bool_]) -> tuple[float, float]:
    """Slope and offset between the log-odds of scores and of being right (Platt 1999)."""
    odds = log_odds(scores)
    sign = np.where(right, 1.0, -1.0)

    def surprise(x: Floats) -> float:
        mapped = np.exp(x[0]) * odds + x[1]
        return float(np.logaddexp(0, -sign * mapped).sum() + _unlikeliness(x))

    log_slope, offset = minimize(surprise, np.zeros(2), method="BFGS").x
    return float(np.exp(log_slope)), float(offset)


def _fit_grades(shares: Floats, truth: NDArray[np.intp]) -> tuple[float, Floats]:
    """Temperature, and a bias for each grade; that of the first is 0."""
    logs = np.log(np.clip(shares, LEAST, 1))
    rows = np.arange(len(truth))

    def surprise(x: Floats) -> float:
        mapped = logs * np.exp(-x[0])
        mapped[:, 1:] += x[1:]
        return float((logsumexp(mapped, axis=1) - mapped[rows, truth]).sum() + _unlikeliness(x))

    found: Floats = minimize(surprise, np.zeros(logs.shape[1]), method="BFGS").x
    return float(np.exp(found[0])), np.concatenate([[0.0], found[1:]])


def _unlikeliness(parameters: Floats) -> float:
    return float((parameters**2).sum() / (2 * PRIOR**2))


def _folds(seen: Sequence[Labelled]) -> dict[tuple[str, str], int]:
    """A fold for every spatial cluster; each event is spread over all of them."""
    places = sorted({(one.event, one.cluster) for one in seen})
    return {place: number % FOLDS for number, place in enumerate(places)}


def _mapped(one: Labelled, calibration: Calibration, operating_score: float) -> Labelled:
    """A scene with calibrated answers; what is not reported is let go of."""
    reported = _reported(one, operating_score).matches
    shares = calibration.probabilities(reported.probabilities).astype(np.float64)
    chosen = weighed(shares, calibration.weight).argmax(axis=1)
    matches = replace(
        reported,
        scores=calibration.scores(reported.scores).astype(np.float64),
        probabilities=shares,
        found_grades=chosen.astype(np.int8),
    )
    return replace(one, matches=matches)


def _reported(one: Labelled, operating_score: float) -> Labelled:
    matches = one.matches
    kept = matches.scores >= operating_score
    chosen = {
        name: getattr(matches, name)[kept]
        for name in ("scores", "found_grades", "partner", "excused", "probabilities")
    }
    return replace(one, matches=replace(matches, **chosen))


def _believed(seen: Sequence[Labelled]) -> dict[str, Reliabilities]:
    """How far answers can be believed, by event and for all; all of them are reported."""
    events = sorted({one.event for one in seen})
    found = {
        event: reliabilities([one.matches for one in seen if one.event == event], 0.0)
        for event in events
    }
    if seen:
        found[ALL] = reliabilities([one.matches for one in seen], 0.0)
    return found


def _errors(found: Reliabilities) -> dict[str, float | None]:
    return {name: None if one.ece is None else round(one.ece, 4) for name, one in found.items()}


@dataclass(frozen=True, slots=True)
class _AsItIs:
    """A model without the calibration that its card may have."""

    detector: Detector

    @property
    def spec(self) -> ModelSpec:
        """What the model is."""
        return replace(self.detector.spec, calibration=None)

    @property
    def batch_size(self) -> int:
        """Tiles at once."""
        return self.detector.batch_size

    def predict(self, images: NDArray[np.uint8], *, min_score: float) -> list[TileDetections]:
        """Find buildings."""
        return self.detector.predict(images, min_score=min_score)
