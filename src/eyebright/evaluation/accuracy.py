"""How often the model is right: accuracy, precision, recall and F1, all from three counts a class.

The names and conventions are scikit-learn's. Zero divisions: a class that was never answered has no precision (nan), and
counts as 0 in an average (``zero_division=0``). Macro averages run over the classes that occur in the labels or in the
answers; balanced accuracy over those that occur in the labels.
"""

import dataclasses

import numpy as np
from jaxtyping import Bool, Float64, Int64

from eyebright.core.arrays import Labels
from eyebright.core.errors import DataError
from eyebright.core.predictions import Predictions
from eyebright.evaluation.intervals import Values, Weights, sum_by, weighted_mean

PerClass = Float64[np.ndarray, "classes *repeats"]


@dataclasses.dataclass(frozen=True)
class ClassCounts:
    """How many pictures of each class were answered ``right``, have it as their ``true`` class, were ``answered`` with it."""

    right: PerClass
    true: PerClass
    answered: PerClass


def labelled(predictions: Predictions) -> Predictions:
    """The rows whose label is known. Raises ``DataError`` where there is none, or a label that is no class."""
    if (strange := predictions.labels >= len(predictions.classes)).any():
        row = int(np.flatnonzero(strange)[0])
        raise DataError(
            f"{predictions.keys[row]} has label {predictions.labels[row]}; there are {len(predictions.classes)} classes, "
            "counted from 0. Run evaluate again to make the table."
        )
    known = predictions.labels >= 0
    if not known.any():
        raise DataError(
            f"None of the {len(predictions)} pictures has a label that the model knows; judging needs some. "
            "Give a folder with one subfolder a class, named as the model's classes."
        )
    return predictions if known.all() else predictions.select(known)


def answers(predictions: Predictions) -> Labels:
    """The class with the highest logit, the first of them where several are equal. No temperature changes it."""
    return np.asarray(predictions.logits.argmax(axis=1), dtype=np.int64)


def right_answers(predictions: Predictions) -> Bool[np.ndarray, "n"]:
    """Whether each picture was answered with its label."""
    return np.asarray(answers(predictions) == predictions.labels)


def right_in_top(predictions: Predictions, k: int) -> Bool[np.ndarray, "n"]:
    """Whether the label is among the ``k`` highest logits. Among equal ones the first class goes first, as in ``answers``."""
    logits, labels = predictions.logits, predictions.labels[:, None]
    own = np.take_along_axis(logits, labels, axis=1)
    before = (logits > own) | ((logits == own) & (np.arange(logits.shape[1]) < labels))
    return np.asarray(before.sum(axis=1) < k)


def count(predictions: Predictions, weights: Weights | None = None) -> ClassCounts:
    """The counts that every other function of this file takes: [classes], or [classes, repeats] for a matrix of weights.

    Raises ``DataError`` where a row has no label; ``labelled`` drops those.
    """
    return count_answers(predictions.labels, answers(predictions), len(predictions.classes), weights)


def count_answers(labels: Labels, answered: Labels, classes: int, weights: Weights | None = None) -> ClassCounts:
    """``count`` for answers that come from elsewhere, such as a baseline."""
    if (labels < 0).any():
        raise DataError(f"{(labels < 0).sum()} of {len(labels)} rows have no label; counting needs one each. Drop them first.")
    weights = np.ones(len(labels)) if weights is None else weights
    right = np.flatnonzero(labels == answered)
    return ClassCounts(
        right=sum_by(labels[right], weights[right], classes),
        true=sum_by(labels, weights, classes),
        answered=sum_by(answered, weights, classes),
    )


def confusion_matrix(predictions: Predictions) -> Int64[np.ndarray, "classes classes"]:
    """How many pictures of each true class (row) got each answer (column)."""
    classes = len(predictions.classes)
    cells = predictions.labels * classes + answers(predictions)
    return np.bincount(cells, minlength=classes**2).reshape(classes, classes).astype(np.int64)


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    undefined = np.full(np.broadcast_shapes(above.shape, below.shape), np.nan)
    ratio: np.ndarray = np.divide(above, below, out=undefined, where=below > 0)
    return ratio


def precision(counts: ClassCounts) -> PerClass:
    """Of the pictures answered with a class, the share that have it; nan where there is no such answer."""
    return _ratio(counts.right, counts.answered)


def recall(counts: ClassCounts) -> PerClass:
    """Of the pictures of a class, the share answered with it; nan where there is no such picture."""
    return _ratio(counts.right, counts.true)


def f1(counts: ClassCounts) -> PerClass:
    """The harmonic mean of precision and recall; nan where a class occurs in neither labels nor answers.

    2 right / (true + answered), which is the same and needs no case for a precision or recall of 0.
    """
    return _ratio(2 * counts.right, counts.true + counts.answered)


def macro(values: PerClass, counts: ClassCounts) -> Values:
    """The plain mean over classes that occur in the labels or the answers; what is undefined counts as 0."""
    occurs = (counts.true + counts.answered) > 0
    return np.asarray(np.nan_to_num(values).sum(axis=0) / occurs.sum(axis=0))


def weighted(values: PerClass, counts: ClassCounts) -> Values:
    """The mean over classes, each as heavy as its pictures are many; what is undefined counts as 0."""
    return np.asarray((np.nan_to_num(values) * counts.true).sum(axis=0) / counts.true.sum(axis=0))


def accuracy(counts: ClassCounts) -> Values:
    """The share of pictures that were answered right."""
    return np.asarray(counts.right.sum(axis=0) / counts.true.sum(axis=0))


def balanced_accuracy(counts: ClassCounts) -> Values:
    """The mean recall over the classes that have pictures: accuracy if all of them were equally frequent."""
    return np.asarray(np.nan_to_num(recall(counts)).sum(axis=0) / (counts.true > 0).sum(axis=0))


def top_k_accuracy(predictions: Predictions, k: int, weights: Weights | None = None) -> Values:
    """The share of pictures whose label is among the ``k`` highest logits."""
    return weighted_mean(right_in_top(predictions, k).astype(np.float64), weights)


def figures(counts: ClassCounts) -> dict[str, Values]:
    """Accuracy, balanced accuracy, and precision, recall and F1 in both averages, under scikit-learn's names."""
    per_class = {"precision": precision(counts), "recall": recall(counts), "f1": f1(counts)}
    return {
        "accuracy": accuracy(counts),
        "balanced_accuracy": balanced_accuracy(counts),
        **{f"{name}_macro": macro(values, counts) for name, values in per_class.items()},
        **{f"{name}_weighted": weighted(values, counts) for name, values in per_class.items()},
    }
