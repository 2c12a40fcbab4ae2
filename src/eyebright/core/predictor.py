"""A model is a function from pixels to logits: the protocols that every backend fulfils."""

import dataclasses
from typing import Protocol, runtime_checkable

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
