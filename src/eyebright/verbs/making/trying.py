"""A network trained as the plan says: from scratch, or a head and then fine-tuning."""

import dataclasses
import time

from eyebright.core.events import Note
from eyebright.data.folds import folds_around_lone
from eyebright.models.network import PixelNetwork
from eyebright.training.folded import fine_tune_in_folds
from eyebright.training.head import HeadChoice
from eyebright.training.scratch import Learned, TrainingData, train_from_scratch
from eyebright.training.transfer import TransferData, fine_tune, head_result, transfer_head
from eyebright.verbs.making import budgeting, dialling
from eyebright.verbs.making.choosing import TUNING_EPOCHS
from eyebright.verbs.making.quick import SPEED
from eyebright.verbs.making.work import Work

MIRRORED = "mirror images in the head"
MIRRORED_SHARE = 0.05  # of the time that is left, where fine-tuning wants it too
MIRRORED_SHARE_OF_HEAD = 0.25  # where nothing else does; the head on twice the rows takes its time as well
MIRRORED_MOST = 10_000  # pictures: of so many the head knows what it can


@dataclasses.dataclass(frozen=True)
class Tried:
    """The trained network, where its weights came from, the data as it was trained on, and what came of it."""

    work: Work
    network: PixelNetwork
    origin: str
    data: TrainingData
    learned: Learned


def try_plan(work: Work) -> Tried:
    """Trains by ``work.plan``; what the minutes decide is settled first, and replaces the plan."""
    if work.plan.architecture.name == SPEED:
        dialling.dial(work)
    network, origin = work.fresh_network()
    data, learned = _transfer(work, network) if work.plan.way == "transfer" else _from_scratch(work, network)
    return Tried(work, network, origin, data, learned)


def _from_scratch(work: Work, network: PixelNetwork) -> tuple[TrainingData, Learned]:
    data = TrainingData(work.pictures, work.held_out, work.classes, work.class_weights())
    budgeting.settle(work, network, data, budgeting.most_epochs(data, work.plan.recipe, dialled=work.plan.dialled))
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
    mirrored = work.embed(network, mirrored=True) if _embeds_mirrored(work, network) else None
    labels = work.pictures.labels
    folds, count, why = folds_around_lone(
        labels, work.units, work.settings.folds or work.settings.head_folds, work.settings.seed
    )
    work.story.choose("folds of the head", str(count), why)
    data = TransferData(
        work.pictures,
        work.held_out,
        work.classes,
        work.class_weights(),
        features=features,
        mirrored=mirrored,
        folds=folds,
        sampling=work.plan.recipe.sampling,
    )
    choice = transfer_head(network, data, checkpoints=work.run.checkpoints, on_event=work.story)
    if mirrored is not None:
        if not choice.mirrored:
            data = dataclasses.replace(data, mirrored=None)
        work.story.choose(MIRRORED, "yes" if choice.mirrored else "no", _in_words(choice, work))
    seconds = time.monotonic() - started
    if work.plan.recipe.unfreeze == "head":
        return data, head_result(data, choice, work.plan.recipe, seconds, "The head alone was asked for (--unfreeze head).")
    budgeting.settle(work, network, data, TUNING_EPOCHS)
    if work.plan.recipe.epochs == 0:
        ended = "Fine-tuning was not tried: not one epoch fits into the time that is left. Give more --minutes for it."
        return data, head_result(data, choice, work.plan.recipe, seconds, ended)
    if work.plan.in_folds:
        return data, fine_tune_in_folds(
            network,
            data,
            choice,
            work.plan.recipe,
            checkpoints=work.run.checkpoints,
            head_seconds=seconds,
            on_event=work.story,
        )
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


def _embeds_mirrored(work: Work, network: PixelNetwork) -> bool:
    """Whether the head may learn from mirror images too; settled once for a run.

    They have to be embedded as the pictures were: where that takes a small part of the time that is left, it is worth it. Many
    pictures gain nothing by it.
    """
    if work.plan.mirrored_head is None:
        asked, n = work.settings.mirrored_head, len(work.pictures)
        worth = asked == "yes"
        if asked == "auto" and work.settings.flip != "off" and n > MIRRORED_MOST:
            work.story.choose(MIRRORED, "no", f"{n:,} pictures are enough without; the limit is {MIRRORED_MOST:,}")
        elif asked == "auto" and work.settings.flip != "off":
            seconds, left = work.seconds_for_mirrored(network), max(0.0, work.deadline - time.monotonic())
            share = MIRRORED_SHARE_OF_HEAD if work.plan.recipe.unfreeze == "head" else MIRRORED_SHARE
            worth = seconds < share * left
            if not worth:
                work.story.choose(MIRRORED, "no", f"embedding them would take {seconds:.0f} of the {left:.0f} s that are left")
        work.adopt(work.plan.model_copy(update={"mirrored_head": worth}))
    return bool(work.plan.mirrored_head)


def _in_words(choice: HeadChoice, work: Work) -> str:
    if choice.harmed is None:
        return choice.why
    return f"{choice.why}; {work.material.source.classes[choice.harmed]} is known worse with them"
