"""One trial: the training that ``train`` would do with these settings, without the test part, a refit and a bundle."""

import dataclasses
import math
import shutil
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import numpy as np

from eyebright.core.errors import SettingsError
from eyebright.core.events import Choice, Epoch, Event, OnEvent
from eyebright.core.predictions import Predictions
from eyebright.core.run import Run
from eyebright.evaluation import accuracy, calibration, fit_temperature
from eyebright.training.augment import Augment, dial
from eyebright.training.augment.values import DIALS
from eyebright.training.fit import LabelledPictures
from eyebright.verbs.making import choosing, gathering, learning
from eyebright.verbs.making.choosing import Plan
from eyebright.verbs.making.settings import TrainSettings
from eyebright.verbs.making.story import Story
from eyebright.verbs.making.trying import try_plan
from eyebright.verbs.making.work import Work
from eyebright.verbs.tuning.space import Value

WATCHED = ("training", "fine-tuning")  # the stages that learn from the train part alone
SIZES_KEPT = 2  # sets of prepared pictures that stay in memory, where a search changes what the model sees

Metric = Literal["log_loss", "accuracy", "f1_macro"]


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a trial gave on the validation pictures, judged at its own best temperature."""

    predictions: Predictions
    log_loss: float
    accuracy: float
    f1_macro: float
    seconds: float


class Workbench:
    """The data, gathered once; prepared pictures are kept for the trials that see them alike.

    ``place`` holds the split: another process, or a later day, must find the same pictures. ``seconds`` is how long it took.
    """

    def __init__(self, settings: TrainSettings, place: Path, on_event: OnEvent) -> None:
        started = time.monotonic()
        self.material = gathering.gather(settings, on_event)
        gathering.keep_split(self.material, Run(place))
        self.seconds = time.monotonic() - started
        self._prepared: dict[str, LabelledPictures] = {}

    def plan(self, settings: TrainSettings, on_event: OnEvent) -> Plan:
        """What ``settings`` amount to on this data, before anything is trained.

        Raises ``SettingsError`` for a model that is no network.
        """
        plan = choosing.choose(settings, self.material, Story(on_event))
        if plan.way == "handcrafted":
            raise SettingsError(
                f"{settings.model} is no network, and has no settings that a search could change: its fit chooses them. Leave "
                f"it out, and see it beside a network by: eyebright train DATA --baselines {settings.model}"
            )
        return plan.model_copy(update={"refit": False, "rival": None})

    def try_out(
        self, settings: TrainSettings, place: Path, on_event: OnEvent, *, seconds: float = math.inf
    ) -> tuple[Outcome, Work]:
        """Trains by ``settings`` and judges the validation part. ``seconds`` settles the epochs where they are not given; what
        is settled once for all trials (mirroring, precision) is not counted into them.

        ``place`` is an empty folder for checkpoints; it goes when the trial ends. What ``on_event`` raises ends the trial.
        """
        started = time.monotonic()
        plan = self.plan(settings, on_event)
        look = plan.preprocess.model_dump_json()
        run = Run(place)
        run.checkpoints.mkdir(parents=True)
        story = Story(on_event)
        try:
            known = self._prepared.pop(look, None)
            work = Work(settings, self.material, plan, run, story, started + seconds, pictures=known)
            story.listen(lambda event: _give(work, seconds) if isinstance(event, Choice) else None)
            self._prepared[look] = work.pictures
            for oldest in list(self._prepared)[:-SIZES_KEPT]:
                del self._prepared[oldest]
            learned = try_plan(work).learned
        finally:
            shutil.rmtree(place, ignore_errors=True)
        held = learning.held_out_rows(work, learned)
        samples = [work.samples[row] for row in learned.rows[held].tolist()]
        return _judged(work.table(samples, learned.logits[held]), time.monotonic() - started), work


def _give(work: Work, seconds: float) -> None:
    work.deadline = time.monotonic() + seconds


def _judged(table: Predictions, seconds: float) -> Outcome:
    decision = fit_temperature(table, fitted_on="the validation pictures")
    figures = accuracy.figures(accuracy.count(table))
    return Outcome(
        predictions=table,
        log_loss=float(np.mean(calibration.log_losses(table, decision))),
        accuracy=float(figures["accuracy"]),
        f1_macro=float(figures["f1_macro"]),
        seconds=seconds,
    )


def validation_of(event: Event) -> dict[str, float] | None:
    """The validation figures in an event of the training that is being judged; None for every other event."""
    judged = isinstance(event, Epoch) and event.stage in WATCHED and "validation_loss" in event.metrics
    return event.metrics if judged and isinstance(event, Epoch) else None


def losses_of(report: OnEvent) -> tuple[OnEvent, list[float]]:
    """A listener that keeps the validation losses of the epochs and hands every event on, and the list that it fills."""
    losses: list[float] = []

    def listen(event: Event) -> None:
        metrics = validation_of(event)
        if metrics is not None and math.isfinite(metrics["validation_loss"]):
            losses.append(metrics["validation_loss"])
        report(event)

    return listen, losses


def values_used(names: Iterable[str], settings: TrainSettings, work: Work) -> dict[str, Value | None]:
    """What each setting came to in a trial: what was asked for, or what was chosen where nothing was."""
    return {name: _value_used(name, getattr(settings, name), work) for name in names}


def _value_used(name: str, asked: Any, work: Work) -> Value | None:
    if asked not in (None, "auto"):
        return asked if isinstance(asked, str | int | float | bool) else str(asked)
    plan = work.plan
    chosen: dict[str, Any] = {
        "model": plan.architecture.name,
        "size": plan.preprocess.height,
        "colour": plan.preprocess.colour,
        "flip": "on" if plan.recipe.augment.flip else "off",
    }
    if name == "augment":
        return _dial_of(plan.recipe.augment)
    if name == "dropout":
        return _dropout_of(work)
    value = chosen.get(name, getattr(plan.recipe, name, None))
    return value if isinstance(value, str | int | float | bool) else asked


def _dial_of(augment: Augment) -> str:
    """The dial that gives these changes, mirroring apart."""
    plain = {"flip": False, "alternate": False, "vertical": False, "pad": 0}
    known = {"none": Augment(), **{name: dial(name, flip=False) for name in DIALS}}
    matching = (name for name, each in known.items() if each.model_copy(update=plain) == augment.model_copy(update=plain))
    return next(matching, "auto")


def _dropout_of(work: Work) -> float | None:
    from torch import nn

    network, _ = work.fresh_network()
    return next((float(module.p) for module in network.modules() if isinstance(module, nn.Dropout)), None)
