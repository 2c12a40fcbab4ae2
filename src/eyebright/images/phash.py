"""A perceptual hash: 64 bits that hardly change when a picture is re-encoded, resized or made brighter.

pHash by the discrete cosine transform (Zauner 2010, "Implementation and benchmarking of perceptual image hash functions",
section 3.2.1): a bit says whether one of the 64 lowest frequencies is above their median. It proposes, it does not judge:
distinct pictures of one kind (X-rays) can share most bits, so ``images.align`` compares what it proposes.

A crop moves every frequency, so a picture is also hashed as if cropped, and in the mirror: its *views*. What was cut from it
has nearly the hash of one of them.
"""

import dataclasses
from itertools import product

import numpy as np
from jaxtyping import Bool, Float32, UInt8, UInt64
from PIL import Image as Pillow

from eyebright.core.arrays import Image

SIDE = 64  # pixels of a thumbprint; with 48 the correlations of different people's chests come nearer to those of crops
FLAT = 4.0  # grey levels of standard deviation; the flattest of 2,128 photographs and X-rays has 7.8
_LARGE = 4 * SIDE
_FREQUENCIES = 8  # 0 to 7 each way; with 1 to 8, as in Zauner, 80 % of crops by 2 % a side stay within 7 bits, with these 90 %

Thumbprint = UInt8[np.ndarray, "64 64"]
Thumbprints = UInt8[np.ndarray, "n 64 64"]
Hashes = UInt64[np.ndarray, "n"]
Window = tuple[float, float]  # where a view begins and ends along one axis, of the whole

# What a crop of up to 5 % a side may have left, in steps that the hash bridges: nothing cut, a little or more at both
# ends, or all at one.
_WINDOWS: tuple[Window, ...] = ((0.0, 1.0), (0.02, 0.98), (0.04, 0.96), (0.04, 1.0), (0.0, 0.96))
_WHOLE, _LITTLE, _MORE, _TAIL, _HEAD = range(5)
_IN_THE_MIRROR = {_TAIL: _HEAD, _HEAD: _TAIL}


@dataclasses.dataclass(frozen=True)
class View:
    """A picture as if cropped to ``rows`` and ``columns``, after it was ``mirrored`` left to right or not."""

    rows: Window
    columns: Window
    mirrored: bool


_CROPS = (
    (_WHOLE, _WHOLE),
    (_LITTLE, _LITTLE),
    (_MORE, _MORE),
    *((rows, columns) for rows, columns in product((_WHOLE, _TAIL, _HEAD), repeat=2) if (rows, columns) != (_WHOLE, _WHOLE)),
)
VIEWS = tuple(
    View(_WINDOWS[rows], _WINDOWS[columns], mirrored) for mirrored in (False, True) for rows, columns in _CROPS
)  # the first is the picture as it is


def thumbprint(image: Image | Pillow.Image) -> Thumbprint:
    """The picture's luminance (ITU-R 601), squashed to 64 x 64: what is hashed and compared. A picture is in mode RGB or L."""
    picture = image if isinstance(image, Pillow.Image) else Pillow.fromarray(np.ascontiguousarray(image))
    if (shrink := min(picture.size) // _LARGE) > 1:
        picture = picture.reduce(shrink)  # averaging whole pixels is cheaper than laying a filter over them
    return np.asarray(picture.convert("L").resize((SIDE, SIDE), Pillow.Resampling.BILINEAR))


def is_flat(thumbprints: Thumbprints) -> Bool[np.ndarray, "n"]:
    """Which pictures are blank, or nearly: their hash is made of noise, and their correlation too."""
    flat: np.ndarray = thumbprints.reshape(-1, SIDE * SIDE).std(axis=1, dtype=np.float32) < FLAT
    return flat


def hashes(thumbprints: Thumbprints) -> Hashes:
    """The hash of each picture as it is. A blank picture's is as good as random; see ``is_flat``."""
    return _bits(_spectra(thumbprints, _TRANSFORMS[:1]).reshape(-1, 64))


def view_hashes(thumbprints: Thumbprints) -> UInt64[np.ndarray, "views n"]:
    """The hash of each picture in each of ``VIEWS``."""
    spectra = _spectra(thumbprints, _TRANSFORMS)
    plain = [spectra[:, rows, :, columns, :] for rows, columns in _CROPS]
    # Cutting the mirrored picture's left is cutting the picture's right, and odd waves change their sign.
    mirrored = [spectra[:, rows, :, _IN_THE_MIRROR.get(columns, columns), :] * _MIRROR for rows, columns in _CROPS]
    return np.stack([_bits(block.reshape(-1, 64)) for block in (*plain, *mirrored)])


def _transform(window: Window) -> Float32[np.ndarray, "8 64"]:
    """What takes one axis of a thumbprint to the lowest frequencies of its ``window``: interpolation, then DCT-II."""
    places = np.clip(SIDE * (window[0] + (window[1] - window[0]) * _CENTRES) - 0.5, 0, SIDE - 1)
    before = np.minimum(places.astype(np.int64), SIDE - 2)
    interpolation = np.zeros((SIDE, SIDE))
    interpolation[np.arange(SIDE), before] = before + 1 - places
    interpolation[np.arange(SIDE), before + 1] = places - before
    waves = np.cos(np.pi * np.arange(_FREQUENCIES)[:, None] * _CENTRES)
    transform: np.ndarray = (waves @ interpolation).astype(np.float32)
    return transform


_CENTRES = (np.arange(SIDE) + 0.5) / SIDE  # of the pixels, along an axis from 0 to 1
_TRANSFORMS = np.stack([_transform(window) for window in _WINDOWS])  # windows 8 64
# Every fourth diagonal of the spectrum together, so that each quarter of the bits has coarse and fine waves: an index on
# quarters then proposes half as many pairs of photographs, and of X-rays, as with the rows one after another.
_BIT_ORDER = np.argsort(np.add.outer(np.arange(_FREQUENCIES), np.arange(_FREQUENCIES)).ravel() % 4, kind="stable")
_MIRROR = np.array([1, -1] * (_FREQUENCIES // 2), dtype=np.float32)


def _spectra(thumbprints: Thumbprints, transforms: np.ndarray) -> Float32[np.ndarray, "n rows 8 columns 8"]:
    waves = transforms.reshape(-1, SIDE)
    both_ways = (len(thumbprints), len(transforms), _FREQUENCIES, len(transforms), _FREQUENCIES)
    spectra: np.ndarray = (waves @ thumbprints.astype(np.float32) @ waves.T).reshape(both_ways)
    return spectra


def _bits(spectra: Float32[np.ndarray, "n 64"]) -> Hashes:
    """A bit a frequency: whether it is above the median, which half of them are."""
    median = np.partition(spectra, 31, axis=1)[:, 31:32]
    packed = np.packbits((spectra > median)[:, _BIT_ORDER], axis=1, bitorder="little")
    hashes: np.ndarray = np.ascontiguousarray(packed).view("<u8")[:, 0].astype(np.uint64)
    return hashes
