import numpy as np
import pytest
from sklearn import metrics

from eyebright.core.decision import Decision
from eyebright.evaluation.folds import cross_validation

from .tables import random_table, table_from


def test_folds_mean_and_spread_are_those_of_each_fold_alone():
    # Fold 0: 2 of 2 right; fold 1: 1 of 2 right. Mean 0.75, spread sqrt((0.25**2 + 0.25**2) / 1) = 0.3536.
    table = table_from([[0.9, 0.1], [0.1, 0.9], [0.9, 0.1], [0.9, 0.1]], [0, 1, 0, 1])
    found = cross_validation(table, np.array([0, 0, 1, 1]), Decision(), how="by hand")
    assert [fold.figures["accuracy"] for fold in found.folds] == [1.0, 0.5]
    assert found.mean["accuracy"] == pytest.approx(0.75)
    assert found.spread["accuracy"] == pytest.approx(0.35355, abs=1e-5)
    assert [fold.n for fold in found.folds] == [2, 2]


def test_the_pooled_figures_are_scikit_learns_with_intervals():
    table = random_table(3, n=300)
    found = cross_validation(table, np.arange(300) % 5, Decision(temperature=2.0), how="")
    answers = table.logits.argmax(axis=1)
    assert found.figures["f1_macro"].value == pytest.approx(metrics.f1_score(table.labels, answers, average="macro"))
    probabilities = Decision(temperature=2.0).probabilities(table.logits).astype(np.float64)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    assert found.figures["log_loss"].value == pytest.approx(metrics.log_loss(table.labels, probabilities), rel=1e-5)
    assert found.figures["accuracy"].method == "wilson"


def test_pictures_in_groups_count_as_what_their_groups_are_worth():
    found = cross_validation(random_table(3, n=300, group_size=10), np.arange(300) // 100, Decision(), how="")
    assert found.figures["accuracy"].method == "cluster-wilson"
    assert found.figures["f1_macro"].method == "cluster-bootstrap"
