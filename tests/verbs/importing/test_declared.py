"""What is declared becomes one formula for pixels in [0, 1]."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eyebright.core.errors import SettingsError
from eyebright.verbs.importing.declared import RANGES, Declared

VALUES = st.floats(-300, 300)


@given(st.sampled_from(list(RANGES)), st.floats(0, 1), VALUES, st.floats(0.01, 300))
def test_the_range_comes_first_then_the_mean_then_the_std(scale, pixel, mean, std):
    low, high = RANGES[scale]
    found = Declared(scale=scale, mean=(mean,), std=(std,)).normalisation()
    expected = (low + pixel * (high - low) - mean) / std
    assert (pixel - found.mean[1]) / found.std[1] == pytest.approx(expected, rel=1e-6, abs=1e-6)


def test_the_unit_of_mean_and_std_is_that_of_the_scale():
    bytes_ = Declared(scale="0..255", mean=(127.5,), std=(127.5,)).normalisation()
    assert bytes_ == Declared(scale="0..1", mean=(0.5,), std=(0.5,)).normalisation()
    assert bytes_ == Declared(scale="-1..1").normalisation()


def test_where_nothing_is_said_pixels_stay_as_they_are():
    assert Declared().normalisation().is_identity
    assert not Declared().says_normalisation


@pytest.mark.parametrize(("channels", "values"), [("rgb", (1.0, 2.0)), ("grey", (1.0, 2.0, 3.0))])
def test_a_number_of_values_that_is_neither_one_nor_one_a_channel_is_refused(channels, values):
    with pytest.raises(SettingsError, match=rf"--mean has {len(values)} values; one, or .* for --channels {channels}"):
        Declared(channels=channels, mean=values).normalisation()


def test_what_is_known_of_the_size_stands_where_none_was_declared():
    assert Declared().preprocess((28, 30)).size == (28, 30)
    assert Declared(size=(8, 9), channels="grey").preprocess((28, 30)).model_dump(include={"height", "width", "colour"}) == {
        "height": 8, "width": 9, "colour": "grey",
    }  # fmt: skip
