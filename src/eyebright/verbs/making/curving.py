"""The learning curve: the chosen way of training on ever smaller parts of the training pictures."""

import numpy as np

from eyebright.core.arrays import Logits
from eyebright.core.events import Phase, Progress
from eyebright.core.report import LearningCurve
from eyebright.data.folds import SEEN_BY_ALL, folds_around_lone
from eyebright.evaluation.learning import learning_curve
from eyebright.training.members import FRACTIONS, head_on_features, shares_of_training
from eyebright.training.scratch import Learned, TrainingData
from eyebright.training.transfer import TransferData
from eyebright.verbs.making.repeating import train_again
from eyebright.verbs.making.work import Work

CURVE_FOLDS = 3
CURVE_FROM_SCRATCH = (0.25, 0.5, 1.0)


def curve_of(work: Work, data: TrainingData, learned: Learned) -> LearningCurve:
    """Whether more pictures would help: the chosen way on ever smaller parts of the training pictures."""
    return _curve_of_head(work, data, learned) if isinstance(data, TransferData) else _curve_from_scratch(work, data, learned)


def _curve_of_head(work: Work, data: TransferData, learned: Learned) -> LearningCurve:
    labels, seed = data.pictures.labels, work.settings.seed
    folds, count, _ = folds_around_lone(labels, work.units, CURVE_FOLDS, seed)
    work.story(Phase("Asking whether more pictures would help", len(FRACTIONS) * count, "heads"))
    assert learned.strength is not None
    train = head_on_features(data, learned.strength)
    shares = shares_of_training(
        train,
        labels,
        work.units,
        folds,
        classes=work.classes,
        seed=seed,
        on_step=lambda done: work.story(Progress(done)),
    )
    judged = np.flatnonzero(folds != SEEN_BY_ALL)
    samples = [work.samples[row] for row in judged.tolist()]
    points = [(share.n, work.table(samples, share.logits[judged])) for share in shares]
    how = f"the head on frozen features, {count} folds of every picture but the test part"
    return learning_curve(points, how=how, seed=seed)


def _curve_from_scratch(work: Work, data: TrainingData, learned: Learned) -> LearningCurve:
    """On the validation part, whose answers for the whole training part are known from the trial; two trainings more."""
    held = np.flatnonzero(data.held_out)
    samples = [work.samples[row] for row in held]

    def train(seen: np.ndarray, asked: np.ndarray) -> Logits:
        if len(seen) == int((~data.held_out).sum()):
            return learned.logits
        return _logits_after_equal_steps(work, data, learned, seen, asked)

    shares = shares_of_training(
        train,
        data.pictures.labels,
        work.units,
        data.held_out.astype(np.int64),
        classes=work.classes,
        fractions=CURVE_FROM_SCRATCH,
        ask=[1],
        seed=work.settings.seed,
    )
    points = [(share.n, work.table(samples, share.logits[held])) for share in shares]
    how = (
        "the network from scratch, equally many steps, judged on the validation part; of the last point alone the best epoch "
        "was chosen there, which flatters it a little"
    )
    return learning_curve(points, how=how, seed=work.settings.seed)


def _logits_after_equal_steps(work: Work, data: TrainingData, learned: Learned, seen: np.ndarray, asked: np.ndarray) -> Logits:
    """Fewer pictures are gone through more often: what they lack is variety, not training."""
    rows = np.zeros(len(data.pictures), dtype=bool)
    rows[seen] = True
    assert learned.again is not None
    stretch = int((~data.held_out).sum()) / len(seen)
    epochs = max(1, round(learned.again.epochs * stretch))
    falls = learned.again.rate_falls  # on a plateau: after as many steps, not as many epochs
    falls = None if falls is None else tuple(round(epoch * stretch) for epoch in falls)
    recipe = learned.again.model_copy(update={"epochs": epochs, "rate_falls": falls})
    stage, file = f"learning curve, {len(seen):,} pictures", f"curve-{len(seen)}"
    network = train_again(work, data, learned, rows, stage=stage, file=file, recipe=recipe)
    mask = np.zeros(len(data.pictures), dtype=bool)
    mask[asked] = True
    return work.logits_of(network, data.part(mask))
