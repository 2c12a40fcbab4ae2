"""What a name says, and how it is written as a key."""

import doctest

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eyebright.data import names
from eyebright.data.names import key_of, part_of, picture_kind, shown


def test_the_examples_in_the_docstrings_hold():
    found = doctest.testmod(names)
    assert found.attempted
    assert not found.failed


@pytest.mark.parametrize("word", ["testing", "eval", "Evaluation", "holdout"])
def test_what_a_set_is_finally_measured_on_is_the_test_part_by_any_of_its_names(word):
    assert part_of(word) == "test"


@given(st.text(min_size=1))
def test_a_key_is_stable_under_being_made_again(text):
    assert key_of(key_of(text)) == key_of(text)


def test_the_beginning_of_a_file_is_asked_for_only_where_its_name_does_not_settle_it():
    def never(stored):
        raise AssertionError(f"{stored} was opened")

    assert picture_kind("a/b.JPG", never) == "jpg"
    assert picture_kind("a.jpg/b", lambda stored: b"words") is None
    assert picture_kind("scan.dcm", lambda stored: b"\x89PNG\r\n\x1a\n") == "PNG"


def test_a_message_shows_ten_names_and_counts_the_rest():
    assert shown("abc") == "a, b, c"
    assert shown(map(str, range(12))) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more"
