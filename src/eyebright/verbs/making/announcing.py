"""What a run would do, in sentences: the answer of a dry run."""

from eyebright.verbs.making.choosing import Plan
from eyebright.verbs.making.gathering import Material
from eyebright.verbs.making.placing import default_out
from eyebright.verbs.making.settings import TrainSettings
from eyebright.verbs.making.story import Story

_WAYS = {
    "transfer": "Fine-tune from a head on frozen features",
    "scratch": "Train from scratch",
    "handcrafted": "Fit a handcrafted model",
}


def what_would_be_done(settings: TrainSettings, material: Material, plan: Plan, story: Story) -> list[str]:
    """Which pictures would be used, what was chosen and why, how the model would be trained, and where the run would lie."""
    parts = ", ".join(f"{part} {len(keys):,}" for part, keys in material.split.parts.items() if keys)
    return [
        f"Use {len(material.source.samples):,} pictures in {len(material.source.classes)} classes: {parts}.",
        material.split.how,
        *(f"{choice.name}: {choice.value} ({choice.reason})." for choice in story.choices.values()),
        _training(settings, plan),
        *([] if plan.rival is None else [f"Train {plan.rival.architecture.name} beside it, and keep what is better."]),
        *_besides(settings),
        f"Write the run to {settings.out or default_out(settings)}.",
    ]


def _training(settings: TrainSettings, plan: Plan) -> str:
    length = f"{settings.epochs} epochs" if settings.epochs else f"what fits into {settings.minutes:g} minutes"
    how = "" if plan.way == "handcrafted" else f", {plan.recipe.optimiser}, {length}"
    return f"{_WAYS[plan.way]}: {plan.architecture.name} at {plan.preprocess.height} pixels{how}."


def _besides(settings: TrainSettings) -> list[str]:
    """What would be done beyond one model."""
    averaged = {"none": "", "folds": "the folds' models", "seeds": f"{settings.members} models from several seeds"}
    made = averaged[settings.ensemble]
    found = [
        f"Cross-validate by {settings.folds} folds." if settings.folds else "",
        f"Average {made}{', and distil them into one network' if settings.distil else ''}." if made else "",
        "Ask whether more pictures would help." if settings.learning_curve else "",
        f"Put beside it: {', '.join(settings.baselines)}." if settings.baselines else "",
    ]
    return [sentence for sentence in found if sentence]
