"""What follows the logits travels as a small file that is read without trust."""

import json

import numpy as np
import pytest
from pydantic import ValidationError

from eyebright.core.decision import Decision, load_decision, save_decision
from eyebright.core.errors import ModelError


def test_a_decision_comes_back_as_it_went(tmp_path):
    decision = Decision(temperature=1.7, fitted_on="out-of-fold logits", n=812)
    save_decision(decision, tmp_path / "decision.json")
    assert load_decision(tmp_path / "decision.json") == decision
    assert json.loads((tmp_path / "decision.json").read_text())["schema"] == 1


def test_the_temperature_is_applied():
    # exp(4/2) / (exp(4/2) + 1) = 0.8808
    assert Decision(temperature=2.0).probabilities(np.array([[4.0, 0.0]], np.float32))[0, 0] == pytest.approx(0.8808, abs=1e-4)


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan"), float("inf"), 1e6])
def test_a_temperature_that_makes_no_sense_is_refused(temperature):
    with pytest.raises(ValidationError):
        Decision(temperature=temperature)


@pytest.mark.parametrize("content", ["", "[]", '{"schema": 2}', '{"temperature": 1, "treshold": 2}', '{"temperature": NaN}'])
def test_a_file_of_another_kind_is_refused(tmp_path, content):
    (tmp_path / "decision.json").write_text(content)
    with pytest.raises(ModelError, match="not a decision"):
        load_decision(tmp_path / "decision.json")


def test_a_missing_file_is_a_model_error(tmp_path):
    with pytest.raises(ModelError, match="cannot be read"):
        load_decision(tmp_path / "decision.json")
