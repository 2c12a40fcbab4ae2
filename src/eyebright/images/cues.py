"""What can be told of a picture without looking at its subject: how it was made, its frame, its average colour, its sharpness.

Alone none of it should tell the class. Where it does, a model may learn the cue and not the subject.
"""

import dataclasses
import functools
import math
from collections.abc import Iterable

import numpy as np
from jaxtyping import Float32, Int16, UInt8
from PIL import Image as Pillow

from eyebright.core.arrays import Image
from eyebright.images.decode import Decoded
from eyebright.images.header import Header, read_header

GRID = 64  # the picture is looked at in at most as many rows and columns, so that its size is no part of what is seen
FINE = 256  # the same, where letters must be seen
IN_PLACE = 4  # numbers for each place of the border and each corner
DETAIL_STEPS = 12  # levels for a doubling; 255 of them reach beyond the sharpest picture there is
FRAME = 16  # the border is a 16th of the picture on each side
CORNER = (8, 4)  # a corner is an 8th of the height and a 4th of the width: where cameras print the date
DETAIL = 128  # rows and columns of the middle that are looked at pixel by pixel
_BLACK, _WHITE, _VIVID = 8, 247, 128  # levels of 0 to 255

Grey = UInt8[np.ndarray, "height width"]
Edges = Int16[np.ndarray, "height width"]
Channels = UInt8[np.ndarray, "3 height width"]
Levels = tuple[int, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Cues:
    """The cues of one picture. Levels are 0 to 255; ``file_bytes`` is None for a picture that was no file.

    ``border`` and ``corners`` hold the mean and the spread (standard deviation) of the luminance, the spread of the vividness
    (the largest channel less the smallest: coloured letters show in it), and the detail, of each of top, right, bottom and
    left, and of each of top left, top right, bottom right and bottom left. ``colour`` is the mean red, green and blue;
    ``extremes`` are how much is black, white and vivid, 255 for all. Detail is the logarithm (base 2) of the variance of the
    Laplacian; ``sharpness`` is that of the middle at full size, and of the whole at ``GRID``.
    """

    height: int
    width: int
    format: str
    mode: str
    header: Header
    file_bytes: int | None
    border: Levels
    corners: Levels
    colour: Levels
    extremes: Levels
    sharpness: tuple[float, float]


def cues_of(content: bytes | Image, decoded: Decoded) -> Cues:
    """The cues of a picture: ``content`` is what a source's ``read`` gave, ``decoded`` what became of it.

    Cheap, as the picture is averaged down first; what it gives weighs less than a kilobyte.
    """
    fine = _small(decoded.image, FINE)
    small = _small(np.asarray(fine), GRID)
    grey = _luminance(small)
    channels = np.ascontiguousarray(np.moveaxis(np.asarray(small), 2, 0))
    vivid = channels.max(axis=0) - channels.min(axis=0)
    border, corners = _frame(grey, vivid, _laplacian(_luminance(fine)))
    colour, extremes = _colours(channels, vivid)
    return Cues(
        height=decoded.height,
        width=decoded.width,
        format=decoded.format,
        mode=decoded.mode,
        header=read_header(content, decoded.format) if isinstance(content, bytes) else Header(),
        file_bytes=len(content) if isinstance(content, bytes) else None,
        border=border,
        corners=corners,
        colour=colour,
        extremes=extremes,
        sharpness=(_detail(_laplacian(_luminance(_middle(decoded.image)))), _detail(_laplacian(grey))),
    )


def _small(image: Image, most: int) -> Pillow.Image:
    """The picture averaged down to at most ``most`` rows and columns; never enlarged."""
    height, width = (min(most, side) for side in image.shape[:2])
    # The gap lets Pillow shrink by whole factors first, which is twice as fast for photographs.
    return Pillow.fromarray(image).resize((width, height), Pillow.Resampling.BOX, reducing_gap=1.0)


def _middle(image: Image) -> Pillow.Image:
    top, left = (max(0, (side - DETAIL) // 2) for side in image.shape[:2])
    return Pillow.fromarray(np.ascontiguousarray(image[top : top + DETAIL, left : left + DETAIL]))


def _luminance(picture: Pillow.Image) -> Grey:
    return np.asarray(picture.convert("L"))  # ITU-R 601


def _frame(grey: Grey, vivid: Grey, edges: Grey) -> tuple[Levels, Levels]:
    """The ``IN_PLACE`` numbers of each place of the border, and of each corner."""
    means, spreads = _means_and_spreads(grey)
    _, vivid_spreads = _means_and_spreads(vivid)
    details = np.array([DETAIL_STEPS * _detail(edges[place]) for place in _places(*edges.shape)])
    numbers = _levels(np.stack([means, spreads, vivid_spreads, details], axis=1).reshape(-1))
    return numbers[: 4 * IN_PLACE], numbers[4 * IN_PLACE :]


def _means_and_spreads(plane: Grey) -> tuple[Float32[np.ndarray, "8"], Float32[np.ndarray, "8"]]:
    """Mean and standard deviation at each place."""
    values = plane.reshape(-1) - np.float32(128)  # about zero, where float32 has digits to spare for the squares
    shares = _shares(*plane.shape)
    means = shares @ values
    return means + 128, np.sqrt(np.maximum(shares @ values**2 - means**2, 0))


def _places(height: int, width: int) -> list[tuple[slice, slice]]:
    """The four sides, and the four corners, of a picture of that size."""
    rows, columns = max(1, height // FRAME), max(1, width // FRAME)
    high, wide = max(1, height // CORNER[0]), max(1, width // CORNER[1])
    up, down, west, east = (slice(high), slice(-high, None), slice(wide), slice(-wide, None))
    whole = slice(None)
    sides = [(slice(rows), whole), (whole, slice(-columns, None)), (slice(-rows, None), whole), (whole, slice(columns))]
    return [*sides, (up, west), (up, east), (down, east), (down, west)]


@functools.lru_cache(maxsize=64)
def _shares(height: int, width: int) -> Float32[np.ndarray, "8 pixels"]:
    """For each place the share of each pixel in its mean."""
    shares = np.zeros((8, height, width), dtype=np.float32)
    for share, place in zip(shares, _places(height, width), strict=True):
        share[place] = 1 / share[place].size
    return shares.reshape(8, -1)


def _colours(channels: Channels, vivid: Grey) -> tuple[Levels, Levels]:
    """The mean of each channel, and how much is black, white and vivid."""
    shares = [(channels <= _BLACK).all(axis=0).mean(), (channels >= _WHITE).all(axis=0).mean(), (vivid >= _VIVID).mean()]
    return _levels(channels.mean(axis=(1, 2))), _levels(255 * share for share in shares)


def _levels(numbers: Iterable[float]) -> Levels:
    """Rounded: Python keeps the whole numbers up to 256 once for all, so that thousands of pictures weigh little."""
    return tuple(round(float(number)) for number in numbers)


def _laplacian(grey: Grey) -> Edges:
    """How each inner pixel differs from its four neighbours; a single 0 below 3 x 3 pixels."""
    if min(grey.shape) < 3:
        return np.zeros((1, 1), dtype=np.int16)
    levels = grey.astype(np.int16)
    edges = levels[:-2, 1:-1] + levels[2:, 1:-1]
    edges += levels[1:-1, :-2]
    edges += levels[1:-1, 2:]
    edges -= levels[1:-1, 1:-1] << 2
    return edges


def _detail(edges: Edges) -> float:
    """The variance of the Laplacian (Pech-Pacheco et al. 2000, section 3), as log2(1 + it). Its mean is taken for 0."""
    flat = edges.astype(np.float32).reshape(-1)
    return math.log2(1 + float(flat @ flat) / len(flat))
