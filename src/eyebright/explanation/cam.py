"""Grad-CAM: which places of a network's last layer speak for a class, and which against it."""

import numpy as np
from jaxtyping import Float32

from eyebright.core.predictor import LayerMaps


def grad_cam(layer: LayerMaps) -> Float32[np.ndarray, "n rows columns"]:
    """What each place of the layer adds to the target's log-odds.

    Selvaraju et al. 2017, "Grad-CAM: visual explanations from deep networks via gradient-based localization", section 3: each
    channel weighs its mean gradient (eq. 1), and the map is the channels' weighted sum (eq. 2). Two things differ. Their ReLU
    is left out: it hides what speaks against the class. And the gradients are those of the log-odds, not of the class's own
    logit, which rises with whatever many classes share: its map is warm almost everywhere, and nearly the same for two kinds
    of cat.

    In a network that averages its last layer and classifies by one dense layer, a channel's mean gradient is its weight for the
    class, less the other classes' weights by their shares, over the number of places: the map is the difference of their CAMs
    (Zhou et al. 2016, eq. 2).
    """
    weights = layer.gradients.mean(axis=(2, 3), keepdims=True)  # n channels rows columns -> n channels 1 1
    found: np.ndarray = (weights * layer.activations).sum(axis=1)
    return found


def evenness(layer: LayerMaps) -> float:
    """How much of the gradients their means over the places hold: 1 where a channel counts alike everywhere, near 0 where not.

    It is 1 in networks that end in a mean over places, and 1 where there are no gradients at all.

    >>> even = LayerMaps(np.ones((1, 1, 1, 2), np.float32), np.array([[[[3.0, 3.0]]]], np.float32))
    >>> odd = LayerMaps(np.ones((1, 1, 1, 2), np.float32), np.array([[[[1.0, 0.0]]]], np.float32))
    >>> evenness(even), evenness(odd)
    (1.0, 0.5)
    """
    energy = float(np.square(layer.gradients, dtype=np.float64).mean())
    means = float(np.square(layer.gradients.mean(axis=(2, 3)), dtype=np.float64).mean())
    return means / energy if energy else 1.0
