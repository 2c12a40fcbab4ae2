"""How alike two pictures are once the one is laid over the other: what judges the pairs that a perceptual hash proposes.

The first picture is cropped and stretched, step by step, until it fits the second best (Gauss-Newton on brightness, as in
Lucas and Kanade 1981, "An iterative image registration technique", with the four edges of the crop as the unknowns and gain
and offset solved along). Then the slopes of both are correlated: edges tell two chests apart whose brightness is the same
to 0.98.
"""

import numpy as np
from jaxtyping import Float32, Float64

from eyebright.images.phash import SIDE, Thumbprints

_COARSE = SIDE // 2
# The least correlation of slopes at the coarse size with which a pair goes on: at first, and after each step. All planted
# crops by up to 5 % a side that correlate in the end stay above; of chests that share a hash one in three stops at the first
# gate, two in three before the third, and hardly one gets through the last.
_GATES = (0.70, 0.80, 0.85, 0.87)
_MOST_CUT = 0.2  # of a side; a step that goes further is lost
_LONGEST_STEP = 0.02  # of a side: with a pixel and a half at the coarse size the linear model still holds
_BATCH = 64  # pairs at once: what is worked on stays in the cache

Windows = Float64[np.ndarray, "n 4"]


def correlations(first: Thumbprints, second: Thumbprints, windows: Windows) -> Float32[np.ndarray, "n"]:
    """The correlation of each pair, at most 1; pairs that fit badly are given up early, with what they had reached.

    ``windows`` say where to begin: top, bottom, left and right edge of the part of ``first`` that ``second`` shows, of 1.
    """
    parts = [
        _correlations(first[at : at + _BATCH], second[at : at + _BATCH], windows[at : at + _BATCH])
        for at in range(0, len(first), _BATCH)
    ]
    return np.concatenate(parts) if parts else np.zeros(0, dtype=np.float32)


def _correlations(first: Thumbprints, second: Thumbprints, windows: Windows) -> Float32[np.ndarray, "n"]:
    found = np.empty(len(first), dtype=np.float32)
    rows = np.arange(len(first))
    windows = windows.copy()
    coarse, target = _halved(first), _halved(second)
    for gate in _GATES:
        warped = _crop(coarse[rows], windows[rows])
        found[rows] = _slope_correlation(warped, target[rows])
        goes_on = found[rows] >= gate
        rows, warped = rows[goes_on], warped[goes_on]
        if not len(rows):
            return found
        windows[rows] = _improved(windows[rows], warped, target[rows])
    full = _crop(first[rows].astype(np.float32), windows[rows])
    found[rows] = _slope_correlation(full, second[rows].astype(np.float32))
    return found


def _halved(thumbprints: Thumbprints) -> Float32[np.ndarray, "n coarse coarse"]:
    blocks = thumbprints.reshape(len(thumbprints), _COARSE, 2, _COARSE, 2)
    halved: np.ndarray = blocks.mean(axis=(2, 4), dtype=np.float32)
    return halved


def _crop(pictures: Float32[np.ndarray, "n side side"], windows: Windows) -> Float32[np.ndarray, "n side side"]:
    """Each picture's ``windows``, stretched to its whole size by linear interpolation."""
    rows = _stretch(pictures, windows[:, 0], windows[:, 1])
    return _stretch(rows.transpose(0, 2, 1), windows[:, 2], windows[:, 3]).transpose(0, 2, 1)


def _stretch(pictures: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Rows ``start`` to ``end`` (of 1) stretched to all rows."""
    side = pictures.shape[1]
    centres = (np.arange(side) + 0.5) / side
    places = np.clip(side * (start[:, None] + (end - start)[:, None] * centres) - 0.5, 0, side - 1)
    before = np.minimum(places.astype(np.int64), side - 2)
    after_share = (places - before).astype(np.float32)[:, :, None]
    which = np.arange(len(pictures))[:, None]
    above, below = pictures[which, before], pictures[which, before + 1]
    stretched: np.ndarray = above + (below - above) * after_share
    return stretched


def _improved(windows: Windows, warped: np.ndarray, target: np.ndarray) -> Windows:
    """The windows after one Gauss-Newton step: ``target`` is explained by ``warped`` and by moving each edge."""
    n, side, _ = warped.shape
    near_end = ((np.arange(side, dtype=np.float32) + 0.5) / side)[:, None]
    near_start = 1 - near_end
    down, across = np.gradient(warped, 1 / side, axis=(1, 2))
    moves = (down * near_start, down * near_end, across * near_start.T, across * near_end.T)
    columns = np.stack([*moves, warped, np.ones_like(warped)], axis=1).reshape(n, 6, -1)
    normal = (columns @ columns.transpose(0, 2, 1)).astype(np.float64)
    # Where a picture has no slope in some direction nothing is known of that edge; it then stays where it is.
    normal += 1e-6 * np.trace(normal, axis1=1, axis2=2)[:, None, None] * np.eye(6) / 6
    solved = np.linalg.solve(normal, (columns @ target.reshape(n, -1, 1)).astype(np.float64))[:, :, 0]
    gain = np.maximum(solved[:, 4:5], 0.1)
    size = np.repeat(np.stack([windows[:, 1] - windows[:, 0], windows[:, 3] - windows[:, 2]], axis=1), 2, axis=1)
    step = np.clip(size * solved[:, :4] / gain, -_LONGEST_STEP, _LONGEST_STEP)
    edges = np.array([0.0, 1.0, 0.0, 1.0])
    return np.clip(windows + step, edges - _MOST_CUT, edges + _MOST_CUT)


def _slope_correlation(first: np.ndarray, second: np.ndarray) -> Float32[np.ndarray, "n"]:
    """The correlation of the slopes, down and across, of pictures that are smoothed a little against noise and blur."""
    one, other = _slopes(first), _slopes(second)
    products = np.einsum("nk,nk->n", one, other)
    norms = np.sqrt(np.einsum("nk,nk->n", one, one) * np.einsum("nk,nk->n", other, other))
    correlation: np.ndarray = products / np.maximum(norms, 1e-6)
    return correlation


def _slopes(pictures: np.ndarray) -> Float32[np.ndarray, "n k"]:
    smooth = pictures[:, :-2] + 2 * pictures[:, 1:-1] + pictures[:, 2:]
    smooth = smooth[:, :, :-2] + 2 * smooth[:, :, 1:-1] + smooth[:, :, 2:]
    down = smooth[:, 2:, 1:-1] - smooth[:, :-2, 1:-1]
    across = smooth[:, 1:-1, 2:] - smooth[:, 1:-1, :-2]
    slopes = np.stack([down, across], axis=1).reshape(len(pictures), -1)
    # Without their mean, so that a picture that is a slope as a whole is not like every other such one.
    slopes -= slopes.mean(axis=1, keepdims=True)
    return slopes
