"""Whether two forms are the same model: the largest difference of a logit, and how often the first class agrees."""

import numpy as np

from eyebright.core.arrays import Logits, Pixels
from eyebright.core.bundle import Parity
from eyebright.core.errors import ModelError
from eyebright.core.predictor import Predictor

# Sums of products in another order differ by about 1e-6 of the logits' scale a layer; 1e-3 leaves room for deep networks.
TOLERANCE = 1e-3


def compare_logits(reference: Logits, found: Logits, *, name: str) -> Parity:
    """The parity figures of ``found`` beside the ``reference`` form called ``name``. Raises ``ModelError`` for NaN logits."""
    if not (np.isfinite(reference).all() and np.isfinite(found).all()):
        raise ModelError("Some logits are not finite numbers. The model is broken; train it again at a lower --learning-rate.")
    difference = float(np.abs(reference - found).max(initial=0.0))
    return Parity(
        reference=name,
        n=len(reference),
        max_difference=difference,
        agreement=float((reference.argmax(axis=1) == found.argmax(axis=1)).mean()),
    )


def allowed_difference(reference: Logits) -> float:
    """The largest difference of a logit that rounding explains: ``TOLERANCE`` of the logits' scale, and of one at least."""
    return TOLERANCE * max(1.0, float(np.abs(reference).max(initial=0.0)))


def require_parity(reference: Predictor, other: Predictor, pixels: Pixels) -> Parity:
    """The parity of ``other`` with ``reference`` on ``pixels``. Raises ``ModelError`` where they are not the same model."""
    expected = reference(pixels).logits
    parity = compare_logits(expected, other(pixels).logits, name=reference.form)
    if parity.max_difference > allowed_difference(expected):
        raise ModelError(
            f"The {other.form} form differs from {reference.form} by {parity.max_difference:.2g} in a logit; at most "
            f"{allowed_difference(expected):.2g} is rounding. The bundle is not written."
        )
    return parity
