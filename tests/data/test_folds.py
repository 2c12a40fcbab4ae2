"""Folds: stratified, grouped, seeded; scikit-learn's splitter is the oracle for how even they are."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.model_selection import StratifiedGroupKFold

from eyebright.core.errors import DataError
from eyebright.data.folds import SEEN_BY_ALL, folds_around_lone, group_folds, lone_rows, usable_folds

rows = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 12)), min_size=1, max_size=60)


def unevenness(labels, folds, count):
    """The mean over classes of the standard deviation over folds of the class's share: what scikit-learn minimises."""
    shares = np.array([np.bincount(labels[folds == fold], minlength=labels.max() + 1) for fold in range(count)])
    return (shares / np.bincount(labels)).std(axis=0).mean()


def grouped_set(seed, *, pure):
    rng = np.random.default_rng(seed)
    classes = int(rng.integers(2, 8))
    group_labels = rng.integers(0, classes, int(rng.integers(10 * classes, 10 * classes + 60)))
    groups = np.repeat(np.arange(len(group_labels)), rng.integers(1, 30, len(group_labels)))
    mixed = rng.integers(0, classes, len(groups))
    labels = group_labels[groups] if pure else np.where(rng.random(len(groups)) < 0.7, group_labels[groups], mixed)
    return np.unique(labels, return_inverse=True)[1], groups


@given(rows, st.integers(2, 5), st.integers(0, 3))
def test_no_group_is_in_two_folds_and_every_row_is_in_one(rows, folds, seed):
    labels = np.array([label for label, _ in rows])
    groups = [f"patient {group}" for _, group in rows]
    numbers = group_folds(labels, groups, folds, seed)
    assert numbers.shape == labels.shape
    assert ((numbers >= 0) & (numbers < folds)).all()
    assert len(set(zip(groups, numbers.tolist(), strict=True))) == len(set(groups))


@given(rows, st.randoms(use_true_random=False))
def test_shuffling_rows_leaves_each_row_in_its_fold(rows, random):
    order = list(range(len(rows)))
    random.shuffle(order)
    labels = np.array([label for label, _ in rows])
    groups = [f"patient {group}" for _, group in rows]
    straight = group_folds(labels, groups, 3, 7)
    shuffled = group_folds(labels[order], [groups[i] for i in order], 3, 7)
    assert shuffled.tolist() == straight[order].tolist()


def test_rows_of_their_own_are_spread_within_one_row():
    labels = np.repeat([0, 1, 2], [50, 23, 7])
    numbers = group_folds(labels, [f"{i}.png" for i in range(80)], 5, 0)
    for label, n in enumerate((50, 23, 7)):  # 50 / 5 = 10 exactly; 23 / 5 = 4.6 -> 4 or 5; 7 / 5 = 1.4 -> 1 or 2
        counts = np.bincount(numbers[labels == label], minlength=5)
        assert set(counts.tolist()) <= {n // 5, -(-n // 5)}


def test_another_seed_gives_other_folds():
    labels = np.zeros(40, dtype=np.int64)
    keys = [f"{i}.png" for i in range(40)]
    assert group_folds(labels, keys, 4, 0).tolist() == group_folds(labels, keys, 4, 0).tolist()
    assert group_folds(labels, keys, 4, 0).tolist() != group_folds(labels, keys, 4, 1).tolist()


@pytest.mark.parametrize("pure", [True, False])
def test_classes_are_spread_at_least_as_evenly_as_by_scikit_learn(pure):
    ours, theirs = [], []
    for seed in range(8):
        labels, groups = grouped_set(seed, pure=pure)
        oracle = np.zeros_like(labels)
        splitter = StratifiedGroupKFold(5, shuffle=True, random_state=0)
        for fold, (_, held_out) in enumerate(splitter.split(labels, labels, groups)):
            oracle[held_out] = fold
        ours.append(unevenness(labels, group_folds(labels, [str(group) for group in groups], 5, 0), 5))
        theirs.append(unevenness(labels, oracle, 5))
    assert np.mean(ours) <= np.mean(theirs)
    assert np.mean(np.array(ours) <= np.array(theirs) + 1e-3) >= 0.9


def test_every_fold_gets_each_class_that_has_enough_groups():
    # Class 1 has 3 groups of 4 rows: one a fold.
    labels = np.repeat([0, 1], [60, 12])
    groups = [f"a{i // 5}" for i in range(60)] + [f"b{i // 4}" for i in range(12)]
    numbers = group_folds(labels, groups, 3, 0)
    assert np.bincount(numbers[labels == 1], minlength=3).tolist() == [4, 4, 4]


def test_folds_are_as_many_as_asked_for_where_groups_allow_it():
    labels = np.repeat([0, 1], 5)
    assert usable_folds(labels, [str(i) for i in range(10)], 5) == (5, "every class has at least 5 separate groups")


def test_folds_are_no_more_than_the_groups_of_the_rarest_class():
    labels = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    groups = ["a", "b", "c", "d", "e", "e", "f", "g"]  # class 1 lies in e, f and g
    folds, reason = usable_folds(labels, groups, 5)
    assert folds == 3
    assert "3 separate groups" in reason


def test_a_class_of_one_group_cannot_be_cross_validated():
    with pytest.raises(DataError, match="rarest class has 1 separate groups"):
        usable_folds(np.array([0, 0, 1, 1]), ["a", "b", "c", "c"], 5)


def test_a_class_of_one_group_is_learned_from_in_every_fold_and_judged_in_none():
    """Class 2 is one group of two rows; the others have four groups each."""
    labels = np.array([0, 0, 0, 0, 1, 1, 1, 1, 2, 2])
    groups = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "i"]
    folds, count, why = folds_around_lone(labels, groups, 3, 0)
    assert folds[labels == 2].tolist() == [SEEN_BY_ALL, SEEN_BY_ALL]
    assert folds[:8].tolist() == group_folds(labels[:8], groups[:8], 3, 0).tolist()
    assert count == 3
    assert why == (
        "1 class has one group only, which every fold learns from and none judges; of the others, every class has at least 3 "
        "separate groups"
    )


def test_without_a_class_of_one_group_the_folds_are_the_usual_ones():
    labels, groups = grouped_set(3, pure=True)
    groups = [str(group) for group in groups]
    count, why = usable_folds(labels, groups, 4)
    folds, found, reason = folds_around_lone(labels, groups, 4, 7)
    assert (found, reason) == (count, why)
    assert folds.tolist() == group_folds(labels, groups, count, 7).tolist()


def test_a_lone_group_takes_along_what_it_holds_of_other_classes_and_whom_that_leaves_alone():
    """Group c alone has class 2, and with it goes one of class 1's two groups, so that class 1 has d alone."""
    labels = np.array([0, 0, 1, 2, 1, 3, 3])
    groups = ["a", "b", "c", "c", "d", "e", "f"]
    assert lone_rows(labels, groups).tolist() == [False, False, True, True, True, False, False]


def test_one_class_that_is_left_cannot_be_cross_validated():
    with pytest.raises(DataError, match="of 2 classes among 4 pictures, 1 has that"):
        folds_around_lone(np.array([0, 0, 0, 1]), ["a", "b", "c", "d"], 3, 0)
    with pytest.raises(DataError, match="of 2 classes among 4 pictures, 0 have that"):
        folds_around_lone(np.array([0, 0, 1, 1]), ["a", "a", "b", "b"], 3, 0)


def test_no_rows_give_no_folds():
    assert group_folds(np.zeros(0, dtype=np.int64), [], 3, 0).tolist() == []
