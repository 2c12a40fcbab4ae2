"""What a search found: the best trial, what it gains over the usual settings, and which settings mattered."""

import datetime
from pathlib import Path
from typing import Any

import numpy as np

from eyebright.core.machine import machine_line
from eyebright.core.report import Figure, Search, Trial
from eyebright.evaluation import accuracy
from eyebright.evaluation.intervals import paired_difference
from eyebright.verbs.making.settings import TrainSettings
from eyebright.verbs.tuning import records
from eyebright.verbs.tuning.importance import FEWEST, importances
from eyebright.verbs.tuning.space import Range, read_space
from eyebright.verbs.tuning.study import Description, to_lower
from eyebright.verbs.tuning.trial import Metric

SPOKEN = {"log_loss": "log loss", "accuracy": "accuracy", "f1_macro": "macro F1"}
METHODS = {
    "grid": "A grid: every combination of the values.",
    "random": "Values drawn at random.",
    "bayesian": "Bayesian: after ten random trials, values that resemble those of the best ones (tree-structured Parzen "
    "estimator, Bergstra et al. 2011).",
}


def summarise(folder: Path) -> Search:
    """The search in ``folder``, as far as it has come."""
    description = Description.model_validate_json((folder / "study.json").read_bytes())
    base = TrainSettings.resolve(description.base)
    trials = records.records(folder)
    space = read_space(description.space)
    best = best_of(trials, description.metric)
    shares, mattered = importances(space, trials, description.metric, seed=base.seed)
    gain = _gain(folder, best.number) if best.number else None
    return Search(
        title=f"{Path(base.data).name}: {len(trials) - 1} sets of settings tried",
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        method=description.method,
        metric=description.metric,
        n=len(records.predictions_of(folder, 0)),
        planned=description.trials,
        space={name: str(entry) for name, entry in space.items()},
        logarithmic=[name for name, entry in space.items() if isinstance(entry, Range) and entry.logarithmic],
        trials=trials,
        best=best.number,
        importances=shares,
        mattered=mattered,
        gain=gain,
        advice=_advice(trials, best, description.metric, shares, mattered, gain),
        how=_how(description, base, trials),
        machine=machine_line(),
    )


def best_of(trials: list[Trial], metric: Metric) -> Trial:
    """The finished trial with the best score, the earlier one of equals: the usual settings before all others."""
    scored = [(to_lower(metric, trial.score), trial.number) for trial in trials if trial.score is not None]
    number = min(scored)[1]
    return next(trial for trial in trials if trial.number == number)


def best_settings(folder: Path, search: Search) -> dict[str, Any]:
    """The settings of the best trial, for ``train --config``: all that differs from what ``train`` does by itself."""
    description = Description.model_validate_json((folder / "study.json").read_bytes())
    chosen = next(trial for trial in search.trials if trial.number == search.best)
    values = chosen.values if search.best else {}
    settings = TrainSettings.resolve({**description.base, **values})
    kept = settings.model_dump(mode="json", exclude_defaults=True, exclude_none=True, exclude={"minutes", "out"})
    return {**kept, **values}


def _gain(folder: Path, best: int) -> Figure:
    """The accuracy of the best trial minus that of the usual settings, on the same pictures, paired."""
    first, second = records.predictions_of(folder, 0), records.predictions_of(folder, best)
    row_of = {key: row for row, key in enumerate(second.keys)}
    second = second.select(np.array([row_of[key] for key in first.keys]))
    return paired_difference(accuracy.right_answers(second), accuracy.right_answers(first), first.groups)


def _advice(
    trials: list[Trial], best: Trial, metric: Metric, shares: dict[str, float], mattered: list[str], gain: Figure | None
) -> list[str]:
    found = []
    if len(trials) == 1:
        return ["No trial came to its end. Give more --minutes, or a narrower --search."]
    if gain is None:
        found.append("No trial did better than the usual settings: nothing needs to be changed.")
    elif gain.value is not None and gain.low is not None and gain.high is not None:
        proven = "more than chance explains" if gain.low > 0 else "which may be chance"
        found.append(
            f"Trial {best.number} did best: {SPOKEN[metric]} {best.score:.3f}, against {trials[0].score:.3f} with the usual "
            f"settings. Its accuracy differs by {100 * gain.value:+.1f} points "
            f"({100 * gain.low:+.1f} to {100 * gain.high:+.1f}), {proven}."
        )
        found.append(
            f"It is the best of {len(trials)} on the validation pictures, which flatters it. The test pictures were not looked "
            "at: train judges by them, once."
        )
    if mattered:
        found.append(f"What mattered: {', '.join(f'{name} ({100 * shares[name]:.0f} %)' for name in mattered)}.")
    elif shares:
        found.append("No setting made a difference that chance would not make.")
    else:
        found.append(f"Too few trials to say which settings matter: {FEWEST} are needed, {len(trials) - 1} were done.")
    return found


def _how(description: Description, base: TrainSettings, trials: list[Trial]) -> list[str]:
    tried = len(trials) - 1
    said = [METHODS[description.method], f"{tried} of {description.trials} trials were done besides the usual settings."]
    stopped = [trial for trial in trials if trial.state == "stopped early"]
    failed = [trial for trial in trials if trial.state == "failed"]
    if stopped:
        said.append(f"{len(stopped)} were stopped early: their validation loss was above the median of the others.")
    if failed:
        said.append(f"{len(failed)} failed.")
    said.append(f"Each had {base.epochs} epoch{'' if base.epochs == 1 else 's'}, in {base.precision}.")
    side = f"{description.parallel} side by side" if description.parallel > 1 else "One trial after the other"
    said.append(f"{side}: {description.why_parallel}.")
    return said
