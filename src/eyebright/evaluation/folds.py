"""What k-fold cross-validation said: the figures of all out-of-fold predictions together, and their spread over the folds."""

import numpy as np
from jaxtyping import Int64

from eyebright.core.decision import Decision
from eyebright.core.predictions import Predictions
from eyebright.core.report import CrossValidation, Fold
from eyebright.evaluation import accuracy, calibration
from eyebright.evaluation.intervals import Values, Weights, estimate, share, weighted_mean

BOUNDS = {"accuracy": (0.0, 1.0), "balanced_accuracy": (0.0, 1.0), "f1_macro": (0.0, 1.0)}


def cross_validation(
    predictions: Predictions, folds: Int64[np.ndarray, "n"], decision: Decision, *, how: str, seed: int = 0
) -> CrossValidation:
    """The summary of out-of-fold ``predictions``; ``folds`` says in which fold each row was held out.

    The figures with intervals are of all rows pooled: their intervals hold for the pictures, as the models of two folds share
    most of their training pictures and no unbiased spread over folds exists (Bengio and Grandvalet 2004). ``mean`` and
    ``spread`` are over folds, as they are usually given. A macro F1 pooled is not the mean of the folds' ones (Forman and
    Scholz 2010). ``decision`` gives the log loss its temperature.
    """
    numbers = sorted(set(folds.tolist()))
    rows = [
        Fold(fold=k + 1, n=int((folds == k).sum()), figures=_plain(predictions.select(folds == k), decision)) for k in numbers
    ]
    names = list(rows[0].figures)
    table = np.array([[row.figures[name] for name in names] for row in rows])
    figures = estimate(
        lambda weights: _statistics(predictions, decision, weights), predictions.groups, bounds=BOUNDS, seed=seed
    )
    figures["accuracy"] = share(accuracy.right_answers(predictions), predictions.groups)
    return CrossValidation(
        how=how,
        folds=rows,
        mean={name: float(value) for name, value in zip(names, table.mean(axis=0), strict=True)},
        spread={name: float(value) for name, value in zip(names, table.std(axis=0, ddof=1), strict=True)},
        figures=figures,
    )


def _statistics(table: Predictions, decision: Decision, weights: Weights) -> dict[str, Values]:
    found = accuracy.figures(accuracy.count(table, weights))
    kept = {name: found[name] for name in BOUNDS}
    return {**kept, "log_loss": weighted_mean(calibration.log_losses(table, decision), weights)}


def _plain(table: Predictions, decision: Decision) -> dict[str, float]:
    return {name: float(value) for name, value in _statistics(table, decision, np.ones(len(table))).items()}
