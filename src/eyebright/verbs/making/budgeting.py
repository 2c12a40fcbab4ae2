"""What a recipe leaves open is settled here, once for a run whatever its interruptions: mirroring, precision, epochs."""

import math
import time

import numpy as np

from eyebright.core import seeds
from eyebright.core.errors import DataError
from eyebright.data.folds import group_folds, lone_rows_beside_others, usable_folds
from eyebright.models.network import PixelNetwork
from eyebright.training.augment import thumbnails
from eyebright.training.fit import LabelledPictures, Pace, choose_precision, measure_pace
from eyebright.training.folded import CHECKED, SHARES
from eyebright.training.mirror import mirror_is_harmless
from eyebright.training.pictures import ChosenPictures
from eyebright.training.recipe import Recipe
from eyebright.training.sampling import epoch_size
from eyebright.training.scratch import TrainingData, affordable_epochs, shown_share
from eyebright.training.transfer import TransferData
from eyebright.verbs.making.choosing import GENTLE_RATE, SCRATCH_EPOCHS, SCRATCH_STEPS, WHOLE_UP_TO, read_plan
from eyebright.verbs.making.curving import CURVE_FROM_SCRATCH
from eyebright.verbs.making.quick import MOST_EPOCHS, views_of
from eyebright.verbs.making.work import Work

MIRROR_SAMPLE = 3000  # pictures: a few seconds
MIRROR_SIDE = 16  # pixels: enough to see which way an arrow points
MIRROR_STRENGTH = 0.03
MIRROR_FOLDS = 3
LEAST_PATIENCE = 5  # epochs
LEAST_IN_FOLDS = 5  # epochs a network: with fewer, one that sees more pictures for longer is better
FEWEST_FOLDS = 4  # with fewer, each network lacks too many pictures
TEACHING = 1 / 3  # of a step of a whole network, whose backward pass is twice the forward one: what a teacher's pass costs
TEACHING_LAST_BLOCKS = 0.6  # of a step that trains the last third alone: 1 forward, about 2/3 back
TEACHING_QUICKENED = 0.4  # of such a step where the frozen stages run in ONNX Runtime: 4.1 of 10.3 ms (NOTES.md)


def settle(work: Work, network: PixelNetwork, data: TrainingData, most: int) -> None:
    """Settles the recipe of ``work.plan``; what was settled in an earlier part of the run is read back, not timed again."""
    stored = read_plan(work.run.checkpoints / "plan.json")
    if stored is not None and stored.budgeted:
        work.plan = stored
        work.quicken(network, stored.recipe)
        return
    recipe = _settle_mirror(work, _settle_unfreeze(work, network, work.plan.recipe))
    work.quicken(network, recipe)
    seen = head_of(data, 2 * recipe.batch_size)
    recipe, pace = _settle_precision(work, network, recipe, seen)
    in_folds = work.settings.fine_tune_in_folds == "yes" and isinstance(data, TransferData)
    if work.settings.epochs is None:
        pace = (
            pace or work.paces.get(str(work.plan.architecture.arguments.get("capacity"))) or measure_pace(network, seen, recipe)
        )
        epochs = affordable(work, data, recipe, pace, most)
        if isinstance(data, TransferData):
            in_folds, epochs = _settle_in_folds(work, data, recipe, epochs, affordable_in_folds(work, data, recipe, pace, most))
        left = work.deadline - time.monotonic()
        each = " for each network" if in_folds else ""
        reason = f"{left:.0f} s are left, a picture takes {pace.training * 1000:.2g} ms; at most {most}{each} are useful"
        work.story.choose("epochs", str(epochs), reason)
        recipe = recipe.model_copy(update={"epochs": epochs})
    work.plan = work.plan.model_copy(update={"in_folds": in_folds})
    if in_folds and recipe.epochs:
        work.story.choose(
            "refit on train and validation", "no", "in folds, every picture is learned from by all networks but one"
        )
    adopt(work, recipe)


def adopt(work: Work, recipe: Recipe) -> None:
    """Stores the settled recipe, its patience following from its epochs where it was not asked for."""
    if work.settings.patience is None:
        least = 2 * recipe.plateau_patience if recipe.schedule == "plateau" else LEAST_PATIENCE  # the rate must fall before
        recipe = recipe.model_copy(update={"patience": max(LEAST_PATIENCE, least, math.ceil(recipe.epochs / 4))})
    views = work.plan.views
    if work.plan.way == "scratch":
        views = views_of(work.settings, work.plan.architecture.name, mirrored=recipe.augment.flip)
    work.adopt(work.plan.model_copy(update={"recipe": recipe, "views": views, "budgeted": True}))


def most_epochs(data: TrainingData, recipe: Recipe, *, dialled: bool) -> int:
    """More epochs from scratch than these are of no use; small sets go round more often."""
    steps = max(1, round(int((~data.held_out).sum()) / recipe.batch_size))
    return max(MOST_EPOCHS if dialled else SCRATCH_EPOCHS, math.ceil(SCRATCH_STEPS / steps))


def affordable(work: Work, data: TrainingData, recipe: Recipe, pace: Pace, most: int) -> int:
    """How many epochs fit into the time that is left when the trial is followed by all that was asked for besides.

    ``pace`` is that of pictures at their own size; the recipe may show them smaller for a while.
    """
    pace = Pace(pace.training * shown_share(recipe.sides, work.plan.preprocess.height), pace.evaluation)
    labels = data.pictures.labels
    shown = epoch_size(labels[~data.held_out], recipe.sampling)
    on_all = round(epoch_size(labels, recipe.sampling) * rounds(work))
    held = int(data.held_out.sum())
    left = work.deadline - time.monotonic()
    if recipe.judged_from == 1:  # once, in the end, and then in several views
        left -= 2 * held * pace.evaluation
        held = 0
    return affordable_epochs(pace, shown, held, left, refit=on_all > 0, most=most, on_all=on_all or None)


def affordable_in_folds(work: Work, data: TransferData, recipe: Recipe, pace: Pace, most: int) -> int:
    """How many epochs fit into the time that is left for each network of a fine-tuning in folds."""
    labels, folds = data.pictures.labels, len(data.fold_numbers)
    left = work.deadline - time.monotonic()
    left -= len(SHARES) * (len(labels) + folds * min(CHECKED, len(labels))) * pace.evaluation
    shown = (folds - 1) * epoch_size(labels, recipe.sampling)  # in an epoch of every network
    return max(0, min(most, int(left / max(shown * pace.training, 1e-9))))


def _settle_in_folds(work: Work, data: TransferData, recipe: Recipe, epochs: int, folded: int) -> tuple[bool, int]:
    """Whether it is fine-tuned in folds, and for how many epochs: ``folded``, or else ``epochs`` by one network.

    By itself it is done where all pictures are to be learned from, a part of the network is trained, and there is time.
    """
    asked, count = work.settings.fine_tune_in_folds, len(data.fold_numbers)
    if asked != "auto":
        return asked == "yes", folded if asked == "yes" else epochs
    otherwise = recipe.schedule == "plateau" or bool(work.settings.patience) or work.settings.ensemble != "none"
    if not work.plan.refit or recipe.unfreeze == "all" or otherwise or not epochs:
        return False, epochs
    enough = folded >= LEAST_IN_FOLDS and count >= FEWEST_FOLDS
    why = f"{folded} epochs fit for each of {count} networks; {LEAST_IN_FOLDS} for each of {FEWEST_FOLDS} are wanted"
    work.story.choose("fine-tuning in folds", "yes" if enough else "no", why)
    return enough, folded if enough else epochs


def rounds(work: Work) -> float:
    """How often the pictures of train and validation are gone through after the trial, in epochs a trial epoch."""
    settings = work.settings
    members = {"none": 0, "folds": settings.folds, "seeds": settings.members}[settings.ensemble]
    total = float(work.plan.refit) + max(0, settings.folds - 1)
    if settings.ensemble == "seeds":
        total += members
    if settings.learning_curve and work.plan.way == "scratch":
        total += len(CURVE_FROM_SCRATCH) - 1
    if settings.distil:
        total += 1 + members * _teaching(work)
    return total


def _teaching(work: Work) -> float:
    """What a pass of a teacher's member costs, of a training step."""
    if work.plan.recipe.unfreeze == "all":
        return TEACHING
    return TEACHING_QUICKENED if work.is_quickened else TEACHING_LAST_BLOCKS


def _settle_unfreeze(work: Work, network: PixelNetwork, recipe: Recipe) -> Recipe:
    if recipe.unfreeze != "auto":
        return recipe
    side, blocks = work.plan.preprocess.height, len(network.blocks())
    unfreeze = "all" if side <= WHOLE_UP_TO else str(max(1, round(blocks / 3)))
    reason = f"of {blocks} blocks at {side} pixels; whole networks are tuned up to {WHOLE_UP_TO}"
    work.story.choose("unfreeze", unfreeze, reason)
    gentle = unfreeze != "all" and work.settings.learning_rate is None
    return recipe.model_copy(update={"unfreeze": unfreeze, "learning_rate": GENTLE_RATE if gentle else recipe.learning_rate})


def _settle_mirror(work: Work, recipe: Recipe) -> Recipe:
    if work.settings.flip != "auto":
        return recipe
    try:
        harmless, why = _ask_mirror(work)
    except DataError as error:  # too few groups to ask
        harmless, why = False, str(error)
    work.story.choose("mirrored copies in training", "on" if harmless else "off", why)
    return recipe.model_copy(update={"augment": recipe.augment.model_copy(update={"flip": harmless})})


def _settle_precision(
    work: Work, network: PixelNetwork, recipe: Recipe, sample: LabelledPictures
) -> tuple[Recipe, Pace | None]:
    """The recipe with its precision, and its pace where that had to be timed."""
    if work.settings.precision != "auto" or work.plan.dialled:
        return recipe, None
    recipe, pace, why = choose_precision(network, sample, recipe)
    work.story.choose("precision", recipe.precision, why)
    return recipe, pace


def _ask_mirror(work: Work) -> tuple[bool, str]:
    """The answer of a sample. Classes of which it has one group are not asked about: none knows them that has not seen it."""
    pictures = work.pictures
    some = np.sort(seeds.order(work.settings.seed, "mirror", 0, pictures.hashes)[:MIRROR_SAMPLE])
    some = some[~lone_rows_beside_others(pictures.labels[some], [work.units[row] for row in some])]
    plain, mirrored = thumbnails(ChosenPictures(pictures.pictures, some), MIRROR_SIDE)
    labels, groups = pictures.labels[some], [work.units[row] for row in some]
    wanted, _ = usable_folds(labels, groups, MIRROR_FOLDS)
    folds = group_folds(labels, groups, wanted, work.settings.seed)
    return mirror_is_harmless(plain, mirrored, labels, work.material.source.classes, folds, strength=MIRROR_STRENGTH)


def head_of(data: TrainingData, count: int) -> LabelledPictures:
    """The first ``count`` pictures of the train part, for timing."""
    rows = np.flatnonzero(~data.held_out)[:count]
    whole = data.pictures
    return LabelledPictures(whole.pictures[rows], whole.labels[rows], whole.hashes[rows])
