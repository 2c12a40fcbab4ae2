"""Which pictures an epoch shows: counts that can be checked by hand, and what holds for any labels."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eyebright.core import seeds
from eyebright.training.sampling import epoch_draws, epoch_size

labels_of_some = st.lists(st.integers(0, 5), min_size=1, max_size=60).map(lambda labels: np.array(labels, dtype=np.int64))
SAMPLINGS = ("none", "over", "under", "sqrt")
LABELS = np.repeat([0, 1, 2], [10, 4, 3])


def hashes_of(labels):
    return seeds.key_hashes([f"picture {row}" for row in range(len(labels))])


def draws(labels, sampling, *, seed=0, epoch=0):
    return epoch_draws(labels, hashes_of(labels), sampling, seed=seed, epoch=epoch)


def test_without_sampling_every_picture_is_shown_once_under_its_own_hash():
    shown = draws(LABELS, "none")
    assert shown.rows.tolist() == list(range(17))
    assert (shown.hashes == hashes_of(LABELS)).all()


def test_over_sampling_repeats_the_rare_until_all_are_as_many_as_the_largest():
    times = np.bincount(draws(LABELS, "over").rows, minlength=17)
    assert times[:10].tolist() == [1] * 10
    assert sorted(times[10:14]) == [2, 2, 3, 3]  # 10 = 4 * 2 + 2
    assert sorted(times[14:]) == [3, 3, 4]  # 10 = 3 * 3 + 1


def test_square_root_sampling_meets_it_half_way():
    times = np.bincount(draws(LABELS, "sqrt").rows, minlength=17)
    # sqrt(10 * 4) = 6.3 and sqrt(10 * 3) = 5.5
    assert [int(times[label == LABELS].sum()) for label in range(3)] == [10, 6, 5]


def test_under_sampling_shows_a_fresh_part_of_each_class_until_all_were_seen():
    epochs = [draws(LABELS, "under", epoch=epoch).rows for epoch in range(40)]
    for rows in epochs:
        assert np.bincount(LABELS[rows]).tolist() == [3, 3, 3]
        assert len(set(rows.tolist())) == 9
    assert len({tuple(rows) for rows in epochs}) > 30
    assert set(np.concatenate(epochs).tolist()) == set(range(17))


def test_who_is_repeated_changes_from_epoch_to_epoch_and_with_the_seed():
    kept = {tuple(draws(LABELS, "over", epoch=epoch, seed=seed).rows) for epoch in range(5) for seed in range(2)}
    assert len(kept) > 5


@given(labels_of_some, st.sampled_from(SAMPLINGS))
def test_the_epoch_has_the_size_that_was_announced(labels, sampling):
    assert len(draws(labels, sampling)) == epoch_size(labels, sampling)


@given(labels_of_some, st.sampled_from(["over", "sqrt"]))
def test_no_picture_is_left_out_by_drawing_more(labels, sampling):
    shown = draws(labels, sampling)
    times = np.bincount(shown.rows, minlength=len(labels))
    assert times.min() >= 1
    for label in np.unique(labels):
        assert np.ptp(times[labels == label]) <= 1  # fair within the class


@given(labels_of_some, st.sampled_from(SAMPLINGS))
def test_every_draw_has_a_hash_of_its_own_and_the_first_the_pictures(labels, sampling):
    shown, hashes = draws(labels, sampling), hashes_of(labels)
    assert len(set(shown.hashes.tolist())) == len(shown)
    first = np.unique(shown.rows, return_index=True)[1]
    assert (shown.hashes[first] == hashes[shown.rows[first]]).all()
    assert (np.diff(shown.rows) >= 0).all()


@given(labels_of_some, st.sampled_from(SAMPLINGS), st.randoms(use_true_random=False))
def test_the_order_in_which_pictures_are_stored_does_not_matter(labels, sampling, random):
    hashes = hashes_of(labels)
    turned = np.array(random.sample(range(len(labels)), len(labels)))
    plain = epoch_draws(labels, hashes, sampling, seed=1, epoch=2)
    other = epoch_draws(labels[turned], hashes[turned], sampling, seed=1, epoch=2)
    assert sorted(plain.hashes.tolist()) == sorted(other.hashes.tolist())


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_a_class_without_pictures_is_not_drawn(sampling):
    labels = np.array([0, 0, 0, 2], dtype=np.int64)
    assert set(labels[draws(labels, sampling).rows].tolist()) == {0, 2}


def test_a_part_of_the_draws_keeps_rows_and_hashes_together():
    shown = draws(LABELS, "over")
    part = shown[np.array([3, 20])]
    assert part.rows.tolist() == shown.rows[[3, 20]].tolist()
    assert part.hashes.tolist() == shown.hashes[[3, 20]].tolist()
