"""A model is a function from pixels to logits: the protocols that every backend fulfils."""

import dataclasses
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32

from eyebright.core.arrays import Features, Logits, Pixels


@dataclasses.dataclass(frozen=True)
class Outputs:
    """What one call gives: ``logits`` and, where the form can give them, ``features`` (the penultimate layer)."""

    logits: Logits
    features: Features | None = None


@runtime_checkable
class Predictor(Protocol):
    """A model in any form. Normalisation, grey conversion and memory layout are inside it."""

    classes: tuple[str, ...]
    form: str

    def __call__(self, pixels: Pixels) -> Outputs:
        """The outputs for pixels in [0, 1], one row a picture."""
        ...


@runtime_checkable
class Differentiable(Predictor, Protocol):
    """A predictor that can also give gradients."""

    def gradient(self, pixels: Pixels, target: int) -> Pixels:
        """The gradient of the target class's logit by each pixel, in the pixels' shape."""
        ...


@dataclasses.dataclass(frozen=True)
class LayerMaps:
    """What a layer holds at each place of each picture, and how fast the target's log-odds rise with it."""

    activations: Float32[np.ndarray, "n channels rows columns"]
    gradients: Float32[np.ndarray, "n channels rows columns"]


@runtime_checkable
class Layered(Predictor, Protocol):
    """A predictor whose last layer with places can be seen."""

    def maps(self, pixels: Pixels, target: int) -> tuple[LayerMaps, ...]:
        """The maps of that layer, one entry a member of an ensemble. Empty where the network keeps no places.

        Gradients are those of the target's log-odds: its logit less the log-sum-exp of the others. The same number added to
        every logit changes no answer, and changes no map. A member's logits are divided by its temperature.
        """
        ...
