"""The recipe of ``speed``: how small pictures are learned soonest, and by which views the model answers."""

from eyebright.core.views import ONE_VIEW, View, Views
from eyebright.training.optim import MUON_RATE
from eyebright.training.recipe import Recipe
from eyebright.verbs.making.settings import TrainSettings

SPEED = "speed"
STEPS_AN_EPOCH = 30
USUAL = 32  # pixels: at larger sides a batch has fewer pictures, for the memory that they take
SIZES = (64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536)  # pictures a step
SMOOTHING = 0.09  # Hiverge's, as the rates (training/optim.py)
DECAY = 1.0418e-6  # of biases and head a picture
PAD = 1 / 16  # of the side
MOST_PAD = 32  # pixels, as ``Augment`` has it
# The largest network learns for so long that it needs more variety, as in the public record at 96 % (moves by an eighth, a hole
# of 12 pixels of 32). In ``erase``'s terms: half of the pictures, with a hole of up to a quarter.
LONGEST, LONGEST_PAD, LONGEST_ERASE = "deep", 1 / 8, 0.25
# Until which share of the steps at which share of the side: what is large is learned from small pictures sooner (NOTES.md).
SIDES = ((0.3, 0.5), (0.6, 0.75))
VIEWS: tuple[View, ...] = ("identity", "mirror", "up-left", "down-right", "mirror-up-left", "mirror-down-right")
UNMIRRORED: tuple[View, ...] = ("identity", "up-left", "down-right")
BELOW = 0.9
MOST_EPOCHS = 60


def batch_size(pictures: int, side: int) -> int:
    """The largest of 64, 96, 128 ... 1536 that gives about 30 steps an epoch or more, and fewer where pictures are larger.

    >>> batch_size(500, 32), batch_size(4000, 32), batch_size(50_000, 32), batch_size(50_000, 64)
    (64, 128, 1536, 384)
    """
    most = SIZES[-1] * min(1.0, (USUAL / side) ** 2)
    return max(size for size in SIZES if size <= max(min(pictures / STEPS_AN_EPOCH, most), SIZES[0]))


def speed_recipe(recipe: Recipe, settings: TrainSettings, pictures: int, side: int) -> Recipe:
    """``recipe`` with what ``speed`` wants where nothing else was asked for."""
    batch = settings.batch_size or batch_size(pictures, side)
    optimiser = "muon" if settings.optimiser == "auto" else settings.optimiser
    chosen = {
        "batch_size": batch,
        "optimiser": optimiser,
        "learning_rate": settings.learning_rate or (MUON_RATE if optimiser == "muon" else recipe.learning_rate),
        "weight_decay": settings.weight_decay if settings.weight_decay is not None else DECAY * batch,
        "schedule": "linear" if settings.schedule == "auto" else settings.schedule,
        "warm_up": settings.warm_up if settings.warm_up is not None else 0.0,
        "label_smoothing": settings.label_smoothing if settings.label_smoothing is not None else SMOOTHING,
        "sides": tuple((until, sized) for until, share in SIDES if (sized := round(side * share)) >= 16),
        "augment": recipe.augment.model_copy(update=_moves(settings, side)),
        # Only the end counts where the rate falls to zero there; whoever wants to stop before must be told how it stands.
        "judged_from": 0.0 if settings.patience or settings.schedule == "plateau" else 1.0,
    }
    return recipe.model_copy(update=chosen)


def for_capacity(recipe: Recipe, settings: TrainSettings, capacity: str, side: int) -> Recipe:
    """``recipe`` with what a capacity wants besides, where nothing else was asked for."""
    if capacity != LONGEST:
        return recipe
    wanted: dict[str, float] = {}
    if settings.pad is None:
        wanted["pad"] = _pad(side, LONGEST_PAD)
    if settings.erase is None and settings.augment == "auto":
        wanted["erase"] = LONGEST_ERASE
    return recipe.model_copy(update={"augment": recipe.augment.model_copy(update=wanted)})


def views_of(settings: TrainSettings, name: str, *, mirrored: bool) -> Views:
    """The views by which a model from scratch answers where it is not sure: mirrored ones only where that is harmless."""
    if settings.views == "one" or (settings.views == "auto" and name != SPEED):
        return ONE_VIEW
    return Views(names=VIEWS if mirrored else UNMIRRORED, below=BELOW)


def _moves(settings: TrainSettings, side: int) -> dict[str, int | bool]:
    pad = _pad(side, PAD) if settings.pad is None else settings.pad
    return {"pad": pad, "alternate": settings.flip in ("auto", "alternate")}


def _pad(side: int, share: float) -> int:
    return min(MOST_PAD, max(1, round(side * share)))
