"""How well a cue answers, and from where on that is more than luck.

A cue is asked ``1 + classes`` questions at once: which class a picture has, and for each class whether it is that one.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float64, Int64

from eyebright.core import seeds
from eyebright.core.arrays import Labels
from eyebright.evaluation.naive_bayes import Codes, posteriors

SHUFFLES = 199
UNLUCKY = 4  # of 200, the data as it is included: a false alarm in at most 2 of 100 data sets
SHUFFLED = 2000  # pictures; what luck gives, counted in standard errors, does not depend on how many there are, groups apart
_TIE = 1e-9

Shares = Float64[np.ndarray, "n classes"]
Scores = Float64[np.ndarray, "questions"]


@dataclasses.dataclass(frozen=True)
class Score:
    """Balanced accuracies and what guessing gives, in [0, 1], with their standard errors; question 0 is for all classes."""

    balanced: Scores
    chance: Scores
    error: Scores

    @property
    def skill(self) -> Scores:
        """How much of the way from chance to always right."""
        return np.asarray((self.balanced - self.chance) / (1 - self.chance))

    @property
    def strength(self) -> Scores:
        """How many standard errors above chance."""
        return np.asarray((self.balanced - self.chance) / self.error)


def is_class(shares: Shares) -> Bool[np.ndarray, "n classes"]:
    """For each class whether a picture is taken for it, were it as frequent as all others together.

    ``shares`` are of classes that are equally frequent: at 1 / classes either answer is as likely.
    """
    return np.asarray(shares > 1 / shares.shape[1] + _TIE)


def score(shares: Shares, labels: Labels) -> Score:
    """The scores of the answers that ``shares`` give."""
    n, classes = shares.shape
    taken = is_class(shares)
    own = np.bincount(labels, minlength=classes)
    known = np.bincount(labels[taken[np.arange(n), labels]], minlength=classes)
    right = np.bincount(labels[labels == shares.argmax(axis=1)], minlength=classes)
    others, refused = n - own, n - own - (taken.sum(axis=0) - known)
    return Score(
        np.append(_share(right, own).mean(), (_share(known, own) + _share(refused, others)) / 2),
        np.append(1 / classes, np.full(classes, 0.5)),
        np.append(
            np.sqrt(_variance(right, own).sum()) / classes, np.sqrt(_variance(known, own) + _variance(refused, others)) / 2
        ),
    )


def _share(count: Int64[np.ndarray, "classes"], n: Int64[np.ndarray, "classes"]) -> Float64[np.ndarray, "classes"]:
    return np.asarray(count / np.maximum(n, 1))


def _variance(count: Int64[np.ndarray, "classes"], n: Int64[np.ndarray, "classes"]) -> Float64[np.ndarray, "classes"]:
    """The variance of a share, never zero: two right and two wrong are added (Agresti and Coull 1998)."""
    share = (count + 2) / (n + 4)
    return np.asarray(share * (1 - share) / (n + 4))


def luck(
    columns: Sequence[Codes],
    labels: Labels,
    units: Int64[np.ndarray, "n"],
    folds: Int64[np.ndarray, "n"],
    *,
    seed: int = 0,
) -> float:
    """The strength that labels without any meaning reach in 2 of 100 data sets, at the best of all cues and questions.

    Labels are shuffled, groups whole, and everything is done again: the largest strength of each shuffle makes the scale, so
    that it holds however many cues are tried (Westfall and Young 1993, section 2.6). Binomial intervals would not do: out of
    fold, luck varies more than they say (Noirhomme et al., NeuroImage: Clinical 4, 2014).
    """
    classes = int(labels.max()) + 1
    rows = drawn(labels, seed)
    strongest = []
    for turn in range(SHUFFLES):
        shuffled = _shuffled(labels[rows], units[rows], seed, turn)
        scores = [score(posteriors(codes[rows], shuffled, folds[rows], classes), shuffled) for codes in columns]
        strongest.append(max(float(one.strength.max()) for one in scores))
    return sorted(strongest)[-UNLUCKY]


def drawn(labels: Labels, seed: int) -> Int64[np.ndarray, "rows"]:
    """At most ``SHUFFLED`` rows, evenly many of each class as far as they reach: a rare class has luck of its own."""
    order = seeds.order(seed, "luck rows", 0, np.arange(len(labels), dtype=np.uint64))
    order = order[np.argsort(labels[order], kind="stable")]  # by class, at random within
    counts = np.bincount(labels)
    place = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)  # how many of its class come before it
    return np.sort(order[np.argsort(place, kind="stable")][:SHUFFLED])


def _shuffled(labels: Labels, units: Int64[np.ndarray, "n"], seed: int, turn: int) -> Labels:
    """Each unit with the labels of another; where that has fewer rows, they begin again."""
    names, of_row, sizes = np.unique(units, return_inverse=True, return_counts=True)
    rows = np.argsort(of_row, kind="stable")  # by unit
    starts = np.cumsum(sizes) - sizes
    place = np.empty(len(rows), dtype=np.int64)
    place[rows] = np.arange(len(rows)) - np.repeat(starts, sizes)  # how many of its unit come before a row
    giver = seeds.order(seed, "luck", turn, names.astype(np.uint64))[of_row]
    return np.asarray(labels[rows[starts[giver] + place % sizes[giver]]])
