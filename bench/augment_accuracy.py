"""What augmentation gives:  EYEBRIGHT_DATA=DIR python -m bench.augment_accuracy [--data NAME ...] [--seeds N]

The frame is that of ``bench.imbalance``: three folds over the training part of each set, groups kept together, the test part
never read; pooled out-of-fold figures, differences to ``none`` on the same pictures with a bootstrap over groups. Two models:
the small ``cnn`` at 32 pixels from scratch, and EfficientNet-Lite0 fine-tuned at 96 pixels from a linear head, as ``train``
does, for a few epochs. Mirrored copies are off in all of them: that question is asked of the data apart.
"""

import argparse
import dataclasses
import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import torch

from bench.imbalance import BATCH, CNN_SIZE, FOLDS, SETS, embedded, judged, show
from eyebright.core import seeds
from eyebright.core.arrays import Features, Logits
from eyebright.core.bundle import Architecture
from eyebright.core.files import write_json
from eyebright.core.machine import environment, usable_cores
from eyebright.core.preprocess import Preprocess
from eyebright.data.folds import group_folds
from eyebright.data.open import open_source
from eyebright.data.pixels import prepare_all
from eyebright.data.source import group_of
from eyebright.models import lite0
from eyebright.models.catalogue import build_seeded
from eyebright.training.augment import OFF, Augment, dial
from eyebright.training.fit import LabelledPictures, fit, outputs_of
from eyebright.training.head import fit_head
from eyebright.training.recipe import Recipe
from eyebright.training.transfer import set_head

RESULTS = Path(__file__).parent / "results" / "augment-accuracy.json"
TUNED_SIZE = 96  # pixels
EPOCHS_FROM_SCRATCH = 24
EPOCHS_TUNED = 3
STRENGTH = 0.01  # of the head that fine-tuning begins with
AMOUNTS = {"none": OFF, **{name: dial(name, flip=False) for name in ("light", "medium", "strong")}}


@dataclasses.dataclass(frozen=True)
class Trial:
    """One training on all folds but one, judged on that one."""

    pictures: LabelledPictures
    features: Features | None
    folds: np.ndarray
    classes: int
    augment: Augment
    seed: int
    fold: int

    def run(self) -> tuple[np.ndarray, Logits]:
        """The rows held out, and their logits."""
        torch.set_num_threads(1)
        held = self.folds == self.fold
        whole = self.pictures
        train = LabelledPictures(whole.pictures[~held], whole.labels[~held], whole.hashes[~held])
        if self.features is None:
            arguments: dict[str, str | int | float | bool | list[float] | None] = {"height": CNN_SIZE, "width": CNN_SIZE}
            network = build_seeded(Architecture(name="cnn", arguments=arguments), self.classes, self.seed)
            recipe = Recipe(epochs=EPOCHS_FROM_SCRATCH, batch_size=BATCH, seed=self.seed, augment=self.augment)
        else:
            network = lite0.lite0(self.classes)
            lite0.load_pretrained(network)
            set_head(network, fit_head(self.features[~held], train.labels, self.classes, strength=STRENGTH))
            recipe = Recipe(
                epochs=EPOCHS_TUNED,
                batch_size=32,
                optimiser="adamw",
                weight_decay=0.01,
                learning_rate=3e-4,  # at 1e-3 a whole network forgets its head on so few steps (NOTES.md)
                frozen_norms=True,
                precision="bf16",
                seed=self.seed,
                augment=self.augment,
            )
        fit(network, train, None, recipe)
        return np.flatnonzero(held), outputs_of(network, whole.pictures[held], recipe)[0]


def compared(name: str, model: str, count: int, pool: ProcessPoolExecutor) -> dict[str, object]:
    """The figures of every amount of augmentation for one model on one set."""
    source = open_source(name, group=SETS[name].group)
    samples = [sample for sample in source.samples if sample.part != "test"]
    keys, groups = [sample.key for sample in samples], tuple(map(group_of, samples))
    side = CNN_SIZE if model == "cnn from scratch" else TUNED_SIZE
    prepared = prepare_all(source, keys, Preprocess(height=side, width=side))
    labels = np.array([sample.label for sample in samples], dtype=np.int64)
    pictures = LabelledPictures(prepared, labels, seeds.key_hashes(keys))
    features = None if model == "cnn from scratch" else embedded(prepared, side)
    classes = len(source.classes)
    plan = [
        (amount, seed, Trial(pictures, features, group_folds(labels, groups, FOLDS, seed), classes, augment, seed, fold))
        for amount, augment in AMOUNTS.items()
        for seed in range(count)
        for fold in range(FOLDS)
    ]
    tables = {amount: [np.zeros((len(labels), classes), np.float32) for _ in range(count)] for amount in AMOUNTS}
    for (amount, seed, _), (rows, logits) in zip(plan, pool.map(Trial.run, [trial for *_, trial in plan]), strict=True):
        tables[amount][seed][rows] = logits
    material = _Judged(pictures, groups, classes)
    figures = judged(material, tables)  # type: ignore[arg-type]  # it needs labels, groups and classes alone
    show(name, model, figures)
    return {amount: {metric: figure.model_dump() for metric, figure in row.items()} for amount, row in figures.items()}


@dataclasses.dataclass(frozen=True)
class _Judged:
    pictures: LabelledPictures
    groups: tuple[str, ...]
    classes: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--models", nargs="+", choices=("scratch", "tuned"), default=["scratch", "tuned"])
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args()
    names = {"scratch": "cnn from scratch", "tuned": "lite0, fine-tuned"}
    results: dict[str, object] = {}
    with ProcessPoolExecutor(usable_cores(), multiprocessing.get_context("spawn")) as pool:
        for name in given.data:
            started = time.monotonic()
            figures = {names[model]: compared(name, names[model], given.seeds, pool) for model in given.models}
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
