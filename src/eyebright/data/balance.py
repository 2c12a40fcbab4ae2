"""How much each class counts in training, so that a rare class is not simply given up."""

from typing import Literal

import numpy as np
from jaxtyping import Float32

from eyebright.core.arrays import Labels

Scheme = Literal["none", "inverse", "effective"]

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
    raw = np.zeros(classes)
    present = counts > 0
    raw[present] = 1 / _size(counts[present], scheme)
    total = float((raw * counts).sum())
    scale = counts.sum() / total if total else 0.0
    return np.asarray(raw * scale, dtype=np.float32)


def _size(counts: np.ndarray, scheme: Scheme) -> np.ndarray:
    """What a class's weight is one over."""
    if scheme == "none":
        return np.ones_like(counts)
    if scheme == "inverse":
        return counts
    effective: np.ndarray = (1 - EFFECTIVE_BETA**counts) / (1 - EFFECTIVE_BETA)
    return effective
