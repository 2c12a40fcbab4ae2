"""Two networks on the same pictures; the one is kept that knows the validation part better."""

import dataclasses
import math
import time

import numpy as np

from eyebright.core.errors import DivergedError
from eyebright.core.events import Note
from eyebright.core.report import Attempt
from eyebright.core.run import Run
from eyebright.training.transfer import calibrated_loss
from eyebright.verbs.making.choosing import read_plan
from eyebright.verbs.making.placing import RIVAL
from eyebright.verbs.making.story import Story
from eyebright.verbs.making.trying import Tried, try_plan
from eyebright.verbs.making.work import Work

SHARE = 0.75  # of the time that is left, for the plan; its rival has the rest


def contest(work: Work) -> Tried:
    """What ``work.plan`` leads to, or its rival where there is one and it is better: at its best temperature, by log loss.

    One that diverges has lost; where both do, the error is the rival's. Where the disk is full, nobody has lost: the run ends,
    and can go on.
    """
    rival = work.plan.rival
    if rival is None:
        return try_plan(work)
    name = rival.architecture.name
    aside = Run(work.run.checkpoints / RIVAL)
    aside.checkpoints.mkdir(parents=True, exist_ok=True)
    left = work.deadline - time.monotonic()
    work.deadline -= (1 - SHARE) * left
    first = _try(work)
    deadline = time.monotonic() + (1 - SHARE) * left
    rival = read_plan(aside.checkpoints / "plan.json") or rival
    same = rival.preprocess == work.plan.preprocess
    pictures = work.pictures if same else None
    other = Work(work.settings, work.material, rival, aside, work.story.within(name), deadline, pictures=pictures)
    second = try_plan(other) if first is None else _try(other)
    kept = _better(work, first, second)
    _tell(work.story, name, won=kept is second)
    if kept is second:
        other.run, other.story = work.run, work.story
    attempts = [_attempt(one, kept=one is kept) for one in (first, second) if one is not None]
    return dataclasses.replace(kept, learned=dataclasses.replace(kept.learned, attempts=attempts))


def _try(work: Work) -> Tried | None:
    try:
        return try_plan(work)
    except DivergedError as error:
        work.story(Note(f"{work.plan.architecture.name} is out of the contest: {error}", "warning"))
        return None


def _better(work: Work, first: Tried | None, second: Tried | None) -> Tried:
    if first is None or second is None:
        only = first or second
        assert only is not None
        work.story.choose("model", only.work.plan.architecture.name, "the other one diverged")
        return only
    both = np.intersect1d(_validation_rows(first), _validation_rows(second))  # a lone class is judged by one of them alone
    scores = [_score(one, both) for one in (first, second)]
    kept, lost = (first, second) if scores[0] <= scores[1] else (second, first)
    name, beaten = (one.work.plan.architecture.name for one in (kept, lost))
    losses = f"{min(scores):.3f} on the validation part, that of {beaten} {max(scores):.3f}"
    work.story.choose("model", name, f"its log loss is {losses}, each at its best temperature")
    return kept


def _validation_rows(tried: Tried) -> np.ndarray:
    """The validation pictures that it was held out from."""
    rows = tried.learned.rows
    return np.asarray(rows[tried.work.held_out[rows]])


def _score(tried: Tried, rows: np.ndarray) -> float:
    asked = np.isin(tried.learned.rows, rows)
    if not asked.any():
        return math.inf
    return calibrated_loss(tried.learned.logits[asked], tried.data.pictures.labels[tried.learned.rows[asked]])[0]


def _attempt(tried: Tried, *, kept: bool) -> Attempt:
    one = tried.learned.attempts[-1]
    reason = one.reason if kept else f"{one.reason}; the other was better at its best temperature"
    return one.model_copy(update={"name": f"{tried.work.plan.architecture.name}, {one.name}", "kept": kept, "reason": reason})


def _tell(story: Story, name: str, *, won: bool) -> None:
    """Leaves in the story the choices and the epochs of the one that is kept, under their plain names."""
    own = f"{name}, "
    if won:
        for key in [key for key in story.choices if key.startswith(own)]:
            told = story.choices[key]
            story.choose(key.removeprefix(own), told.value, told.reason)
        story.choices.pop("capacity", None)
        of_rival = [point for point in story.curves if point.stage.startswith(own)]
        story.curves = [point.model_copy(update={"stage": point.stage.removeprefix(own)}) for point in of_rival]
    else:
        story.curves = [point for point in story.curves if not point.stage.startswith(own)]
    story.choices = {key: told for key, told in story.choices.items() if not key.startswith(own)}
