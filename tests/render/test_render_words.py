"""Rounding, names and findings."""

import doctest

import fake_reports
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eyebright.core.report import Figure, ReliabilityBin
from eyebright.render import card, plots, words


@pytest.mark.parametrize("module", [words, plots, card])
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


def test_the_weightiest_confusion_counts_pictures_and_share():
    # glass for metal: 4 of 40, 16 / 40 = 0.4; trash for paper: 2 of 11, 4 / 11 = 0.36
    assert words.confusion_finding(fake_reports.trash()) == "Glass is taken for metal: 4 of 40 times"


def test_the_class_that_is_missed_most_comes_first():
    report = fake_reports.trash()
    assert words.by_recall(report)[0][0] == "trash"
    assert words.class_finding(report) == "Trash is missed most: 55 % of its 11 pictures found"


def test_the_verdict_follows_the_interval():
    report = fake_reports.trash()
    assert words.verdict(report, "accuracy") == ("good", "better than always answering the most common class (24 %)")
    weak = {"accuracy": Figure(value=0.26, low=0.2, high=0.32, n=203, method="wilson")}
    assert words.verdict(report.model_copy(update={"figures": weak}), "accuracy").mark == "caution"
    bad = {"accuracy": Figure(value=0.1, low=0.07, high=0.15, n=203, method="wilson")}
    assert words.verdict(report.model_copy(update={"figures": bad}), "accuracy").mark == "bad"


def test_a_smaller_error_is_the_better_one():
    report = fake_reports.trash()
    baselines = {"majority": {"nll": Figure(value=1.7, n=203, method="none")}}
    assert words.verdict(report.model_copy(update={"baselines": baselines}), "nll").mark == "good"


def test_the_calibration_error_is_the_weighted_gap():
    # 30 pictures 0.1 off and 10 pictures 0.3 off: (30 * 0.1 + 10 * 0.3) / 40 = 0.15
    bins = [ReliabilityBin(confidence=0.9, accuracy=0.8, n=30), ReliabilityBin(confidence=0.5, accuracy=0.8, n=10)]
    assert words.expected_calibration_error(bins) == pytest.approx(0.15)
    assert words.expected_calibration_error([]) is None


def test_a_model_that_is_surer_than_right_is_called_so():
    report = fake_reports.signs()
    assert words.calibration_finding(report) == "It is surer than it is right"
    assert words.calibration_finding(fake_reports.trash()) == "On the whole it is right as often as it says"


def test_right_to_left_names_are_isolated_in_sentences():
    assert words.isolated("glass") == "glass"
    assert words.isolated("قطة") == "\u2068قطة\u2069"
