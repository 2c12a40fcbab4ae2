"""The chosen way of training, repeated on other pictures or from another seed: for folds, ensembles and learning curves."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Int64
from torch import nn

from eyebright.core import seeds
from eyebright.core.arrays import Labels, Logits
from eyebright.core.events import OnEvent, silent
from eyebright.data.folds import numbers_of
from eyebright.models.network import PixelNetwork
from eyebright.training.fit import fit
from eyebright.training.recipe import Recipe
from eyebright.training.scratch import TrainingData
from eyebright.training.transfer import TransferData, set_head

FRACTIONS = (0.125, 0.25, 0.5, 1.0)  # each twice the one before: a power law is a straight line on them


def train_member(
    network: PixelNetwork,
    data: TrainingData,
    rows: Bool[np.ndarray, "n"],
    recipe: Recipe,
    *,
    strength: float | None,
    stage: str,
    checkpoint: Path,
    teacher: nn.Module | None = None,
    on_event: OnEvent = silent,
) -> None:
    """Trains ``network`` in place on ``rows`` as the chosen model was: a head of ``strength`` first, then the recipe's epochs.

    ``strength`` is None for a network from scratch; the recipe has 0 epochs for a head alone. Nothing is held out, so the
    number of epochs must have been chosen on other grounds. A ``teacher``'s answers stand beside the
    labels. Interrupted and called again, it goes on from ``checkpoint``.
    """
    if strength is not None:
        assert isinstance(data, TransferData)
        set_head(network, data.head(rows, strength))
    if recipe.epochs:
        fit(
            network,
            data.part(rows),
            None,
            recipe.model_copy(update={"patience": 0}),
            stage=stage,
            checkpoint=checkpoint,
            class_weights=data.class_weights,
            teacher=teacher,
            on_event=on_event,
        )


@dataclasses.dataclass(frozen=True)
class Share:
    """What a smaller training set gives: its size, averaged over the folds, and the out-of-fold logits of all pictures."""

    fraction: float
    n: int
    logits: Logits


def shares_of_training(
    train: Callable[[np.ndarray, np.ndarray], Logits],
    labels: Labels,
    groups: Sequence[str],
    folds: Int64[np.ndarray, "n"],
    *,
    classes: int,
    fractions: Sequence[float] = FRACTIONS,
    ask: Sequence[int] | None = None,
    seed: int = 0,
    on_step: Callable[[int], None] = lambda done: None,
) -> list[Share]:
    """Out-of-fold logits from smaller and smaller training sets, the smallest first, each contained in the next.

    ``train(seen, held)`` gives the logits of the rows ``held`` by a model of the rows ``seen`` (indices). Whole groups are
    taken, of each class its share and one at least. ``ask`` are the folds that are held out in turn, all by default; the
    logits of rows in others stay zero.
    """
    ranks = _ranks(labels, groups, seed)
    found = []
    done = 0
    for fraction in fractions:
        logits = np.zeros((len(labels), classes), dtype=np.float32)
        sizes = []
        for fold in numbers_of(folds) if ask is None else ask:
            held = folds == fold
            seen = ~held & _smallest(ranks, labels, ~held, fraction)
            logits[held] = train(np.flatnonzero(seen), np.flatnonzero(held))
            sizes.append(int(seen.sum()))
            done += 1
            on_step(done)
        found.append(Share(fraction, round(float(np.mean(sizes))), logits))
    return found


def _ranks(labels: Labels, groups: Sequence[str], seed: int) -> Int64[np.ndarray, "n"]:
    """The place of each row's group in an order that the seed decides."""
    names, of_row = np.unique(np.array(groups, dtype=object), return_inverse=True)
    order = seeds.order(seed, "learning curve", 0, seeds.key_hashes(names.tolist()))
    place = np.empty(len(names), dtype=np.int64)
    place[order] = np.arange(len(names))
    return np.asarray(place[of_row.reshape(-1)])


def _smallest(ranks: np.ndarray, labels: Labels, eligible: np.ndarray, fraction: float) -> Bool[np.ndarray, "n"]:
    """Of each class the eligible rows whose groups come first, as many groups as the fraction is, one at least."""
    chosen = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels[eligible]):
        rows = eligible & (labels == label)
        of_class = np.unique(ranks[rows])
        last = of_class[max(1, round(fraction * len(of_class))) - 1]
        chosen |= rows & (ranks <= last)
    return chosen


def head_on_features(data: TransferData, strength: float) -> Callable[[np.ndarray, np.ndarray], Logits]:
    """The ``train`` of a linear head on frozen features, for ``shares_of_training``."""
    return lambda seen, held: data.head(seen, strength)(data.features[held])
