"""From encoded bytes to probabilities: the one way from a picture to an answer, for ``predict`` and the server alike.

In two steps, so that the caller may put pictures from several places into one batch.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32

from eyebright.core.arrays import Pixels
from eyebright.core.decision import Decision
from eyebright.core.errors import ImageError
from eyebright.core.predictor import Predictor
from eyebright.core.preprocess import Preprocess
from eyebright.images.decode import decode
from eyebright.images.preprocess import prepare, to_pixels

NOT_FINITE = (
    "The model's answer is not made of finite numbers; probabilities were expected. "
    "eyebright verify says whether the model is damaged."
)


@dataclasses.dataclass(frozen=True)
class Prepared:
    """A picture as a model takes it, a batch of one, or the ``error`` that kept it from being read.

    ``size`` is height and width of the whole upright picture; ``warnings`` are the decoder's sentences.
    """

    pixels: Pixels | None = None
    size: tuple[int, int] = (0, 0)
    warnings: tuple[str, ...] = ()
    error: str | None = None


def prepare_picture(content: bytes, preprocess: Preprocess) -> Prepared:
    """The encoded picture ``content``, decoded and prepared. What cannot be read is no exception: its ``error`` says why."""
    try:
        found = decode(content, colour=preprocess.colour)
    except ImageError as error:
        return Prepared(error=str(error))
    return Prepared(to_pixels(prepare(found.picture, preprocess)[None]), (found.height, found.width), found.warnings)


@dataclasses.dataclass(frozen=True)
class Judged:
    """What a model says of one picture: ``probabilities`` after the decision, or the ``error`` that kept it from an answer."""

    probabilities: Float32[np.ndarray, "classes"] | None = None
    warnings: tuple[str, ...] = ()
    error: str | None = None


def judged(predictor: Predictor, decision: Decision, pictures: Sequence[Prepared]) -> list[Judged]:
    """What ``predictor`` says of each picture, asked in one batch; an error for those not read, or answered without numbers."""
    pixels = [picture.pixels for picture in pictures if picture.pixels is not None]
    if not pixels:
        return [Judged(error=picture.error) for picture in pictures]
    batch = pixels[0] if len(pixels) == 1 else np.concatenate(pixels)
    rows = iter(decision.probabilities(predictor(batch).logits))
    return [
        Judged(error=picture.error) if picture.pixels is None else _judged(next(rows), picture.warnings) for picture in pictures
    ]


def _judged(row: Float32[np.ndarray, "classes"], warnings: tuple[str, ...]) -> Judged:
    if not np.isfinite(row).all():  # whichever class came first would be one by chance
        return Judged(None, warnings, NOT_FINITE)
    return Judged(row, warnings)
