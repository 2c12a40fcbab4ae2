"""What the minutes buy of ``speed``: its capacities are timed, the smallest first; the largest that is worth it is taken."""

from eyebright.core.bundle import Architecture
from eyebright.models.catalogue import build_seeded
from eyebright.models.network import PixelNetwork
from eyebright.models.speed.network import CAPACITIES
from eyebright.training.fit import LabelledPictures, choose_precision, measure_pace
from eyebright.training.recipe import Recipe
from eyebright.training.scratch import TrainingData
from eyebright.verbs.making import budgeting
from eyebright.verbs.making.quick import for_capacity
from eyebright.verbs.making.work import Work

# Steps from which a capacity is better than the one before (NOTES.md); fewer are spent better on a smaller network.
WORTH = {"narrow": 0, "standard": 120, "wide": 240, "deep": 480}
CAPACITY = "capacity"  # the network's argument
USUAL = "standard"  # where minutes do not decide
TIMED_PICTURES = 512
COMPARED_PICTURES = 128  # enough to tell which precision is quicker, in a quarter of the time
TIMING = 0.7  # seconds a capacity


def dial(work: Work) -> None:
    """Settles the capacity of ``work.plan``'s network, and its precision: the largest that the minutes give enough steps.

    What an earlier part of the run settled stays.
    """
    if work.plan.dialled:
        return
    data = TrainingData(work.pictures, work.held_out, work.classes)
    sample = budgeting.head_of(data, TIMED_PICTURES)
    recipe = work.plan.recipe
    if work.settings.precision == "auto":
        few = budgeting.head_of(data, COMPARED_PICTURES)
        recipe, _, why = choose_precision(_network(work, CAPACITIES[0]), few, recipe, seconds=TIMING)
        work.story.choose("precision", recipe.precision, why)
    chosen: str = work.settings.capacity
    if chosen == "auto":
        chosen, reason = _worth_having(work, data, sample, recipe)
        work.story.choose(CAPACITY, chosen, reason)
    recipe = for_capacity(recipe, work.settings, chosen, work.plan.preprocess.height)
    work.adopt(work.plan.model_copy(update={"architecture": _with(work, chosen), "recipe": recipe}))


def _worth_having(work: Work, data: TrainingData, sample: LabelledPictures, recipe: Recipe) -> tuple[str, str]:
    """The largest capacity that gets as many steps as it needs, and why not the next one."""
    if work.settings.epochs is not None:
        return USUAL, f"{work.settings.epochs} epochs were asked for, whatever they take; --capacity changes it"
    an_epoch = max(1, round(int((~data.held_out).sum()) / recipe.batch_size))
    most = budgeting.most_epochs(data, recipe, dialled=True)
    chosen, reason = CAPACITIES[0], ""
    for name in CAPACITIES:
        pace = work.paces[name] = measure_pace(_network(work, name), sample, recipe, seconds=TIMING)
        steps = an_epoch * budgeting.affordable(work, data, recipe, pace, most)
        if steps < WORTH[name]:
            return chosen, f"{reason}; {name} would get {steps}, and is worth its size from {WORTH[name]} on"
        chosen, reason = name, f"{steps} steps of {recipe.batch_size} pictures fit in"
    return chosen, f"{reason}; it is the largest"


def _network(work: Work, capacity: str) -> PixelNetwork:
    return build_seeded(_with(work, capacity), work.classes, 0)


def _with(work: Work, capacity: str) -> Architecture:
    architecture = work.plan.architecture
    return architecture.model_copy(update={"arguments": {**architecture.arguments, CAPACITY: capacity}})
