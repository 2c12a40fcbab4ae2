"""Training a network from its initial weights, with early stopping on the validation part, and what both ways share."""

import copy
import dataclasses
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Int64

from eyebright.core.arrays import Logits
from eyebright.core.events import OnEvent, silent
from eyebright.core.report import Attempt
from eyebright.models.network import PixelNetwork
from eyebright.training.fit import FitResult, LabelledPictures, Pace, epochs_in_words, fit, outputs_of
from eyebright.training.recipe import Recipe


@dataclasses.dataclass(frozen=True)
class TrainingData:
    """Every picture but the test part, prepared, and whether each is in the validation part."""

    pictures: LabelledPictures
    held_out: Bool[np.ndarray, "n"]
    classes: int
    class_weights: np.ndarray | None = None

    def part(self, rows: np.ndarray) -> LabelledPictures:
        """The pictures in ``rows`` (a mask)."""
        whole = self.pictures
        return LabelledPictures(whole.pictures[rows], whole.labels[rows], whole.hashes[rows])


@dataclasses.dataclass(frozen=True)
class Learned:
    """What came of the training, the weights apart, which are in the network that was handed in.

    ``logits`` are predictions on the pictures ``rows`` by a model that had not seen them: for the temperature.
    """

    attempts: list[Attempt]
    logits: Logits
    rows: Int64[np.ndarray, "rows"]
    fitted_on: str
    ended: str


def train_from_scratch(
    network: PixelNetwork,
    data: TrainingData,
    recipe: Recipe,
    *,
    refit: bool,
    checkpoints: Path,
    on_event: OnEvent = silent,
) -> Learned:
    """Trains ``network`` in place on the train part, to the epoch of least validation loss.

    ``refit`` begins again from the initial weights on train and validation together, for as many epochs as were best.
    Interrupted and called again with the same initial weights, it goes on from ``checkpoints``.
    """
    initial = copy.deepcopy(network.state_dict()) if refit else {}
    validation = data.part(data.held_out)
    trial = fit(
        network,
        data.part(~data.held_out),
        validation,
        recipe,
        checkpoint=checkpoints / "training.safetensors",
        class_weights=data.class_weights,
        on_event=on_event,
    )
    logits, _ = outputs_of(network, validation.pictures, recipe)
    ended = f"Training ended because {trial.ended}"
    seconds = trial.seconds
    if refit:
        network.load_state_dict(initial)
        seconds += train_on_all(network, data, recipe, trial.best_epoch, checkpoints, on_event).seconds
        ended += (
            f". The network was then trained again on train and validation together for {epochs_in_words(trial.best_epoch)}"
        )
    attempt = Attempt(
        name=f"training from scratch, best at epoch {trial.best_epoch} of {recipe.epochs}",
        score=trial.best_loss,
        metric="validation log loss",
        seconds=seconds,
        kept=True,
        reason=trial.ended,
    )
    return Learned([attempt], logits, np.flatnonzero(data.held_out), "validation logits", ended + ".")


def train_on_all(
    network: PixelNetwork, data: TrainingData, recipe: Recipe, epochs: int, checkpoints: Path, on_event: OnEvent
) -> FitResult:
    """Trains ``network`` on train and validation together, for ``epochs``, the rate falling to zero at their end."""
    return fit(
        network,
        data.pictures,
        None,
        recipe.model_copy(update={"epochs": epochs, "patience": 0}),
        stage="training on all",
        checkpoint=checkpoints / "training-on-all.safetensors",
        class_weights=data.class_weights,
        on_event=on_event,
    )


def affordable_epochs(pace: Pace, train: int, validation: int, seconds: float, *, refit: bool, most: int) -> int:
    """How many epochs fit into ``seconds``, a refit on all pictures included; at most ``most``, and 0 where none fits."""
    trial = train * pace.training + validation * pace.evaluation
    again = (train + validation) * pace.training if refit else 0.0
    return max(0, min(most, int(seconds / max(trial + again, 1e-9))))
