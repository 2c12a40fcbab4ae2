"""The artefacts of JPEG, on tensors: what is lost when a picture is compressed, without the compressing.

ITU-T T.81 (1992). Entropy coding loses nothing, so it is left out; what is left is the colour transform of JFIF, chroma at
half the resolution, and the cosine transform of 8 x 8 pixels rounded to multiples of a table.
"""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from eyebright.training.augment.draws import Draws, change_some
from eyebright.training.augment.values import Augment

# T.81, annex K, tables K.1 and K.2.
LUMA_TABLE = np.array(
    [
        [16, 11, 10, 16, 24, 40, 51, 61],
        [12, 12, 14, 19, 26, 58, 60, 55],
        [14, 13, 16, 24, 40, 57, 69, 56],
        [14, 17, 22, 29, 51, 87, 80, 62],
        [18, 22, 37, 56, 68, 109, 103, 77],
        [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101],
        [72, 92, 95, 98, 112, 100, 103, 99],
    ]
)
CHROMA_TABLE = np.array(
    [
        [17, 18, 24, 47, 99, 99, 99, 99],
        [18, 21, 26, 66, 99, 99, 99, 99],
        [24, 26, 56, 99, 99, 99, 99, 99],
        [47, 66, 99, 99, 99, 99, 99, 99],
        [99, 99, 99, 99, 99, 99, 99, 99],
        [99, 99, 99, 99, 99, 99, 99, 99],
        [99, 99, 99, 99, 99, 99, 99, 99],
        [99, 99, 99, 99, 99, 99, 99, 99],
    ]
)
# JFIF 1.02, "Conversion to and from RGB", between pixels in [0, 1] and 255 steps.
_YCC = np.array([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]])
_TO_YCC = torch.from_numpy((255 * _YCC).astype(np.float32))
_CHROMA_TO_RGB = torch.from_numpy((np.linalg.inv(_YCC)[:, 1:] / 255).astype(np.float32))
_MIDDLE = 128.0  # the level shift of T.81, A.3.1


def _cosines() -> np.ndarray:
    """The 8-point cosine transform (T.81, A.3.3) as a matrix, frequency by place; its transpose undoes it."""
    frequency, place = np.arange(8)[:, None], np.arange(8)
    basis = np.cos((2 * place + 1) * frequency * math.pi / 16) / 2
    basis[0] /= math.sqrt(2)
    return basis


_COSINES = torch.from_numpy(_cosines().astype(np.float32))
_COSINES_OF_PAIRS = torch.from_numpy((np.repeat(_cosines(), 2, axis=1) / 2).astype(np.float32))  # of the means of two places


def compressed(pixels: Tensor, augment: Augment, draws: Draws) -> Tensor:
    """``pixels``, half of them written to: as from a JPEG file, of a quality between 100 (1 - ``augment.jpeg``) and 100."""
    if augment.jpeg == 0:
        return pixels
    return change_some(
        pixels, draws, "jpeg", 1, lambda some, numbers: through_jpeg(some, np.rint(100 - 100 * augment.jpeg * numbers[:, 0]))
    )


def through_jpeg(pixels: Tensor, qualities: np.ndarray) -> Tensor:
    """The pictures [n, 3, height, width] as they come out of JPEG files of these qualities (1 to 100, libjpeg's scale)."""
    n, _, height, width = pixels.shape
    right, below = -width % 16, -height % 16
    wide = F.pad(pixels, [0, right, 0, below], mode="replicate") if right or below else pixels
    device, area = pixels.device, wide.shape[2:]
    ycc = torch.bmm(_TO_YCC.to(device).expand(n, 3, 3), wide.flatten(2)).view_as(wide)
    luma = _quantised(ycc[:, :1] - _MIDDLE, _COSINES, _tables(LUMA_TABLE, qualities)).add_(_MIDDLE)
    chroma = _quantised(ycc[:, 1:], _COSINES_OF_PAIRS, _tables(CHROMA_TABLE, qualities))
    # libjpeg's "fancy upsampling" weighs the nearer and the further chroma 3 to 1 on each axis, which is bilinear.
    chroma = F.interpolate(chroma, scale_factor=2, mode="bilinear", align_corners=False)
    grey = luma.flatten(2).expand(n, 3, -1)
    colours = _CHROMA_TO_RGB.to(device).expand(n, 3, 2)
    decoded = torch.baddbmm(grey, colours, chroma.flatten(2), beta=1 / 255).view(n, 3, *area)
    return decoded[:, :, :height, :width].clamp_(0, 1)


def _tables(table: np.ndarray, qualities: np.ndarray) -> Tensor:
    """The table scaled for each quality as libjpeg does (``jpeg_quality_scaling`` in jcparam.c) [n, 8, 8]."""
    percent = np.where(qualities < 50, np.floor(5000 / qualities), 200 - 2 * qualities)
    scaled = np.floor((table * percent[:, None, None] + 50) / 100)
    return torch.from_numpy(np.clip(scaled, 1, 255).astype(np.float32))


def _quantised(planes: Tensor, forward: Tensor, tables: Tensor) -> Tensor:
    """Planes [n, c, height, width], each block's cosine transform rounded to multiples of its picture's table.

    ``forward`` [8, side] transforms blocks of 8 or 16 places a side; what comes back has 8 for each: the same size or half.
    """
    n, channels, height, width = planes.shape
    side = forward.shape[1]
    strips, across = channels * height // side, width // side
    forward, inverse = forward.to(planes.device), _COSINES.to(planes.device)
    steps = tables.to(planes.device)[:, None, :, None].expand(n, 1, 8, across, 8).contiguous()
    blocks = torch.matmul(forward, planes.reshape(n, strips, side, width)).reshape(n, strips, 8, across, side)
    blocks = torch.matmul(blocks, forward.T)
    blocks = blocks.div_(steps).round_().mul_(steps)
    rows = torch.matmul(blocks, inverse).view(n, strips, 8, across * 8)
    return torch.matmul(inverse.T, rows).reshape(n, channels, height * 8 // side, across * 8)
