"""The names of what can be trained, for lists and help. It imports no torch, so that they can be shown without it."""

import dataclasses
from typing import Literal

from eyebright.core.registry import Registry


@dataclasses.dataclass(frozen=True)
class ModelInfo:
    """A network that can be trained. ``weights`` says where pretrained ones come from."""

    name: str
    about: str
    weights: Literal["installed", "download", "none"]


MODELS = Registry(
    "model",
    {"cnn": "eyebright.models.cnn:cnn", "lite0": "eyebright.models.lite0:lite0"},
    group="eyebright.models",
)
PRETRAINED = ("lite0",)  # of MODELS: those whose weights come with an installed package
BUILT_IN = (
    ModelInfo("auto", "chosen from the pictures: lite0 above 32 pixels, cnn at 32 and below", "installed"),
    ModelInfo("cnn", "the classic small network, trained from scratch", "none"),
    ModelInfo("lite0", "EfficientNet-Lite0, pretrained on ImageNet, made for small devices", "installed"),
)
FAMILIES = {
    "timm": "every network of timm; eyebright models --like resnet lists those whose name has resnet",
    "torchvision": "every classification network of torchvision, listed in the same way",
}


def plugged_in() -> list[ModelInfo]:
    """The models that installed plug-ins add."""
    known = {info.name for info in BUILT_IN}
    return [ModelInfo(name, "from an installed plug-in", "none") for name in MODELS.targets() if name not in known]
