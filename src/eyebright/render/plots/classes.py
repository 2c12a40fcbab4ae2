"""Plots with a place for each class: how many pictures it has, and what it is taken for."""

import numpy as np
from matplotlib.colors import LinearSegmentedColormap

from eyebright.core.report import Evaluation
from eyebright.render.plots.style import ACCENT, INK, MUTED, WIDTH, drawing, grid
from eyebright.render.words import isolated, short

LABELLED_BARS = 30  # more bars than this are too thin for a name each


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
        grid(axes)
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
