"""Cross-validation and ensembles: the chosen way of training, repeated on folds or from other seeds."""

import dataclasses

import numpy as np

from eyebright.core.bundle import Architecture
from eyebright.core.decision import Decision
from eyebright.core.events import Note
from eyebright.core.predictions import Predictions, save_predictions
from eyebright.core.report import Attempt, CrossValidation
from eyebright.data.folds import group_folds
from eyebright.evaluation import fit_temperature
from eyebright.evaluation.folds import cross_validation
from eyebright.models.ensemble import ENSEMBLE, Ensemble
from eyebright.models.network import Classifier, PixelNetwork
from eyebright.training.scratch import Learned, TrainingData
from eyebright.training.transfer import TransferData
from eyebright.verbs.making.repeating import train_again
from eyebright.verbs.making.work import Work


@dataclasses.dataclass(frozen=True)
class Folded:
    """The final network and, where folds were asked for, what they said.

    ``decision`` is the temperature where it is settled already: an ensemble's members are calibrated one by one.
    """

    network: Classifier
    architecture: Architecture
    learned: Learned
    out_of_fold: Predictions | None = None
    fold_of: np.ndarray | None = None
    how: str = ""
    decision: Decision | None = None

    def summary(self, *, seed: int) -> CrossValidation | None:
        """The cross-validation's figures, or None where there was none.

        At the folds' own temperature: what a calibration part gives belongs to the final model, which is another.
        """
        if self.out_of_fold is None or self.fold_of is None:
            return None
        own = fit_temperature(self.out_of_fold, fitted_on=self.how)
        return cross_validation(self.out_of_fold, self.fold_of, own, how=self.how, seed=seed)


def fold_and_gather(work: Work, data: TrainingData, learned: Learned, network: PixelNetwork) -> Folded:
    """What was learned, cross-validated and gathered into an ensemble as far as the settings ask for it."""
    settings = work.settings
    assert learned.again is not None
    own = work.plan.architecture
    head_alone = learned.strength is not None and learned.again.epochs == 0
    ensemble = settings.ensemble
    if ensemble != "none" and head_alone:
        work.story(
            Note(
                "The head alone was kept; heads of folds or seeds on the same features differ too little to be worth an "
                "ensemble. One model is made.",
                "warning",
            )
        )
        ensemble = "none"
    folds = _Folds(work, data, learned) if settings.folds else None
    if ensemble == "none":
        found = folds.table(head_alone=head_alone) if folds else (None, None, "")
        return Folded(network, own, learned, *found)
    members, found, single = _members(work, data, learned, folds, ensemble)
    temperatures = [single.temperature] * len(members)
    whole = Ensemble(members, temperatures)
    architecture = Architecture(name=ENSEMBLE, arguments={"temperatures": temperatures}, members=(own,) * len(members))
    decision = Decision(fitted_on=f"each of the {len(members)} members by itself, on {single.fitted_on}", n=single.n)
    named = _named(learned, f"ensemble of {len(members)} {ensemble}, probabilities averaged")
    if not settings.distil:
        return Folded(whole, architecture, named, *found, decision)
    student = _distilled(work, data, learned, whole)
    named = _named(named, "one network distilled from the ensemble")
    return Folded(student, own, named, *found)


def _named(learned: Learned, name: str) -> Learned:
    """``learned`` with one more line on what was done."""
    return dataclasses.replace(
        learned,
        attempts=[*learned.attempts, Attempt(name=name, kept=True, reason="it was asked for")],
        ended=f"{learned.ended} Then: {name}.",
    )


_Found = tuple[Predictions | None, np.ndarray | None, str]


def _members(
    work: Work, data: TrainingData, learned: Learned, folds: "_Folds | None", kind: str
) -> tuple[list[PixelNetwork], _Found, Decision]:
    """The members, the out-of-fold table where there are folds, and the temperature of a single member."""
    if kind == "folds":
        assert folds is not None
        found = folds.table(head_alone=False)
        assert found[0] is not None
        return folds.members, found, work.temperature(found[0], found[2])
    found = folds.table(head_alone=False) if folds else (None, None, "")
    everything = np.ones(len(data.pictures), dtype=bool)
    assert learned.again is not None
    members = []
    for number in range(1, work.settings.members + 1):
        recipe = learned.again.model_copy(update={"seed": work.settings.seed + number})
        stage, file = f"member {number}", f"member-{number}"
        members.append(train_again(work, data, learned, everything, stage=stage, file=file, recipe=recipe, member=number))
    if found[0] is not None:
        return members, found, work.temperature(found[0], found[2])
    return members, found, work.temperature(work.unseen(learned), learned.fitted_on)


def _distilled(work: Work, data: TrainingData, learned: Learned, teacher: Ensemble) -> PixelNetwork:
    """One network trained on the teacher's probabilities beside the labels, on every picture but the test part."""
    everything = np.ones(len(data.pictures), dtype=bool)
    return train_again(work, data, learned, everything, stage="distillation", file="distillation", teacher=teacher)


class _Folds:
    """The models of the folds, trained as the final one was; each has never seen its own fold."""

    def __init__(self, work: Work, data: TrainingData, learned: Learned) -> None:
        self.work, self.data, self.learned = work, data, learned
        labels, wanted = data.pictures.labels, work.settings.folds
        self.fold_of = (
            data.folds if isinstance(data, TransferData) else group_folds(labels, work.units, wanted, work.settings.seed)
        )
        self.members: list[PixelNetwork] = []

    def table(self, *, head_alone: bool) -> _Found:
        """Out-of-fold predictions, the fold of each row, and how they came about, in words."""
        count = len(np.unique(self.fold_of))
        kind = "grouped " if len(set(self.work.units)) < len(self.work.units) else ""
        chosen = "the head's strength was" if head_alone else "the number of epochs and the head's strength were"
        if self.learned.strength is None:
            chosen = "the number of epochs was"
        if self.work.plan.in_folds and not head_alone:
            chosen = "how far fine-tuning is followed and the head's strength were"
        how = f"out-of-fold predictions of {count} stratified {kind}folds; {chosen} chosen on the same pictures"
        known = head_alone or self.work.plan.in_folds  # out of fold already
        logits = self.learned.logits if known else self._train_all(count)
        table = self.work.table(self.work.samples, logits)
        save_predictions(table, self.work.run.predictions / "out-of-fold.safetensors")
        return table, self.fold_of, how

    def _train_all(self, count: int) -> np.ndarray:
        logits = np.zeros((len(self.data.pictures), self.work.classes), dtype=np.float32)
        for fold in np.unique(self.fold_of).tolist():
            held = self.fold_of == fold
            stage, file = f"fold {fold + 1} of {count}", f"fold-{fold + 1}"
            network = train_again(self.work, self.data, self.learned, ~held, stage=stage, file=file)
            logits[held] = self.work.logits_of(network, self.data.part(held))
            self.members.append(network.to("cpu"))
        return logits
