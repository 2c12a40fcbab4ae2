"""Optimisers: which parameters are learned, and how strongly each kind is decayed."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from eyebright.training.muon import Muon
from eyebright.training.recipe import Recipe

# Hiverge's constants for 94 % on CIFAR-10 (github.com/hiverge/cifar10-speedrun): rates of the filters, and of head and biases
# for a loss summed over the batch; momenta.
MUON_RATE, HEAD_RATE, PLAIN_RATE = 0.205, 0.5415, 0.0573
FILTER_MOMENTUM, PLAIN_MOMENTUM = 0.655, 0.825


def make_optimiser(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """The recipe's optimiser over the parameters that are to be learned, in the groups of ``parameter_groups``."""
    if recipe.optimiser == "muon":
        dtype = torch.bfloat16 if recipe.precision == "bf16" else torch.float32
        return Muon(muon_groups(network, recipe), dtype=dtype)
    groups = parameter_groups(network, recipe)
    if recipe.optimiser == "sgd":
        return torch.optim.SGD(groups, lr=recipe.learning_rate, momentum=recipe.momentum, nesterov=recipe.momentum > 0)
    kind = torch.optim.AdamW if recipe.optimiser == "adamw" else torch.optim.Adam
    return kind(groups, lr=recipe.learning_rate, fused=True)


def muon_groups(network: nn.Module, recipe: Recipe) -> list[dict[str, Any]]:
    """``filters`` for Muon, the ``head`` and the ``plain`` others for SGD, whose rates are shares of the filters' rate.

    Rates of SGD are for the loss summed over a batch in the source, here for its mean: so they grow with the batch.
    """
    head = network.get_parameter("head.weight")
    members: dict[str, list[nn.Parameter]] = {"filters": [], "head": [], "plain": []}
    for parameter in network.parameters():
        if parameter.requires_grad:
            members["head" if parameter is head else "filters" if parameter.ndim == 4 else "plain"].append(parameter)
    batch = recipe.batch_size / MUON_RATE
    shares = {"filters": 1.0, "head": HEAD_RATE * batch, "plain": PLAIN_RATE * batch}
    of_head = recipe.weight_decay if recipe.head_weight_decay is None else recipe.head_weight_decay
    decays = {"filters": 0.0, "head": of_head, "plain": recipe.weight_decay}
    return [
        {
            "params": parameters,
            "kind": kind,
            "share": shares[kind],
            "momentum": FILTER_MOMENTUM if kind == "filters" else PLAIN_MOMENTUM,
            "weight_decay": decays[kind] / (recipe.learning_rate * shares[kind]),
        }
        for kind, parameters in members.items()
        if parameters
    ]


def parameter_groups(network: nn.Module, recipe: Recipe) -> list[dict[str, Any]]:
    """The parameters that are to be learned, by kind, each kind with its decay; ``kind`` is its name.

    ``weights``: convolutions, dense and attention layers, embeddings: ``weight_decay``. ``head``: the weights of the last
    layer, a kind of its own where ``head_weight_decay`` is given. ``plain``: biases and norms, which are never decayed:
    shrinking them regularises nothing (He et al. 2019, "Bag of tricks", section 3.1).
    """
    decays = {"weights": recipe.weight_decay, "head": recipe.head_weight_decay, "plain": 0.0}
    head = network.get_parameter("head.weight") if recipe.head_weight_decay is not None else None
    members: dict[str, list[nn.Parameter]] = {kind: [] for kind in decays}
    for parameter in network.parameters():
        if parameter.requires_grad:
            kind = "head" if parameter is head else "weights" if parameter.ndim >= 2 else "plain"
            members[kind].append(parameter)
    return [
        {"params": parameters, "weight_decay": decays[kind], "kind": kind} for kind, parameters in members.items() if parameters
    ]


def set_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """Gives every group of parameters the learning rate ``rate``, or its share of it."""
    for group in optimiser.param_groups:
        group["lr"] = rate * group.get("share", 1.0)


def freeze(network: nn.Module, blocks: Iterable[nn.Module], head: nn.Module, unfreeze: str) -> list[nn.Module]:
    """Freezes all but the head and what ``unfreeze`` names; returns the blocks that are frozen.

    ``unfreeze`` is ``head``, ``all`` or a number of last blocks.
    """
    parts = list(blocks)
    count = len(parts) if unfreeze == "all" else 0 if unfreeze == "head" else min(int(unfreeze), len(parts))
    frozen = parts[: len(parts) - count]
    network.requires_grad_(unfreeze == "all")
    for part in [*parts[len(parts) - count :], head]:
        part.requires_grad_(True)
    return frozen
