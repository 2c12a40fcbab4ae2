"""A model file that was not made here: how it wants our pixels, and how its numbers become logits.

Our own forms have normalisation and layout inside. A file that is kept as it came cannot: what it needs stands in the manifest
as a ``Foreign``, and the two functions below, which every backend of such files calls, apply it.
"""

from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from eyebright.core.arrays import Logits, Pixels

PROBABILITY_FLOOR = 1e-7  # Keras' own epsilon: log(max(p, 1e-7)) stands for the logit where a file gives probabilities only
LUMINANCE = (0.299, 0.587, 0.114)  # ITU-R BT.601, as in Pillow's "L" mode


class Foreign(BaseModel):
    """What a foreign file takes and gives.

    Takes: ``(pixel - mean) / std`` for pixels in [0, 1], one value a channel (red, green, blue of ``rgb``; blue, green, red of
    ``bgr``; the luminance of ``grey``), as [n, height, width, channels] (``nhwc``) or [n, channels, height, width] (``nchw``).
    Gives: one ``logits`` or ``probabilities`` value a class; a single value for two classes speaks for the second one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    layout: Literal["nhwc", "nchw"]
    channels: Literal["rgb", "bgr", "grey"] = "rgb"
    mean: tuple[float, ...] = Field(min_length=1, max_length=3)
    std: tuple[float, ...] = Field(min_length=1, max_length=3)
    gives: Literal["logits", "probabilities"]

    @field_validator("std")
    @classmethod
    def _above_zero(cls, std: tuple[float, ...]) -> tuple[float, ...]:
        if min(std) <= 0:
            raise ValueError(f"std is {std}; values above 0 were expected")
        return std

    @model_validator(mode="after")
    def _one_a_channel(self) -> "Foreign":
        if not len(self.mean) == len(self.std) == self.planes:
            raise ValueError(
                f"{len(self.mean)} values of mean, {len(self.std)} of std; {self.planes} for {self.channels} were expected"
            )
        return self

    @property
    def planes(self) -> int:
        """How many channels the file takes."""
        return 1 if self.channels == "grey" else 3


def columns_fit(columns: int, classes: int) -> bool:
    """Whether an output of ``columns`` values can be about ``classes``: one a class, or a single one for two classes."""
    return columns == classes or (columns, classes) == (1, 2)


def values_for(pixels: Pixels, foreign: Foreign) -> np.ndarray:
    """What the file takes for ``pixels``: float32, in its layout, channel order and range.

    >>> half = Foreign(layout="nhwc", channels="bgr", mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5), gives="logits")
    >>> values_for(np.array([1.0, 0.5, 0.0], dtype=np.float32).reshape(1, 3, 1, 1), half).tolist()
    [[[[-1.0, 0.0, 1.0]]]]
    """
    if foreign.channels == "grey":
        planes = np.tensordot(pixels, np.array(LUMINANCE, dtype=np.float32), axes=(1, 0))[:, None]  # n 3 h w -> n 1 h w
    else:
        planes = pixels[:, ::-1] if foreign.channels == "bgr" else pixels
    mean, std = (np.array(given, dtype=np.float32).reshape(1, -1, 1, 1) for given in (foreign.mean, foreign.std))
    values = (planes - mean) / std
    if foreign.layout == "nhwc":
        values = values.transpose(0, 2, 3, 1)  # n c h w -> n h w c
    return np.ascontiguousarray(values, dtype=np.float32)


def logits_from(outputs: np.ndarray, foreign: Foreign) -> Logits:
    """Logits from what the file gave, [n, classes] in float32. Their softmax is the file's probabilities, where it gives those.

    One column becomes two: 0 and the value, whose softmax is its sigmoid.
    """
    if foreign.gives == "probabilities":
        if outputs.shape[1] == 1:
            outputs = np.concatenate([1 - outputs, outputs], axis=1)
        logits: Logits = np.log(np.maximum(outputs, np.float32(PROBABILITY_FLOOR))).astype(np.float32)
        return logits
    if outputs.shape[1] == 1:
        return np.concatenate([np.zeros_like(outputs), outputs], axis=1).astype(np.float32)
    return outputs.astype(np.float32)
