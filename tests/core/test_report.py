"""The JSON that programs read keeps its promised shape."""

import json

import pytest
from pydantic import ValidationError

from eyebright.core.report import ClassFigures, Evaluation, Figure


def evaluation(**changes):
    values = {
        "part": "test",
        "n": 3,
        "figures": {"accuracy": Figure(value=0.5, low=0.2, high=0.8, n=3, method="wilson")},
        "classes": {"oak": ClassFigures(precision=1.0, recall=0.5, f1=None, n=2)},
        "confusion": [[1, 1], [0, 1]],
    }
    return Evaluation(**{**values, **changes})


def test_the_json_has_the_documented_keys():
    document = json.loads(evaluation().model_dump_json(by_alias=True))
    assert document["schema"] == 1
    assert document["part"] == "test"
    assert document["figures"]["accuracy"] == {"value": 0.5, "low": 0.2, "high": 0.8, "n": 3, "method": "wilson"}
    assert document["classes"]["oak"]["f1"] is None


def test_an_evaluation_comes_back_from_json_as_it_went():
    assert Evaluation.model_validate_json(evaluation().model_dump_json(by_alias=True)) == evaluation()


def test_a_figure_that_is_not_a_number_is_refused():
    with pytest.raises(ValidationError):
        Figure(value=float("nan"), n=1, method="none")


def test_an_unknown_key_is_refused():
    with pytest.raises(ValidationError):
        evaluation(acuracy=1.0)
