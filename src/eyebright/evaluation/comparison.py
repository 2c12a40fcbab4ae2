"""Which of two models does better on the same pictures: paired, so that what both find easy or hard cancels."""

import dataclasses
import math
from typing import Literal

import numpy as np

from eyebright.core.decision import Decision
from eyebright.core.errors import DataError
from eyebright.core.predictions import Predictions
from eyebright.core.report import ComparedFigure, Comparison, Figure
from eyebright.evaluation import accuracy, calibration
from eyebright.evaluation.intervals import Values, Weights, estimate, weighted_mean

LOWER_IS_BETTER = ("log_loss", "brier", "ece")
BOUNDS = {"accuracy": (-1.0, 1.0), "balanced_accuracy": (-1.0, 1.0), "f1_macro": (-1.0, 1.0), "ece": (-1.0, 1.0)}
NAMED = 24  # disagreements that are listed
FEW_SHARED = 0.9  # of the larger table; below this the comparison speaks of a part only, and that is said

Judged = tuple[Predictions, Decision]


def compare_tables(first: Judged, second: Judged, *, names: tuple[str, str], seed: int = 0) -> Comparison:
    """The comparison on the pictures that both tables have, matched by key and by the classes' names.

    Differences are the second model's figure minus the first's; whole groups are resampled. Raises ``DataError`` where the
    classes differ, no picture is shared, or a shared picture has two labels.
    """
    (table_a, table_b), warnings = _aligned(first[0], second[0], names)
    right_a, right_b = accuracy.right_answers(table_a), accuracy.right_answers(table_b)
    figures = _compared(
        _rows_judged(table_a, first[1]), _rows_judged(table_b, second[1]), table_a.groups, lower=LOWER_IS_BETTER, seed=seed
    )
    only_a, only_b = int((right_a & ~right_b).sum()), int((~right_a & right_b).sum())
    return Comparison(
        first=names[0],
        second=names[1],
        n=len(table_a),
        groups=len(set(table_a.groups)),
        figures=figures,
        both_right=int((right_a & right_b).sum()),
        only_first=only_a,
        only_second=only_b,
        both_wrong=int((~right_a & ~right_b).sum()),
        p_value=None if table_a.grouped else mcnemar_exact(only_a, only_b),
        recalls=_recalls(table_a, table_b, seed=seed),
        disagreements=[table_a.keys[row] for row in np.flatnonzero(right_a != right_b)[:NAMED]],
        verdict=_verdict(figures["accuracy"], names),
        warnings=warnings,
    )


def mcnemar_exact(only_first: int, only_second: int) -> float:
    """The two-sided p-value of McNemar's test in its exact, binomial form; 1 where the two never disagree.

    McNemar 1947; exact form as in Edwards 1948 and Fagerland, Lydersen and Laake 2013, section 2.2.

    >>> mcnemar_exact(0, 5)  # 2 / 2**5
    0.0625
    """
    n, fewer = only_first + only_second, min(only_first, only_second)
    logs = [math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1) - n * math.log(2) for k in range(fewer + 1)]
    highest = max(logs)
    tail = math.exp(highest) * math.fsum(math.exp(value - highest) for value in logs)
    return min(1.0, round(2 * tail, 12))


def _aligned(
    first: Predictions, second: Predictions, names: tuple[str, str]
) -> tuple[tuple[Predictions, Predictions], list[str]]:
    """Both tables with the shared pictures alone, in one order of rows and classes; and what to say of the rest."""
    if set(first.classes) != set(second.classes):
        strange = sorted(set(first.classes) ^ set(second.classes))
        raise DataError(
            f"{names[0]} and {names[1]} do not have the same classes; only one of them knows {', '.join(strange[:5])}. "
            "Only models of the same classes can be compared."
        )
    first, second = accuracy.labelled(first), _reordered(accuracy.labelled(second), first.classes)
    shared = sorted(set(first.keys) & set(second.keys))
    if not shared:
        raise DataError(
            f"{names[0]} and {names[1]} were measured on different pictures: none is shared. Train both on the same data with "
            "the same --seed, or measure one bundle on the other's pictures with eyebright evaluate."
        )
    tables = _alike_in_groups(_rows_of(first, shared), _rows_of(second, shared))
    if (torn := tables[0].labels != tables[1].labels).any():
        key = shared[int(torn.argmax())]
        raise DataError(f"{key} has one class in {names[0]} and another in {names[1]}; the labels changed between the two.")
    warnings = _warnings(first, second, len(shared), names)
    if first.grouped != second.grouped:
        grouped = names[0] if first.grouped else names[1]
        warnings.append(f"Only {grouped} knows which pictures belong together: its groups are taken for both.")
    return tables, warnings


def _alike_in_groups(first: Predictions, second: Predictions) -> tuple[Predictions, Predictions]:
    """Both tables with the coarser of their groupings: a dependence that one of the runs knew of must not be forgotten."""
    groups = min(first.groups, second.groups, key=lambda groups: len(set(groups)))
    return dataclasses.replace(first, groups=groups), dataclasses.replace(second, groups=groups)


def _reordered(table: Predictions, classes: tuple[str, ...]) -> Predictions:
    place = {name: index for index, name in enumerate(table.classes)}
    order = np.array([place[name] for name in classes])
    return Predictions(
        table.keys, np.argsort(order)[table.labels].astype(np.int64), table.logits[:, order], classes, table.groups
    )


def _rows_of(table: Predictions, keys: list[str]) -> Predictions:
    row_of = {key: row for row, key in enumerate(table.keys)}
    return table.select(np.array([row_of[key] for key in keys]))


def _warnings(first: Predictions, second: Predictions, shared: int, names: tuple[str, str]) -> list[str]:
    most = max(len(first), len(second))
    if shared >= FEW_SHARED * most:
        return []
    return [
        f"Only {shared:,} pictures are shared, of {len(first):,} in {names[0]} and {len(second):,} in {names[1]}: "
        "the comparison speaks of these alone."
    ]


@dataclasses.dataclass(frozen=True)
class _Rows:
    """What does not depend on the weights, one number a picture."""

    labels: np.ndarray
    answers: np.ndarray
    classes: int
    log_losses: np.ndarray
    squared_errors: np.ndarray
    gaps: calibration.Gaps


def _rows_judged(table: Predictions, decision: Decision) -> _Rows:
    return _Rows(
        labels=table.labels,
        answers=accuracy.answers(table),
        classes=len(table.classes),
        log_losses=calibration.log_losses(table, decision),
        squared_errors=calibration.squared_errors(table, decision),
        gaps=calibration.calibration_gaps(table, decision),
    )


def _figures_of(rows: _Rows, weights: Weights) -> dict[str, Values]:
    counts = accuracy.count_answers(rows.labels, rows.answers, rows.classes, weights)
    figures = accuracy.figures(counts)
    return {
        "accuracy": figures["accuracy"],
        "balanced_accuracy": figures["balanced_accuracy"],
        "f1_macro": figures["f1_macro"],
        "log_loss": weighted_mean(rows.log_losses, weights),
        "brier": weighted_mean(rows.squared_errors, weights),
        "ece": calibration.gap_size(rows.gaps, weights),
    }


def _compared(
    first: _Rows,
    second: _Rows,
    groups: tuple[str, ...],
    *,
    lower: tuple[str, ...],
    seed: int,
) -> dict[str, ComparedFigure]:
    def differences(weights: Weights) -> dict[str, Values]:
        before, after = _figures_of(first, weights), _figures_of(second, weights)
        return {name: after[name] - before[name] for name in before}

    once = np.ones(len(groups))
    values = _figures_of(first, once), _figures_of(second, once)
    found = estimate(differences, groups, bounds=BOUNDS, seed=seed)
    return {
        name: ComparedFigure(
            first=float(values[0][name]),
            second=float(values[1][name]),
            difference=figure,
            better=_better(figure, lower_is_better=name in lower),
        )
        for name, figure in found.items()
    }


def _better(difference: Figure, *, lower_is_better: bool) -> Literal["first", "second", "neither"]:
    if difference.low is None or difference.high is None or difference.low <= 0 <= difference.high:
        return "neither"
    return "second" if (difference.low > 0) != lower_is_better else "first"


def _recalls(first: Predictions, second: Predictions, *, seed: int) -> dict[str, ComparedFigure]:
    right_a, right_b = accuracy.right_answers(first), accuracy.right_answers(second)
    found = {}
    for k, name in enumerate(first.classes):
        rows = np.flatnonzero(first.labels == k)
        if not len(rows):
            continue
        change = right_b[rows].astype(np.float64) - right_a[rows].astype(np.float64)
        groups = tuple(first.groups[row] for row in rows)
        difference = _mean_difference(change, groups, seed=seed)
        found[name] = ComparedFigure(
            first=float(right_a[rows].mean()),
            second=float(right_b[rows].mean()),
            difference=difference,
            better=_better(difference, lower_is_better=False),
        )
    return found


def _mean_difference(change: np.ndarray, groups: tuple[str, ...], *, seed: int) -> Figure:
    return estimate(lambda weights: {"mean": weighted_mean(change, weights)}, groups, bounds={"mean": (-1.0, 1.0)}, seed=seed)[
        "mean"
    ]


def _verdict(figure: ComparedFigure, names: tuple[str, str]) -> str:
    difference = figure.difference
    interval = f"{difference.value:+.3f} (95 % interval {difference.low:+.3f} to {difference.high:+.3f})"
    if figure.better == "neither":
        return f"No difference in accuracy is shown: {interval}, and the interval holds zero."
    winner = names[1] if figure.better == "second" else names[0]
    return f"{winner} is right more often: {interval}, {names[1]} minus {names[0]}."
