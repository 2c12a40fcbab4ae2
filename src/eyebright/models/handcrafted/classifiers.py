"""Fitted classifiers as plain arrays: from features [n, width] to logits [n, classes], with numpy alone.

``training.classic`` fits them. Each is a frozen value whose fields are its file's arrays; ``check`` refuses arrays that do not
fit together, since they may come from a stranger.
"""

import dataclasses
import functools

import numpy as np
from jaxtyping import Float16, Float32, Int32

from eyebright.core.arrays import Features, Logits
from eyebright.core.errors import ModelError

SAME = 1e-5  # squared distance of unit features below which two pictures are the same; also hides rounding
QUERIES = 512  # rows asked at a time: 40 MB of distances to 20,000 neighbours


def log_shares(votes: np.ndarray, total: float) -> Logits:
    """The logarithm of smoothed shares of ``total`` votes: one more vote is spread over all classes, so none is impossible.

    >>> np.exp(log_shares(np.array([[3.0, 0.0]]), 3)).tolist()  # 3.5 and 0.5 of 4
    [[0.875, 0.125]]
    """
    classes = votes.shape[1]
    logits: Logits = np.log((votes + 1 / classes) / (total + 1)).astype(np.float32)
    return logits


def _require(condition: bool, what: str) -> None:
    if not condition:
        raise ModelError(f"The handcrafted model's {what}. Its file is damaged; copy or train the bundle again.")


def _require_shape(name: str, array: np.ndarray, dtype: str, shape: tuple[int | None, ...]) -> None:
    """``None`` in ``shape`` is any length from one up."""
    fits = array.ndim == len(shape) and all(
        found == wanted if wanted is not None else found > 0 for found, wanted in zip(array.shape, shape, strict=True)
    )
    _require(fits and array.dtype == dtype, f"{name} is {array.dtype} {array.shape}; {dtype} {shape} was expected")
    _require(array.dtype.kind != "f" or bool(np.isfinite(array).all()), f"{name} holds values that are no finite numbers")


@dataclasses.dataclass(frozen=True)
class LinearSvm:
    """One-vs-rest decision values ``features @ weight.T + bias``."""

    weight: Float32[np.ndarray, "classes width"]
    bias: Float32[np.ndarray, "classes"]

    def __call__(self, features: Features) -> Logits:
        """The decision value of each class: 1 on its margin, -1 on the others'."""
        logits: Logits = features @ self.weight.T + self.bias
        return logits

    def check(self, width: int, classes: int) -> None:
        """Raises ``ModelError`` where the arrays do not fit together."""
        _require_shape("weight", self.weight, "float32", (classes, width))
        _require_shape("bias", self.bias, "float32", (classes,))


@dataclasses.dataclass(frozen=True)
class KernelSvm:
    """One-vs-rest decision values of a Gaussian kernel ``exp(-|x - landmark|**2)`` on features shifted and scaled."""

    centre: Float32[np.ndarray, "width"]
    scale: Float32[np.ndarray, "width"]
    landmarks: Float32[np.ndarray, "landmarks width"]
    weight: Float32[np.ndarray, "classes landmarks"]
    bias: Float32[np.ndarray, "classes"]

    def __call__(self, features: Features) -> Logits:
        """The decision value of each class: 1 on its margin, -1 on the others'."""
        landmarks, weight = self._double
        kernel = gaussian_kernel((features - self.centre) * self.scale, landmarks)
        logits: Logits = (kernel @ weight.T + self.bias).astype(np.float32)
        return logits

    @functools.cached_property
    def _double(self) -> tuple[np.ndarray, np.ndarray]:
        return self.landmarks.astype(np.float64), self.weight.astype(np.float64)

    def check(self, width: int, classes: int) -> None:
        """Raises ``ModelError`` where the arrays do not fit together."""
        for name in ("centre", "scale"):
            _require_shape(name, getattr(self, name), "float32", (width,))
        _require_shape("landmarks", self.landmarks, "float32", (None, width))
        _require_shape("weight", self.weight, "float32", (classes, len(self.landmarks)))
        _require_shape("bias", self.bias, "float32", (classes,))


def gaussian_kernel(rows: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """``exp(-|row - landmark|**2)`` in float64: the weights of near-equal landmarks nearly cancel each other."""
    kernel: np.ndarray = np.exp(-squared_distances(rows.astype(np.float64), landmarks.astype(np.float64, copy=False)))
    return kernel


def squared_distances(rows: np.ndarray, others: np.ndarray) -> np.ndarray:
    """The squared Euclidean distance of each row to each of the others, never below zero."""
    products = rows @ others.T
    found: np.ndarray = np.maximum((rows**2).sum(axis=1)[:, None] - 2 * products + (others**2).sum(axis=1), 0)
    return found


@dataclasses.dataclass(frozen=True)
class Neighbours:
    """The training pictures' features; the ``k`` nearest vote, each with one over its distance and its class's weight.

    Features are kept in half precision, which moves a distance by a thousandth and halves the file.
    """

    rows: Float16[np.ndarray, "n width"]
    labels: Int32[np.ndarray, "n"]
    class_weights: Float32[np.ndarray, "classes"]
    k: int

    def __call__(self, features: Features) -> Logits:
        """The logarithm of each class's smoothed share of the votes."""
        return neighbour_votes(*self.nearest(features, self.k), self.class_weights, self.k)

    def nearest(self, features: Features, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Distances and labels of the ``k`` nearest, [n, k], nearest first; of equally near ones, the first rows."""
        rows = self._rows
        near = np.empty((len(features), min(k, len(rows))), dtype=np.int64)
        squares = np.empty(near.shape, dtype=np.float32)
        for start in range(0, len(features), QUERIES):
            # Rounded, so that copies of one picture stay equally near whatever the order of the sums.
            found = np.round(squared_distances(features[start : start + QUERIES], rows), 5)
            near[start : start + QUERIES] = np.argsort(found, axis=1, kind="stable")[:, :k]
            squares[start : start + QUERIES] = np.take_along_axis(found, near[start : start + QUERIES], axis=1)
        return np.sqrt(np.maximum(squares, SAME)), self.labels[near]

    @functools.cached_property
    def _rows(self) -> Features:
        return self.rows.astype(np.float32)  # arithmetic in half precision would be slow and wrong

    def check(self, width: int, classes: int) -> None:
        """Raises ``ModelError`` where the arrays do not fit together."""
        _require_shape("rows", self.rows, "float16", (None, width))
        _require_shape("labels", self.labels, "int32", (len(self.rows),))
        _require_shape("class_weights", self.class_weights, "float32", (classes,))
        _require(bool(((self.labels >= 0) & (self.labels < classes)).all()), f"labels are not all in 0 .. {classes - 1}")
        _require(bool((self.class_weights >= 0).all()), "class weights are not all positive")
        _require(1 <= self.k <= len(self.rows), f"k is {self.k}; 1 to {len(self.rows)} was expected")


def neighbour_votes(distances: np.ndarray, labels: np.ndarray, class_weights: np.ndarray, k: int) -> Logits:
    """The logits that the first ``k`` of these neighbours give; distances and labels are [n, k or more], nearest first."""
    votes, k = np.zeros((len(labels), len(class_weights))), min(k, labels.shape[1])
    weights = class_weights[labels[:, :k]] / distances[:, :k]
    np.add.at(votes, (np.arange(len(labels))[:, None], labels[:, :k]), weights)
    total = np.maximum(votes.sum(axis=1, keepdims=True), 1e-30)  # nothing, where only classes of no weight are near
    return log_shares(k * votes / total, k)


@dataclasses.dataclass(frozen=True)
class Forest:
    """Decision trees, their nodes one after the other; what the leaves hold is stored sparsely, so many classes cost nothing.

    At an inner node a picture goes to ``left`` where its ``feature`` is at most ``threshold``, else to ``right``; both lie
    after it. A leaf is its own child; it holds the entries from ``starts[node]`` to ``starts[node + 1]``.
    """

    roots: Int32[np.ndarray, "trees"]
    feature: Int32[np.ndarray, "nodes"]
    threshold: Float32[np.ndarray, "nodes"]
    left: Int32[np.ndarray, "nodes"]
    right: Int32[np.ndarray, "nodes"]
    starts: Int32[np.ndarray, "nodes+1"]
    entry_class: Int32[np.ndarray, "entries"]
    entry_share: Float32[np.ndarray, "entries"]
    classes: int

    def __call__(self, features: Features) -> Logits:
        """The logarithm of each class's smoothed share of the trees' votes."""
        leaves = self.leaves(features).ravel()  # n trees
        counts = self.starts[leaves + 1] - self.starts[leaves]
        picture = np.repeat(np.repeat(np.arange(len(features)), len(self.roots)), counts)
        first = np.repeat(self.starts[leaves] - (np.cumsum(counts) - counts), counts)
        entries = np.arange(len(picture)) + first
        index = picture * self.classes + self.entry_class[entries]
        votes = np.bincount(index, self.entry_share[entries], minlength=len(features) * self.classes)
        return log_shares(votes.reshape(len(features), self.classes), len(self.roots))

    def leaves(self, features: Features) -> Int32[np.ndarray, "n trees"]:
        """The leaf in which each picture ends, in each tree."""
        node = np.broadcast_to(self.roots, (len(features), len(self.roots)))
        row = np.arange(len(features))[:, None]
        while True:
            goes_left = features[row, self.feature[node]] <= self.threshold[node]
            below: np.ndarray = np.where(goes_left, self.left[node], self.right[node])
            if np.array_equal(below, node):
                return below
            node = below

    def check(self, width: int, classes: int) -> None:
        """Raises ``ModelError`` where the arrays do not fit together, or a walk through the trees might not end."""
        nodes = len(self.feature)
        _require(self.classes == classes, f"forest is for {self.classes} classes; {classes} were expected")
        _require_shape("roots", self.roots, "int32", (None,))
        for name in ("feature", "left", "right"):
            _require_shape(name, getattr(self, name), "int32", (nodes,))
        _require_shape("threshold", self.threshold, "float32", (nodes,))
        _require_shape("starts", self.starts, "int32", (nodes + 1,))
        _require_shape("entry_class", self.entry_class, "int32", (None,))
        _require_shape("entry_share", self.entry_share, "float32", (len(self.entry_class),))
        here = np.arange(nodes)
        leaf = (self.left == here) & (self.right == here)
        onward = (self.left > here) & (self.right > here) & (self.left < nodes) & (self.right < nodes)
        _require(bool((leaf | onward).all()), "nodes do not lead onwards to a leaf")
        _require(_within(self.roots, nodes) and _within(self.feature, width), "nodes name a node or feature that is not there")
        steps = np.diff(self.starts)
        ordered = self.starts[0] == 0 and self.starts[-1] == len(self.entry_class) and bool((steps >= 0).all())
        _require(ordered and _within(self.entry_class, classes), "leaves name an entry or class that is not there")
        _require(bool((self.entry_share >= 0).all()), "leaves hold negative shares")


def _within(values: np.ndarray, end: int) -> bool:
    return bool(((values >= 0) & (values < end)).all())


Classifier = LinearSvm | KernelSvm | Neighbours | Forest
