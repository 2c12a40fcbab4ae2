"""Every network by name, and building one from the architecture that a manifest holds."""

import inspect
from pathlib import Path
from typing import Any

import torch

from eyebright.core.bundle import Architecture
from eyebright.core.errors import DataError, ModelError, SettingsError
from eyebright.core.registry import Registry, nearest, unknown
from eyebright.models import lenet, lite0, published, resnet_cifar, zoo
from eyebright.models.ensemble import ENSEMBLE, Ensemble
from eyebright.models.handcrafted.names import is_handcrafted, parse
from eyebright.models.names import BUILT_IN, CRAFTED, MODELS, PRETRAINED, SHORT, ModelInfo, full_name, plugged_in
from eyebright.models.network import Classifier, PixelNetwork

_SIZES = {
    "lite0": lite0.SIZE,
    "lenet": lenet.SIZE,
    **{f"resnet{depth}-cifar": resnet_cifar.SIZE for depth in resnet_cifar.DEPTHS},
}
_FAMILIES = {"timm": "eyebright.models.zoo:timm_network", "torchvision": "eyebright.models.zoo:torchvision_network"}


def list_architectures() -> list[ModelInfo]:
    """The built-in networks, the short names, plug-ins, then all of timm's and torchvision's."""
    fetched = set(zoo.timm().list_models(pretrained=True))
    pretrained = {name.split(".")[0] for name in fetched}
    timm = [ModelInfo(f"timm:{n}", "timm", "download" if n in pretrained else "none") for n in zoo.timm_names()]
    return [
        *BUILT_IN,
        *SHORT,
        *CRAFTED,
        *plugged_in(),
        *timm,
        *(ModelInfo(f"torchvision:{n}", "torchvision", "download") for n in zoo.torchvision_names()),
    ]


def resolve(name: str) -> str:
    """The full name of the model called ``name``, which is what a manifest keeps: ``resnet50`` is ``timm:resnet50``.

    Raises ``SettingsError``, with the nearest names, where there is none.
    """
    check_name(name)
    return parse(name).name if is_handcrafted(name) else full_name(name)


def check_name(name: str) -> None:
    """Raises ``SettingsError``, with the nearest names, where no model is called ``name``."""
    if is_handcrafted(name):
        return
    family, _, rest = full_name(name).partition(":")
    if family in _FAMILIES and rest:
        if not _in_family(family, rest):
            raise SettingsError(unknown("model", name, [f"{family}:{one}" for one in _names_in(family)]))
    elif name not in MODELS.targets():
        raise SettingsError(_unknown(name))


def _names_in(family: str) -> list[str]:
    return zoo.timm_names() if family == "timm" else zoo.torchvision_names()


def _in_family(family: str, name: str) -> bool:
    own = name.split(".", maxsplit=1)[0] if family == "timm" else name  # timm's names may end in a tag of the weights
    return own in _names_in(family)


def _unknown(name: str) -> str:
    """The sentence for a name that nobody has; where only the family is missing, it says which."""
    if full := [f"{family}:{name}" for family in _FAMILIES if _in_family(family, name)]:
        return f"Unknown model {name!r}. Did you mean {' or '.join(full)}?"
    usual = [*MODELS.targets(), "timm:NAME", "torchvision:NAME", "auto"]
    every = [*usual, *(info.name for info in (*SHORT, *CRAFTED))]
    return unknown("model", name, every if nearest(name, every) else usual)


def own_size(name: str) -> int | None:
    """The side in pixels that a network was made for, None for one that takes any. Raises ``SettingsError`` as ``resolve``."""
    name = resolve(name)
    return _SIZES.get(name) if name in MODELS.targets() else zoo.input_size(name)


def build(architecture: Architecture, classes: int) -> PixelNetwork:
    """The network, with initial weights drawn from torch's current generator.

    ``input_mean``, ``input_std`` and ``input_channels`` among the arguments stand for the network's own first layer.

    Raises ``SettingsError`` for an unknown name, and for an argument that the network cannot obey.
    """
    full = full_name(architecture.name)
    family, _, name = full.partition(":")
    arguments, first = published.first_layer(architecture.arguments)
    if family in _FAMILIES and name:
        network = Registry("model", {family: _FAMILIES[family]}).load(family)(classes, name=name, **arguments)
    elif full in MODELS.targets():
        network = _build_own(full, classes, arguments)
    else:
        raise SettingsError(_unknown(full))
    assert isinstance(network, PixelNetwork)
    if first is not None:
        network.prepare = first
    return network


def build_classifier(architecture: Architecture, classes: int) -> Classifier:
    """The network, or the ensemble, that a manifest describes. Raises ``SettingsError`` as ``build`` does.

    The argument ``end`` is ``published`` for a network that keeps its publisher's last layers, as imported weights need it.
    """
    if architecture.arguments.get(published.END) == "published":
        return _build_whole(architecture, classes)
    if architecture.name != ENSEMBLE:
        return build(architecture, classes)
    temperatures = architecture.arguments.get("temperatures")
    if not architecture.members or not isinstance(temperatures, list) or len(temperatures) != len(architecture.members):
        raise SettingsError(
            f"An ensemble of {len(architecture.members)} members was found with {temperatures!r} for temperatures; one number "
            "for each of one member or more was expected."
        )
    return Ensemble([build(member, classes) for member in architecture.members], temperatures)


def _build_whole(architecture: Architecture, classes: int) -> Classifier:
    full = resolve(architecture.name)
    if not published.ends_otherwise(full):
        raise SettingsError(f"{full} was found with its publisher's last layers; only SqueezeNet is built so.")
    network = published.squeezenet(full.partition(":")[2], classes)
    _, first = published.first_layer(architecture.arguments)
    if first is not None:
        network.prepare = first
    return network


def _build_own(name: str, classes: int, arguments: dict[str, Any]) -> Any:
    builder = MODELS.load(name)
    if "drop_path" not in inspect.signature(builder).parameters and arguments.pop("drop_path", None):
        raise SettingsError(zoo.no_stochastic_depth(name))
    return builder(classes, **arguments)


def build_seeded(architecture: Architecture, classes: int, seed: int) -> PixelNetwork:
    """The network with initial weights that ``seed`` decides; torch's own generator is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build(architecture, classes)


def load_pretrained(network: PixelNetwork, name: str, weights: str) -> str:
    """Loads pretrained weights into the backbone and returns their origin in words.

    ``weights`` is ``auto`` (installed or fetched), ``none``, or a file: safetensors, or a torch checkpoint read with
    ``weights_only=True``. Raises ``DataError`` for a missing file and ``ModelError`` for one that does not fit.
    """
    name = full_name(name)
    if weights == "none" or (weights == "auto" and name in MODELS.targets() and name not in PRETRAINED):
        return "initial weights, trained from scratch"
    if weights != "auto":
        zoo.load_backbone(network, read_weights(Path(weights)), origin=weights)
        return f"the file {Path(weights).name}"
    if name == "lite0":
        return lite0.load_pretrained(network)
    return zoo.fetch_pretrained(network, name)


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """The tensors in a safetensors file or a torch checkpoint. No code is run: pickled objects are refused."""
    from safetensors.torch import load_file

    if not path.is_file():
        raise DataError(f"{path} does not exist. --weights takes a file (.safetensors, .pth), auto or none.")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle fails in any way: IndexError, struct.error, AssertionError ...
        raise ModelError(
            f"{path} is no file of tensors ({type(error).__name__}). Give safetensors, or a torch state dict."
        ) from None
    state = state.get("state_dict", state) if isinstance(state, dict) else state
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise ModelError(f"{path} does not hold a table of tensors. Give safetensors, or a torch state dict.")
    return state
