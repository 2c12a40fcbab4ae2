"""``speed``: the network that learns small pictures soonest, after the records on CIFAR-10.

Whitened first layer, then groups of convolution, pooling, convolution, and the maximum over what is left of the picture. The
plan and most constants are those of airbench (Jordan 2024, arXiv 2404.00498, and github.com/KellerJordan/cifar10-airbench).
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from eyebright.core.errors import SettingsError
from eyebright.models.network import Luminance, PixelNetwork
from eyebright.models.speed.block import Block, Whitening

WIDTHS: Mapping[str, tuple[int, ...]] = {
    "narrow": (64, 128, 128),
    "standard": (64, 256, 256),
    "wide": (128, 384, 384),
    "deep": (128, 384, 512),
}
CAPACITIES = tuple(WIDTHS)  # the smallest first
LARGE = 40  # pixels: from here on one more group halves the picture first
MINIMUM_SIZE = 10  # pixels: three halvings must leave one
PATCH, GREY_PATCH = 2, 3  # pixels: 24 filters of colour, 18 of grey
MOMENTUM = 0.4  # of the running statistics, the newest batch's share
SLOPE = 1.0  # SiLU


class Group(nn.Sequential):
    """Blocks in a row; where there are three, what the first gives is added to what the last gives."""

    def forward(self, x: Tensor) -> Tensor:
        first, *others = self
        x = shortcut = first(x)
        for block in others:
            x = block(x)
        return x + shortcut if len(others) > 1 else x


class Backbone(nn.Module):
    """Features [n, width]: the maxima over the last map, divided by their number so that logits begin small."""

    def __init__(self, channels: int, widths: tuple[int, ...], *, deep: bool) -> None:
        super().__init__()
        self.whitening = Whitening(channels, PATCH if channels > 1 else GREY_PATCH, SLOPE)
        self.groups = nn.ModuleList()
        width = self.whitening.width
        for out in widths:
            kinds = [(width, True), (out, False), *([(out, False)] if deep else [])]
            self.groups.append(Group(*(Block(c, out, pool=p, slope=SLOPE, momentum=MOMENTUM) for c, p in kinds)))
            width = out
        self.width = width

    def forward(self, pixels: Tensor) -> Tensor:
        x = self.whitening(pixels)
        for group in self.groups:
            x = group(x)
        features: Tensor = x.amax((2, 3)).float() / self.width
        return features


class SpeedNetwork(PixelNetwork):
    """A ``PixelNetwork`` whose first layer is learned from pictures without labels, before training."""

    begins = True
    backbone: Backbone

    def begin(self, pixels: Tensor) -> None:
        """Fits the first layer to ``pixels``, unless it was fitted before."""
        if not self.backbone.whitening.learned:
            self.backbone.whitening.learn(self.prepare(pixels.to(self.head.weight.device)))

    def blocks(self) -> list[nn.Module]:
        return list(self.backbone.groups)


def speed(
    classes: int, *, height: int = 32, width: int = 32, grey: bool = False, dropout: float = 0.0, capacity: str = "standard"
) -> SpeedNetwork:
    """The network for pictures of ``height`` x ``width`` pixels, 10 to about 96.

    ``capacity``: narrow (0.57 million weights), standard (1.97), wide (4.6), deep (9.9): the networks of the records for
    93, 94, 95 and 96 % on CIFAR-10.
    Raises ``SettingsError`` for pictures that are too small and for another capacity.
    """
    if min(height, width) < MINIMUM_SIZE:
        raise SettingsError(
            f"--size is {height} x {width}; speed needs at least {MINIMUM_SIZE} x {MINIMUM_SIZE} pixels. Give a larger --size."
        )
    if capacity not in WIDTHS:
        raise SettingsError(f"The capacity {capacity!r} was found; {', '.join(WIDTHS)} was expected.")
    widths = WIDTHS[capacity]
    if min(height, width) >= LARGE:
        widths = (widths[0] // 2, *widths)
    backbone = Backbone(1 if grey else 3, widths, deep=capacity == "deep")
    head = nn.Linear(backbone.width, classes, bias=False)
    with torch.no_grad():
        head.weight.div_(head.weight.std())
    return SpeedNetwork(Luminance() if grey else nn.Identity(), backbone, head, dropout=dropout)
