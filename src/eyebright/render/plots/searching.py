"""Plots of a search: what mattered, the score over each setting's values, and how the trials learned."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

from eyebright.core.report import Search, Trial
from eyebright.render.plots.style import ACCENT, INK, MUTED, PAPER, drawing, grid, spread
from eyebright.render.words import isolated, lower_is_better, metric_name, short

KINDS = 6  # numbers of fewer values stand side by side, as words do
FAR = 3.0  # times the middle half's width beyond it: scores further off are set at the edge, so that the rest can be seen
BAND = 0.13  # share of the height for what has no score, by kind
JITTER = 0.22  # of the place between two words, so that equal values do not hide each other
_LOOKS = {"usual": (INK, "--", 1.6), "best": (ACCENT, "-", 2.4)}  # colour, dash and width of the curves that are named
UNSCORED = {"stopped early": "x", "failed": "^"}


def importance_bars(search: Search, *, name: str, label: str) -> str:
    """Each setting's share, the largest first; grey where chance would give as much."""
    items = list(search.importances.items())
    with drawing(name, label, height=50 + 21.0 * len(items)) as plot:
        axes = plot.axes
        rows = range(len(items))
        colours = [ACCENT if each in search.mattered else MUTED for each, _ in items]
        axes.barh(rows, [100 * share for _, share in items], color=colours, height=0.6)
        axes.set_yticks(rows, [isolated(short(each, 20)) for each, _ in items])
        axes.invert_yaxis()
        axes.tick_params(length=0, labelcolor=INK)
        axes.set_xlim(0, max(100 * max(search.importances.values()) * 1.5, 1))
        axes.set_xticks([])
        axes.set_xlabel("Share of the differences (%)")
        axes.spines["bottom"].set_visible(False)
        for row, (each, share) in enumerate(items):
            text = f"{100 * share:.0f} %" + ("" if each in search.mattered else "  may be chance")
            axes.annotate(text, (100 * share, row), xytext=(4, 0), textcoords="offset points", va="center", color=MUTED)
    return plot.svg


def score_by_value(search: Search, setting: str, *, name: str, label: str) -> str:
    """The score of each trial over its value of ``setting``; on the bad side, row by row, the trials that have no score."""
    tried = [trial for trial in search.trials if trial.values.get(setting) is not None]
    with drawing(name, label, height=226) as plot:
        axes = plot.axes
        grid(axes)
        place = _by_size(axes, search, setting, tried) or _by_kind(axes, search, setting, tried)
        bounds = _bounds([trial.score for trial in tried if trial.score is not None])
        for trial in tried:
            if trial.score is not None:
                _mark(axes, search, trial, place[trial.number], min(max(trial.score, bounds[0]), bounds[1]))
        _mark_unscored(axes, search, tried, place, bounds)
        axes.yaxis.set_major_locator(MaxNLocator(nbins=4))
        axes.set_xlabel(isolated(short(setting, 30)))
        axes.set_ylabel(metric_name(search.metric))
    return plot.svg


def _by_size(axes: Axes, search: Search, setting: str, trials: list[Trial]) -> dict[int, float]:
    """Trial to the place of its value on an axis of numbers, which is set up for it; empty where the values are a few kinds."""
    values = {trial.number: trial.values[setting] for trial in trials}
    numbers = {number: float(value) for number, value in values.items() if type(value) in (int, float) and value is not None}
    logarithmic = setting in search.logarithmic
    above = [value for value in numbers.values() if value > 0]
    if len(numbers) < len(values) or len(set(above)) < (2 if logarithmic else KINDS):
        return {}
    if not logarithmic:
        low, high = min(numbers.values()), max(numbers.values())
        axes.xaxis.set_major_locator(MaxNLocator(nbins=5))
        axes.set_xlim(low - 0.06 * (high - low), high + 0.06 * (high - low))
        return numbers
    margin = (max(above) / min(above)) ** 0.08
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    # A usual value of 0 has no logarithm: it stands at the left edge.
    edge = min(above) / margin
    axes.set_xlim(edge / (margin if len(above) < len(numbers) else 1), max(above) * margin)
    return {number: value if value > 0 else edge for number, value in numbers.items()}


def _by_kind(axes: Axes, search: Search, setting: str, trials: list[Trial]) -> dict[int, float]:
    """Trial to a place above the name of its value; numbers stand by their size, words as they were given to the search."""
    said = {trial.number: _said(trial.values[setting]) for trial in trials}
    given = search.space[setting].split(", ")
    numbers = {_said(value): value for trial in trials if type(value := trial.values[setting]) in (int, float)}
    kinds = sorted(
        set(said.values()),
        key=lambda kind: (numbers.get(kind, 0), kind not in given, given.index(kind) if kind in given else 0),
    )
    axes.set_xticks(range(len(kinds)), [isolated(short(kind, 9)) for kind in kinds])
    axes.set_xlim(-0.5, max(len(kinds), 1) - 0.5)
    # The golden ratio spreads any number of trials evenly, and the same on every page.
    return {number: kinds.index(kind) + JITTER * (2 * (number * 0.618034 % 1) - 1) for number, kind in said.items()}


def _said(value: object) -> str:
    return ("on" if value else "off") if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)


def _bounds(scores: list[float]) -> tuple[float, float]:
    """The lowest and highest score that is shown in its place."""
    if not scores:
        return 0.0, 1.0
    first, third = np.percentile(scores, [25, 75])
    reach = FAR * max(float(third - first), 1e-9)
    return max(min(scores), float(first) - reach), min(max(scores), float(third) + reach)


def _mark(axes: Axes, search: Search, trial: Trial, x: float, y: float) -> None:
    if trial.number == search.best:
        axes.plot([x], [y], marker="o", markersize=9, color=ACCENT, zorder=4)
        axes.annotate("best", (x, y), xytext=(0, 8), textcoords="offset points", ha="center", color=ACCENT, fontsize=9.5)
    elif trial.number == 0:
        axes.plot([x], [y], marker="s", markersize=7, markerfacecolor=PAPER, markeredgecolor=INK, linestyle="", zorder=3)
        axes.annotate("usual", (x, y), xytext=(0, 7), textcoords="offset points", ha="center", color=INK, fontsize=9.5)
    else:
        axes.plot([x], [y], marker="o", markersize=5, color=MUTED, linestyle="")


def _mark_unscored(
    axes: Axes, search: Search, trials: list[Trial], place: dict[int, float], bounds: tuple[float, float]
) -> None:
    """Rows on the bad side of the scores, one for each kind of end, named at its left."""
    sign = 1.0 if lower_is_better(search.metric) else -1.0
    height = (bounds[1] - bounds[0]) or max(abs(bounds[1]) * 0.1, 1e-3)
    row = bounds[1] if sign > 0 else bounds[0]
    for state, marker in UNSCORED.items():
        places = [place[trial.number] for trial in trials if trial.state == state]
        if places:
            row += sign * 2 * BAND * height
            axes.plot(places, [row] * len(places), marker=marker, markersize=5, color=MUTED, linestyle="")
            # The axis is in the data's units upwards and in its own width sidewards.
            axes.text(
                0.01,
                row + BAND * height * 0.9,
                state,
                transform=axes.get_yaxis_transform(),
                va="center",
                color=MUTED,
                fontsize=9,
            )
    edges = sorted((row, bounds[0] if sign > 0 else bounds[1]))
    axes.set_ylim(edges[0] - 0.14 * height, edges[1] + (0.22 if sign < 0 or row == bounds[1] else 0.3) * height)


def curves_of_trials(search: Search, *, name: str, label: str) -> str:
    """The validation loss of each trial over its epochs: grey, the usual settings dashed, the best in the accent."""
    trials = [trial for trial in search.trials if trial.curve]
    losses = np.array([loss for trial in trials for loss in trial.curve])
    with drawing(name, label, height=278) as plot:
        axes = plot.axes
        grid(axes)
        top = float(min(losses.max(), 1.25 * np.percentile(losses, 90)))
        axes.set_ylim(0, top * 1.05)
        axes.set_xlim(1, max(2, *(len(trial.curve) for trial in trials)))
        axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True, min_n_ticks=2))
        axes.set_xlabel("Epoch")
        axes.set_ylabel("Validation loss")
        for trial in sorted(trials, key=lambda trial: (trial.number == search.best, trial.number == 0)):
            _curve(axes, search, trial, top)
        _name_ends(axes, search, trials, top)
    return plot.svg


def _curve(axes: Axes, search: Search, trial: Trial, top: float) -> None:
    colour, dash, width = _LOOKS.get(_role(search, trial), (MUTED, "-", 0.7))
    epochs = range(1, len(trial.curve) + 1)
    axes.plot(epochs, trial.curve, color=colour, linestyle=dash, linewidth=width, marker="o" if len(epochs) == 1 else "")
    if trial.state == "stopped early" and trial.curve[-1] <= top:
        axes.plot([epochs[-1]], [trial.curve[-1]], marker="x", markersize=5, color=MUTED, linestyle="")


def _name_ends(axes: Axes, search: Search, trials: list[Trial], top: float) -> None:
    named = [trial for trial in trials if _role(search, trial) and trial.curve[-1] <= top]
    heights = spread([trial.curve[-1] for trial in named], top * 0.07)
    for trial, height in zip(named, heights, strict=True):
        role = _role(search, trial)
        axes.annotate(
            role,
            (len(trial.curve), height),
            xytext=(5, 0),
            textcoords="offset points",
            va="center",
            color=_LOOKS[role][0],
            annotation_clip=False,
        )


def _role(search: Search, trial: Trial) -> str:
    return "best" if trial.number == search.best else "usual" if trial.number == 0 else ""
