"""A naive Bayes classifier on a few binned numbers and words, out of fold: what a cue alone can tell, with numpy alone.

Bins follow any shape of distribution, several peaks too, and what is missing is a bin like any other. That the columns are
taken for independent costs little here: only the answer counts, not how sure it is (Domingos and Pazzani 1997).
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64, Int64

from eyebright.core.arrays import Labels

BINS = 8
SMOOTHING = 1.0  # Laplace's: as if each bin had been seen once more in every class

Codes = Int64[np.ndarray, "n columns"]
Column = Int64[np.ndarray, "n"]


def number_codes(numbers: Float64[np.ndarray, "n"]) -> Column:
    """The bin of each number, from 0 on; nan is a bin of its own.

    Bins are ``BINS`` quantiles, which look at no label. Up to twice as many distinct values each keep a bin of their own.

    >>> number_codes(np.array([480.0, 480.0, np.nan, 640.0])).tolist()
    [0, 0, 2, 1]
    """
    known = numbers[~np.isnan(numbers)]
    distinct = np.unique(known)
    many = len(distinct) > 2 * BINS
    edges = np.unique(np.quantile(known, np.arange(1, BINS) / BINS)) if many else distinct[1:]
    bins = np.searchsorted(edges, numbers, side="right")
    return _dense(np.where(np.isnan(numbers), len(edges) + 1, bins))


def word_codes(words: Sequence[str]) -> Column:
    """A number for each word, the same for the same word."""
    return _dense(np.array(words, dtype=object))


def _dense(values: np.ndarray) -> Column:
    codes: Column = np.unique(values, return_inverse=True)[1].reshape(-1).astype(np.int64)
    return codes


def posteriors(codes: Codes, labels: Labels, folds: Column, classes: int) -> Float64[np.ndarray, "n classes"]:
    """How probable each class is for each row, rows summing to one, by counts from the other folds alone.

    Every class is taken for equally frequent, so that no answer is better for being common.
    """
    logs = np.zeros((len(codes), classes))
    for column in codes.T:
        logs += _log_chances(column, labels, folds, classes)[folds, column]
    exponentials = np.exp(logs - logs.max(axis=1, keepdims=True))
    shares: np.ndarray = exponentials / exponentials.sum(axis=1, keepdims=True)
    return shares


def _log_chances(column: Column, labels: Labels, folds: Column, classes: int) -> Float64[np.ndarray, "folds bins classes"]:
    """The logarithm of how often each class falls into each bin, by all rows but those of the fold."""
    shape = (int(folds.max()) + 1, int(column.max()) + 1, classes)
    cells = np.ravel_multi_index((folds, column, labels), shape)
    of_fold = np.bincount(cells, minlength=np.prod(shape)).reshape(shape)
    counts = of_fold.sum(axis=0) - of_fold + SMOOTHING
    logs: np.ndarray = np.log(counts / counts.sum(axis=1, keepdims=True))
    return logs
