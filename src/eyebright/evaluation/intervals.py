"""How sure a figure is: Wilson's interval for a share, the bootstrap for all else, whole groups where pictures come in groups.

Every metric of this room is a function of *weights*: how often each picture counts. A resample is a column of weights, so a
thousand replicates are a few matrix products, and the figure and its interval come from the same lines of code.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from statistics import NormalDist
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Float64, Int64

from eyebright.core import seeds
from eyebright.core.errors import DataError
from eyebright.core.report import Figure

CONFIDENCE = 0.95
REPEATS = 1000  # Efron and Tibshirani 1993, section 13.3: percentile intervals want about a thousand replicates
BLOCK = 2**22  # weights held at a time, 16 MiB of float32: within reach of the caches, whatever the number of pictures
SPREAD = 1e-6  # replicates nearer to each other than this differ by float32's rounding only

Weights = Float[np.ndarray, "n *repeats"]
Values = Float64[np.ndarray, "*repeats"]
Statistics = Callable[[Weights], Mapping[str, Values]]


def wilson(successes: int, n: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """The score interval of a share, (low, high) in [0, 1]; for ``n`` independent trials.

    Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22 (1927). Unlike the textbook's
    normal interval it stays honest at none and at all.

    >>> low, high = wilson(0, 10)
    >>> round(low, 4), round(high, 4)
    (0.0, 0.2775)
    """
    if not 0 <= successes <= n or n == 0:
        raise ValueError(f"{successes} of {n} is no share; expected 0 <= successes <= n and n > 0.")
    return _score_interval(successes / n, n, confidence)


def _score_interval(share: float, n: float, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Wilson's interval of a share seen in ``n`` trials, which need not be a whole number."""
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    centre = share + z**2 / (2 * n)
    half = z * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    low, high = (centre - half) / (1 + z**2 / n), (centre + half) / (1 + z**2 / n)
    # At none and at all, one end is the share itself; rounding would miss it by 1e-17.
    return (0.0 if share == 0 else low), (1.0 if share == 1 else high)


def weighted_mean(rows: Float[np.ndarray, "n"], weights: Weights | None = None) -> Values:
    """The mean of one number a picture: one value for each column of ``weights``, one alone where every picture counts once."""
    weights = np.ones(len(rows)) if weights is None else weights
    return np.asarray(rows.astype(weights.dtype) @ weights / weights.sum(axis=0), dtype=np.float64)


def sum_by(codes: Int64[np.ndarray, "n"], rows: Weights, count: int) -> Float64[np.ndarray, "count *repeats"]:
    """The sum of the rows with each code 0 .. count-1; 0 where there is none.

    By sorting, not by a product with an indicator matrix: that would do ``count`` times the work.
    """
    sums = np.zeros((count, *rows.shape[1:]))
    if len(codes):
        order = np.argsort(codes, kind="stable")
        present, starts = np.unique(codes[order], return_index=True)
        sums[present] = np.add.reduceat(rows[order], starts, axis=0)  # n -> codes
    return sums


def resamples(groups: tuple[str, ...], *, repeats: int = REPEATS, seed: int = 0) -> Iterator[Weights]:
    """Blocks of weights [n, columns], ``repeats`` columns in all; each draws whole groups with replacement.

    Where every group is one picture this is the ordinary bootstrap (Efron 1979); otherwise the cluster bootstrap (Davison and
    Hinkley 1997, section 3.8). Counts are bound to the groups' names, so the order of the pictures does not matter.
    """
    names = {name: place for place, name in enumerate(sorted(set(groups)))}
    row_group = np.array([names[group] for group in groups], dtype=np.int64)
    generator = np.random.default_rng(seeds.integer(seed, "bootstrap"))
    columns = max(1, BLOCK // len(groups))
    for start in range(0, repeats, columns):
        yield _group_counts(generator, len(names), min(columns, repeats - start))[row_group]  # groups -> n


def _group_counts(generator: np.random.Generator, groups: int, columns: int) -> Weights:
    drawn = generator.integers(0, groups, size=(columns, groups))
    drawn += groups * np.arange(columns)[:, None]  # one range of codes a replicate, so that a single count serves them all
    counts = np.bincount(drawn.ravel(), minlength=columns * groups).reshape(columns, groups)
    return np.ascontiguousarray(counts.T, dtype=np.float32)


def bootstrap(
    statistics: Statistics,
    groups: tuple[str, ...],
    *,
    confidence: float = CONFIDENCE,
    repeats: int = REPEATS,
    seed: int = 0,
) -> dict[str, tuple[float, float]]:
    """The percentile interval of each statistic, by name; (nan, nan) where no resample defines it.

    A resample that leaves the statistic undefined (no picture of a class was drawn) is left out.
    """
    blocks = [statistics(weights) for weights in resamples(groups, repeats=repeats, seed=seed)]
    tails = [(1 - confidence) / 2, (1 + confidence) / 2]
    return {name: _quantiles(np.concatenate([block[name] for block in blocks]), tails) for name in blocks[0]}


def _quantiles(values: Values, tails: list[float]) -> tuple[float, float]:
    defined = values[~np.isnan(values)]
    if not len(defined):
        return math.nan, math.nan
    low, high = np.quantile(defined, tails)
    return float(low), float(high)


def estimate(
    statistics: Statistics,
    groups: tuple[str, ...],
    *,
    bounds: Mapping[str, tuple[float, float]],
    repeats: int = REPEATS,
    seed: int = 0,
) -> dict[str, Figure]:
    """Each statistic with its 95 % bootstrap interval, as figures.

    ``bounds`` holds the range of those statistics that have one. It serves where the resamples do not differ: see ``_figure``.
    """
    values = statistics(np.ones(len(groups)))
    intervals = bootstrap(statistics, groups, repeats=repeats, seed=seed)
    return {
        name: _figure(float(value), intervals[name], groups=groups, bounds=bounds.get(name)) for name, value in values.items()
    }


def _figure(
    value: float,
    interval: tuple[float, float],
    *,
    groups: tuple[str, ...],
    bounds: tuple[float, float] | None,
) -> Figure:
    """The figure for a value and its percentile interval.

    Where all resamples agree (a model without a mistake, or one group alone) their spread says nothing of what was not seen;
    [1, 1] would claim certainty. Then the interval reaches as far as Wilson's does for no event in as many trials as groups.
    """
    n, independent = len(groups), len(set(groups))
    low, high = interval
    if math.isnan(value) or math.isnan(low):
        return Figure(value=None if math.isnan(value) else value, n=n, method="none")
    if high - low < SPREAD:
        if bounds is None:
            return Figure(value=value, n=n, method="none")
        reach = wilson(0, independent)[1]
        return Figure(value=value, low=max(bounds[0], value - reach), high=min(bounds[1], value + reach), n=n, method="wilson")
    method: Literal["bootstrap", "cluster-bootstrap"] = "cluster-bootstrap" if independent < n else "bootstrap"
    # Resamples of a calibration error lie above it (noise adds to a sum of absolute gaps): keep the figure in its interval.
    return Figure(value=value, low=min(low, value), high=max(high, value), n=n, method=method)


def share(successes: Bool[np.ndarray, "n"], groups: tuple[str, ...]) -> Figure:
    """The share of successes with Wilson's interval: of as many trials as there are pictures, or as groups of them are worth.

    Korn and Graubard, "Confidence intervals for proportions with small expected number of positive counts estimated from survey
    data", Survey Methodology 24 (1998), put the effective size into an interval made for independent trials; Dean and Pagano,
    Journal of Survey Statistics and Methodology 3 (2015), find Wilson's among the best for it. Near none and all it holds where
    the bootstrap's is too narrow.
    """
    n = len(successes)
    if n == 0:
        return Figure(value=None, n=0, method="none")
    value, size = float(successes.mean()), effective_size(successes, groups)
    low, high = _score_interval(value, size)
    return Figure(value=value, low=low, high=high, n=n, method="wilson" if len(set(groups)) == n else "cluster-wilson")


def effective_size(successes: Bool[np.ndarray, "n"], groups: tuple[str, ...]) -> float:
    """How many independent pictures would tell as much about the share of successes: n over the design effect, at most n.

    The design effect (Kish, Survey Sampling, 1965, chapter 8) is the variance of the share over groups, in its linear form, to
    that of as many independent pictures. Where all answers are alike it cannot be seen, and a group counts as one picture would
    if all in it were copies: n**2 over the sum of the squared sizes.

    >>> effective_size(np.array([True, True, False, False]), ("a", "a", "b", "b"))  # two groups, each of one opinion
    1.0
    """
    n = len(successes)
    _, of_row, sizes = np.unique(np.array(groups, dtype=object), return_inverse=True, return_counts=True)
    if len(sizes) == n:
        return float(n)
    share = float(successes.mean())
    independent = n * share * (1 - share)  # n**2 times the variance of the mean
    if independent == 0 or len(sizes) == 1:
        return n**2 / float((sizes**2).sum())
    # Counts before differences: whole numbers add up alike in any order of the pictures.
    sums = np.bincount(of_row.reshape(-1), weights=successes) - share * sizes
    clustered = float((sums**2).sum()) * len(sizes) / (len(sizes) - 1)
    return min(float(n), n * independent / clustered) if clustered > 0 else float(n)


def paired_difference(
    correct_a: Bool[np.ndarray, "n"],
    correct_b: Bool[np.ndarray, "n"],
    groups: tuple[str, ...],
    *,
    seed: int = 0,
) -> Figure:
    """How much more often A is right than B on the same pictures, in [-1, 1], with its 95 % interval.

    The difference is taken picture by picture before groups are resampled, so what both find easy or hard cancels.
    Raises ``DataError`` where the two were not measured on the same number of pictures.
    """
    if not len(correct_a) == len(correct_b) == len(groups) or not len(groups):
        raise DataError(
            f"A has {len(correct_a)} answers, B has {len(correct_b)}, for {len(groups)} groups; "
            "a paired comparison needs both on the same pictures. Evaluate both on one part."
        )
    rows = correct_a.astype(np.float64) - correct_b.astype(np.float64)
    return estimate(
        lambda weights: {"difference": weighted_mean(rows, weights)}, groups, bounds={"difference": (-1.0, 1.0)}, seed=seed
    )["difference"]
