"""The numbers that decide about a batch's pictures: a stream an operation, so that one more operation changes no other."""

import dataclasses
import math
from collections.abc import Callable
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from eyebright.core import seeds
from eyebright.core.arrays import KeyHashes

APPLIED = 0.5  # share of the pictures that blur, noise, JPEG and erasing change


@dataclasses.dataclass(frozen=True)
class Draws:
    """Uniform numbers by operation and picture, each a function of (seed, operation, epoch, picture's hash) alone."""

    seed: int
    epoch: int
    hashes: KeyHashes
    device: torch.device

    def numbers(self, operation: str, columns: int) -> np.ndarray:
        """Numbers in [0, 1) [n, columns], where Python decides by them."""
        return seeds.uniform(self.seed, f"augment-{operation}", self.epoch, self.hashes, columns)

    def signed(self, operation: str, columns: int) -> Tensor:
        """Numbers in [-1, 1) [n, columns], on the pixels' device."""
        return torch.from_numpy(self.numbers(operation, columns)).to(self.device) * 2 - 1

    def some(self, operation: str, columns: int) -> tuple[np.ndarray, np.ndarray]:
        """The rows of the pictures that ``operation`` changes, and ``columns`` numbers for each of them."""
        numbers = self.numbers(operation, 1 + columns)
        rows = np.flatnonzero(numbers[:, 0] < APPLIED)
        return rows, numbers[rows, 1:]

    @cached_property
    def first(self) -> np.ndarray:
        """The stream of the first operations [n, 8]: mirror, angle, zoom, right, down, contrast, brightness, one unused."""
        return seeds.uniform(self.seed, "augment", self.epoch, self.hashes, 8)

    @cached_property
    def first_signed(self) -> Tensor:
        """``first`` without the mirror, in [-1, 1), on the pixels' device [n, 7]."""
        return torch.from_numpy(self.first).to(self.device)[:, 1:] * 2 - 1


def change_some(
    pixels: Tensor, draws: Draws, operation: str, columns: int, change: Callable[[Tensor, np.ndarray], Tensor]
) -> Tensor:
    """``pixels``, written to where ``operation`` applies; ``change`` gets those pictures and their numbers [m, columns]."""
    rows, numbers = draws.some(operation, columns)
    if len(rows) == 0:
        return pixels
    index = torch.from_numpy(rows).to(pixels.device)
    return pixels.index_copy_(0, index, change(pixels.index_select(0, index), numbers))


def sides_of_box(area: np.ndarray, draw: np.ndarray, widest: float) -> tuple[np.ndarray, np.ndarray]:
    """Width and height, as shares of a picture's, of boxes of the given shares of its area.

    Width over height, in the picture's own proportions, is log-uniform between 1 / widest and widest, and within what fits:
    ``draw`` in [0, 1) chooses.

    >>> [side.tolist() for side in sides_of_box(np.array([0.25]), np.array([0.5]), 2.0)]
    [[0.5], [0.5]]
    """
    reach = np.minimum(math.log(widest), -np.log(area))  # a box of aspect r and area a fits where a <= r <= 1 / a
    aspect = np.exp((2 * draw - 1) * reach)
    return np.sqrt(area * aspect), np.sqrt(area / aspect)
