"""Descriptors of whole pictures that nobody trained: gradients by place, and colours. With numpy alone, a batch at a time."""

import numpy as np
from jaxtyping import Float32, Int64

from eyebright.core.arrays import Features, Pixels

CELLS = 8  # a side, whatever the picture's size: 40 x 40 pixels in cells of 5, as the GTSRB benchmark's features have it
ORIENTATIONS = 9  # over half a circle, and blocks of 2 x 2 cells: Dalal and Triggs 2005, section 6.3 and 6.4
BLOCK = 2
CLIP = 0.2  # L2-Hys: section 6.4, after Lowe 2004, section 6.1
EPSILON = 1e-5  # of a block's norm; keeps a flat block at nothing instead of dividing by zero
HUES, SATURATIONS, VALUES = 8, 4, 4  # more of hue, which light and shade change least: Swain and Ballard 1991, section 3

Plane = Float32[np.ndarray, "n height width"]


def hog(pixels: Pixels) -> Features:
    """Histograms of oriented gradients, [n, 7 * 7 * 2 * 2 * 9] (Dalal and Triggs, CVPR 2005).

    Of the three channels the one with the strongest gradient votes, at each pixel, for its orientation in its cell. Where the
    sides are multiples of 8, this is what scikit-image's ``hog`` gives for cells of an eighth and blocks of 2 x 2.
    """
    down, across = _strongest_gradient(pixels)
    angle = np.degrees(np.arctan2(down, across)) % 180
    bins = np.minimum(angle * np.float32(ORIENTATIONS / 180), ORIENTATIONS - 1).astype(np.int64)
    strength = np.sqrt(down**2 + across**2)
    rows, columns = (cell_of(side, CELLS) for side in pixels.shape[2:])
    pictures = np.arange(len(pixels))
    cell = (pictures[:, None, None] * CELLS + rows[:, None]) * CELLS + columns  # n h w
    shape = (len(pixels), CELLS, CELLS, ORIENTATIONS)
    area = np.outer(np.bincount(rows), np.bincount(columns))[:, :, None]
    return _blocks(_histogram(cell * ORIENTATIONS + bins, shape, strength) / area)


def _blocks(cells: np.ndarray) -> Features:
    """Every block of 2 x 2 cells, its norm one, after clipping what one strong edge would take alone."""
    windows = np.lib.stride_tricks.sliding_window_view(cells, (BLOCK, BLOCK), axis=(1, 2))  # n 7 7 9 2 2
    blocks = windows.transpose(0, 1, 2, 4, 5, 3).reshape(len(cells), -1, BLOCK * BLOCK * cells.shape[3])
    clipped = np.minimum(_unit(blocks), CLIP)
    return _unit(clipped).reshape(len(cells), -1).astype(np.float32)


def _unit(blocks: np.ndarray) -> np.ndarray:
    norms = np.sqrt((blocks**2).sum(axis=-1, keepdims=True) + EPSILON**2)
    unit: np.ndarray = blocks / norms
    return unit


def _strongest_gradient(pixels: Pixels) -> tuple[Plane, Plane]:
    """The gradient down and across, by central differences (zero on the border), of the channel where it is strongest."""
    down, across = np.zeros_like(pixels), np.zeros_like(pixels)
    down[:, :, 1:-1] = pixels[:, :, 2:] - pixels[:, :, :-2]
    across[..., 1:-1] = pixels[..., 2:] - pixels[..., :-2]
    channel = (down**2 + across**2).argmax(axis=1)[:, None]  # n 1 h w
    return np.take_along_axis(down, channel, 1)[:, 0], np.take_along_axis(across, channel, 1)[:, 0]


def cell_of(side: int, cells: int) -> Int64[np.ndarray, "side"]:
    """Which of ``cells`` each row or column of a picture lies in; where they do not divide ``side``, some are one wider."""
    return np.arange(side) * cells // side


def colour_histogram(pixels: Pixels) -> Features:
    """The root of the share of pixels in each of 8 hues x 4 saturations x 4 values, [n, 128] (Swain and Ballard 1991).

    With the root, the distance of two pictures is Hellinger's, in which a large plain background does not drown the rest.
    """
    hue, saturation, value = hsv(pixels)
    bins = _level(hue, HUES)
    for channel, levels in ((saturation, SATURATIONS), (value, VALUES)):
        bins = bins * levels + _level(channel, levels)
    width = HUES * SATURATIONS * VALUES
    index = np.arange(len(pixels))[:, None, None] * width + bins
    counts = _histogram(index, (len(pixels), width))
    shares: Features = np.sqrt(counts / (pixels.shape[2] * pixels.shape[3])).astype(np.float32)
    return shares


def hsv(pixels: Pixels) -> tuple[Plane, Plane, Plane]:
    """Hue, saturation and value in [0, 1] (Smith 1978); a grey's hue and black's saturation are zero."""
    red, green, blue = pixels.transpose(1, 0, 2, 3)
    value, least = pixels.max(axis=1), pixels.min(axis=1)
    spread = value - least
    over = np.where(spread == 0, np.float32(1), spread)
    sector = np.select(
        [spread == 0, value == red, value == green],
        [np.float32(0), (green - blue) / over % 6, (blue - red) / over + 2],
        (red - green) / over + 4,
    )
    return sector / np.float32(6), spread / np.where(value == 0, np.float32(1), value), value


def _level(channel: Plane, levels: int) -> Int64[np.ndarray, "n height width"]:
    return np.asarray(np.minimum(channel * np.float32(levels), levels - 1), dtype=np.int64)


def _histogram(index: np.ndarray, shape: tuple[int, ...], weights: np.ndarray | None = None) -> np.ndarray:
    flat = None if weights is None else weights.ravel()
    return np.bincount(index.ravel(), flat, minlength=int(np.prod(shape))).reshape(shape)
