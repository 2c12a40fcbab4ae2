import math

import numpy as np
import pytest
from sklearn import metrics

from eyebright.core.decision import Decision
from eyebright.core.errors import DataError, ModelError
from eyebright.core.predictions import Predictions
from eyebright.evaluation import calibration
from eyebright.evaluation.calibration import fit_temperature

from .tables import keys_of, names_of, random_table, table_from


def drawn_from(logits: np.ndarray, temperature: float, seed: int) -> Predictions:
    """Labels drawn with the softmax's own probabilities: calibrated at ``temperature`` by construction."""
    # argmax(logits / T + Gumbel noise) is a draw from softmax(logits / T) (Gumbel 1954).
    noise = np.random.default_rng(seed).gumbel(size=logits.shape)
    labels = (logits / temperature + noise).argmax(axis=1)
    return Predictions(keys_of(len(labels)), labels, logits.astype(np.float32), names_of(logits.shape[1]))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("temperature", [0.3, 1.0, 4.0])
def test_log_loss_and_brier_are_scikit_learns(seed, temperature):
    table, decision = random_table(seed, n=100, classes=5, missing=3), Decision(temperature=temperature)
    probabilities = np.exp(calibration.log_probabilities(table.logits, temperature))
    loss = metrics.log_loss(table.labels, probabilities, labels=range(5))
    score = metrics.brier_score_loss(table.labels, probabilities, labels=range(5), scale_by_half=False)
    assert float(calibration.log_loss(table, decision)) == pytest.approx(loss)
    assert float(calibration.brier(table, decision)) == pytest.approx(score, abs=1e-6)


def test_the_calibration_error_of_an_example_that_can_be_done_by_hand():
    table = table_from([[0.9, 0.1]] * 4 + [[0.7, 0.3]] * 4, [0, 0, 0, 1, 0, 0, 1, 1])
    # Four at confidence 0.9, three right: |0.75 - 0.9| = 0.15. Four at 0.7, two right: |0.5 - 0.7| = 0.2.
    # Each bin holds half of the pictures: 0.15 / 2 + 0.2 / 2 = 0.175.
    assert float(calibration.ece(table, Decision())) == pytest.approx(0.175, abs=1e-6)
    low, high = calibration.reliability_bins(table, Decision())
    assert (low.n, low.accuracy, low.confidence) == (4, 0.5, pytest.approx(0.7))
    assert (high.n, high.accuracy, high.confidence) == (4, 0.75, pytest.approx(0.9))


def test_a_confident_wrong_model_has_calibration_error_one():
    logits = np.array([[100.0, 0.0]] * 5, dtype=np.float32)
    table = Predictions(keys_of(5), np.ones(5, dtype=np.int64), logits, names_of(2))
    assert float(calibration.ece(table, Decision())) == 1.0
    assert float(calibration.brier(table, Decision())) == 2.0
    assert float(calibration.log_loss(table, Decision())) == 100.0  # log(1 + e^100), in float64


def test_a_bin_includes_its_upper_edge():
    # Guo et al. 2017: ((m-1)/15, m/15]. Confidence 1 is in the last bin, 1/15 in the first, anything above in the second.
    assert calibration._bins(np.array([1e-9, 1 / 15, 1 / 15 + 1e-9, 1.0])).tolist() == [0, 0, 1, 14]


@pytest.mark.parametrize("planted", [0.2, 0.7, 1.0, 2.5, 8.0])
def test_a_planted_temperature_is_found(planted):
    logits = planted * np.random.default_rng(1).normal(size=(20_000, 5)) * 2
    decision = fit_temperature(drawn_from(logits, planted, seed=2), fitted_on="a draw")
    assert decision.temperature == pytest.approx(planted, rel=0.05)
    assert (decision.fitted_on, decision.n) == ("a draw", 20_000)


@pytest.mark.parametrize("seed", range(5))
def test_no_other_temperature_has_a_lower_loss(seed):
    table = random_table(seed, n=80, classes=5)
    best = fit_temperature(table, fitted_on="")
    for factor in (0.5, 0.9, 0.99, 1.01, 1.1, 2):
        other = Decision(temperature=best.temperature * factor)
        assert calibration.log_loss(table, best) <= calibration.log_loss(table, other)


def test_temperature_scaling_mends_an_overconfident_model():
    table = drawn_from(np.random.default_rng(3).normal(size=(5000, 4)) * 6, 3.0, seed=4)
    decision = fit_temperature(table, fitted_on="")
    assert float(calibration.ece(table, Decision())) > 0.15
    assert float(calibration.ece(table, decision)) < 0.03


def test_a_model_worse_than_a_guess_is_flattened_as_far_as_the_bounds_allow():
    logits = np.array([[5.0, 0.0]] * 4, dtype=np.float32)
    table = Predictions(keys_of(4), np.array([1, 1, 1, 0]), logits, names_of(2))
    assert fit_temperature(table, fitted_on="").temperature == pytest.approx(20, rel=1e-5)


def test_a_model_that_is_always_right_keeps_its_temperature():
    decision = fit_temperature(table_from([[0.6, 0.4], [0.3, 0.7]], [0, 1]), fitted_on="2 pictures")
    assert decision.temperature == 1
    assert "every picture was right" in decision.fitted_on


def test_flat_logits_keep_their_temperature():
    assert fit_temperature(table_from([[0.5, 0.5]] * 3, [0, 1, 1]), fitted_on="").temperature == 1


def test_a_temperature_is_fitted_on_labelled_rows_only():
    table = random_table(0, n=50)
    labels = table.labels.copy()
    labels[:10] = -1
    mixed = Predictions(table.keys, labels, table.logits, table.classes)
    clean = table.select(np.arange(10, 50))
    assert fit_temperature(mixed, fitted_on="") == fit_temperature(clean, fitted_on="")
    with pytest.raises(DataError, match="None of the 10"):
        fit_temperature(mixed.select(np.arange(10)), fitted_on="")


@pytest.mark.parametrize("broken", [math.nan, math.inf, -math.inf])
def test_logits_that_are_no_numbers_are_refused(broken):
    table = random_table(0, n=5)
    table.logits[3, 1] = broken
    with pytest.raises(ModelError, match=r"1 of 5 pictures, first 00003\.jpg"):
        fit_temperature(table, fitted_on="")
