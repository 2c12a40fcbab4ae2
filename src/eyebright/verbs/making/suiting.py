"""Which settings suit which kind of model: what it cannot obey is refused, what changes nothing is named."""

from eyebright.core.errors import SettingsError
from eyebright.core.events import Note
from eyebright.models import lite0
from eyebright.training.augment import AMOUNTS
from eyebright.verbs.making.quick import SPEED
from eyebright.verbs.making.settings import TrainSettings
from eyebright.verbs.making.story import Story

# Which of the two networks for pictures of middling size is meant, where one of these was asked for: the pretrained one.
OF_TRANSFER = (
    "weights", "unfreeze", "head_folds", "depths", "mirrored_head", "fine_tune_in_folds", "learning_rate", "optimiser",
    "drop_path", "size",
)  # fmt: skip
ONLY_IN_FINE_TUNING = (  # no part of fitting a linear head
    "epochs", "optimiser", "learning_rate", "schedule", "warm_up", "batch_size", "weight_decay", "head_weight_decay",
    "drop_path", "label_smoothing", "average", "clip", "patience", "loss", "augment", "vertical", "precision", "layout",
    *AMOUNTS,
)  # fmt: skip


def judge_settings(settings: TrainSettings, name: str, way: str, story: Story) -> None:
    """Refuses what this kind of model cannot obey, and says what has no effect here: no setting is ignored silently."""
    if way == "handcrafted":
        from eyebright.verbs.making.handcrafted import refuse_network_settings

        refuse_network_settings(settings)
        return
    if way == "transfer" and settings.optimiser == "muon":
        raise SettingsError(
            "--optimiser muon sets the size of every filter anew, which would undo pretrained weights. Choose another "
            "optimiser, or train from scratch: --weights none."
        )
    if name == SPEED and way == "transfer":
        raise SettingsError(
            f"--weights is {settings.weights!r}, but speed is trained from scratch only. Leave it out, or choose another model."
        )
    if way == "transfer" and settings.fine_tune_in_folds == "yes":
        _refuse_beside_folds(settings)
    if way == "scratch" and settings.unfreeze not in ("auto", "all"):
        raise SettingsError(
            f"--unfreeze is {settings.unfreeze!r}, but {settings.model} is trained from scratch: without pretrained weights "
            "nothing can stay frozen. Leave it out, or choose a pretrained model."
        )
    if idle := _without_effect(settings, name, way):
        story(Note(f"Without effect here: {', '.join(f'--{name.replace(chr(95), chr(45))}' for name in idle)}.", "warning"))


def _refuse_beside_folds(settings: TrainSettings) -> None:
    if settings.schedule == "plateau" or settings.patience:
        raise SettingsError(
            "--fine-tune-in-folds trains on every picture, fold by fold: there is no validation part that --schedule plateau "
            "or --patience could watch. Leave one of them out."
        )
    if settings.ensemble != "none":
        raise SettingsError(
            "--fine-tune-in-folds makes one network of many, by the mean of their weights; --ensemble keeps them all. Leave "
            "one of them out."
        )


def _without_effect(settings: TrainSettings, name: str, way: str) -> list[str]:
    """The settings that were changed from their defaults and change nothing in this combination."""
    idle = {
        "members": settings.ensemble != "seeds",
        "focal_gamma": settings.loss != "focal",
        "plateau_patience": settings.schedule != "plateau",
        "clahe_clip": settings.equalise != "clahe",
        "clahe_grid": settings.equalise != "clahe",
        "views": way == "transfer",
        "capacity": name != SPEED,
        "depths": name != lite0.NAME,
        "mirrored_head": way != "transfer",
        "fine_tune_in_folds": way != "transfer" or settings.unfreeze == "head",
        "head_folds": way == "scratch" or settings.folds > 0,
        **dict.fromkeys(ONLY_IN_FINE_TUNING, settings.unfreeze == "head"),
    }
    fields = TrainSettings.model_fields
    return [each for each, unused in idle.items() if unused and getattr(settings, each) != fields[each].default]


def asks_for_transfer(settings: TrainSettings) -> bool:
    """Whether a setting was changed that a pretrained network obeys and ``speed`` does not, or otherwise."""
    fields = TrainSettings.model_fields
    return any(getattr(settings, name) != fields[name].default for name in OF_TRANSFER)
