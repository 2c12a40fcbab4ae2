"""Would more pictures help, and of which class: read from what smaller training sets give on the same pictures."""

import math
from collections.abc import Sequence

import numpy as np

from eyebright.core.predictions import Predictions
from eyebright.core.report import Figure, LearningCurve, LearningPoint
from eyebright.evaluation import accuracy, calibration
from eyebright.evaluation.calibration import fit_temperature
from eyebright.evaluation.intervals import estimate, paired_difference, share, weighted_mean

MOST_CLASSES = 3  # named in the advice
LITTLE = 0.01  # of accuracy: a gain that surely stays below it is not worth the work
FEW = 5  # pictures of a class below which its recall says nothing


def learning_curve(points: Sequence[tuple[int, Predictions]], *, how: str, seed: int = 0) -> LearningCurve:
    """The curve with intervals and advice in words; ``points`` are training sizes, ascending, each with predictions.

    All predictions are of the same pictures. Each point's log loss is at its own best temperature, fitted on these: one
    parameter, the same favour to all. What twice as many pictures may give follows from a power law of the error through the
    last two points (Hestness et al. 2017); it is said only where the last doubling helped beyond its interval.
    """
    rows = [LearningPoint(n=n, figures=_figures(table, seed=seed), recalls=_recalls(table)) for n, table in points]
    return LearningCurve(points=rows, how=how, advice=_advice(points, rows, seed=seed) if len(points) > 1 else [])


def _figures(table: Predictions, *, seed: int) -> dict[str, Figure]:
    losses = calibration.log_losses(table, fit_temperature(table, fitted_on="these"))
    return {
        "accuracy": share(accuracy.right_answers(table), table.groups),
        **estimate(
            lambda weights: {
                "f1_macro": accuracy.figures(accuracy.count(table, weights))["f1_macro"],
                "log_loss": weighted_mean(losses, weights),
            },
            table.groups,
            bounds={"f1_macro": (0.0, 1.0)},
            seed=seed,
        ),
    }


def _recalls(table: Predictions) -> dict[str, float | None]:
    recalls = accuracy.recall(accuracy.count(table))
    return {name: None if math.isnan(value) else float(value) for name, value in zip(table.classes, recalls, strict=True)}


def _advice(points: Sequence[tuple[int, Predictions]], rows: list[LearningPoint], *, seed: int) -> list[str]:
    (half_n, half), (full_n, full) = points[-2], points[-1]
    gain = paired_difference(accuracy.right_answers(full), accuracy.right_answers(half), full.groups, seed=seed)
    said = f"from {half_n:,} to {full_n:,} training pictures the accuracy changed by {_signed(gain)}"
    if gain.low is None or gain.high is None or gain.low <= 0:
        if gain.high is not None and gain.high <= LITTLE:
            return [f"More pictures of the same kind promise little: {said}."]
        return [f"It is not shown that more pictures of the same kind would help: {said}, which may be chance."]
    sentences = [f"More pictures would help: {said}.{_promise(rows)}"]
    if names := _gaining(rows, full):
        sentences.append(f"The classes that gained most from the last doubling, and are still missed: {', '.join(names)}.")
    return sentences


def _signed(figure: Figure) -> str:
    return f"{figure.value:+.3f} ({figure.low:+.3f} to {figure.high:+.3f})"


def _promise(rows: list[LearningPoint]) -> str:
    """What the power law through the last two points says of twice as many pictures; nothing where it is not one."""
    before, after = (1 - (row.figures["accuracy"].value or 0.0) for row in rows[-2:])
    if not 0 < after < before:
        return ""
    steepness = math.log(before / after) / math.log(rows[-1].n / rows[-2].n)
    gain = 100 * after * (1 - 2**-steepness)
    return f" If the trend goes on, twice as many would make it right about {gain:.0f} times in 100 more often."


def _gaining(rows: list[LearningPoint], table: Predictions) -> list[str]:
    counts = np.bincount(table.labels, minlength=len(table.classes))
    gains = {}
    for label, name in enumerate(table.classes):
        before, after = rows[-2].recalls[name], rows[-1].recalls[name]
        if before is not None and after is not None and counts[label] >= FEW and before < after < 1:
            gains[name] = after - before
    surest = sorted(gains, key=lambda name: -gains[name])[:MOST_CLASSES]
    return [f"{name} ({rows[-2].recalls[name]:.2f} to {rows[-1].recalls[name]:.2f} found)" for name in surest]
