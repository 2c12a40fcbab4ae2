"""What training makes small: cross-entropy and focal loss, for labels that are classes or shares of several classes.

Both take ``targets`` as class numbers [n] or as shares [n, classes] whose rows sum to one, as Mixup and CutMix make them, and
divide by the weight of the targets, so that doubling every class's weight changes nothing.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from eyebright.training.recipe import Recipe

Loss = Callable[[Tensor, Tensor], Tensor]  # logits [n, classes], targets -> a scalar


def make_loss(recipe: Recipe, class_weights: Tensor | None = None) -> Loss:
    """The recipe's loss, with its smoothing, as a function of logits and targets."""
    smoothing = recipe.label_smoothing
    if recipe.loss == "focal":
        gamma = recipe.focal_gamma
        return lambda logits, targets: focal(logits, targets, gamma=gamma, weights=class_weights, smoothing=smoothing)
    return lambda logits, targets: cross_entropy(logits, targets, weights=class_weights, smoothing=smoothing)


def cross_entropy(logits: Tensor, targets: Tensor, *, weights: Tensor | None = None, smoothing: float = 0.0) -> Tensor:
    """The weighted mean of -log p of the targets, in nats; ``smoothing`` of each target is spread evenly over all classes.

    Shares of one and zero give what the class number gives, weights and smoothing included. torch's own loss does not: for
    shares it divides by the number of pictures rather than by their weight.
    """
    if not targets.is_floating_point():
        return F.cross_entropy(logits, targets, weight=weights, label_smoothing=smoothing)
    return _weighted_mean(-logits.log_softmax(dim=1), targets, weights, smoothing)


def focal(
    logits: Tensor, targets: Tensor, *, gamma: float = 2.0, weights: Tensor | None = None, smoothing: float = 0.0
) -> Tensor:
    """The weighted mean of -(1 - p)^gamma log p of the targets: what is known already counts little.

    Lin et al. 2017 ("Focal loss for dense object detection"), eq. 5, with the softmax's probability of the class in place of
    the sigmoid's; ``weights`` take the place of their alpha. Where a target is shared, each class has its own factor and
    counts by its share. With ``gamma`` 0 it is ``cross_entropy``.
    """
    if not targets.is_floating_point():
        targets = F.one_hot(targets, logits.shape[1]).to(logits.dtype)
    log_p = logits.log_softmax(dim=1)
    # 1 - p without cancellation; never quite 0, where a power below one has no slope.
    missing = (-torch.expm1(log_p)).clamp_min(torch.finfo(log_p.dtype).tiny)
    return _weighted_mean(-(missing**gamma) * log_p, targets, weights, smoothing)


def _weighted_mean(losses: Tensor, targets: Tensor, weights: Tensor | None, smoothing: float) -> Tensor:
    """The mean over targets of ``losses``, which hold the loss of each picture for each class [n, classes]."""
    total = targets.sum() if weights is None else (targets * weights).sum()
    if smoothing:
        targets = targets * (1 - smoothing) + smoothing / targets.shape[1]
    if weights is not None:
        targets = targets * weights
    return (targets * losses).sum() / total
