"""The third step of ``train``: the network trained, cross-validated where that was asked for, and its temperature fitted."""

import dataclasses
import math
import time

import numpy as np

from eyebright.core.bundle import Architecture
from eyebright.core.decision import Decision
from eyebright.core.events import Note
from eyebright.core.report import CrossValidation, LearningCurve
from eyebright.core.run import Run
from eyebright.data.folds import group_folds, usable_folds
from eyebright.models.network import Classifier, PixelNetwork, parameter_count
from eyebright.training.scratch import Learned, TrainingData, train_from_scratch
from eyebright.training.transfer import TransferData, fine_tune, head_result, transfer_head
from eyebright.verbs.making import budgeting, dialling
from eyebright.verbs.making.choosing import SCRATCH_EPOCHS, SCRATCH_STEPS, TUNING_EPOCHS, Plan
from eyebright.verbs.making.curving import curve_of
from eyebright.verbs.making.folding import Folded, fold_and_gather
from eyebright.verbs.making.gathering import Material
from eyebright.verbs.making.quick import MOST_EPOCHS, SPEED
from eyebright.verbs.making.settings import TrainSettings
from eyebright.verbs.making.story import Story
from eyebright.verbs.making.work import Work


@dataclasses.dataclass(frozen=True)
class Model:
    """The trained network with its decision, and how it came about."""

    network: Classifier
    architecture: Architecture
    plan: Plan
    decision: Decision
    learned: Learned
    weights_origin: str
    cross_validation: CrossValidation | None = None
    learning_curve: LearningCurve | None = None

    @property
    def parameters(self) -> int:
        """How many numbers were learned."""
        return parameter_count(self.network)


def learn(settings: TrainSettings, material: Material, plan: Plan, run: Run, story: Story, deadline: float) -> Model:
    """The model, its last step done by ``deadline`` (on ``time.monotonic``'s clock) where epochs were not asked for.

    What could come out otherwise a second time, such as a timing, is stored in the run and read back on a resume.
    """
    work = Work(settings, material, plan, run, story, deadline)
    network, origin = begun(work)
    if plan.weights == "auto":
        story.choose("weights", "none" if plan.way == "scratch" else "pretrained", origin)
    data, learned = tried(work, network)
    folded = fold_and_gather(work, data, learned, network)
    decision = _decide(work, learned, folded)
    curve = curve_of(work, data, learned) if settings.learning_curve else None
    folded.network.to("cpu")
    return Model(
        network=folded.network,
        architecture=folded.architecture,
        plan=work.plan,
        decision=decision,
        learned=folded.learned,
        weights_origin=origin,
        cross_validation=folded.summary(decision, seed=settings.seed),
        learning_curve=curve,
    )


def begun(work: Work) -> tuple[PixelNetwork, str]:
    """The network before training, its capacity chosen where the minutes decide it, and where its weights come from."""
    if work.plan.architecture.name == SPEED:
        dialling.dial(work)
    return work.fresh_network()


def tried(work: Work, network: PixelNetwork) -> tuple[TrainingData, Learned]:
    """The data as it was trained on, and what came of it: ``network`` is trained in place."""
    return _transfer(work, network) if work.plan.way == "transfer" else _from_scratch(work, network)


def _from_scratch(work: Work, network: PixelNetwork) -> tuple[TrainingData, Learned]:
    data = TrainingData(work.pictures, work.held_out, work.classes, work.class_weights())
    steps = max(1, round(int((~work.held_out).sum()) / work.plan.recipe.batch_size))
    least = MOST_EPOCHS if work.plan.dialled else SCRATCH_EPOCHS
    most = max(least, math.ceil(SCRATCH_STEPS / steps))
    budgeting.settle(work, network, data, most)
    if work.plan.recipe.epochs == 0:
        work.story(Note("One epoch does not fit into the minutes given; one is done all the same.", "warning"))
        budgeting.adopt(work, work.plan.recipe.model_copy(update={"epochs": 1}))
    learned = train_from_scratch(
        network,
        data,
        work.plan.recipe,
        refit=work.plan.refit,
        checkpoints=work.run.checkpoints,
        views=work.plan.views,
        on_event=work.story,
    )
    return data, learned


def _transfer(work: Work, network: PixelNetwork) -> tuple[TrainingData, Learned]:
    started = time.monotonic()
    features = work.embed(network)
    labels = work.pictures.labels
    folds, why = usable_folds(labels, work.units, work.settings.folds or work.settings.head_folds)
    work.story.choose("folds of the head", str(folds), why)
    data = TransferData(
        work.pictures,
        work.held_out,
        work.classes,
        work.class_weights(),
        features=features,
        folds=group_folds(labels, work.units, folds, work.settings.seed),
        sampling=work.plan.recipe.sampling,
    )
    choice = transfer_head(network, data, checkpoints=work.run.checkpoints, on_event=work.story)
    seconds = time.monotonic() - started
    if work.plan.recipe.unfreeze == "head":
        return data, head_result(data, choice, work.plan.recipe, seconds, "The head alone was asked for (--unfreeze head).")
    budgeting.settle(work, network, data, TUNING_EPOCHS)
    if work.plan.recipe.epochs == 0:
        ended = "Fine-tuning was not tried: not one epoch fits into the time that is left. Give more --minutes for it."
        return data, head_result(data, choice, work.plan.recipe, seconds, ended)
    learned = fine_tune(
        network,
        data,
        choice,
        work.plan.recipe,
        refit=work.plan.refit,
        checkpoints=work.run.checkpoints,
        head_seconds=seconds,
        on_event=work.story,
    )
    return data, learned


def _decide(work: Work, learned: Learned, folded: Folded) -> Decision:
    """The temperature: from the calibration part where there is one, else from what the training or the folds held out."""
    samples = work.material.samples("calibration")
    if samples:
        logits = work.logits_of(folded.network, work.prepare(samples))
        return work.temperature(work.table(samples, logits), "the calibration part")
    if folded.decision is not None:
        return folded.decision
    if folded.out_of_fold is not None:
        return work.temperature(folded.out_of_fold, folded.how)
    return work.temperature(work.unseen(learned), learned.fitted_on)


def held_out_rows(work: Work, learned: Learned) -> np.ndarray:
    """Which rows of ``learned.logits`` belong to the validation part: the same pictures whatever way was taken."""
    return np.asarray(work.held_out[learned.rows])
