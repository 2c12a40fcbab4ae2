"""Optimisers, how each kind of parameter is decayed, and what is learned at all."""

import pytest
import torch
from torch import nn

from eyebright.models.zoo import timm_network
from eyebright.training.optim import freeze, make_optimiser, parameter_groups, set_rate
from eyebright.training.recipe import Recipe

from .toys import fast, normed, small_cnn


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


def kinds(network, recipe):
    """The kind of each learned parameter, and the decay of each kind."""
    name_of = {id(parameter): name for name, parameter in network.named_parameters()}
    groups = parameter_groups(network, recipe)
    members = {name_of[id(parameter)]: group["kind"] for group in groups for parameter in group["params"]}
    return members, {group["kind"]: group["weight_decay"] for group in groups}


def test_the_last_layer_can_have_a_decay_of_its_own():
    members, decays = kinds(small_cnn(), Recipe(epochs=1, weight_decay=0.1, head_weight_decay=0.3))
    assert decays == {"weights": 0.1, "head": 0.3, "plain": 0.0}
    assert members == {
        "backbone.0.weight": "weights",
        "backbone.0.bias": "plain",
        "backbone.3.weight": "weights",
        "backbone.3.bias": "plain",
        "backbone.7.weight": "weights",
        "backbone.7.bias": "plain",
        "head.weight": "head",
        "head.bias": "plain",
    }


def test_without_one_the_last_layer_is_decayed_as_the_others():
    members, decays = kinds(small_cnn(), Recipe(epochs=1, weight_decay=0.1))
    assert members["head.weight"] == "weights"
    assert decays == {"weights": 0.1, "plain": 0.0}
    assert kinds(small_cnn(), Recipe(epochs=1, head_weight_decay=0.0))[1] == {"weights": 0.0, "head": 0.0, "plain": 0.0}


@pytest.mark.parametrize("name", ["resnet18", "test_vit"])
def test_convolutions_and_attention_are_decayed_and_norms_and_biases_are_not(name):
    network = timm_network(5, name=name)
    members, _ = kinds(network, Recipe(epochs=1, weight_decay=0.1, head_weight_decay=0.3))
    for path, module in network.named_modules():
        own = {kind: members[f"{path}.{kind}"] for kind, _ in module.named_parameters(recurse=False)}
        if isinstance(module, nn.Conv2d | nn.Linear):
            assert own.pop("weight") == ("head" if path == "head" else "weights")
            assert set(own.values()) <= {"plain"}
        elif isinstance(module, nn.BatchNorm2d | nn.LayerNorm):
            assert own == {"weight": "plain", "bias": "plain"}
    assert members.keys() == {name for name, _ in network.named_parameters()}


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


# --- muon


def test_muon_takes_the_filters_and_leaves_head_and_biases_to_sgd_at_their_own_rates():
    """airbench's rates are for the loss summed over a batch of 1536; for the mean they are so many times as large."""
    network = fast()
    recipe = Recipe(epochs=1, optimiser="muon", learning_rate=0.205, batch_size=1536, weight_decay=1.6e-3)
    optimiser = make_optimiser(network, recipe)
    set_rate(optimiser, 0.1025)  # half of the full rate
    rates = {group["kind"]: group["lr"] for group in optimiser.param_groups}
    assert rates == pytest.approx({"filters": 0.1025, "head": 0.5415 * 1536 / 2, "plain": 0.0573 * 1536 / 2})
    members = {group["kind"]: {parameter.ndim for parameter in group["params"]} for group in optimiser.param_groups}
    assert members == {"filters": {4}, "head": {2}, "plain": {1}}


def test_muons_decay_is_the_share_that_is_lost_in_a_step_at_the_full_rate():
    network = fast()
    recipe = Recipe(epochs=1, optimiser="muon", learning_rate=0.2, batch_size=12, weight_decay=0.01)
    optimiser = make_optimiser(network, recipe)
    before = network.head.weight.detach().clone()
    network.head.weight.grad = torch.zeros_like(network.head.weight)
    for group in optimiser.param_groups:
        group["momentum"] = 0.0
    set_rate(optimiser, 0.2)
    optimiser.step()
    torch.testing.assert_close(network.head.weight.detach(), 0.99 * before)
