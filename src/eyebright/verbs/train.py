"""``train``: from pictures to a model that is measured, explained on one page, and whole."""

import contextlib
import dataclasses
import os
import shlex
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tomli_w

from eyebright.core.bundle import Bundle, read_bundle, safe_name
from eyebright.core.errors import DataError, InterruptedRunError, MissingExtraError, SettingsError
from eyebright.core.events import Choice, EventLog, OnEvent, Phase, silent
from eyebright.core.files import write_json, write_text
from eyebright.core.machine import environment
from eyebright.core.predictions import save_predictions
from eyebright.core.predictor import Predictor
from eyebright.core.report import Figure, Report
from eyebright.core.run import Run, create_run, new_run_path, open_run
from eyebright.core.settings import read_toml
from eyebright.models.handcrafted.names import is_handcrafted
from eyebright.verbs.making.settings import TrainSettings
from eyebright.verbs.making.story import BEGUN, Story
from eyebright.verbs.making.watching import TensorBoardLog

# Looked for before the work begins, so that nothing is found missing after it.
PACKAGES = ("torch", "torchvision", "timm", "scipy", "threadpoolctl", "onnx", "onnxscript", "matplotlib", "jinja2")
LICENCES = {"lite0": "apache-2.0"}  # of pretrained weights that we know

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
        return _dry_run(settings, story)
    started, fresh = time.monotonic(), not settings.resume
    place, settings = _place(settings)
    with _resumable(settings, place):
        story.remember(place.events)
        log = EventLog(place.events)
        log(BEGUN)
        story.listen(log)
        board = _board(settings, place)
        if board is not None:
            story.listen(board)
        try:
            report = _make(settings, place, story, started)
        except (DataError, SettingsError):
            if (
                fresh and not any(place.checkpoints.iterdir()) and not any(place.predictions.iterdir())
            ):  # refused before anything was made: no folder is left to stumble over
                shutil.rmtree(place.path)
            raise
        finally:
            log.close()
            if board is not None:
                board.close()
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


def _board(settings: TrainSettings, place: Run) -> TensorBoardLog | None:
    return TensorBoardLog(place.path / "tensorboard") if settings.tensorboard else None


def _make(settings: TrainSettings, place: Run, story: Story, started: float) -> Report:
    """The recipe: gather, choose, learn, judge, bundle, report."""
    from eyebright.backends.loop import predictions_of
    from eyebright.data.split import leaked_keys
    from eyebright.evaluation import judge
    from eyebright.evaluation.subgroups import subgroups
    from eyebright.verbs.making import choosing, gathering, handcrafted, learning, reporting

    material = gathering.gather(settings, story)
    gathering.keep_split(material, place)
    plan = choosing.choose(settings, material, story)
    _write_settings(settings, place, story)
    model: Any
    if plan.way == "handcrafted":
        model = handcrafted.learn_handcrafted(settings, material, plan, place, story)
    else:
        model = learning.learn(settings, material, plan, place, story, started + 60 * settings.minutes)
    seconds = story.earlier_seconds + time.monotonic() - started

    story(Phase("Measuring on the test pictures"))
    predictions = predictions_of(
        _predictor(model, material),
        material.source,
        material.samples("test"),
        plan.preprocess,
        on_event=story,
        scratch=place.checkpoints,
    )
    save_predictions(predictions, place.predictions / "test.safetensors")
    evaluation = judge(
        predictions,
        model.decision,
        part="test",
        leaked=leaked_keys(material.split),
        majority=material.majority,
        seed=settings.seed,
    )
    baselines = {**evaluation.baselines, **_baselines(settings, material, plan, place, story)}
    rows = subgroups(predictions, material.source.columns, settings.subgroups, seed=settings.seed)
    evaluation = reporting.with_thumbnails(
        evaluation.model_copy(update={"subgroups": rows, "baselines": baselines}), material.source
    )
    training = reporting.training_summary(model, story, seconds)
    provenance = reporting.provenance(material, model, settings.seed)
    report = reporting.make_report(
        evaluation, material, training, provenance, intended_use=settings.intended_use, limits=settings.limits
    )
    bundle = _bundle(place, material, model, report, story)
    told = {"speed": _speed(bundle), "provenance": {**provenance, "bundle": bundle.sha256}}
    report = report.model_copy(update=told)
    _write_settings(settings, place, story)
    write_report(report, place)
    for pattern in ("pixels-*.npy", "fold-*.safetensors", "member-*.safetensors", "curve-*.safetensors"):
        for leftover in place.checkpoints.glob(pattern):
            leftover.unlink()
    return report


def _predictor(model: Any, material: Any) -> Predictor:
    if model.plan.way == "handcrafted":
        from eyebright.backends.handcrafted_ import HandcraftedPredictor

        return HandcraftedPredictor(model.network, material.source.classes)
    from eyebright.backends.torch_ import TorchPredictor

    return TorchPredictor(model.network, material.source.classes)


def _baselines(settings: TrainSettings, material: Any, plan: Any, place: Run, story: Story) -> dict[str, dict[str, Figure]]:
    """The figures of the handcrafted models that were asked for, fitted and judged on the same pictures."""
    from eyebright.evaluation import judge
    from eyebright.verbs.making.handcrafted import predictions_beside

    found = {}
    for name in settings.baselines:
        story(Phase(f"Fitting {name} to put it beside"))
        table, decision = predictions_beside(name, settings, material, plan, place, Story(_all_but_choices(story)))
        found[name] = judge(table, decision, part="test", seed=settings.seed).figures
    return found


def _all_but_choices(story: Story) -> OnEvent:
    """Hands on what a baseline tells, but for its choices, which are none of this model's."""
    return lambda event: None if isinstance(event, Choice) else story(event)


def write_report(report: Report, place: Run) -> None:
    """Writes the page first and ``report.json`` last: where that is, the run is finished."""
    from eyebright.render.html import render_report

    write_text(place.report_html, render_report(report))
    write_text(place.report_json, report.model_dump_json(by_alias=True, indent=1) + "\n")


def _bundle(place: Run, material: Any, model: Any, report: Report, story: Story) -> Bundle:
    from eyebright.data.split import hashed_split
    from eyebright.render.card import render_card
    from eyebright.verbs.making import bundling, handcrafted

    name = safe_name(material.source.name)
    licence = LICENCES.get(model.plan.architecture.name) if model.plan.weights == "auto" else None
    card = render_card(report, name=name, licence_of_weights=licence)
    contents = bundling.Contents(
        name=name,
        classes=material.source.classes,
        preprocess=model.plan.preprocess,
        architecture=model.architecture,
        decision=model.decision,
        split=hashed_split(material.split, material.audit),
        provenance=report.provenance,
        card=card,
    )
    if model.plan.way == "handcrafted":
        handcrafted.write_handcrafted(model.network, contents, place.bundle, story)
    else:
        bundling.write_bundle(model.network, contents, place.bundle, story)
    return read_bundle(place.bundle)


def _speed(bundle: Bundle) -> list[Any]:
    """Latency at batch 1 and throughput at batch 16 of each form, some seconds in all."""
    from eyebright.backends.open import open_predictor
    from eyebright.core.machine import usable_cores
    from eyebright.evaluation import measure

    rows = []
    for form, description in bundle.manifest.forms.items():
        predictor, _ = open_predictor(bundle, form=form, threads=usable_cores())
        size, megabytes = bundle.manifest.preprocess.size, description.bytes / 1e6
        rows += [
            measure(predictor, size, form=form, batch=batch, threads=usable_cores(), megabytes=megabytes, seconds=1.0)
            for batch in (1, 16)
        ]
    return rows


def _dry_run(settings: TrainSettings, story: Story) -> TrainResult:
    from eyebright.verbs.making import choosing, gathering

    material = gathering.gather(settings, story)
    plan = choosing.choose(settings, material, story)
    parts = ", ".join(f"{part} {len(keys):,}" for part, keys in material.split.parts.items() if keys)
    ways = {
        "transfer": "Fine-tune from a head on frozen features",
        "scratch": "Train from scratch",
        "handcrafted": "Fit a handcrafted model",
    }
    time_ = f"{settings.epochs} epochs" if settings.epochs else f"what fits into {settings.minutes:g} minutes"
    how = "" if plan.way == "handcrafted" else f", {plan.recipe.optimiser}, {time_}"
    sentences = [
        f"Use {len(material.source.samples):,} pictures in {len(material.source.classes)} classes: {parts}.",
        material.split.how,
        *(f"{choice.name}: {choice.value} ({choice.reason})." for choice in story.choices.values()),
        f"{ways[plan.way]}: {plan.architecture.name} at {plan.preprocess.height} pixels{how}.",
        *_besides(settings),
        f"Write the run to {settings.out or _default_out(settings)}.",
    ]
    return TrainResult(None, None, sentences)


def _besides(settings: TrainSettings) -> list[str]:
    """What would be done beyond one model."""
    made = {"none": "", "folds": "the folds' models", "seeds": f"{settings.members} models from several seeds"}[
        settings.ensemble
    ]
    found = [
        f"Cross-validate by {settings.folds} folds." if settings.folds else "",
        f"Average {made}{', and distil them into one network' if settings.distil else ''}." if made else "",
        "Ask whether more pictures would help." if settings.learning_curve else "",
        f"Put beside it: {', '.join(settings.baselines)}." if settings.baselines else "",
    ]
    return [sentence for sentence in found if sentence]


def _default_out(settings: TrainSettings) -> Path:
    return new_run_path(Path("runs"), safe_name(_name(settings.data)))


def _place(settings: TrainSettings) -> tuple[Run, TrainSettings]:
    """The run's folder, new or resumed, and the settings that hold for it."""
    if settings.resume:
        assert settings.out is not None
        place = open_run(settings.out)
        if place.finished:
            raise SettingsError(f"{place.path} is finished: there is nothing to resume. Its report is {place.report_html}.")
        settings = _stored_settings(settings, place)
        _sweep(place)
        return place, settings
    settings = anchored(settings)
    place = create_run(settings.out or _default_out(settings))
    settings = settings.model_copy(update={"out": place.path})
    write_json(place.environment, environment())
    _write_settings(settings, place, Story())
    return place, settings


def _name(data: str) -> str:
    from eyebright.data.archive import archive_name

    path = Path(data)
    if not path.is_file():
        return path.name or "data"
    bare = archive_name(path)
    return bare if bare != path.name else path.stem


def _stored_settings(settings: TrainSettings, place: Run) -> TrainSettings:
    """The settings that the run was begun with. What is given now must not contradict them."""
    stored = TrainSettings.resolve(read_toml(place.settings))
    now = anchored(settings)
    for name in sorted(settings.model_fields_set - {"resume", "out"}):
        given, begun = getattr(now, name), getattr(stored, name)
        if given != begun:
            flag = "DATA" if name == "data" else f"--{name.replace('_', '-')}"
            raise SettingsError(
                f"{flag} is {str(given)!r}; the run in {place.path} was begun with {str(begun)!r}. "
                "Give the same to go on, or begin a new run."
            )
    return stored.model_copy(update={"out": place.path})


def anchored(settings: TrainSettings) -> TrainSettings:
    """The settings with absolute paths, which still hold when the run is resumed from another folder. Names stay names."""
    home = settings.data_home
    return settings.model_copy(
        update={
            "data": os.path.abspath(settings.data) if os.path.exists(settings.data) else settings.data,
            "weights": os.path.abspath(settings.weights) if os.path.isfile(settings.weights) else settings.weights,
            "data_home": None if home is None else Path(os.path.abspath(home)),
        }
    )


def _write_settings(settings: TrainSettings, place: Run, story: Story) -> None:
    values = settings.model_dump(mode="json", exclude_none=True, exclude={"resume", "dry_run", "out"})
    reasons = {choice.name: f"{choice.value}: {choice.reason}" for choice in story.choices.values()}
    write_text(place.settings, tomli_w.dumps({**values, "reasons": reasons}))


def _sweep(place: Run) -> None:
    """Removes what a killed process left half written."""
    for folder in (place.path, place.checkpoints, place.predictions):
        for leftover in [*folder.glob(".*.part"), *folder.glob(".*.old")]:
            if leftover.is_dir():
                shutil.rmtree(leftover, ignore_errors=True)
            else:
                leftover.unlink(missing_ok=True)


@contextlib.contextmanager
def _resumable(settings: TrainSettings, place: Run) -> Iterator[None]:
    """Adds the command that goes on to whatever interrupts the block."""
    command = f"eyebright train {shlex.quote(settings.data)} --out {shlex.quote(str(place.path))} --resume"
    try:
        yield
    except InterruptedRunError as error:
        stopped = InterruptedRunError(f"{error} What was done is kept. Go on with: {command}")
        stopped.exit_code = error.exit_code
        raise stopped from error
    except KeyboardInterrupt as error:
        raise InterruptedRunError(f"Stopped. What was done is kept. Go on with: {command}") from error
