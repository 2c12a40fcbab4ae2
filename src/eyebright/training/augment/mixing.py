"""Pictures mixed with one another, and their targets with them: Mixup and CutMix."""

import numpy as np
import torch
from scipy.special import betaincinv
from torch import Tensor

from eyebright.core import seeds
from eyebright.core.arrays import KeyHashes
from eyebright.training.augment.draws import APPLIED, Draws
from eyebright.training.augment.values import Augment


def mixed(
    pixels: Tensor, targets: Tensor, hashes: KeyHashes, augment: Augment, *, seed: int, epoch: int
) -> tuple[Tensor, Tensor]:
    """Each picture [n, 3, height, width] mixed with another of the batch, and its target [n, classes] by the same shares.

    Mixup (Zhang et al. 2018) adds the two; CutMix (Yun et al. 2019) pastes a box of the other, and the targets' shares are
    those of the areas as pasted. With both on, each takes half of the pictures. Which picture goes with which depends on
    the batch, by an order drawn from the hashes; how does not. A batch of one picture is given back as it is.
    """
    if not augment.mixes or len(pixels) < 2:
        return pixels, targets
    height, width = pixels.shape[2:]
    partners = _partners(seeds.order(seed, "augment-partner", epoch, hashes))
    boxes, shares = _boxes(augment, Draws(seed, epoch, hashes, pixels.device), height, width)
    mixture = pixels.clone()
    for row, (other, share, (left, top, right, bottom)) in enumerate(zip(partners, shares, boxes.tolist(), strict=True)):
        mixture[row, :, top:bottom, left:right].lerp_(pixels[other, :, top:bottom, left:right], share)
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]) / (height * width)
    weights = torch.from_numpy(shares * area).to(targets)[:, None]
    return mixture, torch.lerp(targets, targets[partners], weights)


def _partners(order: np.ndarray) -> list[int]:
    """For each row the next one in a circle: another for each, and never itself."""
    partners = np.empty_like(order)
    partners[order] = np.roll(order, -1)
    rows: list[int] = partners.tolist()
    return rows


def _boxes(augment: Augment, draws: Draws, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Where the other picture comes in (left, top, right, bottom [n, 4]), and its share of what is seen there [n]."""
    which, amount, across, down = draws.numbers("mix", 4).astype(np.float64).T
    pasted = which < (APPLIED if augment.mixup > 0 and augment.cutmix > 0 else float(augment.cutmix > 0))
    shares = np.where(pasted, 1.0, 1 - _beta(amount, augment.mixup))
    side = np.sqrt(1 - _beta(amount, augment.cutmix))  # Yun et al. 2019, equation 2: the area is 1 - lambda
    sides = [np.rint(side * width).astype(int), np.rint(side * height).astype(int)]
    firsts = [
        (centre * whole).astype(int) - cut // 2
        for centre, whole, cut in zip((across, down), (width, height), sides, strict=True)
    ]
    boxes = np.stack([*firsts, *(first + cut for first, cut in zip(firsts, sides, strict=True))], axis=1)
    boxes = np.clip(boxes, 0, [width, height, width, height])
    return np.where(pasted[:, None], boxes, [0, 0, width, height]), shares


def _beta(uniform: np.ndarray, alpha: float) -> np.ndarray:
    """Numbers distributed as Beta(alpha, alpha), by the inverse of its distribution function; ones where ``alpha`` is zero."""
    quantiles: np.ndarray = betaincinv(alpha, alpha, uniform) if alpha > 0 else np.ones_like(uniform)
    return quantiles
