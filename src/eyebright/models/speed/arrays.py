"""Tensors with the channels last, as arrays that the kernels read and write in place."""

import numpy as np
import torch
from torch import Tensor


def rows(tensor: Tensor) -> np.ndarray:
    """The tensor [n, c, h, w] with the channels last in memory, as an array [n, h, w, c]: no copy is made."""
    return as_array(tensor.permute(0, 2, 3, 1))  # n c h w -> n h w c


def flat(tensor: Tensor) -> np.ndarray:
    """As ``rows``, but [n * h * w, c]."""
    return as_array(tensor.permute(0, 2, 3, 1).view(-1, tensor.shape[1]))  # a view, or an error: kernels write into it


def as_array(tensor: Tensor) -> np.ndarray:
    """The tensor's own memory; bfloat16 as uint16, as numpy has no such type."""
    return tensor.view(torch.uint16).numpy() if tensor.dtype == torch.bfloat16 else tensor.numpy()


def empty(n: int, channels: int, height: int, width: int, like: Tensor) -> Tensor:
    """An uninitialised tensor [n, channels, height, width] of the type of ``like``, the channels last in memory."""
    return torch.empty((n, channels, height, width), dtype=like.dtype, memory_format=torch.channels_last)
