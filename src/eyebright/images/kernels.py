"""Pillow's resampling, byte for byte, in half of its time and less: compiled by numba, for sets of many pictures.

Pillow widens the filter where it shrinks, rounds its weights to 22 bits, and rounds to bytes between the two directions
(``Resample.c``). Here the same sums are made for many pixels at once: for the rows of a picture, then for those of its
transpose. ``resample`` takes the directions in the order in which the installed Pillow does; ``agrees`` is asked before.
"""

# numba compiles these functions for the types that they are called with; annotations would say less than they cost.
# mypy: disable-error-code="no-untyped-def,no-untyped-call"

import numpy as np
import PIL
from PIL import Image as Pillow

from eyebright.core.arrays import Image
from eyebright.core.compiling import compiled
from eyebright.images.lending import lent
from eyebright.images.preprocess import Box

BITS = 22  # of a weight of 1: with 8 of a pixel and 2 to spare, as bicubic weights overshoot, an int32 is filled
STEP = 4  # weights that are taken together
ROWS = 32  # rows that are transposed together: of a wide picture they still lie in the processor's cache
_HALF, _BITS, _LEAST, _MOST = np.int32(1 << (BITS - 1)), np.int32(BITS), np.int32(0), np.int32(255)
# From this release on Pillow shrinks pictures downwards first that lose more than twice as many rows as columns
# (python-pillow/Pillow, pull request 9549).
_TALL_FIRST = int(PIL.__version__.split(".")[0]) >= 13
# Sizes and parts that ``agrees`` asks of: shrinking, enlarging, cutting, and both sides of the line at which the order turns.
_ASKED: tuple[tuple[int, int, Box], ...] = (
    *((61, 83, (0, 0, 83, 61)), (97, 40, (0, 0, 40, 97)), (19, 23, (1.5, 2.25, 20.75, 18))),
    *((49, 41, (0, 0, 41, 49)), (50, 41, (0, 0, 41, 50)), (49, 41, (1, 2, 40, 47)), (50, 41, (1, 2, 40, 47))),
)
_WIDTH, _HEIGHT = 31, 29  # to which; 41 x 49 lose 10 columns and 20 rows


def resample(picture: Pillow.Image, width: int, height: int, resampler: Pillow.Resampling, box: Box) -> Image:
    """``picture.resize((width, height), resampler, box)`` as an array. ``picture`` is RGB, the filter bicubic or bilinear."""
    tall = height < picture.height and picture.height - height > 2 * (picture.width - width)
    part = np.array(box, dtype=np.float32)  # as Pillow takes it
    cubic = resampler == Pillow.Resampling.BICUBIC
    with lent(picture) as pixels:
        return np.asarray(_resample(pixels, part, height, width, cubic, _TALL_FIRST and tall)).transpose(1, 2, 0)


def agrees() -> bool:
    """Whether ``resample`` gives the installed Pillow's own bytes."""
    random = np.random.default_rng(0)
    for height, width, box in _ASKED:
        picture = Pillow.fromarray(random.integers(0, 256, (height, width, 3), dtype=np.uint8))
        for resampler in (Pillow.Resampling.BICUBIC, Pillow.Resampling.BILINEAR):
            wanted = np.asarray(picture.resize((_WIDTH, _HEIGHT), resampler, box))
            if not np.array_equal(resample(picture, _WIDTH, _HEIGHT, resampler, box), wanted):
                return False
    return True


@compiled()
def _resample(pixels, box, height, width, cubic, tall_first):
    """Bytes [3, height, width] of the ``box`` of ``pixels``, uint32 [rows, columns] of red, green, blue and one unused byte."""
    columns = _weights(pixels.shape[1], box[0], box[2], width, cubic)
    rows = _weights(pixels.shape[0], box[1], box[3], height, cubic)
    small = np.empty((height, width), np.uint32)
    if tall_first:
        short = np.empty((height, pixels.shape[1]), np.uint32)
        _downwards(pixels.view(np.uint8), rows, 0, short.view(np.uint8))
        _across(short, columns, small)
    else:
        above, below = rows[0][0], rows[0][-1] + rows[1][-1]  # what no row is made from is left out
        narrow = np.empty((below - above, width), np.uint32)
        _across(pixels[above:below], columns, narrow)
        _downwards(narrow.view(np.uint8), rows, above, small.view(np.uint8))
    found = np.empty((3, height, width), np.uint8)
    four = small.view(np.uint8)
    for row in range(height):
        for column in range(width):
            for channel in range(3):
                found[channel, row, column] = four[row, 4 * column + channel]
    return found


@compiled()
def _weights(side, start, end, wanted, cubic):
    """For each of ``wanted`` places the first pixel it is made from, how many there are, and their weights, times 2 ** BITS."""
    scale = np.float64(end - start) / wanted
    wide = max(scale, 1.0)
    support = (2.0 if cubic else 1.0) * wide
    most = int(np.ceil(support)) * 2 + 1
    first, count = np.empty(wanted, np.int64), np.empty(wanted, np.int64)
    weights = np.zeros((wanted, (most + STEP - 1) // STEP * STEP), np.int32)
    shares = np.empty(most, np.float64)
    inverse = 1.0 / wide
    for place in range(wanted):
        centre = start + (place + 0.5) * scale
        first[place] = max(int(centre - support + 0.5), 0)
        count[place] = min(int(centre + support + 0.5), side) - first[place]
        total = 0.0
        for tap in range(count[place]):
            distance = abs((tap + first[place] - centre + 0.5) * inverse)
            shares[tap] = _bicubic(distance) if cubic else max(1.0 - distance, 0.0)
            total += shares[tap]
        for tap in range(count[place]):
            share = shares[tap] / total if total != 0.0 else shares[tap]
            weights[place, tap] = int(share * (1 << BITS) + (-0.5 if share < 0 else 0.5))
    return first, count, weights


@compiled(inline="always")
def _bicubic(distance):
    """Keys 1981, with a = -1/2."""
    if distance < 1.0:
        return (1.5 * distance - 2.5) * distance * distance + 1
    if distance < 2.0:
        return (((distance - 5) * distance + 8) * distance - 4) * -0.5
    return 0.0


@compiled()
def _downwards(lines, rows, above, found):
    """Each row of ``found`` as a weighted sum of ``lines``, bytes both; ``above`` lines are missing before the first."""
    first, count, weights = rows
    last = lines.shape[0] - 1
    sums = np.empty(lines.shape[1], np.int32)
    for place in range(len(first)):
        sums[:] = _HALF
        for tap in range(0, count[place], STEP):
            a = first[place] - above + tap
            b, c, d = min(a + 1, last), min(a + 2, last), min(a + 3, last)  # where there is none its weight is 0
            wa, wb, wc, wd = weights[place, tap], weights[place, tap + 1], weights[place, tap + 2], weights[place, tap + 3]
            for i in range(len(sums)):
                sums[i] += wa * lines[a, i] + wb * lines[b, i] + wc * lines[c, i] + wd * lines[d, i]
        for i in range(len(sums)):
            found[place, i] = min(max(sums[i] >> _BITS, _LEAST), _MOST)


@compiled()
def _across(pixels, columns, found):
    """Each column of ``found`` as a weighted sum of those of ``pixels``, uint32 both: a few rows at a time are transposed."""
    turned, narrow = np.zeros((pixels.shape[1], ROWS), np.uint32), np.empty((found.shape[1], ROWS), np.uint32)
    for start in range(0, pixels.shape[0], ROWS):
        rows = min(ROWS, pixels.shape[0] - start)
        for column in range(pixels.shape[1]):
            for row in range(rows):
                turned[column, row] = pixels[start + row, column]
        _downwards(turned.view(np.uint8), columns, 0, narrow.view(np.uint8))
        for row in range(rows):
            for column in range(found.shape[1]):
                found[start + row, column] = narrow[column, row]
