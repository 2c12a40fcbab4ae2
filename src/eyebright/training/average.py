"""The average of the weights over the last steps: often a better network than the last step's, for the price of an addition."""

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor, nn

PREFIX = "average"  # of its tensors in a checkpoint


class WeightAverage:
    """An exponential moving average of what training changes in a network: learned parameters and running statistics.

    After step t it keeps min(decay, (1 + t) / (10 + t)) of itself and takes the rest from the network, so that the initial
    weights are soon forgotten (the rule of TensorFlow's ``ExponentialMovingAverage`` with ``num_updates``). Running statistics
    of batch norms are averaged alike, so that they belong to the averaged weights, as in timm's ``ModelEmaV2``; their counters
    are left to the network. Parameters that are frozen are not kept twice.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self._live = dict(_changing(network))
        self._kept = {name: tensor.detach().clone() for name, tensor in self._live.items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Takes in the network as it is after step ``step``, counted from 0."""
        share = 1 - min(self.decay, (1 + step) / (10 + step))
        for name, tensor in self._live.items():
            self._kept[name].lerp_(tensor, share)

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """The network has the averaged weights within; its own come back to the last bit."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    @torch.no_grad()
    def apply(self) -> None:
        """Leaves the averaged weights in the network."""
        for name, tensor in self._live.items():
            tensor.copy_(self._kept[name])

    @torch.no_grad()
    def _swap(self) -> None:
        for name, tensor in self._live.items():
            own = tensor.clone()
            tensor.copy_(self._kept[name])
            self._kept[name].copy_(own)

    def tensors(self) -> dict[str, Tensor]:
        """The average, named for a checkpoint."""
        return {f"{PREFIX}/{name}": tensor for name, tensor in self._kept.items()}

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Takes the average from a checkpoint's tensors, in place, so that memory layouts stay."""
        for name, kept in self._kept.items():
            kept.copy_(tensors[f"{PREFIX}/{name}"])


def _changing(network: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Learned parameters and floating buffers that are part of the state: not the constants of a normalisation."""
    stored = network.state_dict()
    yield from ((name, parameter) for name, parameter in network.named_parameters() if parameter.requires_grad)
    yield from ((name, buffer) for name, buffer in network.named_buffers() if name in stored and buffer.is_floating_point())
