"""How well the scores rank: ROC curves and the areas under them, one class against the rest."""

import dataclasses

import numpy as np
from jaxtyping import Bool, Float, Float64, Int64

from eyebright.core.decision import Decision
from eyebright.core.predictions import Predictions
from eyebright.evaluation.intervals import Values, Weights

ROC_POINTS = 200  # finer than a screen shows

Scores = Float[np.ndarray, "n"]
Positives = Bool[np.ndarray, "n"]
Points = Float64[np.ndarray, "points 2"]


@dataclasses.dataclass(frozen=True)
class Ranking:
    """The order of the scores, cut where positives lie: all that the area needs, under any weights.

    Ascending scores fall into runs: one run for each score that a positive has, one for the negatives between two of those.
    """

    order: Int64[np.ndarray, "n"]
    starts: Int64[np.ndarray, "runs"]
    positives: Int64[np.ndarray, "positives"]
    positive_runs: Int64[np.ndarray, "positives"]


def rank(scores: Scores, positives: Positives) -> Ranking:
    """Sorts once, so that a thousand resamples need not."""
    order = np.argsort(scores, kind="stable")
    _, starts, lengths = np.unique(scores[order], return_index=True, return_counts=True)
    holds_positive = np.add.reduceat(positives[order].astype(np.int64), starts) > 0 if len(starts) else np.zeros(0, bool)
    begins = holds_positive.copy()
    begins[1:] |= holds_positive[:-1]
    begins[:1] = True
    run_of_row = np.repeat(np.cumsum(begins) - 1, lengths)  # distinct scores -> n
    at = np.flatnonzero(positives[order])
    return Ranking(order=order, starts=starts[begins], positives=order[at], positive_runs=run_of_row[at])


def ranked_area(ranking: Ranking, weights: Weights) -> Values:
    """The area under the ROC curve; nan where the weights leave no positive or no negative.

    The share of pairs, one positive and one negative, in which the positive has the higher score; a tie counts half (Hanley
    and McNeil 1982).
    """
    if not len(ranking.positives) or len(ranking.positives) == len(ranking.order):
        return np.full(weights.shape[1:], np.nan)
    everyone = np.add.reduceat(weights[ranking.order], ranking.starts, axis=0).astype(np.float64)  # n -> runs
    positive = np.zeros_like(everyone)
    runs, first = np.unique(ranking.positive_runs, return_index=True)
    positive[runs] = np.add.reduceat(weights[ranking.positives], first, axis=0)
    negative = everyone - positive
    below = np.cumsum(negative, axis=0) - negative
    won = (positive * (below + negative / 2)).sum(axis=0)
    pairs = positive.sum(axis=0) * negative.sum(axis=0)
    return np.asarray(np.divide(won, pairs, out=np.full(np.shape(pairs), np.nan), where=pairs > 0))


def roc_auc(scores: Scores, positives: Positives, weights: Weights | None = None) -> Values:
    """The area under the ROC curve of one class against the rest; nan where there is no positive or no negative.

    >>> float(roc_auc(np.array([0.1, 0.4, 0.35, 0.8]), np.array([False, False, True, True])))
    0.75
    """
    return ranked_area(rank(scores, positives), np.ones(len(scores)) if weights is None else weights)


def class_rankings(predictions: Predictions, decision: Decision) -> list[Ranking]:
    """The ranking of all pictures by each class's probability."""
    probabilities = decision.probabilities(predictions.logits)
    return [rank(probabilities[:, k], predictions.labels == k) for k in range(len(predictions.classes))]


def mean_area(rankings: list[Ranking], weights: Weights) -> Values:
    """The plain mean of the areas that are defined; nan where none is."""
    total, defined = np.zeros(weights.shape[1:]), np.zeros(weights.shape[1:])
    for ranking in rankings:
        area = ranked_area(ranking, weights)
        total = total + np.nan_to_num(area)
        defined = defined + ~np.isnan(area)
    return np.asarray(np.divide(total, defined, out=np.full(weights.shape[1:], np.nan), where=defined > 0))


def roc_auc_ovr(predictions: Predictions, decision: Decision, weights: Weights | None = None) -> Values:
    """The macro mean of each class's ROC-AUC against the rest, over classes with and without pictures on each side.

    nan where no class has both, that is where all pictures are of one class.
    """
    return mean_area(class_rankings(predictions, decision), np.ones(len(predictions)) if weights is None else weights)


def roc_curve(scores: Scores, positives: Positives, *, points: int = ROC_POINTS) -> Points:
    """(false positive rate, true positive rate) from (0, 0) to (1, 1), at most ``points`` of them; empty where undefined.

    A longer curve is thinned so that the area below it stays exactly what it was: see ``_thin``.
    """
    if not positives.any() or positives.all():
        return np.zeros((0, 2))
    order = np.argsort(-scores, kind="stable")
    last_of_tie = np.append(np.flatnonzero(np.diff(scores[order])), len(order) - 1)
    true = np.cumsum(positives[order])[last_of_tie]
    false = 1 + last_of_tie - true
    curve = np.concatenate([np.zeros((1, 2)), np.stack([false / false[-1], true / true[-1]], axis=1)])
    return _thin(_corners(curve), points)


def _corners(curve: Points) -> Points:
    """The curve without points on a straight line between their neighbours."""
    steps = np.diff(curve, axis=0)
    turns = steps[:-1, 0] * steps[1:, 1] != steps[:-1, 1] * steps[1:, 0]
    return np.asarray(curve[np.concatenate([[True], turns, [True]])])


def _thin(curve: Points, points: int) -> Points:
    """Keeps knots evenly spaced along the curve, and between two of them sets one corner that keeps the area.

    Within the box of two knots, the area under knot-corner-knot runs from none to all of the box as the corner slides from
    its lower right to its upper left; so there is exactly one place where it equals the curve's own.
    """
    if len(curve) <= points:
        return curve
    along = curve.sum(axis=1)  # fpr + tpr never falls, and grows by the same for a step in either direction
    places = np.unique(np.searchsorted(along, np.linspace(0, 2, (points + 1) // 2)).clip(max=len(curve) - 1))
    knots = curve[places]
    areas = np.diff(curve[:, 0]) * (curve[1:, 1] + curve[:-1, 1]) / 2
    inside = np.add.reduceat(areas, places[:-1])
    left, right = knots[:-1], knots[1:]
    width, height = (right - left).T
    filled = (inside - width * left[:, 1]) / np.where(width * height > 0, width * height, 1)
    corners = np.stack([right[:, 0] - filled * width, left[:, 1] + filled * height], axis=1)
    thinned = np.empty((2 * len(knots) - 1, 2))
    thinned[0::2], thinned[1::2] = knots, corners
    return thinned


def precision_recall_curve(scores: Scores, positives: Positives, *, points: int = ROC_POINTS) -> Points:
    """(recall, precision) for thresholds from the highest score down, at most ``points`` of them; empty without a positive.

    Of the thresholds with the same recall the highest is kept, that with the best precision. No line between two points is
    implied: precision does not fall linearly (Davis and Goadrich 2006), so it should be drawn in steps.

    >>> precision_recall_curve(np.array([0.9, 0.8, 0.7]), np.array([True, False, True])).round(2).tolist()
    [[0.5, 1.0], [1.0, 0.67]]
    """
    if not positives.any():
        return np.zeros((0, 2))
    order = np.argsort(-scores, kind="stable")
    last_of_tie = np.append(np.flatnonzero(np.diff(scores[order])), len(order) - 1)
    true = np.cumsum(positives[order])[last_of_tie]
    _, first = np.unique(true, return_index=True)
    first = first[true[first] > 0]  # above the best-ranked positive there is no recall to speak of
    curve = np.stack([true[first] / true[-1], true[first] / (last_of_tie[first] + 1)], axis=1)
    kept = np.unique(np.linspace(0, len(curve) - 1, min(points, len(curve))).round().astype(int))
    return np.asarray(curve[kept])


def average_precision(scores: Scores, positives: Positives) -> float | None:
    """The precision at each threshold, weighted by the recall it adds; None where there is no positive.

    The sum over thresholds of (recall_n - recall_{n-1}) precision_n, without interpolation, as in scikit-learn.
    """
    if not positives.any():
        return None
    order = np.argsort(-scores, kind="stable")
    last_of_tie = np.append(np.flatnonzero(np.diff(scores[order])), len(order) - 1)
    true = np.cumsum(positives[order])[last_of_tie]
    gained = np.diff(true, prepend=0) / true[-1]
    return float((gained * true / (last_of_tie + 1)).sum())
