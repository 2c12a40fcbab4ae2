"""Which pictures the search for shortcuts looks at: all of an ordinary set, evenly many of each class of a huge one."""

import numpy as np

from eyebright.core import seeds
from eyebright.data.source import Source

MOST = 20_000  # pictures; so many know a score to a point, and looking at them takes seconds


def probed_keys(source: Source, *, most: int = MOST) -> frozenset[str]:
    """The keys of at most ``most`` labelled pictures, the same ones whatever their order.

    Where there are more, rare classes are kept whole and common ones are drawn from, as evenly as can be.
    """
    keys = [sample.key for sample in source.samples if sample.label >= 0]
    if len(keys) <= most:
        return frozenset(keys)
    labels = np.array([sample.label for sample in source.samples if sample.label >= 0])
    order = seeds.order(0, "probe", 0, seeds.key_hashes(keys))
    order = order[np.argsort(labels[order], kind="stable")]  # by class, at random within
    _, starts, counts = np.unique(labels[order], return_index=True, return_counts=True)
    place = np.arange(len(order)) - np.repeat(starts, counts)  # how many of its class come before it
    return frozenset(keys[row] for row in order[place < _cap(counts, most)])


def _cap(counts: np.ndarray, most: int) -> int:
    """The largest number a class may have so that all classes together have at most ``most``."""
    low, high = 0, int(counts.max())
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if np.minimum(counts, middle).sum() <= most else (low, middle - 1)
    return low
