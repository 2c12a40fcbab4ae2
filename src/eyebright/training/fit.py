"""The training loop: seeded by counters, checkpointed between steps, resumed to the same weights."""

import copy
import dataclasses
import math
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from eyebright.core import seeds
from eyebright.core.arrays import ByteBatch, KeyHashes, Labels, Logits
from eyebright.core.errors import DataError, InterruptedRunError, ResourceError
from eyebright.core.events import Epoch, OnEvent, Phase, Progress, silent
from eyebright.core.files import sha256_of_json
from eyebright.core.interrupt import StopRequest, stop_requests
from eyebright.models.network import PixelNetwork
from eyebright.training.augment import augmented, to_batch
from eyebright.training.checkpoint import (
    load_checkpoint,
    network_tensors,
    optimiser_tensors,
    restore_network,
    restore_optimiser,
    save_checkpoint,
)
from eyebright.training.optim import freeze, make_optimiser, rate_factor, set_rate
from eyebright.training.recipe import Recipe

CHECKPOINT_SECONDS = 30.0  # what a power cut may cost
EVALUATION_BATCH = 128
REDRAW_SECONDS = 0.1


@dataclasses.dataclass(frozen=True)
class LabelledPictures:
    """Prepared pictures [n, 3, height, width] in uint8, their labels, and the hashes of their keys."""

    pictures: ByteBatch
    labels: Labels
    hashes: KeyHashes

    def __len__(self) -> int:
        return len(self.labels)


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
    on_event: OnEvent = silent,
) -> FitResult:
    """Trains ``network`` in place; it ends in the epoch of least validation loss, or the last one where there is none.

    With a ``checkpoint`` it is written at least every half minute, at each epoch's end and on Ctrl-C; where the file exists
    already, training goes on from it, to the same weights as without the interruption (equal threads, same kind of machine).
    Raises ``InterruptedRunError`` when stopped, and ``ResourceError`` when the loss is no longer a number.
    """
    devices = [recipe.device] if recipe.device != "cpu" else []
    with torch.random.fork_rng(devices=devices), stop_requests() as stop:
        return _Loop(network, train, validation, recipe, stage, checkpoint, class_weights, on_event, stop).run()


class _Loop:
    """The state that lives across steps: network, optimiser, best weights so far."""

    def __init__(
        self,
        network: PixelNetwork,
        train: LabelledPictures,
        validation: LabelledPictures | None,
        recipe: Recipe,
        stage: str,
        checkpoint: Path | None,
        class_weights: np.ndarray | None,
        on_event: OnEvent,
        stop: StopRequest,
    ) -> None:
        self.network, self.train, self.validation, self.recipe = network, train, validation, recipe
        self.stage, self.checkpoint, self.on_event, self.stop = stage, checkpoint, on_event, stop
        network.to(recipe.device)
        if recipe.channels_last:
            network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in torch's stubs
        self.frozen = freeze(network, network.blocks(), network.head, recipe.unfreeze)
        self.optimiser = make_optimiser(network, recipe)
        self.class_weights = None if class_weights is None else torch.from_numpy(class_weights).float().to(recipe.device)
        # Never a batch of one picture where more are wanted: a batch norm cannot learn from it.
        self.batches = max(1, min(round(len(train) / recipe.batch_size), len(train) // min(2, recipe.batch_size)))
        self.steps = recipe.epochs * self.batches
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
        self.network.eval()
        state = self.state
        ended = state.ended or f"all {epochs_in_words(self.recipe.epochs)} were done"
        return FitResult(state.history, state.best_epoch or len(state.history), state.best_loss, ended, state.seconds)

    def _epoch(self) -> None:
        """The rest of the current epoch, from the step where the state stands: none where only its close is missing."""
        epoch = len(self.state.history)
        start = self.state.step - epoch * self.batches
        order = np.array_split(seeds.order(self.recipe.seed, "order", epoch, self.train.hashes), self.batches)
        set_training(self.network, self.frozen, self.recipe)
        clock = time.monotonic()
        for rows in order[start:]:
            self._step(np.sort(rows), epoch)  # sorted: a memory-mapped store is read in one direction
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

    def _step(self, rows: np.ndarray, epoch: int) -> None:
        recipe, state = self.recipe, self.state
        hashes = self.train.hashes[rows]
        pixels = to_batch(self.train.pictures[rows]).to(recipe.device)
        pixels = augmented(pixels, hashes, recipe.augment, seed=recipe.seed, epoch=epoch)
        labels = torch.from_numpy(self.train.labels[rows]).to(recipe.device)
        torch.manual_seed(seeds.integer(recipe.seed, "dropout", state.step))  # so that a resumed step drops the same units
        set_rate(self.optimiser, recipe.learning_rate * rate_factor(state.step, self.steps, recipe.warm_up))
        loss, logits = self._loss(pixels, labels)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimiser.step()
        value = loss.item()
        if not math.isfinite(value):
            raise ResourceError(
                f"The loss is {value} at step {state.step}: training has diverged. Lower --learning-rate "
                f"({recipe.learning_rate:g} now), or use --precision fp32."
            )
        state.step += 1
        state.loss_sum += value * len(rows)
        state.correct += int((logits.argmax(dim=1) == labels).sum())
        state.seen += len(rows)

    def _loss(self, pixels: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        if self.recipe.channels_last:
            pixels = pixels.contiguous(memory_format=torch.channels_last)
        with autocast(self.recipe):
            logits, _ = self.network(pixels)
        logits = logits.float()
        loss = F.cross_entropy(logits, labels, weight=self.class_weights, label_smoothing=self.recipe.label_smoothing)
        return loss, logits.detach()

    def _close_epoch(self, seconds: float) -> None:
        state = self.state
        metrics = {"loss": state.loss_sum / state.seen, "accuracy": state.correct / state.seen}
        state.loss_sum, state.correct, state.seen = 0.0, 0, 0
        if self.validation is not None:
            metrics |= self._validate(self.validation)
        state.history.append(metrics)
        epoch = len(state.history)
        self.on_event(Epoch(self.stage, epoch, metrics, seconds))
        self._keep_best(epoch, metrics)
        self._save()

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
        tensors = network_tensors(self.network, "network") | optimiser_tensors(self.network, self.optimiser) | self.best
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
        restore_optimiser(self.network, self.optimiser, tensors)
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


def set_training(network: nn.Module, frozen: list[nn.Module], recipe: Recipe) -> None:
    """Training mode, but for what is frozen: there dropout is off and batch norms keep their statistics."""
    network.train()
    for block in frozen:
        block.eval()
    if recipe.frozen_norms:
        for module in network.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()


@torch.no_grad()
def outputs_of(
    network: PixelNetwork, pictures: ByteBatch, recipe: Recipe, *, on_event: OnEvent = silent, before: int = 0
) -> tuple[Logits, np.ndarray]:
    """Logits and features of prepared pictures, in the recipe's precision and layout.

    Progress counts on from ``before``, for a caller that goes block by block.
    """
    network.eval().to(recipe.device)
    logits, features = [], []
    for pixels in _batches(pictures, recipe):
        with autocast(recipe):
            scores, inner = network(pixels)
        logits.append(scores.float().cpu().numpy())
        features.append(inner.float().cpu().numpy())
        on_event(Progress(before + sum(map(len, logits))))
    return np.concatenate(logits), np.concatenate(features)


def _batches(pictures: ByteBatch, recipe: Recipe) -> Iterator[Tensor]:
    layout = torch.channels_last if recipe.channels_last else torch.contiguous_format
    for start in range(0, len(pictures), EVALUATION_BATCH):
        yield to_batch(pictures[start : start + EVALUATION_BATCH]).to(recipe.device).contiguous(memory_format=layout)


def autocast(recipe: Recipe) -> torch.autocast:
    """The context in which the network runs in the recipe's precision."""
    return torch.autocast(torch.device(recipe.device).type, torch.bfloat16, enabled=recipe.precision == "bf16")


@dataclasses.dataclass(frozen=True)
class Pace:
    """Seconds a picture takes: in training, and in evaluation."""

    training: float
    evaluation: float


def measure_pace(network: PixelNetwork, train: LabelledPictures, recipe: Recipe, *, seconds: float = 2.0) -> Pace:
    """How long a picture takes with this recipe, from a few steps of a copy that is then thrown away."""
    trial = copy.deepcopy(network)
    rows = np.arange(min(len(train), recipe.batch_size))
    sample = LabelledPictures(train.pictures[rows], train.labels[rows], train.hashes[rows])
    once = recipe.model_copy(update={"epochs": 1, "batch_size": len(rows)})
    with torch.random.fork_rng(devices=[]):
        loop = _Loop(trial, sample, None, once, "timing", None, None, silent, StopRequest())
        set_training(trial, loop.frozen, once)
        loop._step(rows, 0)  # the first step allocates and is slower
        times: list[float] = []
        while sum(times) < seconds and len(times) < 20:
            started = time.perf_counter()
            loop._step(rows, 0)
            times.append(time.perf_counter() - started)
        outputs_of(trial, sample.pictures, recipe)
        started = time.perf_counter()
        outputs_of(trial, sample.pictures, recipe)
        return Pace(float(np.median(times)) / len(rows), (time.perf_counter() - started) / len(rows))


def choose_precision(network: PixelNetwork, train: LabelledPictures, recipe: Recipe) -> tuple[Recipe, Pace, str]:
    """The recipe in the faster of fp32 and bf16, its pace, and the reason in words. Both are timed here, on a copy."""
    paces = {
        name: measure_pace(network, train, recipe.model_copy(update={"precision": name}), seconds=1.5)
        for name in ("fp32", "bf16")
    }
    rates = {name: 1 / pace.training for name, pace in paces.items()}
    winner = "bf16" if rates["bf16"] > 1.15 * rates["fp32"] else "fp32"
    reason = f"{rates['fp32']:.0f} pictures a second in fp32, {rates['bf16']:.0f} in bf16" + (
        "" if winner == "bf16" else "; bf16 is only taken where it gains 15 %"
    )
    return recipe.model_copy(update={"precision": winner}), paces[winner], reason
