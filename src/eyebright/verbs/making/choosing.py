"""The second step of ``train``: which network, at which size, trained how; each automatic choice with its reason."""

import json
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from eyebright.backends.device import choose_device
from eyebright.core.bundle import Architecture
from eyebright.core.errors import DataError
from eyebright.core.events import Note
from eyebright.core.files import write_text
from eyebright.core.preprocess import Preprocess
from eyebright.core.views import ONE_VIEW, Views
from eyebright.data.folds import lone_rows_beside_others
from eyebright.data.split import unit_names
from eyebright.models import lite0
from eyebright.models.catalogue import own_size, resolve
from eyebright.models.cnn import MINIMUM_SIZE
from eyebright.models.handcrafted.names import MAXIMUM_SIZE, fitting_size, is_handcrafted, parse
from eyebright.models.names import MODELS, PRETRAINED
from eyebright.training.augment import AMOUNTS, Augment, dial
from eyebright.training.optim import MUON_RATE
from eyebright.training.recipe import Recipe
from eyebright.verbs.making.gathering import Material, labels_of
from eyebright.verbs.making.quick import SPEED, speed_recipe
from eyebright.verbs.making.settings import TrainSettings
from eyebright.verbs.making.story import Story
from eyebright.verbs.making.suiting import asks_for_transfer, judge_settings

SMALL = 32  # pixels: at this short side and below, a small network from scratch beats features made for photographs
MIDDLING = 64  # pixels: up to here it depends on what is shown, so both are tried
# Median short side of the pictures up to which each size is enough. Chosen by out-of-fold loss on training parts (NOTES.md):
# more pixels than the picture has cost time without adding detail.
SIZES = ((64, 96), (112, 160))
SCRATCH_EPOCHS = 30
SCRATCH_STEPS = 2400  # small sets go round more often: this many steps are worth having at any size
TUNING_EPOCHS = 12
WHOLE_UP_TO = 128  # pixels: a whole network is fine-tuned up to this size, above it the last third, for the time it takes
UNEVEN = 2.0  # largest class over smallest; below it square-root sampling draws no picture half as often again
FEW = 5000  # pictures up to which the final model is refitted on everything but the test part
# Where only the last blocks are tuned, the rate is lower: on photographs that gave the least validation loss (NOTES.md).
GENTLE_RATE = 3e-4
GREY_MODES = {"1", "L", "LA", "I", "I;16", "I;16B", "I;16L", "F", "La"}


Way = Literal["transfer", "scratch", "handcrafted"]


class Plan(BaseModel):
    """What was chosen, as stored in the run: a resumed run reads it instead of choosing, or timing, again.

    ``recipe.epochs`` is 0 until the steps are budgeted; ``budgeted`` says that they are. ``mirrored_head`` says whether
    there is time to let the head learn from mirror images too, where that helps; None until it is known. ``in_folds`` says that
    it is fine-tuned in folds.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    architecture: Architecture
    preprocess: Preprocess
    weights: str
    way: Way
    recipe: Recipe
    refit: bool
    budgeted: bool = False
    mirrored_head: bool | None = None
    in_folds: bool = False
    views: Views = ONE_VIEW
    rival: "Plan | None" = None

    @property
    def dialled(self) -> bool:
        """Whether capacity and precision of ``speed`` were settled already."""
        return "capacity" in self.architecture.arguments


def choose(settings: TrainSettings, material: Material, story: Story) -> Plan:
    """The plan for this material, before anything is timed.

    Raises ``DataError`` where the head of a pretrained network could not be cross-validated: now, not when all is embedded.
    """
    for baseline in settings.baselines:
        parse(baseline)  # an unknown name is refused now, not after the training
    side = _median_side(material)
    name = _model(settings, side, story)
    way = _way(settings, name)
    judge_settings(settings, name, way, story)
    device, why = choose_device(settings.device)
    story.choose("device", device, why)
    colour = _colour(settings, material, story)
    pictures = sum(len(material.split.parts[part]) for part in ("train", "validation"))
    refit = _refit(settings, pictures, story)
    sampling = "none" if way == "handcrafted" else _sampling(settings, material, story)

    def plan_of(name: str, way: Way, told: Story) -> Plan:
        size = _size(settings, name, way, side, told)
        return Plan(
            architecture=_architecture(settings, name, size, colour, _depths(settings, name, way, told)),
            preprocess=_preprocess(settings, size, colour),
            weights=settings.weights,
            way=way,
            recipe=_recipe(settings, way, device).model_copy(update={"sampling": sampling}),
            refit=refit,
        )

    plan = plan_of(name, way, story)
    if way == "transfer":
        _require_folds(material)
    if name != SPEED:
        return plan
    recipe = speed_recipe(plan.recipe, settings, pictures, plan.preprocess.height)
    beside = _possible_rival(_beside(settings, side, pictures), settings, material, story)
    rival = plan_of(beside, _way(settings, beside), story.within(beside)) if beside else None
    return plan.model_copy(update={"recipe": recipe, "rival": rival})


def _beside(settings: TrainSettings, side: int, pictures: int) -> str | None:
    """Which network is trained beside ``speed``, so that the validation part decides; None where it is clear, or was asked for.

    Up to 32 pixels ``speed`` was the better one of many pictures on every set; of few the classic network is asked, which costs
    little. Above, what photographs taught may help, or not (NOTES.md).
    """
    if settings.model != "auto":
        return None
    if side > SMALL:
        return lite0.NAME
    return "cnn" if settings.optimiser == "auto" and pictures <= FEW else None


def _possible_rival(beside: str | None, settings: TrainSettings, material: Material, story: Story) -> str | None:
    """``beside``, or None where it would be pretrained and its head could not be cross-validated."""
    if beside is None or _way(settings, beside) != "transfer":
        return beside
    try:
        _require_folds(material)
    except DataError as error:
        story(Note(f"{beside} is not trained beside {SPEED}: {error}", "warning"))
        story.choose("model", SPEED, f"beside it {beside} would be trained, but its head could not be cross-validated")
        return None
    return beside


def _require_folds(material: Material) -> None:
    samples = material.samples("train", "validation")
    lone_rows_beside_others(labels_of(samples), unit_names(samples, material.audit))


def _sampling(settings: TrainSettings, material: Material, story: Story) -> str:
    """Of six remedies on three sets, ``sqrt`` alone raised macro F1 everywhere without costing log loss (NOTES.md)."""
    if settings.sampling != "auto":
        return settings.sampling
    if settings.class_weights != "none":
        return "none"
    counts = np.bincount(labels_of(material.samples("train", "validation")), minlength=len(material.source.classes))
    ratio = counts.max() / max(1, counts.min())
    uneven = ratio >= UNEVEN
    limit = (
        f"{ratio:.1f} pictures of the largest class for one of the smallest; from {UNEVEN:g} on rare ones are drawn more often"
    )
    story.choose("sampling", "sqrt" if uneven else "none", limit)
    return "sqrt" if uneven else "none"


def _refit(settings: TrainSettings, pictures: int, story: Story) -> bool:
    if settings.ensemble != "none":
        return False  # its members take the place of the refitted network
    if settings.folds:
        story.choose("refit on train and validation", "yes", "after a cross-validation the model is made of all pictures")
        return True
    refit = pictures <= FEW
    reason = f"{pictures:,} pictures are {'few' if refit else 'many'}: the limit is {FEW:,}"
    story.choose("refit on train and validation", "yes" if refit else "no", reason)
    return refit


def _preprocess(settings: TrainSettings, size: int, colour: Literal["colour", "grey"]) -> Preprocess:
    return Preprocess(
        height=size,
        width=size,
        resize=settings.resize,
        colour=colour,
        cut_border=settings.cut_border,
        centre_crop=settings.centre_crop,
        white_balance=settings.white_balance,
        equalise=settings.equalise,
        clahe_clip=settings.clahe_clip,
        clahe_grid=settings.clahe_grid,
        sharpen=settings.sharpen,
    )


def _way(settings: TrainSettings, name: str) -> Way:
    if is_handcrafted(name):
        return "handcrafted"
    without = settings.weights == "auto" and name in MODELS.targets() and name not in PRETRAINED
    return "scratch" if without or settings.weights == "none" else "transfer"


def _median_side(material: Material) -> int:
    sides = [min(found.height, found.width) for found in material.audit.scanned.values()]
    return int(np.median(sides))


def _model(settings: TrainSettings, side: int, story: Story) -> str:
    if settings.model != "auto":
        return resolve(settings.model)
    if SMALL < side <= MIDDLING and not asks_for_transfer(settings):
        story.choose("model", SPEED, f"the pictures have {side} pixels in the median; lite0 is trained beside it")
        return SPEED
    if side <= SMALL:
        why = f"the pictures have {side} pixels in the median; up to {SMALL}, a small network from scratch is enough"
        asked = settings.learning_rate is not None or settings.optimiser not in ("auto", "muon")
        if asked or settings.weights not in ("auto", "none"):
            story.choose("model", "cnn", f"{why}, and a rate, an optimiser or weights were asked for")
            return "cnn"
        story.choose("model", SPEED, f"{why}, and it learns soonest")
        return SPEED
    story.choose(
        "model", lite0.NAME, f"the pictures have {side} pixels in the median, enough for features learned on photographs"
    )
    return lite0.NAME


def _colour(settings: TrainSettings, material: Material, story: Story) -> Literal["colour", "grey"]:
    if settings.colour != "auto":
        return settings.colour
    modes = {found.mode for found in material.audit.scanned.values()}
    if modes <= GREY_MODES:
        story.choose("colour", "grey", "every picture is grey")
        return "grey"
    story.choose("colour", "colour", f"the pictures are {', '.join(sorted(modes))}")
    return "colour"


def _size(settings: TrainSettings, name: str, way: str, side: int, story: Story) -> int:
    if settings.size is not None:
        return settings.size
    if way == "handcrafted":
        size = fitting_size(side)
        story.choose(
            "size", f"{size} pixels", f"the pictures have {side} in the median; handcrafted features take up to {MAXIMUM_SIZE}"
        )
        return size
    if name in ("cnn", "mlp", "speed"):
        size = min(max(side, 16), 64)
        size = size if size == side else max(size, MINIMUM_SIZE)
        story.choose("size", f"{size} pixels", f"the pictures have {side} in the median; {name} is used between 16 and 64")
        return size
    own = own_size(name) or lite0.SIZE
    size = next((size for most, size in SIZES if side <= most), own) if name == lite0.NAME else own
    reason = f"the pictures have {side} pixels in the median"
    story.choose("size", f"{size} pixels", reason if size != own else f"{reason}; {name} was made for {own}")
    return size


def _depths(settings: TrainSettings, name: str, way: Way, story: Story) -> int:
    """Of how many depths of lite0 the features are; 1 for every other network."""
    if settings.depths is not None or name != lite0.NAME or way != "transfer":
        return settings.depths or 1
    story.choose(
        "depths", str(lite0.SEVERAL), "the maps before the last layer still hold textures and parts, which it has dropped"
    )
    return lite0.SEVERAL


def _architecture(settings: TrainSettings, name: str, size: int, colour: str, depths: int = 1) -> Architecture:
    arguments: dict[str, str | int | float | bool | list[float] | None] = {}
    if name in ("cnn", "lenet", "mlp", "speed"):
        arguments = {"height": size, "width": size, "grey": colour == "grey"}
    elif name == lite0.NAME:
        arguments = {"depths": depths}
    elif is_handcrafted(name):
        return Architecture(name=parse(name).name)
    elif name not in MODELS.targets():
        arguments = {"size": size}
    if settings.dropout is not None:
        arguments["dropout"] = settings.dropout
    if settings.drop_path is not None:
        arguments["drop_path"] = settings.drop_path
    return Architecture(name=name, arguments=arguments)


def _recipe(settings: TrainSettings, way: str, device: str) -> Recipe:
    scratch = way == "scratch"
    optimiser = settings.optimiser if settings.optimiser != "auto" else "adam" if scratch else "adamw"
    rate = settings.learning_rate or {"sgd": 0.05, "muon": MUON_RATE}.get(optimiser, 1e-3)
    decay = settings.weight_decay if settings.weight_decay is not None else 0.0 if scratch else 0.01
    return Recipe(
        epochs=settings.epochs or 0,
        batch_size=settings.batch_size or (64 if scratch else 32),
        optimiser=optimiser,
        learning_rate=rate,
        weight_decay=decay,
        head_weight_decay=settings.head_weight_decay,
        clip=settings.clip,
        average=settings.average,
        schedule="cosine" if settings.schedule == "auto" else settings.schedule,
        warm_up=settings.warm_up if settings.warm_up is not None else 0.1,
        plateau_patience=settings.plateau_patience,
        loss=settings.loss,
        focal_gamma=settings.focal_gamma,
        label_smoothing=settings.label_smoothing or 0.0,
        patience=settings.patience or 0,
        device=device,
        precision="fp32" if settings.precision == "auto" else settings.precision,
        channels_last=settings.layout == "channels-last",
        unfreeze=settings.unfreeze if not scratch else "all",
        # Statistics of small batches are noise to a pretrained network: keeping its own halved the validation loss (NOTES.md).
        frozen_norms=not scratch,
        augment=_augment(settings, scratch),
        seed=settings.seed,
    )


def _augment(settings: TrainSettings, scratch: bool) -> Augment:
    """The dial's changes, those that were asked for by name instead; mirroring is settled later, by asking the data."""
    name = settings.augment
    if name == "auto":
        name = "none" if scratch else "light"  # from scratch, mirroring alone learned faster (NOTES.md)
    base = Augment() if name == "none" else dial(name, flip=False)
    asked = {field: value for field in AMOUNTS if (value := getattr(settings, field)) is not None}
    return base.model_copy(
        update={
            **asked,
            "flip": settings.flip in ("on", "alternate"),
            "alternate": settings.flip == "alternate",
            "vertical": settings.vertical,
        }
    )


def read_plan(path: Path) -> Plan | None:
    """The plan that an earlier part of the run stored, or None."""
    return Plan.model_validate(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else None


def write_plan(plan: Plan, path: Path) -> None:
    """Stores the plan."""
    write_text(path, plan.model_dump_json(indent=2) + "\n")
