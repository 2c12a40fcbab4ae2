"""What may be searched, in the words of --search, and which values a grid and a random search try."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eyebright.core.errors import SettingsError
from eyebright.verbs.making.settings import TrainSettings
from eyebright.verbs.tuning import proposing
from eyebright.verbs.tuning.space import (
    FINE_TUNING,
    FIXED,
    FROM_SCRATCH,
    Choice,
    Range,
    combinations,
    read_space,
    usual_space,
)


def test_a_range_is_searched_by_its_logarithm_from_a_factor_of_ten_on():
    space = read_space(["learning_rate=1e-4..1e-3", "batch_size=16..64", "dropout=0..0.5"])
    assert space == {
        "learning_rate": Range(1e-4, 1e-3),
        "batch_size": Range(16, 64, whole=True),
        "dropout": Range(0.0, 0.5),
    }
    assert [entry.logarithmic for entry in space.values()] == [True, False, False]
    assert str(space["learning_rate"]) == "0.0001 to 0.001, by its logarithm"
    assert str(space["batch_size"]) == "16 to 64"


def test_a_list_holds_what_the_setting_is_words_numbers_or_switches():
    space = read_space(["--unfreeze=head,2,all", "batch-size=16, 32,16", "vertical=off,on", "flip=on,off"])
    assert space == {
        "unfreeze": Choice(("head", "2", "all")),
        "batch_size": Choice((16, 32)),
        "vertical": Choice((False, True)),
        "flip": Choice(("on", "off")),
    }
    assert str(space["vertical"]) == "off, on"


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("learning_rat=1..2", "learning_rate"),
        ("test=0.1..0.3", "decides what is measured"),
        ("epochs=1,2", "decides what is measured"),
        ("learning_rate", "NAME=LOW..HIGH or NAME=A,B,C was expected"),
        ("model=cnn,,lenet", "NAME=LOW..HIGH or NAME=A,B,C was expected"),
        ("model=cnn..lenet", "takes words. Give a list: model=A,B"),
        ("dropout=0..x", "two numbers were expected"),
        ("dropout=0.5..0.1", "the first number must be below the second"),
        ("learning_rate=0.1..inf", "the first number must be below the second"),
        ("batch_size=1.5..8", "whole numbers"),
        ("batch_size=8,big", "a number was expected"),
        ("vertical=yes", "on or off was expected"),
        ("dropout=0..1", "--dropout is 1.0; expected less than 1"),
        ("learning_rate=0,0.1", "--learning-rate is 0.0; expected greater than 0"),
        ("unfreeze=head,-1", "--unfreeze"),
        ("optimiser=adam,lion", "--optimiser"),
    ],
)
def test_what_cannot_be_searched_is_refused_with_the_reason(word, said):
    with pytest.raises(SettingsError) as refused:
        read_space([word])
    assert said in str(refused.value)


def test_a_setting_is_named_once():
    with pytest.raises(SettingsError, match="names dropout twice"):
        read_space(["dropout=0,0.1", "dropout=0.2,0.3"])


@pytest.mark.parametrize("words", [FROM_SCRATCH, FINE_TUNING])
def test_what_is_searched_by_itself_is_a_space(words):
    assert len(read_space(words)) == len(words)


def test_settings_that_may_not_be_searched_exist():
    assert set(TrainSettings.model_fields) >= FIXED


def test_a_grid_takes_the_first_few_settings_alone():
    assert usual_space("cnn", "scratch", "bayesian") == list(FROM_SCRATCH)
    # 3 rates, 3 batch sizes, 3 dials; and 3 rates, 4 depths, 3 dials.
    assert proposing.grid_size(read_space(usual_space("cnn", "scratch", "grid")), 3) == 27
    assert proposing.grid_size(read_space(usual_space("lite0", "transfer", "grid")), 3) == 36


def test_a_range_of_a_factor_of_a_hundred_has_its_middle_at_a_factor_of_ten():
    assert Range(0.001, 0.1).levels(3) == [0.001, 0.01, 0.1]
    assert Range(0.0, 0.5).levels(3) == [0.0, 0.25, 0.5]
    assert Range(16, 17, whole=True).levels(9) == [16, 17]


@given(
    st.floats(1e-6, 1e3),
    st.floats(1e-3, 1e3),
    st.floats(0, 1),
    st.booleans(),
)
def test_no_value_leaves_its_range(low, width, share, whole):
    entry = Range(math.floor(low), math.floor(low) + math.ceil(width), whole=True) if whole else Range(low, low + width)
    assert entry.low <= entry.at(share) <= entry.high
    assert all(entry.low <= value <= entry.high for value in entry.levels(5))


def test_a_grid_has_every_combination_once_in_an_order_of_the_seed():
    space = read_space(["batch_size=16,32,64", "dropout=0..0.5", "flip=on,off"])
    tried = proposing.grid(space, 3, seed=0)
    assert len(tried) == 3 * 3 * 2 == proposing.grid_size(space, 3)
    assert {tuple(each.values()) for each in tried} == {
        (size, dropout, flip) for size in (16, 32, 64) for dropout in (0.0, 0.25, 0.5) for flip in ("on", "off")
    }
    assert tried == proposing.grid(space, 3, seed=0)
    assert tried != proposing.grid(space, 3, seed=1)


def test_a_trial_of_a_random_search_is_the_same_however_many_are_asked_for():
    space = read_space(["learning_rate=1e-4..1e-2", "batch_size=16,32"])
    assert proposing.draws(space, 30, seed=3)[:10] == proposing.draws(space, 10, seed=3)
    assert proposing.draws(space, 10, seed=3) != proposing.draws(space, 10, seed=4)


def test_draws_fill_a_range_evenly_by_its_logarithm():
    drawn = [values["learning_rate"] for values in proposing.draws(read_space(["learning_rate=1e-4..1e-2"]), 400, seed=0)]
    # The middle of 1e-4..1e-2 by its logarithm is 1e-3: half of the draws lie below, four standard errors are 40.
    assert abs(sum(value < 1e-3 for value in drawn) - 200) < 40
    assert min(drawn) < 1.2e-4
    assert max(drawn) > 0.8e-2


def test_a_random_search_does_not_try_twice_what_it_can_try_once():
    space = read_space(["batch_size=16,32", "flip=on,off"])
    assert combinations(space) == 4
    assert len({proposing.same(values) for values in proposing.draws(space, 4, seed=0)}) == 4
    assert combinations(read_space(["dropout=0..0.5"])) == math.inf
    assert combinations(read_space(["batch_size=16..18", "flip=on,off"])) == 6
