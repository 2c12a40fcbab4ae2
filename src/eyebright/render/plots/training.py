"""Curves of training: over its epochs, and over ever more pictures."""

import math
from collections.abc import Sequence
from itertools import pairwise

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, NullLocator

from eyebright.core.report import CurvePoint, LearningCurve
from eyebright.render.findings import measured_points
from eyebright.render.plots.style import ACCENT, INK, MUTED, drawing, grid, spread
from eyebright.render.words import isolated, metric_name, short, value_texts

STAGE_LETTERS = 56  # of the stages' small names, as many as fit beside each other over the plot

# Stages that repeat the main training, by how their names begin: what one such stage is, and what many are.
_REPETITIONS = {
    "fold ": ("fold", "folds"),
    "fine-tuning fold ": ("other fold", "other folds"),
    "member ": ("member of the ensemble", "members of the ensemble"),
    "learning curve": ("smaller training set", "smaller training sets"),
}

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


def main_curves(curves: Sequence[CurvePoint]) -> list[CurvePoint]:
    """The curves of the trainings that made the model one after the other, without those that repeat them on other pictures.

    The folds of a cross-validation, the members of an ensemble and the steps of a learning curve run as the main training did;
    in one row with it they would be a saw's teeth. Where every training is one of these, the first stands for them all.
    """
    main = [point for point in curves if not point.stage.startswith(tuple(_REPETITIONS))]
    return main or [point for point in curves if point.stage == curves[0].stage]


def repetitions(curves: Sequence[CurvePoint]) -> list[tuple[int, str, str]]:
    """How many stages ``main_curves`` leaves out, kind by kind: the number, what one is called and what many are."""
    shown = {point.stage for point in main_curves(curves)}
    stages = list(dict.fromkeys(point.stage for point in curves if point.stage not in shown))
    counted = [(sum(stage.startswith(begin) for stage in stages), *names) for begin, names in _REPETITIONS.items()]
    return [kind for kind in counted if kind[0]]


def curve_metrics(curves: Sequence[CurvePoint]) -> list[str]:
    """What the curves measure and is worth a plot, the loss first: learning rates and times are not."""
    seen = {series_name(metric)[0]: None for point in curves for metric in point.metrics}
    worth = [name for name in seen if name == "loss" or name.startswith(("accuracy", "balanced", "f1"))]
    return sorted(worth, key=lambda name: name != "loss")


def curve_series(curves: Sequence[CurvePoint], measure: str) -> dict[str, tuple[list[int], list[float]]]:
    """Part to (steps, values) of one measure; steps count the epochs, from 1, of all stages in a row that have it."""
    series: dict[str, tuple[list[int], list[float]]] = {}
    for step, point in enumerate(_with_measure(curves, measure), start=1):
        for metric, value in point.metrics.items():
            name, part = series_name(metric)
            if name == measure:
                steps, values = series.setdefault(part, ([], []))
                steps.append(step)
                values.append(value)
    return series


def _with_measure(curves: Sequence[CurvePoint], measure: str) -> list[CurvePoint]:
    """The stages in which the measure was taken at all."""
    stages = {point.stage for point in curves if any(series_name(metric)[0] == measure for metric in point.metrics)}
    return [point for point in curves if point.stage in stages]


def training_curves(curves: Sequence[CurvePoint], measure: str, *, name: str, label: str) -> str:
    """One measure over the epochs, stages set apart by hairlines, each line broken there and named at its end."""
    curves, scale = _with_measure(curves, measure), 1.0 if measure == "loss" else 100.0
    series = curve_series(curves, measure)
    with drawing(name, label) as plot:
        axes = plot.axes
        grid(axes)
        top = max(max(values) for _, values in series.values()) * scale
        axes.set_ylim(0, top * 1.12 if measure == "loss" else 104)
        axes.set_xlim(1, max(len(curves), 2))
        axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True, min_n_ticks=2))
        axes.set_xlabel("Epoch")
        axes.set_ylabel("Loss" if measure == "loss" else f"{metric_name(measure)} (%)")
        _draw_series(axes, series, scale, _stage_starts(curves))
        _mark_stages(axes, curves)
    return plot.svg


def _draw_series(axes: Axes, series: dict[str, tuple[list[int], list[float]]], scale: float, starts: Sequence[int]) -> None:
    styles = {"training": (MUTED, "--"), "validation": (ACCENT, "-")}
    right = axes.get_xlim()[1]
    at_edge = [part for part, (steps, _) in series.items() if steps[-1] == right]
    heights = spread([series[part][1][-1] * scale for part in at_edge], axes.get_ylim()[1] * 0.075)
    edge = dict(zip(at_edge, heights, strict=True))
    for part, (steps, values) in series.items():
        colour, dash = styles.get(part, (INK, ":"))
        for before, last in pairwise([*starts, math.inf]):
            rows = [row for row, step in enumerate(steps) if before < step <= last]
            x, y = [steps[row] for row in rows], [values[row] * scale for row in rows]
            axes.plot(x, y, color=colour, linestyle=dash, marker="o" if len(rows) == 1 else "", clip_on=False)
        if part in edge:
            place, offset, side = (right, edge[part]), (6, 0), "left"
        else:  # later stages have no such curve: named above its own end
            place, offset, side = (steps[-1], values[-1] * scale), (-2, 9), "right"
        axes.annotate(
            part, place, xytext=offset, textcoords="offset points", ha=side, va="center", color=colour, annotation_clip=False
        )


def _stage_starts(curves: Sequence[CurvePoint]) -> list[int]:
    """How many epochs lie before each stage."""
    return [0] + [step for step in range(1, len(curves)) if curves[step].stage != curves[step - 1].stage]


def _mark_stages(axes: Axes, curves: Sequence[CurvePoint]) -> None:
    starts = _stage_starts(curves)
    if len(starts) == 1:
        return
    for start, end in pairwise([*starts, len(curves)]):
        where = start + 0.5 if start else 1.0
        if start:
            axes.axvline(where, color=MUTED, linewidth=0.8)
        # A stage of a few epochs among many keeps its line and loses its name.
        letters = int((end - start) / len(curves) * STAGE_LETTERS)
        if letters >= 4:
            name = isolated(short(curves[start].stage, letters))
            place = (where, axes.get_ylim()[1])
            axes.annotate(name, place, xytext=(3, 0), textcoords="offset points", va="top", color=MUTED, fontsize=9)


def learning_curve(curve: LearningCurve, *, name: str, label: str) -> str:
    """Accuracy with its interval over the number of training pictures; each doubling is a step of the same width."""
    points = measured_points(curve)
    x = [point.n for point, _ in points]
    y = [100 * (figure.value or 0.0) for _, figure in points]
    low = [100 * (figure.low if figure.low is not None else figure.value or 0.0) for _, figure in points]
    high = [100 * (figure.high if figure.high is not None else figure.value or 0.0) for _, figure in points]
    with drawing(name, label) as plot:
        axes = plot.axes
        grid(axes)
        axes.vlines(x, low, high, color=ACCENT, linewidth=5, alpha=0.35)
        axes.plot(x, y, color=ACCENT, marker="o", markersize=5)
        texts = value_texts("accuracy", [figure for _, figure in points])
        for text, n, top in zip(texts, x, high, strict=True):
            axes.annotate(text, (n, top), xytext=(0, 4), textcoords="offset points", ha="center", color=INK)
        margin = 0.12 * max(max(high) - min(low), 5.0)
        axes.set_ylim(max(0.0, min(low) - margin), min(104.0, max(high) + 2 * margin))
        axes.yaxis.set_major_locator(MaxNLocator(nbins=5))
        axes.set_xscale("log")
        axes.set_xlim(x[0] / 1.25, x[-1] * 1.25)
        axes.set_xticks(x, [f"{n:,}" for n in x])
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xlabel("Training pictures (logarithmic)")
        axes.set_ylabel("Accuracy (%)")
    return plot.svg
