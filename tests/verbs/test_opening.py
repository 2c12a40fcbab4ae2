"""Few pictures are answered by the form that starts first, many by the quickest that is true to the golden answers."""

import numpy as np
import pytest

import eyebright
from eyebright.backends.open import open_predictor
from eyebright.core.bundle import read_bundle
from eyebright.core.events import Choice
from eyebright.core.predictor import Outputs
from eyebright.verbs import opening
from eyebright.verbs.opening import MANY, open_quickest


@pytest.fixture
def bundle(finished):
    return read_bundle(finished.path)


class Other:
    """A form that gives other answers than the model's own."""

    form = "openvino"

    def __init__(self, inner):
        self.inner, self.classes = inner, inner.classes

    def __call__(self, pixels):
        return Outputs(self.inner(pixels).logits + np.float32(1.0))


def rates(monkeypatch, **given):
    monkeypatch.setattr(opening, "_rate", lambda predictor, batch: given[predictor.form])


def test_the_quickest_of_many_is_taken_and_the_rates_are_said(bundle, monkeypatch):
    rates(monkeypatch, onnx=100.0, openvino=250.0)
    predictor, why = open_quickest(bundle, form="auto", pictures=MANY)
    assert (predictor.form, why) == ("openvino", "the quickest here, in pictures a second: onnx 100, openvino 250")
    rates(monkeypatch, onnx=300.0, openvino=250.0)
    assert open_quickest(bundle, form="auto", pictures=MANY)[0].form == "onnx"


def test_few_pictures_are_not_worth_a_timing(bundle, monkeypatch):
    monkeypatch.setattr(opening, "_rate", lambda predictor, batch: pytest.fail("it was timed"))
    predictor, why = open_quickest(bundle, form="auto", pictures=MANY - 1)
    assert (predictor.form, why) == ("onnx", "ONNX starts quickest and needs no torch")


def test_the_form_that_was_asked_for_is_taken_whatever_is_quicker(bundle, monkeypatch):
    monkeypatch.setattr(opening, "_rate", lambda predictor, batch: pytest.fail("it was timed"))
    assert open_quickest(bundle, form="torch", pictures=MANY)[0].form == "torch"


def test_a_form_with_other_answers_is_never_the_quickest(bundle, monkeypatch):
    def with_a_fault(bundle, *, form, threads=None):
        predictor, why = open_predictor(bundle, form=form, threads=threads)
        return (Other(predictor), why) if form == "openvino" else (predictor, why)

    monkeypatch.setattr(opening, "open_predictor", with_a_fault)
    rates(monkeypatch, onnx=1.0, openvino=1e9)
    predictor, why = open_quickest(bundle, form="auto", pictures=MANY)
    assert predictor.form == "onnx"
    assert "openvino" not in why


def test_predict_says_which_form_answered(finished, data):
    events = []
    picture = next(data.rglob("*.png"))
    result = eyebright.predict(finished.path, picture, on_event=events.append, form="openvino")
    assert [event for event in events if isinstance(event, Choice)] == [Choice("form", "openvino", "it was asked for")]
    onnx = eyebright.predict(finished.path, picture, form="onnx")
    assert result.results[0].predictions[0].label == onnx.results[0].predictions[0].label
    assert result.results[0].predictions[0].probability == pytest.approx(onnx.results[0].predictions[0].probability, abs=2e-6)
