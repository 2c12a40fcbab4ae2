"""The sentences of the report: what they claim is what was measured."""

import pytest

from eyebright.core.report import Figure
from eyebright.verbs.making import reporting


@pytest.mark.parametrize(("value", "said"), [(0.9971, "99.7"), (1.0, "100"), (0.87, "87"), (0.0, "0"), (0.0031, "0.3")])
def test_a_hundred_times_in_a_hundred_is_said_only_of_what_was_always_right(value, said):
    figure = Figure(value=value, low=max(value - 0.02, 0.0), high=min(value + 0.02, 1.0), n=345, method="wilson")
    assert reporting._times(figure).startswith(f"{said} times in 100 (95 % interval ")
