"""Changes to training pictures, on whole batches of tensors, drawn by counter: the same picture in the same epoch is always
changed in the same way, whatever the order, the batch or the number of workers."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from eyebright.core import seeds
from eyebright.core.arrays import KeyHashes


class Augment(BaseModel):
    """How far each change may go; zero is off. Each picture draws uniformly between minus and plus the limit."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    flip: bool = Field(default=False, description="mirror half of the pictures")
    shift: float = Field(default=0.0, ge=0, le=0.5, description="share of the width and height")
    rotation: float = Field(default=0.0, ge=0, le=180, description="degrees")
    zoom: float = Field(default=0.0, ge=0, lt=1, description="share: 0.1 is between 0.9 and 1.1 times")
    brightness: float = Field(default=0.0, ge=0, le=1, description="added to the pixels, which lie in [0, 1]")
    contrast: float = Field(default=0.0, ge=0, lt=1, description="factor about the picture's mean: 0.2 is 0.8 to 1.2 times")

    @property
    def geometric(self) -> bool:
        """Whether pixels move other than by mirroring."""
        return self.shift > 0 or self.rotation > 0 or self.zoom > 0


OFF = Augment()


def augmented(pixels: Tensor, hashes: KeyHashes, augment: Augment, *, seed: int, epoch: int) -> Tensor:
    """A changed copy of ``pixels`` [n, 3, height, width], still in [0, 1]. ``hashes`` name the pictures.

    Places that come from outside the picture repeat its border by reflection.
    """
    if augment == OFF:
        return pixels
    draws = torch.from_numpy(seeds.uniform(seed, "augment", epoch, hashes, 8)).to(pixels.device)  # n 8
    mirror = (draws[:, 0] < 0.5) & augment.flip
    signed = draws[:, 1:] * 2 - 1
    if augment.geometric:
        pixels = _moved(pixels, mirror, signed, augment)
    elif augment.flip:
        pixels = torch.where(mirror[:, None, None, None], pixels.flip(3), pixels)
    return _toned(pixels, signed, augment)


def _moved(pixels: Tensor, mirror: Tensor, signed: Tensor, augment: Augment) -> Tensor:
    """One resampling for mirror, zoom, rotation and shift together: the map from places in the new picture to the old."""
    height, width = pixels.shape[2:]
    angle = signed[:, 0] * math.radians(augment.rotation)
    scale = 1 / (1 + signed[:, 1] * augment.zoom)
    flip = torch.where(mirror, -1.0, 1.0)
    cosine, sine = torch.cos(angle) * scale, torch.sin(angle) * scale
    # Coordinates run from -1 to 1 on both sides, so a rotation of a picture that is not square corrects for its aspect.
    rows = [
        torch.stack([flip * cosine, -sine * height / width, signed[:, 2] * 2 * augment.shift], dim=1),
        torch.stack([flip * sine * width / height, cosine, signed[:, 3] * 2 * augment.shift], dim=1),
    ]
    grid = F.affine_grid(torch.stack(rows, dim=1), list(pixels.shape), align_corners=False)
    moved = F.grid_sample(pixels, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
    return moved.clamp(0, 1)  # the four weights of a place add up to one, give or take a rounding


def _toned(pixels: Tensor, signed: Tensor, augment: Augment) -> Tensor:
    if augment.contrast > 0:
        factor = 1 + signed[:, 4, None, None, None] * augment.contrast
        mean = pixels.mean(dim=(1, 2, 3), keepdim=True)
        pixels = mean + (pixels - mean) * factor
    if augment.brightness > 0:
        pixels = pixels + signed[:, 5, None, None, None] * augment.brightness
    return pixels.clamp(0, 1) if augment.contrast > 0 or augment.brightness > 0 else pixels


def thumbnails(pictures: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray]:
    """The pictures and their mirror images at ``side`` pixels, as rows of numbers [n, 3 side side]: features of a kind."""
    small = F.adaptive_avg_pool2d(to_batch(pictures), side)
    return small.flatten(1).numpy(), small.flip(3).flatten(1).numpy()


def to_batch(pictures: np.ndarray) -> Tensor:
    """Pixels in [0, 1] from uint8 pictures [n, 3, height, width]."""
    # The copy is made by numpy: torch warns of arrays that cannot be written, as of a memory-mapped store.
    return torch.from_numpy(pictures.astype(np.float32, order="C")).div_(255)
