"""Rounding and names."""

import doctest

import fake_reports
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eyebright.core.report import Figure
from eyebright.render import card, words
from eyebright.render.plots import scores, style, training


@pytest.mark.parametrize("module", [words, card, style, scores, training])
def test_the_examples_in_the_docstrings_hold(module):
    found = doctest.testmod(module)
    assert found.attempted
    assert not found.failed


def test_two_hundred_pictures_support_no_decimals_and_twenty_thousand_support_one():
    assert words.percent(Figure(value=0.87192, low=0.819, high=0.911, n=203, method="wilson")) == "87 % (82 to 91)"
    # the interval is 0.94 points wide: a step of 0.1 is at most a quarter of it
    assert words.percent(Figure(value=0.87192, low=0.8672, high=0.8766, n=20_000, method="wilson")) == "87.2 % (86.7 to 87.7)"


def test_without_an_interval_the_pictures_decide():
    assert words.share(0.87192, 203) == "87 %"
    # the widest interval of 100,000 pictures is 2 * 1.96 * sqrt(0.25 / 100000) = 0.6 points
    assert words.share(0.87192, 100_000) == "87.2 %"


def test_never_wrong_is_said_only_of_what_was_never_wrong():
    assert words.share(1.0, 203) == "100 %"
    assert words.share(0.9995, 203) == "99.95 %"
    assert words.share(0.0, 203) == "0 %"
    assert words.share(0.001, 203) == "0.1 %"


def test_what_is_not_defined_is_said_so():
    undefined = Figure(value=None, n=0, method="none")
    assert words.percent(undefined) == words.number(undefined) == "not defined"


@given(st.floats(1e-6, 200))
def test_the_last_digit_never_steps_by_more_than_a_quarter_of_the_interval(width):
    places = words.decimals(width)
    assert places in range(5)
    assert places == 4 or 10.0**-places <= width / 4 * 1.000001 or (places == 0 and width < 4 * 1.000001) or width >= 4


@given(st.text())
def test_plain_text_is_printable_and_stays_so(text):
    once = words.plain(text)
    assert words.plain(once) == once
    assert not any(letter in once for letter in "\x00\n\r\u2028\u202e")


def test_right_to_left_names_are_isolated_in_sentences():
    assert words.isolated("glass") == "glass"
    assert words.isolated("قطة") == "\u2068قطة\u2069"


def test_figures_that_are_compared_have_the_decimals_of_the_least_exact():
    wide = Figure(value=0.713, low=0.68, high=0.75, n=400, method="wilson")
    narrow = Figure(value=0.8461, low=0.841, high=0.851, n=20_000, method="wilson")
    assert words.value_text("accuracy", narrow) == "84.6 %"
    assert words.value_texts("accuracy", [wide, narrow]) == ["71 %", "85 %"]


def test_a_difference_of_next_to_nothing_has_no_sign():
    assert words.points(Figure(value=-0.001, low=-0.05, high=0.049, n=400, method="bootstrap")) == "0 (−5 to +5)"


def test_a_share_of_nearly_all_is_not_rounded_to_all_of_them():
    assert words.spread_text("accuracy", 0.9988, 0.02) == "99.9 % ± 2"


def test_what_makers_wrote_in_several_lines_is_one_paragraph():
    report = words.cleaned(fake_reports.trash())
    assert report.intended_use == "To show at a recycling centre which bin a thing belongs in. A person looks at every answer."
