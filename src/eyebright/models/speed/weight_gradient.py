"""The two backward passes of a 3x3 convolution, the one by the weights in the way that is fastest.

oneDNN sums a weight gradient along the rows of a picture. Where rows are short, as after two poolings, its matrix tiles stay
mostly empty in bfloat16; with many pictures put side by side, a column of zeros between them, the same sum comes out in half
the time or less (NOTES.md). How many is a function of the width alone and is not timed: another number adds up in another
order, and a training that is resumed must end in the same weights.
"""

import torch
from torch import Tensor

from eyebright.models.speed import kernels
from eyebright.models.speed.arrays import empty, rows

SHORT = 8  # pixels: longer rows gained little or lost
ROW = 120  # places in a row of pictures


def input_gradient(x: Tensor, weight: Tensor, gradient: Tensor) -> Tensor:
    """The loss's gradient by ``x`` [n, c, h, w]."""
    return _backward(x, weight, gradient, 0)


def weight_gradient(x: Tensor, weight: Tensor, gradient: Tensor) -> Tensor:
    """The loss's gradient by ``weight`` [out, in, 3, 3]."""
    return weight_gradient_by(x, weight, gradient, side_by_side(x.shape[3], x.dtype))


def side_by_side(width: int, dtype: torch.dtype) -> int:
    """How many pictures of ``width`` pixels are put into a row.

    >>> [side_by_side(width, torch.bfloat16) for width in (31, 15, 7, 3)]
    [1, 1, 15, 30]
    """
    return ROW // (width + 1) if dtype == torch.bfloat16 and width <= SHORT else 1


def weight_gradient_by(x: Tensor, weight: Tensor, gradient: Tensor, several: int) -> Tensor:
    """The same with ``several`` pictures side by side."""
    if several > 1:
        x, gradient = in_rows(x, several), in_rows(gradient, several)
    return _backward(x, weight, gradient, 1)


def in_rows(pictures: Tensor, several: int) -> Tensor:
    """Pictures [n, c, h, w] in rows of ``several``, a column of zeros after each: [n / several, c, h, several * (w + 1)]."""
    n, channels, height, width = pictures.shape
    out = empty(-(-n // several), channels, height, several * (width + 1), pictures)
    kernels.side_by_side(rows(pictures), rows(out))
    return out


def _backward(x: Tensor, weight: Tensor, gradient: Tensor, which: int) -> Tensor:
    wanted = [which == 0, which == 1, False]
    result: Tensor = torch.ops.aten.convolution_backward(
        gradient, x, weight, None, [1, 1], [1, 1], [1, 1], False, [0, 0], 1, wanted
    )[which]
    return result
