"""The one shape that every network here has: pixels in [0, 1] in, logits and features out, normalisation inside."""

import copy
from collections.abc import Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

# ITU-R BT.601, the weights of Pillow's "L" mode: a grey picture stays what the decoder made of it.
LUMINANCE = (0.299, 0.587, 0.114)


class Normalise(nn.Module):
    """Pixels minus ``mean``, over ``std``, channel by channel."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        # n 3 h w: the statistics broadcast over pictures and places
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32).reshape(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32).reshape(1, -1, 1, 1), persistent=False)

    def forward(self, pixels: Tensor) -> Tensor:
        return (pixels - self.mean) / self.std


class Luminance(nn.Module):
    """Three channels to one: the fixed first layer of a grey model."""

    weights: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("weights", torch.tensor(LUMINANCE).reshape(1, 3, 1, 1), persistent=False)

    def forward(self, pixels: Tensor) -> Tensor:
        return (pixels * self.weights).sum(dim=1, keepdim=True)  # n 3 h w -> n 1 h w


class Classifier(nn.Module):
    """Anything that gives logits [n, classes] and features [n, width] for pixels [n, 3, height, width]."""

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        raise NotImplementedError


class FrozenStages(Protocol):
    """What computes the first, frozen stages of a network by quicker means than the network itself, for as long as it can."""

    stages: int

    def __call__(self, pixels: Tensor) -> Sequence[Tensor] | None:
        """What the backbone's ``first_stages`` gives for ``pixels`` in [0, 1], or None where the network is to do it."""


class PixelNetwork(Classifier):
    """``head(backbone(prepare(pixels)))``: logits [n, classes] and features [n, width] from pixels [n, 3, height, width].

    ``backbone`` ends in features, ``head`` is the last linear layer, ``dropout`` acts on the features in training only.
    ``begins`` says that the network wants to see pictures before its first step. ``frozen_stages`` is set while the backbone's
    first part is frozen and computed elsewhere; copies share it.
    """

    begins = False
    frozen_stages: FrozenStages | None = None

    def __init__(self, prepare: nn.Module, backbone: nn.Module, head: nn.Linear, *, dropout: float = 0.0) -> None:
        super().__init__()
        self.prepare = prepare
        self.backbone = backbone
        self.dropout = nn.Dropout(dropout)
        self.head = head

    def begin(self, pixels: Tensor) -> None:
        """Reads off ``pixels`` [n, 3, height, width] what is not learned by gradients; called where ``begins``."""

    def embed(self, pixels: Tensor) -> Tensor:
        """The features of each picture, [n, width]."""
        begun = None if self.frozen_stages is None else self.frozen_stages(pixels)
        features: Tensor = self.backbone(self.prepare(pixels)) if begun is None else self._from(begun)
        return features

    def _from(self, begun: Sequence[Tensor]) -> Tensor:
        assert self.frozen_stages is not None
        features: Tensor = self.backbone.other_stages(begun, self.frozen_stages.stages)  # type: ignore[operator]  # of what has one
        return features

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        features = self.embed(pixels)
        return self.head(self.dropout(features)), features

    def blocks(self) -> list[nn.Module]:
        """The backbone's parts with parameters, from the input to the output; containers are opened one level."""
        parts: list[nn.Module] = []
        for child in self.backbone.children():
            opened = isinstance(child, nn.Sequential | nn.ModuleList)
            parts.extend(child.children() if opened else [child])
        return [part for part in parts if any(True for _ in part.parameters())]


def load_weights(network: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Copies ``tensors`` into ``network``, none missing and none too many.

    The versions of the network's parts go with them: some (torchvision's MNASNet) take weights without one for an older kind.
    Raises ``RuntimeError`` as torch does where names or shapes differ.
    """
    state = copy.copy(network.state_dict())
    state.clear()
    state.update(tensors)
    network.load_state_dict(state)


def parameter_count(network: nn.Module) -> int:
    """How many numbers the network learns or has learned."""
    return sum(parameter.numel() for parameter in network.parameters())
