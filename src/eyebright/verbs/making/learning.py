"""The third step of ``train``: the network trained, cross-validated where that was asked for, and its temperature fitted."""

import dataclasses

import numpy as np

from eyebright.core.bundle import Architecture
from eyebright.core.decision import Decision
from eyebright.core.memory import release_memory
from eyebright.core.report import CrossValidation, LearningCurve
from eyebright.core.run import Run
from eyebright.models.network import Classifier, parameter_count
from eyebright.training.scratch import Learned
from eyebright.verbs.making.choosing import Plan
from eyebright.verbs.making.contest import contest
from eyebright.verbs.making.curving import curve_of
from eyebright.verbs.making.folding import Folded, fold_and_gather
from eyebright.verbs.making.gathering import Material
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
    tried = contest(Work(settings, material, plan, run, story, deadline))
    work, data, learned, network = tried.work, tried.data, tried.learned, tried.network
    if plan.weights == "auto":
        story.choose("weights", "none" if work.plan.way == "scratch" else "pretrained", tried.origin)
    folded = fold_and_gather(work, data, learned, network)
    decision = _decide(work, learned, folded)
    curve = curve_of(work, data, learned) if settings.learning_curve else None
    work.let_go_of_stages()
    folded.network.to("cpu")
    release_memory()
    return Model(
        network=folded.network,
        architecture=folded.architecture,
        plan=work.plan,
        decision=decision,
        learned=folded.learned,
        weights_origin=tried.origin,
        cross_validation=folded.summary(seed=settings.seed),
        learning_curve=curve,
    )


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
