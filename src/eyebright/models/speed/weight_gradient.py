"""The two backward passes of a 3x3 convolution, the one by the weights in the way that is fastest here.

oneDNN sums a weight gradient along the rows of a picture. Where rows are short, as after two poolings, its matrix tiles stay
mostly empty; with many pictures put side by side, a column of zeros between them, the same sum comes out several times faster.
"""

import functools
import time

import torch
from torch import Tensor

from eyebright.models.speed import kernels

SEVERAL = (1, 4, 10, 20)  # pictures side by side that are tried
SHORT = 16  # pixels: longer rows fill the tiles by themselves
SAMPLE = 256  # pictures that the ways are timed on


def input_gradient(x: Tensor, weight: Tensor, gradient: Tensor) -> Tensor:
    """The loss's gradient by ``x`` [n, c, h, w]."""
    return _backward(x, weight, gradient, 0)


def weight_gradient(x: Tensor, weight: Tensor, gradient: Tensor) -> Tensor:
    """The loss's gradient by ``weight`` [out, in, 3, 3]."""
    several = fastest(x.shape[1], gradient.shape[1], x.shape[2], x.shape[3], x.dtype) if len(x) >= SAMPLE else 1
    return weight_gradient_by(x, weight, gradient, several)


def weight_gradient_by(x: Tensor, weight: Tensor, gradient: Tensor, several: int) -> Tensor:
    """The same with ``several`` pictures side by side."""
    if several > 1:
        x, gradient = in_rows(x, several), in_rows(gradient, several)
    return _backward(x, weight, gradient, 1)


def in_rows(pictures: Tensor, several: int) -> Tensor:
    """Pictures [n, c, h, w] in rows of ``several``, a column of zeros after each: [n / several, c, h, several * (w + 1)]."""
    from eyebright.models.speed.fused import empty, rows

    n, channels, height, width = pictures.shape
    out = empty(-(-n // several), channels, height, several * (width + 1), pictures)
    kernels.side_by_side(rows(pictures), rows(out))
    return out


@functools.cache
def fastest(channels: int, out_channels: int, height: int, width: int, dtype: torch.dtype) -> int:
    """How many pictures side by side give the weight gradient soonest, by timing it once on this machine."""
    if width > SHORT:
        return 1
    last = {"memory_format": torch.channels_last}
    x = torch.zeros(SAMPLE, channels, height, width, dtype=dtype).contiguous(**last)
    gradient = torch.zeros(SAMPLE, out_channels, height, width, dtype=dtype).contiguous(**last)
    weight = torch.zeros(out_channels, channels, 3, 3, dtype=dtype).contiguous(**last)
    times = {}
    for several in SEVERAL:
        weight_gradient_by(x, weight, gradient, several)
        rounds = []
        for _ in range(3):
            started = time.perf_counter()
            weight_gradient_by(x, weight, gradient, several)
            rounds.append(time.perf_counter() - started)
        times[several] = min(rounds)
    return min(times, key=times.__getitem__)


def _backward(x: Tensor, weight: Tensor, gradient: Tensor, which: int) -> Tensor:
    wanted = [which == 0, which == 1, False]
    result: Tensor = torch.ops.aten.convolution_backward(
        gradient, x, weight, None, [1, 1], [1, 1], [1, 1], False, [0, 0], 1, wanted
    )[which]
    return result
