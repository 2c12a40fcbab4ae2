"""What the desk gives to the dialects, and the refusals that all of them can put into their own words."""

import dataclasses
from http import HTTPStatus

import numpy as np
from jaxtyping import Float32


@dataclasses.dataclass(frozen=True)
class About:
    """One model as it stands on the shelf: what a client may know of it. ``sha256``, its manifest's, names the version."""

    name: str
    sha256: str
    classes: tuple[str, ...]
    height: int
    width: int
    form: str
    title: str
    summary: str


@dataclasses.dataclass(frozen=True)
class PictureAnswer:
    """What a model says of one picture: ``probabilities`` after the decision, or why there is no answer."""

    probabilities: Float32[np.ndarray, "classes"] | None
    verdict: str | None = None
    warnings: tuple[str, ...] = ()
    error: str | None = None


@dataclasses.dataclass(frozen=True)
class Answered:
    """The answers to one request, in the order asked, all by the same version of one model."""

    about: About
    answers: tuple[PictureAnswer, ...]


@dataclasses.dataclass(frozen=True)
class HeatMap:
    """What speaks for ``label``: ``values`` [rows, columns] in [-1, 1] over the prepared picture, above 0 where it does.

    ``left``, ``top``, ``right`` and ``bottom`` are where the map lies on the upright picture, as shares of its width and height
    (below 0 or above 1 where the model saw a border).
    """

    about: About
    label: str
    method: str
    values: Float32[np.ndarray, "rows columns"]
    left: float
    top: float
    right: float
    bottom: float


class RefusalError(Exception):
    """A request that is not answered. Each dialect says it in its own shape; ``detail`` names no path of this computer."""

    def __init__(self, status: HTTPStatus, detail: str, *, kind: str = "about:blank", retry_after: int | None = None) -> None:
        super().__init__(detail)
        self.status, self.detail, self.kind, self.retry_after = status, detail, kind, retry_after
