"""Scores for people and for programs: a table, JSON, a page of pictures, and the model card."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detection.grades import MODEL_GRADES, Grade
from detection.training.calibrate import Fitted
from detection.training.evaluate import ALL, Evaluation
from detection.training.metrics import SCORE_NAMES, Report, Score, differences
from detection.training.reliability import (
    BINS,
    BUILDING,
    DAMAGED,
    LIKELIEST,
    REPORTED,
    Reliability,
)
from detection.weights import read_card, write_card

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MARKDOWN = "card.md"
CURVE_PICTURE = "adaptation.png"
WORDS = {
    "building_ap50": "Building AP50",
    "building_precision": "Building precision",
    "building_recall": "Building recall",
    "building_f1": "Building F1",
    "damaged_precision": "Damaged precision",
    "damaged_recall": "Damaged recall",
    "damaged_f1": "Damaged F1",
    "f1_no_damage": "F1 no damage",
    "f1_minor_damage": "F1 minor damage",
    "f1_major_damage": "F1 major damage",
    "f1_destroyed": "F1 destroyed",
    "xview2": "xView2 score",
    "xview2_localisation": "xView2 localisation",
    "xview2_damage": "xView2 damage",
    "xview2_no_damage": "xView2 no damage",
    "xview2_minor_damage": "xView2 minor damage",
    "xview2_major_damage": "xView2 major damage",
    "xview2_destroyed": "xView2 destroyed",
}
GRADE_WORDS = [grade.value for grade in MODEL_GRADES]
FOUND_WORDS = [*GRADE_WORDS, "missed", Grade.UNCLASSIFIED.value]
DRAWN_WORDS = [*GRADE_WORDS, "none there"]
RELIABILITY_WORDS = {
    BUILDING: "Building score",
    LIKELIEST: "Likeliest grade",
    REPORTED: "Reported grade",
    DAMAGED: "Damaged or not",
}
LIMITS = (
    "A preliminary analysis, not validated in the field: never the only ground for a decision "
    "about people, aid or money.",
    "Made for vertical views in visible light at the pixel size above; not for radar, night or "
    "thermal images, nor for oblique photographs.",
    "Sees roofs from above: damage to walls, inside, or by water without a trace is missed.",
    "Learned from few events (see the data); in other regions, building styles and kinds of "
    "disaster expect lower scores than those below.",
    "Minor and major damage are told apart poorly: read them as damaged, and have them reviewed.",
    "Not for choosing targets, and not for judging single households without a person's review.",
    "Not for commercial use: the labels it learned from are CC BY-NC-SA 4.0.",
)


def to_json(evaluation: Evaluation) -> dict[str, Any]:
    """An evaluation as plain JSON values; scores rounded to four places."""
    return {
        "model": evaluation.model,
        "operating_score": evaluation.operating_score,
        "outlines_given": evaluation.outlines_given,
        "calibrated": evaluation.is_calibrated,
        "events": {
            name: _report(report, evaluation.reliability.get(name, {}))
            for name, report in evaluation.reports.items()
        },
    }


def to_table(evaluation: Evaluation) -> str:
    """An evaluation as text: one column per event and one for all, one line per score."""
    names = list(evaluation.reports)
    head = ["", *names]
    lines = [
        ["scenes", *(str(evaluation.reports[name].scenes) for name in names)],
        ["buildings", *(str(evaluation.reports[name].buildings) for name in names)],
    ]
    for score in SCORE_NAMES:
        cells = [_cell(evaluation.reports[name].scores[score]) for name in names]
        lines.append([WORDS[score], *cells])
    title = f"{evaluation.model} at operating score {evaluation.operating_score:.2f}"
    if evaluation.outlines_given:
        title = f"{evaluation.model}, told where the buildings are: only the grades are its own"
    note = "In brackets: 90 % interval over scenes. All but AP50 at the operating score."
    confusion = _confusion_text(evaluation.reports[ALL])
    table = [title, "", *_aligned([head, *lines]), "", *confusion, "", note]
    return "\n".join([*table, "", *_reliability_text(evaluation)])


def _reliability_text(evaluation: Evaluation) -> list[str]:
    """The expected calibration errors, per event, with how many answers each was counted over."""
    names = list(evaluation.reliability)
    rows = [["Expected calibration error", *names]]
    for key, words in RELIABILITY_WORDS.items():
        cells = [_error_cell(evaluation.reliability[name].get(key)) for name in names]
        rows.append([words, *cells])
    state = "calibrated" if evaluation.is_calibrated else "not calibrated"
    note = f"{BINS} bins, at the operating score; in brackets: answers. The model is {state}."
    return [*_aligned(rows), "", note]


def _error_cell(found: Reliability | None) -> str:
    if found is None or found.ece is None:
        return "-"
    return f"{found.ece:.3f} ({found.count})"


def to_difference(evaluation: Evaluation, other: Evaluation) -> str:
    """By how much one model scores better than another on the same scenes, as text."""
    found = differences(evaluation.counts, other.counts)
    rows = [["", other.model, evaluation.model, "difference"]]
    for name in SCORE_NAMES:
        theirs, ours = other.reports[ALL].scores[name], evaluation.reports[ALL].scores[name]
        rows.append([WORDS[name], _cell(theirs), _cell(ours), _signed(found[name])])
    note = "In brackets: 90 % interval over scenes, drawn for both models at once (paired)."
    return "\n".join([*_aligned(rows), "", note])


def update_card(folder: Path, evaluation: Evaluation, *, data: str) -> None:
    """Write scores and limits into a model's card, and the card as Markdown beside it.

    Args:
        folder: the model folder; its card must exist.
        evaluation: of this model.
        data: what it was evaluated on, in a few words, such as "xbd, split val".

    Raises:
        ModelUnavailable: there is no card.
    """
    card = read_card(folder)
    scores = to_json(evaluation)
    del scores["model"], scores["outlines_given"]
    card |= {
        "operating_score": evaluation.operating_score,
        "scores": {"on": data, "at": datetime.now(UTC).isoformat(timespec="seconds"), **scores},
        "limits": list(card.get("limits", LIMITS)),
    }
    write_card(folder, card)
    write_card_page(folder)


def write_card_page(folder: Path) -> None:
    """Write a model's card as Markdown, beside the one for programs."""
    (folder / MARKDOWN).write_text(card_markdown(read_card(folder)), encoding="utf-8")


def to_calibration(model: str, found: Fitted) -> str:
    """What a calibration is, and what it is worth, as text."""
    c = found.calibration
    lines = [
        f"{model}, {found.scenes} scenes",
        "",
        f"Building score: log-odds times {c.slope:.3f}, plus {c.offset:+.3f}; "
        f"operating score {found.operating_score:.4f}",
        f"Grades: temperature {c.temperature:.3f}, bias {_numbers(c.bias)}; "
        f"chosen by weights {_numbers(c.weight)}",
        "",
        "Expected calibration error, of what is reported; in brackets: answers",
    ]
    for words, by_event in (
        ("as the network says", found.before),
        ("calibrated, by 5-fold cross-fitting", found.crossed),
        ("calibrated without the event", found.left_out),
    ):
        rows = [["", *by_event]]
        for key, name in RELIABILITY_WORDS.items():
            rows.append([name, *(_error_cell(one.get(key)) for one in by_event.values())])
        lines += ["", words, *_aligned(rows)] if by_event else []
    return "\n".join(lines)


def write_calibration(folder: Path, found: Fitted, *, fitted_on: str) -> None:
    """Write a calibration into a model's card, and the operating score that belongs to it.

    Scores in the card were counted at the old operating score with the old probabilities: they are
    taken out, until ``update_card`` puts in new ones.

    Args:
        folder: the model folder; its card must exist.
        found: the calibration.
        fitted_on: which labelled images, in a few words.

    Raises:
        ModelUnavailable: there is no card.
    """
    card = read_card(folder)
    card |= {"operating_score": found.operating_score, "calibration": found.to_json(fitted_on)}
    card.pop("scores", None)
    write_card(folder, card)
    write_card_page(folder)


def _numbers(values: Sequence[float]) -> str:
    return " ".join(f"{value:.2f}" for value in values)


def card_markdown(card: dict[str, Any]) -> str:
    """A model card for people, made from the one for programs."""
    kind = "one image, after the disaster" if card["input_kind"] == "after" else "before and after"
    lines = [
        f"# {card['name']}@{card['version']}",
        "",
        f"- Input: {kind}, red, green, blue; {card['pixel_size_m']} m per pixel, others are "
        "resampled",
        f"- Weights: SHA-256 `{card['sha256']}`, licence {card['licence']}",
        f"- Operating score: {card['operating_score']} (buildings below it are not reported)",
        f"- Made: {card.get('created', 'unknown')}",
        f"- Calibrated: {_calibrated_words(card)}",
        "",
        "## Learned from",
        "",
        *_data_lines(card.get("data", {})),
        "",
        "## Must not be used for, and limits",
        "",
        *(f"- {sentence}" for sentence in card.get("limits", ())),
        "",
        *_score_lines(card.get("scores")),
        *_curve_lines(card.get("adaptation_curve")),
        *_tried_lines(card.get("tried", ())),
    ]
    return "\n".join(lines) + "\n"


def _calibrated_words(card: dict[str, Any]) -> str:
    found = card.get("calibration")
    if not found:
        return "no; its scores and probabilities are the network's own"
    words = f"on {found.get('fitted_on', 'unknown')} ({found.get('fitted_at', 'unknown')})"
    parent = found.get("inherited_from")
    return f"{words}, for {parent}, from which it was taught" if parent else words


def draw_page(evaluation: Evaluation, path: Path) -> None:
    """Draw scores with their intervals, and the confusion matrix, as a PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 11), layout="constrained")
    top, bottom = figure.subfigures(2, 1, squeeze=False, height_ratios=[3, 2])[:, 0]
    left, right = top.subplots(1, 2, width_ratios=[3, 2])
    _draw_bars(left, evaluation)
    _draw_confusion(right, evaluation.reports[ALL])
    believed = evaluation.reliability.get(ALL, {})
    if believed:
        for axes, (name, found) in zip(
            bottom.subplots(1, len(believed), squeeze=False)[0], believed.items(), strict=True
        ):
            _draw_reliability(axes, RELIABILITY_WORDS[name], found)
    figure.savefig(path, dpi=110)


def _draw_reliability(axes: "Axes", words: str, found: Reliability) -> None:
    """How often answers were right (height) by how sure they were; grey: how many there are."""
    most = max(1, *found.counts)
    places = [(number + 0.5) / BINS for number in range(BINS)]
    axes.bar(places, [count / most for count in found.counts], 0.9 / BINS, color="0.88")
    points = [
        (said, was)
        for said, was in zip(found.confidence, found.right, strict=True)
        if said is not None and was is not None
    ]
    axes.plot([0, 1], [0, 1], color="0.5", linewidth=1, linestyle=":")
    axes.plot([said for said, _ in points], [was for _, was in points], "o-", markersize=4)
    error = "-" if found.ece is None else f"{found.ece:.3f}"
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="said", ylabel="was so")
    axes.set_title(f"{words}: calibration error {error}\n{found.count} answers")


def _draw_bars(axes: "Axes", evaluation: Evaluation) -> None:
    height = 0.8 / len(evaluation.reports)
    for column, (name, report) in enumerate(evaluation.reports.items()):
        places = [row + column * height for row in range(len(SCORE_NAMES))]
        scores = [report.scores[score_name] for score_name in SCORE_NAMES]
        values = [score.value or 0.0 for score in scores]
        axes.barh(places, values, height, color=f"C{column}", alpha=0.75, label=name)
        for y, score in zip(places, scores, strict=True):
            if score.low is not None and score.high is not None:
                axes.plot([score.low, score.high], [y, y], color="black", linewidth=1)
    axes.set_yticks(range(len(SCORE_NAMES)), [WORDS[name] for name in SCORE_NAMES])
    axes.set_xlim(0, 1)
    axes.invert_yaxis()
    axes.grid(axis="x", alpha=0.3)
    axes.legend(loc="lower right")
    axes.set_title(f"{evaluation.model} at operating score {evaluation.operating_score:.2f}")


def _draw_confusion(axes: "Axes", report: Report) -> None:
    shares = [[cell / max(1, sum(row)) for cell in row] for row in report.confusion]
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    columns, rows = ([word.replace("_", " ") for word in w] for w in (FOUND_WORDS, DRAWN_WORDS))
    axes.set_xticks(range(len(columns)), columns, rotation=40, ha="right")
    axes.set_yticks(range(len(rows)), rows)
    for y, counts in enumerate(report.confusion):
        for x, count in enumerate(counts):
            dark = shares[y][x] > 0.5
            axes.text(x, y, str(count), ha="center", color="white" if dark else "black")
    axes.set_xlabel("found")
    axes.set_ylabel("drawn")
    axes.set_title("Buildings, all events")


def _report(report: Report, believed: dict[str, Reliability]) -> dict[str, Any]:
    return {
        "scenes": report.scenes,
        "buildings": report.buildings,
        "buildings_per_grade": {
            grade.value: count for grade, count in zip(MODEL_GRADES, report.grades, strict=True)
        },
        "scores": {
            name: {key: _rounded(value) for key, value in asdict(score).items()}
            for name, score in report.scores.items()
        },
        "confusion": [list(row) for row in report.confusion],
        "reliability": {name: _reliability_json(one) for name, one in believed.items()},
    }


def _reliability_json(found: Reliability) -> dict[str, Any]:
    return {
        "answers": found.count,
        "ece": _rounded(found.ece),
        "bins": [
            {"answers": count, "confidence": _rounded(said), "right": _rounded(was)}
            for count, said, was in zip(found.counts, found.confidence, found.right, strict=True)
        ],
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _cell(score: Score) -> str:
    if score.value is None:
        return "-"
    if score.low is None or score.high is None:
        return f"{score.value:.3f}"
    return f"{score.value:.3f} [{score.low:.2f}-{score.high:.2f}]"


def _signed(score: Score) -> str:
    if score.value is None or score.low is None or score.high is None:
        return "-"
    return f"{score.value:+.3f} [{score.low:+.3f} to {score.high:+.3f}]"


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    return ["  ".join(c.ljust(w) for c, w in zip(r, widths, strict=True)).rstrip() for r in rows]


def _confusion_text(report: Report) -> list[str]:
    rows = [["drawn \\ found", *FOUND_WORDS]]
    for name, counts in zip(DRAWN_WORDS, report.confusion, strict=True):
        rows.append([name, *(str(count) for count in counts)])
    rows[-1][FOUND_WORDS.index("missed") + 1] = "-"
    return _aligned(rows)


def _data_lines(data: Any) -> list[str]:  # noqa: ANN401 (a card is JSON)
    if isinstance(data, dict) and data:
        return [f"- {name}: {words}" for name, words in data.items()]
    if isinstance(data, list) and data:
        return [f"- {words}" for words in data]
    return [f"- {data}" if data else "- not recorded"]


def _curve_lines(curve: dict[str, Any] | None) -> list[str]:
    """What a few corrected chips of a new event do for a model that has never seen it."""
    if not curve:
        return []
    head = "| Corrected chips | Buildings on them | Minutes | Damaged F1 | Gain | Building F1 |"
    lines = [
        "",
        "## What a few corrected chips of a new event change",
        "",
        f"`adapt` on {curve['event']}, by {curve['model']}, which had never seen it; scored where "
        "nothing was taught. A chip is a scene of 1024 px; some of them are kept aside.",
        "",
        f"![Damaged F1 by number of chips]({CURVE_PICTURE})",
        "",
        head,
        "|---|---|---|---|---|---|",
    ]
    for step in curve["steps"]:
        damaged = _interval_words(step["damaged_f1"])
        gain = "refused" if step["refused"] else _interval_words(step["gain"])
        facts = [step["chips"], step["buildings"], step["minutes"], damaged, gain]
        cells = " | ".join(str(fact) for fact in (*facts, step["building_f1"]))
        lines.append(f"| {cells} |")
    return lines


def _interval_words(numbers: Sequence[float | None]) -> str:
    value, low, high = ("-" if number is None else f"{number:.3f}" for number in numbers)
    return value if low == "-" else f"{value} [{low}, {high}]"


def _tried_lines(tried: Sequence[dict[str, Any]]) -> list[str]:
    """What was tried on the way, each with the figures that it gave."""
    if not tried:
        return []
    lines = ["", "## What was tried", "", "| | Building AP50 | Damaged F1 |", "|---|---|---|"]
    for one in tried:
        figures = [one.get("building_ap50"), one.get("damaged_f1")]
        cells = ["-" if figure is None else f"{figure:.3f}" for figure in figures]
        lines.append(f"| {one['what']} | {cells[0]} | {cells[1]} |")
    return lines


def _score_lines(scores: dict[str, Any] | None) -> list[str]:
    if not scores:
        return ["## Scores", "", "Not evaluated yet."]
    events = scores["events"]
    heads = [f"{name} ({report['scenes']} scenes)" for name, report in events.items()]
    lines = [
        f"## Scores on {scores['on']}",
        "",
        "Value and 90 % bootstrap interval over scenes. AP50 uses all detections, everything else "
        "those above the operating score. Un-classified buildings are left out.",
        "",
        f"| | {' | '.join(heads)} |",
        "|---" * (len(events) + 1) + "|",
    ]
    for name in SCORE_NAMES:
        cells = [_cell(Score(**report["scores"][name])) for report in events.values()]
        lines.append(f"| {WORDS[name]} | " + " | ".join(cells) + " |")
    lines += _reliability_lines(events)
    lines += ["", "All events, drawn (rows) against found (columns):", ""]
    columns = FOUND_WORDS[: len(events[ALL]["confusion"][0])]  # older cards know no unclassified
    lines += ["| | " + " | ".join(columns) + " |", "|---" * (1 + len(columns)) + "|"]
    for name, row in zip(DRAWN_WORDS, events[ALL]["confusion"], strict=True):
        lines.append(f"| {name} | " + " | ".join(str(count) for count in row) + " |")
    return lines


def _reliability_lines(events: dict[str, Any]) -> list[str]:
    """The expected calibration errors, as more rows of the table of scores."""
    if not all("reliability" in report for report in events.values()):
        return []
    lines = []
    for key, words in RELIABILITY_WORDS.items():
        errors = [report["reliability"].get(key, {}).get("ece") for report in events.values()]
        cells = ["-" if error is None else f"{error:.3f}" for error in errors]
        lines.append(f"| Expected calibration error: {words.lower()} | " + " | ".join(cells) + " |")
    return lines
