"""Probabilities and hashes of arrays."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from eyebright.core.arrays import array_sha256, softmax

logits = hnp.arrays(np.float32, st.tuples(st.integers(1, 5), st.integers(2, 6)), elements=st.floats(-1e4, 1e4, width=32))


@given(logits, st.floats(0.01, 100))
def test_probabilities_sum_to_one_and_keep_the_winner(values, temperature):
    probabilities = softmax(values, temperature)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, rtol=1e-5)
    rows = np.arange(len(values))
    np.testing.assert_array_equal(probabilities[rows, values.argmax(axis=1)], probabilities.max(axis=1))


@given(logits, st.floats(-100, 100, width=32))
def test_adding_a_constant_to_all_logits_changes_nothing(values, constant):
    np.testing.assert_allclose(softmax(values + np.float32(constant)), softmax(values), atol=2e-3)  # float32 rounds at 1e4


def test_a_temperature_of_two_halves_the_logits():
    # exp(2/2) / (exp(2/2) + exp(0)) = e / (e + 1)
    assert softmax(np.array([[2.0, 0.0]], dtype=np.float32), 2.0)[0, 0] == pytest.approx(np.e / (np.e + 1))


def test_equal_arrays_have_equal_hashes_whatever_their_layout():
    array = np.arange(12, dtype=np.uint8).reshape(3, 4)
    assert array_sha256(array) == array_sha256(np.asfortranarray(array))


def test_shape_and_type_are_part_of_the_hash():
    array = np.arange(12, dtype=np.uint8)
    others = [array.reshape(3, 4), array.view(np.int8), array[::-1]]
    assert len({array_sha256(array), *map(array_sha256, others)}) == 4
