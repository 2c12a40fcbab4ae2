"""Making a handcrafted model: visual words, features, and a classifier whose settings are chosen out of fold.

Large sets choose the settings on a sample, and keep one fold back for the temperature.
"""

import dataclasses
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from jaxtyping import Int64
from threadpoolctl import threadpool_limits

from eyebright.core import seeds
from eyebright.core.arrays import Features
from eyebright.core.events import Note, OnEvent, Phase, Progress, silent
from eyebright.core.machine import usable_cores
from eyebright.images.preprocess import to_pixels
from eyebright.models.handcrafted.classifiers import Classifier
from eyebright.models.handcrafted.model import HandcraftedModel, describe
from eyebright.models.handcrafted.names import Handcrafted
from eyebright.models.handcrafted.words import WIDTH, Vocabulary, dense_sift
from eyebright.training import classic
from eyebright.training.classic_search import METHODS, Table, search
from eyebright.training.fit import LabelledPictures
from eyebright.training.scratch import Learned

BATCH = 64
SEARCH_MOST = 5000  # rows that choose the settings: the order of the settings hardly changes with more
FEATURE_BYTES = 2 * 2**30  # for the features of one set; beyond, a sample of the pictures is used
WORDS = 256  # more gain a little where there are many classes, and cost time and room in proportion
WORD_PICTURES, WORD_PATCHES = 1000, 50  # from which the words come, 50 patches of each picture


def train_handcrafted(
    spec: Handcrafted,
    pictures: LabelledPictures,
    folds: Int64[np.ndarray, "n"],
    classes: int,
    *,
    seed: int,
    class_weights: np.ndarray | None = None,
    every_fold: bool = False,
    on_event: OnEvent = silent,
) -> tuple[HandcraftedModel, Learned]:
    """The model fitted on every picture, and how it came about, with logits of pictures held out, for the temperature.

    ``folds`` says in which fold each picture is held out; ``class_weights`` has one weight a class. ``every_fold`` asks for
    the out-of-fold logits of every picture also where the set is large. The same pictures, folds and seed give the same
    model. Raises ``MissingExtraError`` where scikit-learn is not installed, ``SettingsError`` for pictures under 16 pixels.
    """
    classic.require_sklearn()
    weights = np.ones(classes) if class_weights is None else np.asarray(class_weights, dtype=np.float64)
    chosen = _affordable(spec, pictures, seed, on_event)
    vocabulary = learn_words(pictures, seed=seed, on_event=on_event) if "sift" in spec.features else None
    features = describe_all(spec, pictures, chosen, vocabulary, on_event=on_event)
    labels, hashes = pictures.labels[chosen], pictures.hashes[chosen]
    table = Table(features, labels, hashes, folds[chosen], classes, weights, seed)
    classifier, learned = _choose_and_fit(spec, table, every_fold, on_event)
    return HandcraftedModel(spec, classes, classifier, vocabulary), dataclasses.replace(learned, rows=chosen[learned.rows])


def _affordable(spec: Handcrafted, pictures: LabelledPictures, seed: int, on_event: OnEvent) -> np.ndarray:
    """The pictures whose features memory has room for: all, or a sample of each class."""
    words = np.zeros((WORDS, WIDTH), dtype=np.float32)
    width = describe(spec, to_pixels(pictures.pictures[:1]), words).shape[1]
    most = FEATURE_BYTES // (4 * width)
    if len(pictures) > most:
        on_event(
            Note(f"{spec.name} is fitted on a sample of {most:,} of {len(pictures):,} pictures: memory has room for these.")
        )
    return classic.spread_sample(pictures.labels, pictures.hashes, most, seed=seed, stream="fitted pictures")


def learn_words(pictures: LabelledPictures, *, seed: int, on_event: OnEvent = silent) -> Vocabulary:
    """The visual words of a sample of the pictures. No label decides them, so the folds share them."""
    on_event(Phase("Learning visual words", WORDS, "words"))
    some = classic.spread_sample(pictures.labels, pictures.hashes, WORD_PICTURES, seed=seed, stream="word pictures")
    patches = []
    for start in range(0, len(some), BATCH):
        rows = some[start : start + BATCH]
        found = [grid.reshape(len(rows), -1, WIDTH) for grid in dense_sift(to_pixels(pictures.pictures[rows]))]
        all_of_them = np.concatenate(found, axis=1)  # n patches 128
        lots = seeds.uniform(seed, "word patches", 0, pictures.hashes[rows], all_of_them.shape[1])
        drawn = np.argsort(lots, axis=1, kind="stable")[:, :WORD_PATCHES]
        patches.append(np.take_along_axis(all_of_them, drawn[:, :, None], axis=1).reshape(-1, WIDTH))
    words = classic.fit_vocabulary(np.concatenate(patches), WORDS, seed=seed)
    if len(words) < WORDS:
        on_event(Note(f"The pictures have too few different patches for {WORDS} visual words; there are {len(words)}."))
    return words


def describe_all(
    spec: Handcrafted,
    pictures: LabelledPictures,
    rows: np.ndarray,
    vocabulary: Vocabulary | None,
    *,
    on_event: OnEvent = silent,
) -> Features:
    """The features of the pictures in ``rows``, batches side by side on all cores."""
    on_event(Phase("Describing pictures", len(rows)))

    def described(start: int) -> Features:
        return describe(spec, to_pixels(pictures.pictures[rows[start : start + BATCH]]), vocabulary)

    features = np.empty((len(rows), described(0).shape[1]), dtype=np.float32)
    starts = range(0, len(rows), BATCH)
    with threadpool_limits(limits=1, user_api="blas"), ThreadPoolExecutor(usable_cores()) as pool:
        for start, batch in zip(starts, pool.map(described, starts), strict=True):
            features[start : start + BATCH] = batch
            on_event(Progress(start + len(batch)))
    return features


def _choose_and_fit(spec: Handcrafted, table: Table, every_fold: bool, on_event: OnEvent) -> tuple[Classifier, Learned]:
    make = METHODS[spec.classifier]
    searched = table.sample(SEARCH_MOST, "search")
    whole = len(searched) == len(table)
    small = table if whole else table.rows(searched)
    if not whole:
        on_event(Note(f"The settings are chosen on {len(small):,} of {len(table):,} pictures."))
    method = make(small)
    setting, attempts, logits = search(method, small, on_event)
    setting = setting.for_more(len(table) / len(small))
    folds = len(np.unique(table.folds))
    where, rows = f"out-of-fold logits, {folds} folds", searched
    if not whole and every_fold:
        on_event(Phase(f"Predicting {folds} folds"))
        method, rows = make(table), np.arange(len(table))
        logits = method.out_of_fold(setting)
    elif not whole:
        on_event(Phase(f"Fitting {spec.name} on all folds but one"))
        seen, rows = next(table.fold_rows())
        logits = make(table.rows(seen)).fit(setting, silent)(table.features[rows])
        where = f"logits on one fold of {folds}, held out"
        method = make(table)
    on_event(Phase(f"Fitting {spec.name} on all pictures"))
    ended = f"Of {len(attempts)} settings, {setting.name} had the least out-of-fold loss; fitted on {len(table):,} pictures."
    return method.fit(setting, on_event), Learned(attempts, logits, rows, where, ended)
