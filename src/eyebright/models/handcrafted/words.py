"""A picture as a bag of visual words: SIFT descriptors on a dense grid, each shared out among the words of a vocabulary.

Csurka et al. 2004, "Visual categorization with bags of keypoints", with a grid in place of detected points (Fei-Fei and Perona
2005, section 3.2: better for whole pictures). Small pictures have hardly a keypoint, and some have none.
"""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float32

from eyebright.core.arrays import Features, Pixels

LUMINANCE = (0.299, 0.587, 0.114)  # ITU-R BT.601, as in Pillow's "L" mode
GRIDS = (8, 16)  # cells a side: two sizes of patches, of a half and a quarter of the picture
PATCH = 4  # cells a side of one descriptor, and 8 orientations over the circle: Lowe 2004, section 6.2
ORIENTATIONS = 8
WIDTH = PATCH * PATCH * ORIENTATIONS
WINDOW = 2.0  # cells: the standard deviation of the weight over a patch, half its width: Lowe 2004, section 6.1
CLIP = 0.2  # Lowe 2004, section 6.1
FLAT = 0.02  # gradient (of the range of a pixel) below which a patch keeps its weakness: noise has no shape
SHARPNESS = 20.0  # of the share a word gets, by squared distance; hard shares jump where a patch lies between two words
REGIONS = 5  # the whole picture and its quarters: Lazebnik et al. 2006, two levels of the pyramid

Vocabulary = Float32[np.ndarray, "words 128"]


def bag_of_words(pixels: Pixels, vocabulary: Vocabulary) -> Features:
    """The root of each word's share of the picture and of its quarters, [n, 5 * words]; each row's norm is one.

    Shares are soft (van Gemert et al. 2008): a rounding error cannot move a patch from one word to another.
    """
    regions = np.zeros((len(pixels), REGIONS, len(vocabulary)))
    for patches in dense_sift(pixels):
        shares = word_shares(patches, vocabulary)
        regions += _pooled(shares) / len(GRIDS)
    return np.sqrt(regions / REGIONS).reshape(len(pixels), -1).astype(np.float32)


def _pooled(shares: np.ndarray) -> np.ndarray:
    """The mean over the whole and over each quarter; of an odd number of rows, the middle one is in both halves."""
    rows, columns = shares.shape[1:3]
    halves = [(slice(0, (side + 1) // 2), slice(side // 2, side)) for side in (rows, columns)]
    quarters = [shares[:, down, across].mean(axis=(1, 2)) for down in halves[0] for across in halves[1]]
    return np.stack([shares.mean(axis=(1, 2)), *quarters], axis=1)  # n 5 words


def word_shares(patches: np.ndarray, vocabulary: Vocabulary) -> Float32[np.ndarray, "n rows columns words"]:
    """How much each patch is of each word, summing to one: a softmax of minus the squared distances."""
    nearness = 2 * (patches @ vocabulary.T) - (vocabulary**2).sum(axis=1)  # the patch's own norm is the same for each word
    nearness -= nearness.max(axis=-1, keepdims=True)
    shares = np.exp(np.float32(SHARPNESS) * nearness)
    return np.asarray(shares / shares.sum(axis=-1, keepdims=True), dtype=np.float32)


def dense_sift(pixels: Pixels) -> Iterator[Float32[np.ndarray, "n rows columns 128"]]:
    """The descriptors of the patches of 4 x 4 cells at every cell of each grid, upright (Lowe 2004, section 6).

    Each pixel votes for the two nearest orientations and the nearest cells, the weights falling linearly to the next one's
    centre. The middle of a patch weighs more; its norm is one, nothing above 0.2 before, and less where it is flat.
    """
    planes = _orientation_planes(pixels)
    window = np.exp(-((np.arange(PATCH) - (PATCH - 1) / 2) ** 2) / (2 * WINDOW**2)).astype(np.float32)
    for cells in GRIDS:
        down, across = (_cell_weights(side, cells) for side in pixels.shape[2:])
        pooled = down @ planes @ across.T  # n 8 h w -> n 8 cells cells
        patches = np.lib.stride_tricks.sliding_window_view(pooled, (PATCH, PATCH), axis=(2, 3))
        weighted = (patches * window[:, None] * window).transpose(0, 2, 3, 4, 5, 1)  # n rows columns 4 4 8
        flat = weighted.reshape(*weighted.shape[:3], WIDTH)
        yield _floored_unit(np.minimum(_floored_unit(flat), np.float32(CLIP)))


def _orientation_planes(pixels: Pixels) -> Float32[np.ndarray, "n 8 height width"]:
    """The strength of the grey gradient, at each pixel shared by the two orientations beside its own."""
    grey = (pixels * np.array(LUMINANCE, dtype=np.float32)[:, None, None]).sum(axis=1)  # n 3 h w -> n h w
    down, across = np.zeros_like(grey), np.zeros_like(grey)
    down[:, 1:-1] = (grey[:, 2:] - grey[:, :-2]) / 2
    across[..., 1:-1] = (grey[..., 2:] - grey[..., :-2]) / 2
    strength = np.sqrt(down**2 + across**2)
    turn = np.arctan2(down, across) * np.float32(ORIENTATIONS / (2 * np.pi))  # in (-4, 4]
    away = np.abs(turn[:, None] - np.arange(ORIENTATIONS, dtype=np.float32)[:, None, None])
    away = np.minimum(np.abs(away - ORIENTATIONS), away)  # around the circle, n 8 h w
    planes: np.ndarray = strength[:, None] * np.maximum(0, 1 - away)
    return planes


def _cell_weights(side: int, cells: int) -> Float32[np.ndarray, "cells side"]:
    """How much each row counts for each cell: most at its centre, nothing at the next centres; the weights sum to one."""
    width = side / cells
    centres = (np.arange(cells) + 0.5) * width - 0.5
    weights = np.maximum(0, 1 - np.abs(np.arange(side) - centres[:, None]) / width)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), dtype=np.float32)


def _floored_unit(patches: np.ndarray) -> np.ndarray:
    norms = np.sqrt((patches**2).sum(axis=-1, keepdims=True))
    unit: np.ndarray = patches / np.maximum(norms, np.float32(FLAT))
    return unit
