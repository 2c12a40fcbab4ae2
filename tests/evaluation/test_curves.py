import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from eyebright.core.decision import Decision
from eyebright.evaluation import curves

from .tables import random_table, table_from


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(2, 80), levels=st.integers(1, 30))
def test_the_area_and_average_precision_are_scikit_learns_ties_included(seed, n, levels):
    generator = np.random.default_rng(seed)
    scores = generator.integers(0, levels, n) / levels
    positives = generator.random(n) < 0.4
    positives[:2] = [True, False]
    assert float(curves.roc_auc(scores, positives)) == pytest.approx(metrics.roc_auc_score(positives, scores))
    assert curves.average_precision(scores, positives) == pytest.approx(metrics.average_precision_score(positives, scores))


@pytest.mark.parametrize("seed", range(3))
def test_the_area_under_weights_is_scikit_learns(seed):
    generator = np.random.default_rng(seed)
    scores, positives = generator.integers(0, 20, 100) / 20, generator.random(100) < 0.3
    weights = generator.integers(0, 4, 100).astype(np.float64)
    expected = metrics.roc_auc_score(positives, scores, sample_weight=weights)
    assert float(curves.roc_auc(scores, positives, weights)) == pytest.approx(expected)


def test_one_against_the_rest_is_scikit_learns():
    table, decision = random_table(1, n=300, classes=5), Decision(temperature=1.7)
    probabilities = decision.probabilities(table.logits).astype(np.float64)
    expected = metrics.roc_auc_score(
        table.labels, probabilities / probabilities.sum(axis=1, keepdims=True), multi_class="ovr", average="macro"
    )
    # Within 1e-6: making the rows sum to one again, as scikit-learn insists, may break a tie.
    assert float(curves.roc_auc_ovr(table, decision)) == pytest.approx(expected, abs=1e-6)


def test_classes_without_pictures_are_left_out_of_the_mean():
    table = random_table(2, n=60, classes=3, missing=1)
    probabilities = Decision().probabilities(table.logits)
    areas = [metrics.roc_auc_score(table.labels == k, probabilities[:, k]) for k in (0, 2)]
    assert float(curves.roc_auc_ovr(table, Decision())) == pytest.approx(np.mean(areas))


def test_one_class_alone_has_no_area():
    table = table_from([[0.9, 0.1], [0.6, 0.4]], [0, 0])
    assert np.isnan(curves.roc_auc_ovr(table, Decision()))
    assert len(curves.roc_curve(table.logits[:, 0], table.labels == 0)) == 0
    assert curves.average_precision(table.logits[:, 0], table.labels == 1) is None


def test_a_short_curve_is_scikit_learns():
    scores, positives = np.array([0.1, 0.4, 0.35, 0.8]), np.array([False, False, True, True])
    # From the top: 0.8 is a positive, 0.4 a negative, 0.35 a positive, 0.1 a negative.
    assert curves.roc_curve(scores, positives).tolist() == [[0, 0], [0, 0.5], [0.5, 0.5], [0.5, 1], [1, 1]]


@pytest.mark.parametrize("share", [0.01, 0.3, 0.99])
@pytest.mark.parametrize("lead", [-1.0, 0.0, 1.5, 6.0])
def test_a_long_curve_is_thinned_without_losing_area(share, lead):
    generator = np.random.default_rng(7)
    positives = generator.random(5000) < share
    scores = generator.normal(size=5000) + lead * positives
    curve = curves.roc_curve(scores, positives)
    assert len(curve) <= curves.ROC_POINTS
    assert (curve[0] == 0).all()
    assert (curve[-1] == 1).all()
    assert (np.diff(curve, axis=0) > -1e-12).all(), "a ROC curve never falls"
    assert np.trapezoid(curve[:, 1], curve[:, 0]) == pytest.approx(metrics.roc_auc_score(positives, scores), abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(2, 80), levels=st.integers(1, 30))
def test_every_point_of_a_short_precision_recall_curve_is_one_of_scikit_learns(seed, n, levels):
    generator = np.random.default_rng(seed)
    scores, positives = generator.integers(0, levels, n) / levels, generator.random(n) < 0.4
    positives[0] = True
    precisions, recalls, _ = metrics.precision_recall_curve(positives, scores)
    best = {}
    for precision, recall in zip(precisions[:-1], recalls[:-1], strict=True):
        best[round(recall, 9)] = max(best.get(round(recall, 9), 0.0), precision)
    found = {round(recall, 9): precision for recall, precision in curves.precision_recall_curve(scores, positives)}
    best.pop(0.0, None)
    assert found == pytest.approx(best)


def test_a_long_precision_recall_curve_is_thinned_and_keeps_its_ends():
    generator = np.random.default_rng(7)
    positives = generator.random(5000) < 0.3
    curve = curves.precision_recall_curve(generator.normal(size=5000) + positives, positives)
    assert len(curve) <= curves.ROC_POINTS
    assert curve[-1, 0] == 1
    assert (np.diff(curve[:, 0]) > 0).all()


def test_a_class_without_pictures_has_no_precision_recall_curve():
    assert len(curves.precision_recall_curve(np.array([0.1, 0.2]), np.array([False, False]))) == 0
