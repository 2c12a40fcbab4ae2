"""Class weights and sizes, against scikit-learn's and against numbers worked out by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.utils.class_weight import compute_class_weight

from eyebright.data.balance import EFFECTIVE_BETA, class_sizes, class_weights, sampling_weights

labels_of_all_classes = st.lists(st.integers(0, 4), max_size=80).map(lambda rest: np.array([0, 1, 2, 3, 4, *rest]))


@given(labels_of_all_classes)
def test_inverse_weights_are_scikit_learns_balanced_ones(labels):
    oracle = compute_class_weight("balanced", classes=np.arange(5), y=labels)
    np.testing.assert_allclose(class_weights(labels, 5), oracle, rtol=1e-6)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=80), st.sampled_from(["none", "inverse", "effective"]))
def test_the_mean_weight_of_a_sample_is_one(labels, scheme):
    labels = np.array(labels)
    weights = class_weights(labels, 6, scheme=scheme)
    assert weights.dtype == np.float32
    assert weights[labels].sum() == pytest.approx(len(labels), rel=1e-5)


def test_a_class_without_samples_weighs_nothing():
    for scheme in ("none", "inverse", "effective"):
        assert class_weights(np.array([0, 0, 2]), 3, scheme=scheme)[1] == 0


def test_effective_weights_follow_equation_two():
    # Effective numbers of 3 and 1 samples: (1 - b^3) / (1 - b) = 1 + b + b^2, and 1. Their ratio is the weights' ratio.
    weights = class_weights(np.array([0, 0, 0, 1]), 2, scheme="effective")
    assert weights[1] / weights[0] == pytest.approx(1 + EFFECTIVE_BETA + EFFECTIVE_BETA**2, rel=1e-6)


def test_effective_weights_level_less_than_inverse_ones_where_classes_are_large():
    labels = np.repeat([0, 1], [10_000, 1_000])
    inverse, effective = class_weights(labels, 2), class_weights(labels, 2, scheme="effective")
    assert inverse[1] / inverse[0] == pytest.approx(10)
    assert effective[1] / effective[0] == pytest.approx((1 - 0.999**10_000) / (1 - 0.999**1_000), rel=1e-4)  # about 1.6


def test_no_labels_give_no_weights():
    assert class_weights(np.zeros(0, dtype=np.int64), 3).tolist() == [0, 0, 0]


SAMPLINGS = ("none", "over", "under", "sqrt")


@pytest.mark.parametrize(("sampling", "expected"), [
    ("none", [100, 25, 0, 4]),
    ("over", [100, 100, 0, 100]),
    ("under", [4, 4, 0, 4]),
    ("sqrt", [100, 50, 0, 20]),  # sqrt(100 * 25), sqrt(100 * 4)
])  # fmt: skip
def test_sampling_levels_the_classes_that_have_pictures(sampling, expected):
    assert class_sizes(np.array([100, 25, 0, 4]), sampling).tolist() == expected


@given(st.lists(st.integers(0, 500), min_size=1, max_size=8).map(np.array), st.sampled_from(SAMPLINGS))
def test_no_class_is_drawn_more_often_than_the_largest_or_vanishes(counts, sampling):
    sizes = class_sizes(counts, sampling)
    assert ((sizes > 0) == (counts > 0)).all()
    assert sizes.max() <= counts.max()
    if sampling == "under":
        assert (sizes <= counts).all()
    else:
        assert (sizes >= counts).all()


@given(labels_of_all_classes, st.sampled_from(SAMPLINGS))
def test_weights_that_stand_for_a_sampling_are_how_often_a_picture_is_drawn(labels, sampling):
    counts = np.bincount(labels, minlength=6)
    weights = sampling_weights(labels, 6, sampling=sampling)
    drawn = np.array([size / count if count else 0 for size, count in zip(class_sizes(counts, sampling), counts, strict=True)])
    np.testing.assert_allclose(weights * drawn[0], drawn * weights[0], rtol=1e-5)
    assert weights[labels].sum() == pytest.approx(len(labels), rel=1e-5)
    assert weights[5] == 0


@given(labels_of_all_classes, st.sampled_from(["over", "under"]))
def test_over_and_under_sampling_stand_for_inverse_weights(labels, sampling):
    np.testing.assert_allclose(sampling_weights(labels, 5, sampling=sampling), class_weights(labels, 5), rtol=1e-5)


def test_square_root_sampling_stands_for_the_root_of_the_inverse_weights():
    labels = np.repeat([0, 1], [900, 100])
    weights = sampling_weights(labels, 2, sampling="sqrt")
    assert weights[1] / weights[0] == pytest.approx(3)
