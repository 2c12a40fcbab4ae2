"""Prepared pictures that need not be in memory: what is asked for is copied, and nothing else."""

from typing import Any, Protocol

import numpy as np
from jaxtyping import Int64

from eyebright.core.arrays import ByteBatch


class Pictures(Protocol):
    """Prepared pictures [n, 3, height, width] in uint8: an array, or what copies out of one as it is asked."""

    def __len__(self) -> int: ...

    def __getitem__(self, some: Any, /) -> ByteBatch: ...


class ChosenPictures:
    """Some of many pictures, copied only as they are asked for: those of a large set lie in a file, and stay there."""

    def __init__(self, whole: Pictures, rows: Int64[np.ndarray, "n"]) -> None:
        self._whole, self._rows = whole, rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, some: Any, /) -> ByteBatch:
        return self._whole[self._rows[some]]
