"""What a model's numbers are worth: from how sure it says it is to how often it is right.

Parameters are found by ``detection.training.calibrate`` and kept in the model card. numpy only.
"""

import math
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from detection.grades import MODEL_GRADES

# Nothing is taken to be surer than this, in or out: outputs carry four decimals.
LEAST = 5e-5
EVEN = (1.0,) * len(MODEL_GRADES)
NO_BIAS = (0.0,) * len(MODEL_GRADES)
Numbers = NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True)
class Calibration:
    """How to read a model's answers as frequencies.

    The building score is mapped by a line between log-odds (Platt 1999), which keeps its order.
    Grades are mapped by dividing their logarithms by a temperature and adding a bias for each
    (Guo et al. 2017, "On Calibration of Modern Neural Networks": bias-corrected temperature).

    Attributes:
        slope: of the line between log-odds of building scores; above 0.
        offset: what is added to the log-odds.
        temperature: above 1 makes grades less sure; above 0.
        bias: one per grade of ``MODEL_GRADES``.
        weight: one per grade: the grade reported is the one of the largest product of weight and
            probability. Training weighs rare grades up, because missing them costs more; the
            probabilities are honest again, the choice still weighs what they are worth.
    """

    slope: float = 1.0
    offset: float = 0.0
    temperature: float = 1.0
    bias: tuple[float, ...] = NO_BIAS
    weight: tuple[float, ...] = EVEN

    def __post_init__(self) -> None:
        if len(self.bias) != len(MODEL_GRADES) or len(self.weight) != len(MODEL_GRADES):
            raise ValueError("need one bias and one weight per grade")
        numbers = (self.slope, self.offset, self.temperature, *self.bias, *self.weight)
        if not all(math.isfinite(number) for number in numbers):
            raise ValueError("parameters are not finite")
        if min(self.slope, self.temperature, *self.weight) <= 0:
            raise ValueError("slope, temperature and weights must be above 0")

    def scores(self, raw: Numbers) -> NDArray[np.float32]:
        """Building scores as frequencies, shape (N,); the order stays."""
        return _fraction(self.slope * log_odds(raw) + self.offset)

    def score(self, raw: float) -> float:
        """One building score as a frequency."""
        return float(self.scores(np.array([raw], np.float64))[0])

    def raw_scores(self, scores: Numbers) -> NDArray[np.float32]:
        """The model's own scores again, shape (N,): the inverse of ``scores``."""
        return _fraction((log_odds(scores) - self.offset) / self.slope)

    def raw_score(self, score: float) -> float:
        """The model's own score that becomes ``score``; 0 and 1 stay what they are."""
        if not 0 < score < 1:
            return score
        return float(self.raw_scores(np.array([score], np.float64))[0])

    def probabilities(self, raw: Numbers) -> NDArray[np.float32]:
        """Grade probabilities as frequencies, shape (N, 4); rows sum to 1."""
        logs = np.log(np.clip(np.asarray(raw, np.float64), LEAST, 1)) / self.temperature
        logs += np.array(self.bias)
        logs -= logs.max(axis=1, keepdims=True, initial=-np.inf)
        odds = np.exp(logs)
        shares: NDArray[np.float32] = (odds / odds.sum(axis=1, keepdims=True)).astype(np.float32)
        return shares

    def to_json(self) -> dict[str, Any]:
        """For the model card."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Read what ``to_json`` wrote; what else a card says of it is left aside.

        Raises:
            KeyError, TypeError, ValueError: a parameter is missing or no usable number.
        """
        slope, offset, temperature = (float(data[k]) for k in ("slope", "offset", "temperature"))
        bias, weight = (tuple(float(value) for value in data[k]) for k in ("bias", "weight"))
        return cls(slope, offset, temperature, bias, weight)


def log_odds(fractions: Numbers) -> NDArray[np.float64]:
    """Natural logarithms of odds; nothing is surer than ``LEAST`` lets it be."""
    inside = np.clip(np.asarray(fractions, np.float64), LEAST, 1 - LEAST)
    odds: NDArray[np.float64] = np.log(inside / (1 - inside))
    return odds


def _fraction(log_odds: NDArray[np.float64]) -> NDArray[np.float32]:
    shares: NDArray[np.float32] = (1 / (1 + np.exp(-log_odds))).astype(np.float32)
    return shares


def weighed(probabilities: Numbers, weight: tuple[float, ...] = EVEN) -> NDArray[np.float64]:
    """Products of weight and probability as shares of their sum, shape (N, 4): the largest wins."""
    products = np.asarray(probabilities, np.float64) * np.array(weight)
    shares: NDArray[np.float64] = products / products.sum(axis=1, keepdims=True)
    return shares
