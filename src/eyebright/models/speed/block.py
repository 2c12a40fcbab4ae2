"""The two kinds of layers of ``speed``: the whitening first layer, and a convolution with all that follows it."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from eyebright.models.speed import engine

EPSILON = 1e-5
WHITENING_EPSILON = 5e-4  # added to each eigenvalue, in units of standardised pixels squared: Jordan 2024, section 3.2
MOMENTS_OF = 250  # pictures whose patches are in memory at a time
STANDARDISED = 1e-3  # least standard deviation that a channel is divided by: a channel may be constant


class Whitening(nn.Module):
    """Standardised pixels, then patches of ``size`` pixels decorrelated and brought to variance 1, with both signs.

    Nothing here is trained: ``learn`` reads mean, deviation and the patches' covariance off some pictures. Gives
    2 channels size^2 channels and ``size`` - 1 rows and columns less. Jordan 2024 ("94% on CIFAR-10 in 3.29 seconds on a single
    GPU", arXiv 2404.00498), section 3.2.
    """

    mean: Tensor
    std: Tensor
    weight: Tensor
    learned: Tensor

    def __init__(self, channels: int, size: int, slope: float) -> None:
        super().__init__()
        self.slope = slope
        self.width = 2 * channels * size * size
        self.register_buffer("mean", torch.zeros(1, channels, 1, 1))
        self.register_buffer("std", torch.ones(1, channels, 1, 1))
        self.register_buffer("learned", torch.zeros((), dtype=torch.bool))
        # Until pictures were seen, the filters pick single pixels.
        single = torch.eye(self.width // 2).reshape(-1, channels, size, size)
        self.register_buffer("weight", torch.cat([single, -single]))

    @torch.no_grad()
    def learn(self, pixels: Tensor) -> None:
        """Takes statistics from ``pixels`` [n, channels, height, width]."""
        self.mean.copy_(pixels.mean((0, 2, 3), keepdim=True))
        self.std.copy_(pixels.std((0, 2, 3), keepdim=True).clamp_min(STANDARDISED))
        size = self.weight.shape[2]
        moments, count = torch.zeros(self.width // 2, self.width // 2, dtype=torch.float64, device=pixels.device), 0
        for some in torch.split(pixels, MOMENTS_OF):
            patches = ((some - self.mean) / self.std).unfold(2, size, 1).unfold(3, size, 1)  # n c rows columns size size
            vectors = patches.permute(0, 2, 3, 1, 4, 5).reshape(-1, self.width // 2).double()
            moments += vectors.T @ vectors
            count += len(vectors)
        values, directions = torch.linalg.eigh(moments / count)  # not centred: brightness is whitened too
        filters = (directions / (values.clamp_min(0) + WHITENING_EPSILON).sqrt()).T.reshape_as(self.weight[: self.width // 2])
        self.weight.copy_(torch.cat([filters, -filters]))
        self.learned.fill_(True)

    def forward(self, pixels: Tensor) -> Tensor:
        x = (pixels - self.mean) / self.std
        if engine.usable(x) and not x.requires_grad and (self.training or engine.rounds(x)):
            return engine.activated(F.conv2d(engine.in_layout(x), self.weight.to(engine.dtype_of(x))), self.slope)
        x = F.conv2d(x, self.weight)
        return x * torch.sigmoid(self.slope * x)


class Block(nn.Module):
    """Convolution 3x3, maxima of 2x2 where ``pool``, batch norm with a bias but no scale, then z * sigmoid(slope z).

    Convolutions begin by passing their input on, as far as there are channels.
    """

    def __init__(self, channels: int, out: int, *, pool: bool, slope: float, momentum: float) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, out, 3, padding=1, bias=False)
        nn.init.dirac_(self.conv.weight.data[: min(channels, out)])
        self.norm = nn.BatchNorm2d(out, eps=EPSILON, momentum=momentum, affine=False)
        self.bias = nn.Parameter(torch.zeros(out))
        self.pool, self.slope = pool, slope

    def forward(self, x: Tensor) -> Tensor:
        if engine.usable(x) and (self.norm.training or engine.rounds(x)):
            return engine.block(engine.in_layout(x), self.conv.weight, self.bias, self.norm, pool=self.pool, slope=self.slope)
        x = self.conv(x)
        if self.pool:
            x = F.max_pool2d(x, 2)
        z: Tensor = self.norm(x) + self.bias.view(1, -1, 1, 1)
        return z * torch.sigmoid(self.slope * z)
