"""Features of several depths: what a network sees on its way to its last layer, averaged over the places, side by side."""

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from eyebright.models.network import PixelNetwork


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
        return list(self._maps(self.bn1(self.conv_stem(pixels)), 0))[-self.depths :]

    def _maps(self, x: Tensor, stages: int) -> Iterator[Tensor]:
        """All maps from the one behind the first ``stages`` stages, ``x``, on; that one itself left out."""
        for stage in list(self.blocks)[stages:]:
            x = stage(x)
            yield x
        yield self.bn2(self.conv_head(x))

    def forward(self, pixels: Tensor) -> Tensor:
        return torch.cat([found.mean((2, 3)) for found in self.maps(pixels)], dim=1)

    def stages_of(self, blocks: int) -> int:
        """How many whole stages lie within the network's first ``blocks`` blocks, counted as ``PixelNetwork.blocks`` does."""
        return min(max(0, blocks - 2), len(self.blocks))  # the first two are the stem and its norm

    def first_stages(self, pixels: Tensor, stages: int) -> tuple[Tensor, ...]:
        """What ``other_stages`` goes on from: the map behind ``stages`` stages, one at least, and the features so far."""
        maps, x = [], self.bn1(self.conv_stem(pixels))
        for stage in list(self.blocks)[:stages]:
            x = stage(x)
            maps.append(x)
        behind = max(0, len(self.blocks) + 1 - self.depths)  # maps that are no features
        means = [found.mean((2, 3)) for found in maps[behind:]]
        return (x, torch.cat(means, dim=1)) if means else (x,)

    def other_stages(self, begun: Sequence[Tensor], stages: int) -> Tensor:
        """The features, from what ``first_stages`` gave for as many ``stages``."""
        x, *means = begun
        behind = max(0, len(self.blocks) + 1 - self.depths - stages)
        later = [found.mean((2, 3)) for found in list(self._maps(x, stages))[behind:]]
        return torch.cat([*means, *later], dim=1)


class FirstStages(nn.Module):
    """``network`` up to the map behind some of its stages: what its backbone's ``first_stages`` gives, from pixels in [0, 1].

    ``outputs`` are the names of what that is.
    """

    def __init__(self, network: PixelNetwork, stages: int) -> None:
        super().__init__()
        assert isinstance(network.backbone, SeveralDepths)
        self.prepare, self.backbone, self.stages = network.prepare, network.backbone, stages
        features_among_them = stages + network.backbone.depths > len(network.backbone.blocks) + 1
        self.outputs = ("map", "features") if features_among_them else ("map",)

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        assert isinstance(self.backbone, SeveralDepths)
        return self.backbone.first_stages(self.prepare(pixels), self.stages)


def side_by_side(maps: list[Tensor]) -> Tensor:
    """All channels on the finest map's grid, the others' places repeated: its mean over the places is the features.

    Exactly so where each side is a whole multiple of the coarser ones, as it is for pictures of a multiple of 32 pixels.
    """
    grid = maps[0].shape[2:]
    return torch.cat([found if found.shape[2:] == grid else F.interpolate(found, size=grid) for found in maps], dim=1)
