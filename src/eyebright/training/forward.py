"""Prepared pictures, and a network run over them in a recipe's precision and layout."""

import dataclasses
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn

from eyebright.core.arrays import ByteBatch, KeyHashes, Labels, Logits
from eyebright.core.events import OnEvent, Progress, silent
from eyebright.models.network import Classifier
from eyebright.training.augment import to_batch
from eyebright.training.recipe import Recipe

EVALUATION_BATCH = 128


@dataclasses.dataclass(frozen=True)
class LabelledPictures:
    """Prepared pictures [n, 3, height, width] in uint8, their labels, and the hashes of their keys."""

    pictures: ByteBatch
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
    network: Classifier, pictures: ByteBatch, recipe: Recipe, *, on_event: OnEvent = silent, before: int = 0
) -> tuple[Logits, np.ndarray]:
    """Logits and features of prepared pictures, in the recipe's precision and layout.

    Progress counts on from ``before``, for a caller that goes block by block.
    """
    network.eval().to(recipe.device)
    logits, features = [], []
    for pixels in _batches(pictures, recipe):
        with autocast(recipe):
            scores, inner = network(pixels)
        logits.append(scores.float().cpu().numpy())
        features.append(inner.float().cpu().numpy())
        on_event(Progress(before + sum(map(len, logits))))
    return np.concatenate(logits), np.concatenate(features)


def _batches(pictures: ByteBatch, recipe: Recipe) -> Iterator[Tensor]:
    layout = torch.channels_last if recipe.channels_last else torch.contiguous_format
    for start in range(0, len(pictures), EVALUATION_BATCH):
        yield to_batch(pictures[start : start + EVALUATION_BATCH]).to(recipe.device).contiguous(memory_format=layout)


def autocast(recipe: Recipe) -> torch.autocast:
    """The context in which the network runs in the recipe's precision."""
    return torch.autocast(torch.device(recipe.device).type, torch.bfloat16, enabled=recipe.precision == "bf16")
