"""How a file that was not made here is fed, and what its numbers become."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from eyebright.core.arrays import softmax
from eyebright.core.bundle import parse_manifest
from eyebright.core.foreign import Foreign, columns_fit, logits_from, values_for

IDENTITY = {"layout": "nchw", "mean": (0.0,) * 3, "std": (1.0,) * 3, "gives": "logits"}


def test_pixels_in_the_right_form_are_left_as_they_are():
    pixels = np.random.default_rng(0).random((2, 3, 4, 5), dtype=np.float32)
    np.testing.assert_array_equal(values_for(pixels, Foreign(**IDENTITY)), pixels)
    turned = values_for(pixels, Foreign(**{**IDENTITY, "layout": "nhwc"}))
    assert turned.flags["C_CONTIGUOUS"]
    np.testing.assert_array_equal(turned.transpose(0, 3, 1, 2), pixels)


@given(st.lists(st.floats(0.001, 1), min_size=3, max_size=6))
def test_the_softmax_of_logarithms_gives_the_probabilities_back(weights):
    probabilities = np.array([weights], dtype=np.float32) / np.float32(sum(weights))
    found = logits_from(probabilities, Foreign(**{**IDENTITY, "gives": "probabilities"}))
    np.testing.assert_allclose(softmax(found), probabilities, atol=1e-5)


def test_a_single_value_speaks_for_the_second_class():
    """p = 0.75: log 0.25 and log 0.75. z = 2: 0 and 2."""
    column = np.array([[0.75], [2.0]], dtype=np.float32)
    found = logits_from(column[:1], Foreign(**{**IDENTITY, "gives": "probabilities"}))
    np.testing.assert_allclose(found, np.log([[0.25, 0.75]]), rtol=1e-6)
    assert logits_from(column[1:], Foreign(**IDENTITY)).tolist() == [[0.0, 2.0]]
    assert (columns_fit(1, 2), columns_fit(2, 2), columns_fit(1, 3), columns_fit(2, 1)) == (True, True, False, False)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"std": (1.0, 0.0, 1.0)}, "above 0"),
        ({"mean": (0.0,)}, "3 for rgb were expected"),
        ({"channels": "grey"}, "1 for grey were expected"),
        ({"mean": (float("nan"),) * 3}, "finite"),
        ({"run": "rm"}, "Extra inputs"),
    ],
)
def test_what_makes_no_sense_is_refused(wrong, said):
    with pytest.raises(ValidationError, match=said):
        Foreign(**{**IDENTITY, **wrong})


def test_manifests_without_it_are_still_read(tmp_path):
    digest = "0" * 64
    values = {
        "name": "old",
        "classes": ["a", "b"],
        "preprocess": {"height": 8, "width": 8},
        "forms": {"onnx": {"file": "model.onnx", "sha256": digest, "bytes": 5}},
        "decision_sha256": digest,
    }
    assert parse_manifest(json.dumps(values).encode(), tmp_path).forms["onnx"].foreign is None
