"""Rectangles without information: Cutout and random erasing."""

import numpy as np
from torch import Tensor

from eyebright.training.augment.draws import Draws, sides_of_box
from eyebright.training.augment.values import Augment

LEAST_AREA = 0.02  # Zhong et al. 2020, "Random erasing data augmentation", section 4: s_l
WIDEST = 1 / 0.3  # the same: aspects between r_1 = 0.3 and its inverse


def erased(pixels: Tensor, augment: Augment, draws: Draws) -> Tensor:
    """``pixels``, half of them written to: a rectangle within the picture takes the picture's mean colour.

    Size and place are drawn as by Zhong et al. 2020. The colour is the mean as in Cutout (DeVries and Taylor 2017, which
    fills with the mean of the data): random colours would be the strongest edges in the picture.
    """
    if augment.erase == 0:
        return pixels
    rows, numbers = draws.some("erase", 4)
    height, width = pixels.shape[2:]
    for row, (left, top, right, bottom) in zip(rows.tolist(), _boxes(numbers, augment.erase, height, width), strict=True):
        pixels[row, :, top:bottom, left:right] = pixels[row].mean(dim=(1, 2))[:, None, None]
    return pixels


def _boxes(numbers: np.ndarray, largest: float, height: int, width: int) -> list[list[int]]:
    """Left, top, right and bottom in whole pixels; no box is larger than the area asked for, but each has a pixel."""
    area, shape, across, down = numbers.astype(np.float64).T
    least = min(LEAST_AREA, largest)
    wide, high = sides_of_box(least + area * (largest - least), shape, WIDEST)
    columns, rows = (np.maximum(np.floor(side), 1).astype(int) for side in (wide * width, high * height))
    left, top = (across * (width - columns + 1)).astype(int), (down * (height - rows + 1)).astype(int)
    boxes: list[list[int]] = np.stack([left, top, left + columns, top + rows], axis=1).tolist()
    return boxes
