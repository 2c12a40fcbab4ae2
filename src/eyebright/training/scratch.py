"""Training a network from its initial weights, with early stopping on the validation part, and what both ways share."""

import copy
import dataclasses
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Int64

from eyebright.core.arrays import Logits
from eyebright.core.events import OnEvent, silent
from eyebright.core.report import Attempt
from eyebright.core.views import ONE_VIEW, Views
from eyebright.models.network import PixelNetwork
from eyebright.training.fit import FitResult, LabelledPictures, Pace, epochs_in_words, fit, outputs_of, replayed
from eyebright.training.pictures import ChosenPictures
from eyebright.training.recipe import Recipe


@dataclasses.dataclass(frozen=True)
class TrainingData:
    """Every picture but the test part, prepared, and whether each is in the validation part."""

    pictures: LabelledPictures
    held_out: Bool[np.ndarray, "n"]
    classes: int
    class_weights: np.ndarray | None = None

    def part(self, rows: np.ndarray) -> LabelledPictures:
        """The pictures in ``rows`` (a mask), none of which is copied before it is asked for."""
        whole = self.pictures
        return LabelledPictures(ChosenPictures(whole.pictures, np.flatnonzero(rows)), whole.labels[rows], whole.hashes[rows])


@dataclasses.dataclass(frozen=True)
class Learned:
    """What came of the training, the weights apart, which are in the network that was handed in.

    ``logits`` are predictions on the pictures ``rows`` by a model that had not seen them: for the temperature. ``again`` is the
    recipe that repeats the training without a validation part, of 0 epochs where the head alone was kept and None for what is
    no network; ``strength`` is that of the head it begins with, None for a network from scratch.
    """

    attempts: list[Attempt]
    logits: Logits
    rows: Int64[np.ndarray, "rows"]
    fitted_on: str
    ended: str
    again: Recipe | None = None
    strength: float | None = None


def train_from_scratch(
    network: PixelNetwork,
    data: TrainingData,
    recipe: Recipe,
    *,
    refit: bool,
    checkpoints: Path,
    views: Views = ONE_VIEW,
    on_event: OnEvent = silent,
) -> Learned:
    """Trains ``network`` in place on the train part, to the epoch of least validation loss.

    The logits that come back are over ``views``.
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
    logits, _ = outputs_of(network, validation.pictures, recipe, views=views)
    ended = f"Training ended because {trial.ended}"
    seconds = trial.seconds
    again = repeated(recipe, trial)
    if refit:
        network.load_state_dict(initial)
        seconds += train_on_all(network, data, again, checkpoints, on_event).seconds
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
    return Learned([attempt], logits, np.flatnonzero(data.held_out), "validation logits", ended + ".", again)


def repeated(recipe: Recipe, trial: FitResult) -> Recipe:
    """The recipe for training again without a validation part, for as many epochs as were best."""
    return replayed(recipe, trial).model_copy(update={"epochs": trial.best_epoch, "patience": 0})


def train_on_all(network: PixelNetwork, data: TrainingData, recipe: Recipe, checkpoints: Path, on_event: OnEvent) -> FitResult:
    """Trains ``network`` on train and validation together by a ``repeated`` recipe: its rate falls to zero at its own end."""
    return fit(
        network,
        data.pictures,
        None,
        recipe,
        stage="training on all",
        checkpoint=checkpoints / "training-on-all.safetensors",
        class_weights=data.class_weights,
        on_event=on_event,
    )


def shown_share(sides: tuple[tuple[float, int], ...], side: int) -> float:
    """The pixels that are shown in training, as a share of what it were at ``side`` throughout.

    >>> shown_share(((0.5, 16),), 32)
    0.625
    """
    shown, begins = 0.0, 0.0
    for until, small in sides:
        shown += (until - begins) * (small / side) ** 2
        begins = until
    return shown + 1 - begins


def affordable_epochs(
    pace: Pace, train: int, validation: int, seconds: float, *, refit: bool, most: int, on_all: int | None = None
) -> int:
    """How many epochs fit into ``seconds``, a refit on all pictures included; at most ``most``, and 0 where none fits.

    ``train`` and ``on_all`` are how many pictures an epoch shows, in the trial and in the refit: where a sampling draws some
    again or leaves some out, ``sampling.epoch_size`` knows. Without ``on_all`` the refit shows train and validation once.
    """
    trial = train * pace.training + validation * pace.evaluation
    again = (on_all or train + validation) * pace.training if refit else 0.0
    return max(0, min(most, int(seconds / max(trial + again, 1e-9))))
