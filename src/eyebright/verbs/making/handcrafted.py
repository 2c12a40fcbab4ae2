"""``train`` for handcrafted models: learned, bundled, or measured beside a network as a baseline."""

import dataclasses
import math
from pathlib import Path

import numpy as np

from eyebright.backends.handcrafted_ import HandcraftedPredictor
from eyebright.backends.loop import ask, predictions_of
from eyebright.core.bundle import Architecture
from eyebright.core.decision import Decision
from eyebright.core.errors import SettingsError
from eyebright.core.events import OnEvent, Phase
from eyebright.core.files import new_directory, write_bytes
from eyebright.core.predictions import Predictions, save_predictions
from eyebright.core.report import CrossValidation, LearningCurve
from eyebright.core.run import Run
from eyebright.data.folds import group_folds, usable_folds
from eyebright.data.split import unit_names
from eyebright.evaluation import fit_temperature
from eyebright.evaluation.folds import cross_validation
from eyebright.models.handcrafted.model import HandcraftedModel, model_bytes
from eyebright.models.handcrafted.names import fitting_size, parse
from eyebright.training.handcrafted import train_handcrafted
from eyebright.training.scratch import Learned
from eyebright.verbs.making import packing
from eyebright.verbs.making.choosing import Plan
from eyebright.verbs.making.gathering import Material
from eyebright.verbs.making.settings import TrainSettings
from eyebright.verbs.making.story import Story
from eyebright.verbs.making.work import Work

FILE = "handcrafted.safetensors"
ORIGIN = "none; the features are handcrafted, the classifier is fitted on these pictures"
_NETWORK_SECTIONS = ("Training", "Classes out of balance", "Changed copies of the training pictures")
_NETWORK_FIELDS = {"epochs", "weights", "ensemble", "members", "distil", "learning_curve"}
_FIELDS = {"class_weights"}  # of those sections: what a handcrafted model obeys too


@dataclasses.dataclass(frozen=True)
class Crafted:
    """The fitted model with its decision, and how it came about: what ``learning.Model`` is for a network."""

    network: HandcraftedModel
    plan: Plan
    decision: Decision
    learned: Learned
    weights_origin: str = ORIGIN
    cross_validation: CrossValidation | None = None
    learning_curve: LearningCurve | None = None

    @property
    def parameters(self) -> int:
        """How many numbers the model keeps."""
        return self.network.parameter_count

    @property
    def architecture(self) -> Architecture:
        """The model's name, for the manifest."""
        return self.plan.architecture


def learn_handcrafted(settings: TrainSettings, material: Material, plan: Plan, run: Run, story: Story) -> Crafted:
    """The model that ``plan`` names, fitted on every picture but the test part; stored are the predictions it is judged by.

    Raises ``SettingsError`` where settings were given that only a network can obey, and ``DataError`` where the rarest class
    has too few groups for two folds.
    """
    refuse_network_settings(settings)
    story.choose("minutes", "not used", "a handcrafted model is fitted once; how long that takes, the pictures decide")
    work = Work(settings, material, plan, run, story, math.inf)
    model, learned, unseen, fold_of = _fitted(work)
    if settings.folds:
        save_predictions(unseen, run.predictions / "out-of-fold.safetensors")
    calibrating = _calibration(work, model)
    table, where = (calibrating, "the calibration part") if calibrating is not None else (unseen, learned.fitted_on)
    decision = work.temperature(table, where)
    summary = None
    if settings.folds:
        # Their own temperature: what the calibration part gives belongs to the final model.
        own = fit_temperature(unseen, fitted_on=learned.fitted_on)
        summary = cross_validation(unseen, fold_of, own, how=f"{learned.fitted_on}, which also chose the settings")
    return Crafted(model, plan, decision, learned, cross_validation=summary)


def refuse_network_settings(settings: TrainSettings) -> None:
    """Raises ``SettingsError`` naming what was set and only a network can obey: a setting is never ignored silently."""
    meant = []
    for name, field in TrainSettings.model_fields.items():
        extra = field.json_schema_extra
        section = extra.get("section") if isinstance(extra, dict) else None
        if (section in _NETWORK_SECTIONS and name not in _FIELDS) or name in _NETWORK_FIELDS:
            meant += [f"--{name.replace('_', '-')}"] if getattr(settings, name) != field.default else []
    if meant:
        raise SettingsError(
            f"{settings.model} is no network, and cannot obey {', '.join(meant)}. Leave that out, or choose a network."
        )


def handcrafted_plan(name: str, plan: Plan, side: int) -> Plan:
    """``plan`` with the model called ``name``, at the size that suits it for pictures whose median short side is ``side``."""
    size = fitting_size(side)
    return plan.model_copy(
        update={
            "architecture": Architecture(name=parse(name).name),
            "preprocess": plan.preprocess.model_copy(update={"height": size, "width": size}),
        }
    )


def predictions_beside(
    name: str, settings: TrainSettings, material: Material, plan: Plan, run: Run, story: Story
) -> tuple[Predictions, Decision]:
    """The test table of the model called ``name``, fitted on the same pictures as ``plan``'s, and its decision: a baseline.

    Nothing is written; ``judge`` makes figures of the two, to stand beside the network's.
    """
    side = int(np.median([min(found.height, found.width) for found in material.audit.scanned.values()]))
    work = Work(settings, material, handcrafted_plan(name, plan, side), run, story, math.inf)
    model, learned, unseen, _ = _fitted(work)
    predictor = HandcraftedPredictor(model, material.source.classes)
    samples = material.samples("test")
    table = predictions_of(
        predictor,
        material.source,
        samples,
        work.plan.preprocess,
        on_event=story,
        scratch=run.checkpoints,
        units=unit_names(samples, material.audit),
    )
    return table, fit_temperature(unseen, fitted_on=learned.fitted_on)


def _fitted(work: Work) -> tuple[HandcraftedModel, Learned, Predictions, np.ndarray]:
    """The model, how it came about, the table of what it was held out from, and the fold of each of that table's rows."""
    labels, settings = work.pictures.labels, work.settings
    wanted, why = usable_folds(labels, work.units, settings.folds or settings.head_folds)
    work.story.choose("folds for the settings", str(wanted), why)
    fold_of = group_folds(labels, work.units, wanted, settings.seed)
    model, learned = train_handcrafted(
        parse(work.plan.architecture.name),
        work.pictures,
        fold_of,
        work.classes,
        seed=settings.seed,
        class_weights=work.class_weights(),
        every_fold=bool(settings.folds),
        on_event=work.story,
    )
    return model, learned, work.unseen(learned), fold_of[learned.rows]


def _calibration(work: Work, model: HandcraftedModel) -> Predictions | None:
    samples = work.material.samples("calibration")
    if not samples:
        return None
    predictor = HandcraftedPredictor(model, work.material.source.classes)
    pictures = work.prepare(samples).pictures
    assert isinstance(pictures, np.ndarray)
    outputs = ask(predictor, pictures, on_event=work.story)
    return work.table(samples, np.concatenate([logits for logits, _ in outputs]))


def write_handcrafted(model: HandcraftedModel, contents: packing.Contents, path: Path, on_event: OnEvent) -> None:
    """Writes the whole bundle to ``path``: the model's file, the probe with its golden logits, and the rest, manifest last."""
    on_event(Phase("Writing the bundle"))
    with new_directory(path) as folder:
        write_bytes(folder / FILE, model_bytes(model))
        # Read back: the golden logits are those of the file, not of the memory.
        reference = HandcraftedPredictor.open(folder / FILE, contents.classes)
        forms = {"handcrafted": packing.describe_form(folder, FILE)}
        packing.complete(folder, contents, forms, packing.make_probe(contents.preprocess), reference)
