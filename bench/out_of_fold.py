"""The frame of the benches that compare ways of training out of fold, on the training parts of three sets.

Three folds, stratified, groups kept together; the test part is never read. Figures are of pooled out-of-fold predictions, the
mean over seeds (folds, initial weights, order); a difference is to ``none`` on the same pictures, folds and seeds, its 95 %
interval from a bootstrap over groups. The log loss is taken at the temperature that is best for each, as ``train`` fits one.
"""

import dataclasses
import hashlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import torch

from eyebright.core import seeds
from eyebright.core.arrays import Features, Labels, Logits, softmax
from eyebright.core.bundle import Architecture
from eyebright.core.files import cache_home, sha256_of_json
from eyebright.core.preprocess import Preprocess
from eyebright.core.report import Figure
from eyebright.data.folds import group_folds
from eyebright.data.open import open_source
from eyebright.data.pixels import prepare_all
from eyebright.data.source import group_of
from eyebright.evaluation.accuracy import accuracy, balanced_accuracy, count_answers, f1, macro
from eyebright.evaluation.intervals import estimate, weighted_mean
from eyebright.models import lite0
from eyebright.models.catalogue import build_seeded
from eyebright.models.network import PixelNetwork
from eyebright.training.features import FeatureCache, embed
from eyebright.training.fit import LabelledPictures, fit, outputs_of
from eyebright.training.head import fit_head
from eyebright.training.recipe import Recipe
from eyebright.training.transfer import calibrated_loss, set_head

FOLDS = 3
CNN_SIZE = 32  # pixels
CNN_BATCH = 64
TUNED_SIZE = 96  # pixels
EPOCHS_TUNED = 3
STRENGTH = 0.01  # of the head that fine-tuning begins with
METRICS = ("f1_macro", "balanced_accuracy", "accuracy", "log_loss")


@dataclasses.dataclass(frozen=True)
class Known:
    """How a set is read: its groups, and the side in pixels that ``train`` would embed at."""

    group: str | None
    side: int


SETS = {
    "gtsrb": Known(r"train/(?P<group>\d+/\d+)_", 96),
    "chest_xray": Known(r"(?P<group>person\d+|IM-\d+)", 224),
    "trashnet": Known(None, 224),
}


@dataclasses.dataclass(frozen=True)
class Material:
    """The training part of a set at one size; ``features`` are those of the frozen lite0, or None where nobody asks."""

    name: str
    pictures: LabelledPictures
    features: Features | None
    groups: tuple[str, ...]
    classes: int

    def folds(self, seed: int) -> np.ndarray:
        return group_folds(self.pictures.labels, self.groups, FOLDS, seed)


def gathered(name: str, side: int, *, embedded_at: int | None = None) -> Material:
    """Every picture that is not in the test part, ``side`` pixels wide and high; embedded at another size, if one is given."""
    source = open_source(name, group=SETS[name].group)
    samples = [sample for sample in source.samples if sample.part != "test"]
    keys = [sample.key for sample in samples]
    prepared = prepare_all(source, keys, Preprocess(height=side, width=side))
    features = None
    if embedded_at is not None:
        same = embedded_at == side
        features = embedded(
            prepared if same else prepare_all(source, keys, Preprocess(height=embedded_at, width=embedded_at)), embedded_at
        )
    labels = np.array([sample.label for sample in samples], dtype=np.int64)
    pictures = LabelledPictures(prepared, labels, seeds.key_hashes(keys))
    return Material(name, pictures, features, tuple(map(group_of, samples)), len(source.classes))


def embedded(pictures: np.ndarray, side: int) -> Features:
    network = lite0.lite0(1)
    origin = lite0.load_pretrained(network)
    cache = FeatureCache(cache_home() / "features", sha256_of_json(["bench.imbalance", origin, side])[:32])
    contents = [hashlib.sha256(picture.tobytes()).hexdigest() for picture in pictures]
    return embed(network, pictures, contents, Recipe(epochs=0), cache)


Train = Callable[["Trial", LabelledPictures, Features | None], tuple[PixelNetwork, Recipe]]


@dataclasses.dataclass(frozen=True)
class Trial:
    """One training on all folds but one, judged on that one; ``train`` gives the network and the recipe it was trained by."""

    material: Material
    way: str
    seed: int
    fold: int
    train: Train

    def run(self) -> tuple[np.ndarray, Logits]:
        """The rows held out, and their logits."""
        torch.set_num_threads(1)
        whole, held = self.material.pictures, self.material.folds(self.seed) == self.fold
        seen = LabelledPictures(whole.pictures[~held], whole.labels[~held], whole.hashes[~held])
        features = self.material.features
        network, recipe = self.train(self, seen, None if features is None else features[~held])
        return np.flatnonzero(held), outputs_of(network, whole.pictures[held], recipe)[0]


def out_of_fold(
    material: Material, ways: Sequence[str], count: int, train: Train, pool: ProcessPoolExecutor
) -> dict[str, list[Logits]]:
    """Out-of-fold logits of each way of training: way -> one table a seed. Trainings run side by side, a core each."""
    trials = [Trial(material, way, seed, fold, train) for way in ways for seed in range(count) for fold in range(FOLDS)]
    n = len(material.pictures)
    tables = {way: [np.zeros((n, material.classes), np.float32) for _ in range(count)] for way in ways}
    for trial, (rows, logits) in zip(trials, pool.map(Trial.run, trials), strict=True):
        tables[trial.way][trial.seed][rows] = logits
    return tables


def small_network(classes: int, seed: int) -> PixelNetwork:
    """The ``cnn`` at 32 pixels, with fresh weights."""
    arguments: dict[str, str | int | float | bool | list[float] | None] = {"height": CNN_SIZE, "width": CNN_SIZE}
    return build_seeded(Architecture(name="cnn", arguments=arguments), classes, seed)


def fine_tuned(
    trial: Trial, seen: LabelledPictures, features: Features | None, **changes: object
) -> tuple[PixelNetwork, Recipe]:
    """EfficientNet-Lite0 at 96 pixels from a linear head, the whole network for a few epochs; ``changes`` are the recipe's."""
    if features is None:
        raise ValueError("fine-tuning begins with features; gather the material with embedded_at=")
    classes = trial.material.classes
    network = lite0.lite0(classes)
    lite0.load_pretrained(network)
    set_head(network, fit_head(features, seen.labels, classes, strength=STRENGTH))
    recipe = Recipe(
        epochs=EPOCHS_TUNED,
        batch_size=32,
        optimiser="adamw",
        weight_decay=0.01,
        learning_rate=3e-4,  # at 1e-3 a whole network forgets its head on so few steps (NOTES.md)
        frozen_norms=True,
        precision="bf16",
        seed=trial.seed,
    ).model_copy(update=changes)
    fit(network, seen, None, recipe)
    return network, recipe


def judged(material: Material, tables: Mapping[str, Sequence[Logits]]) -> dict[str, dict[str, Figure]]:
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


def as_json(figures: Mapping[str, Mapping[str, Figure]]) -> dict[str, dict[str, object]]:
    return {way: {metric: figure.model_dump() for metric, figure in row.items()} for way, row in figures.items()}
