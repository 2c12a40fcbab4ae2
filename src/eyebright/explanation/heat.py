"""A heat map for one picture and one class, by the best method that the model's form allows."""

import dataclasses
from collections.abc import Sequence
from typing import Literal

import numpy as np
from jaxtyping import Float32

from eyebright.core.arrays import Pixels
from eyebright.core.errors import DataError, ModelError, SettingsError
from eyebright.core.events import Choice, OnEvent, silent
from eyebright.core.predictor import Layered, LayerMaps, Predictor
from eyebright.explanation.cam import evenness, grad_cam
from eyebright.explanation.grid import resized
from eyebright.explanation.perturbation import FINE, occlusion

Method = Literal["auto", "grad-cam", "occlusion"]
METHODS: tuple[Method, ...] = ("auto", "grad-cam", "occlusion")
SIDE = 56  # cells on the long side: four pixels of 224 each, finer than either method can see
# Grad-CAM weighs a channel alike at all places, a network that ends in a mean does too (evenness 1), one that flattens its last
# map does not (under 0.1): there, covering the hottest fifth hurts an answer much less than with a map by occlusion.
EVEN = 0.5
NOTHING = 1e-3  # log-odds in all: less than a thousandth of probability, and what rounding alone may add up to


@dataclasses.dataclass(frozen=True)
class Heat:
    """What in the picture speaks for the class ``target`` and what against it.

    ``values`` lie in [-1, 1], on a grid of at most ``SIDE`` cells over the whole of what the model saw: above 0 where a part
    speaks for the class, below where it speaks against it, and the strongest is 1 or -1. All are 0 where nothing mattered.
    ``peak`` is what 1 stands for: ``values * peak`` is what each cell adds to the log-odds of the class, as far as what parts
    say adds up.
    """

    values: Float32[np.ndarray, "rows columns"]
    method: str
    target: int
    peak: float


def heat_map(predictor: Predictor, pixels: Pixels, target: int, *, method: Method = "auto", on_event: OnEvent = silent) -> Heat:
    """The heat map of the picture in ``pixels`` [1, 3, height, width] for the class number ``target``.

    ``auto`` takes Grad-CAM where the predictor lets its last layer with places be seen (``core.predictor.Layered``) and the
    layer's channels count about alike at all of them, else occlusion; the choice and its reason are an event. Grad-CAM costs
    about two passes, occlusion about a hundred.

    Raises ``SettingsError`` for an unknown method or class, ``DataError`` for pixels of another shape, and ``ModelError`` where
    Grad-CAM is asked of a model without such a layer, or where the model's numbers are not finite.
    """
    _check(predictor, pixels, target, method)
    layers = predictor.maps(pixels, target) if method != "occlusion" and isinstance(predictor, Layered) else ()
    if method == "grad-cam" and not layers:
        raise ModelError(
            f"Grad-CAM needs a layer that knows places, and the {predictor.form} form of this model shows none. "
            "Use occlusion, which asks any model."
        )
    chosen: str = method
    if method == "auto":
        chosen, why = _choose(layers)
        on_event(Choice("heat map", chosen, why))
    if chosen == "grad-cam":
        return _heat([grad_cam(layer)[0] for layer in layers], pixels, chosen, target)
    found = occlusion(predictor, pixels, target, on_event=on_event)
    return _heat([_smoothed(found)], pixels, chosen, target)


def _choose(layers: Sequence[LayerMaps]) -> tuple[str, str]:
    """The method for a model that shows ``layers``, and why."""
    if not layers:
        return "occlusion", "the model shows no layer that knows places"
    if min(evenness(layer) for layer in layers) < EVEN:
        return "occlusion", "in the model's last layer with places, what a channel means depends on the place"
    return "grad-cam", "the model's last layer with places can be seen"


def _check(predictor: Predictor, pixels: Pixels, target: int, method: str) -> None:
    if method not in METHODS:
        raise SettingsError(f"Unknown method {method!r}. The methods are {', '.join(METHODS)}.")
    if not 0 <= target < len(predictor.classes):
        raise SettingsError(f"Class {target} was asked for; the model has classes 0 to {len(predictor.classes) - 1}.")
    if pixels.ndim != 4 or pixels.shape[:2] != (1, 3) or pixels.size == 0:
        raise DataError(f"Pixels of shape {pixels.shape} were found; one picture, [1, 3, height, width], was expected.")


def _smoothed(found: np.ndarray) -> np.ndarray:
    """A map without the tiles' edges: at two cells a fine tile."""
    cells = 2 * FINE / max(found.shape)
    rows, columns = (max(1, min(side, round(side * cells))) for side in found.shape)
    return _spread(found, rows, columns)


def _heat(maps: list[np.ndarray], pixels: Pixels, method: str, target: int) -> Heat:
    """The mean of ``maps`` on one grid, over its peak."""
    if not all(np.isfinite(one).all() for one in maps):
        raise ModelError(
            "The model's activations or gradients are not finite for this picture; numbers were expected. "
            "eyebright verify says whether the model is damaged."
        )
    height, width = pixels.shape[2:]
    scale = min(1.0, SIDE / max(height, width))
    rows, columns = max(1, round(height * scale)), max(1, round(width * scale))
    mean = np.stack([_spread(one, rows, columns) for one in maps]).mean(axis=0)
    if np.abs(mean).sum() < NOTHING:
        return Heat(np.zeros_like(mean), method, target, 0.0)
    peak = float(np.abs(mean).max())
    return Heat(np.asarray(mean / peak, dtype=np.float32), method, target, peak)


def _spread(found: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """``found`` on another grid whose cells add up to as much."""
    return resized(found, rows, columns) * np.float32(found.size / (rows * columns))
