"""The study: which values a trial gets, when it is stopped early, and what is kept of it, in one folder that can be resumed.

search.toml  what was asked for
split.json   which picture is in which part
study.json   what trial 0 settled for all others: the space, epochs, precision, mirroring, how many side by side
journal.log  Optuna's own record, from which it proposes; several processes may append to it
trials/      see ``records``
"""

import logging
import math
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from eyebright.core import seeds
from eyebright.core.errors import EyebrightError, InterruptedRunError, MissingExtraError, ResourceError
from eyebright.core.events import Epoch, Event, OnEvent
from eyebright.core.report import Trial
from eyebright.verbs.making.settings import TrainSettings
from eyebright.verbs.tuning import proposing, records
from eyebright.verbs.tuning.space import Choice, Range, Value, read_space
from eyebright.verbs.tuning.trial import Metric, Outcome, Workbench, losses_of, validation_of

STARTED_FIRST = 5  # trials that are never stopped early: the median of fewer says little
NEVER_BEFORE = 1  # epochs: the first one is mostly warm-up
ASKED_AGAIN = 10  # times that Optuna may propose what was tried before
NAME = "eyebright"


def optuna() -> Any:
    """The package optuna, kept quiet. Raises ``MissingExtraError`` where it is not installed."""
    try:
        import optuna as package
    except ModuleNotFoundError:
        raise MissingExtraError.for_extra("tune", "Searching for settings") from None
    package.logging.set_verbosity(logging.ERROR)
    return package


class Description(BaseModel):
    """What ``study.json`` holds: all that a second process, or a resumed search, needs to know.

    ``base`` are the settings that all trials share, what trial 0 settled (epochs, precision, mirroring) among them; ``space``
    is in the words of ``--search``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: Literal["grid", "random", "bayesian"]
    metric: Metric
    trials: int
    levels: int
    space: list[str]
    base: dict[str, Any]
    parallel: int = 1
    why_parallel: str = ""


class _StoppedEarlyError(Exception):
    """The trial does worse than half of the others did at this epoch."""


class _TimeIsOverError(Exception):
    """The time for the whole search is over."""


class Study:
    """A search that is under way in ``folder``. Several processes may hold one each."""

    def __init__(self, folder: Path, description: Description) -> None:
        self.folder, self.description = folder, description
        self.metric, self.space = description.metric, read_space(description.space)
        self.base = TrainSettings.resolve(description.base)
        self._package = optuna()
        self._optuna = self._open()
        self._planned = self._plan()

    def _open(self) -> Any:
        package = self._package
        storage = package.storages.JournalStorage(package.storages.journal.JournalFileBackend(str(self.folder / "journal.log")))
        pruner = package.pruners.MedianPruner(n_startup_trials=STARTED_FIRST, n_warmup_steps=NEVER_BEFORE)
        return package.create_study(storage=storage, study_name=NAME, pruner=pruner, load_if_exists=True)

    def _plan(self) -> list[dict[str, Value]] | None:
        """The values of each trial, where they do not depend on how the others went."""
        if self.description.method == "grid":
            return proposing.grid(self.space, self.description.levels, self.base.seed)
        if self.description.method == "random":
            return proposing.draws(self.space, self.description.trials, self.base.seed)
        return None

    def work_through(self, bench: Workbench, deadline: float, on_event: OnEvent, on_trial: Callable[[Trial], None]) -> None:
        """Trials, one after the other, until all are done or the time (on ``time.time``'s clock) is over.

        A trial that the time cuts off is not kept: a resumed search does it again.
        """
        while time.time() < deadline and (claim := self._claim()) is not None:
            try:
                on_trial(self._run(claim.number, bench, deadline, on_event))
            except _TimeIsOverError:
                return
            finally:
                claim.release()

    def _claim(self) -> records.Claim | None:
        """The next trial that is nobody else's; None where all are done or taken."""
        most = self.description.trials if self._planned is None else len(self._planned)
        claims = (records.claim(self.folder, number) for number in range(1, most + 1))
        return next((claim for claim in claims if claim is not None), None)

    def _run(self, number: int, bench: Workbench, deadline: float, on_event: OnEvent) -> Trial:
        trial, values = self._ask(number)
        listen, losses = losses_of(self._watcher(trial, number, deadline, on_event))
        started = time.monotonic()
        try:
            settings = TrainSettings.resolve({**self.base.model_dump(), **values})
            outcome, _ = bench.try_out(settings, records.checkpoints_of(self.folder, number), listen)
            done = finished(number, values, outcome, self.metric, losses)
        except _StoppedEarlyError:
            reason = f"after epoch {len(losses)} it did worse than half of the others at that point"
            ended = Trial(number=number, state="stopped early", values=dict(values), curve=losses, reason=reason)
            return self._close(trial, ended, started)
        except (InterruptedRunError, _TimeIsOverError, KeyboardInterrupt):
            self._optuna.tell(trial, state=self._states.FAIL)
            raise
        except (EyebrightError, RuntimeError, MemoryError) as error:  # a loss that ran away, values that do not go together
            reason = " ".join(str(error).split())[:300] or type(error).__name__
            failed = Trial(number=number, state="failed", values=dict(values), curve=losses, reason=reason)
            return self._close(trial, failed, started)
        return self._close(trial, done, started, outcome)

    @property
    def _states(self) -> Any:
        return self._package.trial.TrialState

    def _ask(self, number: int) -> tuple[Any, dict[str, Value]]:
        """Optuna's trial, and the values that it, or the plan of the search, gives to trial ``number``."""
        self._forget(number)
        # A search that is resumed, or done again, draws the same: what is drawn belongs to the trial, not to the turn.
        drawn = seeds.integer(self.base.seed, "proposal", number) % 2**31
        self._optuna.sampler = self._sampler(drawn, number)
        known = {proposing.same(trial.values): trial for trial in records.records(self.folder)}
        for attempt in range(ASKED_AGAIN):
            trial = self._optuna.ask()
            trial.set_user_attr("number", number)
            values = {name: _suggested(trial, name, entry) for name, entry in self.space.items()}
            before = known.get(proposing.same(values))
            if before is None or self._planned is not None or attempt == ASKED_AGAIN - 1:
                break
            self._tell(trial, before)
        return trial, values

    def _sampler(self, drawn: int, number: int) -> Any:
        samplers = self._package.samplers
        if self._planned is None:
            # The liar keeps processes side by side from proposing the same.
            return samplers.TPESampler(seed=drawn, constant_liar=self.description.parallel > 1)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", self._package.exceptions.ExperimentalWarning)
            return samplers.PartialFixedSampler(self._planned[number - 1], samplers.RandomSampler(seed=drawn))

    def _forget(self, number: int) -> None:
        """Closes what a process that died left open in Optuna's record under this number, which is ours now."""
        for left in self._optuna.get_trials(deepcopy=False, states=(self._states.RUNNING,)):
            if left.user_attrs.get("number") == number:
                self._optuna.tell(left.number, state=self._states.FAIL)

    def _watcher(self, trial: Any, number: int, deadline: float, on_event: OnEvent) -> OnEvent:
        """A listener that ends the trial where the time is over or the pruner says so; it hands on how the training goes.

        The pruner compares validation losses, whatever the search is for: they are the least noisy, and every epoch has one.
        """
        epochs = 0

        def listen(event: Event) -> None:
            nonlocal epochs
            if time.time() > deadline:
                raise _TimeIsOverError
            metrics = validation_of(event)
            if metrics is not None:
                trial.report(metrics["validation_loss"], epochs)
                epochs += 1
                if isinstance(event, Epoch):
                    on_event(Epoch(f"trial {number}, {event.stage}", event.epoch, event.metrics, event.seconds))
                if trial.should_prune():
                    raise _StoppedEarlyError

        return listen

    def _close(self, trial: Any, record: Trial, started: float, outcome: Outcome | None = None) -> Trial:
        """Tells Optuna of the trial, then keeps it: where a kill comes between, it is done again, and Optuna knows it twice."""
        record = record.model_copy(update={"seconds": time.monotonic() - started})
        self._tell(trial, record)
        records.keep(self.folder, record, None if outcome is None else outcome.predictions)
        return record

    def _tell(self, trial: Any, record: Trial) -> None:
        if record.score is not None:
            self._optuna.tell(trial, to_lower(self.metric, record.score))
        else:
            self._optuna.tell(trial, state=self._states.PRUNED if record.state == "stopped early" else self._states.FAIL)


def finished(number: int, values: dict[str, Any], outcome: Outcome, metric: Metric, losses: list[float]) -> Trial:
    """The record of a trial that came to its end. Raises ``ResourceError`` where its score is no number."""
    score = float(getattr(outcome, metric))
    if not math.isfinite(score):
        raise ResourceError(f"The {metric} on the validation pictures is {score}. Try a lower learning rate.")
    return Trial(
        number=number,
        state="finished",
        values=values,
        score=score,
        accuracy=outcome.accuracy,
        seconds=outcome.seconds,
        curve=losses,
    )


def to_lower(metric: Metric, score: float) -> float:
    """The score as something that is the better the lower it is.

    >>> to_lower("log_loss", 0.25), to_lower("accuracy", 0.75)
    (0.25, 0.25)
    """
    return score if metric == "log_loss" else 1.0 - score


def mend_journal(folder: Path) -> None:
    """Takes off a last line that a power cut left half written: what came after it could not be read."""
    journal = folder / "journal.log"
    if not journal.is_file():
        return
    with journal.open("r+b") as file:
        content = file.read()
        if content and not content.endswith(b"\n"):
            file.truncate(content.rfind(b"\n") + 1)


def _suggested(trial: Any, name: str, entry: Range | Choice) -> Value:
    value: Value
    if isinstance(entry, Choice):
        value = trial.suggest_categorical(name, list(entry.values))
    elif entry.whole:
        value = trial.suggest_int(name, int(entry.low), int(entry.high), log=entry.logarithmic)
    else:
        value = entry.rounded(trial.suggest_float(name, entry.low, entry.high, log=entry.logarithmic))
    return value


def distribution(package: Any, entry: Range | Choice) -> Any:
    """The entry as Optuna describes it."""
    kinds = package.distributions
    if isinstance(entry, Choice):
        return kinds.CategoricalDistribution(list(entry.values))
    if entry.whole:
        return kinds.IntDistribution(int(entry.low), int(entry.high), log=entry.logarithmic)
    return kinds.FloatDistribution(entry.low, entry.high, log=entry.logarithmic)
