"""A training state in one file: tensors and, in the same file's metadata, the rest as JSON. So the two never disagree."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from eyebright.core.errors import DataError
from eyebright.core.files import write_bytes


def save_checkpoint(path: Path, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
    """Replaces the checkpoint in one step: after a power cut the old one or the new one is there, whole."""
    plain = {name: tensor.detach().contiguous() for name, tensor in tensors.items()}
    write_bytes(path, save(plain, metadata={"state": json.dumps(state)}))


def load_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and state. Raises ``DataError`` where the file is damaged."""
    try:
        with safe_open(path, framework="pt") as file:
            state = json.loads((file.metadata() or {})["state"])
            return {name: file.get_tensor(name) for name in file.keys()}, state  # noqa: SIM118 - not a dict
    except (SafetensorError, KeyError, ValueError, OSError) as error:
        raise DataError(f"{path} is not a whole checkpoint ({error}). Delete it to repeat its stage.") from None


def network_tensors(network: nn.Module, prefix: str) -> dict[str, Tensor]:
    """The network's parameters and buffers, named with ``prefix``."""
    return {f"{prefix}/{name}": tensor for name, tensor in network.state_dict().items()}


def restore_network(network: nn.Module, tensors: dict[str, Tensor], prefix: str) -> None:
    """Copies the tensors named with ``prefix`` into the network, in place, so that memory layouts stay."""
    start = f"{prefix}/"
    network.load_state_dict({name.removeprefix(start): value for name, value in tensors.items() if name.startswith(start)})


def optimiser_tensors(network: nn.Module, optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimiser's state by parameter name."""
    return {
        f"optimiser/{name}/{key}": torch.as_tensor(value)
        for name, parameter in network.named_parameters()
        for key, value in optimiser.state.get(parameter, {}).items()
    }


def restore_optimiser(network: nn.Module, optimiser: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Puts the state back. Moments take their parameter's memory layout, so that every sum is made in the same order."""
    parameters = dict(network.named_parameters())
    for name, value in tensors.items():
        if not name.startswith("optimiser/"):
            continue
        _, parameter_name, key = name.split("/")
        parameter = parameters[parameter_name]
        same_shape = value.shape == parameter.shape and value.ndim > 0
        optimiser.state[parameter][key] = torch.empty_like(parameter, dtype=value.dtype).copy_(value) if same_shape else value
