"""The training loop: seeded by counters, checkpointed between steps, resumed to the same weights."""

import contextlib
import dataclasses
import math
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from eyebright.core import seeds
from eyebright.core.errors import DataError, InterruptedRunError
from eyebright.core.events import Epoch, OnEvent, Phase, Progress, silent
from eyebright.core.files import sha256_of_json
from eyebright.core.interrupt import StopRequest, stop_requests
from eyebright.models.network import PixelNetwork
from eyebright.training.augment import to_batch
from eyebright.training.checkpoint import (
    load_checkpoint,
    network_tensors,
    optimiser_tensors,
    restore_network,
    restore_optimiser,
    save_checkpoint,
)
from eyebright.training.forward import LabelledPictures, outputs_of
from eyebright.training.pace import Pace, choose_precision, measure_pace
from eyebright.training.recipe import Recipe
from eyebright.training.sampling import Draws, epoch_draws, epoch_size
from eyebright.training.schedule import Schedule, plateau_falls, side_at
from eyebright.training.step import Stepper

__all__ = [
    "FitResult",
    "LabelledPictures",
    "Pace",
    "choose_precision",
    "epochs_in_words",
    "fit",
    "measure_pace",
    "outputs_of",
    "replayed",
]

CHECKPOINT_SECONDS = 30.0  # what a power cut may cost
REDRAW_SECONDS = 0.1
BEGINNING = 5000  # pictures that a network may look at before its first step


@dataclasses.dataclass
class FitState:
    """How far the training is. Plain numbers, so that it goes into a checkpoint as JSON."""

    step: int = 0
    loss_sum: float = 0.0
    correct: int = 0
    seen: int = 0
    best_epoch: int = 0
    best_loss: float = math.inf
    seconds: float = 0.0
    history: list[dict[str, float]] = dataclasses.field(default_factory=list)
    ended: str = ""


@dataclasses.dataclass(frozen=True)
class FitResult:
    """What ``fit`` did. ``history`` has one row an epoch; ``ended`` says in words why it stopped."""

    history: list[dict[str, float]]
    best_epoch: int
    best_loss: float
    ended: str
    seconds: float


def fit(
    network: PixelNetwork,
    train: LabelledPictures,
    validation: LabelledPictures | None,
    recipe: Recipe,
    *,
    stage: str = "training",
    checkpoint: Path | None = None,
    class_weights: np.ndarray | None = None,
    teacher: nn.Module | None = None,
    on_event: OnEvent = silent,
) -> FitResult:
    """Trains ``network`` in place; it ends in the epoch of least validation loss, or the last one where there is none.

    The validation loss is the plain log loss, whatever is trained on; where the recipe averages the weights, it is theirs, and
    they are what is kept.
    A ``teacher``'s answers to the changed pictures, logits first as a network of ours gives them, are half of each target.
    With a ``checkpoint`` it is written at least every half minute, at each epoch's end and on Ctrl-C; where the file exists
    already, training goes on from it, to the same weights as without the interruption (equal threads, same kind of machine).
    Raises ``InterruptedRunError`` when stopped, ``DivergedError`` when the loss is no longer a number, and ``SettingsError``
    for a plateau schedule without validation pictures.
    """
    if network.begins and (checkpoint is None or not checkpoint.exists()):
        some = seeds.order(recipe.seed, "begin", 0, train.hashes)[:BEGINNING]
        network.begin(to_batch(train.pictures[np.sort(some)]))
    devices = [recipe.device] if recipe.device != "cpu" else []
    with torch.random.fork_rng(devices=devices), stop_requests() as stop:
        stepper = Stepper(network, train, recipe, class_weights, teacher)
        return _Loop(stepper, train, validation, recipe, stage, checkpoint, on_event, stop).run()


class _Loop:
    """The state that lives across epochs: how far it is, what a step needs, and the best weights so far."""

    def __init__(
        self,
        stepper: Stepper,
        train: LabelledPictures,
        validation: LabelledPictures | None,
        recipe: Recipe,
        stage: str,
        checkpoint: Path | None,
        on_event: OnEvent,
        stop: StopRequest,
    ) -> None:
        self.network, self.stepper = stepper.network, stepper
        self.train, self.validation, self.recipe = train, validation, recipe
        self.stage, self.checkpoint, self.on_event, self.stop = stage, checkpoint, on_event, stop
        # Never a batch of one picture where more are wanted: a batch norm cannot learn from it.
        shown = epoch_size(train.labels, recipe.sampling)
        self.batches = max(1, min(round(shown / recipe.batch_size), shown // min(2, recipe.batch_size)))
        self.steps = recipe.epochs * self.batches
        self.schedule = Schedule(recipe, self.steps, watched=validation is not None)
        self.state = FitState()
        self.best: dict[str, Tensor] = {}
        self.saved = self.drawn = time.monotonic()

    def run(self) -> FitResult:
        if self.checkpoint is not None and self.checkpoint.exists():
            self._restore()
        self.on_event(Phase(self.stage, self.steps, "steps"))
        while len(self.state.history) < self.recipe.epochs and not self.state.ended:
            started = time.monotonic()
            self._epoch()
            self._close_epoch(time.monotonic() - started)
            self._obey()
        if self.best:
            restore_network(self.network, self.best, "best")
        elif self.stepper.average is not None:
            self.stepper.average.apply()
        self.network.eval()
        state = self.state
        ended = state.ended or f"all {epochs_in_words(self.recipe.epochs)} were done"
        return FitResult(state.history, state.best_epoch or len(state.history), state.best_loss, ended, state.seconds)

    def _epoch(self) -> None:
        """The rest of the current epoch, from the step where the state stands: none where only its close is missing."""
        epoch = len(self.state.history)
        start = self.state.step - epoch * self.batches
        draws = epoch_draws(self.train.labels, self.train.hashes, self.recipe.sampling, seed=self.recipe.seed, epoch=epoch)
        order = np.array_split(seeds.order(self.recipe.seed, "order", epoch, draws.hashes), self.batches)
        self.schedule.begin_epoch(_validation_losses(self.state.history), epoch)
        self.stepper.set_training()
        clock = time.monotonic()
        for chosen in order[start:]:
            self._step(draws[np.sort(chosen)], epoch)  # sorted: a memory-mapped store is read in one direction
            self.state.seconds += time.monotonic() - clock
            clock = time.monotonic()
            self._talk(clock)
            if self.stop or clock - self.saved > CHECKPOINT_SECONDS:
                self._save()
            self._obey()

    def _obey(self) -> None:
        if self.stop:
            error = InterruptedRunError(f"Stopped in {self.stage} at step {self.state.step} of {self.steps}.")
            error.exit_code = 128 + (self.stop.signal or 2)
            raise error

    def _step(self, draws: Draws, epoch: int) -> None:
        state = self.state
        rate = self.recipe.learning_rate * self.schedule.factor(state.step)
        side = side_at(self.recipe.sides, state.step / self.steps)
        loss, right = self.stepper.step(draws, epoch=epoch, number=state.step, rate=rate, side=side)
        state.step += 1
        state.loss_sum += loss * len(draws)
        state.correct += right
        state.seen += len(draws)

    def _close_epoch(self, seconds: float) -> None:
        state = self.state
        metrics = {"loss": state.loss_sum / state.seen, "accuracy": state.correct / state.seen}
        state.loss_sum, state.correct, state.seen = 0.0, 0, 0
        epoch = len(state.history) + 1
        with self._as_judged():
            if self.validation is not None and epoch >= math.floor(self.recipe.judged_from * self.recipe.epochs):
                metrics |= self._validate(self.validation)
            self._keep_best(epoch, metrics)
        state.history.append(metrics)
        self.on_event(Epoch(self.stage, epoch, metrics, seconds))
        self._save()

    def _as_judged(self) -> contextlib.AbstractContextManager[None]:
        """Within, the network has the weights that are judged and kept: averaged where an average is made."""
        average = self.stepper.average
        return contextlib.nullcontext() if average is None else average.applied()

    def _validate(self, validation: LabelledPictures) -> dict[str, float]:
        logits, _ = outputs_of(self.network, validation.pictures, self.recipe)
        labels = torch.from_numpy(validation.labels)
        scores = torch.from_numpy(logits)
        right = int((scores.argmax(dim=1) == labels).sum())
        return {"validation_loss": F.cross_entropy(scores, labels).item(), "validation_accuracy": right / len(labels)}

    def _keep_best(self, epoch: int, metrics: dict[str, float]) -> None:
        state, loss = self.state, metrics.get("validation_loss")
        if loss is None:
            return
        if loss < state.best_loss:
            state.best_loss, state.best_epoch = loss, epoch
            self.best = {name: tensor.clone() for name, tensor in network_tensors(self.network, "best").items()}
        elif self.recipe.patience and epoch - state.best_epoch >= self.recipe.patience:
            state.ended = (
                f"the validation loss had not fallen for {self.recipe.patience} epochs (early stopping); "
                f"the weights of epoch {state.best_epoch} are kept"
            )

    def _save(self) -> None:
        self.saved = time.monotonic()
        if self.checkpoint is None:
            return
        tensors = network_tensors(self.network, "network") | optimiser_tensors(self.network, self.stepper.optimiser) | self.best
        if self.stepper.average is not None:
            tensors |= self.stepper.average.tensors()
        state = dataclasses.asdict(self.state)
        state["best_loss"] = None if math.isinf(self.state.best_loss) else self.state.best_loss
        state["recipe"] = self._signature()
        save_checkpoint(self.checkpoint, tensors, state)

    def _signature(self) -> str:
        """What a checkpoint must share with the training that goes on from it."""
        return sha256_of_json([self.recipe.model_dump(mode="json"), len(self.train), self.steps])

    def _restore(self) -> None:
        assert self.checkpoint is not None
        tensors, state = load_checkpoint(self.checkpoint)
        if state.pop("recipe", None) != self._signature():
            raise DataError(
                f"{self.checkpoint} was written with another recipe or other pictures. Delete it to repeat its stage, "
                "or begin a new run."
            )
        restore_network(self.network, tensors, "network")
        restore_optimiser(self.network, self.stepper.optimiser, tensors)
        if self.stepper.average is not None:
            self.stepper.average.restore(tensors)
        self.best = {name: value for name, value in tensors.items() if name.startswith("best/")}
        best_loss = state.pop("best_loss")
        self.state = FitState(**state, best_loss=math.inf if best_loss is None else best_loss)

    def _talk(self, now: float) -> None:
        if now - self.drawn > REDRAW_SECONDS:
            self.drawn = now
            metrics: dict[str, float] = {"loss": self.state.loss_sum / self.state.seen}
            metrics |= {
                key: value for row in self.state.history[-1:] for key, value in row.items() if key == "validation_accuracy"
            }
            self.on_event(Progress(self.state.step, metrics))


def epochs_in_words(count: int) -> str:
    """``1 epoch``, ``2 epochs`` ..."""
    return "1 epoch" if count == 1 else f"{count} epochs"


def replayed(recipe: Recipe, trial: FitResult) -> Recipe:
    """The recipe for training again without a validation part: a rate that fell on a plateau falls after the same epochs."""
    if recipe.schedule != "plateau":
        return recipe
    falls = plateau_falls(_validation_losses(trial.history), recipe.plateau_patience)
    return recipe.model_copy(update={"rate_falls": falls})


def _validation_losses(history: list[dict[str, float]]) -> list[float]:
    return [row["validation_loss"] for row in history if "validation_loss" in row]
