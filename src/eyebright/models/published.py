"""The publishers' networks with their own last layers, and how they were fed: what weights trained elsewhere need.

Most networks end in a dense layer, so that ours, cut into features and that layer, computes the same. SqueezeNet does not: it
classifies every place and takes the mean of what is positive.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Literal

from torch import Tensor, nn

from eyebright.core.errors import SettingsError
from eyebright.models.network import Classifier, Luminance, Normalise, PixelNetwork
from eyebright.models.zoo import IMAGENET_MEAN, IMAGENET_STD, timm, torchvision_models

END, MEAN, STD, CHANNELS = "end", "input_mean", "input_std", "input_channels"  # of an architecture's arguments
# torchvision's weights want [-1, 1], whatever its transforms say: its networks then turn their input into it (transform_input).
HALVES = ("torchvision:googlenet", "torchvision:inception_v3")
AUXILIARY = ("aux1.", "aux2.", "AuxLogits.")  # GoogLeNet's and Inception's extra classifiers, which only training uses


class Reversed(nn.Module):
    """Red, green, blue to blue, green, red."""

    def forward(self, pixels: Tensor) -> Tensor:
        return pixels.flip(1)


def first_layer(arguments: Mapping[str, Any]) -> tuple[dict[str, Any], nn.Module | None]:
    """What of an architecture's ``arguments`` a builder is to be told, and the first layer they ask for (None: its own).

    That layer is ``(pixel - mean) / std`` for pixels in [0, 1], channels in the network's own order. Raises ``SettingsError``
    for arguments that describe none.
    """
    rest = {key: value for key, value in arguments.items() if key not in (MEAN, STD, CHANNELS)}
    if len(rest) == len(arguments):
        return rest, None
    mean, std, channels = arguments.get(MEAN), arguments.get(STD), arguments.get(CHANNELS, "rgb")
    planes = 1 if channels == "grey" else 3
    told = isinstance(mean, list) and isinstance(std, list) and len(mean) == len(std) == planes
    if mean is None or std is None or not told or channels not in _ORDERS or 0 in std:
        raise SettingsError(
            f"The first layer has the mean {mean!r}, the std {std!r} and the channels {channels!r}; two lists of {planes} "
            "numbers, none of the second zero, and rgb, bgr or grey were expected."
        )
    return rest, nn.Sequential(*_ORDERS[channels](), Normalise(mean, std))


_ORDERS: dict[str, Callable[[], list[nn.Module]]] = {
    "rgb": list,
    "bgr": lambda: [Reversed()],
    "grey": lambda: [Luminance()],
}


class SqueezeNet(Classifier):
    """A whole SqueezeNet of torchvision's. Features are the means of its last maps, [n, 512]."""

    def __init__(self, prepare: nn.Module, network: nn.Module) -> None:
        super().__init__()
        self.prepare = prepare
        self.network = network

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        maps = self.network.get_submodule("features")(self.prepare(pixels))
        # n classes 1 1 -> n classes: convolution, ReLU, and the mean over places
        return self.network.get_submodule("classifier")(maps).flatten(1), maps.mean(dim=(2, 3))


def ends_otherwise(architecture: str) -> bool:
    """Whether the network called ``architecture`` (a full name) does not end in a dense layer."""
    return architecture.startswith("torchvision:squeezenet")


def squeezenet(name: str, classes: int) -> SqueezeNet:
    """torchvision's ``name`` with its own classifier, without weights."""
    return SqueezeNet(Normalise(IMAGENET_MEAN, IMAGENET_STD), _torchvision(name, classes, None))


def whole(architecture: str, classes: int, size: int | None) -> nn.Module | None:
    """The publisher's network with its own last layer, logits out of normalised pixels; None for a network of ours."""
    family, _, name = architecture.partition(":")
    if family == "torchvision" and name:
        return _torchvision(name, classes, size)
    if family == "timm" and name:
        return _timm(name, classes, size)
    return None


def _torchvision(name: str, classes: int, size: int | None) -> nn.Module:
    extra = {"aux_logits": False, "init_weights": False} if name in ("googlenet", "inception_v3") else {}
    bound = {"image_size": size} if name.startswith("vit_") and size else {}
    network: nn.Module = torchvision_models().get_model(name, weights=None, num_classes=classes, **extra, **bound)
    return network


def _timm(name: str, classes: int, size: int | None) -> nn.Module:
    try:
        network: nn.Module = timm().create_model(
            name, pretrained=False, num_classes=classes, **({"img_size": size} if size else {})
        )
    except TypeError:  # a network that takes any size and has no argument for it
        network = timm().create_model(name, pretrained=False, num_classes=classes)
    return network


@dataclasses.dataclass(frozen=True)
class Fed:
    """How a publisher feeds a network: sides in pixels, the share of the fitted picture that is kept, the resampling filter."""

    size: tuple[int, int]
    resize: Literal["squash", "crop", "letterbox"]
    crop_fraction: float
    resampler: Literal["pillow-bicubic", "pillow-bilinear"]
    origin: str


def fed_as(architecture: str) -> Fed | None:
    """What the publisher says of the network called ``architecture`` (a full name); None where nobody says anything."""
    family, _, name = architecture.partition(":")
    if family == "timm" and name:
        return _timm_fed(name)
    return _torchvision_fed(name) if family == "torchvision" and name else None


def _timm_fed(name: str) -> Fed | None:
    config = timm().get_pretrained_cfg(name)
    if config is None:
        return None
    resize: dict[str, Literal["squash", "crop", "letterbox"]] = {"squash": "squash", "border": "letterbox"}
    return Fed(
        size=(int(config.input_size[-2]), int(config.input_size[-1])),
        resize=resize.get(config.crop_mode or "", "crop"),
        crop_fraction=float(config.crop_pct or 0.875),  # timm's own default
        resampler="pillow-bilinear" if config.interpolation == "bilinear" else "pillow-bicubic",
        origin="timm's configuration",
    )


def _torchvision_fed(name: str) -> Fed:
    transforms = torchvision_models().get_model_weights(name).DEFAULT.transforms()
    cut, fitted = int(transforms.crop_size[0]), int(transforms.resize_size[0])
    return Fed(
        size=(cut, cut),
        resize="crop",
        crop_fraction=min(1.0, cut / fitted),
        resampler="pillow-bilinear" if transforms.interpolation.value == "bilinear" else "pillow-bicubic",
        origin="torchvision's transforms",
    )


def normalised_by(network: Classifier) -> tuple[list[float], list[float]] | None:
    """Mean and std of the network's own first layer, None where it is of another kind."""
    prepare = network.prepare if isinstance(network, PixelNetwork | SqueezeNet) else None
    if not isinstance(prepare, Normalise):
        return None
    return prepare.mean.flatten().tolist(), prepare.std.flatten().tolist()
