"""Optimisers and the schedule of their rate."""

import math
from collections.abc import Iterable

import torch
from torch import nn

from eyebright.training.recipe import Recipe


def make_optimiser(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """The recipe's optimiser over the parameters that are to be learned.

    Biases and norms are not decayed: shrinking them regularises nothing (He et al. 2019, "Bag of tricks", section 3.1).
    """
    learned = [parameter for parameter in network.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in learned if p.ndim >= 2], "weight_decay": recipe.weight_decay},
        {"params": [p for p in learned if p.ndim < 2], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if recipe.optimiser == "sgd":
        return torch.optim.SGD(groups, lr=recipe.learning_rate, momentum=recipe.momentum, nesterov=recipe.momentum > 0)
    kind = torch.optim.AdamW if recipe.optimiser == "adamw" else torch.optim.Adam
    return kind(groups, lr=recipe.learning_rate, fused=True)


def rate_factor(step: int, steps: int, warm_up: float) -> float:
    """The share of the full rate at ``step`` of ``steps``: a linear rise, then half a cosine down to zero.

    >>> [round(rate_factor(step, 10, 0.2), 2) for step in (0, 1, 2, 6)]
    [0.5, 1.0, 1.0, 0.5]
    """
    rising = math.ceil(warm_up * steps)
    if step < rising:
        return (step + 1) / rising
    return 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, steps - rising)))


def set_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """Gives every group of parameters the learning rate ``rate``."""
    for group in optimiser.param_groups:
        group["lr"] = rate


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
