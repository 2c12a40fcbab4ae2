import json
import math
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.dummy import DummyClassifier
from sklearn.metrics import f1_score, log_loss

from eyebright.core.decision import Decision
from eyebright.core.errors import DataError, ModelError
from eyebright.core.predictions import Predictions
from eyebright.core.report import Evaluation
from eyebright.evaluation import judge
from eyebright.evaluation.intervals import wilson

from .tables import keys_of, names_of, random_table, table_from


def test_every_figure_is_there_and_lies_in_its_interval():
    found = judge(random_table(0, n=300, classes=6), Decision(temperature=1.5), part="test")
    averages = {f"{name}_{average}" for name in ("precision", "recall", "f1") for average in ("macro", "weighted")}
    others = {"accuracy", "balanced_accuracy", "top_5_accuracy", "roc_auc_ovr", "log_loss", "brier", "ece", "ece_before"}
    assert set(found.figures) == averages | others
    for name, figure in found.figures.items():
        assert figure.low <= figure.value <= figure.high, name
        assert figure.n == 300
    assert (found.part, found.n, found.temperature) == ("test", 300, 1.5)


def test_accuracy_has_wilsons_interval_where_every_picture_stands_alone():
    table = random_table(1)
    accuracy = judge(table, Decision(), part="test").figures["accuracy"]
    right = int((table.logits.argmax(axis=1) == table.labels).sum())
    assert (accuracy.low, accuracy.high) == wilson(right, 200)


def test_five_classes_have_no_top_five():
    assert "top_5_accuracy" not in judge(random_table(0, n=20, classes=5), Decision(), part="test").figures


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1000), group_size=st.sampled_from([1, 4]))
def test_shuffling_the_pictures_changes_nothing(seed, group_size):
    table = random_table(seed, n=60, classes=3, group_size=group_size)
    order = np.random.default_rng(seed).permutation(60)
    one, other = (judge(t, Decision(temperature=0.8), part="test") for t in (table, table.select(order)))
    for name, figure in one.figures.items():
        assert other.figures[name].model_dump() == pytest.approx(figure.model_dump(), abs=1e-5), name
    assert (one.classes, one.confusion, one.roc, one.mistakes) == (other.classes, other.confusion, other.roc, other.mistakes)


def test_pictures_in_groups_have_wider_intervals_and_a_warning():
    patients = random_table(2, n=30, classes=3)
    copies = patients.select(np.repeat(np.arange(30), 5))
    keys = keys_of(150)
    grouped = Predictions(keys, copies.labels, copies.logits, copies.classes, groups=copies.groups)
    single = Predictions(keys, copies.labels, copies.logits, copies.classes)
    wide, narrow = (judge(table, Decision(), part="test") for table in (grouped, single))
    for name, figure in wide.figures.items():
        if name.startswith("ece"):
            continue  # an absolute gap's resamples are biased by more than their spread
        assert figure.method == ("cluster-wilson" if name in ("accuracy", "top_5_accuracy") else "cluster-bootstrap"), name
        assert figure.high - figure.low > 1.5 * (narrow.figures[name].high - narrow.figures[name].low), name
    assert any("150 pictures come in 30 groups" in warning for warning in wide.warnings)
    for name in wide.classes:
        assert wide.classes[name].recall == narrow.classes[name].recall
        assert wide.classes[name].recall_low < narrow.classes[name].recall_low


def test_the_figures_without_leaks_are_those_of_the_table_without_the_planted_rows():
    table = random_table(3, n=120)
    planted = range(0, 120, 3)
    leaked = frozenset(table.keys[row] for row in planted) | {"another-part.jpg"}
    found = judge(table, Decision(), part="test", leaked=leaked)
    clean = judge(table.select(np.array([row % 3 != 0 for row in range(120)])), Decision(), part="test")
    assert found.leaked == 40
    assert found.without_leaks == {name: clean.figures[name] for name in ("accuracy", "balanced_accuracy", "f1_macro")}
    assert any("40 pictures leaked" in warning for warning in found.warnings)
    assert clean.without_leaks is None


def test_where_all_leaked_nothing_is_known():
    table = random_table(3, n=9)
    found = judge(table, Decision(), part="test", leaked=frozenset(table.keys))
    assert [(figure.value, figure.n) for figure in found.without_leaks.values()] == [(None, 0)] * 3
    assert any("All 9 pictures leaked" in warning for warning in found.warnings)


def test_the_majority_baseline_is_scikit_learns_dummy():
    table = random_table(4, n=90, classes=3, missing=0)
    dummy = DummyClassifier(strategy="prior").fit(np.zeros((90, 1)), table.labels)
    answered, probabilities = dummy.predict(np.zeros((90, 1))), dummy.predict_proba(np.zeros((90, 1)))
    majority = judge(table, Decision(), part="test").baselines["majority"]
    assert majority["accuracy"].value == pytest.approx((answered == table.labels).mean())
    assert majority["balanced_accuracy"].value == 0.5  # two classes have pictures; one of them is all right, one all wrong
    assert majority["f1_macro"].value == pytest.approx(f1_score(table.labels, answered, average="macro", zero_division=0))
    assert majority["log_loss"].value == pytest.approx(log_loss(table.labels, probabilities))


def test_the_majority_may_come_from_training():
    table = table_from([[0.9, 0.1]] * 4, [0, 0, 0, 1])
    assert judge(table, Decision(), part="test", majority=1).baselines["majority"]["accuracy"].value == 0.25


def test_the_random_baseline_is_what_many_guesses_average():
    table = random_table(5, n=400, classes=4, missing=1)
    generator = np.random.default_rng(6)
    guesses = [generator.integers(0, 4, 400) for _ in range(200)]
    random = judge(table, Decision(), part="test").baselines["random"]
    assert random["accuracy"].value == random["balanced_accuracy"].value == 0.25
    assert random["log_loss"].value == math.log(4)
    expected = np.mean([f1_score(table.labels, guess, average="macro", zero_division=0) for guess in guesses])
    assert random["f1_macro"].value == pytest.approx(expected, abs=0.005)


def test_a_class_says_what_it_is_taken_for():
    table = table_from([[0.2, 0.7, 0.1], [0.2, 0.7, 0.1], [0.2, 0.1, 0.7], [0.1, 0.8, 0.1]], [0, 0, 0, 1])
    found = judge(table, Decision(), part="test")
    assert found.confusion == [[0, 2, 1], [0, 1, 0], [0, 0, 0]]
    first, second, third = found.classes.values()
    assert (first.precision, first.recall, first.f1, first.n, first.most_confused_with) == (None, 0.0, 0.0, 3, "class-1")
    assert (second.precision, second.recall, second.most_confused_with) == (1 / 3, 1.0, None)
    assert (third.precision, third.recall, third.recall_low, third.roc_auc, third.n) == (0.0, None, None, None, 0)
    assert "No picture of class-2 in the test part: nothing is known about these classes." in found.warnings
    assert (first.recall_low, first.recall_high) == wilson(0, 3)


def test_the_mistakes_are_the_most_confident_ones_and_no_more_than_a_page():
    found = judge(random_table(6, n=300), Decision(temperature=2), part="test")
    sure = [mistake.probability for mistake in found.mistakes]
    assert len(sure) == 24
    assert sure == sorted(sure, reverse=True)
    assert all(mistake.label != mistake.predicted and mistake.thumbnail is None for mistake in found.mistakes)


def test_a_mistake_names_picture_label_answer_and_calibrated_probability():
    table = table_from([[0.8, 0.2], [0.9, 0.1]], [1, 0])
    (mistake,) = judge(table, Decision(temperature=2), part="test").mistakes
    # Logits over 2 are square roots of the odds: 0.8 / 0.2 = 4 becomes 2, and 2 / (2 + 1) = 2/3.
    assert (mistake.key, mistake.label, mistake.predicted) == ("00000.jpg", "class-1", "class-0")
    assert mistake.probability == pytest.approx(2 / 3)


def test_rows_without_a_label_are_dropped_and_said_to_be():
    table = random_table(7, n=150)
    table.labels[:7] = -1
    found = judge(table, Decision(), part="validation")
    assert found.n == 143
    assert found.warnings == ["7 pictures without a known label: left out."]


def test_small_parts_carry_a_warning():
    assert "Only 40 pictures: the intervals are wide." in judge(random_table(0, n=40), Decision(), part="test").warnings
    assert judge(random_table(0, n=100), Decision(), part="test").warnings == []


def test_one_picture_can_be_judged():
    found = judge(table_from([[0.7, 0.3]], [0]), Decision(), part="test")
    assert (found.figures["accuracy"].value, found.figures["roc_auc_ovr"].value) == (1.0, None)
    assert "NaN" not in found.model_dump_json()


def test_a_perfect_model_does_not_claim_certainty():
    found = judge(table_from([[0.7, 0.3], [0.2, 0.8]] * 10, [0, 1] * 10), Decision(), part="test")
    for name in ("accuracy", "balanced_accuracy", "f1_macro", "roc_auc_ovr"):
        assert found.figures[name].value == 1
        assert found.figures[name].low == pytest.approx(wilson(20, 20)[0]), name


def test_an_evaluation_survives_json():
    found = judge(random_table(8, n=50, classes=7, missing=3), Decision(), part="test", views=("identity", "mirror"))
    text = found.model_dump_json(by_alias=True)
    assert json.loads(text)["views"] == ["identity", "mirror"]
    assert Evaluation.model_validate_json(text) == found


def test_unfit_tables_are_refused():
    table = random_table(0, n=5)
    table.labels[:] = -1
    with pytest.raises(DataError, match="None of the 5"):
        judge(table, Decision(), part="test")
    broken = random_table(0, n=5)
    broken.logits[0, 0] = np.nan
    with pytest.raises(ModelError, match="not finite"):
        judge(broken, Decision(), part="test")


def test_ten_thousand_pictures_of_43_classes_are_judged_in_seconds():
    table = random_table(9, n=10_000, classes=43)
    assert table.classes == names_of(43)
    start = time.perf_counter()
    judge(table, Decision(), part="test")
    assert time.perf_counter() - start < 15  # about 1 s on one idle core of 2024; the machine may be busy
