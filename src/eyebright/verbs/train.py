"""``train``: from pictures to a model that is measured, explained on one page, and whole."""

import dataclasses
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eyebright.core.errors import MissingExtraError
from eyebright.core.events import OnEvent, silent
from eyebright.core.report import Report
from eyebright.core.run import Run
from eyebright.models.handcrafted.names import is_handcrafted
from eyebright.verbs.making import placing
from eyebright.verbs.making.settings import TrainSettings
from eyebright.verbs.making.story import Story
from eyebright.verbs.making.watching import recorded

if TYPE_CHECKING:
    from eyebright.verbs.making.choosing import Plan
    from eyebright.verbs.making.gathering import Material
    from eyebright.verbs.making.handcrafted import Crafted
    from eyebright.verbs.making.learning import Model

# Looked for before the work begins, so that nothing is found missing after it.
PACKAGES = ("torch", "torchvision", "timm", "scipy", "threadpoolctl", "onnx", "onnxscript", "matplotlib", "jinja2")

__all__ = ["TrainResult", "TrainSettings", "run", "train"]


@dataclasses.dataclass(frozen=True)
class TrainResult:
    """What came of it. A dry run has a plan in words, but neither run nor report."""

    run: Run | None
    report: Report | None
    plan: list[str]


def train(data: str | Path, *, on_event: OnEvent = silent, **settings: Any) -> TrainResult:
    """The finished run on ``data``: its folder holds the bundle, the report and all that led to them.

    ``settings`` are those of ``TrainSettings``. Raises ``DataError`` where the data is missing or unfit, ``SettingsError``
    where the run's folder is in use, and ``InterruptedRunError`` on Ctrl-C, with the command that goes on.
    """
    return run(TrainSettings.resolve({"data": str(data), **settings}), on_event)


def run(settings: TrainSettings, on_event: OnEvent = silent) -> TrainResult:
    """The run that ``settings`` ask for."""
    require_extra(settings)
    story = Story(on_event)
    if settings.dry_run:
        return TrainResult(None, None, _announce(settings, story))
    place, held = placing.place_run(settings)
    with placing.resumable(held, place), placing.no_trace_of_a_refusal(settings, place), recorded(story, held, place):
        report = _make(held, place, story, time.monotonic())
    return TrainResult(place, report, [])


def require_extra(settings: TrainSettings) -> None:
    """Raises ``MissingExtraError`` where a package is missing that training needs, or what was asked for besides."""
    from importlib.util import find_spec

    if any(find_spec(package) is None for package in PACKAGES):
        raise MissingExtraError.for_extra("train", "Training")
    if settings.tensorboard and find_spec("tensorboard") is None:
        raise MissingExtraError.for_extra("tensorboard", "The log for TensorBoard")
    if (settings.baselines or is_handcrafted(settings.model)) and find_spec("sklearn") is None:
        raise MissingExtraError.for_extra("classic", "Training a handcrafted model")


def _make(settings: TrainSettings, place: Run, story: Story, started: float) -> Report:
    """The recipe: gather, choose, learn, judge, report, bundle."""
    from eyebright.verbs.making import choosing, finishing, gathering, judging, reporting

    material = gathering.gather(settings, story)
    gathering.keep_split(material, place)
    plan = choosing.read_plan(place.checkpoints / "plan.json") or choosing.choose(settings, material, story)
    placing.write_settings(settings, place, story)
    model = _learn(settings, material, plan, place, story, started + 60 * settings.minutes)
    seconds = story.earlier_seconds + time.monotonic() - started
    evaluation = judging.judge_model(settings, material, model, place, story)
    report = reporting.make_report(
        reporting.with_thumbnails(evaluation, material.source),
        material,
        reporting.training_summary(model, story, seconds),
        reporting.provenance(material, model, settings.seed),
        intended_use=settings.intended_use,
        limits=settings.limits,
    )
    bundle = finishing.write_model(model, material, report, place, story)
    report = finishing.with_bundle(report, bundle)
    placing.write_settings(settings, place, story)
    finishing.write_report(report, place)
    placing.clear_scratch(place)
    return report


def _learn(
    settings: TrainSettings, material: "Material", plan: "Plan", place: Run, story: Story, deadline: float
) -> "Model | Crafted":
    from eyebright.verbs.making import handcrafted, learning

    if plan.way == "handcrafted":
        return handcrafted.learn_handcrafted(settings, material, plan, place, story)
    return learning.learn(settings, material, plan, place, story, deadline)


def _announce(settings: TrainSettings, story: Story) -> list[str]:
    """What would be done: the first two steps of the recipe, and the rest in words."""
    from eyebright.verbs.making import announcing, choosing, gathering

    material = gathering.gather(settings, story)
    plan = choosing.choose(settings, material, story)
    return announcing.what_would_be_done(settings, material, plan, story)
