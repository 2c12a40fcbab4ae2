"""Choosing the settings of a classic classifier out of fold, and fitting it with them.

Which setting is best is judged as everywhere here: by the log loss of predictions on pictures that were held out, at the best
temperature.
"""

import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import numpy as np
from jaxtyping import Int64
from threadpoolctl import threadpool_limits

from eyebright.core.arrays import Features, KeyHashes, Labels, Logits
from eyebright.core.events import Note, OnEvent, Phase, Progress
from eyebright.core.machine import usable_cores
from eyebright.core.report import Attempt
from eyebright.models.handcrafted.classifiers import Classifier, Forest, Neighbours, neighbour_votes
from eyebright.training import classic
from eyebright.training.transfer import calibrated_loss

STRENGTHS = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6)  # from strong to weak, on rows of norm one
NEIGHBOURS = (1, 3, 5, 9, 15, 25)
SEARCH_TOLERANCE = 1e-5  # of the loss: half the steps, and the same order of the settings
LEAVES = (1, 3)  # fewest rows in a leaf


@dataclasses.dataclass(frozen=True)
class Table:
    """Features with their labels, and what else fitting and choosing need."""

    features: Features
    labels: Labels
    hashes: KeyHashes
    folds: Int64[np.ndarray, "n"]
    classes: int
    class_weights: np.ndarray
    seed: int

    def __len__(self) -> int:
        return len(self.labels)

    def rows(self, rows: np.ndarray) -> "Table":
        """The table with only ``rows``."""
        return dataclasses.replace(
            self, features=self.features[rows], labels=self.labels[rows], hashes=self.hashes[rows], folds=self.folds[rows]
        )

    @property
    def row_weights(self) -> np.ndarray:
        """The weight of each row's class."""
        weights: np.ndarray = self.class_weights[self.labels]
        return weights

    def fold_rows(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """The rows that are seen and those that are held out, fold by fold."""
        for fold in np.unique(self.folds):
            yield np.flatnonzero(self.folds != fold), np.flatnonzero(self.folds == fold)

    def sample(self, most: int, stream: str) -> np.ndarray:
        """At most ``most`` rows, each class in proportion."""
        return classic.spread_sample(self.labels, self.hashes, most, seed=self.seed, stream=stream)


class Method(Protocol):
    """A way to classify one table's features, and its settings: walks along which the loss first falls, then rises."""

    @property
    def walks(self) -> Sequence[Sequence["Setting"]]: ...

    def out_of_fold(self, setting: "Setting") -> Logits:
        """The logits of each row by a classifier that had not seen its fold."""
        ...

    def fit(self, setting: "Setting", on_event: OnEvent) -> Classifier:
        """The classifier fitted on every row."""
        ...


@dataclasses.dataclass(frozen=True)
class Setting:
    """One setting: a number, and for the support vector machine its kernel."""

    name: str
    value: float
    kernel: str = ""

    def for_more(self, times: float) -> "Setting":
        """The setting for ``times`` as many rows: a strength falls as they grow, so that each row counts as before.

        Other packages' C, which is of the sum of the losses, stays the same then. From 4,000 to 40,000
        pictures of CIFAR-10 the best strength on HOG features fell at least tenfold, with either kernel.
        """
        return svm_setting(self.kernel, self.value / times) if self.kernel else self


def svm_setting(kernel: str, strength: float) -> Setting:
    """A support vector machine's setting."""
    return Setting(f"{kernel} kernel, strength {strength:.3g}", strength, kernel)


def search(method: Method, table: Table, on_event: OnEvent) -> tuple[Setting, list[Attempt], Logits]:
    """The setting of least loss, every setting that was tried, and the out-of-fold logits of the best."""
    on_event(Phase("Choosing the settings by k-fold", sum(map(len, method.walks)), "settings"))
    tried: list[tuple[Setting, Attempt, Logits]] = []
    for walk in method.walks:
        last = np.inf
        for setting in walk:
            started = time.monotonic()
            logits = method.out_of_fold(setting)
            attempt = _attempt(setting, logits, table.labels, time.monotonic() - started)
            tried.append((setting, attempt, logits))
            on_event(Progress(len(tried)))
            assert attempt.score is not None
            if attempt.score > last:
                break
            last = attempt.score
    setting, best, logits = min(tried, key=lambda one: one[1].score or 0.0)
    told = {"kept": True, "reason": "the least loss"}
    return setting, [one.model_copy(update=told) if one is best else one for _, one, _ in tried], logits


def _attempt(setting: Setting, logits: Logits, labels: Labels, seconds: float) -> Attempt:
    loss, _ = calibrated_loss(logits, labels)
    right = float((logits.argmax(axis=1) == labels).mean())
    name = f"{setting.name} (out-of-fold accuracy {right:.3f})"
    return Attempt(name=name, score=loss, metric="calibrated out-of-fold log loss", seconds=seconds, reason="a higher loss")


class _Svm:
    """Support vector machines, linear and with a Gaussian kernel; folds are fitted side by side, a core each."""

    walks = tuple(tuple(svm_setting(kernel, strength) for strength in STRENGTHS) for kernel in ("linear", "Gaussian"))

    def __init__(self, table: Table) -> None:
        self._table = table
        self._problems: dict[str, classic.SvmProblem] = {}
        self._starts: dict[tuple[str, int], np.ndarray] = {}

    def out_of_fold(self, setting: Setting) -> Logits:
        table, problem = self._table, self._problem(setting.kernel)
        logits = np.zeros((len(table), table.classes), dtype=np.float32)

        def fit_fold(number: int, seen: np.ndarray, held: np.ndarray) -> None:
            start = self._starts.get((setting.kernel, number))
            machine, self._starts[setting.kernel, number], _ = problem.fit(
                seen, setting.value, start, tolerance=SEARCH_TOLERANCE
            )
            logits[held] = machine(table.features[held])

        with threadpool_limits(limits=1, user_api="blas"), ThreadPoolExecutor(usable_cores()) as pool:
            for done in [pool.submit(fit_fold, number, *rows) for number, rows in enumerate(table.fold_rows())]:
                done.result()
        return logits

    def fit(self, setting: Setting, on_event: OnEvent) -> Classifier:
        machine, _, converged = self._problem(setting.kernel).fit(np.arange(len(self._table)), setting.value)
        if not converged:
            text = f"The support vector machine was not quite settled after {classic.ITERATIONS} steps."
            on_event(Note(text, "warning"))
        return machine

    def _problem(self, kernel: str) -> classic.SvmProblem:
        if kernel not in self._problems:
            table = self._table
            landmarks = None if kernel == "linear" else table.sample(classic.LANDMARKS, "landmarks")
            self._problems[kernel] = classic.SvmProblem(
                table.features, table.labels, table.classes, landmarks=landmarks, weights=table.row_weights
            )
        return self._problems[kernel]


class _Neighbours:
    """Nearest neighbours. Each fold's neighbours are looked up once, for every number of them."""

    walks = tuple((Setting(f"{k} nearest neighbour{'s' if k > 1 else ''}", k),) for k in NEIGHBOURS)

    def __init__(self, table: Table) -> None:
        self._table = table
        self._found: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []

    def out_of_fold(self, setting: Setting) -> Logits:
        table = self._table
        if not self._found:
            for seen, held in table.fold_rows():
                kept = self._keep(table.rows(seen), max(NEIGHBOURS))
                self._found.append((held, *kept.nearest(table.features[held], max(NEIGHBOURS))))
        logits = np.zeros((len(table), table.classes), dtype=np.float32)
        for held, distances, labels in self._found:
            logits[held] = neighbour_votes(distances, labels, table.class_weights, int(setting.value))
        return logits

    def fit(self, setting: Setting, on_event: OnEvent) -> Classifier:
        rows = self._table.sample(classic.NEIGHBOURS_MOST, "neighbours")
        if len(rows) < len(self._table):
            on_event(Note(f"{len(rows):,} of {len(self._table):,} pictures are kept as neighbours, of each class its share."))
        on_event(Note("A nearest-neighbour model carries the features of its training pictures with it."))
        return self._keep(self._table.rows(rows), int(setting.value))

    @staticmethod
    def _keep(table: Table, k: int) -> Neighbours:
        return classic.keep_neighbours(table.features, table.labels, table.class_weights, k)


class _Forest:
    """Random forests; the trees of one are grown side by side."""

    walks = (tuple(Setting(f"{classic.TREES} trees, at least {leaf} rows a leaf", leaf) for leaf in LEAVES),)

    def __init__(self, table: Table) -> None:
        self._table = table

    def out_of_fold(self, setting: Setting) -> Logits:
        table = self._table
        logits = np.zeros((len(table), table.classes), dtype=np.float32)
        for seen, held in table.fold_rows():
            logits[held] = self._grow(table.rows(seen), setting)(table.features[held])
        return logits

    def fit(self, setting: Setting, on_event: OnEvent) -> Classifier:
        return self._grow(self._table, setting)

    @staticmethod
    def _grow(table: Table, setting: Setting) -> Forest:
        return classic.fit_forest(
            table.features, table.labels, table.classes, leaf=int(setting.value), weights=table.row_weights, seed=table.seed
        )


METHODS: dict[str, Callable[[Table], Method]] = {"svm": _Svm, "knn": _Neighbours, "forest": _Forest}
