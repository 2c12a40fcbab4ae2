"""Lengths of time as one says them."""

import doctest

import pytest

from eyebright.core import words


def test_the_examples_in_the_docstrings_hold():
    found = doctest.testmod(words)
    assert found.attempted
    assert not found.failed


@pytest.mark.parametrize(("seconds", "said"), [(0.2, "0 s"), (59.6, "1 min 0 s"), (3599.7, "1 h 0 min"), (5400, "1 h 30 min")])
def test_a_duration_is_rounded_once_and_then_divided(seconds, said):
    assert words.duration(seconds) == said
