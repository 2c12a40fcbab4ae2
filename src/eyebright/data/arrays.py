"""Pictures that lie in arrays, one a row, as a source: what the published sets and ``.npz`` files have in common."""

import dataclasses
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from jaxtyping import Integer

from eyebright.core.arrays import Image
from eyebright.data.source import Sample, Source

DIGITS = 5  # of a row's number in its key; more where a part is larger, so that the keys sort as the rows lie


@dataclasses.dataclass(frozen=True)
class Part:
    """Some rows: the ``labels`` as numbers, and ``row``, which gives a row's uint8 pixels, h x w, h x w x 1 or h x w x 3.

    ``prefix`` is where the keys begin, e.g. ``train`` for ``train/00041``; ``part`` the part of the data that the rows are.
    """

    prefix: str
    part: str | None
    labels: Integer[np.ndarray, "n"]
    row: Callable[[int], np.ndarray]


def array_source(name: str, names: Sequence[str], parts: Iterable[Part]) -> Source:
    """The rows of ``parts`` as a source; ``names`` are the classes by the labels' numbers, sorted in the source."""
    order = np.argsort(np.array(names))  # the position of each class's name when sorted
    rank = np.empty(len(names), dtype=np.int64)
    rank[order] = np.arange(len(names))
    rows: dict[str, tuple[Part, int]] = {}
    samples: list[Sample] = []
    for part in parts:
        digits = max(DIGITS, len(str(len(part.labels) - 1)))
        for index, label in enumerate(rank[part.labels].tolist()):
            key = f"{part.prefix}/{index:0{digits}d}"
            rows[key] = (part, index)
            samples.append(Sample(key, label, part.part))

    def read(key: str) -> Image:
        part, index = rows[key]
        return _in_colour(part.row(index))

    samples.sort(key=lambda sample: sample.key)
    return Source(name, tuple(sorted(names)), tuple(samples), read)


def _in_colour(pixels: np.ndarray) -> Image:
    """A copy, h x w x 3; changing it does not change the set."""
    pixels = pixels[..., None] if pixels.ndim == 2 else pixels
    return np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels.copy()
