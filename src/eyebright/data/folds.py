"""Stratified, grouped division: rows into folds here, pictures into parts in ``data.split``, by the same machinery.

What must stay together (a patient, a cluster of copies) is a *unit*; a unit goes whole into one *bin* (a fold or a part).
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64, Int64

from eyebright.core import seeds
from eyebright.core.arrays import KeyHashes, Labels
from eyebright.core.errors import DataError

SEEN_BY_ALL = -1  # the fold of a row that is held out nowhere: every fold's model learns from it
_EPSILON = 1e-9  # 0.15 * 20 is not quite 3 in binary; remainders below this are rounding, not demand
_REFINING_WORK = 2e7  # pairs of units times classes, about a second; with more units the greedy pass alone is near exact
_REFINING_PASSES = 5


@dataclasses.dataclass(frozen=True)
class Units:
    """What stays together: the unit of each row, and a hash that names each unit whatever the order of rows."""

    of_row: Int64[np.ndarray, "n"]
    hashes: KeyHashes


def group_folds(labels: Labels, groups: Sequence[str], folds: int, seed: int) -> Int64[np.ndarray, "n"]:
    """The fold number of each row: every class spread evenly, no group in two folds.

    The same group gets the same fold whatever the order of rows.
    """
    return assign_units(labels, units_of_groups(groups), np.full(folds, 1 / folds), seed=seed, stream="folds")


def usable_folds(labels: Labels, groups: Sequence[str], wanted: int) -> tuple[int, str]:
    """How many folds give every fold a chance of every class, and the reason: at most the groups of the rarest class.

    Raises ``DataError`` where that is fewer than two.
    """
    units = units_of_groups(groups)
    pairs = np.unique(np.stack([labels, units.of_row]), axis=1)
    classes, groups_of_class = np.unique(pairs[0], return_counts=True)
    fewest = int(groups_of_class.min()) if len(classes) else 0
    if min(fewest, wanted) < 2:
        raise DataError(
            f"Cross-validation needs 2 folds; {wanted} were asked for and the rarest class has {fewest} "
            f"separate groups among {len(labels)} pictures. Add pictures of that class, or leave it out."
        )
    if fewest < wanted:
        return fewest, f"the rarest class has {fewest} separate groups, fewer than the {wanted} folds asked for"
    return wanted, f"every class has at least {wanted} separate groups"


def lone_rows(labels: Labels, groups: Sequence[str]) -> Bool[np.ndarray, "n"]:
    """Which rows lie in a group that has a class to itself: whoever has not seen the group cannot know the class.

    Groups that are left with a class to themselves once those are set aside are lone as well.
    """
    of_row = units_of_groups(groups).of_row
    lone = np.zeros(len(labels), dtype=bool)
    while not lone.all():
        pairs = np.unique(np.stack([labels[~lone], of_row[~lone]]), axis=1)
        classes, groups_of_class = np.unique(pairs[0], return_counts=True)
        found = np.isin(pairs[0], classes[groups_of_class == 1])
        if not found.any():
            break
        lone |= np.isin(of_row, pairs[1][found])
    return lone


def folds_around_lone(labels: Labels, groups: Sequence[str], wanted: int, seed: int) -> tuple[Int64[np.ndarray, "n"], int, str]:
    """The fold of each row, how many folds there are, and the reason; ``lone_rows`` are ``SEEN_BY_ALL``.

    Held out, such a row would be asked of a model that knows nothing of its class, which says nothing of one that does: it is
    learned from in every fold, and judged in none. Raises ``DataError`` as ``lone_rows_beside_others`` does.
    """
    lone = lone_rows_beside_others(labels, groups)
    if not lone.any():
        count, why = usable_folds(labels, groups, wanted)
        return group_folds(labels, groups, count, seed), count, why
    rest = [group for group, alone in zip(groups, lone.tolist(), strict=True) if not alone]
    count, why = usable_folds(labels[~lone], rest, wanted)
    folds = np.full(len(labels), SEEN_BY_ALL, dtype=np.int64)
    folds[~lone] = group_folds(labels[~lone], rest, count, seed)
    classes = len(np.unique(labels)) - len(np.unique(labels[~lone]))
    of = "1 class has" if classes == 1 else f"{classes} classes have"
    return folds, count, f"{of} one group only, which every fold learns from and none judges; of the others, {why}"


def lone_rows_beside_others(labels: Labels, groups: Sequence[str]) -> Bool[np.ndarray, "n"]:
    """The ``lone_rows``. Raises ``DataError`` where fewer than two classes have other rows: no fold could tell anything."""
    lone = lone_rows(labels, groups)
    judged, known = len(np.unique(labels[~lone])), len(np.unique(labels))
    if judged < 2:
        raise DataError(
            f"Cross-validation needs two classes of two separate groups each; of {known} classes among {len(labels)} "
            f"pictures, {judged} {'has' if judged == 1 else 'have'} that. Add pictures of the others."
        )
    return lone


def numbers_of(folds: Int64[np.ndarray, "n"]) -> list[int]:
    """The folds that hold something out, in order."""
    found: list[int] = np.unique(folds[folds != SEEN_BY_ALL]).tolist()
    return found


def units_of_groups(groups: Sequence[str]) -> Units:
    """One unit for each distinct group, named by the group's hash."""
    names, of_row = np.unique(np.array(groups, dtype=object), return_inverse=True)
    return Units(of_row.reshape(-1).astype(np.int64), seeds.key_hashes(names.tolist()))


def assign_units(
    labels: Labels, units: Units, shares: Float64[np.ndarray, "bins"], *, seed: int, stream: str
) -> Int64[np.ndarray, "n"]:
    """The bin of each row, so that each bin holds its share of every class and no unit is torn.

    ``shares`` sum to one and are positive; earlier bins come first where a class has too few units for all of them.
    Rows that are units of their own meet their share within one row; larger units as nearly as a greedy search finds.
    """
    if not len(labels):
        return np.zeros(0, dtype=np.int64)
    filling = _Filling(labels, units, shares)
    order = seeds.order(seed, stream, 0, units.hashes)
    order = order[np.argsort(-filling.sizes[order], kind="stable")]  # the largest first, while there is room to choose
    several = order[filling.sizes[order] > 1]
    for unit in several:
        filling.place(int(unit), filling.best_bin(int(unit)))
    if 0 < len(several) ** 2 * len(filling.classes) <= _REFINING_WORK:
        filling.refine(several)
    filling.fill_up(order[filling.sizes[order] == 1])
    filling.feed_the_empty()
    return np.asarray(filling.bin_of[units.of_row])


class _Filling:
    """Bins while they are filled: how many rows of each class each one wants, and has."""

    def __init__(self, labels: Labels, units: Units, shares: Float64[np.ndarray, "bins"]) -> None:
        self.classes, label = np.unique(labels, return_inverse=True)
        pairs, rows = np.unique(units.of_row * len(self.classes) + label.reshape(-1), return_counts=True)
        self.sizes = np.bincount(units.of_row, minlength=len(units.hashes))
        self._entry_class = pairs % len(self.classes)  # one entry a (unit, class) that occurs, sorted by unit
        self._entry_unit = pairs // len(self.classes)
        self._entry_rows = rows.astype(np.float64)
        self._starts = np.searchsorted(self._entry_unit, np.arange(len(units.hashes) + 1))
        n_of_class = np.bincount(self._entry_class, weights=self._entry_rows)
        self._units_of_class = np.bincount(self._entry_class)
        self._wanted = shares[:, None] * n_of_class[None, :]  # bins classes
        # Squared error over the share, each class counting alike: a bin of any size is filled in proportion.
        self._weight = 1 / (shares[:, None] * n_of_class[None, :] ** 2)
        self._rows = np.zeros_like(self._wanted)
        self._units = np.zeros(self._wanted.shape, dtype=np.int64)
        self.bin_of = np.full(len(units.hashes), -1, dtype=np.int64)

    def _classes(self, unit: int) -> tuple[np.ndarray, np.ndarray]:
        entries = slice(self._starts[unit], self._starts[unit + 1])
        return self._entry_class[entries], self._entry_rows[entries]

    def _cost_of_adding(self, unit: int) -> Float64[np.ndarray, "bins"]:
        classes, rows = self._classes(unit)
        lack = self._wanted[:, classes] - self._rows[:, classes]
        cost: np.ndarray = (self._weight[:, classes] * rows * (rows - 2 * lack)).sum(axis=1)
        return cost

    def best_bin(self, unit: int) -> int:
        """The bin that comes nearest to its share by taking the unit."""
        return int(self._cost_of_adding(unit).argmin())

    def place(self, unit: int, bin_: int) -> None:
        """Puts a unit into a bin, taking it out of the one it was in."""
        if self.bin_of[unit] >= 0:
            self._take_out(unit)
        classes, rows = self._classes(unit)
        self._rows[bin_, classes] += rows
        self._units[bin_, classes] += 1
        self.bin_of[unit] = bin_

    def _take_out(self, unit: int) -> int:
        classes, rows = self._classes(unit)
        old = int(self.bin_of[unit])
        self._rows[old, classes] -= rows
        self._units[old, classes] -= 1
        self.bin_of[unit] = -1
        return old

    def refine(self, units: np.ndarray) -> None:
        """Moves units, and swaps pairs of them, for as long as that brings the bins nearer to their shares."""
        dense = np.stack([self._dense(unit) for unit in units.tolist()])  # units classes
        for _ in range(_REFINING_PASSES):
            improved = [self._improve(row, units, dense) for row in range(len(units))]
            if not any(improved):
                return

    def _dense(self, unit: int) -> Float64[np.ndarray, "classes"]:
        rows = np.zeros(self._wanted.shape[1])
        classes, counts = self._classes(unit)
        rows[classes] = counts
        return rows

    def _improve(self, row: int, units: np.ndarray, dense: np.ndarray) -> bool:
        """Makes the best move or swap of one unit; False where none lowers the cost."""
        unit, old = int(units[row]), int(self.bin_of[units[row]])
        moves = np.array([self._gain(old, bin_, -dense[row]) for bin_ in range(len(self._wanted))])
        moves[old] = 0
        bins = self.bin_of[units]
        swaps = self._gain(old, bins, dense - dense[row])
        swaps[bins == old] = 0
        move, swap = int(moves.argmin()), int(swaps.argmin())
        if min(moves[move], swaps[swap]) >= -_EPSILON:
            return False
        if swaps[swap] < moves[move]:
            self.place(int(units[swap]), old)
            move = int(bins[swap])
        self.place(unit, move)
        return True

    def _gain(self, bin_: int, others: Any, change: np.ndarray) -> np.ndarray:
        """How the cost changes when ``change`` (rows of each class) is added to one bin and taken from the others."""
        excess = self._rows - self._wanted
        into = self._weight[bin_] * change * (change + 2 * excess[bin_])
        out_of = self._weight[others] * change * (change - 2 * excess[others])
        gain: np.ndarray = (into + out_of).sum(axis=-1)
        return gain

    def fill_up(self, singles: np.ndarray) -> None:
        """Gives the units of one row to the bins that still lack their class, exactly and without a loop over rows."""
        label = self._entry_class[self._starts[singles]]
        singles, label = (values[np.argsort(label, kind="stable")] for values in (singles, label))
        present, first = np.unique(label, return_index=True)
        owed = np.zeros(len(self._wanted))  # what rounding has kept from each bin so far: it goes first in the next class
        for class_, members in zip(present, np.split(singles, first)[1:], strict=True):
            lack = np.maximum(self._wanted[:, class_] - self._rows[:, class_], 0)
            quota = lack * (len(members) / lack.sum())
            taken = _whole(quota, len(members), owed, self._rows[:, class_] == 0)
            owed += quota - taken
            self.bin_of[members] = np.repeat(np.arange(len(taken)), taken)
            self._rows[:, class_] += taken
            self._units[:, class_] += taken

    def feed_the_empty(self) -> None:
        """Moves a unit into each bin that has none of a class and should.

        The first two bins (train and test) get one wherever the class has two units, the others where their share is a
        whole row; an earlier bin may empty a later one, never the other way about.
        """
        for bin_ in range(len(self._wanted)):
            due = (self._wanted[bin_] >= 1 - _EPSILON) | (bin_ < 2)
            for class_ in np.flatnonzero((self._units[bin_] == 0) & (self._units_of_class > bin_) & due):
                spare = self._spare_units(int(class_), bin_)
                if spare:
                    rises = [self._rise(unit, bin_) for unit in spare]
                    self.place(spare[int(np.argmin(rises))], bin_)

    def _spare_units(self, class_: int, bin_: int) -> list[int]:
        units = self._entry_unit[self._entry_class == class_]
        return [unit for unit in units.tolist() if self._is_spare(unit, bin_)]

    def _is_spare(self, unit: int, bin_: int) -> bool:
        old = int(self.bin_of[unit])
        return old > bin_ or bool((self._units[old, self._classes(unit)[0]] > 1).all())

    def _rise(self, unit: int, bin_: int) -> float:
        """How much the cost rises when the unit moves into the bin."""
        old = self._take_out(unit)
        cost = self._cost_of_adding(unit)
        self.place(unit, old)
        return float(cost[bin_] - cost[old])


def _whole(
    quota: Float64[np.ndarray, "bins"], n: int, owed: Float64[np.ndarray, "bins"], empty: np.ndarray
) -> Int64[np.ndarray, "bins"]:
    """``quota`` in whole rows that sum to ``n``, each rounded up or down.

    Rounded up are first the bins that would stay empty, then those with the largest remainder, earlier debts included.
    """
    taken = np.floor(quota + _EPSILON).astype(np.int64)
    remainder = quota - taken
    bare = empty & (taken == 0)
    ranked = np.lexsort((np.arange(len(quota)), -np.where(bare, 0, remainder + owed), ~bare))
    open_to_more = ranked[remainder[ranked] > _EPSILON]
    taken[open_to_more[: n - taken.sum()]] += 1
    return taken
