"""One step of training: a batch drawn, changed, judged by the loss, and learned from."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from eyebright.core import seeds
from eyebright.core.errors import DivergedError
from eyebright.core.memory import keep_memory
from eyebright.models.network import PixelNetwork
from eyebright.training.augment import augmented, mixed, shrunk, to_batch
from eyebright.training.average import WeightAverage
from eyebright.training.forward import LabelledPictures, autocast, set_training
from eyebright.training.losses import make_loss
from eyebright.training.optim import freeze, make_optimiser, set_rate
from eyebright.training.recipe import Recipe
from eyebright.training.sampling import Draws

TAUGHT = 0.5  # the teacher's share of a target; the labels keep the rest, as the teacher has seen most of these pictures


class Stepper:
    """What lives across steps: the network, prepared for the recipe, its optimiser and the average of its weights."""

    def __init__(
        self,
        network: PixelNetwork,
        train: LabelledPictures,
        recipe: Recipe,
        class_weights: np.ndarray | None = None,
        teacher: nn.Module | None = None,
    ) -> None:
        self.network, self._train, self._recipe = network, train, recipe
        self._teacher = None if teacher is None else teacher.eval().to(recipe.device)
        keep_memory()
        network.to(recipe.device)
        if recipe.channels_last:
            network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in torch's stubs
        self._frozen = freeze(network, network.blocks(), network.head, recipe.unfreeze)
        self._learned = [parameter for parameter in network.parameters() if parameter.requires_grad]
        self.optimiser = make_optimiser(network, recipe)
        weights = None if class_weights is None else torch.from_numpy(class_weights).float().to(recipe.device)
        self._loss = make_loss(recipe, weights)
        self.average = WeightAverage(network, recipe.average) if recipe.average else None

    def set_training(self) -> None:
        """Training mode, but for what is frozen. To be called before the first step and after each evaluation."""
        set_training(self.network, self._frozen, self._recipe)

    def step(self, draws: Draws, *, epoch: int, number: int, rate: float, side: int | None = None) -> tuple[float, int]:
        """Learns from ``draws``, shown at ``side`` pixels where that is given; returns their loss, and how many were right.

        ``number`` counts the steps of the whole training, from 0. Where classes are mixed, right is the one with the largest
        share. Raises ``DivergedError`` when the loss is no longer a number.
        """
        pixels, targets = self._batch(draws, epoch, side)
        torch.manual_seed(seeds.integer(self._recipe.seed, "dropout", number))  # so that a resumed step drops the same units
        with autocast(self._recipe):
            logits, _ = self.network(pixels)
        logits = logits.float()
        loss = self._loss(logits, targets)
        self._learn(loss, rate)
        value = loss.item()
        if not math.isfinite(value):
            raise DivergedError(
                f"The loss is {value} at step {number}: training has diverged. Lower --learning-rate "
                f"({self._recipe.learning_rate:g} now), or use --precision fp32."
            )
        if self.average is not None:
            self.average.update(number)
        truth = targets.argmax(dim=1) if targets.is_floating_point() else targets
        return value, int((logits.detach().argmax(dim=1) == truth).sum())

    def _batch(self, draws: Draws, epoch: int, side: int | None) -> tuple[Tensor, Tensor]:
        """Pixels and targets: class numbers [n], or shares [n, classes] where pictures are mixed."""
        recipe, augment = self._recipe, self._recipe.augment
        pixels = to_batch(shrunk(self._train.pictures[draws.rows], side)).to(recipe.device)
        pixels = augmented(pixels, draws.hashes, augment, seed=recipe.seed, epoch=epoch)
        targets = torch.from_numpy(self._train.labels[draws.rows]).to(recipe.device)
        if augment.mixes or self._teacher is not None:
            targets = F.one_hot(targets, self.network.head.out_features).float()
        if augment.mixes:
            pixels, targets = mixed(pixels, targets, draws.hashes, augment, seed=recipe.seed, epoch=epoch)
        if recipe.channels_last:
            pixels = pixels.contiguous(memory_format=torch.channels_last)
        return pixels, targets if self._teacher is None else self._taught(pixels, targets, self._teacher)

    @torch.no_grad()
    def _taught(self, pixels: Tensor, targets: Tensor, teacher: nn.Module) -> Tensor:
        """The targets half-way to what the teacher says of the very same changed pictures (Beyer et al. 2022, section 3.1)."""
        with autocast(self._recipe):
            logits, _ = teacher(pixels)
        taught: Tensor = TAUGHT * logits.float().softmax(dim=1) + (1 - TAUGHT) * targets
        return taught

    def _learn(self, loss: Tensor, rate: float) -> None:
        set_rate(self.optimiser, rate)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        if self._recipe.clip:
            torch.nn.utils.clip_grad_norm_(self._learned, self._recipe.clip)
        self.optimiser.step()
