"""What a poor camera does: blur and noise."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from eyebright.training.augment.draws import Draws
from eyebright.training.augment.values import Augment

KERNEL_REACH = 3.0  # standard deviations; beyond them lies less than 0.3 % of the weight
_DRAW = 2**24  # how many different numbers a draw has


def blurred(pixels: Tensor, augment: Augment, draws: Draws) -> Tensor:
    """``pixels``, half of them written to: a Gaussian blur, its standard deviation drawn between zero and the limit."""
    if augment.blur == 0:
        return pixels
    rows, numbers = draws.some("blur", 1)
    widest = augment.blur * min(pixels.shape[2:])
    for row, share in zip(rows.tolist(), numbers[:, 0].tolist(), strict=True):
        pixels[row] = gaussian_blur(pixels[row], share * widest)
    return pixels


def gaussian_blur(picture: Tensor, sigma: float) -> Tensor:
    """The picture [3, height, width] blurred with a standard deviation of ``sigma`` pixels; its border is repeated outside.

    Sums of moved copies, as many as this picture's own sigma needs: for the short kernels of a mild blur several times
    quicker on a processor than a grouped convolution with a kernel for each picture.
    """
    radius = math.ceil(KERNEL_REACH * sigma)
    if radius == 0:
        return picture
    weights = [math.exp(-0.5 * (place / sigma) ** 2) for place in range(radius + 1)]
    total = weights[0] + 2 * sum(weights[1:])
    weights = [weight / total for weight in weights]
    wide = F.pad(picture[None], [radius] * 4, mode="replicate")[0]
    return _weighted_sum(_weighted_sum(wide, weights, 2), weights, 1).clamp_(0, 1)


def _weighted_sum(wide: Tensor, weights: list[float], axis: int) -> Tensor:
    """Each place's neighbours along ``axis``, weighted by their distance; the result is two radii shorter."""
    radius = len(weights) - 1
    length = wide.shape[axis] - 2 * radius
    blurred = wide.narrow(axis, radius, length) * weights[0]
    for distance, weight in enumerate(weights[1:], 1):
        blurred.add_(wide.narrow(axis, radius - distance, length), alpha=weight)
        blurred.add_(wide.narrow(axis, radius + distance, length), alpha=weight)
    return blurred


def noisy(pixels: Tensor, augment: Augment, draws: Draws) -> Tensor:
    """``pixels``, half of them written to: normal noise, its standard deviation drawn between zero and the limit.

    The noise is the same in red, green and blue, so that a grey picture stays grey; cameras remove most of the other kind.
    Each picture has a generator of its own, seeded by its draw.
    """
    if augment.noise == 0:
        return pixels
    rows, numbers = draws.some("noise", 3)
    generator = torch.Generator(pixels.device)
    grain = torch.empty(pixels.shape[2:], device=pixels.device)
    for row, (share, high, low) in zip(rows.tolist(), numbers.tolist(), strict=True):
        generator.manual_seed(int(high * _DRAW) * _DRAW + int(low * _DRAW))
        pixels[row].add_(grain.normal_(0, share * augment.noise, generator=generator)).clamp_(0, 1)
    return pixels
