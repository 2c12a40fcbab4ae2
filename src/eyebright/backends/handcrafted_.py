"""A handcrafted model's file as a predictor: needs numpy alone."""

from pathlib import Path

import numpy as np

from eyebright.core.arrays import Pixels
from eyebright.core.predictor import Outputs
from eyebright.models.handcrafted.model import HandcraftedModel, load_model


class HandcraftedPredictor:
    """Logits and features of a handcrafted model, on this computer's processor."""

    form = "handcrafted"

    def __init__(self, model: HandcraftedModel, classes: tuple[str, ...]) -> None:
        self.model = model
        self.classes = classes

    @classmethod
    def open(cls, path: Path, classes: tuple[str, ...]) -> "HandcraftedPredictor":
        """The predictor in the file ``path``. Raises ``ModelError`` where it is damaged or for other classes."""
        return cls(load_model(path, len(classes)), classes)

    def __call__(self, pixels: Pixels) -> Outputs:
        """The outputs for pixels in [0, 1], one row a picture."""
        return Outputs(*self.model(np.ascontiguousarray(pixels, dtype=np.float32)))
