"""The rows of the report's tables and the figures of its first page, ready to print."""

import dataclasses
import math
import re
from collections.abc import Iterator
from typing import Any

from eyebright.core.report import ClassFigures, CrossValidation, Figure, Report, Shortcut, Subgroup
from eyebright.render import findings, words
from eyebright.render.page import Range, range_of

NUMBERED_CLASSES = 20  # a matrix of more classes has cells too small for numbers, and becomes a heat map
CHANCE_AUC = 0.5

_HASH = re.compile(r"(?:sha256:)?[0-9a-f]{16,}")


@dataclasses.dataclass(frozen=True)
class Headline:
    """One of the three figures of page one."""

    name: str
    meaning: str
    value: str
    interval: str
    n: int
    range: Range | None
    verdict: findings.Verdict | None


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
    average_precision: str
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


@dataclasses.dataclass(frozen=True)
class CueRow:
    """What one cue alone can do. ``mark`` is ``caution`` or empty; ``word`` says it."""

    cue: str
    score: str
    range: Range | None
    chance: str
    mark: str
    word: str


@dataclasses.dataclass(frozen=True)
class FoldTable:
    """Cross-validation as a table: its columns, a row a fold (its number, n, cells), and the cells of the closing rows."""

    columns: tuple[str, ...]
    folds: tuple[tuple[int, int, tuple[str, ...]], ...]
    mean: tuple[str, ...]
    pooled: tuple[tuple[str, str], ...]
    n: int


@dataclasses.dataclass(frozen=True)
class SubgroupRow:
    """One value of one column. ``first`` says that its column begins with it."""

    column: str
    value: str
    first: bool
    n: int
    accuracy: str
    range: Range | None
    f1: str
    difference: str
    verdict: findings.Verdict | None


def headlines(report: Report) -> list[Headline]:
    """The three figures that tell most: macro ones first where the classes are uneven."""
    even = ("accuracy", "f1_macro", "ece", "balanced_accuracy", "roc_auc_ovr")
    uneven = ("balanced_accuracy", "f1_macro", "accuracy", "ece", "roc_auc_ovr")
    wanted = uneven if findings.imbalanced(report) else even
    names = [name for name in wanted if name in report.figures]
    names += [name for name in report.figures if name not in names]
    return [_headline(report, name) for name in names[:3]]


def _headline(report: Report, name: str) -> Headline:
    figure = report.figures[name]
    baseline = None if words.lower_is_better(name) else findings.best_baseline(report, name)
    mark = baseline[1].value if baseline else CHANCE_AUC if name.startswith("roc_auc") else None
    return Headline(
        name=words.metric_name(name),
        meaning=words.metric_meaning(name),
        value=words.value_text(name, figure),
        interval=words.interval_text(name, figure),
        n=figure.n,
        range=range_of(figure, mark) if words.is_share(name) or name.startswith("roc_auc") else None,
        verdict=findings.calibration(report) if name == "ece" else findings.verdict(report, name),
    )


def class_row(name: str, figures: ClassFigures) -> ClassRow:
    """One class of the table by class."""
    recall = findings.recall_figure(figures)
    return ClassRow(
        name=name,
        n=figures.n,
        recall=words.percent(recall) if figures.recall is not None else words.UNDEFINED,
        range=range_of(recall),
        precision=words.share(figures.precision, figures.n),
        f1=words.share(figures.f1, figures.n),
        roc_auc="" if figures.roc_auc is None else f"{figures.roc_auc:.2f}",
        average_precision="" if figures.average_precision is None else f"{figures.average_precision:.2f}",
        confused_with=figures.most_confused_with or "",
    )


def counts(report: Report) -> list[tuple[str, int, list[int]]]:
    """Class, pictures in all, and pictures in each part; most first."""
    ranked = sorted(report.data.classes.items(), key=lambda item: (-item[1], item[0]))
    return [(name, n, [part.classes.get(name, 0) for part in report.data.parts.values()]) for name, n in ranked]


def matrix(report: Report) -> list[tuple[str, list[Cell], int]]:
    """Row by row: the true class, its cells, its total. Empty where the matrix is drawn as a heat map instead."""
    if not 0 < len(report.confusion) <= NUMBERED_CLASSES:
        return []
    rows = zip(report.classes, report.confusion, strict=True)
    return [
        (name, [Cell(times, shade(times, sum(row)), index == column) for column, times in enumerate(row)], sum(row))
        for index, (name, row) in enumerate(rows)
    ]


def shade(times: int, total: int) -> int:
    """How dark a cell is, 0 to 45: at 45 ink still stands out 4.5:1. The square root lets small confusions be seen."""
    return round(45 * math.sqrt(times / total)) if total else 0


def baseline_columns(report: Report) -> list[str]:
    """What doing without a model is called, a column each."""
    return [words.baseline_name(name) for name in report.baselines]


def figure_rows(report: Report) -> list[FigureRow]:
    """The table of all figures."""
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


def cue_row(shortcut: Shortcut) -> CueRow:
    """One cue of the table of shortcuts."""
    return CueRow(
        cue=shortcut.cue[:1].upper() + shortcut.cue[1:],
        score=words.figure_text("balanced_accuracy", shortcut.score),
        range=range_of(shortcut.score, shortcut.chance),
        chance=findings.chance_text(shortcut),
        mark="caution" if shortcut.suspicious else "",
        word="suspicious" if shortcut.suspicious else "tells little",
    )


def fold_table(found: CrossValidation, *, imbalanced: bool) -> FoldTable:
    """The folds, their mean and spread, and all out-of-fold predictions together with their intervals."""
    wanted = ("balanced_accuracy" if imbalanced else "accuracy", "f1_macro", "log_loss")
    names = [name for name in wanted if name in found.mean and all(name in fold.figures for fold in found.folds)]
    pooled = [found.figures.get(name) for name in names]
    return FoldTable(
        columns=tuple(words.metric_name(name) for name in names),
        folds=tuple(
            (fold.fold, fold.n, tuple(_cell(name, fold.figures[name], fold.n) for name in names)) for fold in found.folds
        ),
        mean=tuple(findings.mean_text(name, found) for name in names),
        pooled=tuple(
            (words.value_text(name, figure), words.interval_text(name, figure)) if figure else ("", "")
            for name, figure in zip(names, pooled, strict=True)
        ),
        n=sum(fold.n for fold in found.folds),
    )


def _cell(name: str, value: float, n: int) -> str:
    return words.value_text(name, Figure(value=value, n=n, method="none"))


def subgroup_rows(rows: list[Subgroup], overall: Figure | None) -> list[SubgroupRow]:
    """The table of subgroups; the mark on each track is the accuracy on all pictures."""
    columns = [None, *(row.column for row in rows)]
    return [_subgroup_row(row, row.column != before, overall) for row, before in zip(rows, columns, strict=False)]


def _subgroup_row(row: Subgroup, first: bool, overall: Figure | None) -> SubgroupRow:
    accuracy, f1 = row.figures.get("accuracy"), row.figures.get("f1_macro")
    return SubgroupRow(
        column=row.column,
        value=row.value,
        first=first,
        n=row.n,
        accuracy=words.figure_text("accuracy", accuracy) if accuracy else "",
        range=range_of(accuracy, overall.value if overall else None) if accuracy else None,
        f1=words.value_text("f1_macro", f1) if f1 else "",
        difference=words.points(row.difference) if row.difference else "",
        verdict=findings.subgroup_verdict(row),
    )
