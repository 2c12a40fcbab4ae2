"""Whole batches: from bytes to pixels, and through every change in turn."""

from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from eyebright.core.arrays import KeyHashes
from eyebright.training.augment.camera import blurred, noisy
from eyebright.training.augment.colour import toned
from eyebright.training.augment.draws import Draws
from eyebright.training.augment.erasing import erased
from eyebright.training.augment.geometry import moved
from eyebright.training.augment.jpeg import compressed
from eyebright.training.augment.values import OFF, Augment
from eyebright.training.pictures import Pictures

POOLED = 64  # pictures that are numbers at a time: thousands of large ones would not fit into memory
PIECE_BYTES = 8 * 2**20  # buffers of this size are used again from one change to the next; larger ones come fresh and cold

# The way of light: the scene, its colours, the lens, the sensor, the file. What is erased stays plain.
STEPS = (moved, toned, blurred, noisy, compressed, erased)


def augmented(pixels: Tensor, hashes: KeyHashes, augment: Augment, *, seed: int, epoch: int) -> Tensor:
    """A changed copy of ``pixels`` [n, 3, height, width], still in [0, 1]. ``hashes`` name the pictures.

    Each picture changes in the same way in any company: what is drawn depends on its hash, the seed and the epoch only.
    Type and memory layout are kept. Pictures are mixed with one another by ``mixed``, which comes after.
    """
    if augment.model_copy(update={"mixup": 0.0, "cutmix": 0.0}) == OFF:
        return pixels
    out = torch.empty_like(pixels)
    for rows in _pieces(pixels):
        draws = Draws(seed, epoch, hashes[rows], pixels.device)
        piece = pixels[rows].float().contiguous()
        for step in STEPS:
            piece = step(piece, augment, draws)
        out[rows] = piece
    return out


def _pieces(pixels: Tensor) -> Iterator[slice]:
    """Runs of rows that are worked on together: few on a processor with a cache, all on an accelerator."""
    size = max(1, pixels[:1].numel() * 4)
    rows = max(1, PIECE_BYTES // size) if pixels.device.type == "cpu" else max(1, len(pixels))
    for start in range(0, len(pixels), rows):
        yield slice(start, start + rows)


def thumbnails(pictures: Pictures, side: int) -> tuple[np.ndarray, np.ndarray]:
    """The pictures and their mirror images at ``side`` pixels, as rows of numbers [n, 3 side side]: features of a kind."""
    starts = range(0, len(pictures), POOLED)
    small = torch.cat([F.adaptive_avg_pool2d(to_batch(pictures[start : start + POOLED]), side) for start in starts])
    return small.flatten(1).numpy(), small.flip(3).flatten(1).numpy()


def shrunk(pictures: np.ndarray, side: int | None) -> np.ndarray:
    """Pictures [n, 3, height, width] in uint8, their longer side at ``side`` pixels; as they are where it is no longer."""
    height, width = pictures.shape[2:]
    if side is None or side >= max(height, width):
        return pictures
    size = [max(1, round(side * length / max(height, width))) for length in (height, width)]
    last = torch.from_numpy(pictures).contiguous(memory_format=torch.channels_last)  # torch's fast way for bytes
    return F.interpolate(last, size=size, mode="bilinear", antialias=True, align_corners=False).numpy()


def to_batch(pictures: np.ndarray) -> Tensor:
    """Pixels in [0, 1] from uint8 pictures [n, 3, height, width]."""
    plain = np.ascontiguousarray(pictures)  # torch knows no negative strides
    if not plain.flags.writeable:  # torch warns of those, as of a memory-mapped store
        plain = plain.copy()
    return torch.from_numpy(plain).to(torch.float32, copy=True).div_(255)
