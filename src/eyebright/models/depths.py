"""Features of several depths: what a network sees on its way to its last layer, averaged over the places, side by side."""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class SeveralDepths(nn.Module):
    """An EfficientNet of timm whose features are the means of its last ``depths`` maps: of stages, and of the last layer.

    The last layer knows the thousand things it was trained to tell apart; the stages before it still hold texture and parts,
    which decide where the new classes are none of those (Yosinski et al. 2014, "How transferable are features in deep neural
    networks?"). A linear head on all of them is chosen as one on the last alone is (NOTES.md has what it gave).

    Parts and names of weights are the network's own.
    """

    conv_stem: nn.Module
    bn1: nn.Module
    blocks: nn.Sequential
    conv_head: nn.Module
    bn2: nn.Module

    def __init__(self, network: nn.Module, depths: int) -> None:
        super().__init__()
        for name in ("conv_stem", "bn1", "blocks", "conv_head", "bn2"):
            self.add_module(name, getattr(network, name))
        self.depths = depths

    def maps(self, pixels: Tensor) -> list[Tensor]:
        """The last ``depths`` maps [n, channels, rows, columns], from the input to the output."""
        return list(self._maps(pixels))[-self.depths :]

    def _maps(self, pixels: Tensor) -> Iterator[Tensor]:
        x = self.bn1(self.conv_stem(pixels))
        for stage in self.blocks:
            x = stage(x)
            yield x
        yield self.bn2(self.conv_head(x))

    def forward(self, pixels: Tensor) -> Tensor:
        return torch.cat([found.mean((2, 3)) for found in self.maps(pixels)], dim=1)


def side_by_side(maps: list[Tensor]) -> Tensor:
    """All channels on the finest map's grid, the others' places repeated: its mean over the places is the features.

    Exactly so where each side is a whole multiple of the coarser ones, as it is for pictures of a multiple of 32 pixels.
    """
    grid = maps[0].shape[2:]
    return torch.cat([found if found.shape[2:] == grid else F.interpolate(found, size=grid) for found in maps], dim=1)
