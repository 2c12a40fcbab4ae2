"""From a pretrained network to a classifier: a head on frozen features first, then fine-tuning from that head, if it helps.

The head's strength is chosen out of fold over every picture but the test part. Fine-tuning begins at the head (LP-FT: Kumar
et al. 2022, "Fine-tuning can distort pretrained features") on the train part; it is kept only where the validation loss, each
side with its own temperature, is lower than the head's. Where it is kept and the set is small, the network is trained once
more on train and validation together, for as many epochs as were best.
"""

import copy
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Int64
from scipy.optimize import minimize_scalar

from eyebright.core.arrays import Features, Labels, Logits
from eyebright.core.events import OnEvent, Phase, Progress, silent
from eyebright.core.report import Attempt
from eyebright.data.balance import Sampling, sampling_weights
from eyebright.data.folds import SEEN_BY_ALL, numbers_of
from eyebright.models.network import PixelNetwork
from eyebright.training.checkpoint import load_checkpoint, save_checkpoint
from eyebright.training.fit import FitResult, epochs_in_words, fit, outputs_of
from eyebright.training.head import (
    STRENGTHS,
    HeadChoice,
    LinearHead,
    choose_strength,
    fit_head,
    mean_log_loss,
    with_mirrored_if_better,
)
from eyebright.training.recipe import Recipe
from eyebright.training.scratch import Learned, TrainingData, repeated, train_on_all


@dataclasses.dataclass(frozen=True)
class TransferData(TrainingData):
    """Every picture but the test part, also embedded, and in which fold each is held out (``SEEN_BY_ALL``: in none).

    ``mirrored`` are the features of their mirror images, where those are learned from too.
    """

    features: Features = dataclasses.field(kw_only=True)
    folds: Int64[np.ndarray, "n"] = dataclasses.field(kw_only=True)
    sampling: Sampling = dataclasses.field(default="none", kw_only=True)
    mirrored: Features | None = dataclasses.field(default=None, kw_only=True)

    @property
    def judged(self) -> Int64[np.ndarray, "judged"]:
        """The rows that a fold holds out."""
        return np.flatnonzero(self.folds != SEEN_BY_ALL)

    @property
    def fold_numbers(self) -> list[int]:
        """The folds that hold something out."""
        return numbers_of(self.folds)

    @property
    def row_weights(self) -> np.ndarray | None:
        """The weight of each picture for the head, or None where all weigh the same.

        The head sees every picture, once: where the recipe draws the classes more or less often, their weights stand for it.
        """
        labels, weights = self.pictures.labels, self.class_weights
        if self.sampling != "none":
            drawn = sampling_weights(labels, self.classes, sampling=self.sampling)
            weights = drawn if weights is None else weights * drawn
        return None if weights is None else weights[labels]

    def head(self, rows: np.ndarray, strength: float) -> LinearHead:
        """The head fitted on ``rows`` (a mask, or indices) alone, and on their mirror images where there are any."""
        return fit_head(
            self.features[rows],
            self.pictures.labels[rows],
            self.classes,
            strength=strength,
            row_weights=None if self.row_weights is None else self.row_weights[rows],
            mirrored=None if self.mirrored is None else self.mirrored[rows],
        )


def transfer_head(network: PixelNetwork, data: TransferData, *, checkpoints: Path, on_event: OnEvent = silent) -> HeadChoice:
    """The head's strength, chosen out of fold; ``network`` gets the head that is fitted with it on every picture.

    Mirror images are learned from too where ``data`` has them and the choice says that they help.
    """
    file = checkpoints / "head.safetensors"
    if file.exists():
        choice = _read_choice(file)
    else:
        on_event(Phase("Choosing the head's strength by k-fold", len(STRENGTHS), "strengths"))
        choice = choose_strength(
            data.features,
            data.pictures.labels,
            data.classes,
            data.folds,
            row_weights=data.row_weights,
            on_step=lambda done: on_event(Progress(done)),
        )
        if data.mirrored is not None:
            choice = with_mirrored_if_better(
                choice,
                data.features,
                data.pictures.labels,
                data.classes,
                data.folds,
                data.mirrored,
                row_weights=data.row_weights,
            )
        _write_choice(file, choice)
    learned = data if choice.mirrored else dataclasses.replace(data, mirrored=None)
    set_head(network, learned.head(np.arange(len(data.pictures)), choice.strength))
    return choice


def head_result(data: TransferData, choice: HeadChoice, recipe: Recipe, seconds: float, ended: str) -> Learned:
    """The result of the head alone: kept, its temperature from out-of-fold logits."""
    attempt = head_attempt(data, choice, seconds, kept=True, reason=ended)
    return kept_head(data, choice, recipe, [attempt], ended)


def head_attempt(data: TransferData, choice: HeadChoice, seconds: float, *, kept: bool, reason: str) -> Attempt:
    """The line about the head in the report."""
    right = float((choice.out_of_fold.argmax(axis=1) == data.pictures.labels)[data.judged].mean())
    rows = ", mirror images too" if choice.mirrored else ""
    name = f"linear head on frozen features{rows}, strength {choice.strength:g} (out-of-fold accuracy {right:.3f})"
    return Attempt(name=name, score=choice.loss, metric="out-of-fold log loss", seconds=seconds, kept=kept, reason=reason)


def fine_tune(
    network: PixelNetwork,
    data: TransferData,
    choice: HeadChoice,
    recipe: Recipe,
    *,
    refit: bool,
    checkpoints: Path,
    head_seconds: float = 0.0,
    on_event: OnEvent = silent,
) -> Learned:
    """Fine-tunes from the head and keeps the better of the two in ``network``, which comes with the head on every picture.

    ``refit`` trains once more on train and validation together. Interrupted and called again, it goes on from ``checkpoints``.
    """
    head = data.head(~data.held_out, choice.strength)  # what fine-tuning begins with, and is compared with
    tuned = copy.deepcopy(network)
    set_head(tuned, head)
    trial, logits = _trial(tuned, data, recipe, checkpoints, on_event)
    labels = data.pictures.labels[data.held_out]
    verdict = Verdict(
        tuned=calibrated_loss(logits, labels)[0],
        head=calibrated_loss(head(data.features[data.held_out]), labels)[0],
        pictures=len(labels),
    )
    attempts = [
        head_attempt(data, choice, head_seconds, kept=not verdict.keeps_tuning, reason="the starting point"),
        _tuning_attempt(trial, recipe, verdict),
    ]
    if not verdict.keeps_tuning:
        return kept_head(data, choice, recipe, attempts, f"Fine-tuning was not kept: {verdict}.")
    ended = f"Fine-tuning was kept: {verdict}; {trial.ended}"
    again = repeated(recipe, trial)
    if refit:
        train_on_all(network, data, again, checkpoints, on_event)
        ended += f"; then trained again on train and validation together for {epochs_in_words(trial.best_epoch)}"
    else:
        network.load_state_dict(tuned.state_dict())
    where = "validation logits of the fine-tuned model"
    return Learned(attempts, logits, np.flatnonzero(data.held_out), where, f"{ended}.", again, choice.strength)


@dataclasses.dataclass(frozen=True)
class Verdict:
    """The calibrated loss of the tuned network and of the head it began with, on ``pictures`` that neither has seen."""

    tuned: float
    head: float
    pictures: int
    where: str = "validation"

    @property
    def keeps_tuning(self) -> bool:
        return self.tuned < self.head

    def __str__(self) -> str:
        losses = f"calibrated {self.where} loss {self.tuned:.3f} against the head's {self.head:.3f}"
        return f"{losses} on {self.pictures} pictures"


def _trial(
    tuned: PixelNetwork, data: TransferData, recipe: Recipe, checkpoints: Path, on_event: OnEvent
) -> tuple[FitResult, Logits]:
    """Trains ``tuned`` in place on the train part, and gives its logits on the validation part."""
    validation = data.part(data.held_out)
    trial = fit(
        tuned,
        data.part(~data.held_out),
        validation,
        recipe,
        stage="fine-tuning",
        checkpoint=checkpoints / "fine-tuning.safetensors",
        class_weights=data.class_weights,
        on_event=on_event,
    )
    return trial, outputs_of(tuned, validation.pictures, recipe)[0]


def _tuning_attempt(trial: FitResult, recipe: Recipe, verdict: Verdict) -> Attempt:
    """The line about fine-tuning in the report."""
    return Attempt(
        name=f"fine-tuning, {trial.best_epoch} of {recipe.epochs} epochs, unfrozen: {recipe.unfreeze}",
        score=verdict.tuned,
        metric="calibrated validation log loss",
        seconds=trial.seconds,
        kept=verdict.keeps_tuning,
        reason=str(verdict),
    )


def kept_head(data: TransferData, choice: HeadChoice, recipe: Recipe, attempts: list[Attempt], ended: str) -> Learned:
    """The head on every picture, whatever else was tried; what repeats it is a recipe of 0 epochs."""
    where = f"out-of-fold logits of the head, {len(data.fold_numbers)} folds"
    again = recipe.model_copy(update={"epochs": 0})
    return Learned(attempts, choice.out_of_fold[data.judged], data.judged, where, ended, again, choice.strength)


def calibrated_loss(logits: Logits, labels: Labels) -> tuple[float, float]:
    """The mean log loss at the best temperature, and that temperature: so that over-confidence alone does not decide."""
    found = minimize_scalar(
        lambda log_t: mean_log_loss(logits / np.float32(np.exp(log_t)), labels), bounds=(-3.0, 3.0), method="bounded"
    )
    return float(found.fun), float(np.exp(found.x))


def set_head(network: PixelNetwork, head: LinearHead) -> None:
    """Copies ``head`` into the network's last layer."""
    with torch.no_grad():
        network.head.weight.copy_(torch.from_numpy(head.weight))
        network.head.bias.copy_(torch.from_numpy(head.bias))


def _write_choice(file: Path, choice: HeadChoice) -> None:
    losses = [[strength, loss] for strength, loss in choice.losses.items()]
    save_checkpoint(
        file,
        {"out_of_fold": torch.from_numpy(choice.out_of_fold)},
        {
            "strength": choice.strength,
            "losses": losses,
            "mirrored": choice.mirrored,
            "why": choice.why,
            "harmed": choice.harmed,
        },
    )


def _read_choice(file: Path) -> HeadChoice:
    tensors, state = load_checkpoint(file)
    return HeadChoice(state["strength"], tensors["out_of_fold"].numpy(), dict(map(_pair, state["losses"])), *_mirrored(state))


def _mirrored(state: dict[str, Any]) -> tuple[bool, str, int | None]:
    # Runs that were begun by an earlier version have none of them.
    return state.get("mirrored", False), state.get("why", ""), state.get("harmed")


def _pair(row: Sequence[float]) -> tuple[float, float]:
    return row[0], row[1]
