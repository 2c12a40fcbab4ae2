"""Prepared pictures, and a network run over them in a recipe's precision and layout."""

import dataclasses

import numpy as np
import torch
from torch import nn

from eyebright.core.arrays import ByteBatch, KeyHashes, Labels, Logits
from eyebright.core.events import OnEvent, Progress, silent
from eyebright.core.memory import keep_memory
from eyebright.core.predictor import Outputs
from eyebright.core.views import ONE_VIEW, Views, averaged
from eyebright.models.network import Classifier
from eyebright.training.augment import to_batch
from eyebright.training.pictures import Pictures
from eyebright.training.recipe import Recipe

EVALUATION_BATCH = 128


@dataclasses.dataclass(frozen=True)
class LabelledPictures:
    """Prepared pictures [n, 3, height, width] in uint8, their labels, and the hashes of their keys."""

    pictures: Pictures
    labels: Labels
    hashes: KeyHashes

    def __len__(self) -> int:
        return len(self.labels)


def set_training(network: nn.Module, frozen: list[nn.Module], recipe: Recipe) -> None:
    """Training mode, but for what is frozen: there dropout is off and batch norms keep their statistics."""
    network.train()
    for block in frozen:
        block.eval()
    if recipe.frozen_norms:
        for module in network.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()


@torch.no_grad()
def outputs_of(
    network: Classifier,
    pictures: Pictures,
    recipe: Recipe,
    *,
    views: Views = ONE_VIEW,
    on_event: OnEvent = silent,
    before: int = 0,
) -> tuple[Logits, np.ndarray]:
    """Logits and features of prepared pictures, averaged over ``views``, in the recipe's precision and layout.

    Progress counts on from ``before``, for a caller that goes block by block.
    """
    keep_memory()
    network.eval().to(recipe.device)
    layout = torch.channels_last if recipe.channels_last else torch.contiguous_format

    def ask(some: ByteBatch) -> Outputs:
        with autocast(recipe):
            scores, inner = network(to_batch(some).to(recipe.device).contiguous(memory_format=layout))
        return Outputs(scores.float().cpu().numpy(), inner.float().cpu().numpy())

    found = []
    for start in range(0, len(pictures), EVALUATION_BATCH):
        found.append(averaged(ask, pictures[start : start + EVALUATION_BATCH], views))
        on_event(Progress(before + min(start + EVALUATION_BATCH, len(pictures))))
    return np.concatenate([one.logits for one in found]), np.concatenate([one.features for one in found])


def autocast(recipe: Recipe) -> torch.autocast:
    """The context in which the network runs in the recipe's precision."""
    return torch.autocast(torch.device(recipe.device).type, torch.bfloat16, enabled=recipe.precision == "bf16")
