"""What the pipeline asks of a model. Knows numpy; does not know torch."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from detection.calibration import EVEN, Calibration
from detection.grades import MODEL_GRADES

InputKind = Literal["after", "before_after"]


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """What must be known of a model before its weights are loaded; read from its card.

    Attributes:
        name: for people, such as "unosat-after-r18".
        version: of these weights, such as "2026.11.21".
        sha256: hex digest of the weights file.
        input_kind: "after" takes 3 bands; "before_after" takes 6, before first.
        pixel_size_m: the ground size of one input pixel, in metres.
        tile_px: side of the square tiles the model was made for, in pixels.
        operating_score: building score at which the model was evaluated, in [0, 1]; calibrated
            where the model is.
        licence: of the weights, as an SPDX expression.
        calibration: how to read its answers as frequencies; None: they are taken as they are.
    """

    name: str
    version: str
    sha256: str
    input_kind: InputKind
    pixel_size_m: float
    tile_px: int
    operating_score: float
    licence: str
    calibration: Calibration | None = None

    @property
    def label(self) -> str:
        """``name@version``, as outputs carry it."""
        return f"{self.name}@{self.version}"

    @property
    def grade_weight(self) -> tuple[float, ...]:
        """What each grade's probability is multiplied by to choose the one to report."""
        return self.calibration.weight if self.calibration else EVEN


@dataclass(frozen=True, slots=True)
class TileDetections:
    """What a model saw in one tile: N buildings, in that tile's own pixels.

    Attributes:
        boxes: shape (N, 4), float32: left, top, right, bottom; pixel edges, not centres.
        masks: N arrays of shape (h, w), float32 in [0, 1]: probability of building, sampled at
            the centres of an even h x w grid stretched over the box (28 x 28 for an R-CNN).
        scores: shape (N,), float32 in [0, 1]: how sure the model is that this is a building.
        probabilities: shape (N, 4), float32: one per grade of ``MODEL_GRADES``; rows sum to 1.
    """

    boxes: NDArray[np.float32]
    masks: tuple[NDArray[np.float32], ...]
    scores: NDArray[np.float32]
    probabilities: NDArray[np.float32]

    def __post_init__(self) -> None:
        count = len(self.scores)
        if self.boxes.shape != (count, 4) or len(self.masks) != count:
            raise ValueError("boxes, masks and scores differ in length")
        if self.probabilities.shape != (count, len(MODEL_GRADES)):
            raise ValueError("need one probability per grade")

    def at_least(self, score: float) -> "TileDetections":
        """Those of at least this score, in order."""
        kept = np.flatnonzero(self.scores >= score)
        return TileDetections(
            self.boxes[kept],
            tuple(self.masks[number] for number in kept),
            self.scores[kept],
            self.probabilities[kept],
        )

    @classmethod
    def none(cls) -> Self:
        """Nothing was found."""
        return cls(
            boxes=np.zeros((0, 4), np.float32),
            masks=(),
            scores=np.zeros(0, np.float32),
            probabilities=np.zeros((0, len(MODEL_GRADES)), np.float32),
        )


class Detector(Protocol):
    """Any model: Detectron2 on a GPU, torchvision on a laptop, a few lines of numpy in a test.

    ``predict`` must give a tile the same answer whatever tiles came before it. One building is
    one detection: suppression ignores the grade. Answers are the model's own: whoever asks through
    ``calibrated`` hears what they are worth.
    """

    @property
    def spec(self) -> ModelSpec:
        """What the model is."""
        ...

    @property
    def batch_size(self) -> int:
        """How many tiles ``predict`` should be given at once (1 on a CPU)."""
        ...

    def predict(self, images: NDArray[np.uint8], *, min_score: float) -> list[TileDetections]:
        """Find buildings.

        Args:
            images: shape (B, C, H, W); C is 3 (red, green, blue) or 6 (before, then after).
            min_score: detections below it are left out, in [0, 1].

        Returns:
            One value per image, in order.
        """
        ...


@dataclass(frozen=True, slots=True)
class BoxGrades:
    """What a model says of N buildings whose place was given.

    Attributes:
        scores: shape (N,), float32 in [0, 1]: how sure the model is that there is a building.
        probabilities: shape (N, 4), float32: one per grade of ``MODEL_GRADES``; rows sum to 1.
    """

    scores: NDArray[np.float32]
    probabilities: NDArray[np.float32]

    def __post_init__(self) -> None:
        if self.probabilities.shape != (len(self.scores), len(MODEL_GRADES)):
            raise ValueError("need one probability per grade")


@runtime_checkable
class BoxGrader(Protocol):
    """A model that can also judge buildings whose place is known; a ``Detector`` may be one.

    The same network as in ``predict``: features are pooled under each given box as they are under
    a proposal, and go through the box head. Nothing is proposed, moved, suppressed or left out.
    """

    def grade(
        self, images: NDArray[np.uint8], boxes: Sequence[NDArray[np.float32]]
    ) -> list[BoxGrades]:
        """Judge given boxes.

        Args:
            images: shape (B, C, H, W), as for ``predict``.
            boxes: one array of shape (N, 4) per image, in that image's pixels: left, top, right,
                bottom; edges, not centres. They lie inside the image; N may be 0.

        Returns:
            One value per image, in order; in it one row per box, in order.
        """
        ...


def calibrated(detector: Detector, calibration: Calibration | None) -> Detector:
    """The same model with calibrated answers: scores, probabilities, and least scores asked for.

    The one place where a calibration is applied, whatever the engine.
    """
    if calibration is None:
        return detector
    if isinstance(detector, BoxGrader):
        return _CalibratedGrader(detector, calibration, detector)
    return _Calibrated(detector, calibration)


@dataclass(frozen=True, slots=True)
class _Calibrated:
    """A detector with a calibration behind it."""

    detector: Detector
    calibration: Calibration

    @property
    def spec(self) -> ModelSpec:
        """What the model is."""
        return self.detector.spec

    @property
    def batch_size(self) -> int:
        """Tiles at once."""
        return self.detector.batch_size

    def predict(self, images: NDArray[np.uint8], *, min_score: float) -> list[TileDetections]:
        """Find buildings of at least this calibrated score."""
        least = self.calibration.raw_score(min_score)
        return [
            replace(
                found,
                scores=self.calibration.scores(found.scores),
                probabilities=self.calibration.probabilities(found.probabilities),
            )
            for found in self.detector.predict(images, min_score=least)
        ]


@dataclass(frozen=True, slots=True)
class _CalibratedGrader(_Calibrated):
    """The same for a model that also judges given boxes."""

    grader: BoxGrader

    def grade(
        self, images: NDArray[np.uint8], boxes: Sequence[NDArray[np.float32]]
    ) -> list[BoxGrades]:
        """Judge given boxes."""
        return [
            BoxGrades(
                self.calibration.scores(said.scores),
                self.calibration.probabilities(said.probabilities),
            )
            for said in self.grader.grade(images, boxes)
        ]
