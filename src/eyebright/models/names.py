"""The names of what can be trained, for lists and help. It imports no torch, so that they can be shown without it."""

import dataclasses
from typing import Literal


@dataclasses.dataclass(frozen=True)
class ModelInfo:
    """A network that can be trained. ``weights`` says where pretrained ones come from."""

    name: str
    about: str
    weights: Literal["installed", "download", "none"]


BUILT_IN = (
    ModelInfo("auto", "chosen from the pictures: lite0 above 32 pixels, cnn at 32 and below", "installed"),
    ModelInfo("cnn", "the classic small network, trained from scratch", "none"),
    ModelInfo("lite0", "EfficientNet-Lite0, pretrained on ImageNet, made for small devices", "installed"),
)
FAMILIES = {
    "timm": "every network of timm; eyebright models --like resnet lists those whose name has resnet",
    "torchvision": "every classification network of torchvision, listed in the same way",
}
