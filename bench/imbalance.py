"""What each remedy for uneven classes does:  EYEBRIGHT_DATA=DIR python -m bench.imbalance [--data NAME ...] [--seeds N]

Three folds over the training part of each set, stratified, groups kept together; the test part is never read. Two models: the
linear head on frozen EfficientNet-Lite0 features (its strength chosen as ``train`` does), and the small ``cnn`` at 32 pixels
from scratch, in about as many steps whatever the remedy shows in an epoch. Figures are of pooled out-of-fold predictions, the
mean over seeds (folds, initial weights, order); a difference is to ``none`` on the same pictures, folds and seeds, its 95 %
interval from a bootstrap over groups. The log loss is taken at the temperature that is best for each, as ``train`` fits one.
"""

import argparse
import dataclasses
import hashlib
import multiprocessing
import time
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import torch

from eyebright.core import seeds
from eyebright.core.arrays import Features, Labels, Logits, softmax
from eyebright.core.bundle import Architecture
from eyebright.core.files import cache_home, sha256_of_json, write_json
from eyebright.core.machine import environment, usable_cores
from eyebright.core.preprocess import Preprocess
from eyebright.core.report import Figure
from eyebright.data.balance import class_weights, sampling_weights
from eyebright.data.folds import group_folds
from eyebright.data.open import open_source
from eyebright.data.pixels import prepare_all
from eyebright.data.source import group_of
from eyebright.evaluation.accuracy import accuracy, balanced_accuracy, count_answers, f1, macro
from eyebright.evaluation.intervals import estimate, weighted_mean
from eyebright.models import lite0
from eyebright.models.catalogue import build_seeded
from eyebright.training.features import FeatureCache, embed
from eyebright.training.fit import LabelledPictures, fit, outputs_of
from eyebright.training.head import choose_strength
from eyebright.training.recipe import Recipe
from eyebright.training.sampling import epoch_size
from eyebright.training.transfer import calibrated_loss

RESULTS = Path(__file__).parent / "results" / "imbalance.json"
FOLDS = 3
CNN_SIZE = 32  # pixels
BATCH = 64
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
METRICS = ("f1_macro", "balanced_accuracy", "accuracy", "log_loss")


@dataclasses.dataclass(frozen=True)
class Known:
    """How a set is read: its groups, the side in pixels that ``train`` would embed at, and the steps of the small network."""

    group: str | None
    side: int
    steps: int


SETS = {
    "gtsrb": Known(r"train/(?P<group>\d+/\d+)_", 96, 180),
    "chest_xray": Known(r"(?P<group>person\d+|IM-\d+)", 224, 64),
    "trashnet": Known(None, 224, 64),
}


@dataclasses.dataclass(frozen=True)
class Material:
    """The training part of a set, prepared for both models."""

    pictures: LabelledPictures
    features: Features
    groups: tuple[str, ...]
    classes: int

    def folds(self, seed: int) -> np.ndarray:
        return group_folds(self.pictures.labels, self.groups, FOLDS, seed)


def gathered(name: str, known: Known) -> Material:
    """Every picture that is not in the test part."""
    source = open_source(name, group=known.group)
    samples = [sample for sample in source.samples if sample.part != "test"]
    keys = [sample.key for sample in samples]
    small = prepare_all(source, keys, Preprocess(height=CNN_SIZE, width=CNN_SIZE))
    large = prepare_all(source, keys, Preprocess(height=known.side, width=known.side))
    labels = np.array([sample.label for sample in samples], dtype=np.int64)
    pictures = LabelledPictures(small, labels, seeds.key_hashes(keys))
    return Material(pictures, embedded(large, known.side), tuple(map(group_of, samples)), len(source.classes))


def embedded(pictures: np.ndarray, side: int) -> Features:
    network = lite0.lite0(1)
    origin = lite0.load_pretrained(network)
    cache = FeatureCache(cache_home() / "features", sha256_of_json(["bench.imbalance", origin, side])[:32])
    contents = [hashlib.sha256(picture.tobytes()).hexdigest() for picture in pictures]
    return embed(network, pictures, contents, Recipe(epochs=0), cache)


def head_logits(material: Material, remedy: str, seed: int) -> Logits:
    """Out-of-fold logits of the head."""
    labels, classes = material.pictures.labels, material.classes
    if remedy == "sqrt":
        weights = sampling_weights(labels, classes, sampling="sqrt")
    else:
        weights = class_weights(labels, classes, scheme=remedy)  # type: ignore[arg-type]  # one of its schemes
    row_weights = None if remedy == "none" else weights[labels]
    return choose_strength(material.features, labels, classes, material.folds(seed), row_weights=row_weights).out_of_fold


@dataclasses.dataclass(frozen=True)
class Trial:
    """One training of the small network: on all folds but one, judged on that one."""

    material: Material
    remedy: str
    seed: int
    fold: int
    steps: int

    def run(self) -> tuple[np.ndarray, Logits]:
        """The rows held out, and their logits."""
        torch.set_num_threads(1)
        whole, held = self.material.pictures, self.material.folds(self.seed) == self.fold
        train = LabelledPictures(whole.pictures[~held], whole.labels[~held], whole.hashes[~held])
        wanted = NETWORK[self.remedy]
        recipe = Recipe(epochs=1, batch_size=BATCH, seed=self.seed, **{k: v for k, v in wanted.items() if k != "weights"})
        shown = epoch_size(train.labels, recipe.sampling)
        recipe = recipe.model_copy(update={"epochs": max(1, round(self.steps / max(1, round(shown / BATCH))))})
        weights = None
        if "weights" in wanted:
            weights = class_weights(train.labels, self.material.classes, scheme=wanted["weights"])  # type: ignore[arg-type]
        arguments: dict[str, str | int | float | bool | list[float] | None] = {"height": CNN_SIZE, "width": CNN_SIZE}
        network = build_seeded(Architecture(name="cnn", arguments=arguments), self.material.classes, self.seed)
        fit(network, train, None, recipe, class_weights=weights)
        return np.flatnonzero(held), outputs_of(network, whole.pictures[held], recipe)[0]


def network_logits(material: Material, steps: int, count: int, pool: ProcessPoolExecutor) -> dict[str, list[Logits]]:
    """Out-of-fold logits of the small network: remedy -> one table a seed. Trainings run side by side, a core each."""
    trials = [
        Trial(dataclasses.replace(material, features=np.zeros((0, 0), np.float32)), remedy, seed, fold, steps)
        for remedy in NETWORK
        for seed in range(count)
        for fold in range(FOLDS)
    ]
    n = len(material.pictures)
    tables = {remedy: [np.zeros((n, material.classes), np.float32) for _ in range(count)] for remedy in NETWORK}
    for trial, (rows, logits) in zip(trials, pool.map(Trial.run, trials), strict=True):
        tables[trial.remedy][trial.seed][rows] = logits
    return tables


def judged(material: Material, tables: Mapping[str, list[Logits]]) -> dict[str, dict[str, Figure]]:
    """Each remedy's figures, meaned over the seeds, and under ``... difference`` how much they are above those of ``none``."""
    labels = material.pictures.labels
    rows = {remedy: [(logits.argmax(axis=1), row_losses(logits, labels)) for logits in one] for remedy, one in tables.items()}

    def statistics(weights: np.ndarray) -> dict[str, np.ndarray]:
        values: dict[str, np.ndarray] = {}
        for remedy, of_seeds in rows.items():
            each = [metrics(labels, answered, losses, material.classes, weights) for answered, losses in of_seeds]
            for metric in METRICS:
                values[f"{remedy} {metric}"] = np.mean([one[metric] for one in each], axis=0)
        differences = {
            f"{remedy} {metric} difference": values[f"{remedy} {metric}"] - values[f"none {metric}"]
            for remedy in tables
            for metric in METRICS
            if remedy != "none"
        }
        return values | differences

    found = estimate(statistics, material.groups, bounds={})
    return {remedy: {key.removeprefix(f"{remedy} "): one for key, one in found.items() if key.startswith(f"{remedy} ")}
            for remedy in tables}  # fmt: skip


def row_losses(logits: Logits, labels: Labels) -> np.ndarray:
    """The log loss of each picture at the best temperature, in nats."""
    probabilities = softmax(logits, calibrated_loss(logits, labels)[1])[np.arange(len(labels)), labels]
    return -np.log(np.maximum(probabilities.astype(np.float64), np.finfo(np.float32).tiny))


def metrics(labels: Labels, answered: Labels, losses: np.ndarray, classes: int, weights: np.ndarray) -> dict[str, np.ndarray]:
    counts = count_answers(labels, answered, classes, weights)
    return {
        "f1_macro": macro(f1(counts), counts),
        "balanced_accuracy": balanced_accuracy(counts),
        "accuracy": accuracy(counts),
        "log_loss": weighted_mean(losses, weights),
    }


def show(name: str, model: str, figures: Mapping[str, Mapping[str, Figure]]) -> None:
    print(f"\n{name}, {model}, n = {figures['none']['accuracy'].n}")
    print(f"{'':10}" + "".join(f"{metric:>31}" for metric in METRICS))
    for remedy, row in figures.items():
        print(f"{remedy:10}" + "".join(f"{in_words(row, metric):>31}" for metric in METRICS))


def in_words(row: Mapping[str, Figure], metric: str) -> str:
    if f"{metric} difference" not in row:
        return f"{row[metric].value:.3f}"
    gain = row[f"{metric} difference"]
    return f"{gain.value:+.3f} ({gain.low:+.3f} to {gain.high:+.3f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args()

    results = {}
    with ProcessPoolExecutor(usable_cores(), multiprocessing.get_context("spawn")) as pool:
        for name in given.data:
            started = time.monotonic()
            material = gathered(name, SETS[name])
            tables = {
                "head on lite0": {
                    remedy: [head_logits(material, remedy, seed) for seed in range(given.seeds)] for remedy in HEAD
                },
                "cnn from scratch": network_logits(material, SETS[name].steps, given.seeds, pool),
            }
            figures = {model: judged(material, of_remedy) for model, of_remedy in tables.items()}
            for model, rows in figures.items():
                show(name, model, rows)
            sizes = np.bincount(material.pictures.labels, minlength=material.classes)
            results[name] = {
                "n": len(material.pictures),
                "groups": len(set(material.groups)),
                "class_sizes": sizes.tolist(),
                **dataclasses.asdict(SETS[name]),
                "seconds": round(time.monotonic() - started, 1),
                "figures": {
                    model: {r: {m: one.model_dump() for m, one in row.items()} for r, row in rows.items()}
                    for model, rows in figures.items()
                },
            }
    settings = {"folds": FOLDS, "seeds": given.seeds, "cnn_size": CNN_SIZE, "batch_size": BATCH}
    write_json(given.out, {"schema": 1, "environment": environment(), **settings, "data": results})


if __name__ == "__main__":
    main()
