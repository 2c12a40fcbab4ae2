"""Lengths of time as one says them, and numbers that claim no certainty."""

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


@pytest.mark.parametrize(
    ("value", "said"),
    # Where one decimal would claim certainty, nines follow until it does not; what is whole stays whole.
    [(99.96, "99.96"), (99.71, "99.7"), (100.0, "100"), (99.4, "99"), (0.04, "0.04"), (0.0, "0"), (99.99996, "99.99996")],
)
def test_only_what_is_whole_reads_whole(value, said):
    assert words.rounded(value, 0, 100) == said


@pytest.mark.parametrize(("value", "said"), [(1.0, ">99.9 %"), (0.9971, "99.7 %"), (0.996, "99.6 %"), (0.0, "<0.1 %")])
def test_a_model_is_never_certain(value, said):
    assert words.sureness(value) == said
