"""Plots as SVG strings to inline in a page: text stays text, colours are the page's own CSS variables.

matplotlib knows no CSS, so it draws in stand-in colours that are exchanged afterwards; dark paper then needs no second
drawing. Ids carry the plot's name, because several drawings share one page. Equal reports give equal strings.
"""

import html
import io
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from eyebright.core.report import CurvePoint, Evaluation, ReliabilityBin
from eyebright.render.words import by_recall, isolated, metric_name, short

LABELLED_ROC_CLASSES = 6  # as many colours as the palette has; beyond that, the worst are drawn over grey ones
WORST_ROC_CLASSES = 5
LABELLED_BARS = 30  # more bars than this are too thin for a name each
WIDTH, HEIGHT = 360.0, 250.0  # points; a phone shows them at 0.8, a desk at 1.2, so 10.5 pt text stays readable

INK, MUTED, LINE, ACCENT, PAPER = "#010101", "#020202", "#030303", "#040404", "#050505"
CATEGORIES = tuple(f"#0606{number:02x}" for number in range(1, 7))
_VARIABLES = {INK: "ink", MUTED: "muted", LINE: "line", ACCENT: "accent", PAPER: "paper"} | {
    colour: f"cat-{number}" for number, colour in enumerate(CATEGORIES, start=1)
}
_DASHES = ("-", "--", "-.", ":", (0, (6, 1, 1, 1, 1, 1)), (0, (1, 1)))

_STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "eyebright",
    "text.parse_math": False,  # a class may be called "$5"
    "font.size": 10.5,
    "axes.edgecolor": LINE,
    "axes.labelcolor": MUTED,
    "axes.labelsize": 10.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 1.0,
    "xtick.color": LINE,
    "ytick.color": LINE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "text.color": INK,
    "lines.linewidth": 1.8,
    "lines.solid_capstyle": "round",
}


class Drawing:
    """A figure that is being drawn: ``axes`` to draw on, ``svg`` once it is done."""

    def __init__(self, name: str, label: str, width: float, height: float) -> None:
        self._name = name
        self._label = label
        self._figure = Figure(figsize=(width / 72, height / 72), layout="constrained")
        self.axes: Axes = self._figure.add_subplot()
        self.svg = ""

    def finish(self) -> None:
        """Turns the figure into ``svg``."""
        buffer = io.StringIO()
        nothing = {"Date": None, "Creator": None, "Format": None, "Type": None}
        self._figure.savefig(buffer, format="svg", transparent=True, metadata=nothing)
        self.svg = inline_svg(buffer.getvalue(), self._name, self._label)


@contextmanager
def drawing(name: str, label: str, *, width: float = WIDTH, height: float = HEIGHT) -> Iterator[Drawing]:
    """A drawing in the house style; after the block its ``svg`` is there. ``label`` is what a screen reader says."""
    with matplotlib.rc_context(_STYLE), warnings.catch_warnings():
        # The font that measures lacks many scripts; the reader's own fonts draw them.
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        warnings.filterwarnings("ignore", message="constrained_layout not applied")
        plot = Drawing(name, label, width, height)
        yield plot
        plot.finish()


def inline_svg(document: str, name: str, label: str) -> str:
    """The ``<svg>`` of a matplotlib document, fit to stand in a page beside others."""
    svg = document[document.index("<svg") :]
    # matplotlib's own style rule would reach every drawing of the page; the page's style sheet says the same.
    svg = re.sub(r"<style.*?</style>", "", svg, count=1, flags=re.DOTALL)
    view_box = re.search(r'viewBox="([^"]*)"', svg)
    head = f'<svg role="img" aria-label="{html.escape(label)}" viewBox="{view_box[1] if view_box else ""}">'
    svg = re.sub(r"<svg[^>]*>", lambda _: head, svg, count=1)
    svg = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', svg)
    svg = re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", svg)
    svg = re.sub(r'xlink:href="#([^"]+)"', rf'href="#{name}-\1"', svg)
    svg = svg.replace("xlink:href=", "href=")
    svg = re.sub(r'font-family: [^;"]*', "font-family: var(--sans)", svg)
    for colour, variable in _VARIABLES.items():
        svg = svg.replace(f": {colour}", f": var(--{variable})")
    return re.sub(r"\s*\n\s*", "\n", svg).strip()


def _grid(axes: Axes, axis: str = "y") -> None:
    axes.grid(axis=axis, color=LINE, linewidth=0.8)  # type: ignore[arg-type]
    axes.set_axisbelow(True)
    axes.tick_params(length=0, pad=5)


def spread(positions: Sequence[float], gap: float) -> list[float]:
    """The positions moved up where needed, so that neighbours are at least ``gap`` apart; their order is kept.

    >>> spread([1.0, 1.2, 5.0], 1.0)
    [1.0, 2.0, 5.0]
    """
    order = sorted(range(len(positions)), key=lambda index: positions[index])
    moved = list(positions)
    for below, above in pairwise(order):
        moved[above] = max(moved[above], moved[below] + gap)
    return moved


# Curves of training


_PREFIXES = {"train_": "training", "training_": "training", "validation_": "validation", "val_": "validation"}


def series_name(metric: str) -> tuple[str, str]:
    """What a curve's metric measures, and on which part.

    >>> series_name("val_accuracy"), series_name("loss")
    (('accuracy', 'validation'), ('loss', 'training'))
    """
    for prefix, part in _PREFIXES.items():
        if metric.startswith(prefix):
            return metric.removeprefix(prefix), part
    return metric, "training"


def curve_metrics(curves: Sequence[CurvePoint]) -> list[str]:
    """What the curves measure and is worth a plot, the loss first: learning rates and times are not."""
    seen = {series_name(metric)[0]: None for point in curves for metric in point.metrics}
    worth = [name for name in seen if name == "loss" or name.startswith(("accuracy", "balanced", "f1"))]
    return sorted(worth, key=lambda name: name != "loss")


def curve_series(curves: Sequence[CurvePoint], measure: str) -> dict[str, tuple[list[int], list[float]]]:
    """Part to (steps, values) of one measure; steps count the epochs of all stages in a row, from 1."""
    series: dict[str, tuple[list[int], list[float]]] = {}
    for step, point in enumerate(curves, start=1):
        for metric, value in point.metrics.items():
            name, part = series_name(metric)
            if name == measure:
                steps, values = series.setdefault(part, ([], []))
                steps.append(step)
                values.append(value)
    return series


def training_curves(curves: Sequence[CurvePoint], measure: str, *, name: str, label: str) -> str:
    """One measure over the epochs, stages set apart by hairlines, each line named at its end."""
    scale = 1.0 if measure == "loss" else 100.0
    series = curve_series(curves, measure)
    with drawing(name, label) as plot:
        axes = plot.axes
        _grid(axes)
        top = max(max(values) for _, values in series.values()) * scale
        axes.set_ylim(0, top * 1.12 if measure == "loss" else 104)
        axes.set_xlim(1, max(len(curves), 2))
        axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True, min_n_ticks=2))
        axes.set_xlabel("Epoch")
        axes.set_ylabel("Loss" if measure == "loss" else f"{metric_name(measure)} (%)")
        _draw_series(axes, series, scale)
        _mark_stages(axes, curves)
    return plot.svg


def _draw_series(axes: Axes, series: dict[str, tuple[list[int], list[float]]], scale: float) -> None:
    styles = {"training": (MUTED, "--"), "validation": (ACCENT, "-")}
    ends = [values[-1] * scale for _, values in series.values()]
    heights = spread(ends, axes.get_ylim()[1] * 0.075)
    for (part, (steps, values)), height in zip(series.items(), heights, strict=True):
        colour, dash = styles.get(part, (INK, ":"))
        marker = "o" if len(steps) == 1 else ""
        axes.plot(steps, np.array(values) * scale, color=colour, linestyle=dash, marker=marker, clip_on=False)
        place = (axes.get_xlim()[1], height)
        axes.annotate(part, place, xytext=(6, 0), textcoords="offset points", va="center", color=colour, annotation_clip=False)


def _mark_stages(axes: Axes, curves: Sequence[CurvePoint]) -> None:
    starts = [0] + [step for step in range(1, len(curves)) if curves[step].stage != curves[step - 1].stage]
    if len(starts) == 1:
        return
    last = -1.0
    for start in starts:
        where = start + 0.5 if start else 1.0
        if start:
            axes.axvline(where, color=MUTED, linewidth=0.8)
        # A name needs room; a stage of a few epochs among many keeps its line and loses its name.
        if (where - last) / max(len(curves), 2) > 0.2 or last < 0:
            place = (where, axes.get_ylim()[1])
            name = short(isolated(curves[start].stage), 16)
            axes.annotate(name, place, xytext=(3, 0), textcoords="offset points", va="top", color=MUTED, fontsize=9)
            last = where


# Counts of classes


def class_counts(counts: dict[str, int], *, name: str, label: str) -> str:
    """How many pictures each class has, most first; named bars, or a ranking where there are too many to name."""
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    if len(ranked) > LABELLED_BARS:
        return _ranking(ranked, name, label)
    with drawing(name, label, height=44 + 17.0 * len(ranked)) as plot:
        axes = plot.axes
        rows = range(len(ranked))
        axes.barh(rows, [count for _, count in ranked], color=ACCENT, height=0.62)
        axes.set_yticks(rows, [isolated(short(each)) for each, _ in ranked])
        axes.invert_yaxis()
        axes.tick_params(length=0, labelcolor=INK)
        axes.set_xlim(0, max(*counts.values(), 1) * 1.12)
        axes.set_xticks([])
        axes.set_xlabel("Pictures")
        axes.spines["bottom"].set_visible(False)
        for row, (_, count) in enumerate(ranked):
            axes.annotate(f"{count:,}", (count, row), xytext=(4, 0), textcoords="offset points", va="center", color=MUTED)
    return plot.svg


def _ranking(ranked: list[tuple[str, int]], name: str, label: str) -> str:
    with drawing(name, label) as plot:
        axes = plot.axes
        _grid(axes)
        axes.bar(range(1, len(ranked) + 1), [count for _, count in ranked], color=ACCENT, width=0.8)
        axes.set_ylim(0, max(ranked[0][1], 1) * 1.15)
        axes.set_xlim(0.4, len(ranked) + 0.6)
        axes.set_xlabel("Class, by rank")
        axes.set_ylabel("Pictures")
        first, last = ranked[0], ranked[-1]
        axes.annotate(f"{isolated(short(first[0]))}: {first[1]:,}", (1, first[1]), xytext=(0, 5), textcoords="offset points")
        clear = ranked[len(ranked) * 2 // 3][1]  # above the bars that the last one's name reaches over
        name_of_last = f"{isolated(short(last[0]))}: {last[1]:,}"
        axes.annotate(name_of_last, (len(ranked) + 0.5, clear), xytext=(0, 5), textcoords="offset points", ha="right")
    return plot.svg


# Reliability


def reliability(report: Evaluation, *, name: str, label: str) -> str:
    """How often the model was right (up) at each confidence (right); the diagonal is where both agree."""
    shown: dict[str, list[ReliabilityBin]] = {
        part: bins for part, bins in sorted(report.reliability.items(), reverse=True) if bins
    }
    largest = max(each.n for part in shown.values() for each in part)
    styles = {"before": (MUTED, "--", PAPER), "after": (ACCENT, "-", ACCENT)}
    with drawing(name, label, height=278) as plot:
        axes = plot.axes
        _unit_square(axes, "Confidence (%)", "Right (%)")
        for order, (part, points) in enumerate(shown.items()):
            colour, dash, fill = styles[part]
            filled = [each for each in points if each.n]
            x, y = [each.confidence * 100 for each in filled], [each.accuracy * 100 for each in filled]
            axes.plot(x, y, color=colour, linestyle=dash)
            sizes = [12 + 110 * each.n / largest for each in filled]  # points squared: area, as n is
            axes.scatter(x, y, s=sizes, facecolors=fill, edgecolors=colour, linewidths=1.4, zorder=3, clip_on=False)
            _key(axes, 0.56, 0.14 - 0.08 * order, f"{part} calibration", colour, dash)
    return plot.svg


def _unit_square(axes: Axes, horizontal: str, vertical: str) -> None:
    _grid(axes, "both")
    axes.plot([0, 100], [0, 100], color=MUTED, linewidth=1.0, linestyle=":")
    axes.set_xlim(0, 100)
    axes.set_ylim(0, 100)
    axes.set_box_aspect(0.8)
    axes.set_xlabel(horizontal)
    axes.set_ylabel(vertical)


def _key(axes: Axes, x: float, y: float, text: str, colour: str, dash: Any) -> None:
    """One line of a key without a box, in shares of the axes: below the diagonal nothing else is drawn."""
    axes.plot([x, x + 0.08], [y, y], color=colour, linestyle=dash, transform=axes.transAxes)
    axes.text(x + 0.1, y, text, transform=axes.transAxes, va="center", fontsize=9.5)


# ROC


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


def roc(report: Evaluation, *, name: str, label: str) -> str:
    """Each class told from the rest; with many classes the hardest few in colour over the others in grey."""
    areas = roc_areas(report)
    few = len(areas) <= LABELLED_ROC_CLASSES
    coloured = list(areas)[: LABELLED_ROC_CLASSES if few else WORST_ROC_CLASSES]
    with drawing(name, label, height=278) as plot:
        axes = plot.axes
        _unit_square(axes, "Others taken for it (%)", "Found (%)")
        for each in list(areas)[len(coloured) :][:60]:  # more grey lines only make a darker smear
            axes.plot(*_curve(report, each), color=LINE, linewidth=1.0)
        for index in reversed(range(len(coloured))):
            axes.plot(*_curve(report, coloured[index]), color=CATEGORIES[index], linestyle=_DASHES[index])
        lines = len(coloured) + (not few)
        for index, each in enumerate(coloured):
            text = f"{areas[each]:.3f}  {isolated(short(each, 15))}"
            _key(axes, 0.5, 0.06 + 0.075 * (lines - 1 - index), text, CATEGORIES[index], _DASHES[index])
        if not few:
            _key(axes, 0.5, 0.06, f"the other {len(areas) - len(coloured)}", LINE, "-")
    return plot.svg


def _curve(report: Evaluation, name: str) -> tuple[list[float], list[float]]:
    points = sorted(report.roc[name])
    return [x * 100 for x, _ in points], [y * 100 for _, y in points]


# Confusion of many classes


def confusion_map(report: Evaluation, *, name: str, label: str) -> str:
    """The confusion matrix as a heat map in one hue: for more classes than numbers can be read of."""
    counts = np.array(report.confusion, dtype=np.float64)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    # One violet that shows on light and dark paper alike; its opacity carries the share, so the paper shines through.
    hue = (0.49, 0.38, 0.78)
    opacity = LinearSegmentedColormap.from_list("share", [(*hue, 0.0), (*hue, 1.0)])
    with drawing(name, label, height=WIDTH) as plot:
        axes = plot.axes
        # The square root lets the small confusions be seen beside the large agreement.
        axes.imshow(np.sqrt(shares), cmap=opacity, vmin=0, vmax=1, interpolation="none", aspect="equal")
        axes.set_xlabel("Answer, by the class’s number")
        axes.set_ylabel("True class, by its number")
        for spine in axes.spines.values():
            spine.set_visible(True)
        ticks = _numbers(len(counts))
        axes.set_xticks([tick - 1 for tick in ticks], [str(tick) for tick in ticks])
        axes.set_yticks([tick - 1 for tick in ticks], [str(tick) for tick in ticks])
    return plot.svg


def _numbers(classes: int) -> list[int]:
    """Class numbers worth a tick: 1 and the round ones."""
    step = next(step for step in (5, 10, 20, 50, 100, 200, 500, 1000, 5000, 100_000) if classes / step <= 10)
    return [1, *range(step, classes + 1, step)]
