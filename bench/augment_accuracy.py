"""What augmentation gives:  EYEBRIGHT_DATA=DIR python -m bench.augment_accuracy [--data NAME ...] [--seeds N]

The frame is that of ``bench.out_of_fold``. Two models: the small ``cnn`` at 32 pixels from scratch, and EfficientNet-Lite0
fine-tuned at 96 pixels from a linear head, as ``train`` does, for a few epochs. Mirrored copies are off in all of them: that
question is asked of the data apart.
"""

import argparse
import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from bench.out_of_fold import (
    CNN_BATCH,
    CNN_SIZE,
    EPOCHS_TUNED,
    FOLDS,
    SETS,
    TUNED_SIZE,
    Trial,
    as_json,
    fine_tuned,
    gathered,
    judged,
    out_of_fold,
    show,
    small_network,
)
from eyebright.core.arrays import Features
from eyebright.core.files import write_json
from eyebright.core.machine import environment, usable_cores
from eyebright.models.network import PixelNetwork
from eyebright.training.augment import OFF, dial
from eyebright.training.fit import LabelledPictures, fit
from eyebright.training.recipe import Recipe

RESULTS = Path(__file__).parent / "results" / "augment-accuracy.json"
EPOCHS_FROM_SCRATCH = 24
AMOUNTS = {"none": OFF, **{name: dial(name, flip=False) for name in ("light", "medium", "strong")}}
MODELS = {"scratch": "cnn from scratch", "tuned": "lite0, fine-tuned"}


def from_scratch(trial: Trial, seen: LabelledPictures, features: Features | None) -> tuple[PixelNetwork, Recipe]:
    network = small_network(trial.material.classes, trial.seed)
    augment = AMOUNTS[trial.way]
    recipe = Recipe(epochs=EPOCHS_FROM_SCRATCH, batch_size=CNN_BATCH, seed=trial.seed, augment=augment)
    fit(network, seen, None, recipe)
    return network, recipe


def tuned(trial: Trial, seen: LabelledPictures, features: Features | None) -> tuple[PixelNetwork, Recipe]:
    return fine_tuned(trial, seen, features, augment=AMOUNTS[trial.way])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args()
    results: dict[str, object] = {}
    with ProcessPoolExecutor(usable_cores(), multiprocessing.get_context("spawn")) as pool:
        for name in given.data:
            started = time.monotonic()
            figures = {}
            for model in given.models:
                scratch = model == "scratch"
                material = gathered(name, CNN_SIZE) if scratch else gathered(name, TUNED_SIZE, embedded_at=TUNED_SIZE)
                found = out_of_fold(material, list(AMOUNTS), given.seeds, from_scratch if scratch else tuned, pool)
                rows = judged(material, found)
                show(name, MODELS[model], rows)
                figures[MODELS[model]] = as_json(rows)
            results[name] = {"seconds": round(time.monotonic() - started, 1), "figures": figures}
    settings = {
        "folds": FOLDS,
        "seeds": given.seeds,
        "cnn_size": CNN_SIZE,
        "tuned_size": TUNED_SIZE,
        "epochs_from_scratch": EPOCHS_FROM_SCRATCH,
        "epochs_tuned": EPOCHS_TUNED,
        "amounts": {name: augment.model_dump(exclude_defaults=True) for name, augment in AMOUNTS.items()},
    }
    write_json(given.out, {"schema": 1, "environment": environment(), **settings, "data": results})


if __name__ == "__main__":
    main()
