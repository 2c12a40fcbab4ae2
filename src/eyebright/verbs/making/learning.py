"""The third step of ``train``: the pictures prepared, the steps budgeted, the network trained, the temperature fitted."""

import dataclasses
import hashlib
import math
import time

import numpy as np

from eyebright.core import seeds
from eyebright.core.arrays import Features
from eyebright.core.decision import Decision
from eyebright.core.errors import DataError
from eyebright.core.events import Note
from eyebright.core.files import cache_home, sha256_of_json
from eyebright.core.predictions import Predictions, save_predictions
from eyebright.core.run import Run
from eyebright.data.balance import class_weights
from eyebright.data.folds import group_folds, usable_folds
from eyebright.data.pixels import prepare_all
from eyebright.data.source import Sample
from eyebright.evaluation import fit_temperature
from eyebright.models.catalogue import build_seeded, load_pretrained
from eyebright.models.network import PixelNetwork
from eyebright.training.augment import thumbnails
from eyebright.training.features import FeatureCache, embed
from eyebright.training.fit import LabelledPictures, Pace, choose_precision, measure_pace, outputs_of
from eyebright.training.mirror import mirror_is_harmless
from eyebright.training.recipe import Recipe
from eyebright.training.scratch import Learned, TrainingData, affordable_epochs, train_from_scratch
from eyebright.training.transfer import TransferData, fine_tune, head_result, transfer_head
from eyebright.verbs.making.choosing import (
    GENTLE_RATE,
    SCRATCH_EPOCHS,
    SCRATCH_STEPS,
    TUNING_EPOCHS,
    WHOLE_UP_TO,
    Plan,
    read_plan,
    write_plan,
)
from eyebright.verbs.making.gathering import Material, groups_of, labels_of
from eyebright.verbs.making.settings import TrainSettings
from eyebright.verbs.making.story import Story

MIRROR_SAMPLE = 3000  # pictures: a few seconds
MIRROR_SIDE = 16  # pixels: enough to see which way an arrow points
MIRROR_STRENGTH = 0.03
MIRROR_FOLDS = 3
LEAST_PATIENCE = 5  # epochs


@dataclasses.dataclass(frozen=True)
class Model:
    """The trained network with its decision, and how it came about."""

    network: PixelNetwork
    plan: Plan
    decision: Decision
    learned: Learned
    weights_origin: str


def learn(settings: TrainSettings, material: Material, plan: Plan, run: Run, story: Story, deadline: float) -> Model:
    """The model, its last step done by ``deadline`` (on ``time.monotonic``'s clock) where epochs were not asked for.

    What could come out otherwise a second time, such as a timing, is stored in the run and read back on a resume.
    """
    return _Work(settings, material, plan, run, story, deadline).model()


class _Work:
    """The network and the prepared pictures of train and validation, and what is done with them."""

    def __init__(
        self, settings: TrainSettings, material: Material, plan: Plan, run: Run, story: Story, deadline: float
    ) -> None:
        self.settings, self.material, self.plan = settings, material, plan
        self.run, self.story, self.deadline = run, story, deadline
        self.classes = len(material.source.classes)
        self.network = build_seeded(plan.architecture, self.classes, seeds.integer(settings.seed, "initial weights"))
        self.weights_origin = load_pretrained(self.network, plan.architecture.name, plan.weights)
        if plan.weights == "auto":
            story.choose("weights", "none" if plan.way == "scratch" else "pretrained", self.weights_origin)
        self.samples = material.samples("train", "validation")
        self.groups = groups_of(self.samples)
        for leftover in run.checkpoints.glob("pixels-*.npy"):
            leftover.unlink()  # of a run that was killed
        self.pictures = self._prepare(self.samples)
        validation = set(material.split.parts["validation"])
        self.held_out = np.array([sample.key in validation for sample in self.samples])

    def model(self) -> Model:
        learned = self._transfer() if self.plan.way == "transfer" else self._from_scratch()
        decision = self._decide(learned)
        self.network.to("cpu")
        return Model(self.network, self.plan, decision, learned, self.weights_origin)

    def _prepare(self, samples: list[Sample]) -> LabelledPictures:
        keys = [sample.key for sample in samples]
        pictures = prepare_all(
            self.material.source, keys, self.plan.preprocess, on_event=self.story, scratch=self.run.checkpoints
        )
        return LabelledPictures(pictures, labels_of(samples), seeds.key_hashes(keys))

    def _from_scratch(self) -> Learned:
        data = TrainingData(self.pictures, self.held_out, self.classes, self._class_weights())
        steps = max(1, round(int((~self.held_out).sum()) / self.plan.recipe.batch_size))
        most = max(SCRATCH_EPOCHS, math.ceil(SCRATCH_STEPS / steps))
        self._budget(data, most)
        if self.plan.recipe.epochs == 0:
            self.story(Note("One epoch does not fit into the minutes given; one is done all the same.", "warning"))
            self._adopt(self.plan.recipe.model_copy(update={"epochs": 1}))
        return train_from_scratch(
            self.network, data, self.plan.recipe, refit=self.plan.refit, checkpoints=self.run.checkpoints, on_event=self.story
        )

    def _transfer(self) -> Learned:
        started = time.monotonic()
        features = self._embed()
        labels = self.pictures.labels
        folds, why = usable_folds(labels, self.groups, self.settings.folds)
        self.story.choose("folds", str(folds), why)
        data = TransferData(
            self.pictures,
            self.held_out,
            self.classes,
            self._class_weights(),
            features=features,
            folds=group_folds(labels, self.groups, folds, self.settings.seed),
        )
        choice = transfer_head(self.network, data, checkpoints=self.run.checkpoints, on_event=self.story)
        seconds = time.monotonic() - started
        if self.plan.recipe.unfreeze == "head":
            return head_result(data, choice, seconds, "The head alone was asked for (--unfreeze head).")
        self._budget(data, TUNING_EPOCHS)
        if self.plan.recipe.epochs == 0:
            ended = "Fine-tuning was not tried: not one epoch fits into the time that is left. Give more --minutes for it."
            return head_result(data, choice, seconds, ended)
        return fine_tune(
            self.network,
            data,
            choice,
            self.plan.recipe,
            refit=self.plan.refit,
            checkpoints=self.run.checkpoints,
            head_seconds=seconds,
            on_event=self.story,
        )

    def _budget(self, data: TrainingData, most: int) -> None:
        """Settles what is left open in the recipe: mirroring, precision, epochs. Once for a run, whatever its interruptions."""
        stored = read_plan(self.run.checkpoints / "plan.json")
        if stored is not None and stored.budgeted:
            self.plan = stored
            return
        recipe = self._settle_mirror(self._settle_unfreeze(self.plan.recipe))
        seen = data.part(~data.held_out) if len(data.pictures) < 10 * recipe.batch_size else _head_of(data, recipe)
        recipe, pace = self._settle_precision(recipe, seen)
        if self.settings.epochs is None:
            train, validation = int((~data.held_out).sum()), int(data.held_out.sum())
            pace = pace or measure_pace(self.network, seen, recipe)
            left = self.deadline - time.monotonic()
            epochs = affordable_epochs(pace, train, validation, left, refit=self.plan.refit, most=most)
            reason = f"{left:.0f} s are left, a picture takes {pace.training * 1000:.1f} ms; at most {most} are useful"
            self.story.choose("epochs", str(epochs), reason)
            recipe = recipe.model_copy(update={"epochs": epochs})
        self._adopt(recipe)

    def _adopt(self, recipe: Recipe) -> None:
        if self.settings.patience is None:
            recipe = recipe.model_copy(update={"patience": max(LEAST_PATIENCE, math.ceil(recipe.epochs / 4))})
        self.plan = self.plan.model_copy(update={"recipe": recipe, "budgeted": True})
        write_plan(self.plan, self.run.checkpoints / "plan.json")

    def _settle_unfreeze(self, recipe: Recipe) -> Recipe:
        if recipe.unfreeze != "auto":
            return recipe
        side, blocks = self.plan.preprocess.height, len(self.network.blocks())
        unfreeze = "all" if side <= WHOLE_UP_TO else str(max(1, round(blocks / 3)))
        reason = f"of {blocks} blocks at {side} pixels; whole networks are tuned up to {WHOLE_UP_TO}"
        self.story.choose("unfreeze", unfreeze, reason)
        gentle = unfreeze != "all" and self.settings.learning_rate is None
        return recipe.model_copy(
            update={"unfreeze": unfreeze, "learning_rate": GENTLE_RATE if gentle else recipe.learning_rate}
        )

    def _settle_mirror(self, recipe: Recipe) -> Recipe:
        if self.settings.flip != "auto":
            return recipe
        try:
            harmless, why = self._ask_mirror()
        except DataError as error:  # too few groups to ask
            harmless, why = False, str(error)
        self.story.choose("mirrored copies in training", "on" if harmless else "off", why)
        return recipe.model_copy(update={"augment": recipe.augment.model_copy(update={"flip": harmless})})

    def _settle_precision(self, recipe: Recipe, sample: LabelledPictures) -> tuple[Recipe, Pace | None]:
        """The recipe with its precision, and its pace where that had to be timed."""
        if self.settings.precision != "auto":
            return recipe, None
        recipe, pace, why = choose_precision(self.network, sample, recipe)
        self.story.choose("precision", recipe.precision, why)
        return recipe, pace

    def _ask_mirror(self) -> tuple[bool, str]:
        some = np.sort(seeds.order(self.settings.seed, "mirror", 0, self.pictures.hashes)[:MIRROR_SAMPLE])
        plain, mirrored = thumbnails(self.pictures.pictures[some], MIRROR_SIDE)
        labels, groups = self.pictures.labels[some], [self.groups[row] for row in some]
        wanted, _ = usable_folds(labels, groups, MIRROR_FOLDS)
        folds = group_folds(labels, groups, wanted, self.settings.seed)
        return mirror_is_harmless(plain, mirrored, labels, self.material.source.classes, folds, strength=MIRROR_STRENGTH)

    def _class_weights(self) -> np.ndarray | None:
        scheme = self.settings.class_weights
        seen = self.pictures.labels[~self.held_out]
        return None if scheme == "none" else class_weights(seen, self.classes, scheme=scheme)

    def _embed(self) -> Features:
        recipe = self.plan.recipe.model_copy(update={"precision": "fp32"})  # the head must fit the exported network: fp32
        cache = FeatureCache(cache_home() / "features", _backbone_name(self.network, self.plan))
        contents = self.material.contents(self.samples)
        return embed(self.network, self.pictures.pictures, contents, recipe, cache, on_event=self.story)

    def _decide(self, learned: Learned) -> Decision:
        """The temperature: from the calibration part where there is one, else from what the training held out."""
        samples = self.material.samples("calibration")
        if samples:
            pictures = self._prepare(samples)
            logits, _ = outputs_of(self.network, pictures.pictures, self.plan.recipe.model_copy(update={"precision": "fp32"}))
            return self._fit_temperature(self._table(samples, logits), "the calibration part")
        unseen = self._table([self.samples[row] for row in learned.rows.tolist()], learned.logits)
        return self._fit_temperature(unseen, learned.fitted_on)

    def _fit_temperature(self, unseen: Predictions, where: str) -> Decision:
        save_predictions(unseen, self.run.predictions / "unseen.safetensors")
        return fit_temperature(unseen, fitted_on=where)

    def _table(self, samples: list[Sample], logits: np.ndarray) -> Predictions:
        return Predictions(
            keys=tuple(sample.key for sample in samples),
            labels=labels_of(samples),
            logits=logits,
            classes=self.material.source.classes,
            groups=tuple(groups_of(samples)),
        )


def _head_of(data: TrainingData, recipe: Recipe) -> LabelledPictures:
    """A few batches, for timing."""
    rows = np.flatnonzero(~data.held_out)[: 2 * recipe.batch_size]
    whole = data.pictures
    return LabelledPictures(whole.pictures[rows], whole.labels[rows], whole.hashes[rows])


def _backbone_name(network: PixelNetwork, plan: Plan) -> str:
    """A name that changes with anything that decides the features: weights, architecture, preprocessing."""
    digest = hashlib.sha256()
    for tensor in network.backbone.state_dict().values():
        digest.update(tensor.contiguous().numpy().tobytes())
    return sha256_of_json([plan.architecture.model_dump(), plan.preprocess.model_dump(), digest.hexdigest()])[:32]
