"""How much each class counts in training, by weight or by how often it is drawn, so that a rare one is not simply given up."""

from typing import Literal

import numpy as np
from jaxtyping import Float32, Int64

from eyebright.core.arrays import Labels

Scheme = Literal["none", "inverse", "effective"]
Sampling = Literal["none", "over", "under", "sqrt"]

EFFECTIVE_BETA = (
    0.999  # one of the four values that Cui et al. 2019 ("Class-Balanced Loss") compare; fits thousands of pictures
)


def class_weights(labels: Labels, classes: int, *, scheme: Scheme = "inverse") -> Float32[np.ndarray, "classes"]:
    """The weight of each class, one on average over the samples; 0 for a class that has none.

    ``inverse`` is one over the class's frequency. ``effective`` is one over its effective number of samples
    (Cui et al. 2019, eq. 2), which levels less where even the rare classes have many pictures. ``none`` is one for all.

    >>> class_weights(np.array([0, 0, 0, 1]), 2).tolist()  # 4 / (2 * 3) and 4 / (2 * 1)
    [0.6666666865348816, 2.0]
    """
    counts = np.bincount(labels, minlength=classes).astype(np.float64)
    return _one_on_average(_over((counts > 0).astype(np.float64), _size(counts, scheme)), counts)


def sampling_weights(labels: Labels, classes: int, *, sampling: Sampling) -> Float32[np.ndarray, "classes"]:
    """The weight of each class that stands for ``sampling`` where every picture is seen once; one on average over the samples.

    It is how often the epochs of ``sampling`` draw a picture of the class, on average: inverse frequencies for ``over`` and
    ``under``, which level the classes alike. For a method that has no epochs, such as a linear head.

    >>> sampling_weights(np.array([0, 0, 0, 0, 1]), 2, sampling="sqrt").tolist()  # drawn 1 and 2 times: over (4 + 2) / 5
    [0.8333333134651184, 1.6666666269302368]
    """
    counts = np.bincount(labels, minlength=classes)
    return _one_on_average(_over(class_sizes(counts, sampling), counts), counts)


def class_sizes(counts: Int64[np.ndarray, "classes"], sampling: Sampling) -> Int64[np.ndarray, "classes"]:
    """How many pictures of each class an epoch draws from ``counts``; 0 of a class that has none.

    ``over`` draws each class as often as the largest, ``under`` as often as the smallest that has any. ``sqrt`` lies half-way
    to ``over``, at the geometric mean of a class's size and the largest's: proportional to the square root of the size, as in
    Mahajan et al. 2018 ("Exploring the limits of weakly supervised pretraining").

    >>> class_sizes(np.array([100, 25, 4]), "sqrt").tolist()
    [100, 50, 20]
    """
    present = counts > 0
    if sampling == "none" or not present.any():
        return counts
    if sampling == "under":
        return np.where(present, counts[present].min(), 0)
    largest = counts.max()
    return np.where(present, largest, 0) if sampling == "over" else np.rint(np.sqrt(counts * largest)).astype(np.int64)


def _over(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """The ratio, 0 where a class has no pictures."""
    ratio: np.ndarray = np.divide(above, below, out=np.zeros(len(below)), where=below > 0)
    return ratio


def _one_on_average(weights: np.ndarray, counts: np.ndarray) -> Float32[np.ndarray, "classes"]:
    total = float((weights * counts).sum())
    scale = counts.sum() / total if total else 0.0
    return np.asarray(weights * scale, dtype=np.float32)


def _size(counts: np.ndarray, scheme: Scheme) -> np.ndarray:
    """What a class's weight is one over."""
    if scheme == "none":
        return np.ones_like(counts)
    if scheme == "inverse":
        return counts
    effective: np.ndarray = (1 - EFFECTIVE_BETA**counts) / (1 - EFFECTIVE_BETA)
    return effective
