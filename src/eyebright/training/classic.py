"""Fitting what handcrafted models are made of: vocabulary, support vector machine, neighbours, forest.

Each comes out as plain arrays (``models.handcrafted.classifiers``), so that no pickle is kept and predicting needs numpy alone.
The support vector machine is solved here, all classes at once, since it is then a few large products a step; scikit-learn's,
which takes the classes one after the other, is what the tests compare it with.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from jaxtyping import Int64
from scipy.optimize import minimize
from threadpoolctl import threadpool_limits

from eyebright.core import seeds
from eyebright.core.arrays import Features, KeyHashes, Labels
from eyebright.core.errors import MissingExtraError
from eyebright.core.machine import usable_cores
from eyebright.models.handcrafted.classifiers import Forest, KernelSvm, LinearSvm, Neighbours, gaussian_kernel
from eyebright.models.handcrafted.words import Vocabulary

LANDMARKS = 1000  # rows that span the kernel's space: Williams and Seeger 2001; with fewer rows it is the whole kernel
JITTER = 1e-4  # added to the kernel's eigenvalues (its diagonal is one), so that near-equal landmarks do not blow up rounding
PIECE = 4096  # rows of the kernel made at a time: 33 MB
ITERATIONS = 300
CURVED = 0.3  # share of the rows inside their margins, which alone bend the squared hinge: a guess that only sets the pace
NEIGHBOURS_MOST = 20_000  # rows kept: 70 MB of HOG features in half precision
TREES = 100
TREE_ROWS = 10_000  # drawn for each tree at most: more make trees deeper and slower, the forest hardly better
TREE_VALUES = 2_500_000  # numbers, one a node and class, that a tree may hold while it is grown: 2 GB for the whole forest

Rows = Int64[np.ndarray, "rows"]


def require_sklearn() -> None:
    """Raises ``MissingExtraError`` where scikit-learn is not installed."""
    from importlib.util import find_spec

    if find_spec("sklearn") is None:
        raise MissingExtraError.for_extra("classic", "Training a handcrafted model")


def spread_sample(labels: Labels, hashes: KeyHashes, most: int, *, seed: int, stream: str) -> Rows:
    """At most ``most`` rows, in order: each class in proportion, and one of each before two of any.

    The same keys are drawn whatever the order of rows.
    """
    if len(labels) <= most:
        return np.arange(len(labels))
    order = seeds.order(seed, stream, 0, hashes)
    by_class = order[np.argsort(labels[order], kind="stable")]
    sizes = np.bincount(labels)
    place = np.arange(len(labels)) - np.repeat(np.cumsum(sizes) - sizes, sizes)  # within its class
    share = (place / sizes[labels[by_class]]).astype(np.float64)
    return np.sort(by_class[np.argsort(share, kind="stable")[:most]])


def fit_vocabulary(patches: np.ndarray, words: int, *, seed: int) -> Vocabulary:
    """The centres of at most ``words`` clusters of patch descriptors [n, 128] (Csurka et al. 2004, section 2.2), no two equal.

    There are fewer where there are fewer different patches.
    """
    from sklearn.cluster import MiniBatchKMeans

    state = seeds.integer(seed, "vocabulary") % 2**32
    means = MiniBatchKMeans(min(words, len(patches)), random_state=state, n_init=1, batch_size=4096, max_iter=30)
    with threadpool_limits(limits=1):  # one thread: the order of the sums is then always the same
        means.fit(patches)
    return np.unique(means.cluster_centers_.astype(np.float32), axis=0)


class SvmProblem:
    """The features of one set, made ready once for every support vector machine on them.

    They are shifted and scaled so that each row's norm is about one, with either kernel, and rotated onto their principal
    axes: the curvature is then nearly diagonal, and half as many steps are enough. No label is looked at, so folds may share
    it. ``landmarks`` are the rows that span the Gaussian kernel's space (Nyström's approximation), or None for the linear one.
    """

    def __init__(
        self, features: Features, labels: Labels, classes: int, *, landmarks: Rows | None, weights: np.ndarray
    ) -> None:
        spread = features.std(axis=0, dtype=np.float64)
        # A feature that hardly varies would be blown up by its own spread.
        spread = np.maximum(spread, 1e-2 * max(float(spread.max(initial=0.0)), 1e-6))
        self._centre = features.mean(axis=0, dtype=np.float64).astype(np.float32)
        self._scale = (1 / (spread * np.sqrt(features.shape[1]))).astype(np.float32)
        self._labels, self._classes, self._weights = labels, classes, weights
        rows = (features - self._centre) * self._scale
        self._landmarks = None if landmarks is None else rows[landmarks]
        if self._landmarks is not None:
            values, axes = np.linalg.eigh(gaussian_kernel(self._landmarks, self._landmarks))
            self._whiten = (axes / np.sqrt(np.maximum(values, 0) + JITTER)) @ axes.T  # K^-1/2
            rows = _spanned(rows, self._landmarks, self._whiten)
        self._curvature, self._axes = _principal_axes(rows)
        self._rows = rows @ self._axes.astype(np.float32)

    def fit(
        self, chosen: np.ndarray, strength: float, start: np.ndarray | None = None, *, tolerance: float = 1e-7
    ) -> tuple[LinearSvm | KernelSvm, np.ndarray, bool]:
        """The machine on the ``chosen`` rows, its coefficients (a start for another strength), and whether it converged.

        It minimises, for each class against the rest, strength/2 times the squared weights + the weighted mean squared hinge
        loss: scikit-learn's ``LinearSVC`` with C = 1 / (strength n), but for the bias, which is free here. It has converged
        where a step lowers the loss by less than ``tolerance`` of it.
        """
        scale = np.append(np.sqrt(CURVED * self._curvature + strength), np.sqrt(CURVED))
        margins = _squared_hinge(self._rows[chosen], self._labels[chosen], self._weights[chosen], self._classes, strength)

        def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
            loss, gradient = margins(flat.reshape(self._classes, -1) / scale)
            return loss, (gradient / scale).ravel()

        first = np.zeros((self._classes, len(scale))) if start is None else start * scale
        options = {"maxiter": ITERATIONS, "maxfun": 2 * ITERATIONS, "ftol": tolerance, "gtol": 1e-6, "maxcor": 20}
        found = minimize(objective, first.ravel(), jac=True, method="L-BFGS-B", options=options)
        coefficients = found.x.reshape(self._classes, -1) / scale
        weight = coefficients[:, :-1] @ self._axes.T
        return self._machine(weight, coefficients[:, -1]), coefficients, found.nit < ITERATIONS

    def _machine(self, weight: np.ndarray, bias: np.ndarray) -> LinearSvm | KernelSvm:
        if self._landmarks is None:
            scaled = weight * self._scale
            return LinearSvm(scaled.astype(np.float32), (bias - scaled @ self._centre).astype(np.float32))
        spanned = (weight @ self._whiten).astype(np.float32)
        return KernelSvm(self._centre, self._scale, self._landmarks, spanned, bias.astype(np.float32))


def _principal_axes(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The second moment along each axis that the rows span, and the axes [width, axes]: the weights lie in their span too."""
    wide = rows.shape[1] > len(rows)
    moments = (rows @ rows.T if wide else rows.T @ rows).astype(np.float64) / len(rows)
    curvature, axes = np.linalg.eigh(moments)
    kept = curvature > 1e-7 * max(float(curvature[-1]), 1e-30)  # axes along which nothing varies
    curvature, axes = curvature[kept], axes[:, kept]
    return curvature, rows.T @ axes / np.sqrt(len(rows) * curvature) if wide else axes


def _spanned(rows: np.ndarray, landmarks: np.ndarray, whiten: np.ndarray) -> Features:
    """The rows in the landmarks' space, where the kernel is a product; in pieces, as the kernel is in float64."""
    found = np.empty((len(rows), len(landmarks)), dtype=np.float32)
    for start in range(0, len(rows), PIECE):
        found[start : start + PIECE] = gaussian_kernel(rows[start : start + PIECE], landmarks) @ whiten
    return found


def _squared_hinge(
    rows: np.ndarray, labels: Labels, weights: np.ndarray, classes: int, strength: float
) -> Callable[[np.ndarray], tuple[float, np.ndarray]]:
    signs = np.full((len(labels), classes), -1, dtype=np.float32)
    signs[np.arange(len(labels)), labels] = 1
    shares = (weights / weights.sum()).astype(np.float32)[:, None]  # n 1

    def objective(coefficients: np.ndarray) -> tuple[float, np.ndarray]:
        weight, bias = coefficients[:, :-1], coefficients[:, -1]
        decisions = rows @ weight.T.astype(np.float32) + bias.astype(np.float32)
        short = np.maximum(0, 1 - signs * decisions)  # of the margin
        weighted = short * shares
        slope = -2 * signs * weighted
        gradient = np.concatenate([slope.T @ rows + strength * weight, slope.sum(axis=0)[:, None]], axis=1)
        loss = float((short * weighted).sum(dtype=np.float64)) + 0.5 * strength * float((weight**2).sum())
        return loss, gradient

    return objective


def keep_neighbours(features: Features, labels: Labels, class_weights: np.ndarray, k: int) -> Neighbours:
    """The rows as neighbours; nothing is fitted."""
    kept = features.astype(np.float16), labels.astype(np.int32), class_weights.astype(np.float32)
    return Neighbours(*kept, min(k, len(labels)))


def fit_forest(features: Features, labels: Labels, classes: int, *, leaf: int, weights: np.ndarray, seed: int) -> Forest:
    """A random forest (Breiman 2001) of ``TREES`` trees with at least ``leaf`` rows in a leaf; cores do not change it.

    The trees are scikit-learn's, the forest around them is not: its threads set the process's filters of warnings aside and
    can leave them changed. Each tree sees rows drawn with replacement, and at each node as many features as the root of all.
    """
    from sklearn.tree import DecisionTreeClassifier

    n, most_leaves = len(labels), TREE_VALUES // (2 * classes)  # a tree has nearly two nodes a leaf
    drawn = np.arange(min(TREE_ROWS, n), dtype=np.uint64)
    features = np.ascontiguousarray(features, dtype=np.float32)

    def grow(number: int) -> Any:
        lots = seeds.uniform(seed, "bootstrap", number, drawn)[:, 0].astype(np.float64)
        times = np.bincount((lots * n).astype(np.int64), minlength=n)
        tree = DecisionTreeClassifier(
            max_features="sqrt",
            min_samples_leaf=leaf,
            max_leaf_nodes=most_leaves if most_leaves < len(drawn) else None,
            random_state=seeds.integer(seed, "tree", number) % 2**32,
        )
        return tree.fit(features, labels, sample_weight=times * weights, check_input=False).tree_

    with ThreadPoolExecutor(usable_cores()) as pool:
        trees = list(pool.map(grow, range(TREES)))
    return forest_arrays(trees, np.unique(labels), classes)


def forest_arrays(trees: Sequence[Any], labels: np.ndarray, classes: int) -> Forest:
    """scikit-learn's fitted trees (their ``tree_``) as arrays that give the same votes; ``labels`` are of their columns."""
    first = np.cumsum([0, *(tree.node_count for tree in trees)])
    left, right = (
        np.concatenate([_children(getattr(tree, side), start) for tree, start in zip(trees, first, strict=False)])
        for side in ("children_left", "children_right")
    )
    leaf = left == np.arange(first[-1])
    values = np.concatenate([tree.value[:, 0] for tree in trees])  # nodes classes
    shares = np.where(leaf[:, None], values / values.sum(axis=1, keepdims=True), 0)
    node, column = np.nonzero(shares)
    return Forest(
        roots=first[:-1].astype(np.int32),
        feature=np.maximum(np.concatenate([tree.feature for tree in trees]), 0).astype(np.int32),  # -2 at leaves
        threshold=_rounded_down(np.concatenate([tree.threshold for tree in trees])),
        left=left,
        right=right,
        starts=np.searchsorted(node, np.arange(first[-1] + 1)).astype(np.int32),
        entry_class=labels[column].astype(np.int32),
        entry_share=shares[node, column].astype(np.float32),
        classes=classes,
    )


def _children(children: np.ndarray, start: int) -> np.ndarray:
    """Children by their place in the whole forest; a leaf is its own child."""
    return (np.where(children < 0, np.arange(len(children)), children) + start).astype(np.int32)


def _rounded_down(threshold: np.ndarray) -> np.ndarray:
    """Thresholds as the largest float32 not above them: every float32 feature then goes the same way as before."""
    single = threshold.astype(np.float32)
    below: np.ndarray = np.where(single > threshold, np.nextafter(single, np.float32(-np.inf)), single)
    return below
