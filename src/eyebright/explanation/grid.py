"""Maps from one grid to another: enlarged smoothly, or made coarser by means."""

import functools

import numpy as np
from jaxtyping import Float32


def resized(maps: Float32[np.ndarray, "*n h w"], rows: int, columns: int) -> Float32[np.ndarray, "*n rows columns"]:
    """``maps`` on another grid over the same area: interpolated where it is finer, averaged where it is coarser.

    Both by a triangle filter whose width grows with the step, as Pillow's bilinear resampling does. A constant stays as it is,
    and no value leaves the range of those before.

    >>> resized(np.array([[0.0, 1.0]], dtype=np.float32), 1, 4).tolist()
    [[0.0, 0.25, 0.75, 1.0]]
    """
    height, width = maps.shape[-2:]
    found: np.ndarray = _filter(height, rows) @ maps @ _filter(width, columns).T  # rows h, h w, w columns
    return found


@functools.lru_cache(maxsize=16)
def _filter(before: int, after: int) -> Float32[np.ndarray, "after before"]:
    """The share that each place of a line of ``before`` has in each place of one of ``after``; rows sum to one."""
    step = before / after
    centres = (np.arange(after) + 0.5) * step - 0.5
    shares = np.clip(1 - np.abs(np.arange(before) - centres[:, None]) / max(1.0, step), 0, None)  # after before
    kept: np.ndarray = (shares / shares.sum(axis=1, keepdims=True)).astype(np.float32)
    kept.setflags(write=False)
    return kept
