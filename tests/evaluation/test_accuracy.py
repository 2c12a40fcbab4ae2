import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from eyebright.core.errors import DataError
from eyebright.evaluation import accuracy

from .tables import random_table, table_from


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(1, 60), classes=st.integers(2, 9))
def test_every_figure_is_scikit_learns(seed, n, classes):
    table = random_table(seed, n=n, classes=classes, missing=0 if seed % 2 else None)
    answered = table.logits.argmax(axis=1)
    expected = {"accuracy": metrics.accuracy_score(table.labels, answered)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn warns of answers that no label has
        expected["balanced_accuracy"] = metrics.balanced_accuracy_score(table.labels, answered)
    for average in ("macro", "weighted"):
        scores = metrics.precision_recall_fscore_support(table.labels, answered, average=average, zero_division=0)
        expected |= dict(zip((f"{name}_{average}" for name in ("precision", "recall", "f1")), scores[:3], strict=True))
    found = {name: float(value) for name, value in accuracy.figures(accuracy.count(table)).items()}
    assert found == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(3))
def test_the_figures_of_each_class_and_the_confusion_matrix_are_scikit_learns(seed):
    table = random_table(seed, n=50, classes=6, missing=2)
    answered = table.logits.argmax(axis=1)
    counts = accuracy.count(table)
    expected = metrics.precision_recall_fscore_support(table.labels, answered, labels=range(6), zero_division=np.nan)
    for function, values in zip((accuracy.precision, accuracy.recall, accuracy.f1), expected[:3], strict=True):
        np.testing.assert_allclose(function(counts), values)
    matrix = metrics.confusion_matrix(table.labels, answered, labels=range(6))
    assert (accuracy.confusion_matrix(table) == matrix).all()


@pytest.mark.parametrize("k", [1, 2, 5])
def test_top_k_accuracy_is_scikit_learns(k):
    table = random_table(3, n=100, classes=8)
    expected = metrics.top_k_accuracy_score(table.labels, table.logits, k=k, labels=range(8))
    assert float(accuracy.top_k_accuracy(table, k)) == pytest.approx(expected)


def test_top_1_of_equal_logits_is_the_answer_itself():
    table = table_from([[0.25] * 4] * 4, [0, 1, 2, 3])
    # All logits are equal: the first class is answered, so one of the four labels is right; two are in the first two.
    assert accuracy.right_in_top(table, 1).tolist() == accuracy.right_answers(table).tolist() == [True, False, False, False]
    assert accuracy.right_in_top(table, 2).tolist() == [True, True, False, False]


def test_a_class_never_answered_has_no_precision_and_counts_as_none_in_the_average():
    table = table_from([[0.9, 0.1], [0.9, 0.1]], [0, 1])
    counts = accuracy.count(table)
    np.testing.assert_equal(accuracy.precision(counts), [0.5, np.nan])
    assert float(accuracy.macro(accuracy.precision(counts), counts)) == 0.25  # (1/2 + 0) / 2


def test_rows_without_a_label_are_dropped_and_never_counted():
    table = table_from([[0.9, 0.1], [0.2, 0.8]], [0, -1])
    assert accuracy.labelled(table).keys == ("00000.jpg",)
    with pytest.raises(DataError, match="1 of 2 rows have no label"):
        accuracy.count(table)


def test_a_table_without_any_label_is_refused():
    with pytest.raises(DataError, match="None of the 2 pictures has a label"):
        accuracy.labelled(table_from([[0.9, 0.1], [0.2, 0.8]], [-1, -1]))


def test_a_label_that_is_no_class_is_refused():
    with pytest.raises(DataError, match="has label 2; there are 2 classes"):
        accuracy.labelled(table_from([[0.9, 0.1]], [2]))
