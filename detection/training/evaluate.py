"""Score a model as it is used: each scene goes through the whole pipeline, file to outlines."""

import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import rasterio
import shapely
from affine import Affine
from numpy.typing import NDArray
from rasterio.features import rasterize, shapes
from shapely.affinity import affine_transform
from shapely.geometry import mapping, shape
from shapely.geometry.base import BaseGeometry

from detection.detector import Detector
from detection.errors import BadLabels, EmptyImage
from detection.footprints import Footprint
from detection.grades import MODEL_GRADES, Grade
from detection.pipeline import BeforeScene, DetectionOptions, KnownOutlines, detect_scene
from detection.training.chips import IGNORED_GRADE, Chip, ChipSource
from detection.training.metrics import (
    GRADES,
    Drawn,
    Found,
    Matches,
    PixelCounts,
    Report,
    SceneCounts,
    choose_operating_score,
    count_pixels,
    match,
    summarise,
)
from detection.training.reliability import Reliability, reliabilities

OnScene = Callable[[int, int], None]  # scenes done, scenes in all; may raise Cancelled

LEAST_SCORE = 0.02  # average precision wants the unsure ones too
SOMEWHERE = "EPSG:32631"  # chips have lost their place on the ground; any metric CRS serves
ORIGIN = (500_000.0, 0.0)
ALL = "all"
RGB = 3


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What a model scored.

    Attributes:
        model: ``name@version``.
        operating_score: all but average precision counts detections at or above it.
        reports: by event, and for ``ALL`` together.
        outlines_given: the model was told where the buildings are, and only graded them.
        counts: what each scene was scored from, in the order of the scenes.
        reliability: how far probabilities can be believed, by event and name; see
            ``detection.training.reliability``.
        is_calibrated: the probabilities went through the model's calibration.
    """

    model: str
    operating_score: float
    reports: dict[str, Report]
    outlines_given: bool = False
    reliability: dict[str, dict[str, Reliability]] = field(default_factory=dict)
    is_calibrated: bool = False
    counts: tuple[SceneCounts, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Seen:
    """One scene after detection; its image is gone.

    Attributes:
        event: the scene's.
        cluster: the scene's.
        drawn: shape (H, W); 0 for background, else 1 to 4 for the grades.
        known: shape (H, W); False where nothing is known.
        found: in the scene's own pixels.
        matches: of what was found with what was drawn.
    """

    event: str
    cluster: str
    drawn: NDArray[np.uint8]
    known: NDArray[np.bool_]
    found: Found
    matches: Matches


def evaluate(
    detector: Detector,
    scenes: Sequence[ChipSource],
    *,
    operating_score: float | None = None,
    outlines_given: bool = False,
    options: DetectionOptions = DetectionOptions(),  # noqa: B008 (frozen)
    on_scene: OnScene | None = None,
) -> Evaluation:
    """Score a model on labelled scenes.

    Args:
        detector: the model.
        scenes: at least one, with outlines of single buildings; pairs for a model of pairs.
        operating_score: score above which detections count; the model's own unless given. Below
            0, the score is chosen on these scenes.
        outlines_given: tell the model where the buildings are, as ``--outlines`` does: what is
            scored is the grades alone, and every given building counts.
        options: how the model looks; its least score is not used here.
        on_scene: hears of every scene.

    Raises:
        BadLabels: there is no scene, labels do not tell touching buildings apart, or an image
            before is missing.
        Cancelled: raised by ``on_scene``, passed on.
    """
    if not scenes:
        raise BadLabels("no scenes to evaluate on")
    seen = []
    for done, source in enumerate(scenes, start=1):
        seen.append(look(detector, source.load(), options, outlines_given=outlines_given))
        if on_scene:
            on_scene(done, len(scenes))
    score = detector.spec.operating_score if operating_score is None else operating_score
    score = 0.0 if outlines_given else score
    if score < 0:
        score = choose_operating_score([one.matches for one in seen])
    counts = [(one.event, _count(one, score)) for one in seen]
    events = sorted({event for event, _ in counts})
    reports = {event: summarise([c for e, c in counts if e == event]) for event in events}
    reports[ALL] = summarise([c for _, c in counts])
    groups = {event: [s.matches for s in seen if s.event == event] for event in events}
    groups[ALL] = [one.matches for one in seen]
    return Evaluation(
        model=detector.spec.label,
        operating_score=score,
        reports=reports,
        outlines_given=outlines_given,
        reliability={
            name: reliabilities(group, score, outlines_given=outlines_given)
            for name, group in groups.items()
        },
        is_calibrated=detector.spec.calibration is not None,
        counts=tuple(one for _, one in counts),
    )


def detect_chip(
    detector: Detector,
    chip: Chip,
    *,
    min_score: float,
    options: DetectionOptions = DetectionOptions(),  # noqa: B008 (frozen)
) -> Found:
    """Detect buildings in a chip through the whole pipeline.

    Returns:
        Outlines in the chip's own pixels (column, row).
    """
    with tempfile.TemporaryDirectory(prefix="evaluate-") as folder:
        path, before = _write_chip(chip, Path(folder), detector)
        options = replace(options, min_score=min_score)
        try:
            found = detect_scene(path, detector, options, before=before).footprints
        except EmptyImage:  # a chip of nothing but nodata: there is nothing to find
            found = []
    return _in_chip(found, chip)


def grade_chip(
    detector: Detector,
    chip: Chip,
    outlines: Sequence[BaseGeometry],
    options: DetectionOptions = DetectionOptions(),  # noqa: B008 (frozen)
) -> Found:
    """Grade given buildings of a chip through the whole pipeline, as ``--outlines`` does.

    Args:
        detector: the model; it must be a ``BoxGrader`` as well.
        chip: the image.
        outlines: polygons in the chip's own pixels (column, row).
        options: how the model looks.

    Returns:
        Those that could be judged, in the same pixels.
    """
    if not outlines:
        return _in_chip([], chip)
    grid = _grid_of(chip)
    forth = [grid.a, grid.b, grid.d, grid.e, grid.c, grid.f]
    features = [
        {"type": "Feature", "geometry": mapping(affine_transform(outline, forth))}
        for outline in outlines
    ]
    crs = {"type": "name", "properties": {"name": SOMEWHERE}}
    with tempfile.TemporaryDirectory(prefix="evaluate-") as folder:
        path, before = _write_chip(chip, Path(folder), detector)
        source = Path(folder) / "outlines.geojson"
        source.write_text(
            json.dumps({"type": "FeatureCollection", "crs": crs, "features": features})
        )
        known = KnownOutlines(source, Path(folder) / "outlines.sqlite")
        try:
            found = detect_scene(path, detector, options, outlines=known, before=before).footprints
        except EmptyImage:
            found = []
    return _in_chip(found, chip)


def _grid_of(chip: Chip) -> Affine:
    k = chip.pixel_size_m
    return Affine(k, 0, ORIGIN[0], 0, -k, ORIGIN[1])


def _write_chip(chip: Chip, folder: Path, detector: Detector) -> tuple[Path, BeforeScene | None]:
    """A chip as GeoTIFFs for the pipeline to read: the image after, and before if it is wanted."""
    after = folder / "after.tif"
    _write_image(after, chip, chip.image[-RGB:])
    if detector.spec.input_kind == "after":
        return after, None
    if len(chip.image) == RGB:
        raise BadLabels(f"{chip.name}: {detector.spec.label} needs an image from before as well")
    before = folder / "before.tif"
    _write_image(before, chip, chip.image[:RGB])
    return after, BeforeScene(before)


def _write_image(path: Path, chip: Chip, image: NDArray[np.uint8]) -> None:
    bands, height, width = image.shape
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        width=width,
        height=height,
        count=bands,
        dtype="uint8",
        crs=SOMEWHERE,
        transform=_grid_of(chip),
        photometric="RGB",
    ) as dataset:
        dataset.write(image)


def _in_chip(found: Sequence[Footprint], chip: Chip) -> Found:
    """Footprints in the chip's own pixels."""
    back = ~_grid_of(chip)
    shift = [back.a, back.b, back.d, back.e, back.c, back.f]
    return Found(
        [affine_transform(footprint.outline, shift) for footprint in found],
        np.array([_number(f.grade) for f in found], np.int8),
        np.array([f.score for f in found], np.float64),
        np.array([f.probabilities for f in found], np.float64).reshape(-1, GRADES),
    )


def _number(grade: Grade) -> int:
    return GRADES if grade is Grade.UNCLASSIFIED else MODEL_GRADES.index(grade)


def drawn_of(chip: Chip) -> Drawn:
    """A chip's labels as outlines in its own pixels."""
    parts: dict[int, list[BaseGeometry]] = {}
    for ring, number in shapes(chip.instances, chip.instances > 0):
        parts.setdefault(int(number), []).append(shape(ring))
    known = [n for n in sorted(parts) if chip.grades[n - 1] != IGNORED_GRADE]
    unknown = chip.ignore.astype(np.uint8)
    ignored = shapely.union_all([shape(ring) for ring, _ in shapes(unknown, chip.ignore)])
    return Drawn(
        [shapely.union_all(parts[number]) for number in known],
        np.array([chip.grades[number - 1] for number in known], np.int8),
        ignored,
    )


def look(
    detector: Detector,
    chip: Chip,
    options: DetectionOptions = DetectionOptions(),  # noqa: B008 (frozen)
    *,
    outlines_given: bool = False,
) -> Seen:
    """Detect in one chip, or grade its drawn buildings, and match that with what was drawn.

    Raises:
        BadLabels: labels do not tell touching buildings apart, or an image before is missing.
    """
    if chip.semantic:
        raise BadLabels(f"{chip.name}: touching buildings are not told apart")
    drawn = drawn_of(chip)
    if outlines_given:
        found = grade_chip(detector, chip, drawn.outlines, options)
    else:
        least = _least_score(detector)
        found = detect_chip(detector, chip, min_score=least, options=options)
    grades = np.concatenate([[0], np.maximum(chip.grades.astype(int) + 1, 0)])
    ungraded = np.concatenate([[False], chip.grades < 0])[chip.instances]
    return Seen(
        event=chip.event,
        cluster=chip.cluster,
        drawn=grades[chip.instances].astype(np.uint8),
        known=~(chip.ignore | ungraded),
        found=found,
        matches=match(drawn, found),
    )


def _least_score(detector: Detector) -> float:
    """The score down to which detections count; the same ones whether calibrated or not."""
    calibration = detector.spec.calibration
    return calibration.score(LEAST_SCORE) if calibration else LEAST_SCORE


def _count(seen: Seen, operating_score: float) -> SceneCounts:
    painted = _paint(seen.found, operating_score, seen.drawn.shape)
    pixels: PixelCounts = count_pixels(painted, painted, seen.drawn, seen.known)
    return SceneCounts.of(seen.matches, pixels, operating_score)


def _paint(found: Found, operating_score: float, size: tuple[int, ...]) -> NDArray[np.uint8]:
    """Found buildings as an xView2 picture: 0, or 1 to 4, 5 for no grade; the surest on top."""
    order = [int(i) for i in np.argsort(found.scores) if found.scores[i] >= operating_score]
    if not order:
        return np.zeros(size, np.uint8)
    drawn = [(found.outlines[i], int(found.grades[i]) + 1) for i in order]
    painted: NDArray[np.uint8] = rasterize(drawn, out_shape=size, dtype="uint8")
    return painted
