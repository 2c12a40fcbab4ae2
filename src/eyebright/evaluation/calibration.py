"""Whether the probabilities mean what they say: log loss, Brier score, calibration error, and the temperature that mends it."""

import dataclasses
import math

import numpy as np
from jaxtyping import Float64, Int64

from eyebright.core.arrays import Logits
from eyebright.core.decision import Decision
from eyebright.core.errors import ModelError
from eyebright.core.predictions import Predictions
from eyebright.core.report import ReliabilityBin
from eyebright.evaluation.accuracy import labelled, right_answers
from eyebright.evaluation.intervals import Values, Weights, sum_by, weighted_mean

ECE_BINS = 15  # Guo et al. 2017, table 1; keeps figures comparable
TEMPERATURES = (0.05, 20.0)  # beyond these a softmax over float32 logits is a step, or flat, for any network we have met
TOLERANCE = 1e-7  # of 1 / temperature, relative: below what a probability in float32 shows


def log_probabilities(logits: Logits, temperature: float) -> Float64[np.ndarray, "n classes"]:
    """The logarithm of the softmax, in float64 and never minus infinity for finite logits."""
    scaled = logits.astype(np.float64) / temperature
    scaled -= scaled.max(axis=1, keepdims=True)
    return np.asarray(scaled - np.log(np.exp(scaled).sum(axis=1, keepdims=True)))


def log_losses(predictions: Predictions, decision: Decision) -> Float64[np.ndarray, "n"]:
    """Minus the log-probability of each picture's label, in nats.

    From logits, not from ``decision.probabilities``: a float32 probability of 0 would be an infinite loss, or need clipping.
    """
    logarithms = log_probabilities(predictions.logits, decision.temperature)
    return np.asarray(-np.take_along_axis(logarithms, predictions.labels[:, None], axis=1)[:, 0])


def log_loss(predictions: Predictions, decision: Decision, weights: Weights | None = None) -> Values:
    """The mean negative log-likelihood of the labels, in nats; 0 is perfect, log(classes) is a uniform guess."""
    return weighted_mean(log_losses(predictions, decision), weights)


def squared_errors(predictions: Predictions, decision: Decision) -> Float64[np.ndarray, "n"]:
    """For each picture, the squared distance of its probabilities from its label's 0s and 1: in [0, 2]."""
    probabilities = decision.probabilities(predictions.logits).astype(np.float64)
    own = np.take_along_axis(probabilities, predictions.labels[:, None], axis=1)[:, 0]
    # sum over k of (p_k - y_k)^2 = sum p_k^2 - 2 p_label + 1
    return np.asarray((probabilities**2).sum(axis=1) - 2 * own + 1)


def brier(predictions: Predictions, decision: Decision, weights: Weights | None = None) -> Values:
    """The mean over pictures of the *sum* over classes of squared errors: 0 is perfect, 2 is sure and always wrong.

    Brier, "Verification of forecasts expressed in terms of probability", 1950, eq. 2. For two classes it is twice the
    score that looks at one of them only.
    """
    return weighted_mean(squared_errors(predictions, decision), weights)


def _confidences(predictions: Predictions, decision: Decision) -> Float64[np.ndarray, "n"]:
    probabilities = decision.probabilities(predictions.logits)
    return np.asarray(probabilities.max(axis=1).astype(np.float64))


def _bins(confidences: Float64[np.ndarray, "n"]) -> Int64[np.ndarray, "n"]:
    # Intervals ((m-1)/15, m/15], as in Guo et al. 2017, section 2.
    inner = np.arange(1, ECE_BINS) / ECE_BINS
    return np.asarray(np.digitize(confidences, inner, right=True), dtype=np.int64)


@dataclasses.dataclass(frozen=True)
class Gaps:
    """Each picture's bin, and right (0 or 1) minus confidence: what ``gap_size`` adds up under any weights."""

    bins: Int64[np.ndarray, "n"]
    gaps: Float64[np.ndarray, "n"]


def calibration_gaps(predictions: Predictions, decision: Decision) -> Gaps:
    """The gaps of the first answers, computed once for a thousand resamples."""
    confidences = _confidences(predictions, decision)
    return Gaps(bins=_bins(confidences), gaps=right_answers(predictions) - confidences)


def gap_size(gaps: Gaps, weights: Weights | None = None) -> Values:
    """The expected calibration error of ``calibration_gaps``.

    A bin adds (its weight / all) |accuracy - confidence|, which is |sum of its gaps| / all.
    """
    weights = np.ones(len(gaps.bins)) if weights is None else weights
    weighted_gaps = (weights.T * gaps.gaps.astype(weights.dtype)).T
    return np.asarray(np.abs(sum_by(gaps.bins, weighted_gaps, ECE_BINS)).sum(axis=0) / weights.sum(axis=0))


def ece(predictions: Predictions, decision: Decision, weights: Weights | None = None) -> Values:
    """The expected calibration error of the first answer, in [0, 1]: how far confidence and accuracy are apart.

    Guo et al., "On calibration of modern neural networks", 2017, eq. 3: 15 bins of equal width. Noise adds to it: a perfectly
    calibrated model measured on few pictures is above 0.
    """
    return gap_size(calibration_gaps(predictions, decision), weights)


def reliability_bins(predictions: Predictions, decision: Decision) -> list[ReliabilityBin]:
    """Mean confidence and accuracy in each bin that holds a picture, least confident first."""
    confidences = _confidences(predictions, decision)
    right, bins = right_answers(predictions), _bins(confidences)
    return [
        ReliabilityBin(confidence=float(confidences[inside].mean()), accuracy=float(right[inside].mean()), n=int(inside.sum()))
        for inside in (bins == place for place in np.unique(bins))
    ]


def check_logits(predictions: Predictions) -> None:
    """Raises ``ModelError`` where a logit is not a finite number."""
    broken = np.flatnonzero(~np.isfinite(predictions.logits).all(axis=1))
    if len(broken):
        raise ModelError(
            f"The logits of {len(broken)} of {len(predictions)} pictures, first {predictions.keys[broken[0]]}, are not finite; "
            "a sound model gives numbers. Train again with a lower learning rate, or verify the bundle."
        )


def fit_temperature(predictions: Predictions, *, fitted_on: str) -> Decision:
    """The decision whose temperature gives the labels the highest likelihood (Guo et al. 2017, section 4.2).

    Rows without a label are left out. Where every picture is right, the likelihood grows without end as the temperature falls
    and says nothing about doubt: then it stays 1, and ``fitted_on`` says so. Raises ``DataError`` where no row has a label.
    """
    table = labelled(predictions)
    check_logits(table)
    logits = table.logits.astype(np.float64)
    own = np.take_along_axis(logits, table.labels[:, None], axis=1)
    if ((own > logits).sum(axis=1) == logits.shape[1] - 1).all():
        return Decision(fitted_on=f"{fitted_on}; every picture was right, so it stays 1", n=len(table))
    return Decision(temperature=_most_likely_temperature(logits - own), fitted_on=fitted_on, n=len(table))


def _most_likely_temperature(leads: Float64[np.ndarray, "n classes"]) -> float:
    """The root of the slope, by Newton's method kept inside a shrinking bracket.

    In ``sharpness`` = 1 / temperature the loss is convex, a mean of log-sum-exps of linear functions, so its slope only rises.
    """
    low, high = 1 / TEMPERATURES[1], 1 / TEMPERATURES[0]
    sharpness = 1.0
    while high - low > TOLERANCE * low:
        slope, curvature = _slope_and_curvature(leads, sharpness)
        if slope == 0:
            break
        low, high = (sharpness, high) if slope < 0 else (low, sharpness)
        step = sharpness - slope / curvature if curvature > 0 else math.inf
        following = step if low < step < high else math.sqrt(low * high)
        if abs(following - sharpness) < TOLERANCE * sharpness:
            break
        sharpness = following
    return 1 / sharpness


def _slope_and_curvature(leads: Float64[np.ndarray, "n classes"], sharpness: float) -> tuple[float, float]:
    """The loss's first and second derivative by sharpness: mean and variance of the leads over the label, under the softmax."""
    probabilities = np.exp(log_probabilities(leads, 1 / sharpness))
    means = (probabilities * leads).sum(axis=1)
    variances = (probabilities * leads**2).sum(axis=1) - means**2
    return float(means.mean()), float(variances.mean())
