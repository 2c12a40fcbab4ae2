"""What each remedy for uneven classes does:  EYEBRIGHT_DATA=DIR python -m bench.imbalance [--data NAME ...] [--seeds N]

The frame is that of ``bench.out_of_fold``. Three models: the linear head on frozen EfficientNet-Lite0 features (its strength
chosen as ``train`` does), the small ``cnn`` at 32 pixels from scratch, in about as many steps whatever the remedy shows in an
epoch, and EfficientNet-Lite0 fine-tuned at 96 pixels.
"""

import argparse
import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

from bench.out_of_fold import (
    CNN_BATCH,
    CNN_SIZE,
    EPOCHS_TUNED,
    FOLDS,
    SETS,
    TUNED_SIZE,
    Material,
    Trial,
    as_json,
    fine_tuned,
    gathered,
    judged,
    out_of_fold,
    show,
    small_network,
)
from eyebright.core.arrays import Features, Logits
from eyebright.core.files import write_json
from eyebright.core.machine import environment, usable_cores
from eyebright.data.balance import class_weights, sampling_weights
from eyebright.models.network import PixelNetwork
from eyebright.training.fit import LabelledPictures, fit
from eyebright.training.head import choose_strength
from eyebright.training.recipe import Recipe
from eyebright.training.sampling import epoch_size

RESULTS = Path(__file__).parent / "results" / "imbalance.json"
HEAD = ("none", "inverse", "effective", "sqrt")  # over- and under-sampling are inverse weights for a head
NETWORK: dict[str, dict[str, str]] = {
    "none": {},
    "inverse": {"weights": "inverse"},
    "effective": {"weights": "effective"},
    "over": {"sampling": "over"},
    "sqrt": {"sampling": "sqrt"},
    "under": {"sampling": "under"},
    "focal": {"loss": "focal"},
}
TUNED = ("none", "sqrt", "over")
STEPS = {"gtsrb": 180, "chest_xray": 64, "trashnet": 64}  # of the small network
MODELS = {"head": "head on lite0", "scratch": "cnn from scratch", "tuned": "lite0, fine-tuned"}


def head_logits(material: Material, remedy: str, seed: int) -> Logits:
    """Out-of-fold logits of the head."""
    labels, classes = material.pictures.labels, material.classes
    if remedy == "sqrt":
        weights = sampling_weights(labels, classes, sampling="sqrt")
    else:
        weights = class_weights(labels, classes, scheme=remedy)  # type: ignore[arg-type]  # one of its schemes
    row_weights = None if remedy == "none" else weights[labels]
    assert material.features is not None
    return choose_strength(material.features, labels, classes, material.folds(seed), row_weights=row_weights).out_of_fold


def from_scratch(trial: Trial, seen: LabelledPictures, features: Features | None) -> tuple[PixelNetwork, Recipe]:
    wanted = NETWORK[trial.way]
    steps = STEPS[trial.material.name]
    recipe = Recipe(epochs=1, batch_size=CNN_BATCH, seed=trial.seed, **{k: v for k, v in wanted.items() if k != "weights"})
    shown = epoch_size(seen.labels, recipe.sampling)
    recipe = recipe.model_copy(update={"epochs": max(1, round(steps / max(1, round(shown / CNN_BATCH))))})
    weights = None
    if "weights" in wanted:
        weights = class_weights(seen.labels, trial.material.classes, scheme=wanted["weights"])  # type: ignore[arg-type]
    network = small_network(trial.material.classes, trial.seed)
    fit(network, seen, None, recipe, class_weights=weights)
    return network, recipe


def tuned(trial: Trial, seen: LabelledPictures, features: Features | None) -> tuple[PixelNetwork, Recipe]:
    return fine_tuned(trial, seen, features, sampling=trial.way)


def tables(name: str, model: str, count: int, pool: ProcessPoolExecutor) -> tuple[Material, dict[str, list[Logits]]]:
    """Out-of-fold logits of every remedy for one model: remedy -> one table a seed."""
    if model == "head":
        material = gathered(name, CNN_SIZE, embedded_at=SETS[name].side)
        return material, {remedy: [head_logits(material, remedy, seed) for seed in range(count)] for remedy in HEAD}
    if model == "scratch":
        material = gathered(name, CNN_SIZE)
        return material, out_of_fold(material, list(NETWORK), count, from_scratch, pool)
    material = gathered(name, TUNED_SIZE, embedded_at=TUNED_SIZE)
    return material, out_of_fold(material, TUNED, count, tuned, pool)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args()

    results: dict[str, object] = {}
    with ProcessPoolExecutor(usable_cores(), multiprocessing.get_context("spawn")) as pool:
        for name in given.data:
            started = time.monotonic()
            figures = {}
            for model in given.models:
                material, found = tables(name, model, given.seeds, pool)
                figures[MODELS[model]] = judged(material, found)
                show(name, MODELS[model], figures[MODELS[model]])
            sizes = np.bincount(material.pictures.labels, minlength=material.classes)
            results[name] = {
                "n": len(material.pictures),
                "groups": len(set(material.groups)),
                "class_sizes": sizes.tolist(),
                "seconds": round(time.monotonic() - started, 1),
                "figures": {model: as_json(rows) for model, rows in figures.items()},
            }
    settings = {
        "folds": FOLDS,
        "seeds": given.seeds,
        "cnn_size": CNN_SIZE,
        "batch_size": CNN_BATCH,
        "steps": STEPS,
        "tuned_size": TUNED_SIZE,
        "epochs_tuned": EPOCHS_TUNED,
    }
    write_json(given.out, {"schema": 1, "environment": environment(), **settings, "data": results})


if __name__ == "__main__":
    main()
