import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from eyebright.core.decision import Decision
from eyebright.core.errors import DataError
from eyebright.core.predictions import Predictions
from eyebright.evaluation.comparison import compare_tables, mcnemar_exact

from .tables import keys_of, random_table, table_from

NAMES = ("old", "new")
SURE, WRONG = [0.9, 0.1], [0.1, 0.9]


def compared(first: Predictions, second: Predictions):
    return compare_tables((first, Decision()), (second, Decision()), names=NAMES)


@settings(max_examples=60, deadline=None)
@given(first=st.integers(0, 60), second=st.integers(0, 60))
def test_the_exact_test_is_scipys_binomial_test(first, second):
    expected = binomtest(first, first + second, 0.5).pvalue if first + second else 1.0
    assert mcnemar_exact(first, second) == pytest.approx(expected, abs=1e-9)


def test_many_disagreements_do_not_overflow():
    assert mcnemar_exact(3000, 3000) == 1.0
    assert mcnemar_exact(0, 5000) == 0.0


def test_right_and_wrong_are_counted_picture_by_picture():
    # Labels are all 0. Old is right on the first three, new on the second to fourth.
    old = table_from([SURE, SURE, SURE, WRONG, WRONG], [0] * 5)
    new = table_from([WRONG, SURE, SURE, SURE, WRONG], [0] * 5)
    found = compared(old, new)
    assert (found.both_right, found.only_first, found.only_second, found.both_wrong) == (2, 1, 1, 1)
    assert found.figures["accuracy"].difference.value == 0
    assert found.disagreements == ["00000.jpg", "00003.jpg"]
    assert found.p_value == 1.0


def test_a_model_compared_with_itself_is_no_better():
    table = random_table(1)
    found = compared(table, table)
    assert {row.better for row in found.figures.values()} == {"neither"}
    assert "No difference" in found.verdict


def test_the_better_model_is_named_whichever_comes_first():
    poor = random_table(1, n=400)
    logits = poor.logits.copy()
    logits[np.arange(400), poor.labels] += 2
    good = Predictions(poor.keys, poor.labels, logits, poor.classes)
    assert compared(poor, good).figures["accuracy"].better == "second"
    assert compared(good, poor).figures["accuracy"].better == "first"
    assert compared(poor, good).figures["log_loss"].better == "second"  # the lower loss, not the higher figure
    assert compared(poor, good).verdict.startswith("new is right more often")


def test_pairing_makes_the_interval_narrower_than_two_separate_ones():
    """The same hard pictures defeat both models: their difference is known better than either accuracy."""
    first = random_table(4, n=400)
    logits = first.logits + np.random.default_rng(0).normal(scale=0.1, size=first.logits.shape).astype(np.float32)
    found = compared(first, Predictions(first.keys, first.labels, logits, first.classes)).figures["accuracy"].difference
    share = float((first.logits.argmax(axis=1) == first.labels).mean())
    unpaired = 2 * 1.96 * np.sqrt(2 * share * (1 - share) / 400)
    assert found.high - found.low < unpaired / 2


def test_rows_and_classes_are_matched_by_name_not_by_place():
    table = random_table(2, n=60)
    order, classes = np.arange(60)[::-1], np.array([2, 0, 3, 1])
    inverse = np.argsort(classes)
    turned = Predictions(
        tuple(table.keys[row] for row in order),
        inverse[table.labels[order]].astype(np.int64),
        table.logits[order][:, classes],
        tuple(table.classes[k] for k in classes),
    )
    found = compared(table, turned)
    assert found.only_first == found.only_second == 0
    assert found.figures["log_loss"].difference.value == pytest.approx(0, abs=1e-9)


def test_only_shared_pictures_are_compared_and_that_is_said():
    first = random_table(1, n=100)
    second = first.select(np.arange(40))
    found = compared(first, second)
    assert found.n == 40
    assert "Only 40 pictures are shared, of 100 in old and 40 in new" in found.warnings[0]


def test_pictures_in_groups_have_no_mcnemar_test():
    table = random_table(1, n=60, group_size=5)
    found = compared(table, table)
    assert found.p_value is None
    assert found.groups == 12


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"classes": ("a", "b", "c", "d")}, "do not have the same classes"),
        ({"keys": tuple(f"other/{key}" for key in keys_of(20))}, "none is shared"),
    ],
)
def test_what_cannot_be_compared_is_refused(change, said):
    table = random_table(1, n=20)
    fields = {"keys": table.keys, "labels": table.labels, "logits": table.logits, "classes": table.classes}
    with pytest.raises(DataError, match=said):
        compared(table, Predictions(**{**fields, **change}))


def test_a_changed_label_is_refused():
    table = random_table(1, n=20)
    labels = (table.labels + 1) % 4
    with pytest.raises(DataError, match="one class in old and another in new"):
        compared(table, Predictions(table.keys, labels, table.logits, table.classes))


def test_groups_that_one_run_alone_knows_of_count_for_both_whichever_comes_first():
    grouped = random_table(1, n=60, group_size=5)
    plain = Predictions(grouped.keys, grouped.labels, grouped.logits, grouped.classes)
    for found in (compared(grouped, plain), compared(plain, grouped)):
        assert found.groups == 12
        assert found.p_value is None
        assert "knows which pictures belong together" in found.warnings[0]
