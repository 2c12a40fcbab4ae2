"""A linear head on frozen features: multinomial logistic regression, its strength chosen out of fold."""

import dataclasses
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from jaxtyping import Float32, Float64, Int64
from scipy.optimize import minimize
from threadpoolctl import threadpool_limits

from eyebright.core.arrays import Features, Labels, Logits
from eyebright.core.machine import usable_cores
from eyebright.data.folds import SEEN_BY_ALL, numbers_of

# From strong to weak, on standardised features, as a factor of the mean loss. The path is walked with warm starts and left
# once two weaker strengths in a row were worse.
STRENGTHS = (0.1, 0.03, 0.01, 0.003, 0.001, 0.0003, 0.0001)
ITERATIONS = 100
AT_A_TIME = 128  # rows, or columns, in double precision
HARMED = 3.0  # standard errors at which a single class counts as harmed by mirror images: 1 in 700 by chance


@dataclasses.dataclass(frozen=True)
class LinearHead:
    """``features @ weight.T + bias`` are the logits. ``weight`` is [classes, width], as in torch."""

    weight: Float32[np.ndarray, "classes width"]
    bias: Float32[np.ndarray, "classes"]

    def __call__(self, features: Features) -> Logits:
        logits: Logits = features @ self.weight.T + self.bias
        return logits


@dataclasses.dataclass(frozen=True)
class HeadChoice:
    """The strength chosen, with the out-of-fold logits it gave and the mean log loss of each strength that was tried.

    The logits of rows that no fold holds out are zeros.
    ``mirrored`` says whether mirror images are learned from too, ``why`` the reason in words, ``harmed`` the class that would
    pay for it.
    """

    strength: float
    out_of_fold: Logits
    losses: dict[float, float]
    mirrored: bool = False
    why: str = ""
    harmed: int | None = None

    @property
    def loss(self) -> float:
        """The mean out-of-fold log loss of the chosen strength, in nats."""
        return self.losses[self.strength]


def log_losses(logits: Logits, labels: Labels) -> Float64[np.ndarray, "n"]:
    """The negative log probability of each row's true class, in nats."""
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    log_sum = np.log(np.exp(shifted).sum(axis=1))
    losses: np.ndarray = log_sum - shifted[np.arange(len(labels)), labels]
    return losses


def mean_log_loss(logits: Logits, labels: Labels, weights: np.ndarray | None = None) -> float:
    """The mean negative log probability of the true class, in nats; weighted where ``weights`` are given."""
    return float(np.average(log_losses(logits, labels), weights=weights))


class HeadProblem:
    """The features of one set, turned once so that every fit on them is quick.

    Columns are standardised, then rotated onto their principal axes. The rotation leaves the penalty, and so the solution,
    as it is, but makes the problem's curvature nearly diagonal: divided by its square root, L-BFGS needs fewer steps.
    No label is looked at, so folds may share it.
    """

    def __init__(self, features: Features, labels: Labels, classes: int, row_weights: np.ndarray | None = None) -> None:
        spread = _spread_of(features)
        # A feature that hardly varies would be blown up by its own spread.
        self._spread = np.maximum(spread, 1e-3 * max(float(spread.max(initial=0.0)), 1e-6))
        self._mean = features.mean(axis=0, dtype=np.float64)
        standard = _standardised(features, self._mean, self._spread)
        self._curvature, self._axes = _principal_axes(standard)
        self._rows = standard @ self._axes.astype(np.float32)
        self._labels, self._classes = labels, classes
        self._weights = np.ones(len(labels)) if row_weights is None else row_weights.astype(np.float64)

    def fit(self, chosen: np.ndarray, strength: float, start: np.ndarray | None = None) -> tuple[LinearHead, np.ndarray]:
        """The head fitted on the ``chosen`` rows, and its coefficients as a warm start for a neighbouring strength.

        It minimises the weighted mean log loss + strength/2 times the squared weights of the standardised features. A class
        without rows keeps a very low bias rather than an undefined one.
        """
        # A class probability p has curvature p (1 - p), about 1/classes on average.
        scale = np.append(np.sqrt(self._curvature / self._classes + strength), np.sqrt(1 / self._classes))
        objective = _objective(self._rows[chosen], self._labels[chosen], self._weights[chosen], self._classes, strength, scale)
        first = np.zeros((self._classes, len(scale))) if start is None else start * scale
        options = {"maxiter": ITERATIONS, "maxfun": 2 * ITERATIONS, "ftol": 1e-7, "gtol": 1e-5, "maxcor": 20}
        solution = minimize(objective, first.ravel(), jac=True, method="L-BFGS-B", options=options).x
        coefficients: np.ndarray = solution.reshape(self._classes, -1) / scale
        weight = (coefficients[:, :-1] @ self._axes.T) / self._spread
        bias = coefficients[:, -1] - weight @ self._mean
        return LinearHead(weight.astype(np.float32), bias.astype(np.float32)), coefficients


def _spread_of(features: Features) -> Float64[np.ndarray, "width"]:
    """The standard deviation of each column, in double precision, some columns at a time: all would be thrice the features."""
    columns = np.array_split(np.arange(features.shape[1]), max(1, features.shape[1] // AT_A_TIME))
    return np.concatenate([features[:, some[0] : some[-1] + 1].std(axis=0, dtype=np.float64) for some in columns])


def _standardised(features: Features, mean: np.ndarray, spread: np.ndarray) -> Features:
    """The rows less ``mean``, over ``spread``, computed in double precision, some rows at a time."""
    standard = np.empty(features.shape, dtype=np.float32)
    for start in range(0, len(features), AT_A_TIME):
        some = slice(start, start + AT_A_TIME)
        standard[some] = (features[some] - mean) / spread
    return standard


def _principal_axes(standard: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mean square along each axis on which the rows vary, and these axes, [width, axes].

    Of fewer rows than columns the products of rows have the same ones, and are the smaller matrix; in double precision, as
    axes of little variation would come out askew else, and of another length.
    """
    rows, columns = standard.shape
    few = rows < columns
    if few:
        standard = standard.astype(np.float64)
    products = (standard @ standard.T if few else (standard.T @ standard).astype(np.float64)) / max(1, rows)
    curvature, axes = np.linalg.eigh(products)
    kept = curvature > 1e-7 * curvature[-1]  # axes along which nothing varies
    curvature, axes = curvature[kept], axes[:, kept]
    if few:  # x = u s v', so v = x' u / s, where s^2 is the number of rows times the mean square
        axes = (standard.T @ axes) / np.sqrt(rows * curvature)
    return curvature, axes


def _objective(
    rows: np.ndarray, labels: Labels, weights: np.ndarray, classes: int, strength: float, scale: np.ndarray
) -> Callable[[np.ndarray], tuple[float, np.ndarray]]:
    targets = np.zeros((len(labels), classes), dtype=np.float32)
    targets[np.arange(len(labels)), labels] = 1.0
    shares = (weights / weights.sum()).astype(np.float32)[:, None]  # n 1

    def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        coefficients = flat.reshape(classes, -1) / scale
        weight, bias = coefficients[:, :-1], coefficients[:, -1]
        logits = rows @ weight.T.astype(np.float32) + bias.astype(np.float32)
        logits -= logits.max(axis=1, keepdims=True)
        exponentials = np.exp(logits)
        sums = exponentials.sum(axis=1, keepdims=True)
        losses = np.log(sums[:, 0]) - (logits * targets).sum(axis=1)
        error = (exponentials / sums - targets) * shares
        gradient = np.concatenate(
            [error.T @ rows + strength * weight, error.sum(axis=0)[:, None] + 1e-6 * bias[:, None]], axis=1
        )
        # The bias is free; a hair of penalty only keeps the bias of a class without rows finite.
        penalty = 0.5 * strength * float((weight**2).sum()) + 0.5e-6 * float((bias**2).sum())
        return float((shares[:, 0] * losses).sum(dtype=np.float64)) + penalty, (gradient / scale).ravel()

    return objective


def fit_head(
    features: Features,
    labels: Labels,
    classes: int,
    *,
    strength: float,
    row_weights: np.ndarray | None = None,
    mirrored: Features | None = None,
) -> LinearHead:
    """The head of least weighted mean log loss + strength/2 times the squared weights of the standardised features.

    The scale is folded into the weights, so the head takes the features as they are. ``mirrored`` are the features of the same
    pictures in the mirror, learned from as well.
    """
    problem = with_mirrored(features, labels, row_weights, mirrored, classes)
    with threadpool_limits(limits=1, user_api="blas"):
        return HeadProblem(*problem).fit(np.arange(len(problem[1])), strength)[0]


def with_mirrored(
    features: Features, labels: Labels, row_weights: np.ndarray | None, mirrored: Features | None, classes: int
) -> tuple[Features, Labels, int, np.ndarray | None]:
    """What a ``HeadProblem`` takes: the rows, then those of the mirror images where there are any."""
    if mirrored is None:
        return features, labels, classes, row_weights
    weights = None if row_weights is None else np.concatenate([row_weights, row_weights])
    return np.concatenate([features, mirrored]), np.concatenate([labels, labels]), classes, weights


def choose_strength(
    features: Features,
    labels: Labels,
    classes: int,
    folds: Int64[np.ndarray, "n"],
    *,
    row_weights: np.ndarray | None = None,
    mirrored: Features | None = None,
    strengths: Sequence[float] = STRENGTHS,
    on_step: Callable[[int], None] = lambda done: None,
) -> HeadChoice:
    """The strength whose out-of-fold log loss is least: ``folds`` says in which fold each row is held out.

    Rows that are ``SEEN_BY_ALL`` are learned from in every fold, count in no loss, and have zeros for logits.
    ``mirrored`` are the features of the same pictures in the mirror: learned from where the picture is, never asked about.
    Folds are fitted side by side, each on one core: these products are too small to be shared between cores.
    """
    problem = HeadProblem(*with_mirrored(features, labels, row_weights, mirrored, classes))
    seen_in = folds if mirrored is None else np.concatenate([folds, folds])
    numbers, judged = numbers_of(folds), folds != SEEN_BY_ALL
    weights = None if row_weights is None else row_weights[judged]
    starts: dict[int, np.ndarray] = {}
    losses: dict[float, float] = {}
    logits_of: dict[float, Logits] = {}

    def fit_fold(number: int) -> tuple[int, LinearHead]:
        head, starts[number] = problem.fit(np.flatnonzero(seen_in != number), strength, starts.get(number))
        return number, head

    with threadpool_limits(limits=1, user_api="blas"), ThreadPoolExecutor(usable_cores()) as pool:
        for done, strength in enumerate(strengths):
            logits = np.zeros((len(labels), classes), dtype=np.float32)
            for number, head in pool.map(fit_fold, numbers):
                logits[folds == number] = head(features[folds == number])
            losses[strength] = mean_log_loss(logits[judged], labels[judged], weights)
            logits_of[strength] = logits
            on_step(done + 1)
            best = min(losses, key=losses.__getitem__)
            if list(losses).index(best) <= done - 2:
                break
    return HeadChoice(best, logits_of[best], losses)


def with_mirrored_if_better(
    choice: HeadChoice,
    features: Features,
    labels: Labels,
    classes: int,
    folds: Int64[np.ndarray, "n"],
    mirrored: Features,
    *,
    row_weights: np.ndarray | None = None,
) -> HeadChoice:
    """``choice``, or the same strength learned from mirror images too, where its out-of-fold log loss is lower.

    No class may pay for it: one whose pictures are known worse, by ``HARMED`` standard errors of the mean difference, changes
    its meaning in the mirror, as an arrow does.
    """
    other = choose_strength(
        features, labels, classes, folds, row_weights=row_weights, mirrored=mirrored, strengths=(choice.strength,)
    )
    losses = f"out-of-fold log loss {other.loss:.3f} with them, {choice.loss:.3f} without"
    judged = folds != SEEN_BY_ALL
    lost = log_losses(other.out_of_fold[judged], labels[judged]) - log_losses(choice.out_of_fold[judged], labels[judged])
    harmed = _harmed(lost, labels[judged])
    if other.loss < choice.loss and harmed is None:
        return dataclasses.replace(choice, out_of_fold=other.out_of_fold, losses=other.losses, mirrored=True, why=losses)
    return dataclasses.replace(choice, why=losses, harmed=harmed)


def _harmed(differences: np.ndarray, labels: Labels) -> int | None:
    """The first class whose mean difference is above zero by ``HARMED`` standard errors, or None."""
    for label in np.unique(labels):
        own = differences[labels == label]
        error = own.std() / np.sqrt(len(own))
        if len(own) > 1 and own.mean() > HARMED * error > 0:
            return int(label)
    return None
