"""Occlusion: what a class loses when parts of the picture are covered. Any model can be asked."""

import itertools
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32, Float64

from eyebright.core.arrays import Logits, Pixels
from eyebright.core.errors import ModelError
from eyebright.core.events import OnEvent, Phase, Progress, silent
from eyebright.core.predictor import Predictor
from eyebright.explanation.grid import resized

COARSE, FINE = 4, 8  # tiles on the long side; by deletion no other pair up to 8 was better, and finer ones cost more
FILL_CELLS = 4  # on the long side of the blurred copy: nothing of a coarse tile's own structure is left in it
BATCH = 16  # pictures asked at a time, fewer where they are large
BATCH_VALUES = 2**24  # 64 MB of float32

Tile = tuple[slice, slice]  # rows, columns


def occlusion(
    predictor: Predictor, pixels: Pixels, target: int, *, on_event: OnEvent = silent
) -> Float32[np.ndarray, "height width"]:
    """What each pixel adds to the target's log-odds, judged by covering the tile that it lies in.

    Zeiler and Fergus 2014, "Visualizing and understanding convolutional networks", section 4.2, with three changes.

    A tile is covered by the same part of a blurred copy. Their grey square has edges and a colour of its own: the model sees a
    box that was not there, and on a dark picture a bright one. The copy keeps light and colour and has no detail (Fong and
    Vedaldi 2017, section 4.1).

    The loss is measured in log-odds ("weight of evidence", Robnik-Sikonja and Kononenko 2008; Zintgraf et al. 2017), not in
    probability, which hardly moves while a model is sure, nor in the logit, which may rise with all the others and then changes
    no answer.

    Three tilings are asked in place of a sliding patch, at most 105 pictures: coarse tiles, the same moved by half a tile, and
    fine ones. Large tiles find what is said twice, small ones say where. Each tiling covers every pixel once, so for a model
    whose log-odds are a sum over pixels the map sums to the log-odds of the picture less those of the copy.

    Deterministic. Sends ``Phase`` and ``Progress``. Raises ``ModelError`` where a logit is not finite.
    """
    height, width = pixels.shape[2:]
    tilings = _tilings(height, width)
    drops = iter(_drops(predictor, pixels, target, [tile for tiling in tilings for tile in tiling], on_event))
    found = np.zeros((height, width))
    for tiling in tilings:
        for tile in tiling:
            found[tile] += next(drops) / found[tile].size / len(tilings)
    return found.astype(np.float32)


def log_odds(logits: Logits, target: int) -> Float64[np.ndarray, "n"]:
    """The logarithm of p / (1 - p) for the probability p of ``target``; it stays exact where p rounds to 1.

    Zero where there is no other class.

    >>> log_odds(np.array([[2.0, 0.5]], dtype=np.float32), 0).tolist()
    [1.5]
    """
    if logits.shape[1] == 1:
        return np.zeros(len(logits))
    others = np.delete(logits, target, axis=1).astype(np.float64)
    most = others.max(axis=1)
    found: np.ndarray = logits[:, target] - most - np.log(np.exp(others - most[:, None]).sum(axis=1))
    return found


def blurred(pixels: Pixels) -> Pixels:
    """The picture as ``FILL_CELLS`` cells on its long side show it: light and colour here and there, no detail."""
    height, width = pixels.shape[2:]
    cells = _cells(height, width, FILL_CELLS)
    return resized(resized(pixels, *cells), height, width)


def _tilings(height: int, width: int) -> list[list[Tile]]:
    """Coarse, coarse and moved, fine. Tiles are about square, and none is smaller than a pixel."""
    coarse, fine = (_cells(height, width, count) for count in (COARSE, FINE))
    return [
        [(rows, columns) for rows in _cuts(height, counts[0], shift) for columns in _cuts(width, counts[1], shift)]
        for counts, shift in ((coarse, 0.0), (coarse, 0.5), (fine, 0.0))
    ]


def _cells(height: int, width: int, count: int) -> tuple[int, int]:
    """Rows and columns of cells that are about square, ``count`` on the long side."""
    side = max(height, width) / count
    return (min(height, max(1, round(height / side))), min(width, max(1, round(width / side))))


def _cuts(side: int, count: int, shift: float) -> list[slice]:
    """``side`` pixels in ``count`` pieces; moved by a ``shift`` of a piece, those at both ends are cut."""
    edges = sorted({0, side, *(round(side * (place + shift) / count) for place in range(count))})
    return [slice(start, end) for start, end in itertools.pairwise(edges)]


def _drops(
    predictor: Predictor, pixels: Pixels, target: int, tiles: Sequence[Tile], on_event: OnEvent
) -> Float64[np.ndarray, "tiles"]:
    """What the target's log-odds lose when each tile alone is covered."""
    on_event(Phase("Covering parts of the picture", len(tiles)))
    copy, whole = blurred(pixels), _odds(predictor, pixels, target)
    batch = max(1, min(BATCH, BATCH_VALUES // pixels.size))
    found = []
    for start in range(0, len(tiles), batch):
        some = tiles[start : start + batch]
        covered = np.repeat(pixels, len(some), axis=0)
        for picture, (rows, columns) in zip(covered, some, strict=True):
            picture[:, rows, columns] = copy[0, :, rows, columns]
        found.append(whole - _odds(predictor, covered, target))
        on_event(Progress(start + len(some)))
    return np.concatenate(found)


def _odds(predictor: Predictor, pixels: Pixels, target: int) -> Float64[np.ndarray, "n"]:
    logits = predictor(pixels).logits
    if not np.isfinite(logits).all():
        raise ModelError(
            "The model gave logits that are not finite for this picture or a part of it; numbers were expected. "
            "eyebright verify says whether the model is damaged."
        )
    return log_odds(logits, target)
