"""Optimisers, the schedule of their rate, and what is learned at all."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from eyebright.training.optim import freeze, make_optimiser, rate_factor, set_rate
from eyebright.training.recipe import Recipe

from .toys import normed


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


@pytest.mark.parametrize("optimiser", ["sgd", "adamw"])
def test_weights_are_decayed_and_biases_and_norms_are_not(optimiser):
    network = normed()
    for parameter in network.parameters():
        torch.nn.init.constant_(parameter, 2.0)
        parameter.grad = torch.zeros_like(parameter)
    recipe = Recipe(epochs=1, optimiser=optimiser, learning_rate=0.1, weight_decay=0.5, momentum=0.0)
    make_optimiser(network, recipe).step()
    for name, parameter in network.named_parameters():
        # The gradient is zero, so a step only decays: 2 * (1 - 0.1 * 0.5) = 1.9
        expected = 1.9 if parameter.ndim >= 2 else 2.0
        torch.testing.assert_close(parameter, torch.full_like(parameter, expected), msg=name)


def test_adams_decay_is_a_penalty_inside_the_gradient():
    network = torch.nn.Linear(1, 1)
    torch.nn.init.constant_(network.weight, 2.0)
    network.weight.grad, network.bias.grad = torch.zeros(1, 1), torch.zeros(1)
    make_optimiser(network, Recipe(epochs=1, optimiser="adam", learning_rate=0.1, weight_decay=0.5)).step()
    # Adam's first step has the length of the rate, whatever the gradient: 2 - 0.1
    assert network.weight.item() == pytest.approx(1.9)


@pytest.mark.parametrize(("optimiser", "kind"), [("adam", "Adam"), ("adamw", "AdamW"), ("sgd", "SGD")])
def test_a_recipe_names_its_optimiser(optimiser, kind):
    made = make_optimiser(normed(), Recipe(epochs=1, optimiser=optimiser, learning_rate=0.25))
    assert type(made).__name__ == kind
    assert {group["lr"] for group in made.param_groups} == {0.25}


def test_sgd_has_nesterovs_momentum():
    (group, *_) = make_optimiser(normed(), Recipe(epochs=1, optimiser="sgd", momentum=0.8)).param_groups
    assert (group["momentum"], group["nesterov"]) == (0.8, True)


HEAD = {"head.weight", "head.bias"}
LAST_NORM = {"backbone.stages.3.weight", "backbone.stages.3.bias"}
LAST_CONVOLUTION = {"backbone.stages.2.weight"}


@pytest.mark.parametrize(("unfreeze", "learned", "frozen_blocks"), [
    ("head", HEAD, 4),
    ("0", HEAD, 4),
    ("1", HEAD | LAST_NORM, 3),
    ("2", HEAD | LAST_NORM | LAST_CONVOLUTION, 2),
    ("4", None, 0),
    ("99", None, 0),
])  # fmt: skip
def test_the_head_and_the_last_blocks_are_learned(unfreeze, learned, frozen_blocks):
    network = normed()
    everything = {name for name, _ in network.named_parameters()}
    frozen = freeze(network, network.blocks(), network.head, unfreeze)
    # A bare parameter of the backbone belongs to no block: only "all" learns it.
    assert learned_names(network) == (learned or everything - {"backbone.offset"})
    assert frozen == network.blocks()[:frozen_blocks]


def test_all_means_every_parameter_even_after_a_freeze():
    network = normed()
    freeze(network, network.blocks(), network.head, "head")
    assert freeze(network, network.blocks(), network.head, "all") == []
    assert learned_names(network) == {name for name, _ in network.named_parameters()}


def test_the_optimiser_holds_what_is_learned_and_nothing_else():
    network = normed()
    freeze(network, network.blocks(), network.head, "1")
    held = {id(p) for group in make_optimiser(network, Recipe(epochs=1)).param_groups for p in group["params"]}
    assert held == {id(p) for name, p in network.named_parameters() if name in HEAD | LAST_NORM}


def test_a_new_rate_reaches_every_group():
    optimiser = make_optimiser(normed(), Recipe(epochs=1))
    assert len(optimiser.param_groups) == 2
    set_rate(optimiser, 0.125)
    assert [group["lr"] for group in optimiser.param_groups] == [0.125, 0.125]


def learned_names(network):
    return {name for name, parameter in network.named_parameters() if parameter.requires_grad}
