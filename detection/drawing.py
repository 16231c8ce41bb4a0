"""Pictures for people: why a building got its grade. Needs matplotlib, as workers have it."""

from pathlib import Path

import numpy as np
import shapely
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from detection.errors import BadOutput
from detection.explaining import Explanation
from detection.grades import MODEL_GRADES

INCH_PX = 110
LEAST_HEAT = 0.05  # weaker effects are drawn pale, not stretched to look strong
OUTLINE = "#00e5ff"


def draw_explanation(explanation: Explanation, path: Path) -> None:
    """Draw the chip before and after, the heat map over it, and the probabilities, as PNG.

    Raises:
        BadOutput: the file cannot be written.
    """
    pairs = explanation.before is not None
    figure = Figure(figsize=(7.2, 7.6 if pairs else 5.8), layout="constrained")
    parts = figure.subplot_mosaic(
        [["before", "after"], ["heat", "bars"]] if pairs else [["after", "heat"], ["bars", "bars"]],
        height_ratios=[1, 1 if pairs else 0.6],
    )
    if explanation.before is not None:
        _draw_chip(parts["before"], explanation.before, explanation, "Before")
    _draw_chip(parts["after"], explanation.after, explanation, "After")
    _draw_heat(parts["heat"], explanation)
    _draw_probabilities(parts["bars"], explanation)
    title = f"{explanation.model}: a preliminary judgement, not validated in the field"
    figure.suptitle(title, fontsize=10)
    try:
        figure.savefig(path, format="png", dpi=INCH_PX)
    except OSError as error:
        raise BadOutput(f"{path.name}: {error}") from error


def _draw_chip(axes: Axes, image: np.ndarray, explanation: Explanation, title: str) -> None:
    height, width = image.shape[1:]
    axes.imshow(image.transpose(1, 2, 0), extent=(0, width, height, 0))
    for part in shapely.get_parts(explanation.outline):
        axes.plot(*np.asarray(part.exterior.coords).T, color=OUTLINE, linewidth=1)
    axes.set_xlim(0, width)
    axes.set_ylim(height, 0)
    axes.set_axis_off()
    axes.set_title(f"{title} ({width * explanation.pixel_m:.0f} m across)", fontsize=9)


def _draw_heat(axes: Axes, explanation: Explanation) -> None:
    grade = explanation.grade.value.replace("_", " ")
    _draw_chip(axes, explanation.after, explanation, f"What speaks for “{grade}”")
    most = max(LEAST_HEAT, float(np.abs(explanation.heat).max()))
    height, width = explanation.heat.shape
    shown = axes.imshow(
        explanation.heat,
        cmap="RdBu_r",
        vmin=-most,
        vmax=most,
        alpha=np.clip(np.abs(explanation.heat) / most, 0, 0.75),
        extent=(0, width, height, 0),
    )
    colorbar = axes.figure.colorbar(shown, ax=axes, shrink=0.7)
    colorbar.set_label("fall in its probability when hidden", fontsize=7)


def _draw_probabilities(axes: Axes, explanation: Explanation) -> None:
    words = [grade.value.replace("_", " ") for grade in MODEL_GRADES]
    bars = axes.barh(words, explanation.probabilities, color="#777777")
    bars[MODEL_GRADES.index(explanation.grade)].set_color("#c0392b")
    axes.bar_label(bars, [f"{value:.2f}" for value in explanation.probabilities], fontsize=8)
    axes.set_xlim(0, 1.15)
    axes.invert_yaxis()
    axes.set_title(f"Grades; a building with {explanation.score:.2f}", fontsize=9)
