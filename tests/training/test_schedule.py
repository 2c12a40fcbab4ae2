"""How the rate rises and falls: against numbers worked out by hand, and against torch's own scheduler."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from eyebright.core.errors import SettingsError
from eyebright.training.recipe import Recipe
from eyebright.training.schedule import PLATEAU_FACTOR, Schedule, plateau_falls, rate_factor


@pytest.mark.parametrize(("step", "expected"), [
    (0, 0.5), (1, 1.0),  # warm-up over 0.2 * 10 = 2 steps
    (2, 1.0),  # cos 0 = 1
    (4, 0.5 + 0.25 * math.sqrt(2)),  # a quarter of the 8 steps that are left: cos(pi / 4) = sqrt(2) / 2
    (6, 0.5),  # half: cos(pi / 2) = 0
    (8, 0.5 - 0.25 * math.sqrt(2)),
    (10, 0.0),
])  # fmt: skip
def test_the_rate_rises_and_falls_as_half_a_cosine(step, expected):
    assert rate_factor(step, 10, 0.2) == pytest.approx(expected)


def test_without_a_warm_up_the_first_step_has_the_full_rate():
    assert rate_factor(0, 10, 0.0) == 1.0


@given(st.integers(1, 500), st.floats(0, 0.99))
def test_every_step_learns_and_the_rate_has_one_summit(steps, warm_up):
    factors = [rate_factor(step, steps, warm_up) for step in range(steps)]
    assert all(0 < factor <= 1 for factor in factors)
    summit = factors.index(max(factors))
    assert factors[: summit + 1] == sorted(factors[: summit + 1])
    assert factors[summit:] == sorted(factors[summit:], reverse=True)


# ---- plateaus


@given(st.lists(st.sampled_from([0.1, 0.2, 0.3, 0.4, 0.5]), max_size=40), st.integers(1, 5))
def test_the_rate_falls_after_the_same_epochs_as_torchs(losses, patience):
    weight = torch.nn.Parameter(torch.zeros(1))
    optimiser = torch.optim.SGD([weight], lr=1.0)
    # torch waits for one epoch more than its patience.
    oracle = torch.optim.lr_scheduler.ReduceLROnPlateau(optimiser, patience=patience - 1, threshold=0, factor=0.1, eps=0)
    recipe = Recipe(epochs=50, warm_up=0.0, schedule="plateau", plateau_patience=patience)
    schedule = Schedule(recipe, 50, watched=True)
    for epoch in range(len(losses) + 1):
        schedule.begin_epoch(losses[:epoch], epoch)
        assert schedule.factor(epoch) == pytest.approx(optimiser.param_groups[0]["lr"])
        if epoch < len(losses):
            oracle.step(losses[epoch])


@given(st.lists(st.floats(0, 10), max_size=30), st.integers(1, 4))
def test_what_comes_later_does_not_change_where_the_rate_fell(losses, patience):
    falls = plateau_falls(losses, patience)
    for seen in range(len(losses)):
        assert plateau_falls(losses[:seen], patience) == tuple(fall for fall in falls if fall <= seen)


def test_the_epochs_of_an_earlier_training_are_taken_as_they_are():
    recipe = Recipe(epochs=6, warm_up=0.0, schedule="plateau", rate_falls=(2, 5))
    schedule = Schedule(recipe, 6, watched=False)
    levels = []
    for epoch in range(6):
        schedule.begin_epoch([], epoch)
        levels.append(schedule.factor(epoch))
    assert levels == pytest.approx([1, 1, PLATEAU_FACTOR, PLATEAU_FACTOR, PLATEAU_FACTOR, PLATEAU_FACTOR**2])


def test_a_plateau_that_nobody_watches_is_refused():
    with pytest.raises(SettingsError, match="Hold some pictures out, or choose the schedule cosine or constant"):
        Schedule(Recipe(epochs=1, schedule="plateau"), 10, watched=False)


# ---- the others


@pytest.mark.parametrize("schedule", ["constant", "plateau"])
def test_every_schedule_warms_up_alike(schedule):
    made = Schedule(Recipe(epochs=1, schedule=schedule, warm_up=0.2), 10, watched=True)
    made.begin_epoch([], 0)
    assert [made.factor(step) for step in range(10)] == pytest.approx([0.5] + [1.0] * 9)


def test_a_cosine_does_not_listen_to_the_validation_loss():
    made = Schedule(Recipe(epochs=9, warm_up=0.2), 10, watched=True)
    made.begin_epoch([1.0] * 8, 8)
    assert [made.factor(step) for step in range(10)] == [rate_factor(step, 10, 0.2) for step in range(10)]
