"""Every network by name, and building one from the architecture that a manifest holds."""

from pathlib import Path
from typing import Any

import torch

from eyebright.core.bundle import Architecture
from eyebright.core.errors import DataError, ModelError, SettingsError
from eyebright.core.registry import Registry, unknown
from eyebright.models.names import BUILT_IN, MODELS, PRETRAINED, ModelInfo, plugged_in
from eyebright.models.network import PixelNetwork

_FAMILIES = {"timm": "eyebright.models.zoo:timm_network", "torchvision": "eyebright.models.zoo:torchvision_network"}


def list_architectures() -> list[ModelInfo]:
    """The built-in networks, plug-ins, then all of timm's and torchvision's."""
    from eyebright.models import zoo

    fetched = set(zoo.timm().list_models(pretrained=True))
    pretrained = {name.split(".")[0] for name in fetched}
    timm = [ModelInfo(f"timm:{n}", "timm", "download" if n in pretrained else "none") for n in zoo.timm_names()]
    return [
        *BUILT_IN,
        *plugged_in(),
        *timm,
        *(ModelInfo(f"torchvision:{n}", "torchvision", "download") for n in zoo.torchvision_names()),
    ]


def check_name(name: str) -> None:
    """Raises ``SettingsError``, with the nearest names, where no model is called ``name``."""
    from eyebright.models import zoo

    family, _, rest = name.partition(":")
    known = {"timm": zoo.timm_names, "torchvision": zoo.torchvision_names}
    if family in known and rest:
        names = known[family]()
        if rest.split(".")[0] not in names:
            raise SettingsError(unknown("model", name, [f"{family}:{one}" for one in names]))
    elif name not in MODELS.targets():
        raise SettingsError(unknown("model", name, [*MODELS.targets(), "timm:NAME", "torchvision:NAME", "auto"]))


def build(architecture: Architecture, classes: int) -> PixelNetwork:
    """The network, with initial weights drawn from torch's current generator. Raises ``SettingsError`` for an unknown name."""
    family, _, name = architecture.name.partition(":")
    arguments: dict[str, Any] = dict(architecture.arguments)
    if family in _FAMILIES and name:
        network = Registry("model", {family: _FAMILIES[family]}).load(family)(classes, name=name, **arguments)
    elif architecture.name in MODELS.targets():
        network = MODELS.load(architecture.name)(classes, **arguments)
    else:
        raise SettingsError(unknown("model", architecture.name, [*MODELS.targets(), "timm:NAME", "torchvision:NAME", "auto"]))
    assert isinstance(network, PixelNetwork)
    return network


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
    from eyebright.models import lite0, zoo

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
