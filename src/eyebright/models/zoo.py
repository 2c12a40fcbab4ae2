"""timm's and torchvision's classification networks, by name, in the one shape of ``PixelNetwork``."""

import functools
import warnings
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from eyebright.core.errors import MissingExtraError, ModelError, SettingsError
from eyebright.core.registry import unknown
from eyebright.models.network import Normalise, PixelNetwork

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_schemas: list[torch.library.Library] = []  # a library's schemas live as long as the library object


def _declare_missing_operators() -> None:
    """Makes a torchvision that was built for CUDA importable beside a CPU build of torch.

    Its import registers shapes for two operators that such a build lacks; declaring their schemas first is enough.
    """
    if torch.version.cuda is not None or _schemas:
        return
    declared = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
    for name, signature in (
        ("nms", "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"),
        ("qnms", "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"),
    ):
        if not hasattr(torch.ops.torchvision, name):
            declared.define(signature)  # type: ignore[no-untyped-call]
    _schemas.append(declared)


@functools.cache
def timm() -> Any:
    """The package timm. Raises ``MissingExtraError`` where it is not installed."""
    _declare_missing_operators()
    try:
        import timm as package
    except ModuleNotFoundError:
        raise MissingExtraError.for_extra("train", "timm's networks") from None
    return package


@functools.cache
def torchvision_models() -> Any:
    """The module torchvision.models. Raises ``MissingExtraError`` where torchvision is not installed."""
    _declare_missing_operators()
    try:
        import torchvision.models as package
    except ModuleNotFoundError:
        raise MissingExtraError.for_extra("train", "torchvision's networks") from None
    return package


def timm_names() -> list[str]:
    """Every network that timm can build."""
    names: list[str] = timm().list_models()
    return names


def torchvision_names() -> list[str]:
    """Every classification network that torchvision can build."""
    package = torchvision_models()
    names: list[str] = package.list_models(module=package)  # without segmentation, detection, video and quantized networks
    return names


def timm_network(classes: int, *, name: str, size: int | None = None, dropout: float = 0.0) -> PixelNetwork:
    """A timm network without weights of its own. ``size`` is passed on where the network is bound to one (ViT and kin)."""
    if name.split(".", maxsplit=1)[0] not in timm_names():
        raise SettingsError(unknown("model", f"timm:{name}", [f"timm:{known}" for known in timm_names()]))
    try:
        backbone = timm().create_model(name, num_classes=0, pretrained=False, **({"img_size": size} if size else {}))
    except TypeError:
        backbone = timm().create_model(name, num_classes=0, pretrained=False)  # not bound to a size
    config = backbone.pretrained_cfg
    width = getattr(backbone, "head_hidden_size", None) or backbone.num_features
    return PixelNetwork(
        Normalise(config.get("mean", IMAGENET_MEAN), config.get("std", IMAGENET_STD)),
        backbone,
        nn.Linear(width, classes),
        dropout=dropout,
    )


def torchvision_network(classes: int, *, name: str, size: int | None = None, dropout: float = 0.0) -> PixelNetwork:
    """A torchvision network without weights. Its last layer gives way to ours; auxiliary classifiers are left out."""
    if name not in torchvision_names():
        raise SettingsError(unknown("model", f"torchvision:{name}", [f"torchvision:{known}" for known in torchvision_names()]))
    arguments: dict[str, Any] = {"weights": None}
    if name in ("googlenet", "inception_v3"):
        arguments |= {"aux_logits": False, "init_weights": True}
    if name.startswith("vit_") and size:
        arguments["image_size"] = size
    backbone = torchvision_models().get_model(name, **arguments)
    width = _open_end(backbone, name)
    return PixelNetwork(Normalise(IMAGENET_MEAN, IMAGENET_STD), backbone, nn.Linear(width, classes), dropout=dropout)


def _open_end(backbone: nn.Module, name: str) -> int:
    """Replaces the last classifying layer by the identity; returns the width of what then comes out."""
    path = (
        "classifier.1"
        if name.startswith("squeezenet")
        else [key for key, part in backbone.named_modules() if isinstance(part, nn.Linear)][-1]
    )
    layer = backbone.get_submodule(path)
    parent, _, leaf = path.rpartition(".")
    setattr(backbone.get_submodule(parent), leaf, nn.Identity())
    return int(layer.in_channels if isinstance(layer, nn.Conv2d) else layer.in_features)  # type: ignore[arg-type]  # known to be int


def input_size(architecture: str) -> int:
    """The side in pixels that a network was made for; 224 where it does not say."""
    family, _, name = architecture.partition(":")
    if family == "timm":
        config = timm().get_pretrained_cfg(name)
        if config is None:
            raise SettingsError(unknown("model", architecture, [f"timm:{known}" for known in timm_names()]))
        return int(config.input_size[-1])
    return 299 if name == "inception_v3" else 224


def fetch_pretrained(network: PixelNetwork, architecture: str) -> str:
    """Loads the publisher's pretrained weights into the backbone, over the network. Returns where they came from.

    Raises ``ModelError`` with the way round where they cannot be fetched.
    """
    family, _, name = architecture.partition(":")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the hub's advice about tokens and symlinks is not for our users
            state = _timm_weights(name) if family == "timm" else _torchvision_weights(name)
    except Exception as error:
        raise ModelError(
            f"The pretrained weights of {architecture} could not be fetched ({type(error).__name__}). "
            "Without a network: give a file with --weights FILE, use --model lite0 whose weights are installed, "
            "or train from scratch with --weights none."
        ) from error
    load_backbone(network, state, origin=architecture)
    return f"{family}'s published weights for {name}"


def _timm_weights(name: str) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = timm().create_model(name, pretrained=True).state_dict()
    return state


def _torchvision_weights(name: str) -> dict[str, torch.Tensor]:
    weights = torchvision_models().get_model_weights(name).DEFAULT
    state: dict[str, torch.Tensor] = weights.get_state_dict(progress=False, check_hash=True, weights_only=True)
    return state


def load_backbone(network: PixelNetwork, state: dict[str, torch.Tensor], *, origin: str) -> None:
    """Loads ``state`` into the backbone; weights of a classifier that ours replaces are left out.

    Raises ``ModelError`` where a tensor of the backbone is missing or has another shape.
    """
    state = {key.removeprefix("module.").removeprefix("backbone."): value for key, value in state.items()}
    wanted = network.backbone.state_dict()
    missing = [key for key in wanted if key not in state]
    wrong = [key for key in wanted if key in state and state[key].shape != wanted[key].shape]
    if missing or wrong:
        raise ModelError(
            f"{origin} does not fit this network: {_some(missing)} missing, {_some(wrong)} of another shape. "
            "Give the weights of the same architecture."
        )
    network.backbone.load_state_dict({key: state[key] for key in wanted})


def _some(names: Sequence[str]) -> str:
    return f"{len(names)} tensors ({', '.join(names[:3])} ...)" if names else "none"
