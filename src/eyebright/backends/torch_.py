"""A network of ours as a predictor, in torch."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from eyebright.core.arrays import Pixels
from eyebright.core.bundle import Architecture
from eyebright.core.errors import ModelError
from eyebright.core.predictor import LayerMaps, Outputs
from eyebright.models.catalogue import build_classifier
from eyebright.models.ensemble import Ensemble
from eyebright.models.network import Classifier, load_weights
from eyebright.models.places import last_maps


class TorchPredictor:
    """Logits and features of a network in fp32; it can also give gradients, and the maps of its last layer with places."""

    form = "torch"

    def __init__(self, network: Classifier, classes: tuple[str, ...], *, device: str = "cpu") -> None:
        self.network = network.eval().to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.classes = classes
        self._device = device

    def __call__(self, pixels: Pixels) -> Outputs:
        """The outputs for pixels in [0, 1], one row a picture."""
        with torch.no_grad():
            logits, features = self.network(self._tensor(pixels))
        return Outputs(logits.float().cpu().numpy(), features.float().cpu().numpy())

    def gradient(self, pixels: Pixels, target: int) -> Pixels:
        """The gradient of the class ``target``'s logit by each pixel, in the pixels' shape."""
        batch = self._tensor(pixels).requires_grad_(True)
        with torch.enable_grad():
            score = self.network(batch)[0][:, target].sum()
        (slope,) = torch.autograd.grad(score, batch)
        found: Pixels = slope.cpu().numpy()
        return found

    def maps(self, pixels: Pixels, target: int) -> tuple[LayerMaps, ...]:
        """The last layer with places, as ``core.predictor.Layered`` says; empty where a member has none."""
        batch = self._tensor(pixels)
        if isinstance(self.network, Ensemble):
            parts = list(zip(self.network.members, self.network.temperatures.tolist(), strict=True))
        else:
            parts = [(self.network, 1.0)]
        found = [last_maps(member, batch, _log_odds(target, temperature)) for member, temperature in parts]
        known = [pair for pair in found if pair is not None]
        return tuple(LayerMaps(*map(_numpy, pair)) for pair in known) if len(known) == len(found) else ()

    def _tensor(self, pixels: Pixels) -> torch.Tensor:
        tensor = torch.from_numpy(np.ascontiguousarray(pixels, dtype=np.float32)).to(self._device)
        return tensor.contiguous(memory_format=torch.channels_last)


def _log_odds(target: int, temperature: float) -> Callable[[tuple[torch.Tensor, torch.Tensor]], torch.Tensor]:
    """The target's logit less the log-sum-exp of the others, over ``temperature``, summed over the pictures."""

    def score(outputs: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        logits = outputs[0] / temperature
        if logits.shape[1] == 1:  # nothing speaks for or against the only class
            return 0.0 * logits.sum()
        own = torch.arange(logits.shape[1], device=logits.device) == target
        return (logits[:, target] - logits.masked_fill(own, -torch.inf).logsumexp(dim=1)).sum()

    return score


def _numpy(tensor: torch.Tensor) -> np.ndarray:
    return np.ascontiguousarray(tensor.float().cpu().numpy())


def load_network(path: Path, architecture: Architecture, classes: int) -> Classifier:
    """The network rebuilt from its architecture, with the weights in ``path``.

    Raises ``ModelError`` where the weights are damaged or are not this architecture's.
    """
    try:
        with torch.random.fork_rng(devices=[]):
            network = build_classifier(architecture, classes)
        load_weights(network, load_file(path))
    except (SafetensorError, RuntimeError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise ModelError(
            f"{path} does not hold the weights of {architecture.name}: {reason}. Copy or train the bundle again."
        ) from None
    return network
