"""A network of ours as a predictor, in torch."""

from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from eyebright.core.arrays import Pixels
from eyebright.core.bundle import Architecture
from eyebright.core.errors import ModelError
from eyebright.core.predictor import Outputs
from eyebright.models.catalogue import build_classifier
from eyebright.models.network import Classifier


class TorchPredictor:
    """Logits and features of a network in fp32; it can also give gradients."""

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

    def _tensor(self, pixels: Pixels) -> torch.Tensor:
        tensor = torch.from_numpy(np.ascontiguousarray(pixels, dtype=np.float32)).to(self._device)
        return tensor.contiguous(memory_format=torch.channels_last)


def load_network(path: Path, architecture: Architecture, classes: int) -> Classifier:
    """The network rebuilt from its architecture, with the weights in ``path``.

    Raises ``ModelError`` where the weights are damaged or are not this architecture's.
    """
    try:
        with torch.random.fork_rng(devices=[]):
            network = build_classifier(architecture, classes)
        network.load_state_dict(load_file(path))
    except (SafetensorError, RuntimeError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise ModelError(
            f"{path} does not hold the weights of {architecture.name}: {reason}. Copy or train the bundle again."
        ) from None
    return network
