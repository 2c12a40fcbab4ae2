"""timm's and torchvision's classification networks, by name, in the one shape of ``PixelNetwork``."""

import contextlib
import functools
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import nn

from eyebright.core.errors import MissingExtraError, ModelError, SettingsError
from eyebright.core.registry import unknown
from eyebright.models.network import Normalise, PixelNetwork, load_weights

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


def timm_network(
    classes: int, *, name: str, size: int | None = None, dropout: float = 0.0, drop_path: float | None = None
) -> PixelNetwork:
    """A timm network without weights of its own. ``size`` is passed on where the network is bound to one (ViT and kin).

    ``drop_path`` is the rate of stochastic depth (Huang et al. 2016) at the last block, rising from 0 at the first; None leaves
    what the publisher set. Raises ``SettingsError`` where the network has none, or cannot take pictures of ``size``.
    """
    if name.split(".", maxsplit=1)[0] not in timm_names():
        raise SettingsError(unknown("model", f"timm:{name}", [f"timm:{known}" for known in timm_names()]))
    _check_rate(drop_path)
    bound = {"img_size": size} if size else {}
    depth = {} if drop_path is None else {"drop_path_rate": drop_path}
    with _size_errors(f"timm:{name}", size):
        backbone = _created(name, bound | depth, depth, bound)
    if drop_path and not any(isinstance(part, timm().layers.DropPath) for part in backbone.modules()):
        raise SettingsError(no_stochastic_depth(f"timm:{name}"))
    config = backbone.pretrained_cfg
    width = getattr(backbone, "head_hidden_size", None) or backbone.num_features
    network = PixelNetwork(
        Normalise(config.get("mean", IMAGENET_MEAN), config.get("std", IMAGENET_STD)),
        backbone,
        nn.Linear(width, classes),
        dropout=dropout,
    )
    _check_size(network, f"timm:{name}", size)
    return network


def _created(name: str, *attempts: dict[str, Any]) -> Any:
    """timm's network with the first of ``attempts`` that it takes; with none of them where it knows neither size nor depth."""
    for options in attempts:
        try:
            return timm().create_model(name, num_classes=0, pretrained=False, **options)
        except TypeError:  # an argument that this network does not have
            continue
    return timm().create_model(name, num_classes=0, pretrained=False)


def torchvision_network(
    classes: int, *, name: str, size: int | None = None, dropout: float = 0.0, drop_path: float | None = None
) -> PixelNetwork:
    """A torchvision network without weights. Its last layer gives way to ours; auxiliary classifiers are left out.

    ``drop_path`` and what is raised are as for ``timm_network``.
    """
    if name not in torchvision_names():
        raise SettingsError(unknown("model", f"torchvision:{name}", [f"torchvision:{known}" for known in torchvision_names()]))
    _check_rate(drop_path)
    arguments: dict[str, Any] = {"weights": None}
    if name in ("googlenet", "inception_v3"):
        arguments |= {"aux_logits": False, "init_weights": True}
    if name.startswith("vit_") and size:
        arguments["image_size"] = size
    with _size_errors(f"torchvision:{name}", size):
        backbone = torchvision_models().get_model(name, **arguments)
    if drop_path is not None:
        _set_stochastic_depth(backbone, drop_path, name)
    width = _open_end(backbone, name)
    network = PixelNetwork(Normalise(IMAGENET_MEAN, IMAGENET_STD), backbone, nn.Linear(width, classes), dropout=dropout)
    _check_size(network, f"torchvision:{name}", size)
    return network


def _set_stochastic_depth(backbone: nn.Module, drop_path: float, name: str) -> None:
    """Scales the rates that the publisher set, so that the last block's is ``drop_path``. Not every builder has an argument."""
    from torchvision.ops import StochasticDepth

    layers = [part for part in backbone.modules() if isinstance(part, StochasticDepth)]
    most = max((layer.p for layer in layers), default=0.0)
    if drop_path and not most:
        raise SettingsError(no_stochastic_depth(f"torchvision:{name}"))
    for layer in layers:
        layer.p *= drop_path / most


def no_stochastic_depth(name: str) -> str:
    """The sentence for a network that cannot leave out blocks."""
    return (
        f"{name} has no stochastic depth to set. Leave out --drop-path, or take a network that has: efficientnet_b0, "
        "resnet50, deit_small."
    )


def _check_rate(drop_path: float | None) -> None:
    if drop_path is not None and not 0 <= drop_path < 1:
        raise SettingsError(f"--drop-path is {drop_path:g}; a rate of at least 0 and less than 1 was expected.")


@torch.no_grad()
def _check_size(network: PixelNetwork, name: str, size: int | None) -> None:
    """Raises ``SettingsError`` where the network cannot take pictures of ``size``: it asks with a black one.

    torch would say so too, but in its own words and in the middle of the first step.
    """
    if size is None or size == input_size(name):
        return
    with _size_errors(name, size):
        network.eval()(torch.zeros(1, 3, size, size))
    network.train()


@contextlib.contextmanager
def _size_errors(name: str, size: int | None) -> Iterator[None]:
    """Turns what a network says of a size that it was not made for into a ``SettingsError``."""
    try:
        yield
    except (RuntimeError, ValueError, AssertionError) as error:
        own = input_size(name)
        if size is None or size == own:
            raise
        reason = (str(error) or type(error).__name__).splitlines()[0].rstrip(".!")
        raise SettingsError(
            f"--size is {size}; {name} cannot take such pictures ({reason}). It was made for {own} pixels: "
            "give a --size nearer to it."
        ) from None


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
    load_weights(network.backbone, {key: state[key] for key in wanted})


def _some(names: Sequence[str]) -> str:
    return f"{len(names)} tensors ({', '.join(names[:3])} ...)" if names else "none"
