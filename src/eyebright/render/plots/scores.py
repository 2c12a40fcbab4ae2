"""Plots of what the scores are worth: reliability, ROC and precision-recall."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from matplotlib.axes import Axes

from eyebright.core.report import Evaluation, ReliabilityBin
from eyebright.render.findings import by_recall
from eyebright.render.plots.style import ACCENT, CATEGORIES, DASHES, LINE, MUTED, PAPER, drawing, key, unit_square
from eyebright.render.words import isolated, short

LABELLED_CLASSES = 6  # as many colours as the palette has; beyond that, the worst are drawn over grey ones
WORST_CLASSES = 5
GREY_CURVES = 60  # more only make a darker smear


def reliability(report: Evaluation, *, name: str, label: str) -> str:
    """How often the model was right (up) at each confidence (right); the diagonal is where both agree."""
    shown: dict[str, list[ReliabilityBin]] = {
        part: bins for part, bins in sorted(report.reliability.items(), reverse=True) if bins
    }
    largest = max(each.n for part in shown.values() for each in part)
    styles = {"before": (MUTED, "--", PAPER), "after": (ACCENT, "-", ACCENT)}
    with drawing(name, label, height=278) as plot:
        axes = plot.axes
        unit_square(axes, "Confidence (%)", "Right (%)")
        axes.plot([0, 100], [0, 100], color=MUTED, linewidth=1.0, linestyle=":")
        for order, (part, points) in enumerate(shown.items()):
            colour, dash, fill = styles[part]
            filled = [each for each in points if each.n]
            x, y = [each.confidence * 100 for each in filled], [each.accuracy * 100 for each in filled]
            axes.plot(x, y, color=colour, linestyle=dash)
            sizes = [12 + 110 * each.n / largest for each in filled]  # points squared: area, as n is
            axes.scatter(x, y, s=sizes, facecolors=fill, edgecolors=colour, linewidths=1.4, zorder=3, clip_on=False)
            key(axes, 0.56, 0.14 - 0.08 * order, f"{part} calibration", colour, dash)
    return plot.svg


def area(curve: Sequence[tuple[float, float]]) -> float:
    """The area under a ROC curve by trapezoids.

    >>> area([(0, 0), (0, 1), (1, 1)])
    1.0
    """
    return float(sum((right[0] - left[0]) * (right[1] + left[1]) / 2 for left, right in pairwise(sorted(curve))))


def roc_areas(report: Evaluation) -> dict[str, float]:
    """Class to area under its curve, the hardest first."""
    known = {name: figures.roc_auc for name, figures in by_recall(report)}
    areas = {name: known.get(name) for name in report.roc}
    told = {name: area(report.roc[name]) if value is None else value for name, value in areas.items()}
    return dict(sorted(told.items(), key=lambda item: (item[1], item[0])))


def styles(report: Evaluation, names: Sequence[str]) -> dict[str, tuple[str, Any]]:
    """Class to colour and dash, for at most six ``names``: a class looks the same in both plots, so far as it is in both."""
    fixed = {name: place for place, name in enumerate(_coloured(list(roc_areas(report)))) if name in names}
    free = (place for place in range(len(CATEGORIES)) if place not in fixed.values())
    places = {name: fixed[name] if name in fixed else next(free) for name in names}
    return {name: (CATEGORIES[place], DASHES[place]) for name, place in places.items()}


def _coloured(hardest_first: list[str]) -> list[str]:
    """The classes whose curve is drawn in colour: all where the palette suffices, else the hardest."""
    few = len(hardest_first) <= LABELLED_CLASSES
    return hardest_first[: LABELLED_CLASSES if few else WORST_CLASSES]


def roc(report: Evaluation, *, name: str, label: str) -> str:
    """Each class told from the rest; with many classes the hardest few in colour over the others in grey."""
    areas = roc_areas(report)
    coloured = _coloured(list(areas))
    look = styles(report, coloured)
    with drawing(name, label, height=278) as plot:
        axes = plot.axes
        unit_square(axes, "Others taken for it (%)", "Found (%)")
        axes.plot([0, 100], [0, 100], color=MUTED, linewidth=1.0, linestyle=":")
        for each in list(areas)[len(coloured) :][:GREY_CURVES]:
            axes.plot(*_curve(report, each), color=LINE, linewidth=1.0)
        for each in reversed(coloured):
            axes.plot(*_curve(report, each), color=look[each][0], linestyle=look[each][1])
        _name_curves(axes, 0.5, areas, look, places=3)
    return plot.svg


def _name_curves(axes: Axes, x: float, areas: dict[str, float], look: dict[str, tuple[str, Any]], places: int) -> None:
    """A key from the bottom up: the area under each coloured curve, and how many more there are in grey."""
    rest = len(areas) - len(look)
    lines = len(look) + (rest > 0)
    for index, (each, (colour, dash)) in enumerate(look.items()):
        key(axes, x, 0.06 + 0.075 * (lines - 1 - index), f"{areas[each]:.{places}f}  {isolated(short(each, 15))}", colour, dash)
    if rest:
        key(axes, x, 0.06, f"the other {rest}", LINE, "-")


def _curve(report: Evaluation, name: str) -> tuple[list[float], list[float]]:
    points = sorted(report.roc[name])
    return [x * 100 for x, _ in points], [y * 100 for _, y in points]


def steps(curve: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The curve's points by recall, begun at recall 0: between two thresholds nothing was measured, so none is implied.

    >>> steps([(0.5, 1.0), (1.0, 0.67)])
    [(0.0, 1.0), (0.5, 1.0), (1.0, 0.67)]
    """
    points = sorted(curve)
    return [(0.0, points[0][1]), *points] if points else []


def area_of_steps(curve: Sequence[tuple[float, float]]) -> float:
    """The average precision that a precision-recall curve shows: each step of recall at the precision it ends with.

    >>> area_of_steps([(0.5, 1.0), (1.0, 0.6)])
    0.8
    """
    return float(sum((right[0] - left[0]) * right[1] for left, right in pairwise(steps(curve))))


def average_precisions(report: Evaluation) -> dict[str, float]:
    """Class to average precision, the hardest first; where it is not given, what the curve shows."""
    known = {name: figures.average_precision for name, figures in report.classes.items()}
    curves = {name: curve for name, curve in report.precision_recall.items() if curve}
    told = {name: value if (value := known.get(name)) is not None else area_of_steps(curve) for name, curve in curves.items()}
    return dict(sorted(told.items(), key=lambda item: (item[1], item[0])))


def precision_recall(report: Evaluation, *, name: str, label: str) -> str:
    """Precision (up) at each recall (right), in steps; with many classes the hardest few in colour over the others in grey."""
    areas = average_precisions(report)
    coloured = _coloured(list(areas))
    look = styles(report, coloured)
    with drawing(name, label, height=278) as plot:
        axes = plot.axes
        unit_square(axes, "Found (%)", "Right among those so named (%)")
        for each in list(areas)[len(coloured) :][:GREY_CURVES]:
            _draw_steps(axes, report, each, LINE, "-", 1.0)
        for each in reversed(coloured):
            _draw_steps(axes, report, each, *look[each], 1.8)
        _name_curves(axes, 0.04, areas, look, places=2)
    return plot.svg


def _draw_steps(axes: Axes, report: Evaluation, name: str, colour: str, dash: Any, width: float) -> None:
    points = steps(report.precision_recall[name])
    x, y = [100 * recall for recall, _ in points], [100 * precision for _, precision in points]
    axes.plot(x, y, drawstyle="steps-pre", color=colour, linestyle=dash, linewidth=width)
