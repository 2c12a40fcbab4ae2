"""The whole judgement of one table of predictions: every figure with its n and interval, beside what a guess would score."""

import math
from collections.abc import Callable, Mapping

import numpy as np

from eyebright.core.decision import Decision
from eyebright.core.predictions import Predictions
from eyebright.core.report import ClassFigures, Evaluation, Figure, Mistake
from eyebright.evaluation import accuracy, calibration, curves
from eyebright.evaluation.intervals import REPEATS, Statistics, Values, Weights, estimate, share, weighted_mean

TOP = 5  # ImageNet's convention (Russakovsky et al. 2015); meaningless for fewer classes
MISTAKES = 24  # a page of thumbnails
FEW_PICTURES = 100  # at 90 % accuracy, Wilson's interval for 100 is 12 points wide
MOSTLY_ALONE = 0.95  # with more groups than that for each picture there is nothing to say: some copies are everywhere
FEW_GROUPS = 20  # below this the cluster bootstrap is known to be too narrow (Cameron, Gelbach and Miller 2008)
RANKED_CELLS = 10**8  # pictures x classes x replicates: the ROC-AUC's resamples cost about a second
FEWEST_REPEATS = 200  # Efron and Tibshirani 1993, section 6.4: enough for a spread, and for rough tails
CURVE_POINTS = 10_000  # of all classes together: keeps a report of many classes small
MOST_NAMES = 5  # named in a warning

LEAK_FREE = ("accuracy", "balanced_accuracy", "f1_macro")
SHARES = dict.fromkeys(
    (
        *("accuracy", "balanced_accuracy", "top_5_accuracy", "roc_auc_ovr", "ece", "ece_before"),
        *(f"{name}_{average}" for name in ("precision", "recall", "f1") for average in ("macro", "weighted")),
    ),
    (0.0, 1.0),
)


def judge(
    predictions: Predictions,
    decision: Decision,
    *,
    part: str,
    leaked: frozenset[str] = frozenset(),
    majority: int | None = None,
    views: tuple[str, ...] = ("identity",),
    views_below: float | None = None,
    seed: int = 0,
) -> Evaluation:
    """The evaluation of ``part``: figures, classes, curves, baselines, mistakes and what to be wary of.

    ``leaked`` are keys of pictures that training saw too: the figures are given with and without them. ``majority`` is the
    most frequent class in training; by default this table's own. Probabilities are the decision's, ``ece_before`` apart.
    Rows without a label are left out, with a warning. Raises ``DataError`` where none has one, ``ModelError`` where a logit is
    not finite.
    """
    table = accuracy.labelled(predictions)
    calibration.check_logits(table)
    spared = np.array([key not in leaked for key in table.keys])
    return Evaluation(
        part=part,
        n=len(table),
        figures=_figures(table, decision, seed=seed),
        classes=_class_figures(table, decision),
        confusion=accuracy.confusion_matrix(table).tolist(),
        roc=_curves(table, decision, curves.roc_curve),
        precision_recall=_curves(table, decision, curves.precision_recall_curve),
        reliability={
            "before": calibration.reliability_bins(table, Decision()),
            "after": calibration.reliability_bins(table, decision),
        },
        baselines={"majority": _majority(table, majority, seed=seed), "random": _random(table)},
        without_leaks=None if spared.all() else _without_leaks(table, spared, seed=seed),
        leaked=int((~spared).sum()),
        mistakes=_mistakes(table, decision),
        views=views,
        views_below=views_below,
        temperature=decision.temperature,
        warnings=_warnings(predictions, table, part, leaked=int((~spared).sum())),
    )


def _figures(table: Predictions, decision: Decision, *, seed: int) -> dict[str, Figure]:
    figures = estimate(_statistics(table, decision), table.groups, bounds=SHARES, seed=seed)
    figures["accuracy"] = share(accuracy.right_answers(table), table.groups)
    if len(table.classes) > TOP:
        figures["top_5_accuracy"] = share(accuracy.right_in_top(table, TOP), table.groups)
    return figures | _ranking_figures(table, decision, seed=seed)


def _statistics(table: Predictions, decision: Decision) -> Statistics:
    """All figures but the ranking's, as one function of weights; what does not depend on the weights is computed once."""
    log_losses = calibration.log_losses(table, decision)
    squared_errors = calibration.squared_errors(table, decision)
    gaps = calibration.calibration_gaps(table, decision)
    gaps_before = calibration.calibration_gaps(table, Decision())

    def statistics(weights: Weights) -> Mapping[str, Values]:
        return {
            **accuracy.figures(accuracy.count(table, weights)),
            "log_loss": weighted_mean(log_losses, weights),
            "brier": weighted_mean(squared_errors, weights),
            "ece": calibration.gap_size(gaps, weights),
            "ece_before": calibration.gap_size(gaps_before, weights),
        }

    return statistics


def _ranking_figures(table: Predictions, decision: Decision, *, seed: int) -> dict[str, Figure]:
    """The ROC-AUC, on as many resamples as a second allows: from 200 for large tables to 1,000."""
    rankings = curves.class_rankings(table, decision)
    affordable = RANKED_CELLS // table.logits.size
    return estimate(
        lambda weights: {"roc_auc_ovr": curves.mean_area(rankings, weights)},
        table.groups,
        bounds=SHARES,
        repeats=min(REPEATS, max(FEWEST_REPEATS, affordable)),
        seed=seed,
    )


def _class_figures(table: Predictions, decision: Decision) -> dict[str, ClassFigures]:
    counts = accuracy.count(table)
    precisions, recalls, f1s = accuracy.precision(counts), accuracy.recall(counts), accuracy.f1(counts)
    probabilities = decision.probabilities(table.logits)
    confusion = accuracy.confusion_matrix(table)
    right = accuracy.right_answers(table)
    figures = {}
    for k, name in enumerate(table.classes):
        rows = np.flatnonzero(table.labels == k)
        interval = share(right[rows], tuple(table.groups[row] for row in rows))
        figures[name] = ClassFigures(
            precision=_number(precisions[k]),
            recall=_number(recalls[k]),
            f1=_number(f1s[k]),
            n=len(rows),
            recall_low=interval.low,
            recall_high=interval.high,
            roc_auc=_number(curves.roc_auc(probabilities[:, k], table.labels == k)),
            average_precision=curves.average_precision(probabilities[:, k], table.labels == k),
            most_confused_with=_most_confused_with(table.classes, confusion[k], k),
        )
    return figures


def _number(value: np.ndarray | float) -> float | None:
    return None if math.isnan(value) else float(value)


def _most_confused_with(classes: tuple[str, ...], row: np.ndarray, k: int) -> str | None:
    errors = np.where(np.arange(len(classes)) == k, 0, row)
    return classes[int(errors.argmax())] if errors.any() else None


def _curves(
    table: Predictions, decision: Decision, curve_of: Callable[..., curves.Points]
) -> dict[str, list[tuple[float, float]]]:
    """Each class's curve to five digits, where it has one."""
    probabilities = decision.probabilities(table.logits)
    points = min(curves.ROC_POINTS, max(20, CURVE_POINTS // len(table.classes)))
    found = {}
    for k, name in enumerate(table.classes):
        curve = curve_of(probabilities[:, k], table.labels == k, points=points)
        if len(curve):
            found[name] = [(round(float(x), 5), round(float(y), 5)) for x, y in curve]
    return found


def _majority(table: Predictions, majority: int | None, *, seed: int) -> dict[str, Figure]:
    """Always the most frequent class, with this part's class shares for probabilities (scikit-learn's "prior" dummy)."""
    shares = np.bincount(table.labels, minlength=len(table.classes)) / len(table)
    chosen = int(shares.argmax()) if majority is None else majority
    answered = np.full_like(table.labels, chosen)
    log_losses = -np.log(shares[table.labels])

    def statistics(weights: Weights) -> Mapping[str, Values]:
        counts = accuracy.count_answers(table.labels, answered, len(table.classes), weights)
        return {
            "balanced_accuracy": accuracy.balanced_accuracy(counts),
            "f1_macro": accuracy.figures(counts)["f1_macro"],
            "log_loss": weighted_mean(log_losses, weights),
        }

    return {
        "accuracy": share(table.labels == chosen, table.groups),
        # Without a bound for balanced accuracy: 1 / classes is exact, not a figure of which resamples show too little.
        **estimate(statistics, table.groups, bounds={"f1_macro": (0.0, 1.0)}, seed=seed),
    }


def _random(table: Predictions) -> dict[str, Figure]:
    """A uniform guess, in expectation; it has no interval because it is known.

    Of K classes it hits each picture with 1/K. A class with n_k of n pictures is guessed n/K times, n_k/K of them rightly: its
    F1 is 2 (n_k/K) / (n_k + n/K), a ratio of expectations.
    """
    classes, n = len(table.classes), len(table)
    counts = np.bincount(table.labels, minlength=classes)
    f1 = 2 * (counts / classes) / (counts + n / classes)
    expected = {
        "accuracy": 1 / classes,
        "balanced_accuracy": 1 / classes,
        "f1_macro": float(f1.mean()),
        "log_loss": math.log(classes),
    }
    return {name: Figure(value=value, n=n, method="none") for name, value in expected.items()}


def _without_leaks(table: Predictions, spared: np.ndarray, *, seed: int) -> dict[str, Figure]:
    if not spared.any():
        return {name: Figure(value=None, n=0, method="none") for name in LEAK_FREE}
    clean = table.select(spared)

    def statistics(weights: Weights) -> Mapping[str, Values]:
        figures = accuracy.figures(accuracy.count(clean, weights))
        return {name: figures[name] for name in LEAK_FREE}

    figures = estimate(statistics, clean.groups, bounds=SHARES, seed=seed)
    return figures | {"accuracy": share(accuracy.right_answers(clean), clean.groups)}


def _mistakes(table: Predictions, decision: Decision) -> list[Mistake]:
    """The wrong answers of which the model was most sure; among equals by key, so that the order of rows does not matter."""
    wrong = np.flatnonzero(~accuracy.right_answers(table))
    probabilities = decision.probabilities(table.logits[wrong]).max(axis=1) if len(wrong) else np.zeros(0)
    answered = accuracy.answers(table)
    surest = sorted(range(len(wrong)), key=lambda place: (-probabilities[place], table.keys[wrong[place]]))[:MISTAKES]
    return [
        Mistake(
            key=table.keys[wrong[place]],
            label=table.classes[table.labels[wrong[place]]],
            predicted=table.classes[answered[wrong[place]]],
            probability=float(probabilities[place]),
        )
        for place in surest
    ]


def _warnings(predictions: Predictions, table: Predictions, part: str, *, leaked: int) -> list[str]:
    n, groups = len(table), len(set(table.groups))
    occurring = set(table.labels.tolist())
    absent = [name for k, name in enumerate(table.classes) if k not in occurring]
    warnings = []
    if dropped := len(predictions) - n:
        warnings.append(f"{_pictures(dropped)} without a known label: left out.")
    if n < FEW_PICTURES:
        warnings.append(f"Only {_pictures(n)}: the intervals are wide.")
    if absent:
        warnings.append(f"No picture of {_some(absent)} in the {part} part: nothing is known about these classes.")
    if groups <= MOSTLY_ALONE * n:
        warnings.append(f"The {_pictures(n)} come in {groups} groups and are not independent: the intervals allow for it.")
    if table.grouped and groups < FEW_GROUPS:
        warnings.append(f"With fewer than {FEW_GROUPS} groups the intervals are too narrow: trust them less.")
    if leaked == n:
        warnings.append(f"All {_pictures(n)} leaked into training: no figure here says how the model does on new ones.")
    elif leaked:
        warnings.append(f"{_pictures(leaked)} leaked into training: look at the figures without them.")
    return warnings


def _pictures(number: int) -> str:
    return "1 picture" if number == 1 else f"{number:,} pictures"


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:MOST_NAMES])
    return shown if len(names) <= MOST_NAMES else f"{shown} and {len(names) - MOST_NAMES} more classes"
