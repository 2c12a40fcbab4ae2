"""Which pictures an epoch shows: every one once, or the classes levelled by drawing some again or leaving some out."""

import dataclasses

import numpy as np
from jaxtyping import Int64

from eyebright.core import seeds
from eyebright.core.arrays import KeyHashes, Labels
from eyebright.data.balance import Sampling, class_sizes

_STEP = np.uint64(0x9E3779B97F4A7C15)  # SplitMix64's own counter (Steele, Lea and Flood 2014): odd, so no step comes back soon


@dataclasses.dataclass(frozen=True)
class Draws:
    """The pictures of an epoch: the row of each, ascending, and a hash for each.

    A picture that is drawn again has another hash each time, so that it is ordered and augmented anew; the first has its own.
    """

    rows: Int64[np.ndarray, "draws"]
    hashes: KeyHashes

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, chosen: np.ndarray) -> "Draws":
        return Draws(self.rows[chosen], self.hashes[chosen])


def epoch_size(labels: Labels, sampling: Sampling) -> int:
    """How many pictures an epoch shows: the same in every epoch."""
    return int(class_sizes(np.bincount(labels), sampling).sum())


def epoch_draws(labels: Labels, hashes: KeyHashes, sampling: Sampling, *, seed: int, epoch: int) -> Draws:
    """The pictures of epoch ``epoch``, a function of the seed and their ``hashes`` alone.

    A class of n pictures that is to be drawn m times gives each of them floor(m / n) times, and one time more to as many as are
    still owed, others in each epoch. So over-sampling shows every picture, and under-sampling a fresh part of each class.
    """
    if sampling == "none":
        return Draws(np.arange(len(labels)), hashes)
    counts = np.bincount(labels)
    rounds, owed = np.divmod(class_sizes(counts, sampling), np.maximum(counts, 1))
    times = rounds[labels] + (_places_in_class(labels, hashes, counts, seed, epoch) < owed[labels])
    rows = np.repeat(np.arange(len(labels)), times)
    first = np.repeat(np.cumsum(times) - times, times)  # where each row's own draws begin
    repetition = (np.arange(len(rows)) - first).astype(np.uint64)
    return Draws(rows, hashes[rows] + repetition * _STEP)  # modulo 2^64


def _places_in_class(labels: Labels, hashes: KeyHashes, counts: np.ndarray, seed: int, epoch: int) -> Int64[np.ndarray, "n"]:
    """Each picture's place in a random order of its class, from 0."""
    order = seeds.order(seed, "sampling", epoch, hashes)
    by_class = order[np.argsort(labels[order], kind="stable")]
    starts = np.cumsum(counts) - counts
    places = np.empty(len(labels), dtype=np.int64)
    places[by_class] = np.arange(len(labels)) - starts[labels[by_class]]
    return places
