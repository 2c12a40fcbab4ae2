"""The report as one HTML file that asks for nothing from anywhere: no script, no font, no picture but its own."""

import dataclasses
import math
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from eyebright.core.report import ClassFigures, Figure, Report
from eyebright.render import plots, words

NUMBERED_CLASSES = 20  # a matrix of more classes has cells too small for numbers, and becomes a heat map
TOP_CONFUSIONS = 12
SHOWN_UNREADABLE = 20
CHANCE_AUC = 0.5

# Bitmaps alone: an SVG could hold anything, and thumbnails are re-encoded before they come here.
_THUMBNAIL = re.compile(r"data:image/(?:png|jpeg|webp);base64,[A-Za-z0-9+/]+={0,2}")
_HASH = re.compile(r"(?:sha256:)?[0-9a-f]{16,}")


@dataclasses.dataclass(frozen=True)
class Range:
    """A share and its interval on a track from 0 to 100, all in per cent; ``mark`` is what it is compared with."""

    value: float
    low: float
    high: float
    mark: float | None = None


@dataclasses.dataclass(frozen=True)
class Headline:
    """One of the three figures of page one."""

    name: str
    meaning: str
    value: str
    interval: str
    n: int
    range: Range | None
    verdict: words.Verdict | None


@dataclasses.dataclass(frozen=True)
class Plot:
    """A drawing with the finding as its title, and a caption that tells how to read it."""

    name: str
    title: str
    svg: Markup
    caption: str


@dataclasses.dataclass(frozen=True)
class ClassRow:
    """One class of the table by class; every field is ready to print but the range."""

    name: str
    n: int
    recall: str
    range: Range | None
    precision: str
    f1: str
    roc_auc: str
    confused_with: str


@dataclasses.dataclass(frozen=True)
class FigureRow:
    """One figure of the table of all figures."""

    name: str
    value: str
    interval: str
    n: int
    method: str
    others: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Cell:
    """One cell of the confusion matrix; ``shade`` is how much accent its paper takes, in per cent."""

    times: int
    shade: int
    right: bool


def render_report(report: Report) -> str:
    """The whole report as one HTML page; equal reports give equal pages. Every name in it is escaped."""
    report = words.cleaned(report)
    page = _environment().get_template("report.html.j2").render(_context(report))
    # A value and its per cent sign never part at the end of a line.
    return page.replace(" %", "\u00a0%")


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates", encoding="utf-8"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["words"] = words
    environment.filters["thumbnail"] = safe_thumbnail
    return environment


def _context(report: Report) -> dict[str, Any]:
    return {
        "report": report,
        "imbalanced": words.imbalanced(report),
        "headlines": headlines(report),
        "cautions": list(dict.fromkeys([*report.cautions, *report.warnings])),
        "class_rows": [_class_row(name, figures) for name, figures in words.by_recall(report)],
        "counts": _counts(report),
        "matrix": _matrix(report),
        "top_confusions": words.confusions(report)[:TOP_CONFUSIONS],
        "figure_columns": [*_baseline_columns(report), *(["without leaks"] if report.without_leaks else [])],
        "figure_rows": _figure_rows(report),
        "provenance": list(flattened(report.provenance)),
        "created": report.created.replace("T", " ").replace("+00:00", "Z").replace("Z", " UTC"),
        "unreadable": list(report.data.unreadable.items())[:SHOWN_UNREADABLE],
        "balance_plot": _balance_plot(report),
        "curve_plots": list(_curve_plots(report)),
        "confusion_plot": _confusion_plot(report),
        "roc_plot": _roc_plot(report),
        "reliability_plot": _reliability_plot(report),
    }


def safe_thumbnail(uri: str | None) -> str:
    """The data URI where it is a bitmap, and nothing where it is anything else."""
    return uri if uri and _THUMBNAIL.fullmatch(uri) else ""


# Page one


def headlines(report: Report) -> list[Headline]:
    """The three figures that tell most: macro ones first where the classes are uneven."""
    even = ("accuracy", "f1_macro", "ece", "balanced_accuracy", "roc_auc_macro")
    uneven = ("balanced_accuracy", "f1_macro", "accuracy", "ece", "roc_auc_macro")
    wanted = uneven if words.imbalanced(report) else even
    names = [name for name in wanted if name in report.figures]
    names += [name for name in report.figures if name not in names]
    return [_headline(report, name) for name in names[:3]]


def _headline(report: Report, name: str) -> Headline:
    figure = report.figures[name]
    baseline = None if words.lower_is_better(name) else words.best_baseline(report, name)
    mark = baseline[1].value if baseline else CHANCE_AUC if name.startswith("roc_auc") else None
    return Headline(
        name=words.metric_name(name),
        meaning=words.metric_meaning(name),
        value=words.value_text(name, figure),
        interval=words.interval_text(name, figure),
        n=figure.n,
        range=_range(figure, mark) if words.is_share(name) or name.startswith("roc_auc") else None,
        verdict=_calibration_verdict(report) if name == "ece" else words.verdict(report, name),
    )


def _calibration_verdict(report: Report) -> words.Verdict | None:
    if not any(report.reliability.values()):
        return None
    finding = words.calibration_finding(report)
    return words.Verdict("good" if "as often as it says" in finding else "caution", finding[:1].lower() + finding[1:])


def _range(figure: Figure, mark: float | None = None) -> Range | None:
    if figure.value is None:
        return None
    low = figure.value if figure.low is None else figure.low
    high = figure.value if figure.high is None else figure.high
    value, low, high = (round(min(max(share, 0.0), 1.0) * 100, 2) for share in (figure.value, low, high))
    return Range(value, low, high, None if mark is None else round(mark * 100, 2))


# Tables


def _class_row(name: str, figures: ClassFigures) -> ClassRow:
    recall = words.recall_figure(figures)
    return ClassRow(
        name=name,
        n=figures.n,
        recall=words.percent(recall) if figures.recall is not None else words.UNDEFINED,
        range=_range(recall),
        precision=words.share(figures.precision, figures.n),
        f1=words.share(figures.f1, figures.n),
        roc_auc="" if figures.roc_auc is None else f"{figures.roc_auc:.2f}",
        confused_with=figures.most_confused_with or "",
    )


def _counts(report: Report) -> list[tuple[str, int, list[int]]]:
    """Class, pictures in all, and pictures in each part; most first."""
    ranked = sorted(report.data.classes.items(), key=lambda item: (-item[1], item[0]))
    return [(name, n, [part.classes.get(name, 0) for part in report.data.parts.values()]) for name, n in ranked]


def _matrix(report: Report) -> list[tuple[str, list[Cell], int]]:
    """Row by row: the true class, its cells, its total. Empty where the matrix is drawn as a heat map instead."""
    if not 0 < len(report.confusion) <= NUMBERED_CLASSES:
        return []
    rows = zip(report.classes, report.confusion, strict=True)
    return [
        (name, [Cell(times, _shade(times, sum(row)), index == column) for column, times in enumerate(row)], sum(row))
        for index, (name, row) in enumerate(rows)
    ]


def _shade(times: int, total: int) -> int:
    """How dark a cell is, 0 to 45: at 45 ink still stands out 4.5:1. The square root lets small confusions be seen."""
    return round(45 * math.sqrt(times / total)) if total else 0


def _baseline_columns(report: Report) -> list[str]:
    return [words.baseline_name(name) for name in report.baselines]


def _figure_rows(report: Report) -> list[FigureRow]:
    compared = [*report.baselines.values(), *([report.without_leaks] if report.without_leaks else [])]
    return [
        FigureRow(
            name=words.metric_name(name),
            value=words.value_text(name, figure),
            interval=words.interval_text(name, figure),
            n=figure.n,
            method=words.method_name(figure.method),
            others=tuple(words.value_text(name, other[name]) if name in other else "" for other in compared),
        )
        for name, figure in report.figures.items()
    ]


def flattened(tree: dict[str, Any], stem: str = "") -> Iterator[tuple[str, str, bool]]:
    """Name, value and whether it is a hash, for every leaf of the provenance; nested names are joined by a space."""
    for key, value in tree.items():
        name = f"{stem} {key}".strip().replace("_", " ")
        if isinstance(value, dict):
            yield from flattened(value, name)
        elif value not in (None, "", [], ()):
            text = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
            yield name, text, bool(_HASH.fullmatch(text))


# Plots


def _balance_plot(report: Report) -> Plot | None:
    if len(report.data.classes) < 2:
        return None
    title = words.balance_finding(report)
    caption = "How many pictures each class has, in all parts together."
    return Plot("balance", title, Markup(plots.class_counts(report.data.classes, name="balance", label=title)), caption)


def _curve_plots(report: Report) -> Iterator[Plot]:
    curves = report.training.curves if report.training else []
    for index, measure in enumerate(plots.curve_metrics(curves)):
        series = plots.curve_series(curves, measure)
        if max(len(steps) for steps, _ in series.values()) < 2:
            continue
        name, title = f"curve{index}", _curve_finding(measure, series)
        svg = plots.training_curves(curves, measure, name=name, label=title)
        caption = "Low is good." if measure == "loss" else "High is good."
        if len(series) > 1:
            caption += " Where training goes on and validation does not follow, the model learns its pictures by heart."
        yield Plot(name, title, Markup(svg), caption)


def _curve_finding(measure: str, series: dict[str, tuple[list[int], list[float]]]) -> str:
    part = "validation" if "validation" in series else next(iter(series))
    steps, values = series[part]
    best = (min if measure == "loss" else max)(range(len(values)), key=values.__getitem__)
    word, value = words.metric_name(measure), values[best]
    shown = f"{value:.2f}" if measure == "loss" else f"{value * 100:.0f} %"
    subject = f"{part.capitalize()} {word if word.isupper() or word[-1].isdigit() else word.lower()}"
    return f"{subject} was best in epoch {steps[best]}: {shown}"


def _confusion_plot(report: Report) -> Plot | None:
    if len(report.confusion) <= NUMBERED_CLASSES:
        return None
    title = words.confusion_finding(report)
    caption = (
        "Row: the true class; column: the answer; numbered as the bundle lists them. The darker a cell, the more "
        "of its row it holds (the shade grows with the square root). Off the diagonal are mistakes."
    )
    return Plot("confusion", title, Markup(plots.confusion_map(report, name="confusion", label=title)), caption)


def _roc_plot(report: Report) -> Plot | None:
    areas = plots.roc_areas(report)
    if not areas:
        return None
    hardest = next(iter(areas))
    title = f"{words.capital(hardest)} is hardest to tell from the rest (AUC {areas[hardest]:.2f})"
    if len(areas) <= plots.LABELLED_ROC_CLASSES:
        which = "One line a class; the figure is the area under it."
    else:
        which = f"In colour the {plots.WORST_ROC_CLASSES} hardest classes with the area under each line; the others are grey."
    caption = f"{which} The nearer to the upper left corner, the better; the dotted diagonal is guessing."
    return Plot("roc", title, Markup(plots.roc(report, name="roc", label=title)), caption)


def _reliability_plot(report: Report) -> Plot | None:
    if not any(each.n for bins in report.reliability.values() for each in bins):
        return None
    title = words.calibration_finding(report)
    caption = (
        "Each point is a group of pictures with like confidence; larger points hold more. On the dotted diagonal the model "
        f"is right as often as it says, below it less often. {words.calibration_sentence(report)}"
    )
    return Plot("reliability", title, Markup(plots.reliability(report, name="reliability", label=title)), caption)
