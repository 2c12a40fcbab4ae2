"""Which of the settings that were searched make the difference, and which seem to by chance alone."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from eyebright.core import seeds
from eyebright.core.report import Trial
from eyebright.verbs.tuning.space import Space
from eyebright.verbs.tuning.study import distribution, optuna, to_lower
from eyebright.verbs.tuning.trial import Metric

FEWEST = 10  # trials: among fewer, the best are too few to be told from the rest
BEST = 0.1  # share of the trials that count as the best ...
BEST_FEWEST = 5  # ... but as many as these: PED-ANOVA is stable from there on, as Optuna's documentation says
SHUFFLES = 199
CHANCE = 0.05  # for the whole search: of all its settings together, not of each


def importances(space: Space, trials: list[Trial], metric: Metric, *, seed: int) -> tuple[dict[str, float], list[str]]:
    """Each setting's share of the differences, the largest first, and those of them that are beyond chance.

    PED-ANOVA (Watanabe, Bansal and Hutter 2023, as Optuna computes it): how differently the best trials are spread over a
    setting's values from all of them. A trial that was stopped early or failed is one of the worst. Beyond chance is what
    shuffled scores would give to any setting in at most one of twenty searches (Bonferroni). Both are empty where there were
    too few trials.
    """
    kept = [trial for trial in trials if trial.number > 0]
    if len(kept) < FEWEST or not space:
        return {}, []
    ranks = _ranks(kept, metric)
    hashes = np.arange(len(kept), dtype=np.uint64)
    shuffled = [ranks[seeds.order(seed, "importances by chance", turn, hashes)] for turn in range(SHUFFLES)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Optuna's, about experimental parts and targets
        measure = _measure(space, kept)
        found = measure(ranks)
        by_chance = [measure(each) for each in shuffled]
    total = sum(found.values())
    if total <= 0:
        return {}, []
    # A permutation test: the true order counts as one of the shuffles.
    p_values = {name: (1 + sum(each[name] >= found[name] for each in by_chance)) / (1 + SHUFFLES) for name in found}
    shares = {name: found[name] / total for name in sorted(found, key=lambda name: (-found[name], name))}
    return shares, [name for name in shares if len(space) * p_values[name] <= CHANCE]


def _ranks(trials: list[Trial], metric: Metric) -> np.ndarray:
    """The place of each trial, the best first. Those without a score come last, in an order of no meaning."""
    scores = [np.inf if trial.score is None else to_lower(metric, trial.score) for trial in trials]
    ranks = np.empty(len(trials))
    ranks[np.argsort(scores, kind="stable")] = np.arange(len(trials))
    return ranks


def _measure(space: Space, trials: list[Trial]) -> Callable[[np.ndarray], dict[str, float]]:
    """A function from ranks, one a trial, to each setting's importance, not yet brought to a sum of one."""
    package = optuna()
    study = package.create_study()
    distributions = {name: distribution(package, entry) for name, entry in space.items()}
    for trial in trials:
        params = {name: trial.values[name] for name in space}
        study.add_trial(package.trial.create_trial(params=params, distributions=distributions, value=0.0))
    quantile = min(0.5, max(BEST, BEST_FEWEST / len(trials)))
    evaluator = package.importance.PedAnovaImportanceEvaluator(target_quantile=quantile)

    def measure(ranks: np.ndarray) -> dict[str, float]:
        def rank_of(trial: Any) -> float:
            return float(ranks[trial.number])

        found = evaluator.evaluate(study, params=list(space), target=rank_of)
        return {name: float(found[name]) for name in space}

    return measure
