"""Views: a picture asked about more than once, as it is, mirrored, or moved by a pixel, and the answers averaged."""

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from eyebright.core.predictor import Outputs

View = Literal["identity", "mirror", "up-left", "down-right", "mirror-up-left", "mirror-down-right"]


class Views(BaseModel):
    """Which views are averaged, each weighing the same, and for which pictures.

    ``below`` is a probability: only pictures whose likeliest class by the first view is less likely are seen in the other views
    (softmax of the logits as they are, no temperature). None: every picture is.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    names: tuple[View, ...] = Field(default=("identity",), min_length=1)
    below: float | None = Field(default=None, gt=0, le=1)

    @model_validator(mode="after")
    def _each_once(self) -> "Views":
        if len(set(self.names)) != len(self.names):
            raise ValueError(f"views were found twice in {', '.join(self.names)}")
        return self

    @property
    def single(self) -> bool:
        """Whether a picture is seen as it is, and no more."""
        return self.names == ("identity",)


ONE_VIEW = Views()


def seen(pixels: np.ndarray, view: View) -> np.ndarray:
    """``pixels`` [..., height, width] in a view of the same shape; what comes in at a border is a reflection."""
    mirrored = view.startswith("mirror")
    if view.endswith("up-left"):
        pixels = _moved(pixels, 1)
    elif view.endswith("down-right"):
        pixels = _moved(pixels, -1)
    return np.ascontiguousarray(pixels[..., ::-1] if mirrored else pixels)


def _moved(pixels: np.ndarray, step: int) -> np.ndarray:
    """The content up and left by ``step`` pixels, down and right where it is negative."""
    height, width = pixels.shape[-2:]
    return pixels[..., _places(height, step), :][..., _places(width, step)]


def _places(side: int, step: int) -> np.ndarray:
    """Where each place takes its pixel from: beyond the border it goes back, the border pixel not repeated.

    >>> _places(4, 1).tolist(), _places(4, -1).tolist()
    ([1, 2, 3, 2], [1, 0, 1, 2])
    """
    places = np.abs(np.arange(side) + step)
    return np.asarray(np.clip(np.where(places >= side, 2 * (side - 1) - places, places), 0, side - 1))


def averaged(ask: Callable[[np.ndarray], Outputs], pixels: np.ndarray, views: Views) -> Outputs:
    """What ``ask`` says of ``pixels`` [n, 3, height, width] over the views: mean logits, and mean features where it has any."""
    first = ask(seen(pixels, views.names[0]) if views.names[0] != "identity" else pixels)
    rest = views.names[1:]
    rows = np.arange(len(pixels)) if views.below is None else np.flatnonzero(_likeliest(first.logits) < views.below)
    if not rest or not len(rows):
        return first
    asked = pixels if len(rows) == len(pixels) else pixels[rows]
    found = [ask(seen(asked, view)) for view in rest]
    features = None
    if first.features is not None:
        features = _with_means(first.features, rows, [one.features for one in found if one.features is not None])
    return Outputs(_with_means(first.logits, rows, [one.logits for one in found]), features)


def _likeliest(logits: np.ndarray) -> np.ndarray:
    """The probability of each row's likeliest class: 1 over the sum of exp(logit - largest)."""
    return np.asarray(1 / np.exp(logits - logits.max(axis=1, keepdims=True)).sum(axis=1))


def _with_means(first: np.ndarray, rows: np.ndarray, others: Sequence[np.ndarray]) -> np.ndarray:
    out = np.array(first, dtype=np.float32)
    out[rows] = np.stack([out[rows], *others]).mean(axis=0)
    return out
