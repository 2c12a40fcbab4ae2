"""How long training takes here, measured on a copy of the network, and the precision that is faster."""

import copy
import dataclasses
import time

import numpy as np
import torch

from eyebright.models.network import PixelNetwork
from eyebright.training.forward import LabelledPictures, outputs_of
from eyebright.training.recipe import Recipe
from eyebright.training.sampling import Draws
from eyebright.training.step import Stepper


@dataclasses.dataclass(frozen=True)
class Pace:
    """Seconds a picture takes: in training, and in evaluation."""

    training: float
    evaluation: float


def measure_pace(network: PixelNetwork, train: LabelledPictures, recipe: Recipe, *, seconds: float = 2.0) -> Pace:
    """How long a picture takes with this recipe, from a few steps of a copy that is then thrown away."""
    trial = copy.deepcopy(network)
    rows = np.arange(min(len(train), recipe.batch_size))
    batch = Draws(rows, train.hashes[rows])
    with torch.random.fork_rng(devices=[]):
        stepper = Stepper(trial, train, recipe)
        stepper.set_training()
        times: list[float] = []
        while not times or (sum(times[1:]) < seconds and len(times) <= 20):
            started = time.perf_counter()
            stepper.step(batch, epoch=0, number=len(times), rate=recipe.learning_rate)
            times.append(time.perf_counter() - started)
        outputs_of(trial, train.pictures[rows], recipe)
        started = time.perf_counter()
        outputs_of(trial, train.pictures[rows], recipe)
        # The first step allocates and is slower: it is left out.
        return Pace(float(np.median(times[1:])) / len(rows), (time.perf_counter() - started) / len(rows))


def choose_precision(
    network: PixelNetwork, train: LabelledPictures, recipe: Recipe, *, seconds: float = 1.5
) -> tuple[Recipe, Pace, str]:
    """The recipe in the faster of fp32 and bf16, its pace, and the reason in words. Both are timed here, on a copy."""
    paces = {
        name: measure_pace(network, train, recipe.model_copy(update={"precision": name}), seconds=seconds)
        for name in ("fp32", "bf16")
    }
    rates = {name: 1 / pace.training for name, pace in paces.items()}
    winner = "bf16" if rates["bf16"] > 1.15 * rates["fp32"] else "fp32"
    reason = f"{rates['fp32']:.0f} pictures a second in fp32, {rates['bf16']:.0f} in bf16" + (
        "" if winner == "bf16" else "; bf16 is only taken where it gains 15 %"
    )
    return recipe.model_copy(update={"precision": winner}), paces[winner], reason
